"""Where on a public grid a patient is followed: from, until, and in which interval an event fell.

Positions count intervals: 2.5 is the middle of the third. On a daily grid they are whole, and a patient is at
risk on every day up to and including that of the event, as in `kaplan_meier`; on a wider grid they are exact,
so a hazard that is constant inside an interval is integrated exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Some patients' time on the grid.

    Attributes:
      start: Position from which a patient is at risk, shape ``(n,)``.
      stop: Position until which, shape ``(n,)``; at least ``start`` where ``counts``.
      event: Interval of the event, -1 for none, shape ``(n,)``.
      counts: Who is observed at all, shape ``(n,)``.
    """

    start: Array
    stop: Array
    event: NDArray[np.int64]
    counts: NDArray[np.bool_]


def follow_up(curves: KaplanMeierByGroup, cohort: Cohort, part: slice) -> FollowUp:
    """Return the follow-up of some patients; a hostile or unknown time means that one does not count."""
    edges, k = np.asarray(curves.edges), len(curves.edges) - 1
    n = len(range(*part.indices(cohort.patients)))
    found = cohort.survival.get(curves.endpoint)
    if found is None:
        nothing = np.zeros(n)
        return FollowUp(nothing, nothing, np.full(n, -1), np.zeros(n, dtype=bool))
    outcome = SurvivalOutcome(found.entry[part], found.exit[part], found.event[part])
    entered, left, event, counts = curves.cells(outcome)
    at = np.where(counts & event & (left < k), left, -1)
    if not curves.half:
        stop = np.minimum(left + 1, k).astype(np.float64)
        return FollowUp(np.minimum(entered, stop), np.where(counts, stop, 0.0), at, counts)
    start = np.zeros(n) if curves.entry_at_zero else _position(outcome.entry, edges, counts)
    stop = _position(outcome.exit, edges, counts)
    on_day_zero = counts & event & (stop <= 0)
    stop = np.where(on_day_zero, min(0.5, float(edges[1]) / 2) / float(edges[1]), stop)
    return FollowUp(np.minimum(start, stop), stop, at, counts)


def exposed_from(days: Array, curves: KaplanMeierByGroup) -> Array:
    """Return the position from which a patient is exposed, shape ``(n,)``; the horizon for never.

    On a daily grid an event on the very day of the exposure counts as before it.
    """
    edges, k = np.asarray(curves.edges), len(curves.edges) - 1
    known = np.isfinite(days)
    if curves.half:
        return np.where(known, _position(days, edges, known), float(k))
    day = np.where(known, days, edges[-1])
    return np.minimum(np.searchsorted(edges, day, side="left"), k).astype(np.float64)


def _position(days: Array, edges: Array, known: NDArray[np.bool_]) -> Array:
    inside = np.clip(np.where(known, days, 0.0), 0.0, edges[-1])
    position: Array = np.interp(inside, edges, np.arange(len(edges), dtype=np.float64))
    return position
