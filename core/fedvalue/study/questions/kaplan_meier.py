"""``kind = "kaplan_meier"``: survival curve, median and restricted mean, by group."""

from __future__ import annotations

import operator
from typing import Literal

from pydantic import Field

from fedvalue.study.model import Duration, Name, duration_days
from fedvalue.study.questions.question import Measured, Question, entry_at_origin, groups_in_words


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
        for time in self.at:
            if duration_days(time) > endpoint.edges[-1]:
                raise ValueError(f"at = {time!r} is past the endpoint's until = {endpoint.until!r}")

    def times(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the endpoint and the variables that say from when a patient counts."""
        return ((self.endpoint, self.by),)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        endpoint = measured.time_to_event(self.endpoint)
        at_origin = entry_at_origin(self.endpoint, self.by, measured)
        entry = "day zero" if at_origin else "the day of their genomic report"
        return (
            f"Survival without {' or '.join(endpoint.events)} over {endpoint.until}, "
            f"in steps of {endpoint.grid}{groups_in_words(self.by)}"
            f"{', with a log-rank test' if self.compare else ''}; patients count from {entry}"
        )
