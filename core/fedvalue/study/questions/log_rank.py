"""``kind = "log_rank"``: do groups survive alike?"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, entry_in_words, groups_in_words


class LogRank(Question):
    """Test of equal survival of groups, with hazard ratios against the first group.

    Attributes:
      endpoint: A time-to-event endpoint.
      by: Variables with levels; at least two groups.
    """

    kind: Literal["log_rank"]
    endpoint: Name
    by: tuple[Name, ...] = Field(strict=False, min_length=1)

    def require_fits(self, measured: Measured) -> None:
        """Check endpoint and groups."""
        measured.time_to_event(self.endpoint)
        measured.require_groups(self.by)
        if all(len(measured.levels(name)) == 1 for name in self.by):
            raise ValueError(f"by = {list(self.by)} makes one group; a comparison needs two")

    def times(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the endpoint and the variables that say from when a patient counts."""
        return ((self.endpoint, self.by),)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        endpoint = measured.time_to_event(self.endpoint)
        entry = entry_in_words(self.endpoint, self.by, measured)
        return (
            f"Whether survival without {' or '.join(endpoint.events)} over {endpoint.until} is the same"
            f"{groups_in_words(self.by)} (log-rank test); patients count from {entry}"
        )
