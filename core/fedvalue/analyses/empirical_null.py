"""What outcomes that a treatment cannot change say about the bias that is left in the others.

Log ratios of negative controls are drawn from a normal distribution around the bias mu with the standard
deviation tau, each with its own error besides; maximum likelihood finds both, and the calibrated interval of
the outcome of interest is moved by mu and widened by tau. Schuemie, Ryan, DuMouchel, Suchard, Madigan.
Interpreting observational studies: why empirical calibration is needed. Statistics in Medicine 33 (2014)
209-218, section 2.3; with a bias that does not change with the size of the effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FEWEST = 5
"""Controls below which nothing is said."""

_STEPS = 80


@dataclass(frozen=True, slots=True)
class EmpiricalNull:
    """The distribution of the bias on the log scale.

    Attributes:
      bias: mu.
      spread: tau.
      bias_variance: Variance of the estimate of mu.
      controls: How many controls carry it.
    """

    bias: float
    spread: float
    bias_variance: float
    controls: int


def empirical_null(
    values: Sequence[float], variances: Sequence[float], shared: float = 0.0
) -> EmpiricalNull | None:
    """Fit the null distribution; None where there are too few controls.

    Args:
      values: Log ratios of the controls.
      variances: Their own variances, sampling and privacy together, above 0.
      shared: Variance of an error that is the same in all of them: it moves mu, and tells nothing of tau.
    """
    if len(values) < FEWEST:
        return None
    x, v = np.array(values, dtype=np.float64), np.array(variances, dtype=np.float64)
    low, high = 0.0, max(float(np.var(x)), 1e-12) * 4
    ratio = (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    for _ in range(_STEPS):
        if _deviance(a, x, v) < _deviance(b, x, v):
            high, b = b, a
            a = high - ratio * (high - low)
        else:
            low, a = a, b
            b = low + ratio * (high - low)
    squared = (low + high) / 2
    if _deviance(0.0, x, v) <= _deviance(squared, x, v):
        squared = 0.0
    precision = 1 / (v + squared)
    bias = float(precision @ x / precision.sum())
    return EmpiricalNull(bias, math.sqrt(squared), float(1 / precision.sum()) + shared, len(x))


def _deviance(squared: float, x: Array, v: Array) -> float:
    """Minus twice the log likelihood at the best mu, less a constant."""
    whole = v + squared
    mean = float((x / whole).sum() / (1 / whole).sum())
    return float(np.log(whole).sum() + ((x - mean) ** 2 / whole).sum())
