"""What binned predictions say: calibration, the area under the ROC curve, net benefit, each with both errors.

Every number is a smooth function of the counts of events and non-events by bin, so its privacy variance is
the noise variance of a count times the squared gradient, in closed form. The area under the ROC curve counts
ties within a bin one half; its sampling variance is that of DeLong, DeLong, Clarke-Pearson (Biometrics 44
(1988) 837-845, section 3) on the bins. Net benefit ``TP/n - FP/n t/(1-t)``: Vickers, Elkin (Medical Decision
Making 26 (2006) 565-574, eq. 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.estimate import Estimate, Series
from fedvalue.analyses.score import Z95, Noise, Sampling, inside, ratio, share

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bins:
    """One group's counts by bin of predicted risk over [0, 1].

    Attributes:
      events: Released patients with the outcome, shape ``(k,)``.
      others: Released patients without it, shape ``(k,)``.
      offsets: Sum of the predictions less the middle of their bin, over half a width, shape ``(k,)``.
      noise: Noise variance of each count.
      offset_noise: Noise variance of each of ``offsets``.
      cuts: Inner edges, increasing, ``k - 1`` of them; empty for bins of one width.
    """

    events: Array
    others: Array
    offsets: Array
    noise: float
    offset_noise: float
    cuts: tuple[float, ...] = ()

    @property
    def patients(self) -> float:
        """Released patients with an outcome and a prediction."""
        return float(self.events.sum() + self.others.sum())

    @property
    def edges(self) -> Array:
        """Edges of the bins, shape ``(k + 1,)``."""
        if self.cuts:
            return np.array([0.0, *self.cuts, 1.0])
        return np.linspace(0.0, 1.0, len(self.events) + 1)

    @property
    def middles(self) -> Array:
        """Middles of the bins, shape ``(k,)``."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    @property
    def half(self) -> Array:
        """Half the width of each bin, shape ``(k,)``."""
        return np.asarray(np.diff(self.edges) / 2, dtype=np.float64)

    @property
    def predicted_noise(self) -> float:
        """Noise variance that the places within the bins add to `predicted`."""
        return float(self.half @ self.half) * self.offset_noise

    @property
    def predicted(self) -> float:
        """Sum of the predictions."""
        return float(self.middles @ (self.events + self.others) + self.half @ self.offsets)

    def means(self) -> Array:
        """Mean prediction in each bin, inside the bin, shape ``(k,)``."""
        counts = self.events + self.others
        inside = np.divide(self.offsets, counts, out=np.zeros_like(counts), where=counts > 0)
        return np.asarray(self.middles + self.half * np.clip(inside, -1.0, 1.0), dtype=np.float64)


def in_the_large(bins: Bins) -> Estimate:
    """Return the observed less the predicted share."""
    n, p = bins.patients, bins.means()
    value = (float(bins.events.sum()) - bins.predicted) / n
    squared = float(bins.events @ (1 - p) ** 2 + bins.others @ p**2) / n
    sampling = max(squared - value**2, 0.0) / n
    gradient = np.concatenate([1 - bins.middles - value, -bins.middles - value])
    privacy = bins.noise * float(gradient @ gradient) + bins.predicted_noise
    return _normal(value, sampling, privacy / n**2, "difference of probabilities", -1.0, 1.0)


def observed_over_expected(bins: Bins) -> Estimate | None:
    """Return the ratio of outcomes to predicted outcomes; None where the latter are lost in the noise."""
    p = bins.means()
    noise = Noise(
        len(p) * bins.noise,
        2 * bins.noise * float(bins.middles @ bins.middles) + bins.predicted_noise,
        bins.noise * float(bins.middles.sum()),
    )
    if bins.predicted <= 3 * math.sqrt(noise.bottom):
        return None
    events, counts = np.maximum(bins.events, 0.0), np.maximum(bins.events + bins.others, 0.0)
    sampling = Sampling(float(events.sum()), -2 * float(events @ p), float(counts @ p**2))
    return ratio(float(bins.events.sum()), bins.predicted, noise, sampling, unit="ratio", least=0.0)


def area(bins: Bins) -> Estimate | None:
    """Return the area under the ROC curve; None where either kind of patient is lost in the noise."""
    have, lack = float(bins.events.sum()), float(bins.others.sum())
    if min(have, lack) <= max(3 * math.sqrt(len(bins.events) * bins.noise), 1.0):
        return None
    below = np.concatenate([[0.0], np.cumsum(bins.others)[:-1]])
    above = have - np.cumsum(bins.events)
    of_events, of_others = (below + bins.others / 2) / lack, (above + bins.events / 2) / have
    value = float(bins.events @ of_events) / have
    e, o = np.maximum(bins.events, 0.0), np.maximum(bins.others, 0.0)
    spread = float(e @ (of_events - value) ** 2) / have, float(o @ (of_others - value) ** 2) / lack
    sampling = spread[0] / max(have - 1, 1.0) + spread[1] / max(lack - 1, 1.0)
    privacy = bins.noise * (
        float(np.square((of_events - value) / have).sum())
        + float(np.square((of_others - value) / lack).sum())
    )
    return _normal(value, sampling, privacy, "area", 0.0, 1.0)


def calibration_line(bins: Bins, least: float) -> Series | None:
    """Return the observed share against the mean prediction, for bins that can be told.

    Args:
      bins: Of one group.
      least: Fewest released patients of a bin.
    """
    kept = []
    for event, other, x in zip(bins.events, bins.others, bins.means(), strict=True):
        n = float(event + other)
        if n >= max(least, 1.0) and math.sqrt(2 * bins.noise) <= n / 3:
            kept.append((float(x), share(float(event), n, bins.noise, inside=1, cells=2)))
    if not kept:
        return None
    return _series([x for x, _ in kept], "predicted probability", [y for _, y in kept])


def decision_curve(bins: Bins) -> tuple[Series, Series]:
    """Return the net benefit of treating above each edge of the bins, and of treating everybody."""
    edges = bins.edges[1:-1]
    acting = [_net_benefit(bins, k, float(t)) for k, t in enumerate(edges, start=1)]
    everybody = [_net_benefit(bins, 0, float(t)) for t in edges]
    return (
        _series(edges.tolist(), "threshold probability", acting),
        _series(edges.tolist(), "threshold probability", everybody),
    )


def _net_benefit(bins: Bins, first: int, threshold: float) -> Estimate:
    """Net benefit of treating from a bin on, with the interval of its two shares (MOVER).

    At a high threshold few are treated, and each one in vain counts for many: a normal interval would be of
    the wrong shape. Zou, Donner. Statistics in Medicine 27 (2008) 1693-1702, eq. (15), with the score
    intervals of both shares.
    """
    n, odds = bins.patients, threshold / (1 - threshold)
    treated = 1.0 * (np.arange(len(bins.events)) >= first)
    helped, vain = float(treated @ bins.events), float(treated @ bins.others)
    value = (helped - odds * vain) / n
    squared = (helped + odds**2 * vain) / n
    sampling = max(squared - value**2, 0.0) / n
    gradient = np.concatenate([treated - value, -odds * treated - value])
    part = int(treated.sum())
    rates = [_limits(top, n, bins.noise, part, 2 * len(treated)) for top in (helped, vain)]
    (p, p_low, p_high), (q, q_low, q_high) = rates
    together = 1.0 if first == 0 else math.sqrt(p * q / max((1 - p) * (1 - q), 1e-12))
    together = min(together, 1.0)
    below, above = p - p_low, odds * (q_high - q)
    lower = math.sqrt(below**2 + above**2 + 2 * together * below * above)
    below, above = p_high - p, odds * (q - q_low)
    upper = math.sqrt(below**2 + above**2 + 2 * together * below * above)
    middle = p - odds * q
    return Estimate(
        value=min(value, 1.0), unit="net benefit", lower=min(middle - lower, value), upper=middle + upper,
        sampling_variance=sampling, privacy_variance=bins.noise * float(gradient @ gradient) / n**2,
    )  # fmt: skip


def _limits(top: float, n: float, noise: float, part: int, cells: int) -> tuple[float, float, float]:
    """A share with score limits, the lower one that of half a patient less (correction for continuity)."""
    found = share(top, n, noise, inside=part, cells=cells)
    fewer = share(max(top - 0.5, min(top, 0.0)), n, noise, inside=part, cells=cells)
    return found.value, fewer.lower or 0.0, 1.0 if found.upper is None else found.upper


def _normal(value: float, sampling: float, privacy: float, unit: str, least: float, most: float) -> Estimate:
    value, lower, upper = inside(value, Z95 * math.sqrt(sampling + privacy), least, most)
    return Estimate(
        value=value, unit=unit, lower=lower, upper=upper,
        sampling_variance=sampling, privacy_variance=privacy,
    )  # fmt: skip


def _series(x: list[float], x_unit: str, estimates: list[Estimate]) -> Series:
    return Series(
        x=tuple(x), x_unit=x_unit, values=tuple(e.value for e in estimates), unit=estimates[0].unit,
        lower=tuple(e.value if e.lower is None else e.lower for e in estimates),
        upper=tuple(e.value if e.upper is None else e.upper for e in estimates),
        sampling_variance=tuple(e.sampling_variance for e in estimates),
        privacy_variance=tuple(e.privacy_variance for e in estimates),
    )  # fmt: skip
