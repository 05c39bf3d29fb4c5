"""The concordance index from counts by bin of risk and interval of time: who was predicted to be first, was.

Pairs are no sum over patients, but bins of risk x intervals of time are. Of an event in interval j in bin b,
everybody who is still followed after j is compared: concordant where the own bin is higher, one half in the
same bin. With d the events, e the entries, x the exits of any kind, and R those followed after j,

    R_bj = sum over i > j of (x_bi - e_bi),
    C = sum_bj d_bj (sum over b' < b of R_b'j + R_bj / 2) / sum_j d_j R_j.

d_bj and R_bj share no cell, so the noise of their products has mean 0. Ties in time count nowhere. Without
delayed entry and on a daily grid this is Harrell's C with risks compared by bin. Both variances are those of
a smooth function of counts: a patient's influence is the gradient at its own cells.

Harrell, F. E., Lee, K. L., Mark, D. B. Multivariable prognostic models. Statistics in Medicine 15 (1996)
361-387, section 5.5. Left truncation by risk sets and the noise terms are our own derivation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Estimate
from fedvalue.analyses.score import Z95, inside

Array = NDArray[np.float64]
Cells = NDArray[np.int64]

MOST_INTERVALS = 24
"""Intervals that are told apart: a finer grid is joined, because every cell has noise of its own."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the cells of one endpoint are.

    Attributes:
      time: Name of a time-to-event endpoint.
      edges: In days from the origin, shape ``(j + 1,)``, increasing from 0.
      delayed: True where people enter after the origin.
    """

    time: str
    edges: tuple[float, ...]
    delayed: bool

    @classmethod
    def of(cls, time: str, edges: tuple[float, ...], *, delayed: bool) -> Grid:
        """Return a grid of at most `MOST_INTERVALS` intervals out of the endpoint's own."""
        every = -(-(len(edges) - 1) // MOST_INTERVALS)
        return cls(time, tuple(dict.fromkeys((*edges[::every], edges[-1]))), delayed)

    @property
    def intervals(self) -> int:
        """How many intervals there are."""
        return len(self.edges) - 1

    def cells(self, cohort: Cohort, place: Cells) -> tuple[Cells, Cells]:
        """Return each patient's exit and entry cell, -1 for none, each shape ``(n,)``.

        Exit cells are ``(place (j + 1) + interval) 2 + {event, other}``; the interval j stands for past the
        horizon. Entry cells are ``place (j + 1) + interval``.

        Args:
          cohort: Rows of a site.
          place: Each patient's bin of risk, -1 for none, shape ``(n,)``.
        """
        none = np.full(cohort.patients, -1)
        outcome = cohort.survival.get(self.time)
        if outcome is None:
            return none, none
        entry = outcome.entry if self.delayed else np.zeros(cohort.patients)
        known = np.isfinite(outcome.exit) & np.isfinite(entry) & (outcome.event >= 0) & (place >= 0)
        known &= (outcome.exit > entry) & (outcome.exit > 0)
        out, came = self._interval(outcome.exit, known), self._interval(np.maximum(entry, 0.0), known)
        past = out >= self.intervals
        width = self.intervals + 1
        gone = (np.where(known, place, 0) * width + out) * 2 + (past | (outcome.event == 0))
        return np.where(known, gone, -1), np.where(known, np.where(known, place, 0) * width + came, -1)

    def _interval(self, days: Array, known: NDArray[np.bool_]) -> Cells:
        """Interval ``(edge, next edge]`` of a day; 0 for day 0, j past the horizon."""
        at = np.searchsorted(np.array(self.edges), np.where(known, days, 0.0), side="left") - 1
        return np.clip(at, 0, self.intervals).astype(np.int64)


def concordance(exits: Array, entries: Array | None, noise: float, entry_noise: float) -> Estimate | None:
    """Return the concordance index; None where the pairs are lost in the noise.

    Args:
      exits: Released counts by bin, interval and {event, other}, shape ``(b, j + 1, 2)``.
      entries: By bin and interval, shape ``(b, j + 1)``; None where everybody enters at the origin.
      noise: Noise variance of a count of ``exits``.
      entry_noise: Of ``entries``.
    """
    events = exits[:, :-1, 0]
    left = exits.sum(axis=2) - (0.0 if entries is None else entries)
    followed = left[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    lower = followed.cumsum(axis=0) - followed / 2
    of_events, all_followed, all_events = lower, followed.sum(axis=0), events.sum(axis=0)
    pairs = float(all_events @ all_followed)
    above = events[::-1].cumsum(axis=0)[::-1] - events / 2
    size = math.sqrt(
        noise * float(np.square(all_followed).sum() * len(events) + np.square(all_events).sum() * len(events))
    )
    if pairs <= 3 * size or pairs <= 0:
        return None
    value = float((events * of_events).sum()) / pairs
    as_event = of_events - value * all_followed
    as_followed = above - value * all_events
    later = np.concatenate([np.zeros((len(events), 1)), as_followed.cumsum(axis=1)], axis=1)
    gradient = np.repeat(later[:, :, None], 2, axis=2)
    gradient[:, :-1, 0] += as_event
    counts = np.maximum(exits, 0.0)
    sampling = float((counts * gradient**2).sum())
    privacy = noise * float(np.square(gradient).sum())
    if entries is not None:
        sampling += float((np.maximum(entries, 0.0) * later**2).sum())
        privacy += entry_noise * float(np.square(later).sum())
    sampling, privacy = sampling / pairs**2, privacy / pairs**2
    value, lower, upper = inside(value, Z95 * math.sqrt(sampling + privacy), 0.0, 1.0)
    return Estimate(
        value=value, unit="area", lower=lower, upper=upper,
        sampling_variance=sampling, privacy_variance=privacy,
    )  # fmt: skip
