"""``kind = "proportion"``: the share of patients with a binary outcome, by group."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, groups_in_words


class Proportion(Question):
    """Share of patients with a binary outcome, by group.

    Attributes:
      endpoint: A binary endpoint.
      by: Variables with levels.
    """

    kind: Literal["proportion"]
    endpoint: Name
    by: tuple[Name, ...] = Field(default=(), strict=False)

    def require_fits(self, measured: Measured) -> None:
        """Check endpoint and groups."""
        measured.binary(self.endpoint)
        measured.require_groups(self.by)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        endpoint = measured.binary(self.endpoint)
        missing = (
            "a missing outcome counts as failure"
            if endpoint.missing == "non_response"
            else "missing outcomes are left out"
        )
        how = endpoint.what or f"column {endpoint.column}"
        if endpoint.within_days is not None:
            how = f"an unplanned stay within {endpoint.within_days} days of discharge"
        if endpoint.targets:
            how = "every limit kept"
        return f"The share of patients with {self.endpoint} ({how}){groups_in_words(self.by)}; {missing}"
