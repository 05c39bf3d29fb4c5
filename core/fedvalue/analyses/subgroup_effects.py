"""Effects in subgroups, their difference from the first one, and a rule for how many are looked at.

An effect in a level is the mean of the influence values there. The noise of the nuisance models goes through
the slopes of that level, and through the difference of the slopes for an interaction. With Bonferroni's rule
each of the m statements about subgroups has the level 1 - 0.05 / m, so that all hold together in 95 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import NoisySum
from fedvalue.analyses.estimate import Estimate, Released, Stratum
from fedvalue.analyses.groups import Groups

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Slopes:
    """How the two means move with the nuisance coefficients.

    Attributes:
      matrix: Rows treated and control; columns propensity, treated and control model, shape ``(2, 3 p)``.
      covariance: Privacy covariance of the coefficients, shape ``(3 p, 3 p)``.
    """

    matrix: Array
    covariance: Array

    @classmethod
    def of(cls, slopes: Array, covariances: tuple[Array, Array, Array]) -> Slopes:
        """Return the slopes from their mean over patients, in the order of `influence`."""
        p = len(slopes) // 4
        by_propensity, by_treated, of_control, by_control = slopes.reshape(4, p)
        nothing = np.zeros(p)
        matrix = np.vstack(
            [
                np.concatenate([by_propensity, by_treated, nothing]),
                np.concatenate([of_control, nothing, by_control]),
            ]
        )
        whole = np.zeros((3 * p, 3 * p))
        for i, part in enumerate(covariances):
            whole[i * p : (i + 1) * p, i * p : (i + 1) * p] = part
        return cls(matrix, whole)

    @property
    def difference(self) -> Array:
        """Of treated less control, shape ``(3 p,)``."""
        found: Array = self.matrix[0] - self.matrix[1]
        return found

    def of_means(self) -> Array:
        """Return the covariance of the two means that the coefficients' noise makes, shape ``(2, 2)``."""
        found: Array = self.matrix @ self.covariance @ self.matrix.T
        return found

    def of_contrast(self, slope: Array) -> float:
        """Return the variance that it makes along one slope."""
        return float(slope @ self.covariance @ slope)


@dataclass(frozen=True, slots=True)
class _Level:
    """One level: patients, mean influence, its own errors, and its slope."""

    patients: Released
    value: float
    sampling: float
    privacy: float
    slope: Array


def statements(groups: tuple[Groups, ...]) -> int:
    """Return how many statements there are: an effect a level, and an interaction for all but the first."""
    return sum(2 * (len(each.names) - 1) - 1 for each in groups)


def subgroup_strata(
    groups: tuple[Groups, ...], effect: NoisySum, largest: float, span: float, unit: str, whole: Slopes,
    *, together: bool,
) -> tuple[Stratum, ...]:  # fmt: skip
    """Return a stratum for each level of each subgroup variable.

    Args:
      groups: The variables.
      effect: What was released.
      largest: K.
      span: What 1 on the public range stands for.
      unit: Of an effect.
      whole: Slopes of everybody, for the covariance.
      together: True for Bonferroni's rule.
    """
    if not groups:
        return ()
    error = 0.05 / statements(groups) if together else 0.05
    z = NormalDist().inv_cdf(1 - error / 2)
    strata, at = [], 0
    for each in groups:
        count = len(each.names)
        levels = [_level(effect, at, g, count, largest, whole) for g in range(count)]
        at += count
        first = levels[0]
        for g, (name, level) in enumerate(zip(each.names[:-1], levels, strict=False)):
            stated = {"patients": level.patients}
            if level.patients.value <= 3 * math.sqrt(level.patients.noise_variance) + 2:
                strata.append(Stratum(name=name, status="not_estimable", reason="privacy", released=stated))
                continue
            noise = level.privacy + whole.of_contrast(level.slope)
            estimates = {"effect": _told(level.value, level.sampling, noise, span, unit, z)}
            if g and first.patients.value > 3 * math.sqrt(first.patients.noise_variance) + 2:
                noise = level.privacy + first.privacy + whole.of_contrast(level.slope - first.slope)
                estimates["interaction"] = _told(
                    level.value - first.value, level.sampling + first.sampling, noise, span, unit, z
                )
            strata.append(Stratum(name=name, status="estimated", released=stated, estimates=estimates))
    return tuple(strata)


def _level(effect: NoisySum, at: int, g: int, count: int, largest: float, whole: Slopes) -> _Level:
    """One level; ``at`` is where its variable begins among all levels."""
    sums, sizes = effect["by_subgroup"], effect["in_subgroup"]
    n = float(sizes.values[at + g])
    patients = Released(value=n, noise_variance=sizes.variance)
    width = whole.matrix.shape[1] // 3 * 4
    if n <= 2:
        return _Level(patients, 0.0, 0.0, 0.0, np.zeros(whole.matrix.shape[1]))
    mean = float(sums.values[2 * at + g]) / n
    power = (float(sums.values[2 * at + count + g]) / n + 1) / 2
    scale = 4 * largest**2
    slopes = effect["subgroup_slopes"].values.reshape(-1, width)[at + g] / n
    return _Level(
        patients, 2 * largest * mean, scale * max(power - mean**2, 1e-12) / n,
        scale * (sums.variance + mean**2 * sizes.variance) / n**2,
        Slopes.of(slopes, _parts(whole)).difference,
    )  # fmt: skip


def _parts(whole: Slopes) -> tuple[Array, Array, Array]:
    p = len(whole.covariance) // 3
    parts = [whole.covariance[i * p : (i + 1) * p, i * p : (i + 1) * p] for i in range(3)]
    return parts[0], parts[1], parts[2]


def _told(value: float, sampling: float, privacy: float, span: float, unit: str, z: float) -> Estimate:
    half = z * math.sqrt(sampling + privacy)
    return Estimate(
        value=span * value, unit=unit, lower=span * (value - half), upper=span * (value + half),
        sampling_variance=span**2 * sampling, privacy_variance=span**2 * privacy,
    )  # fmt: skip
