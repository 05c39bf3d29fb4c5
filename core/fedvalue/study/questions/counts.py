"""``kind = "counts"``: patients by group, or a cross-table of groups by one more variable."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import MAX_GROUPS, Measured, Question, groups_in_words


class Counts(Question):
    """Patients by group, and how a variable's levels are shared out within each group.

    Attributes:
      by: Variables with levels: rows.
      across: A variable with levels: columns; left out, patients are counted and nothing else.
    """

    kind: Literal["counts"]
    by: tuple[Name, ...] = Field(default=(), strict=False)
    across: Name | None = None

    def require_fits(self, measured: Measured) -> None:
        """Check rows and columns."""
        measured.require_groups(self.by)
        if self.across is None:
            return
        if self.across in self.by:
            raise ValueError(f"across = {self.across!r} stands in by too")
        cells = len(measured.levels(self.across, "across"))
        for name in self.by:
            cells *= len(measured.levels(name))
        if cells > 10 * MAX_GROUPS:
            raise ValueError(f"across makes {cells} cells; at most {10 * MAX_GROUPS} are allowed")

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        del measured
        what = "patients" if self.across is None else f"patients with each level of {self.across}"
        return f"The number of {what}{groups_in_words(self.by)}"
