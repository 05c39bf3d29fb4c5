"""What the released sums of a model's evaluation say: metrics by group, tiers, cells, hospitals.

Figures of a group come from the coordinates that are least noisy for them: the sum of predictions and of
squared errors from one number each, ranks and the calibration line from the bins. All of them are smooth
functions of independent noisy sums, so the privacy variance is the squared gradient times their noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import binned
from fedvalue.analyses.analysis import NoisySum, Terms
from fedvalue.analyses.binned import Bins
from fedvalue.analyses.concordance import Grid, concordance
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Series, Stratum
from fedvalue.analyses.evaluated_cells import Cell, cells, hospitals, tiers
from fedvalue.analyses.groups import EVERYBODY, UNKNOWN_GROUP
from fedvalue.analyses.horizon import at_horizon, tables
from fedvalue.analyses.recalibration import recalibration
from fedvalue.analyses.score import Z95, Noise, Sampling, inside, ratio, refused

Array = NDArray[np.float64]

BINNED = "Risks are compared by bin: ranks within a bin count as ties."
NOT_ASSESSED = "A group without estimates was not assessed; that is no sign of fairness."
NO_HOLD_OUT = "There is no temporal hold-out: the model was not assessed on later patients by themselves."
GIVEN = "The model was given: nothing of it was fitted here."


@dataclass(frozen=True, slots=True)
class Design:
    """What was asked.

    Attributes:
      label: Of the analysis.
      outcome: Binary endpoint; empty for none.
      cuts: Inner edges of the bins.
      periods: ``all``, or before the last quarter and in it.
      groups: Names of the groups of each protected attribute, ``unknown`` last.
      by: The attributes.
      cells: Names of the cells, ``unknown`` last; empty for none.
      tiers: Names of the tiers from the lowest; empty for none.
      tier_cuts: Cuts between them; or
      tier_shares: shares that they are to hold.
      sites: Ids of the hospitals; empty where they are not told apart.
      grid: Of the time-to-event endpoint; None for none.
      horizon: True where the predictions are risks by the end of the grid.
    """

    label: str
    outcome: str
    cuts: tuple[float, ...]
    periods: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    by: tuple[str, ...]
    cells: tuple[str, ...]
    tiers: tuple[str, ...]
    tier_cuts: tuple[float, ...]
    tier_shares: tuple[float, ...]
    sites: tuple[str, ...]
    grid: Grid | None
    horizon: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """The released sums of one group.

    Attributes:
      sums: Counts and sum of predictions.
      errors: Sum of ``2 (p - y)^2 - 1``.
      errors_noise: Its noise variance.
      bins: Counts by bin.
    """

    sums: Cell
    errors: float
    errors_noise: float
    bins: Bins


def concluded(design: Design, released: NoisySum, terms: Terms) -> Conclusion:
    """Return the conclusion of an evaluation.

    Args:
      design: What was asked.
      released: Its one release.
      terms: What the study promised.
    """
    strata: list[Stratum] = []
    notes = [GIVEN, BINNED]
    endpoint = design.outcome or (design.grid.time if design.grid is not None else "")
    if design.outcome:
        periods = [_group(design, released, "all", [i]) for i in range(len(design.periods))]
        whole = _group(design, released, "all", list(range(len(design.periods))))
        strata.append(_assessed(EVERYBODY, whole, terms))
        if len(periods) > 1:
            strata += [_assessed(n, g, terms) for n, g in zip(design.periods, periods, strict=True)][1:]
        else:
            notes.append(NO_HOLD_OUT)
        at = 0
        for name, names in zip(design.by, design.groups, strict=True):
            for level in names:
                shown = f"{name}={UNKNOWN_GROUP}" if level == UNKNOWN_GROUP else level
                strata.append(_assessed(shown, _group(design, released, "groups", [at]), terms))
                at += 1
        if design.by:
            notes.append(NOT_ASSESSED)
        if design.tiers:
            found, note = tiers(
                whole.bins, whole.sums, design.tiers, design.tier_cuts, design.tier_shares, terms
            )
            strata += found
            notes += [note] if note else []
        if design.cells:
            strata += cells(released, design.cells, terms)
        if design.sites:
            strata[0], found = hospitals(strata[0], released, design.sites, terms)
            strata += found
    if design.grid is not None:
        strata = _with_concordance(strata, design, design.grid, released, terms)
    return Conclusion(
        label=design.label, kind="model_evaluation", endpoint=endpoint, by=design.by,
        strata=tuple(strata), notes=tuple(notes),
    )  # fmt: skip


def _group(design: Design, released: NoisySum, part: str, members: list[int]) -> Group:
    many, count = len(members), len(design.cuts) + 1
    bins, offsets, errors = (released[f"{part}_{name}"] for name in ("bins", "offsets", "errors"))
    by_bin = bins.values.reshape(-1, count, 2)[members].sum(axis=0)
    return Group(
        Cell.of(released, part, members), float(errors.values[members].sum()), errors.variance * many,
        Bins(
            by_bin[:, 0], by_bin[:, 1], offsets.values.reshape(-1, count)[members].sum(axis=0),
            bins.variance * many, offsets.variance * many, design.cuts,
        ),
    )  # fmt: skip


def _assessed(name: str, group: Group, terms: Terms) -> Stratum:
    sums, bins = group.sums, group.bins
    if (refusal := refused(name, sums.patients, terms, sums.stated)) is not None:
        return refusal
    slope, intercept = recalibration(bins) or (None, None)
    maybe: dict[str, Estimate | None] = {
        "area under the ROC curve": binned.area(bins),
        "Brier score": _brier(group),
        "calibration slope": slope,
        "calibration intercept": intercept,
        "observed over predicted": _over(group),
        "observed less predicted": _less(group),
    }
    series: dict[str, Series] = {}
    # the bins have noise of their own: where it drowns their sum there is no curve, whatever the counts say
    if bins.patients > max(3 * math.sqrt(2 * len(bins.events) * bins.noise), 1.0):
        acting, everybody = binned.decision_curve(bins)
        series = {"net benefit": acting, "net benefit of treating everybody": everybody}
    line = binned.calibration_line(bins, 1.0 if terms.exact else float(terms.min_patients))
    if line is not None:
        series = {"observed by predicted risk": line, **series}
    return Stratum(
        name=name, status="estimated", released=sums.stated, series=series,
        estimates={key: value for key, value in maybe.items() if value is not None},
    )  # fmt: skip


def _brier(group: Group) -> Estimate:
    """Mean squared error of the predictions, between 0 and 1."""
    n, bins = group.sums.n, group.bins
    value = (group.errors + n) / (2 * n)
    p = bins.means()
    fourth = float(np.maximum(bins.events, 0) @ (1 - p) ** 4 + np.maximum(bins.others, 0) @ p**4) / n
    privacy = group.errors_noise / 4 + 2 * group.sums.noise * (0.5 - value) ** 2
    return _inside(value, max(fourth - value**2, 0.0) / n, privacy / n**2, "squared probability", 0.0, 1.0)


def _over(group: Group) -> Estimate | None:
    """Outcomes over predicted outcomes."""
    sums, bins = group.sums, group.bins
    if sums.predicted <= 3 * math.sqrt(sums.predicted_noise):
        return None
    p = bins.means()
    events, counts = np.maximum(bins.events, 0.0), np.maximum(bins.events + bins.others, 0.0)
    sampling = Sampling(max(sums.events, 0.0), -2 * float(events @ p), float(counts @ p**2))
    noise = Noise(sums.noise, sums.predicted_noise, sums.noise / 2)
    return ratio(sums.events, sums.predicted, noise, sampling, unit="ratio", least=0.0)


def _less(group: Group) -> Estimate:
    """Observed less predicted share."""
    sums, n = group.sums, group.sums.n
    value = (sums.events - sums.predicted) / n
    squared = max((group.errors + n) / (2 * n), 0.0)
    privacy = sums.noise * ((0.5 - value) ** 2 + (0.5 + value) ** 2) + sums.sum_noise / 4
    sampling = max(squared - value**2, 0.0) / n
    return _inside(value, sampling, privacy / n**2, "difference of probabilities", -1.0, 1.0)


def _inside(value: float, sampling: float, privacy: float, unit: str, least: float, most: float) -> Estimate:
    value, lower, upper = inside(value, Z95 * math.sqrt(sampling + privacy), least, most)
    return Estimate(
        value=value, unit=unit, lower=lower, upper=upper,
        sampling_variance=sampling, privacy_variance=privacy,
    )  # fmt: skip


def _with_concordance(
    strata: list[Stratum], design: Design, grid: Grid, released: NoisySum, terms: Terms
) -> list[Stratum]:
    """Add what is told of times to everybody's stratum, which is made where there is none."""
    exits = released["time_exits"]
    shape = (len(design.cuts) + 1, grid.intervals + 1)
    entries = released["time_entries"] if grid.delayed else None
    found = concordance(
        exits.values.reshape(*shape, 2), None if entries is None else entries.values.reshape(shape),
        exits.variance, 0.0 if entries is None else entries.variance,
    )  # fmt: skip
    counted = Released(value=float(exits.values.sum()), noise_variance=exits.variance * exits.values.size)
    if not strata:
        stated = {"patients": counted}
        strata = [
            refused(EVERYBODY, counted, terms, stated)
            or Stratum(name=EVERYBODY, status="estimated", released=stated)
        ]
    if strata[0].status != "estimated":
        return strata
    named = {} if found is None else {"concordance index": found}
    series: dict[str, Series] = {}
    if design.horizon:
        offsets = released["time_offsets"]
        bins = tables(
            exits.values.reshape(*shape, 2), offsets.values, exits.variance, offsets.variance, design.cuts
        )
        told, series = at_horizon(bins, 1.0 if terms.exact else float(terms.min_patients))
        named |= told
    more = {"estimates": {**strata[0].estimates, **named}, "series": {**strata[0].series, **series}}
    return [strata[0].model_copy(update=more), *strata[1:]]
