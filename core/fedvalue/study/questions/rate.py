"""``kind = "rate"``: events per person-year, by group."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, entry_in_words, groups_in_words


class Rate(Question):
    """First events per person-year up to the endpoint's horizon, by group.

    Attributes:
      endpoint: A time-to-event endpoint.
      by: Variables with levels.
      per: Person-years that the rate is stated for.
    """

    kind: Literal["rate"]
    endpoint: Name
    by: tuple[Name, ...] = Field(default=(), strict=False)
    per: Literal[1, 100, 1000, 10000, 100000] = 100

    def require_fits(self, measured: Measured) -> None:
        """Check endpoint and groups."""
        measured.time_to_event(self.endpoint)
        measured.require_groups(self.by)

    def times(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the endpoint and the variables that say from when a patient counts."""
        return ((self.endpoint, self.by),)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        endpoint = measured.time_to_event(self.endpoint)
        entry = entry_in_words(self.endpoint, self.by, measured)
        return (
            f"First {' or '.join(endpoint.events)} per {self.per} person-years within {endpoint.until}"
            f"{groups_in_words(self.by)}; patients count from {entry}"
        )
