"""Log-rank test: the release of Kaplan-Meier, concluded as a test that its groups survive alike.

Each patient fills an entry and an exit cell, as in `kaplan_meier`; `rank_test` has the test. A study that
asks for the curves anyway gets the test without a further price: ``kaplan_meier`` with ``compare = true``.

Mantel, N. Evaluation of survival data and two new rank order statistics. Cancer Chemotherapy Reports 50
(1966) 163-170. Left truncation: Klein, Moeschberger, Survival analysis, 2nd edition (2003), section 7.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Ask, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion
from fedvalue.analyses.kaplan_meier import DELAYED_ENTRY, EVERYBODY_AT_ZERO, KaplanMeierByGroup
from fedvalue.analyses.rank_test import compared


@dataclass(frozen=True, slots=True)
class LogRankByGroup:
    """The analysis ``kind = "log_rank"``: the release of Kaplan-Meier, concluded as a test.

    Attributes:
      curves: The groups on their grid.
    """

    curves: KaplanMeierByGroup

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("log_rank", self.curves.endpoint, *self.curves.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release: numbers at risk and events, for each group."""
        return self.curves.rounds()

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients by entry and exit cell, as Kaplan-Meier does."""
        return self.curves.contribution(cohort, ask, scaling)

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Compare the groups."""
        tables = self.curves.tables(sum_of(self.rounds()[0]), terms.exact)
        strata, notes = compared(tables, self.curves.groups, terms)
        entry = EVERYBODY_AT_ZERO if self.curves.entry_at_zero else DELAYED_ENTRY
        return Conclusion(
            label=self.label, kind="log_rank", endpoint=self.curves.endpoint, by=self.curves.groups.by,
            strata=strata, notes=(entry, *notes),
        )  # fmt: skip
