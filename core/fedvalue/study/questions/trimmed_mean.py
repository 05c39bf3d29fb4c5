"""``kind = "trimmed_mean"``: mean of a number without outliers, in two passes, by group."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.quantiles import CELLS
from fedvalue.study.questions.question import Measured, Question, groups_in_words


class TrimmedMean(Question):
    """Mean between the fences ``Q1 - w IQR`` and ``Q3 + w IQR``, by group.

    Attributes:
      variable: A variable with a clip.
      by: Variables with levels.
      whiskers: w.
      cells: Cells of the grid on which the quartiles are found.
      spacing: As for quantiles.
    """

    kind: Literal["trimmed_mean"]
    variable: Name
    by: tuple[Name, ...] = Field(default=(), strict=False)
    whiskers: float = Field(default=1.5, ge=0, le=10)
    cells: CELLS = 64
    spacing: Literal["even", "growing"] = "even"

    def require_fits(self, measured: Measured) -> None:
        """Check variable and groups."""
        measured.number(self.variable)
        measured.require_groups(self.by)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        low, high = measured.number(self.variable)
        unit = measured.variables[self.variable].unit
        return (
            f"Mean of {self.variable} without outliers{groups_in_words(self.by)}: a first release finds the "
            f"quartiles between {low:g} and {high:g} {unit}, a second one averages who lies within "
            f"{self.whiskers:g} interquartile ranges of them"
        )
