"""``kind = "difference_in_differences"``: what changed where a policy applies, beside where it does not."""

from __future__ import annotations

from datetime import date
from typing import Literal

from fedvalue.study.model import Level, Name
from fedvalue.study.questions.question import Measured, Question


class DifferenceInDifferences(Question):
    """How much more a number changed in one group than in another.

    Attributes:
      of: A variable with a clip or a binary endpoint.
      calendar: A variable with the calendar day of the index day.
      change: Day from which the policy applies.
      group: A variable with levels.
      applies: Its level where the policy applies.
      compared: The level that it is compared with.
    """

    kind: Literal["difference_in_differences"]
    of: Name
    calendar: Name
    change: date
    group: Name
    applies: Level
    compared: Level

    def require_fits(self, measured: Measured) -> None:
        """Check everything, and that the change lies inside the horizon."""
        measured.amount(self.of, "of")
        first, last = measured.calendar_days(self.calendar)
        if not (self.change - first).days > 1 or not self.change <= last:
            raise ValueError(f"change = {self.change} does not lie between {first} and {last}")
        levels = measured.levels(self.group, "group")
        for key, level in (("applies", self.applies), ("compared", self.compared)):
            if level not in levels:
                raise ValueError(f"{key} = {level!r} is no level of {self.group}; it has {list(levels)}")
        if self.applies == self.compared:
            raise ValueError("compared is the same level as applies")

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        first, last = measured.calendar_days(self.calendar)
        return (
            f"How much more the mean {self.of} changed on {self.change} with {self.group}={self.applies} "
            f"than with {self.group}={self.compared}, of patients from {first} to {last}"
        )
