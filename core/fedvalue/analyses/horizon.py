"""Whether a survival model says how many reach an event by the horizon: observed against predicted risk.

The cells of the concordance index, bins of predicted risk x intervals x {event, other}, are life tables: of
each bin and, added up, of everybody. With d_j events and c_j other exits in interval j, N_j followed into it,

    n_j = N_j - c_j / 2,    S = prod_j (1 - d_j / n_j),    observed risk = 1 - S,

so that whoever is lost early counts for the time followed and is not taken for an event-free patient. Cells
are independent, so the noise of S is its squared gradient times theirs; sampling is Greenwood's. Predicted is
the mean of the predictions, exact up to noise: where each lies in its bin is released with one more number a
bin. People who enter after the origin have no such table here.

Cutler, S. J., Ederer, F. Maximum utilization of the life table method. Journal of Chronic Diseases 8 (1958)
699-712. Greenwood, M. The natural duration of cancer (1926). The noise terms are our own derivation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.estimate import Estimate, Series
from fedvalue.analyses.score import Z95

Array = NDArray[np.float64]

OBSERVED, PREDICTED = "observed risk by the horizon", "predicted risk by the horizon"
OVER, SLOPE = "observed over predicted by the horizon", "slope of observed on predicted risk by the horizon"
BY_RISK = "observed by predicted risk at the horizon"
FEWEST_POINTS = 3


@dataclass(frozen=True, slots=True)
class LifeTable:
    """Noisy exits of some patients.

    Attributes:
      exits: By interval, the last for past the horizon, and {event, other}, shape ``(j + 1, 2)``.
      noise: Noise variance of each.
      predicted: Sum of their predictions.
      predicted_noise: Its noise variance.
    """

    exits: Array
    noise: float
    predicted: float
    predicted_noise: float

    @property
    def patients(self) -> float:
        """Released number of patients."""
        return float(self.exits.sum())

    @property
    def patients_noise(self) -> float:
        """Noise variance of `patients`."""
        return self.exits.size * self.noise

    def risk(self) -> Estimate | None:
        """Return the observed risk by the horizon; None where those at risk are lost in the noise."""
        events, others = self.exits[:-1, 0], self.exits[:-1, 1]
        followed = self.exits.sum(axis=1)[::-1].cumsum()[::-1]
        at_risk, left = followed[:-1] - others / 2, np.arange(len(events) + 1, 1, -1)
        if (at_risk <= np.maximum(3 * np.sqrt(2 * left * self.noise), 0.0)).any() or (
            at_risk <= events
        ).any():
            return None
        survival = float(np.prod(1 - events / at_risk))
        slope = events / (at_risk * (at_risk - events))  # of log S, by those at risk
        before = slope.cumsum()
        by_event = np.append(before - 1 / (at_risk - events), before[-1])
        by_other = np.append(before - slope / 2, before[-1])
        privacy = self.noise * float(by_event @ by_event + by_other @ by_other)
        sampling = float(np.maximum(slope, 0.0).sum())
        return _estimate(1 - survival, survival**2 * sampling, survival**2 * privacy, "probability", 1.0)

    def mean(self) -> Estimate:
        """Return the mean prediction."""
        n, value = self.patients, self.predicted / self.patients
        noise = (self.predicted_noise + value**2 * self.patients_noise) / n**2
        return _estimate(value, 0.0, noise, "probability", 1.0)

    def __add__(self, other: LifeTable) -> LifeTable:
        return LifeTable(
            self.exits + other.exits, self.noise + other.noise, self.predicted + other.predicted,
            self.predicted_noise + other.predicted_noise,
        )  # fmt: skip


def tables(
    exits: Array, offsets: Array, noise: float, offset_noise: float, cuts: tuple[float, ...]
) -> list[LifeTable]:
    """Return the life table of each bin.

    Args:
      exits: Released counts by bin, interval and {event, other}, shape ``(b, j + 1, 2)``.
      offsets: Sum of the places of the predictions within their bin, from -1 to 1, shape ``(b,)``.
      noise: Noise variance of a count.
      offset_noise: Of an offset.
      cuts: Inner edges of the bins, b - 1 of them.
    """
    edges = np.array([0.0, *cuts, 1.0])
    middles, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    counted = exits[0].size * noise
    return [
        LifeTable(
            one, noise, float(middle * one.sum() + h * place), middle**2 * counted + h**2 * offset_noise
        )
        for one, place, middle, h in zip(exits, offsets, middles, half, strict=True)
    ]


def at_horizon(found: list[LifeTable], least: float) -> tuple[dict[str, Estimate], dict[str, Series]]:
    """Return observed, predicted, their ratio and slope, and the curve of calibration.

    Args:
      found: Life tables of the bins, in the order of risk.
      least: Fewest released patients of a point of the curve.
    """
    whole = _sum(found)
    observed = whole.risk()
    if observed is None or whole.predicted <= 3 * math.sqrt(whole.predicted_noise):
        return {}, {}
    predicted = whole.mean()
    over = observed.value / predicted.value
    noise = observed.privacy_variance + over**2 * predicted.privacy_variance
    ratio = _estimate(
        over, observed.sampling_variance / predicted.value**2, noise / predicted.value**2, "ratio", math.inf
    )
    estimates = {OBSERVED: observed, PREDICTED: predicted, OVER: ratio}
    points = [(table.mean(), risk) for table, risk in _points(found, least)]
    if not points:
        return estimates, {}
    if (slope := _slope(points)) is not None:
        estimates[SLOPE] = slope
    return estimates, {BY_RISK: _series(points)}


def _points(found: list[LifeTable], least: float) -> list[tuple[LifeTable, Estimate]]:
    """Join neighbouring bins until each has enough patients to be told, from the lowest risk up."""
    points: list[tuple[LifeTable, Estimate]] = []
    joined: list[LifeTable] = []
    for table in found:
        joined.append(table)
        here = _sum(joined)
        if here.patients < max(least, 1.0, 3 * math.sqrt(here.patients_noise)):
            continue
        if (risk := here.risk()) is not None and here.predicted > 0:
            points.append((here, risk))
            joined = []
    return points


def _slope(points: list[tuple[Estimate, Estimate]]) -> Estimate | None:
    """Weighted least squares of observed on predicted risk; 1 where neither too sure nor too shy."""
    if len(points) < FEWEST_POINTS:
        return None
    x = np.array([mean.value for mean, _ in points])
    y = np.array([risk.value for _, risk in points])
    sampling = np.array([risk.sampling_variance for _, risk in points])
    privacy = np.array([risk.privacy_variance for _, risk in points])
    if not (sampling + privacy > 0).all():
        return None
    weights = 1 / (sampling + privacy)
    apart = x - weights @ x / weights.sum()
    share = weights * apart / float(weights @ apart**2)
    return _estimate(
        float(share @ y), float(share**2 @ sampling), float(share**2 @ privacy), "ratio", math.inf, -math.inf
    )


def _sum(found: list[LifeTable]) -> LifeTable:
    first, *others = found
    for other in others:
        first += other
    return first


def _series(points: list[tuple[Estimate, Estimate]]) -> Series:
    risks = [risk for _, risk in points]
    return Series(
        x=tuple(min(max(mean.value, 0.0), 1.0) for mean, _ in points), x_unit="predicted probability",
        values=tuple(r.value for r in risks), unit="probability",
        lower=tuple(r.value if r.lower is None else r.lower for r in risks),
        upper=tuple(r.value if r.upper is None else r.upper for r in risks),
        sampling_variance=tuple(r.sampling_variance for r in risks),
        privacy_variance=tuple(r.privacy_variance for r in risks),
    )  # fmt: skip


def _estimate(
    value: float, sampling: float, privacy: float, unit: str, most: float, least: float = 0.0
) -> Estimate:
    value, half = min(max(value, least), most), Z95 * math.sqrt(sampling + privacy)
    return Estimate(
        value=value, unit=unit, lower=max(least, value - half), upper=min(most, value + half),
        sampling_variance=sampling, privacy_variance=privacy,
    )  # fmt: skip
