"""``kind = "kaplan_meier"``: survival curve, median and restricted mean, by group."""

from __future__ import annotations

import operator
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


class KaplanMeier(Question):
    """Survival curve, median and restricted mean, by group.

    Attributes:
      endpoint: A time-to-event endpoint.
      by: Variables with levels.
      at: Times at which survival is stated, such as ``["6 months"]``.
      compare: Whether the groups are tested to survive alike (log-rank), from the same release.
    """

    kind: Literal["kaplan_meier"]
    endpoint: Name
    by: tuple[Name, ...] = Field(default=(), strict=False)
    at: tuple[Duration, ...] = Field(default=(), strict=False)
    compare: bool = Field(default=False, exclude_if=operator.not_)

    def require_fits(self, measured: Measured) -> None:
        """Check endpoint, groups and times."""
        endpoint = measured.time_to_event(self.endpoint)
        measured.require_groups(self.by)
        if self.compare and not self.by:
            raise ValueError("compare = true needs groups: name variables in by")
        require_followed(self.at, endpoint)

    def times(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the endpoint and the variables that say from when a patient counts."""
        return ((self.endpoint, self.by),)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        endpoint = measured.time_to_event(self.endpoint)
        entry = entry_in_words(self.endpoint, self.by, measured)
        return (
            f"Survival without {' or '.join(endpoint.events)} over {endpoint.until}, "
            f"in steps of {endpoint.grid}{groups_in_words(self.by)}"
            f"{', with a log-rank test' if self.compare else ''}; patients count from {entry}"
        )
