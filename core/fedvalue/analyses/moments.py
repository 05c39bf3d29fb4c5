"""Mean, variance and what follows from them, out of noisy sums of Chebyshev polynomials.

A value y in [-1, 1] contributes ``T_k(y)``, k = 1 .. 4, the Chebyshev polynomials: each lies in [-1, 1] for
every y, so each is a block with the bound 1, and powers come back with small coefficients
(``y^2 = (T_2 + 1)/2``, ``y^3 = (T_3 + 3 T_1)/4``, ``y^4 = (T_4 + 4 T_2 + 3)/8``). The number of patients is
noisy too, and its noise is carried through every formula. The variance is corrected for what the noise of the
mean adds to the square of the mean.

Variance of the sample variance: Cramer, Mathematical Methods of Statistics (1946), 27.4.2. Its interval and
that of the coefficient of variation solve the quadratic of `score`. Privacy terms are our own (delta method).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.estimate import Estimate
from fedvalue.analyses.score import Noise, Sampling, ratio


def chebyshev(y: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Return ``T_k(y) = cos(k arccos y)`` for k = 1 .. 4 as a polynomial, in [-1, 1] up to rounding."""
    match k:
        case 1:
            return y
        case 2:
            return 2 * y**2 - 1
        case 3:
            return (4 * y**2 - 3) * y
        case _:
            return 8 * y**2 * (y**2 - 1) + 1


FIRM = 10.0
"""How many times its noise a divisor is before a spread is divided by it."""

WARY = 12.5
"""How many times its noise a divisor is before it may be taken for one that was not chosen for being large:
nearer to `FIRM` its error adds to the others as a bias would, not as an independent one."""

SMALLEST = 1e-12
"""Variance of y below which everybody has the same value, up to the rounding of the release."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Released sums of one group.

    Attributes:
      n: Patients with a value, above 0.
      n_noise: Noise variance of ``n``.
      t: Sums of T_1, T_2 and, where they were asked for, T_3 and T_4.
      t_noise: Noise variance of each.
    """

    n: float
    n_noise: float
    t: tuple[float, ...]
    t_noise: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of y, as released: noise may carry it past -1 or 1."""
        return self.t[0] / self.n

    @property
    def square(self) -> float:
        """Mean of ``y^2``."""
        return (self.t[1] / self.n + 1) / 2

    @property
    def mean_noise(self) -> float:
        """Noise variance of the mean."""
        return (self.t_noise[0] + self.mean**2 * self.n_noise) / self.n**2

    @property
    def variance(self) -> float:
        """Sample variance of y (divisor n - 1), unbiased under noise; may be negative."""
        central = self.square - self.mean**2 + self.mean_noise
        return central * self.n / (self.n - 1) if self.n > 1 else 0.0

    @property
    def variance_noise(self) -> float:
        """Noise variance of `variance`, to second order: the square of the mean's noise varies too."""
        m, q, n = self.mean, self.square, self.n
        by_n = (2 * m * m - (2 * q - 1) / 2) / n
        linear = by_n**2 * self.n_noise + (2 * m / n) ** 2 * self.t_noise[0] + self.t_noise[1] / (4 * n * n)
        # n is in every term: relative noise of n times that of the rest, and its own square
        relative = self.n_noise / n**2
        return linear * (1 + 3 * relative) + 2 * self.mean_noise**2

    @property
    def believed_variance(self) -> float:
        """A variance that noise did not shrink: at least its noise SD, at most that of y in [-1, 1]."""
        return min(max(self.variance, math.sqrt(self.variance_noise), SMALLEST), 1.0)

    @property
    def central(self) -> tuple[float, float]:
        """Third and fourth central moments of y; needs all four sums."""
        m, q = self.mean, self.square
        third = (self.t[2] / self.n + 3 * m) / 4
        fourth = (self.t[3] / self.n + 4 * self.t[1] / self.n + 3) / 8
        return third - 3 * m * q + 2 * m**3, fourth - 4 * m * third + 6 * m * m * q - 3 * m**4

    def mean_in(self, middle: float, half: float, unit: str) -> Estimate:
        """Return the mean of ``middle + half y`` with Fieller's interval, inside the range."""
        y = ratio(
            self.t[0], self.n, Noise(self.t_noise[0], self.n_noise),
            Sampling(constant=self.n * self.believed_variance), unit=unit, least=-1.0, most=1.0,
        )  # fmt: skip
        lower = -1.0 if y.lower is None else y.lower
        upper = 1.0 if y.upper is None else y.upper
        return Estimate(
            value=middle + half * y.value, unit=unit,
            lower=middle + half * lower, upper=middle + half * upper,
            sampling_variance=half**2 * y.sampling_variance, privacy_variance=half**2 * y.privacy_variance,
        )  # fmt: skip

    def spread_in(self, middle: float, half: float, unit: str) -> dict[str, Estimate]:
        """Return variance, standard deviation and coefficient of variation of ``middle + half y``.

        Nothing where the number of patients has a relative noise above a tenth, and no coefficient of
        variation where the mean is not three standard errors above 0, and ten of its noise: past that the
        noise goes through squares and quotients otherwise than in a straight line, and the intervals would be
        too narrow. Needs all four sums.
        """
        n, noise = self.n, self.variance_noise
        if FIRM**2 * self.n_noise > n**2:
            return {}
        third, fourth = self.central
        believed = self.believed_variance
        kurtosis = min(max(fourth / believed**2, 1.0), 4.0 / believed)  # (y - m)^2 is 4 at most
        widest = believed * math.sqrt(kurtosis * believed)  # Cauchy and Schwarz
        third = min(max(third, -widest), widest)
        # The variance of a sample variance is this times the squared variance; the last factor makes up for
        # the kurtosis of small skewed samples, which is estimated too low.
        relative = max(kurtosis - (n - 3) / max(n - 1, 1.0), 0.0) / n * (1 + 2 * math.sqrt(kurtosis / n))
        by_n = (2 * self.mean**2 - (2 * self.square - 1) / 2) / n
        own = by_n**2 * self.n_noise
        noise += _as_bias(own, noise - own + relative * believed**2, n, math.sqrt(self.n_noise))
        variance = ratio(
            self.variance, 1.0, Noise(noise, 0.0), Sampling(square=relative),
            unit=f"{unit}^2", least=0.0, most=1.0,
        )  # fmt: skip
        found = {
            "variance": _times(variance, half**2, f"{unit}^2"),
            "standard deviation": _times(_root(variance), half, unit),
        }
        mean = middle / half + self.mean  # in units of half the range
        sure = max(3 * math.sqrt(believed / n + self.mean_noise), FIRM * math.sqrt(self.mean_noise))
        if mean <= sure:
            return found
        square = mean**2 - self.mean_noise  # what noise adds to it on average is taken off
        m = self.mean
        # derivatives of variance and squared mean by the noisy n and first sum
        v_n, v_1 = by_n, -2 * m / n
        s_n, s_1 = -2 * mean * m / n, 2 * mean / n
        covariance = v_n * s_n * self.n_noise + v_1 * s_1 * self.t_noise[0]
        sampling = Sampling(
            linear=-4 * mean * third / n, square=relative * square**2 + 4 * mean**2 * believed / n
        )
        at, bottom = max(self.variance, SMALLEST) / square, 4 * mean**2 * self.mean_noise
        bottom += _as_bias(at**2 * bottom, noise + sampling.at(at), mean, math.sqrt(self.mean_noise)) / at**2
        squared = ratio(
            max(self.variance, 0.0), square, Noise(noise, bottom, covariance), sampling,
            unit="ratio", least=0.0,
        )  # fmt: skip
        found["coefficient of variation"] = _root(squared)
        return found


def _as_bias(own: float, others: float, divisor: float, noise: float) -> float:
    """Return what to add to a variance whose part ``own`` is of a divisor of which only large ones pass."""
    return 2 * math.sqrt(own * max(others, 0.0)) if divisor < WARY * noise else 0.0


def _times(estimate: Estimate, factor: float, unit: str) -> Estimate:
    return Estimate(
        value=estimate.value * factor, unit=unit,
        lower=None if estimate.lower is None else estimate.lower * factor,
        upper=None if estimate.upper is None else estimate.upper * factor,
        sampling_variance=estimate.sampling_variance * factor**2,
        privacy_variance=estimate.privacy_variance * factor**2,
    )  # fmt: skip


def _root(estimate: Estimate) -> Estimate:
    """Return the square root of an estimate that is 0 or more, in units of its unit's root."""
    slope = 4 * estimate.value
    return Estimate(
        value=math.sqrt(estimate.value), unit=estimate.unit,
        lower=None if estimate.lower is None else math.sqrt(estimate.lower),
        upper=None if estimate.upper is None else math.sqrt(estimate.upper),
        sampling_variance=estimate.sampling_variance / slope if slope > 0 else 0.0,
        privacy_variance=estimate.privacy_variance / slope if slope > 0 else 0.0,
    )  # fmt: skip
