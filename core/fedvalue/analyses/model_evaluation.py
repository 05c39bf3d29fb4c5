"""Whether a given model may be believed: one release of counts by bin of predicted risk, by group.

Each patient fills, in several partitions of the patients (everybody, split before the last quarter; one for
each protected attribute; the cells of risk coefficients; the hospitals), one cell of group x {event, none,
left out}, and for what is predicted three numbers between -1 and 1: ``2 p - 1``, ``2 (p - y)^2 - 1`` and the
place of p in its bin. Groups fill one cell of group x bin x {event, none} besides. Blocks of everybody have
the bound 1, those of the attributes as many as there are attributes; so overall figures, which the gates of a
payment look at first, are not drowned by the groups. `evaluated` has the other half.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally
from fedvalue.analyses.analysis import Ask, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.concordance import Grid
from fedvalue.analyses.estimate import Conclusion
from fedvalue.analyses.evaluated import Design, concluded
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.moments import chebyshev
from fedvalue.analyses.scoring import Prediction
from fedvalue.privacy.release import Block

LABEL = "model_evaluation"
LAST_QUARTER, BEFORE = "last quarter", "before the last quarter"

WEIGHTS = {
    "all": {"counts": 4, "predicted": 3, "errors": 2, "bins": 9, "offsets": 2},
    "groups": {"counts": 3, "predicted": 2, "errors": 1, "bins": 5, "offsets": 1},
    "cells": {"counts": 3, "predicted": 3, "squares": 1},
    "sites": {"counts": 3, "predicted": 2},
    "time": {"exits": 9, "entries": 5, "offsets": 2},
}
"""Shares of the budget of the blocks that a study has, in proportion."""

Ints = NDArray[np.int64]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EvaluationOfModel:
    """The analysis ``kind = "model_evaluation"``.

    Attributes:
      prediction: What is assessed.
      outcome: Name of a binary endpoint; empty for none.
      missing: What a missing outcome counts as.
      cuts: Inner edges of the bins of predicted risk, increasing.
      by: Protected attributes, one variable each.
      calendar: Calendar variable and the first day of its last quarter; None without temporal hold-out.
      cells: Cells of risk coefficients; None for none.
      tiers: Names of the risk tiers, from the lowest; empty for none.
      tier_cuts: Public cuts between them. Or:
      tier_shares: Shares of the patients that they are to hold.
      grid: Of the time-to-event endpoint; None without concordance index.
      horizon: True where the prediction is the risk by the end of that grid, and everybody is followed from
        its beginning: it is then compared with the observed risk.
      by_site: Whether hospitals are told apart.
      sites: Ids of the sites in the roster's order.
    """

    prediction: Prediction
    outcome: str
    missing: Literal["non_response", "exclude"]
    cuts: tuple[float, ...]
    by: tuple[Groups, ...] = ()
    calendar: tuple[str, float] | None = None
    cells: Groups | None = None
    tiers: tuple[str, ...] = ()
    tier_cuts: tuple[float, ...] = ()
    tier_shares: tuple[float, ...] = ()
    grid: Grid | None = None
    by_site: bool = False
    sites: tuple[str, ...] = ()
    horizon: bool = False

    @property
    def label(self) -> str:
        """Unique in the study."""
        target = self.outcome or (self.grid.time if self.grid is not None else "")
        return f"{LABEL}:{target}:{self.prediction.name}"

    @property
    def bins(self) -> int:
        """How many bins there are."""
        return len(self.cuts) + 1

    @property
    def design(self) -> Design:
        """What the coordinator half has to know."""
        return Design(
            self.label, self.outcome, self.cuts,
            (EVERYBODY,) if self.calendar is None else (BEFORE, LAST_QUARTER),
            tuple(groups.names for groups in self.by), tuple(groups.by[0] for groups in self.by),
            self.cells.names if self.cells is not None else (), self.tiers, self.tier_cuts, self.tier_shares,
            self.sites if self.by_site else (), self.grid, self.horizon,
        )  # fmt: skip

    def rounds(self) -> tuple[Ask, ...]:
        """One release."""
        sizes: dict[str, tuple[int, int, int]] = {}  # block: dimension, bound squared, weight
        for part, (groups, bound) in self._parts().items():
            for name, weight in WEIGHTS[part].items():
                width = {"counts": 3, "bins": 2 * self.bins, "offsets": self.bins}.get(name, 1)
                sizes[f"{part}_{name}"] = (groups * width, bound, weight)
        if self.grid is not None:
            cells = self.bins * (self.grid.intervals + 1)
            sizes["time_exits"] = (2 * cells, 1, WEIGHTS["time"]["exits"])
            if self.grid.delayed:
                sizes["time_entries"] = (cells, 1, WEIGHTS["time"]["entries"])
            if self.horizon:
                sizes["time_offsets"] = (self.bins, 1, WEIGHTS["time"]["offsets"])
        whole = sum(weight for _, _, weight in sizes.values())
        blocks = tuple(
            Block(name, size, Fraction(bound), counting=name.endswith(("counts", "bins", "exits", "entries")))
            for name, (size, bound, _) in sizes.items()
        )
        return (Ask("evaluation", blocks, tuple(Fraction(w, whole) for _, _, w in sizes.values())),)

    def _parts(self) -> dict[str, tuple[int, int]]:
        """Partition to its groups and to how many of them a patient is in."""
        if not self.outcome:
            return {}
        found = {"all": (1 if self.calendar is None else 2, 1)}
        if self.by:
            found["groups"] = (sum(len(groups.names) for groups in self.by), len(self.by))
        if self.cells is not None:
            found["cells"] = (len(self.cells.names), 1)
        if self.by_site:
            found["sites"] = (len(self.sites), 1)
        return found

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients by group, bin and outcome."""
        del ask
        risk = np.asarray(self.prediction.values(cohort), dtype=np.float64)
        known = np.isfinite(risk)
        risk = np.clip(np.where(known, risk, 0.0), 0.0, 1.0)
        place = np.searchsorted(np.array(self.cuts), risk, side="right").astype(np.int64)
        found: dict[str, NDArray[np.int64]] = {}
        if self.grid is not None:
            exits, entries = self.grid.cells(cohort, np.where(known, place, -1))
            size = self.bins * (self.grid.intervals + 1)
            found["time_exits"] = tally.counts(exits, 2 * size, scaling["time_exits"])
            if self.grid.delayed:
                found["time_entries"] = tally.counts(entries, size, scaling["time_entries"])
            if self.horizon:
                inside, scale = np.where(exits >= 0, place, -1), scaling["time_offsets"]
                found["time_offsets"] = tally.sums(self._offsets(risk, place), inside, self.bins, scale)
        if not self.outcome:
            return found
        outcome = cohort.binary.get(self.outcome)
        status = np.full(cohort.patients, -1) if outcome is None else outcome.status
        if self.missing == "exclude":
            known &= (status == 0) | (status == 1)
        y = 1.0 * (status == 1)
        numbers = {
            "predicted": 2 * risk - 1, "errors": 2 * (risk - y) ** 2 - 1,
            "squares": chebyshev(2 * risk - 1, 2),
            "offsets": self._offsets(risk, place),
        }  # fmt: skip
        for part, (size, _) in self._parts().items():
            members = self._members(part, cohort)
            group = np.concatenate(members)
            times = len(members)
            inside, at = np.tile(known, times) & (group >= 0), np.tile(place, times)
            kind = np.where(np.tile(known, times), np.tile(status != 1, times), 2)
            cells = {
                "counts": (np.where(group >= 0, group * 3 + kind, -1), 3),
                "bins": (
                    np.where(inside, (group * self.bins + at) * 2 + np.tile(status != 1, times), -1),
                    2 * self.bins,
                ),
                "offsets": (np.where(inside, group * self.bins + at, -1), self.bins),
            }
            for name in WEIGHTS[part]:
                cell, width = cells.get(name, (np.where(inside, group, -1), 1))
                block = f"{part}_{name}"
                found[block] = (
                    tally.sums(np.tile(numbers[name], times), cell, size * width, scaling[block])
                    if name in numbers
                    else tally.counts(cell, size * width, scaling[block])
                )
        return found

    def _offsets(self, risk: Array, place: Ints) -> Array:
        """Where each prediction lies in its bin, from -1 to 1, shape ``(n,)``."""
        edges = np.array([0.0, *self.cuts, 1.0])
        middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
        return np.asarray(np.clip((risk - middle[place]) / half[place], -1.0, 1.0), dtype=np.float64)

    def _members(self, part: str, cohort: Cohort) -> list[Ints]:
        """Each patient's group, once for each partition of a part; -1 for none."""
        if part == "all":
            if self.calendar is None:
                return [np.zeros(cohort.patients, dtype=np.int64)]
            name, first = self.calendar
            day = cohort.numbers.get(name, np.full(cohort.patients, np.nan))
            # who has no known day is not in the last quarter
            return [np.where(np.isfinite(day) & (day >= first), 1, 0).astype(np.int64)]
        if part == "groups":
            before, found = 0, []
            for groups in self.by:
                found.append(before + groups.index(cohort))
                before += len(groups.names)
            return found
        if part == "cells" and self.cells is not None:
            return [self.cells.index(cohort)]
        site = cohort.places
        return [np.where((site >= 0) & (site < len(self.sites)), site, -1)]

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy counts into metrics, tiers, cells and what hospitals differ by."""
        return concluded(self.design, sum_of(self.rounds()[0]), terms)
