"""``kind = "interrupted_time_series"``: did a line of months jump or bend when a policy changed?"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, groups_in_words


class InterruptedTimeSeries(Question):
    """Change of level and slope of a monthly line, by group.

    Attributes:
      calendar: A variable with the calendar day of the index day.
      change: First day of the first month after the change.
      of: A variable with a clip or a binary endpoint; left out: the number of patients.
      by: Variables with levels.
    """

    kind: Literal["interrupted_time_series"]
    calendar: Name
    change: date
    of: Name | None = None
    by: tuple[Name, ...] = Field(default=(), strict=False)

    def require_fits(self, measured: Measured) -> None:
        """Check calendar, number, groups and that the change lies inside the horizon."""
        first, last = measured.calendar_days(self.calendar)
        if self.of is not None:
            measured.amount(self.of, "of")
        measured.require_groups(self.by)
        if self.change.day != 1:
            raise ValueError(f"change = {self.change} is no first day of a month")
        before = (self.change.year - first.year) * 12 + self.change.month - first.month
        after = (last.year - self.change.year) * 12 + last.month - self.change.month + 1
        if min(before, after) < 3:
            raise ValueError(f"change = {self.change} leaves fewer than three months on one side")

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        first, last = measured.calendar_days(self.calendar)
        what = "the number of patients" if self.of is None else f"the mean {self.of}"
        return (
            f"Whether {what} by month from {first} to {last} jumped or bent on {self.change}"
            f"{groups_in_words(self.by)}"
        )
