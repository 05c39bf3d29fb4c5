"""Pseudo-values of the restricted mean time: one number a patient, censored or not, from a released curve.

``theta - sum over intervals of g_l (dN_l - h_l e_l)``, where theta is the restricted mean of the patient's
arm, h the hazard by interval, ``e`` the patient's exposure in it and ``g_l = N A_l / ((1 - h_l) E_l)`` with
the area A_l that an event in interval l takes from the curve: the infinitesimal jackknife of the life table.
Their mean over an arm is theta again, entries after day zero included, so errors of the released curve enter
to second order only. Censoring must not depend on the covariates within an arm.

Andersen, Hansen, Klein. Regression analysis of restricted mean survival time based on pseudo-observations.
Lifetime Data Analysis 10 (2004) 335-350. Infinitesimal jackknife: Parner and others, SORT 47 (2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import SurvivalOutcome
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.life_table import RiskTable

Array = NDArray[np.float64]
LOWEST, HIGHEST = -0.5, 1.5
"""Pseudo-values over the horizon lie between 0 and 1 but for some; beyond these they count as these."""

MOST_HAZARD = 0.9


@dataclass(frozen=True, slots=True)
class PseudoValues:
    """Pseudo-values on a grid.

    Attributes:
      curves: The endpoint, its grid and when people enter.
    """

    curves: KaplanMeierByGroup

    @property
    def public_size(self) -> int:
        """For each arm theta, k times g, and k hazards."""
        return 2 * (2 * self._intervals + 1)

    @property
    def _intervals(self) -> int:
        return len(self.curves.edges) - 1

    def public(self, tables: tuple[RiskTable, RiskTable], patients: tuple[float, float]) -> tuple[float, ...]:
        """Return the public numbers of released tables and numbers of patients, those of control first."""
        both = zip(tables, patients, strict=True)
        return tuple(float(x) for table, entering in both for x in _numbers(table, entering))

    def values(
        self, outcome: SurvivalOutcome, treated: Array, public: Array
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Return pseudo-values over the horizon and who has one, each shape ``(n,)``."""
        k = self._intervals
        entered, left, event, counts = self.curves.cells(outcome)
        numbers, arm = public.reshape(2, 2 * k + 1), treated.astype(np.int64)
        g, rate = numbers[:, 1 : k + 1], numbers[:, 1 : k + 1] * numbers[:, k + 1 :]
        passed = np.concatenate([np.zeros((2, 1)), np.cumsum(rate, axis=1)], axis=1)
        at = np.clip(left, 0, k)
        stop, happened, ends = np.minimum(at, k - 1), event & (at < k), at < k
        expected = passed[arm, at] - passed[arm, np.clip(entered, 0, at)]
        last = np.where(self.curves.half & ~happened, 0.5, 1.0)
        expected = expected + np.where(ends, last * rate[arm, stop], 0.0)
        if self.curves.half:  # who enters at an edge counts for half of the interval before
            before = np.clip(entered - 1, 0, k - 1)
            expected = expected + np.where(entered > 0, 0.5 * rate[arm, before], 0.0)
            inside = (entered > at) & ends
            expected = np.where(inside, 0.5 * happened * rate[arm, stop], expected)
        found = numbers[arm, 0] - np.where(happened, g[arm, stop], 0.0) + expected
        return np.clip(np.nan_to_num(found), LOWEST, HIGHEST), counts


def _numbers(table: RiskTable, entering: float) -> Array:
    """Theta, g and h of one arm, times over the horizon; intervals whose exposure is lost have no hazard."""
    exposed, events = table.exposed, table.events
    risk, other = table.exposed_noise
    lost = 3 * np.sqrt((risk**2).sum(axis=1) + (other**2).sum(axis=1))
    told = exposed > np.maximum(lost, 0.5)
    bottom = np.where(told, exposed, 1.0)
    h = np.clip(np.where(told, events / bottom, 0.0), 0.0, MOST_HAZARD)
    survival = np.cumprod(1 - h)
    widths = np.diff(table.edges) / table.edges[-1]
    after = np.append(widths[1:], 0.0)
    weight = (widths + after) / 2 if table.half else after
    area = np.cumsum((weight * survival)[::-1])[::-1]
    first = widths[0] / 2 if table.half else widths[0]
    theta = first + float(weight @ survival)
    g = np.where(told, max(entering, 0.0) * area / ((1 - h) * bottom), 0.0)
    return np.concatenate([[theta], g, h])
