"""Slope and intercept of recalibration from noisy counts by bin: is the model too sure, or too timid?

    logit P(event) = intercept + slope logit(prediction)

A slope of 1 with intercept 0 is a calibrated model; below 1 its predictions are too extreme. Both solve the
score equations of the binned logistic model. Sampling variance is the inverse information; the privacy
variance follows the score through the same inverse (implicit function), with the noise of the counts and that
of each bin's mean prediction. Bins that the noise drowns are merged with their neighbors first, which loses
nobody.

Cox, D. R. Two further applications of a model for binary regression. Biometrika 45 (1958) 562-565.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fedvalue.analyses.binned import Bins
from fedvalue.analyses.estimate import Estimate
from fedvalue.analyses.score import Z95

Array = NDArray[np.float64]

_STEPS = 40
_FEWEST = 2
_SURE = 3.0
"""A merged bin holds so many standard deviations of its own noise at least."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Bins of which each is told from its noise.

    Attributes:
      events: Shape ``(k,)``.
      others: Shape ``(k,)``.
      means: Mean predictions, in (0, 1), shape ``(k,)``.
      noise: Noise variance of each count, shape ``(k,)``.
      means_noise: Of the sums of predictions, given the counts, shape ``(k,)``.
    """

    events: Array
    others: Array
    means: Array
    noise: Array
    means_noise: Array


def merged(bins: Bins) -> Merged:
    """Return the bins, each joined with its neighbors until it holds three standard deviations of noise."""
    runs: list[list[int]] = [[]]
    counts = bins.events + bins.others
    for i in range(len(counts)):
        runs[-1].append(i)
        held = float(counts[runs[-1]].sum())
        if held >= max(_SURE * math.sqrt(2 * len(runs[-1]) * bins.noise), 1.0):
            runs.append([])
    rest = runs.pop()
    if rest and runs:
        runs[-1] += rest
    elif rest:
        runs.append(rest)
    parts = [np.array(run) for run in runs]
    events, others = (np.array([v[p].sum() for p in parts]) for v in (bins.events, bins.others))
    sums = np.array([bins.middles[p] @ counts[p] + bins.half[p] @ bins.offsets[p] for p in parts])
    least = np.array([bins.edges[p[0]] for p in parts])
    most = np.array([bins.edges[p[-1] + 1] for p in parts])
    whole = np.maximum(events + others, 1e-9)
    inside = np.clip(sums / whole, least + 1e-3 * (most - least), most - 1e-3 * (most - least))
    means_noise = np.array(
        [
            bins.half[p] @ bins.half[p] * bins.offset_noise
            + 2 * bins.noise * ((bins.middles[p] - middle) @ (bins.middles[p] - middle))
            for p, middle in zip(parts, inside, strict=True)
        ]
    )
    return Merged(events, others, inside, bins.noise * np.array([len(p) for p in parts]), means_noise)


def recalibration(bins: Bins) -> tuple[Estimate, Estimate] | None:
    """Return slope and intercept; None where the bins show none.

    Args:
      bins: Of one group.
    """
    found = merged(bins)
    x, n = special.logit(found.means), np.maximum(found.events + found.others, 0.0)
    if len(x) < _FEWEST or min(found.events.sum(), found.others.sum()) <= 0:
        return None
    design = np.column_stack([np.ones_like(x), x])
    theta = np.array([0.0, 1.0])
    for _ in range(_STEPS):
        p = special.expit(design @ theta)
        information = design.T @ (design * (n * p * (1 - p))[:, None])
        if not np.isfinite(information).all() or np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, design.T @ (found.events - n * p))
        theta = theta + np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-10:
            break
    else:
        return None
    inverse = np.linalg.inv(information)
    # what a unit of noise in events, in others and in a bin's sum of predictions adds to the score
    of_events, of_others = design * (1 - p)[:, None], design * -p[:, None]
    slope_of_x = 1 / np.maximum(found.means * (1 - found.means) * np.maximum(n, 1.0), 1e-12)
    left = (found.events - n * p)[:, None] * np.array([0.0, 1.0])
    of_means = (left - (n * p * (1 - p) * theta[1])[:, None] * design) * slope_of_x[:, None]
    noise = sum(
        part.T @ (part * variance[:, None])
        for part, variance in (
            (of_events, found.noise), (of_others, found.noise), (of_means, found.means_noise),
        )
    )  # fmt: skip
    privacy = inverse @ noise @ inverse
    names = ("log odds", "ratio")
    intercept, slope = (
        _estimate(float(theta[i]), float(inverse[i, i]), float(privacy[i, i]), names[i]) for i in (0, 1)
    )
    return slope, intercept


def _estimate(value: float, sampling: float, privacy: float, unit: str) -> Estimate:
    half = Z95 * math.sqrt(sampling + privacy)
    return Estimate(
        value=value, unit=unit, lower=value - half, upper=value + half, sampling_variance=sampling,
        privacy_variance=privacy,
    )  # fmt: skip
