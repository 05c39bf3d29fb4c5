"""Covariates and negative controls by arm, before and after weighting by the inverse of the propensity.

A standardised difference after weighting keeps the standard deviation from before, so that both are on one
scale (Austin, Stuart. Statistics in Medicine 34 (2015) 3661-3679, section 4.1).
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
    first = np.array([control[0], treated[0]])
    second = np.array([np.diag(control), np.diag(treated)])
    if (n <= 3 * math.sqrt(noise) + 1).any():
        return Stratum(name=BALANCE, status="not_estimable", reason="privacy")
    for j, name in enumerate(design.names):
        if j == 0:
            continue
        mean = first[:, j] / n
        spread = second[:, j] / n - mean**2
        squared = float(spread.mean())
        if squared <= 3 * math.sqrt(noise * float((1 / n**2).sum())):
            continue
        own = float(((noise / 2 + mean**2 * noise) / n**2).sum())
        estimates[f"before: {name}"] = _standard(float(mean[1] - mean[0]), squared, float((1 / n).sum()), own)
        if weighted.told:
            after = weighted.rows[:, j] / weighted.weights
            own = float(((1 + after**2) * weighted.noise / weighted.weights**2).sum())
            estimates[f"after: {name}"] = _standard(
                float(after[1] - after[0]), squared, float(weighted.per_patient.sum()), own
            )
    return Stratum(name=BALANCE, status="estimated", estimates=estimates)


def _standard(apart: float, squared: float, sampling: float, privacy: float) -> Estimate:
    value, privacy = apart / math.sqrt(squared), privacy / squared
    half = Z95 * math.sqrt(sampling + privacy)
    return Estimate(
        value=value, unit=STANDARD, lower=value - half, upper=value + half, sampling_variance=sampling,
        privacy_variance=privacy,
    )  # fmt: skip


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
        privacy = float((block.variance / had**2 + weighted.noise / weights**2).sum())
        log, half = math.log(risk[1] / risk[0]), Z95 * math.sqrt(sampling + privacy)
        value = math.exp(log)
        estimates[f"ratio: {name}"] = Estimate(
            value=value, unit="ratio", lower=math.exp(log - half), upper=math.exp(log + half),
            sampling_variance=value**2 * sampling, privacy_variance=value**2 * privacy,
        )  # fmt: skip
        logs.append(log)
        variances.append(sampling + privacy)
    null = empirical_null(logs, variances)
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
