"""``kind = "competing_risks"``: how many had which event first, by when."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Duration, Name
from fedvalue.study.questions.question import (
    Measured,
    Question,
    entry_in_words,
    groups_in_words,
    require_followed,
)


class CompetingRisks(Question):
    """Cumulative incidence of each event kind of an endpoint, by group.

    Attributes:
      endpoint: A time-to-event endpoint with two event kinds or more; the first event of a patient counts.
      by: Variables with levels.
      at: Times at which the incidence is stated, such as ``["6 months"]``.
    """

    kind: Literal["competing_risks"]
    endpoint: Name
    by: tuple[Name, ...] = Field(default=(), strict=False)
    at: tuple[Duration, ...] = Field(default=(), strict=False)

    def require_fits(self, measured: Measured) -> None:
        """Check endpoint, groups and times."""
        endpoint = measured.time_to_event(self.endpoint)
        if len(endpoint.events) < 2:
            raise ValueError(
                f"endpoint = {self.endpoint!r} has one kind of event; competing risks need two or more"
            )
        measured.require_groups(self.by)
        require_followed(self.at, endpoint)

    def times(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the endpoint and the variables that say from when a patient counts."""
        return ((self.endpoint, self.by),)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        endpoint = measured.time_to_event(self.endpoint)
        entry = entry_in_words(self.endpoint, self.by, measured)
        return (
            f"The share of patients with each of {', '.join(endpoint.events)} first, over {endpoint.until}, "
            f"in steps of {endpoint.grid}{groups_in_words(self.by)}; patients count from {entry}"
        )
