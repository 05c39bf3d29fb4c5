"""``kind = "spend"``: what was spent in all, against a public budget."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, groups_in_words


class Spend(Question):
    """Total of a cost, by group, and its share of a budget.

    Attributes:
      variable: A variable with a clip.
      limit: The budget for everybody, in the variable's unit, above 0.
      by: Variables with levels.
    """

    kind: Literal["spend"]
    variable: Name
    limit: float = Field(gt=0)
    by: tuple[Name, ...] = Field(default=(), strict=False)

    def require_fits(self, measured: Measured) -> None:
        """Check variable and groups."""
        measured.number(self.variable)
        measured.require_groups(self.by)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        unit = measured.variables[self.variable].unit
        return (
            f"The total of {self.variable}{groups_in_words(self.by)}, against a budget of "
            f"{self.limit:,.15g} {unit}"
        )
