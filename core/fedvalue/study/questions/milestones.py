"""``kind = "milestones"``: instalments that were due, passed, failed or cannot be told, by group."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import Field, model_validator

from fedvalue.study.model import Duration, Name, duration_days
from fedvalue.study.questions.question import Measured, Question, groups_in_words

MOST = 24


class Milestones(Question):
    """Milestones of a payment by instalments, by group.

    Attributes:
      endpoint: A time-to-event endpoint; its event fails a milestone.
      by: Variables with levels.
      at: When milestones fall due after the index day, increasing.
      calendar: Variable with the calendar day of the index day; left out, every milestone counts as due.
      as_of: Day of the account, for ``calendar``.
    """

    kind: Literal["milestones"]
    endpoint: Name
    by: tuple[Name, ...] = Field(default=(), strict=False)
    at: tuple[Duration, ...] = Field(strict=False, min_length=1, max_length=MOST)
    calendar: Name | None = None
    as_of: date | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.calendar is None) != (self.as_of is None):
            raise ValueError("calendar and as_of go together")
        return self

    def require_fits(self, measured: Measured) -> None:
        """Check endpoint, groups, times and calendar."""
        endpoint = measured.time_to_event(self.endpoint)
        measured.require_groups(self.by)
        days = [duration_days(time) for time in self.at]
        if days != sorted(set(days)):
            raise ValueError(f"at = {list(self.at)} must increase")
        if days[-1] > endpoint.edges[-1]:
            raise ValueError(f"at = {self.at[-1]!r} is past the endpoint's until = {endpoint.until!r}")
        if self.calendar is not None:
            measured.calendar_days(self.calendar)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        endpoint = measured.time_to_event(self.endpoint)
        due = "" if self.as_of is None else f" that were due by {self.as_of}"
        return (
            f"How many milestones at {', '.join(self.at)}{due} were passed without "
            f"{' or '.join(endpoint.events)}, failed, or cannot be told{groups_in_words(self.by)}"
        )
