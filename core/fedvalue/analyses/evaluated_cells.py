"""Risk tiers, cells of risk coefficients, and how far hospitals differ, from the sums of an evaluation.

The relative prediction of a cell is its mean prediction over everybody's: the raw coefficient of a
risk-adjusted standard. Its noise is that of four sums (the cell's people and predictions, and everybody's),
and the errors of the cells go together, because they share everybody's mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import NoisySum, Terms
from fedvalue.analyses.between_sites import FEWEST, between_sites
from fedvalue.analyses.binned import Bins
from fedvalue.analyses.estimate import Estimate, Released, Stratum
from fedvalue.analyses.moments import Sums
from fedvalue.analyses.score import Z95, Noise, Sampling, inside, ratio, refused, share

Array = NDArray[np.float64]

CHOSEN_CUTS = "Cuts between the tiers were chosen from the released bins: {cuts}."
HETEROGENEITY = "heterogeneity between hospitals (I^2)"
RELATIVE = "relative prediction"


@dataclass(frozen=True, slots=True)
class Cell:
    """Released counts and predictions of some patients.

    Attributes:
      events: With the outcome.
      others: Without it.
      left: Without a prediction or an outcome.
      noise: Noise variance of each of these.
      sum: Of ``2 p - 1``.
      sum_noise: Its noise variance.
    """

    events: float
    others: float
    left: float
    noise: float
    sum: float
    sum_noise: float

    @classmethod
    def of(cls, released: NoisySum, part: str, members: Sequence[int]) -> Cell:
        """Return the sums of some groups of a partition together."""
        counts, predicted = released[f"{part}_counts"], released[f"{part}_predicted"]
        rows = list(members)
        events, others, left = counts.values.reshape(-1, 3)[rows].sum(axis=0).tolist()
        return cls(
            events, others, left, counts.variance * len(rows), float(predicted.values[rows].sum()),
            predicted.variance * len(rows),
        )  # fmt: skip

    @property
    def n(self) -> float:
        """Released patients with an outcome and a prediction."""
        return self.events + self.others

    @property
    def predicted(self) -> float:
        """Sum of the predictions."""
        return (self.sum + self.n) / 2

    @property
    def predicted_noise(self) -> float:
        """Noise variance of `predicted`."""
        return self.sum_noise / 4 + self.noise / 2

    @property
    def patients(self) -> Released:
        """`n` as a released number."""
        return Released(value=self.n, noise_variance=2 * self.noise)

    @property
    def stated(self) -> dict[str, Released]:
        """What is stated of the group."""
        return {
            "patients": self.patients,
            "with the outcome": Released(value=self.events, noise_variance=self.noise),
            "left out": Released(value=self.left, noise_variance=self.noise),
        }


def tiers(
    bins: Bins, whole: Cell, names: Sequence[str], cuts: Sequence[float], shares: Sequence[float],
    terms: Terms,
) -> tuple[list[Stratum], str]:  # fmt: skip
    """Return one stratum a tier, from the lowest, and a note where the cuts were chosen.

    Args:
      bins: Of everybody.
      whole: Everybody.
      names: Of the tiers.
      cuts: Between them, edges of the bins; or
      shares: of the patients that they are to hold.
      terms: What the study promised.
    """
    counts, note = bins.events + bins.others, ""
    if shares:
        held = np.cumsum(counts)[:-1] / max(float(counts.sum()), 1e-9)
        wanted = np.cumsum(shares)[:-1]
        places = [int(np.argmin(np.abs(held - share_))) + 1 for share_ in wanted]
        places = sorted({*places})
        if len(places) < len(wanted):  # a bin holds more than a tier: the tiers cannot be told apart
            return [
                Stratum(name=f"tier={name}", status="not_estimable", reason="model") for name in names
            ], ""
        note = CHOSEN_CUTS.format(cuts=", ".join(f"{bins.edges[i]:g}" for i in places))
    else:
        places = [int(np.argmin(np.abs(bins.edges - cut))) for cut in cuts]
    found, edges, means = [], [0, *places, len(counts)], bins.means()
    for name, first, last in zip(names, edges, edges[1:], strict=False):
        part, wide = slice(first, last), last - first
        n = Released(value=float(counts[part].sum()), noise_variance=2 * wide * bins.noise)
        events = Released(value=float(bins.events[part].sum()), noise_variance=wide * bins.noise)
        stated = {"patients": n, "with the outcome": events}
        if (refusal := refused(f"tier={name}", n, terms, stated)) is not None:
            found.append(refusal)
            continue
        estimates = {
            "event rate": share(events.value, n.value, bins.noise, inside=wide, cells=2 * wide),
            "share of patients": _share_of(n, whole),
        }
        offset = float(bins.half[part] @ bins.half[part]) * bins.offset_noise
        total = float(bins.middles[part] @ counts[part] + bins.half[part] @ bins.offsets[part])
        middle = total / n.value
        away = bins.middles[part] - middle
        privacy = (offset + 2 * bins.noise * float(away @ away)) / n.value**2
        # between the bins, and within each as if predictions were spread evenly over it
        squared = (means[part] - middle) ** 2 + bins.half[part] ** 2 / 3
        spread = float(np.maximum(counts[part], 0) @ squared) / n.value
        estimates["mean prediction"] = _normal(middle, spread / n.value, privacy, "probability", 1.0)
        found.append(Stratum(name=f"tier={name}", status="estimated", released=stated, estimates=estimates))
    return found, note


def _share_of(n: Released, whole: Cell) -> Estimate:
    """Share of everybody; the two numbers come from different coordinates, so their noise is independent."""
    noise = Noise(n.noise_variance, 2 * whole.noise, 0.0)
    sampling = Sampling(linear=whole.n, square=-whole.n)
    return ratio(n.value, whole.n, noise, sampling, unit="probability", least=0.0, most=1.0)


def cells(released: NoisySum, names: Sequence[str], terms: Terms) -> list[Stratum]:
    """Return one stratum a cell with predicted and observed risk, absolute and relative.

    Args:
      released: The release.
      names: Of the cells, ``unknown`` last; the latter is left out of the mean.
      terms: What the study promised.
    """
    known = range(len(names) - 1)
    whole = Cell.of(released, "cells", known)
    squares = released["cells_squares"]
    found = []
    for i in known:
        cell = Cell.of(released, "cells", [i])
        if (refusal := refused(names[i], cell.patients, terms, cell.stated)) is not None:
            found.append(refusal)
            continue
        n, mean, squared = cell.n, cell.predicted / cell.n, float(squares.values[i])
        sums = Sums(n, 2 * cell.noise, (cell.sum, squared), (cell.sum_noise, squares.variance))
        spread, privacy = sums.believed_variance / 4, sums.mean_noise / 4
        estimates = {
            "mean prediction": _normal(mean, spread / n, privacy, "probability", 1.0),
            "event rate": share(cell.events, n, cell.noise, inside=1, cells=2),
        }
        over = whole.predicted / max(whole.n, 1e-9)
        if whole.n > 0 and whole.predicted > 3 * math.sqrt(whole.predicted_noise):
            relative = mean / over
            # everybody's mean holds the cell itself with the weight n / N
            own = max(1 - relative * n / whole.n, 0.0)
            rest = max(whole.n - n, 0.0) / whole.n**2
            sampling = (own / over) ** 2 * spread / n + (relative / over) ** 2 * rest * spread
            many = len(names) - 1
            others = whole.sum_noise / 4 + 2 * whole.noise * (0.5 - over) ** 2
            noise = (own / over) ** 2 * privacy + (relative / over / whole.n) ** 2 * others * (
                many - 1
            ) / many
            estimates[RELATIVE] = _normal(relative, sampling, noise, "ratio", math.inf)
        if (observed := _observed_over(cell)) is not None:
            estimates["observed over predicted"] = observed
        found.append(Stratum(name=names[i], status="estimated", released=cell.stated, estimates=estimates))
    return found


def hospitals(
    everybody: Stratum, released: NoisySum, sites: Sequence[str], terms: Terms
) -> tuple[Stratum, list[Stratum]]:
    """Return everybody's stratum with the heterogeneity, and one stratum a hospital.

    I^2 is the share of the spread of the hospitals' log ratios that their errors, noise included, do not
    explain: Higgins, Thompson. Statistics in Medicine 21 (2002) 1539-1558, section 3.3; its interval follows
    that of the between-site variance (Q-profile).

    Args:
      everybody: Stratum of all.
      released: The release.
      sites: Ids of the hospitals.
      terms: What the study promised.
    """
    found, values, variances = [], [], []
    for i, name in enumerate(sites):
        cell = Cell.of(released, "sites", [i])
        refusal = refused(f"site={name}", cell.patients, terms, cell.stated)
        estimate = None if refusal is not None else _observed_over(cell)
        if refusal is not None or estimate is None or estimate.value <= 0:
            found.append(
                refusal
                or Stratum(
                    name=f"site={name}", status="not_estimable", reason="privacy", released=cell.stated
                )
            )
            continue
        estimates = {"observed over predicted": estimate}
        found.append(
            Stratum(name=f"site={name}", status="estimated", released=cell.stated, estimates=estimates)
        )
        values.append(math.log(estimate.value))
        variances.append((estimate.sampling_variance + estimate.privacy_variance) / estimate.value**2)
    if everybody.status != "estimated" or len(values) < FEWEST:
        return everybody, found
    errors = np.maximum(np.array(variances), 1e-18)
    whole = between_sites(np.array(values), errors)
    if whole is None:
        return everybody, found
    k, weights = len(values), 1 / errors
    typical = float((k - 1) * weights.sum() / (weights.sum() ** 2 - (weights**2).sum()))
    shares = [
        t**2 / (t**2 + typical) for t in (whole.between, whole.between_low, whole.between_high)
    ]  # fmt: skip
    estimate = Estimate(
        value=shares[0], unit="share of variance", lower=min(shares[1], shares[0]),
        upper=max(shares[2], shares[0]),
        sampling_variance=((shares[2] - shares[1]) / (2 * Z95)) ** 2, privacy_variance=0.0,
    )  # fmt: skip
    named = {**everybody.estimates, HETEROGENEITY: estimate}
    return everybody.model_copy(update={"estimates": named}), found


def _observed_over(cell: Cell) -> Estimate | None:
    """Outcomes over predicted outcomes, as if everybody's prediction were the mean one.

    Outcomes vary by ``sum of r p (1 - r p)`` at the ratio r; the squares add up to those of the mean or more.
    """
    if cell.predicted <= 3 * math.sqrt(cell.predicted_noise) or cell.predicted <= 0:
        return None
    noise = Noise(cell.noise, cell.predicted_noise, cell.noise / 2)
    squares = min(cell.predicted / max(cell.n, 1.0), 1.0) * cell.predicted
    sampling = Sampling(linear=cell.predicted, square=-squares)
    return ratio(cell.events, cell.predicted, noise, sampling, unit="ratio", least=0.0)


def _normal(value: float, sampling: float, privacy: float, unit: str, most: float) -> Estimate:
    value, lower, upper = inside(value, Z95 * math.sqrt(sampling + privacy), 0.0, most)
    return Estimate(
        value=value, unit=unit, lower=lower, upper=upper,
        sampling_variance=sampling, privacy_variance=privacy,
    )  # fmt: skip
