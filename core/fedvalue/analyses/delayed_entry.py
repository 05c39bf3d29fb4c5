"""Delayed entry: time before the genomic report, a test of dependent entry, tested beside untested patients.

Left truncation is handled right only if, once in, patients who entered late fare as those who came early.
Patients are grouped by public bins of their day of entry, and the groups are compared among whoever is at
risk (`rank_test`): a small p-value says that being tested went together with how patients fared, and then
survival of the tested does not stand for all. The comparison with untested patients, who are followed from
day zero, is shown beside it, unadjusted; where the study names weights, `testing_weights` adds one that is.

Each patient fills an entry and an exit cell of one group, as in `kaplan_meier`, and adds waiting and observed
time, each a share of the horizon, with their squares: five numbers between 0 and 1.

Tsai, W.-Y. Testing the assumption of independence of truncation time and failure time. Biometrika 77 (1990)
169-177, tests the same hypothesis with ranks; bins need no patient's day of entry.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Ask, NoisyBlock, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.estimate import Conclusion, Estimate, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.kaplan_meier import DELAYED_ENTRY, KaplanMeierByGroup, together
from fedvalue.analyses.rank_test import compared
from fedvalue.analyses.row_sums import row_sums
from fedvalue.analyses.score import Z95, inside
from fedvalue.analyses.testing_weights import SPLIT, TestingWeights
from fedvalue.privacy.release import Block
from fedvalue.study.cohort import NOT_TESTED

Array = NDArray[np.float64]
ENTRY = "entry"
AGAINST = "tested against not tested"
DEPENDENT = (
    "A small p-value of the groups by day of entry says that being tested went together with how patients "
    "fared: survival of the tested then does not stand for all."
)
UNADJUSTED = "Untested patients are followed from day zero; the comparison with them is not adjusted."


@dataclass(frozen=True, slots=True)
class DelayedEntryTest:
    """The analysis ``kind = "delayed_entry"``.

    Attributes:
      endpoint: Name of a time-to-event endpoint.
      edges: Its grid, in days.
      tested: Name of a variant variable.
      untested_level: Index of its level ``not tested``.
      split: Days that divide the days of entry, increasing.
      at: Days at which survival is stated.
      weights: Strata by which testing is weighted; None for none.
    """

    endpoint: str
    edges: tuple[float, ...]
    tested: str
    untested_level: int
    split: tuple[float, ...]
    at: tuple[float, ...] = ()
    weights: TestingWeights | None = None

    @property
    def label(self) -> str:
        """Unique in the study."""
        return f"delayed_entry:{self.endpoint}:{self.tested}"

    @property
    def bins(self) -> tuple[str, ...]:
        """Names of the groups by day of entry."""
        until = tuple(f"by day {day:g}" for day in self.split)
        return ("at day 0", *until, f"after day {self.split[-1]:g}")

    @property
    def _curves(self) -> KaplanMeierByGroup:
        groups = Groups((ENTRY,), ((*self.bins, NOT_TESTED),))
        return KaplanMeierByGroup(self.endpoint, groups, self.edges, entry_at_zero=False, at=self.at)

    def rounds(self) -> tuple[Ask, ...]:
        """One release: risk tables by day of entry and of the untested, and sums of waiting time."""
        (ask,) = self._curves.rounds()
        waiting = Block("waiting", 5, Fraction(5), counting=False)
        blocks = (*ask.blocks, waiting)
        weights: tuple[Fraction, ...] = (Fraction(9, 20), Fraction(9, 20), Fraction(1, 10))
        if self.weights is not None:
            added = self.weights.blocks()
            blocks = (*blocks, *(block for block, _ in added))
            weights = tuple(weight / 2 for weight in (*weights, *(weight for _, weight in added)))
        return (Ask("entries", blocks, weights),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count patients by entry and exit cell in their bin of entry, and sum their waiting times."""
        curves, nothing = self._curves, np.zeros(cohort.patients)
        outcome = cohort.survival.get(
            self.endpoint, SurvivalOutcome(nothing, nothing, np.full(cohort.patients, -1))
        )
        code = cohort.categories.get(self.tested, np.full(cohort.patients, -1))
        untested, with_test = code == self.untested_level, (code >= 0) & (code < self.untested_level)
        entry = np.where(np.isfinite(outcome.entry), outcome.entry, -1.0)
        by_day = np.where(entry <= 0, 0, 1 + np.searchsorted(np.asarray(self.split), entry, side="left"))
        group = np.select([untested, with_test & (entry >= 0)], [len(self.bins), by_day], default=-1)
        grouped = Cohort(cohort.patients, {ENTRY: group.astype(np.int64)}, survival={self.endpoint: outcome})
        _, _, _, counts = curves.cells(outcome)
        counted = counts & with_test & (entry >= 0)
        horizon = self.edges[-1]
        waited = np.clip(np.where(counted, entry, 0.0) / horizon, 0.0, 1.0)
        seen = np.maximum(np.clip(np.where(counted, outcome.exit, 0.0) / horizon, 0.0, 1.0), waited)

        def rows(part: slice) -> dict[str, Array]:
            w, u = waited[part], seen[part]
            return {"waiting": np.column_stack((w, u, w**2, w * u, u**2))}

        times = Ask("times", tuple(b for b in ask.blocks if b.name == "waiting"), ())
        return {
            **curves.contribution(grouped, ask, scaling),
            **row_sums(cohort.patients, rows, times, scaling),
            **({} if self.weights is None else self.weights.contribution(cohort, scaling)),
        }

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Test the bins of entry against each other, and show tested beside untested."""
        released, curves = sum_of(self.rounds()[0]), self._curves
        tables = curves.tables(released, terms.exact)
        bins, untested = tables[: len(self.bins)], tables[len(self.bins)]
        by_entry, said = compared(bins, Groups((ENTRY,), (self.bins,)), terms)
        strata = list(by_entry[:-1])
        whole = by_entry[-1]
        share = _share(released["waiting"], terms)
        if share is not None:
            estimates = {**whole.estimates, "share of time before entry": share}
            whole = Stratum(name=whole.name, status="estimated", estimates=estimates)
        strata.append(whole.model_copy(update={"name": EVERYBODY}))
        pair = Groups(("",), ((NOT_TESTED, "tested"),))
        both, _ = compared([untested, together(bins)], pair, terms)
        for name, table, test in zip(
            (NOT_TESTED, "tested"), (untested, together(bins)), both[:2], strict=True
        ):
            strata.append(_beside(curves.stratum(name, table, terms), test))
        strata.append(both[2].model_copy(update={"name": AGAINST}))
        notes = (DELAYED_ENTRY, *said, DEPENDENT, UNADJUSTED)
        if self.weights is not None:
            strata += self.weights.strata(released, terms)
            notes = (*notes, SPLIT)
        return Conclusion(
            label=self.label, kind="delayed_entry", endpoint=self.endpoint, by=(ENTRY,),
            strata=tuple(strata), notes=notes,
        )  # fmt: skip


def _beside(curve: Stratum, test: Stratum) -> Stratum:
    """A curve's stratum with the hazard ratio of the comparison.

    It has no interval: who is never tested depends on how long patients live, so that the risk sets are not
    those of a test. `TestingWeights` compares what can be compared.
    """
    if curve.status != "estimated" or "hazard ratio" not in test.estimates:
        return curve
    ratio = test.estimates["hazard ratio"].model_copy(update={"lower": None, "upper": None})
    estimates = {**curve.estimates, "hazard ratio": ratio}
    return curve.model_copy(update={"estimates": estimates})


def _share(block: NoisyBlock, terms: Terms) -> Estimate | None:
    """Waiting over waiting and observed time of the tested, a ratio of sums; None where noise drowns it."""
    waited, whole, squared, cross, squared_whole = (float(v) for v in block.values)
    if whole <= 0 or (not terms.exact and math.sqrt(block.variance) > whole / 3):
        return None
    share = min(max(waited / whole, 0.0), 1.0)
    sampling = max(squared - 2 * share * cross + share**2 * squared_whole, 0.0) / whole**2
    privacy = block.variance * (1 + share**2) / whole**2
    share, lower, upper = inside(waited / whole, Z95 * math.sqrt(sampling + privacy), 0.0, 1.0)
    return Estimate(
        value=share, unit="probability", lower=lower, upper=upper,
        sampling_variance=sampling, privacy_variance=privacy,
    )  # fmt: skip
