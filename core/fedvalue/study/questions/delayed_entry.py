"""``kind = "delayed_entry"``: how late patients enter through their test, and whether it matters."""

from __future__ import annotations

import operator
from typing import Literal

from pydantic import Field

from fedvalue.study.cohort import NOT_TESTED
from fedvalue.study.model import Duration, Name, duration_days
from fedvalue.study.questions.question import Measured, Question, require_followed


class DelayedEntry(Question):
    """Time before the genomic report, a test that entry and survival go together, and tested beside untested.

    Attributes:
      endpoint: A time-to-event endpoint whose entry is the later of origin and test report.
      tested: A variant variable: its level ``not tested`` tells who was not.
      split: Times that divide the days of entry, increasing, inside the follow-up.
      at: Times at which survival of tested and untested is stated.
      weights: Variables with levels: tested and untested are also compared with weights that are the inverse
        of the probability of being tested in each group by them.
    """

    kind: Literal["delayed_entry"]
    endpoint: Name
    tested: Name
    split: tuple[Duration, ...] = Field(strict=False, min_length=1, max_length=10)
    at: tuple[Duration, ...] = Field(default=(), strict=False)
    weights: tuple[Name, ...] = Field(default=(), strict=False, exclude_if=operator.not_)

    def require_fits(self, measured: Measured) -> None:
        """Check endpoint, variable and times."""
        endpoint = measured.time_to_event(self.endpoint)
        if endpoint.entry == "origin":
            raise ValueError(f"endpoint = {self.endpoint!r} has everybody enter at its origin")
        if NOT_TESTED not in measured.levels(self.tested, "tested"):
            raise ValueError(f"tested = {self.tested!r} has no level {NOT_TESTED!r}")
        days = [duration_days(one) for one in self.split]
        if days != sorted(set(days)) or days[-1] >= endpoint.edges[-1]:
            raise ValueError("split increases and lies before the endpoint's until")
        measured.require_groups(self.weights, "weights")
        if self.tested in self.weights:
            raise ValueError(f"weights hold {self.tested!r}, the test itself")
        require_followed(self.at, endpoint)

    def times(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the endpoint and the variant whose report delays entry."""
        return ((self.endpoint, (self.tested,)),)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        endpoint = measured.time_to_event(self.endpoint)
        weighted = (
            f", also weighted by the inverse probability of being tested by {' and '.join(self.weights)}"
            if self.weights
            else ""
        )
        return (
            f"How much time passed before the report of {self.tested}, whether "
            f"{' or '.join(endpoint.events)} over {endpoint.until} "
            f"depends on the day of the report (by {', '.join(self.split)} and later), "
            "and survival of tested beside untested patients"
            f"{weighted}"
        )
