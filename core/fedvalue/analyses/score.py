"""Intervals for ratios of noisy sums: a share, a mean and a rate are each one quadratic.

A value r is believed as long as ``(T - r B)^2 <= z^2 (noise(r) + sampling(r))``, where T and B are the
released top and bottom of the ratio. Both variances are quadratics in r, so the ends are roots: the noise of
the bottom is in the interval (errors in variables), and no variance is plugged in where it depends on r.

Fieller, E. C. Some problems in interval estimation. Journal of the Royal Statistical Society B 16 (1954)
175-185, eq. (9). With a binomial top it is Wilson's interval (JASA 22 (1927) 209-212), with a Poisson top the
score interval of a rate; the noise terms are our own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Terms
from fedvalue.analyses.estimate import Estimate, Released, Stratum

Array = NDArray[np.float64]
Z95 = 1.959963984540054
"""97.5 % point of the standard normal distribution."""

FARTHEST = Z95 - 1
"""How many standard errors past the end of its range a value is believed: one is left of its interval."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Privacy noise of a ratio's two sums.

    Attributes:
      top: Variance of the top, in its squared unit.
      bottom: Variance of the bottom.
      both: Their covariance.
    """

    top: float
    bottom: float
    both: float = 0.0

    def at(self, ratio: float) -> float:
        """Return the variance of ``top - ratio x bottom``."""
        return max(self.top - 2 * ratio * self.both + ratio**2 * self.bottom, 0.0)


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling variance of ``top - r x bottom`` as ``constant + linear r + square r^2``."""

    constant: float = 0.0
    linear: float = 0.0
    square: float = 0.0

    def at(self, ratio: float) -> float:
        """Return the variance at ``ratio``, 0 at least."""
        return max(self.constant + self.linear * ratio + self.square * ratio**2, 0.0)


def ratio(
    top: float,
    bottom: float,
    noise: Noise,
    sampling: Sampling,
    *,
    unit: str,
    least: float = -math.inf,
    most: float = math.inf,
) -> Estimate:
    """Return ``top / bottom`` with its 95 % interval, both inside ``[least, most]``.

    Args:
      top: Noisy sum.
      bottom: Noisy sum, above 0.
      noise: Of both.
      sampling: Of their difference.
      unit: Of the ratio.
      least: Smallest value that the ratio can have.
      most: Largest one.
    """
    value = min(max(top / bottom, least), most)
    z, believed = Z95**2, _not_too_far(top, bottom, noise, sampling, (least, most))
    a = bottom**2 - z * (noise.bottom + sampling.square)
    b = -2 * believed * bottom + z * (2 * noise.both - sampling.linear)
    c = believed**2 - z * (noise.top + sampling.constant)
    lower, upper = least, most
    if a > 0:
        root = math.sqrt(max(b * b - 4 * a * c, 0.0))
        lower, upper = max(least, (-b - root) / (2 * a)), min(most, (-b + root) / (2 * a))
        lower, upper = min(lower, value), max(upper, value)
    return Estimate(
        value=value, unit=unit,
        lower=lower if math.isfinite(lower) else None, upper=upper if math.isfinite(upper) else None,
        sampling_variance=sampling.at(value) / bottom**2, privacy_variance=noise.at(value) / bottom**2,
    )  # fmt: skip


def _not_too_far(
    top: float, bottom: float, noise: Noise, sampling: Sampling, ends: tuple[float, float]
) -> float:
    """The top, no further past what an end of the range allows than `inside` lets a value be."""
    for end, sign in zip(ends, (-1.0, 1.0), strict=True):
        if math.isfinite(end):
            past = sign * (top - end * bottom)
            top -= sign * max(past - FARTHEST * math.sqrt(noise.at(end) + sampling.at(end)), 0.0)
    return top


def inside(value: float, half: float, least: float, most: float) -> tuple[float, float, float]:
    """Return a value and the ends of its interval, kept inside ``[least, most]`` and never of no width.

    Noise may carry a value past an end of the range so far that nothing of ``value +- half`` is left inside;
    a value further out than `FARTHEST` standard errors is taken to be there. An interval that reaches into
    the range by a standard error or more is the usual one.

    Args:
      value: With its error.
      half: Half the width of its 95 % interval.
      least: Smallest possible value, or minus infinity.
      most: Largest one, or infinity.
    """
    reach = half * FARTHEST / Z95
    believed = min(max(value, least - reach), most + reach)
    return min(max(value, least), most), max(believed - half, least), min(believed + half, most)


def share(successes: float, n: float, noise_variance: float, *, inside: int, cells: int) -> Estimate:
    """Return the share ``successes / n`` where both are sums of released one-hot cells.

    Args:
      successes: Sum of ``inside`` cells.
      n: Sum of all ``cells`` cells, those of ``successes`` among them, above 0.
      noise_variance: Of one cell.
      inside: Cells that count as success.
      cells: Cells that count at all.
    """
    noise = Noise(inside * noise_variance, cells * noise_variance, inside * noise_variance)
    return ratio(successes, n, noise, Sampling(linear=n, square=-n), unit="probability", least=0.0, most=1.0)


def shares_of(
    tops: Array, bottom: float, top_noise: Array, bottom_noise: float, both: Array
) -> tuple[Array, Array, Array, Array]:
    """Return what `ratio` says of many shares of one number at once: every edge of a grid has one.

    Args:
      tops: Noisy counts, shape ``(k,)``.
      bottom: Noisy number of patients, above 0.
      top_noise: Noise variance of each count, shape ``(k,)``.
      bottom_noise: Of the number of patients.
      both: Their covariances, shape ``(k,)``.

    Returns:
      Lower and upper ends, sampling and privacy variances, each shape ``(k,)``.
    """
    z = Z95**2

    def noise(share: Array | float) -> Array:
        return np.maximum(top_noise - 2 * share * both + share**2 * bottom_noise, 0.0)

    value = np.clip(tops / bottom, 0.0, 1.0)
    believed = np.clip(tops, -FARTHEST * np.sqrt(noise(0.0)), bottom + FARTHEST * np.sqrt(noise(1.0)))
    a = bottom**2 - z * (bottom_noise - bottom)
    b = -2 * believed * bottom + z * (2 * both - bottom)
    c = believed**2 - z * top_noise
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0.0))
    lower, upper = (np.clip((-b + sign * root) / (2 * a), 0.0, 1.0) for sign in (-1.0, 1.0))
    if a <= 0:
        lower, upper = np.zeros_like(value), np.ones_like(value)
    sampling = np.maximum(bottom * value * (1 - value), 0.0) / bottom**2
    return np.minimum(lower, value), np.maximum(upper, value), sampling, noise(value) / bottom**2


def refused(name: str, n: Released, terms: Terms, released: dict[str, Released]) -> Stratum | None:
    """Return the stratum without estimates where a released number of patients carries none.

    Args:
      name: Of the group.
      n: Its released patients.
      terms: What the study promised.
      released: What is stated besides.
    """
    noise_sd = math.sqrt(n.noise_variance)
    if not terms.exact and noise_sd > n.value / 3:
        relative = noise_sd / n.value if n.value > 2 * noise_sd else math.inf  # below, nobody may be there
        return Stratum(
            name=name, status="not_estimable", reason="privacy", remedy=terms.remedy(relative, n.value),
            released=released,
        )  # fmt: skip
    if n.value <= 0 or (not terms.exact and n.value < terms.min_patients):
        return Stratum(name=name, status="below_minimum", reason="sampling", released=released)
    return None
