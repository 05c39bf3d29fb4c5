"""``kind = "monthly"``: patients, and the mean of a number, month by month, for one charge."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, groups_in_words


class Monthly(Question):
    """A line over the months of the index day, by group.

    Attributes:
      calendar: A variable with the calendar day of the index day.
      of: A variable with a clip or a binary endpoint, whose mean is followed; left out: patients alone.
      by: Variables with levels.
    """

    kind: Literal["monthly"]
    calendar: Name
    of: Name | None = None
    by: tuple[Name, ...] = Field(default=(), strict=False)

    def require_fits(self, measured: Measured) -> None:
        """Check calendar, number and groups."""
        measured.calendar_days(self.calendar)
        if self.of is not None:
            measured.amount(self.of, "of")
        measured.require_groups(self.by)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        first, last = measured.calendar_days(self.calendar)
        what = "Patients" if self.of is None else f"Patients and their mean {self.of}"
        return f"{what} month by month from {first} to {last}{groups_in_words(self.by)}"
