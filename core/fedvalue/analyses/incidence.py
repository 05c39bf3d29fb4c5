"""From noisy numbers at risk and noisy events of several kinds to cumulative incidence, with both variances.

``F_k(t) = sum_{t_j <= t} S(t_{j-1}) d_kj / n_j``: the Aalen-Johansen estimate of having had event k first.
Its sampling variance is the delta method through the multinomial intervals (Collett 2015, Modelling
survival data in medical research, 3rd edition, section 12.3), its privacy variance the delta method through
the known noise; products of noisy terms are corrected to second order (our derivation; both vanish
without noise). Grids wider than a day count people inside an interval for half of it, as `life_table` does.

Aalen, O., Johansen, S. An empirical transition matrix for non-homogeneous Markov chains based on censored
observations. Scandinavian Journal of Statistics 5 (1978) 141-150.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import life_table
from fedvalue.analyses.life_table import RiskTable, SurvivalEstimate

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Incidence:
    """Cumulative incidence of one kind of event at the right edges of j intervals.

    Attributes:
      days: Right edges, shape ``(j,)``.
      values: F(days), shape ``(j,)``; under noise not always rising.
      sampling: Sampling variance of ``values``, shape ``(j,)``.
      privacy: Privacy variance of ``values``, shape ``(j,)``.
      area: Days lost to the event up to the last day: the area under F.
      area_sampling: Sampling variance of ``area``.
      area_privacy: Privacy variance of ``area``.
      per_event: As in `SurvivalEstimate`.
    """

    days: Array
    values: Array
    sampling: Array
    privacy: Array
    area: float
    area_sampling: float
    area_privacy: float
    per_event: Array

    @property
    def displayed(self) -> Array:
        """F, between 0 and 1 and never falling: what is shown."""
        return np.maximum.accumulate(np.clip(self.values, 0.0, 1.0))

    def band(self, z: float) -> tuple[Array, Array]:
        """Return pointwise limits at ``z`` standard errors, on the scale of `SurvivalEstimate.band`."""
        outside = np.clip(1.0 - self.values, 1e-12, None)
        as_survival = SurvivalEstimate(
            self.days, np.log(outside), self.sampling / outside**2, np.diag(self.privacy / outside**2),
            self.sampling, self.days, half=False, per_event=self.per_event,
        )  # fmt: skip
        lower, upper = as_survival.band(z)
        return 1.0 - upper, 1.0 - lower


def incidence(table: RiskTable, by_kind: Array, kind: int, intervals: int) -> Incidence:
    """Estimate the cumulative incidence of one kind of event.

    Args:
      table: Numbers at risk and events of every kind together; its ``events_noise`` holds one run of columns
        for each kind, in order, all of one width.
      by_kind: Noisy events of each kind, shape ``(kinds, k)``.
      kind: Which kind.
      intervals: How many intervals to use.
    """
    k, kinds = intervals, len(by_kind)
    every = life_table.estimate(table, k)
    n, d = table.exposed[:k], by_kind[kind, :k]
    working = n > 0
    safe = np.where(working, n, 1.0)
    hazard, total = np.where(working, d / safe, 0.0), np.where(working, table.events[:k] / safe, 0.0)
    alive = np.clip(1.0 - total, 1e-9, None)
    risk, by_events = (part[:k] for part in table.exposed_noise)
    width = table.events_noise.shape[1] // kinds
    own = np.zeros_like(table.events_noise[:k])
    own[:, kind * width : (kind + 1) * width] = table.events_noise[:k, kind * width : (kind + 1) * width]
    h_risk = -(hazard / safe)[:, None] * risk
    h_events = (own - hazard[:, None] * by_events) / safe[:, None]
    log_risk = (total / (safe * alive))[:, None] * risk
    log_events = -(table.events_noise[:k] - total[:, None] * by_events) / (safe * alive)[:, None]
    before_risk, before_events = _before(log_risk.cumsum(axis=0)), _before(log_events.cumsum(axis=0))
    log_variance = (before_risk**2).sum(axis=1) + (before_events**2).sum(axis=1)
    before = np.exp(np.concatenate([[0.0], every.log_survival[:-1]]) - log_variance / 2)
    n_variance = (risk**2).sum(axis=1) + (by_events**2).sum(axis=1)
    unbiased = np.where(
        working, hazard * (1.0 - n_variance / safe**2) + (own * by_events).sum(axis=1) / safe**2, 0.0
    )
    together = (before_risk * h_risk).sum(axis=1) + (before_events * h_events).sum(axis=1)
    values = (before * (unbiased - together)).cumsum()
    to_risk = (before[:, None] * (h_risk + hazard[:, None] * before_risk)).cumsum(axis=0)
    to_events = (before[:, None] * (h_events + hazard[:, None] * before_events)).cumsum(axis=0)
    weights = _area_weights(np.diff(table.edges)[:k], half=table.half)
    return Incidence(
        days=table.edges[1 : k + 1],
        values=values,
        sampling=_sampling(values, before, hazard, total, alive, safe),
        privacy=(to_risk**2).sum(axis=1) + (to_events**2).sum(axis=1),
        area=float(weights @ values),
        area_sampling=_area_sampling(values, weights, before, hazard, total, alive, safe),
        area_privacy=float(((weights @ to_risk) ** 2).sum() + ((weights @ to_events) ** 2).sum()),
        per_event=every.per_event,
    )


def _before(rows: Array) -> Array:
    """Row j becomes row j - 1; the first is zero."""
    return np.concatenate([np.zeros((1, rows.shape[1])), rows[:-1]])


def _area_weights(widths: Array, *, half: bool) -> Array:
    """What each F counts for in the area: steps on a daily grid, trapezes on a wider one."""
    weights = np.zeros(len(widths))
    if half:
        weights += widths / 2
    weights[:-1] += widths[1:] / 2 if half else widths[1:]
    return weights


def _sampling(values: Array, before: Array, hazard: Array, total: Array, alive: Array, n: Array) -> Array:
    """Collett's formula by cumulative sums."""
    greenwood = np.maximum(total, 0.0) / (n * alive)
    cross = before * hazard / n
    first = values**2 * greenwood.cumsum() - 2 * values * (values * greenwood).cumsum()
    first += (values**2 * greenwood).cumsum()
    second = (before**2 * hazard * (1.0 - hazard) / n).cumsum()
    third = 2 * (values * cross.cumsum() - (values * cross).cumsum())
    found: Array = np.maximum(first + second - third, 0.0)
    return found


def _area_sampling(
    values: Array, weights: Array, before: Array, hazard: Array, total: Array, alive: Array, n: Array
) -> float:
    """The same delta method for ``weights . F``."""
    later = weights[::-1].cumsum()[::-1]
    gained = (weights * values)[::-1].cumsum()[::-1] - values * later
    own, lost = before * later, gained / alive
    terms = own**2 * hazard * (1 - hazard) - 2 * own * lost * hazard * alive + lost**2 * total * alive
    return max(float((terms / n).sum()), 0.0)
