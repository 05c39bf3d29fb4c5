"""Covariates and negative controls by arm, before and after weighting by the inverse of the propensity.

A standardised difference after weighting keeps the standard deviation from before, so that both are on one
scale (Austin, Stuart. Statistics in Medicine 34 (2015) 3661-3679, section 4.1). Sampling variance of a
difference of numbers: Hedges, Olkin. Statistical Methods for Meta-Analysis (1985), eq. 5.14. That of shares,
and all privacy variances, are our own (delta method).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import NoisyBlock
from fedvalue.analyses.checks import STANDARD
from fedvalue.analyses.design import Design
from fedvalue.analyses.empirical_null import EmpiricalNull, empirical_null
from fedvalue.analyses.estimate import Estimate, Stratum
from fedvalue.analyses.moments import SMALLEST
from fedvalue.analyses.score import Z95

Array = NDArray[np.float64]
BALANCE = "balance"
CONTROLS = "negative controls"


@dataclass(frozen=True, slots=True)
class Weighted:
    """Weighted sums of the model rows by arm, control first.

    Attributes:
      rows: Sum of ``w x``, shape ``(2, p)``; the intercept's is the sum of the weights.
      squares: Sum of ``w^2``, shape ``(2,)``.
      noise: Noise variance of each number.
    """

    rows: Array
    squares: Array
    noise: float

    @classmethod
    def of(cls, block: NoisyBlock, columns: int) -> Weighted:
        """Return what was released."""
        table = block.values.reshape(2, columns + 1)
        return cls(table[:, :columns], table[:, columns], block.variance)

    @property
    def weights(self) -> Array:
        """Sum of the weights, shape ``(2,)``."""
        found: Array = self.rows[:, 0]
        return found

    @property
    def told(self) -> bool:
        """True where both sums of weights stand out of the noise."""
        return bool((self.weights > 3 * math.sqrt(self.noise) + 1e-9).all())

    @property
    def per_patient(self) -> Array:
        """One over the effective number of patients, shape ``(2,)``."""
        found: Array = np.maximum(self.squares, 1e-12) / self.weights**2
        return found


@dataclass(frozen=True, slots=True)
class Spread:
    """A column of one arm: ``n``, the sum and the sum of squares of the packed ``x x'``.

    Attributes:
      n: Patients.
      first: Sum of the column.
      second: Sum of its squares.
      noise: Noise variance of ``n`` and ``second``; half of it is that of ``first``.
      less: What was taken from the column of a level, which is 1 or 0 but for that; None for a number.
    """

    n: float
    first: float
    second: float
    noise: float
    less: float | None

    @property
    def mean(self) -> float:
        """Of the column."""
        return self.first / self.n

    @property
    def mean_noise(self) -> float:
        """Noise variance of `mean`."""
        return (0.5 + self.mean**2) * self.noise / self.n**2

    @property
    def share(self) -> float:
        """Of patients with the level."""
        return min(max(self.mean + (self.less or 0.0), 0.0), 1.0)

    @property
    def variance(self) -> float:
        """Of the column."""
        if self.less is not None:
            return self.share * (1 - self.share)
        return self.second / self.n - self.mean**2

    @property
    def variance_noise(self) -> float:
        """Noise variance of `variance`."""
        if self.less is not None:
            return (1 - 2 * self.share) ** 2 * self.mean_noise
        by_n = 2 * self.mean**2 - self.second / self.n
        return (1 + 2 * self.mean**2 + by_n**2) * self.noise / self.n**2


@dataclass(frozen=True, slots=True)
class Divisor:
    """The variance by whose root differences are divided.

    Attributes:
      squared: The variance.
      noise: Its noise variance.
      patients: It is of so many.
    """

    squared: float
    noise: float
    patients: float

    def after(self, apart: float, sampling: float, privacy: float) -> Estimate:
        """Return the standardised difference of weighted means, which have a release of their own.

        Args:
          apart: Difference of the means.
          sampling: Sampling variance of the difference, over `squared`.
          privacy: Noise variance of the difference.
        """
        value = apart / math.sqrt(self.squared)
        sampling += value**2 / (2 * self.patients)
        return _standard(
            value, sampling, privacy / self.squared + value**2 * self.noise / (4 * self.squared**2)
        )

    def of_numbers(self, control: Spread, treated: Spread) -> Estimate:
        """Return the standardised difference of two means; the noise of a mean is in the divisor too."""
        d, value, privacy = self.squared, (treated.mean - control.mean) / math.sqrt(self.squared), 0.0
        for arm, sign in ((control, -1.0), (treated, 1.0)):
            m, slope = arm.mean, sign / math.sqrt(d)
            by_first, by_second = slope + value * m / (2 * d), value / (4 * d)
            by_n = slope * m + value * (2 * m**2 - arm.second / arm.n) / (4 * d)
            privacy += (by_first**2 / 2 + by_second**2 + by_n**2) * arm.noise / arm.n**2
        sampling = 1 / control.n + 1 / treated.n + value**2 / (2 * self.patients)
        return _standard(value, sampling, privacy)

    def of_shares(self, control: Spread, treated: Spread) -> Estimate:
        """Return the standardised difference of two shares, with variances by the delta method."""
        value, sampling, privacy = (treated.mean - control.mean) / math.sqrt(self.squared), 0.0, 0.0
        for arm, sign in ((control, -1.0), (treated, 1.0)):
            slope = sign / math.sqrt(self.squared) - value * (1 - 2 * arm.share) / (4 * self.squared)
            sampling += slope**2 * arm.variance / arm.n
            privacy += slope**2 * arm.mean_noise
        return _standard(value, sampling, privacy)


def _standard(value: float, sampling: float, privacy: float) -> Estimate:
    half = Z95 * math.sqrt(sampling + privacy)
    return Estimate(
        value=value, unit=STANDARD, lower=value - half, upper=value + half, sampling_variance=sampling,
        privacy_variance=privacy,
    )  # fmt: skip


def balance(design: Design, treated: Array, control: Array, noise: float, weighted: Weighted) -> Stratum:
    """Return the standardised difference of every column, before and after weighting.

    Args:
      design: The covariates.
      treated: ``x x'`` summed over treated, shape ``(p, p)``.
      control: Over controls.
      noise: Noise variance of a packed number of either.
      weighted: After weighting.
    """
    estimates: dict[str, Estimate] = {}
    n = np.array([control[0, 0], treated[0, 0]])
    if (n <= 3 * math.sqrt(noise) + 1).any():
        return Stratum(name=BALANCE, status="not_estimable", reason="privacy")
    less = (None, *(c.less for c in design.covariates for _ in c.columns))
    for j, name in enumerate(design.names):
        if j == 0:
            continue
        arms = [
            Spread(float(m[0, 0]), float(m[0, j]), float(m[j, j]), noise, less[j]) for m in (control, treated)
        ]
        squared = (arms[0].variance + arms[1].variance) / 2
        squared_noise = (arms[0].variance_noise + arms[1].variance_noise) / 4
        if squared <= 3 * math.sqrt(squared_noise) or squared <= SMALLEST:
            continue
        divisor = Divisor(squared, squared_noise, float(n.sum()))
        told = divisor.of_numbers if less[j] is None else divisor.of_shares
        estimates[f"before: {name}"] = told(arms[0], arms[1])
        if weighted.told:
            after = weighted.rows[:, j] / weighted.weights
            own = float(((1 + after**2) * weighted.noise / weighted.weights**2).sum())
            estimates[f"after: {name}"] = divisor.after(
                float(after[1] - after[0]), float(weighted.per_patient.sum()), own
            )
    return Stratum(name=BALANCE, status="estimated", estimates=estimates)


def negative_controls(
    names: tuple[str, ...], block: NoisyBlock, weighted: Weighted
) -> tuple[Stratum, EmpiricalNull | None]:
    """Return the weighted risk ratio of every control, and the null distribution that they make.

    Args:
      names: Of the controls.
      block: Weighted numbers with each, control arm first.
      weighted: Sums of the weights.
    """
    table = block.values.reshape(2, len(names))
    # all controls are divided by the same sums
    shared = float((weighted.noise / weighted.weights**2).sum()) if weighted.told else 0.0
    estimates: dict[str, Estimate] = {}
    logs, variances = [], []
    for i, name in enumerate(names):
        if not weighted.told:
            break
        had, weights = table[:, i], weighted.weights
        if (had <= 3 * math.sqrt(block.variance) + 1e-9).any():
            continue
        risk = had / weights
        sampling = float((weighted.per_patient * np.maximum(1 - risk, 0.0) / risk).sum())
        own = float((block.variance / had**2).sum())
        privacy = own + shared
        log, half = math.log(risk[1] / risk[0]), Z95 * math.sqrt(sampling + privacy)
        value = math.exp(log)
        estimates[f"ratio: {name}"] = Estimate(
            value=value, unit="ratio", lower=math.exp(log - half), upper=math.exp(log + half),
            sampling_variance=value**2 * sampling, privacy_variance=value**2 * privacy,
        )  # fmt: skip
        logs.append(log)
        variances.append(sampling + own)
    null = empirical_null(logs, variances, shared)
    if null is None:
        return Stratum(name=CONTROLS, status="not_estimable", reason="privacy"), None
    half = Z95 * math.sqrt(null.bias_variance)
    estimates["bias of the log ratio"] = Estimate(
        value=null.bias, unit="log ratio", lower=null.bias - half, upper=null.bias + half,
        sampling_variance=null.bias_variance, privacy_variance=0.0,
    )  # fmt: skip
    estimates["spread of the bias"] = Estimate(
        value=null.spread,
        unit="log ratio",
        lower=None,
        upper=None,
        sampling_variance=0.0,
        privacy_variance=0.0,
    )
    return Stratum(name=CONTROLS, status="estimated", estimates=estimates), null
