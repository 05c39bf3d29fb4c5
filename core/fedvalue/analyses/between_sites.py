"""Random effects over sites: their mean, how far they differ, and what a new one may expect.

Each site has a value with a variance of its own, sampling and privacy noise together, so noise is never taken
for a difference between hospitals. Between-site variance: Paule, Mandel. Journal of Research of the NBS 87
(1982) 377-385, with the interval of Viechtbauer, Statistics in Medicine 26 (2007) 37-52 (Q-profile).
Prediction: Nagashima, Noma, Furukawa. Statistical Methods in Medical Research 28 (2019) 1689-1702: over the
confidence distribution of the between-site variance, because with few noisy sites one estimate of it is often
0. Interval of the mean: Hartung, Knapp. Statistics in Medicine 20 (2001) 3875-3889, never narrower than the
plain one, nor than the mean over that same distribution: where noise at some sites is many times that at
others, Hartung's and Knapp's holds the truth in 90 % of studies (`proofs/coverage_described.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
FEWEST = 3
"""Sites below which nothing is said about their differences."""

_STEPS = 60
_PARTS = 50
"""Between-site variances that stand for its confidence distribution, equally likely."""


@dataclass(frozen=True, slots=True)
class BetweenSites:
    """What sites say together.

    Attributes:
      mean: Of the sites.
      half: Half the width of its 95 % interval.
      variance: Of `mean`, between-site differences included.
      between: Standard deviation between sites.
      between_low: Lower end of its 95 % interval.
      between_high: Upper end.
      prediction: Half the width of the 95 % interval for a new site.
      weights: What each site weighs, together 1, shape ``(k,)``.
    """

    mean: float
    half: float
    variance: float
    between: float
    between_low: float
    between_high: float
    prediction: float
    weights: Array


def between_sites(values: Array, variances: Array) -> BetweenSites | None:
    """Fit random effects; None for fewer than three sites.

    Args:
      values: Of the sites, shape ``(k,)``.
      variances: Of each, sampling and privacy together, above 0, shape ``(k,)``.
    """
    k = len(values)
    if k < FEWEST:
        return None
    # no sites are taken to be more alike than a tenth of those are that do not differ: the end would be 0
    alike = float(_heterogeneity(values, variances, np.zeros(1))[0][0]) / float(special.chdtri(k - 1, 0.9))
    wanted = [k - 1.0, special.chdtri(k - 1, 0.025), special.chdtri(k - 1, 0.975) * min(1.0, alike)]
    squared, low, high = _between(values, variances, np.array(wanted)).tolist()
    precision = 1 / (variances + squared)
    weights = precision / precision.sum()
    mean = float(weights @ values)
    plain = float(1 / precision.sum())
    spread = max(1.0, float(precision @ (values - mean) ** 2) / (k - 1)) * plain
    likely = _between(values, variances, special.chdtri(k - 1, 1 - (np.arange(_PARTS) + 0.5) / _PARTS))
    _, means, plains = _heterogeneity(values, variances, likely)
    half = max(float(special.stdtrit(k - 1, 0.975)) * math.sqrt(spread), _half(means - mean, plains))
    prediction = _half(means - mean, likely + plains)
    return BetweenSites(
        mean, half, spread, math.sqrt(squared), math.sqrt(low), math.sqrt(high), prediction, weights
    )


def _half(away: Array, variances: Array) -> float:
    """Return half the width of what 95 % of equally likely normals hold, around 0; both shape ``(m,)``."""
    spread = np.sqrt(variances)
    least, most = 0.0, 10 * float(spread.max()) + float(np.abs(away).max())
    for _ in range(_STEPS // 2 + 10):
        half = (least + most) / 2
        inside = special.ndtr((half - away) / spread) - special.ndtr((-half - away) / spread)
        least, most = (half, most) if float(inside.mean()) < 0.95 else (least, half)
    return (least + most) / 2


def _heterogeneity(values: Array, variances: Array, squared: Array) -> tuple[Array, Array, Array]:
    """Return Q, the mean and its variance at each between-site variance, each shape ``(m,)``."""
    precision = 1 / (variances + squared[:, None])
    whole = precision.sum(axis=1)
    means = precision @ values / whole
    return (precision * (values - means[:, None]) ** 2).sum(axis=1), means, 1 / whole


def _between(values: Array, variances: Array, wanted: Array) -> Array:
    """Return the between-site variances at which the generalised Q is as ``wanted``; 0 where it is less.

    Q falls and is convex, as the least over the mean of a sum of squares over what grows: Newton's steps from
    0 never go too far.
    """
    squared = np.zeros(len(wanted))
    for _ in range(_STEPS):
        q, means, _ = _heterogeneity(values, variances, squared)
        precision = 1 / (variances + squared[:, None])
        fall = (precision**2 * (values - means[:, None]) ** 2).sum(axis=1)
        step = np.maximum(q - wanted, 0.0) / np.where(fall > 0, fall, 1.0)
        squared = squared + step
        if (step <= 1e-12 * squared).all():
            break
    return squared
