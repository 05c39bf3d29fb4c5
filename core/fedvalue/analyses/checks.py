"""Coordinator half of the diagnostics: from released counts and sums to shares and differences.

A standardised difference is ``(m_1 - m_0) / sqrt((s_1^2 + s_0^2) / 2)`` (Austin, P. C. Balance diagnostics
for comparing the distribution of baseline covariates. Statistics in Medicine 28 (2009) 3083-3107, section
3.1); its sampling variance is ``1/n_1 + 1/n_0 + d^2 / (2 (n_1 + n_0))`` (Hedges, Olkin 1985, eq. 5.14), its
privacy variance that of sums and counts by the delta method.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedvalue.analyses.estimate import Estimate
from fedvalue.analyses.score import Z95, Noise, Sampling, inside, ratio

STANDARD = "standard deviations"
"""Unit of a standardised difference."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Sums over one group of a number between -1 and 1.

    Attributes:
      n: Released number of patients with a value.
      first: Sum of the values.
      second: Sum of ``2 y^2 - 1``.
      n_noise: Noise variance of ``n``.
      sum_noise: Noise variance of each of the sums.
    """

    n: float
    first: float
    second: float
    n_noise: float
    sum_noise: float

    @property
    def mean(self) -> float:
        """Of the values."""
        return self.first / self.n

    @property
    def mean_noise(self) -> float:
        """Noise variance of `mean`."""
        return (self.sum_noise + self.mean**2 * self.n_noise) / self.n**2

    @property
    def variance(self) -> float:
        """Of the values."""
        return (self.second / self.n + 1) / 2 - self.mean**2

    @property
    def variance_noise(self) -> float:
        """Noise variance of `variance`."""
        by_sums = self.sum_noise * (0.25 + 4 * self.mean**2)
        by_count = (self.second / (2 * self.n) - 2 * self.mean**2) ** 2 * self.n_noise
        return (by_sums + by_count) / self.n**2


def standardised(one: Scaled, other: Scaled) -> Estimate | None:
    """Return the standardised difference of two means; None where the spread is lost in the noise."""
    if min(one.n, other.n) <= 1:
        return None
    spread = (one.variance + other.variance) / 2
    spread_noise = (one.variance_noise + other.variance_noise) / 4
    if spread <= 3 * math.sqrt(spread_noise) or spread <= 1e-12:
        return None
    value = (one.mean - other.mean) / math.sqrt(spread)
    sampling = 1 / one.n + 1 / other.n + value**2 / (2 * (one.n + other.n))
    privacy = (one.mean_noise + other.mean_noise) / spread + value**2 * spread_noise / (4 * spread**2)
    half = Z95 * math.sqrt(sampling + privacy)
    return Estimate(
        value=value, unit=STANDARD, lower=value - half, upper=value + half,
        sampling_variance=sampling, privacy_variance=privacy,
    )  # fmt: skip


def part_of(top: float, bottom: float, top_noise: float, bottom_noise: float) -> Estimate:
    """Return a share whose two counts were released apart; ``bottom`` is above 0."""
    return ratio(
        top, bottom, Noise(top_noise, bottom_noise), Sampling(linear=bottom, square=-bottom),
        unit="probability", least=0.0, most=1.0,
    )  # fmt: skip


def apart(one: Estimate, other: Estimate) -> Estimate:
    """Return the difference of two independent shares."""
    value = one.value - other.value
    sampling = one.sampling_variance + other.sampling_variance
    privacy = one.privacy_variance + other.privacy_variance
    value, lower, upper = inside(value, Z95 * math.sqrt(sampling + privacy), -1.0, 1.0)
    return Estimate(
        value=value, unit="difference of probabilities", lower=lower,
        upper=upper, sampling_variance=sampling, privacy_variance=privacy,
    )  # fmt: skip
