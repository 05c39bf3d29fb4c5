"""A number's distribution from a noisy dyadic histogram: cumulative shares and quantiles with intervals.

A quantile's interval holds every edge of the grid at which "q of the patients lie below" is not rejected,
and reaches to the next edge on both sides. So it is right for any distribution inside a cell, one that piles
up on a single value included, and its coverage is at least nominal; a finer grid makes it narrower. The
estimate is read off the isotonic cumulative count, straight inside a cell.

Woodruff, R. S. Confidence intervals for medians and other position measures. JASA 47 (1952) 635-646, with the
noise of count and total in the variance (our own).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import dyadic
from fedvalue.analyses.estimate import Estimate, Released, Series
from fedvalue.analyses.score import Z95, shares_of

Array = NDArray[np.float64]


def grid(low: float, high: float, cells: int, *, growing: bool) -> Array:
    """Return ``cells + 1`` public edges from ``low`` to ``high``.

    Args:
      low: First edge.
      high: Last edge.
      cells: Number of cells.
      growing: True for cells that widen in proportion to their number (edges ``low + (high - low)(i/k)^2``):
        for costs, of which most are small.
    """
    share = np.arange(cells + 1) / cells
    edges: Array = low + (high - low) * (share**2 if growing else share)
    edges[-1] = high
    return edges


def cells_of(values: Array, edges: Array) -> NDArray[np.int64]:
    """Return each value's cell, ``[edges[i], edges[i + 1])``, the last with its right edge; -1 where NaN."""
    inside = np.where(np.isfinite(values), values, edges[0])
    found = np.clip(np.searchsorted(edges, inside, side="right") - 1, 0, len(edges) - 2)
    return np.where(np.isfinite(values), found, -1).astype(np.int64)


def isotonic(values: Array) -> Array:
    """Return the non-decreasing sequence nearest to ``values`` (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for value in values.tolist():
        total, size = value, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / size:
            before = blocks.pop()
            total, size = total + before[0], size + before[1]
        blocks.append((total, size))
    return np.concatenate([np.full(size, total / size) for total, size in blocks])


@dataclass(frozen=True, slots=True)
class Distribution:
    """Released distribution of one group.

    Attributes:
      edges: Public grid, shape ``(k + 1,)``.
      counts: Consistent noisy counts by cell, shape ``(k,)``.
      unit_noise: Noise variance of one released node.
    """

    edges: Array
    counts: Array
    unit_noise: float

    @property
    def n(self) -> Released:
        """Patients with a value."""
        per_unit = float(dyadic.cumulative_covariance(len(self.counts))[-1, -1])
        return Released(value=float(self.counts.sum()), noise_variance=per_unit * self.unit_noise)

    def cumulative(self) -> Array:
        """Return the noisy count below each edge, shape ``(k + 1,)``."""
        return np.concatenate([[0.0], np.cumsum(self.counts)])

    def noise(self, q: Array) -> Array:
        """Return the noise variance of ``F - q n`` at each edge, for one share or one an edge."""
        cov = dyadic.cumulative_covariance(len(self.counts))
        total = cov[:, -1]
        found = (np.diag(cov) - 2 * q * total + q * q * total[-1]) * self.unit_noise
        bounded: Array = np.maximum(found, 0.0)
        return bounded

    def value_at(self, q: float) -> float:
        """Return the quantile itself, without an interval."""
        below = np.clip(isotonic(self.cumulative()), 0.0, None)
        target = q * below[-1]
        j = min(max(int(np.searchsorted(below, target, side="left")), 1), len(below) - 1)
        step = below[j] - below[j - 1]
        inside = (target - below[j - 1]) / step if step > 0 else 0.0
        return float(self.edges[j - 1] + min(max(inside, 0.0), 1.0) * (self.edges[j] - self.edges[j - 1]))

    def quantile(self, q: float, unit: str) -> Estimate:
        """Return the quantile with its interval; both variances are read off the interval's width."""
        n = float(self.counts.sum())
        away, noise = self.cumulative() - q * n, self.noise(np.asarray(q))
        sampling = max(n, 0.0) * q * (1 - q)
        reach = Z95 * np.sqrt(sampling + noise)
        above, under = np.flatnonzero(away >= -reach), np.flatnonzero(away <= reach)
        first = max(int(above[0]) - 1, 0) if len(above) else len(away) - 1
        last = min(int(under[-1]) + 1, len(away) - 1) if len(under) else 0
        value = self.value_at(q)
        lower, upper = min(float(self.edges[first]), value), max(float(self.edges[last]), value)
        at = int(np.abs(away).argmin())
        total = sampling + float(noise[at])
        per_unit = ((upper - lower) / (2 * Z95)) ** 2 / total if total > 0 else 0.0
        return Estimate(
            value=value, unit=unit, lower=lower, upper=upper,
            sampling_variance=sampling * per_unit, privacy_variance=float(noise[at]) * per_unit,
        )  # fmt: skip

    def shares_below(self, unit: str) -> Series:
        """Return the cumulative share at each edge, rising, with pointwise 95 % intervals.

        The intervals are those of `score` for the released counts themselves: made to rise, they err less in
        the middle than their noise says, and more at the ends, where noise is pushed up from 0.
        """
        below, n, cov = self.cumulative(), self.n, dyadic.cumulative_covariance(len(self.counts))
        share = np.clip(isotonic(below / n.value), 0.0, 1.0)
        lower, upper, sampling, privacy = shares_of(
            below, n.value, self.unit_noise * np.diag(cov), n.noise_variance, self.unit_noise * cov[:, -1]
        )
        return Series(
            x=tuple(self.edges.tolist()), x_unit=unit, values=tuple(share.tolist()), unit="probability",
            lower=tuple(np.minimum(lower, share).tolist()),
            upper=tuple(np.maximum(upper, share).tolist()),
            sampling_variance=tuple(sampling.tolist()),
            privacy_variance=tuple(privacy.tolist()),
        )  # fmt: skip


def interquartile_bounds(found: Distribution, whiskers: float) -> tuple[float, float]:
    """Return ``Q1 - w IQR`` and ``Q3 + w IQR`` inside the grid (Tukey's fences)."""
    first, third = found.value_at(0.25), found.value_at(0.75)
    reach = whiskers * (third - first)
    return max(first - reach, float(found.edges[0])), min(third + reach, float(found.edges[-1]))
