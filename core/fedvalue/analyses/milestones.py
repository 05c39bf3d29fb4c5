"""Milestones of a payment by instalments: how many were due, passed, failed, and missing, by group.

A milestone is a day after the index day. It is passed by who was followed to it without an event, failed by
who had an event on or before it (an event on the due day counts as before the payment), and missing where
follow-up ended earlier. With a calendar day as of which the account is made, it is due only where its day had
come. A patient fills one cell for each milestone: the squared bound is their number. Catalogue statistic FS9.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally
from fedvalue.analyses.analysis import Ask, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.counts import FACTS, count
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.score import refused, share
from fedvalue.privacy.release import Block

CELLS = ("passed", "failed", "missing", "not due")
OUTCOMES = CELLS[:3]


@dataclass(frozen=True, slots=True)
class MilestonesByGroup:
    """The analysis ``kind = "milestones"``.

    Attributes:
      endpoint: Name of the time-to-event endpoint whose event fails a milestone.
      groups: Public groups.
      at: Days of the milestones after the index day, increasing.
      calendar: Variable with the calendar day of the index day; empty where every milestone is due.
      as_of: Day of the account, in days since 1970-01-01.
    """

    endpoint: str
    groups: Groups
    at: tuple[float, ...]
    calendar: str = ""
    as_of: float = 0.0

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("milestones", self.endpoint, *self.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release of milestones x groups x 4 counts."""
        size = len(self.at) * len(self.groups.names) * len(CELLS)
        return (
            Ask("outcomes", (Block("cells", size, Fraction(len(self.at)), counting=True),), (Fraction(1),)),
        )

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients at every milestone."""
        del ask
        width, group = len(self.groups.names) * len(CELLS), self.groups.index(cohort)
        outcome = cohort.survival.get(self.endpoint)
        if outcome is None:
            none = np.zeros(cohort.patients)
            outcome = SurvivalOutcome(none, none, np.full(cohort.patients, -1))
        known = (outcome.event >= 0) & np.isfinite(outcome.exit) & (outcome.exit >= 0)
        began = cohort.numbers.get(self.calendar, np.full(cohort.patients, np.nan))
        found = []
        for day in self.at:
            with np.errstate(invalid="ignore"):
                failed = known & (outcome.event > 0) & (outcome.exit <= day)
                passed = known & ~failed & (outcome.exit >= day)
                ahead = (began + day > self.as_of) if self.calendar else np.zeros(cohort.patients, dtype=bool)
            cell = np.select([ahead, failed, passed], [3, 1, 0], default=2)
            found.append(tally.counts(group * len(CELLS) + cell, width, scaling["cells"]))
        return {"cells": np.concatenate(found)}

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy counts into shares of the due milestones, group by group and for everybody."""
        block = sum_of(self.rounds()[0])["cells"]
        table = block.values.reshape(len(self.at), len(self.groups.names), len(CELLS))
        strata = [
            self._stratum(name, table[:, g], block.variance, terms)
            for g, name in enumerate(self.groups.names)
        ]
        if self.groups.by:
            many = table.shape[1]
            strata.append(self._stratum(EVERYBODY, table.sum(axis=1), block.variance * many, terms))
        return Conclusion(
            label=self.label, kind="milestones", endpoint=self.endpoint, by=self.groups.by,
            strata=tuple(strata), notes=(FACTS,),
        )  # fmt: skip

    def _stratum(self, name: str, table: NDArray[np.float64], variance: float, terms: Terms) -> Stratum:
        """Report every milestone at which enough patients were due; a group without any says why."""
        stated: dict[str, Released] = {}
        estimates: dict[str, Estimate] = {}
        refusal: Stratum | None = None
        for day, row in zip(self.at, table.tolist(), strict=True):
            words = [f"{cell} at day {day:g}" for cell in CELLS]
            stated |= {
                word: Released(value=v, noise_variance=variance) for word, v in zip(words, row, strict=True)
            }
            due = Released(value=sum(row[:3]), noise_variance=3 * variance)
            why = refused(name, due, terms, stated)
            refusal = refusal or why
            if why is not None:
                continue
            estimates[f"due at day {day:g}"] = count(due.value, due.noise_variance)
            for word, v in zip(words[:3], row, strict=False):
                estimates[word] = share(v, due.value, variance, inside=1, cells=3)
        if not estimates and refusal is not None:
            return refusal.model_copy(update={"released": stated})
        return Stratum(name=name, status="estimated", released=stated, estimates=estimates)
