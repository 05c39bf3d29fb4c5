"""``kind = "adverse_events"``: patients by the worst grade of their adverse events, by group."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, groups_in_words
from fedvalue.study.sources import GRADES


class AdverseEvents(Question):
    """Shares of patients by worst grade, by group.

    Attributes:
      variable: A variable with the levels of a grade.
      by: Variables with levels.
    """

    kind: Literal["adverse_events"]
    variable: Name
    by: tuple[Name, ...] = Field(default=(), strict=False)

    def require_fits(self, measured: Measured) -> None:
        """Check grades and groups."""
        if measured.levels(self.variable, "variable") != GRADES:
            raise ValueError(f"variable = {self.variable!r} has not the levels {list(GRADES)} of a grade")
        measured.require_groups(self.by)
        if self.variable in self.by:
            raise ValueError(f"variable = {self.variable!r} stands in by too")

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        del measured
        return f"Patients by the worst grade of {self.variable}{groups_in_words(self.by)}"
