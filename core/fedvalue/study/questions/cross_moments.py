"""``kind = "cross_moments"``: cost and effect together, with the covariance that a net benefit needs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, groups_in_words


class CrossMoments(Question):
    """Mean cost, mean effect, how their errors go together, and cost per effect, by group.

    Attributes:
      cost: A variable with a clip.
      effect: Another one, or a binary endpoint.
      by: Variables with levels.
      compare: Whether the first level of the only variable is compared with the second, as they are.
    """

    kind: Literal["cross_moments"]
    cost: Name
    effect: Name
    by: tuple[Name, ...] = Field(default=(), strict=False)
    compare: bool = False

    def require_fits(self, measured: Measured) -> None:
        """Check both quantities and the groups."""
        measured.number(self.cost, "cost")
        if self.effect == self.cost:
            raise ValueError("effect is the same as cost")
        measured.amount(self.effect, "effect")
        measured.require_groups(self.by)
        if self.compare and (len(self.by) != 1 or len(measured.levels(self.by[0])) < 2):
            raise ValueError("compare = true compares two levels of one variable: name it in by")

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        said = f"Mean {self.cost} and mean {self.effect} of the same patients{groups_in_words(self.by)}"
        if not self.compare:
            return said
        first, second = measured.levels(self.by[0])[:2]
        return f"{said}; {first} compared with {second}"
