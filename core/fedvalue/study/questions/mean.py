"""``kind = "mean"``: mean, variance and coefficient of variation of a number, such as cost, by group."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, groups_in_words


class Mean(Question):
    """Mean, variance and coefficient of variation of a number, by group.

    Attributes:
      variable: A variable with a clip.
      by: Variables with levels.
    """

    kind: Literal["mean"]
    variable: Name
    by: tuple[Name, ...] = Field(default=(), strict=False)

    def require_fits(self, measured: Measured) -> None:
        """Check variable and groups."""
        measured.number(self.variable)
        measured.require_groups(self.by)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        low, high = measured.number(self.variable)
        unit = measured.variables[self.variable].unit
        return (
            f"Mean and spread of {self.variable}, clipped to {low:g} .. {high:g} {unit}"
            f"{groups_in_words(self.by)}"
        )
