"""Interrupted time series: did a line of months jump or bend when a policy changed?

The model is ``y_t = a + b t + level 1(t >= c) + slope (t - c) 1(t >= c)``, fitted to the released means (or
counts) of months by generalised least squares with the known covariance of sampling and of the privacy noise.
Where the months scatter more than both explain, the difference is added to the sampling part; intervals use
Student's t with Satterthwaite's degrees of freedom: only that difference is estimated from
the few months. Months that depend on each other, seasons, and whatever else changed at the same time are not
in the interval.

Wagner, Soumerai, Zhang, Ross-Degnan. Segmented regression analysis of interrupted time series studies in
medication use research. Journal of Clinical Pharmacy and Therapeutics 27 (2002) 299-309, model 1. Aitken's
generalised least squares (1935). Satterthwaite, F. E. Biometrics Bulletin 2 (1946) 110-114.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Series, Stratum
from fedvalue.analyses.monthly import usable
from fedvalue.analyses.months import MonthlyTrees
from fedvalue.analyses.score import Z95, refused

Array = NDArray[np.float64]

LEAST_MONTHS = 3
"""Fewest usable months on either side of the change."""
SEGMENTED = (
    "Straight lines before and after the change; seasons and other changes at that time are not modeled."
)


@dataclass(frozen=True, slots=True)
class InterruptedSeriesByGroup:
    """The analysis ``kind = "interrupted_time_series"``.

    Attributes:
      trees: What is asked.
      change: Position of the first month after the change.
    """

    trees: MonthlyTrees
    change: int

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("interrupted_time_series", self.trees.of, *self.trees.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release of the trees."""
        return self.trees.asks()

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Climb the trees with the site's patients."""
        del ask
        return self.trees.contribution(cohort, scaling)

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Fit the segments to the released months, group by group and for everybody."""
        released = sum_of(self.rounds()[0])
        strata = self.trees.strata(lambda name, members: self._stratum(name, released, members, terms))
        return Conclusion(
            label=self.label, kind="interrupted_time_series", by=self.trees.groups.by,
            endpoint=self.trees.of,
            strata=strata, notes=(SEGMENTED,),
        )  # fmt: skip

    def _stratum(self, name: str, released: NoisySum, members: list[int], terms: Terms) -> Stratum:
        line, quantity = self.trees.read(released, members), self.trees.quantity
        n = Released(value=float(line.patients.sum()), noise_variance=float(line.patients_noise.sum()))
        stated = {"patients": n}
        if (refusal := refused(name, n, terms, stated)) is not None:
            return refusal
        if quantity is None:
            kept, unit = np.arange(len(line.patients)), "patients"
            level = max(float(line.patients.mean()), 1.0)
            y, sampling, noise = line.patients, np.full(len(kept), level), line.patients_noise
        else:
            kept, unit = np.array(usable(line, terms), dtype=np.int64), quantity.unit
            if len(kept) == 0:
                return _too_short(name, stated)
            part = np.ix_(kept, kept)
            chosen = type(line)(
                line.patients[kept], line.sums[kept], line.patients_noise[part], line.sums_noise[part],
                line.spread,
            )  # fmt: skip
            mean, sampling, noise = chosen.means()
            y = quantity.middle + quantity.half * mean
            sampling, noise = quantity.half**2 * sampling, quantity.half**2 * noise
        after = kept >= self.change
        if min(after.sum(), (~after).sum()) < LEAST_MONTHS:
            return _too_short(name, stated)
        fitted = fit(kept.astype(np.float64), y, sampling, noise, float(self.change))
        if quantity is None:  # counts vary as much as they are expected to be, month by month
            sampling = np.maximum(fitted.fitted, 1.0)
            fitted = fit(kept.astype(np.float64), y, sampling, noise, float(self.change))
        axis = self.trees.calendar.axis
        return Stratum(
            name=name, status="estimated", released=stated, estimates=fitted.estimates(unit),
            series={
                "observed": _series(kept, y, sampling, np.diag(noise), axis, unit),
                "expected without the change": fitted.expected(kept, axis, unit),
            },
        )  # fmt: skip


def _too_short(name: str, stated: dict[str, Released]) -> Stratum:
    return Stratum(name=name, status="not_estimable", reason="sampling", released=stated)


def _series(kept: NDArray[np.int64], y: Array, sampling: Array, noise: Array, axis: str, unit: str) -> Series:
    reach = Z95 * np.sqrt(sampling + noise)
    return Series(
        x=tuple(kept.astype(float).tolist()), x_unit=axis, values=tuple(y.tolist()), unit=unit,
        lower=tuple((y - reach).tolist()), upper=tuple((y + reach).tolist()),
        sampling_variance=tuple(sampling.tolist()), privacy_variance=tuple(noise.tolist()),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Segments:
    """A fitted model.

    Attributes:
      coefficients: a, b, level, slope.
      sampling: Their covariance by sampling and by scatter beyond it, shape ``(4, 4)``.
      privacy: Their covariance by noise.
      quantile: 97.5 % point of Student's t.
      fitted: The segments at every month, shape ``(m,)``.
    """

    coefficients: Array
    sampling: Array
    privacy: Array
    quantile: float
    fitted: Array

    def estimates(self, unit: str) -> dict[str, Estimate]:
        """Return slope before, change of level and change of slope."""
        names = {"slope before": 1, "change of level": 2, "change of slope": 3}
        return {name: self._estimate(i, unit if i == 2 else f"{unit} per month") for name, i in names.items()}

    def _estimate(self, i: int, unit: str) -> Estimate:
        value = float(self.coefficients[i])
        sampling, privacy = float(self.sampling[i, i]), float(self.privacy[i, i])
        reach = self.quantile * math.sqrt(sampling + privacy)
        return Estimate(
            value=value, unit=unit, lower=value - reach, upper=value + reach,
            sampling_variance=sampling, privacy_variance=privacy,
        )  # fmt: skip

    def expected(self, kept: NDArray[np.int64], axis: str, unit: str) -> Series:
        """Return the line before the change, carried on over all months."""
        x = np.column_stack([np.ones(len(kept)), kept.astype(np.float64)])
        sampling = np.einsum("ij,jk,ik->i", x, self.sampling[:2, :2], x)
        privacy = np.einsum("ij,jk,ik->i", x, self.privacy[:2, :2], x)
        return _series(kept, x @ self.coefficients[:2], sampling, privacy, axis, unit)


def fit(t: Array, y: Array, sampling: Array, noise: Array, change: float) -> Segments:
    """Fit the segments by generalised least squares.

    Args:
      t: Months, shape ``(m,)``, at least five.
      y: Line, shape ``(m,)``.
      sampling: Sampling variance of each month, above 0, shape ``(m,)``.
      noise: Noise covariance, shape ``(m, m)``.
      change: c.
    """
    after = (t >= change).astype(np.float64)
    x = np.column_stack([np.ones(len(t)), t, after, (t - change) * after])
    total = np.diag(sampling) + noise
    weighted = np.linalg.solve(total, x)
    bread = np.linalg.inv(x.T @ weighted)
    to_coefficients = bread @ weighted.T
    coefficients = to_coefficients @ y
    away = y - x @ coefficients
    freedom = len(t) - x.shape[1]
    scatter = float(away @ np.linalg.solve(total, away)) / freedom if freedom > 0 else 1.0
    privacy = to_coefficients @ noise @ to_coefficients.T
    by_sampling = to_coefficients @ np.diag(sampling) @ to_coefficients.T + max(scatter - 1.0, 0.0) * bread
    # the variance is 1 + (scatter - 1) times the known one, of which the second part has `freedom` degrees
    beyond = max(scatter - 1.0, 0.0)
    degrees = max(freedom, 1) * (max(scatter, 1.0) / beyond) ** 2 if beyond > 0 else math.inf
    quantile = float(special.stdtrit(degrees, 0.975))
    return Segments(coefficients, by_sampling, privacy, quantile, x @ coefficients)
