"""How strong confounding would have to be to explain an effect and its interval away.

E-value of a risk ratio: VanderWeele, Ding. Annals of Internal Medicine 167 (2017) 268-274. Of a difference d
in standard deviations that of ``exp(0.91 d)`` (their table 2), with the error of the standard deviation in
the interval of d: Hedges, Olkin. Statistical Methods for Meta-Analysis (1985), eq. 5.14, and our own noise
terms.
"""

from __future__ import annotations

import math

import numpy as np

from fedvalue.analyses.analysis import NoisySum
from fedvalue.analyses.estimate import Estimate
from fedvalue.analyses.score import Z95

PER_DEVIATION = 0.91
"""Log risk ratio that stands for a difference of one standard deviation."""

_MOST = 50.0


def evalue(ratio: float) -> float:
    """Return ``RR + sqrt(RR (RR - 1))`` for a risk ratio, or for its inverse where that is above 1.

    Args:
      ratio: Above 0.
    """
    above = max(ratio, 1 / ratio)
    return above + math.sqrt(above * (above - 1))


def of_ratio(known: Estimate) -> Estimate:
    """Return the E-value of a risk ratio, with that of the end of its interval that is nearer to 1."""
    return _of(known.value, known.lower or 0.0, known.upper or math.inf)


def of_difference(known: Estimate, span: float, deviation: float, relative: float) -> Estimate:
    """Return the E-value of a difference of means.

    Args:
      known: The difference, in the outcome's unit, with a symmetric interval.
      span: Of the outcome's public range, in that unit.
      deviation: Standard deviation of the outcome within arms, over ``span``.
      relative: Its relative variance.
    """
    d = known.value / (span * deviation)
    upper = known.value if known.upper is None else known.upper
    reach = (upper - known.value) / (span * deviation)
    half = math.hypot(reach, Z95 * d * math.sqrt(relative))
    return _of(*(math.exp(min(max(PER_DEVIATION * x, -_MOST), _MOST)) for x in (d, d - half, d + half)))


def within_arms(
    start: NoisySum, patients: tuple[float, float], noise: float, columns: int, ends: tuple[float, float]
) -> tuple[float, float] | None:
    """Return the outcome's standard deviation within arms, on its public range, and its relative variance.

    None where it is lost in the noise. Its sampling variance is that of normal outcomes.

    Args:
      start: The release with ``outcome`` (``x y`` by arm) and ``spread`` (``2 y^2 - 1`` on [-1, 1]).
      patients: Of each arm, control first, as released.
      noise: Noise variance of each.
      columns: Of the model rows.
      ends: Smallest and largest outcome on the public range.
    """
    n, (low, high) = np.array(patients), ends
    if (n <= 1).any():
        return None
    half, products, spread = (high - low) / 2, start["outcome"], start["spread"]
    sums, sum_noise = products.values.reshape(2, columns)[:, 0] / half, products.variance / half**2
    mean = sums / n - (low + high) / (2 * half)
    within = (spread.values / n + 1) / 2 - mean**2 + sum_noise / n**2
    by_n = 2 * mean * sums / n - spread.values / (2 * n)
    own = (spread.variance / 4 + 4 * mean**2 * sum_noise + by_n**2 * noise) / n**2
    weights = n / n.sum()
    squared, variance = float(weights @ within), float(weights**2 @ own)
    if squared <= max(3 * math.sqrt(variance), 1e-6):
        return None
    return half * math.sqrt(squared), (variance / squared**2 + 2 / float(n.sum())) / 4


def _of(value: float, low: float, high: float) -> Estimate:
    nearest = 1.0 if low <= 1 <= high else (low if value > 1 else high)
    return Estimate(
        value=evalue(value), unit="E-value", lower=evalue(nearest), upper=None, sampling_variance=0.0,
        privacy_variance=0.0,
    )  # fmt: skip
