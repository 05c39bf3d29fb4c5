"""Parametric survival by group from the release of Kaplan-Meier, for looking past the end of follow-up.

With E_j people exposed and d_j events in interval j, the grouped Poisson likelihood gives
``sum_j (d_j - E_j dH_j) d log dH_j / d theta = 0``. Its sampling covariance is the inverse information; noise
in d and E moves the solution linearly, through the same inverse, to first order (our derivation). On a daily
grid an exponential or piecewise fit is maximum likelihood, and a Weibull fit differs from it by the width of
a day (half a percent of the shape where a median is 300 days).

What lies past the last day of follow-up is the shape's word, not the data's, and a note says so.

Aalen, O., Borgan, O., Gjessing, H. Survival and event history analysis (2008), section 5.1. Latimer, N. R.
Survival analysis for economic evaluations alongside clinical trials. Medical Decision Making 33 (2013)
743-754.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import life_table
from fedvalue.analyses.analysis import Ask, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Series, Stratum
from fedvalue.analyses.groups import EVERYBODY
from fedvalue.analyses.kaplan_meier import (
    DELAYED_ENTRY,
    EVERYBODY_AT_ZERO,
    KaplanMeierByGroup,
    remedy_half_way,
    together,
)
from fedvalue.analyses.life_table import RiskTable
from fedvalue.analyses.score import Z95, inside
from fedvalue.analyses.survival_shapes import Shape

Array = NDArray[np.float64]
STEPS = 50
POINTS = 60
TOO_NOISY = 1 / 3
"""Largest standard error of a logarithmic parameter by noise."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted shape.

    Attributes:
      theta: Parameters, shape ``(q,)``.
      sampling: Their covariance by sampling, shape ``(q, q)``.
      privacy: Their covariance by noise.
    """

    theta: Array
    sampling: Array
    privacy: Array


def fit(table: RiskTable, shape: Shape, intervals: int) -> Fit | None:
    """Fit a shape to the first intervals of a risk table; None where it has no events or does not settle."""
    k = intervals
    exposed, by_risk, by_events = _time_at_risk(table)
    exposed, events, edges = np.maximum(exposed[:k], 0.0), table.events[:k], table.edges[: k + 1]
    widths = np.diff(edges)
    time = float(exposed @ widths)
    if events.sum() <= 0 or time <= 0:
        return None
    theta = shape.start(float(events.sum()) / time)
    for _ in range(STEPS):
        rise, slopes = np.diff(shape.cumulative(theta, edges)), np.diff(shape.slopes(theta, edges), axis=0)
        relative = slopes / np.maximum(rise, 1e-300)[:, None]
        expected = exposed * rise
        information = relative.T @ (relative * expected[:, None])
        values = np.linalg.eigvalsh(information)
        if not np.isfinite(information).all() or values[0] <= 1e-9 * max(values[-1], 1e-300):
            return None
        move = np.linalg.solve(information, relative.T @ (events - expected))
        theta = theta + np.clip(move, -1.0, 1.0)
        if np.abs(theta).max() > 50:
            return None
        if np.abs(move).max() < 1e-12:
            break
    else:
        if np.abs(move).max() > 1e-8:
            return None
    inverse = np.linalg.inv(information).astype(np.float64)
    by_risk, by_events = by_risk[:k], by_events[:k]
    through_risk = -(relative * rise[:, None]).T @ by_risk
    through_events = relative.T @ (table.events_noise[:k] - rise[:, None] * by_events)
    middle = through_risk @ through_risk.T + through_events @ through_events.T
    return Fit(theta, inverse, inverse @ middle @ inverse)


def _time_at_risk(table: RiskTable) -> tuple[Array, Array, Array]:
    """Return people's time in each interval over its width, and its noise by source.

    Who has the event counts for half of the interval: `RiskTable.exposed` counts them whole, because it goes
    with the probability of the event and not with its hazard.
    """
    by_risk, by_events = table.exposed_noise
    if not table.half:
        return table.exposed, by_risk, by_events
    return table.exposed - table.events / 2, by_risk, by_events - table.events_noise / 2


@dataclass(frozen=True, slots=True)
class ParametricSurvivalByGroup:
    """The analysis ``kind = "parametric_survival"``.

    Attributes:
      curves: The groups on their grid, with the days at which survival is stated.
      name: Of the shape.
      shape: The shape.
      horizon: Day up to which mean survival time is stated.
    """

    curves: KaplanMeierByGroup
    name: str
    shape: Shape
    horizon: float

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("parametric_survival", self.name, self.curves.endpoint, *self.curves.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release: numbers at risk and events, for each group."""
        return self.curves.rounds()

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients by entry and exit cell, as Kaplan-Meier does."""
        return self.curves.contribution(cohort, ask, scaling)

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Fit the shape to each group and to everybody."""
        tables = self.curves.tables(sum_of(self.rounds()[0]), terms.exact)
        names = self.curves.groups.names
        strata = [self._stratum(name, table, terms) for name, table in zip(names, tables, strict=True)]
        if self.curves.groups.by:
            strata.append(self._stratum(EVERYBODY, together(tables), terms))
        last = self.curves.edges[-1]
        notes = [EVERYBODY_AT_ZERO if self.curves.entry_at_zero else DELAYED_ENTRY]
        if max((self.horizon, *self.curves.at)) > last:
            notes.append(
                f"Past day {last:g} nobody is followed: what is said of it is the {self.name} model's."
            )
        return Conclusion(
            label=self.label, kind="parametric_survival", endpoint=self.curves.endpoint,
            by=self.curves.groups.by, strata=tuple(strata), notes=tuple(notes),
        )  # fmt: skip

    def _stratum(self, name: str, table: RiskTable, terms: Terms) -> Stratum:
        k = len(self.curves.edges) - 1
        peak = float(table.at_risk.max())
        noise = float((table.at_risk_noise**2).sum(axis=1).max(initial=0.0))
        released = {"patients": Released(value=peak, noise_variance=noise)}
        used = k if terms.exact else life_table.reach(table)
        if self.curves.edges[used] < self.curves.edges[-1] / 2:
            remedy = remedy_half_way(table, terms)
            return Stratum(
                name=name, status="not_estimable", reason="privacy", remedy=remedy, released=released
            )
        if peak <= 0 or (not terms.exact and peak < terms.min_patients):
            return Stratum(name=name, status="below_minimum", reason="sampling", released=released)
        found = fit(table, self.shape, used)
        if found is None:
            return Stratum(name=name, status="not_estimable", reason="model", released=released)
        if (worst := math.sqrt(float(np.diag(found.privacy).max()))) > TOO_NOISY:
            return Stratum(
                name=name, status="not_estimable", reason="privacy", remedy=terms.remedy(worst, peak),
                released=released,
            )  # fmt: skip
        return Stratum(
            name=name, status="estimated", released=released, estimates=self._estimates(found),
            series={"survival": self._series(found)},
        )  # fmt: skip

    def _estimates(self, found: Fit) -> dict[str, Estimate]:
        estimates = {}
        values = self.shape.shown(found.theta)
        slopes = _slopes(self.shape.shown, found.theta)
        for name, unit, value, slope in zip(self.shape.names, self.shape.units, values, slopes, strict=True):
            estimates[name] = _on_log_scale(float(value), slope / value, found, unit)
        for day in self.curves.at:
            estimates[f"survival at day {day:g}"] = self._survival(found, day)
        area, slope = self._mean(found.theta), _slopes(self._mean, found.theta)[0]
        sampling, privacy = _variances(slope, found)
        half = Z95 * math.sqrt(sampling + privacy)
        value, lower, upper = inside(float(area[0]), half, 0.0, self.horizon)
        estimates[f"mean survival time up to day {self.horizon:g}"] = Estimate(
            value=value, unit="days", lower=lower, upper=upper, sampling_variance=sampling,
            privacy_variance=privacy,
        )  # fmt: skip
        return estimates

    def _mean(self, theta: Array) -> Array:
        """Area under the curve up to the horizon, shape ``(1,)``."""
        days = np.linspace(0.0, self.horizon, 2001)
        return np.array([np.trapezoid(np.exp(-self.shape.cumulative(theta, days)), days)])

    def _survival(self, found: Fit, day: float) -> Estimate:
        """Survival at a day, its interval on the scale of the log of H."""
        at = np.array([day])
        total = float(self.shape.cumulative(found.theta, at)[0])
        log = _on_log_scale(total, self.shape.slopes(found.theta, at)[0] / max(total, 1e-300), found, "")
        value, squared = math.exp(-total), math.exp(-2 * total)
        return Estimate(
            value=value, unit="probability", lower=math.exp(-(log.upper or 0.0)),
            upper=math.exp(-(log.lower or 0.0)), sampling_variance=squared * log.sampling_variance,
            privacy_variance=squared * log.privacy_variance,
        )  # fmt: skip

    def _series(self, found: Fit) -> Series:
        last = max((self.horizon, self.curves.edges[-1], *self.curves.at))
        days = np.linspace(last / POINTS, last, POINTS)
        line = [self._survival(found, float(day)) for day in days]
        return Series(
            x=tuple(days.tolist()), x_unit="days", values=tuple(e.value for e in line), unit="probability",
            lower=tuple(e.lower or 0.0 for e in line),
            upper=tuple(1.0 if e.upper is None else e.upper for e in line),
            sampling_variance=tuple(e.sampling_variance for e in line),
            privacy_variance=tuple(e.privacy_variance for e in line),
        )  # fmt: skip


def _variances(slope: Array, found: Fit) -> tuple[float, float]:
    return (
        max(float(slope @ found.sampling @ slope), 0.0),
        max(float(slope @ found.privacy @ slope), 0.0),
    )


def _on_log_scale(value: float, slope: Array, found: Fit, unit: str) -> Estimate:
    """A positive quantity whose logarithm has derivatives ``slope``."""
    sampling, privacy = _variances(slope, found)
    spread = math.exp(min(Z95 * math.sqrt(sampling + privacy), 50.0))
    return Estimate(
        value=value, unit=unit, lower=value / spread, upper=value * spread,
        sampling_variance=value**2 * sampling, privacy_variance=value**2 * privacy,
    )  # fmt: skip


def _slopes(function: Callable[[Array], Array], theta: Array) -> Array:
    """Central differences, shape ``(m, q)``."""
    columns = []
    for i in range(len(theta)):
        step = np.zeros_like(theta)
        step[i] = 1e-5
        columns.append((function(theta + step) - function(theta - step)) / 2e-5)
    return np.column_stack(columns)
