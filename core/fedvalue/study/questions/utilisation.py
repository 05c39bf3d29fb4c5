"""``kind = "utilisation"``: how often something was done, repeats, and whether it was indicated."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, groups_in_words

MOST_TIMES = 60


class Utilisation(Question):
    """Times per patient, who had it at all, who had it again, and indication match, by group.

    Attributes:
      variable: A count with the clip ``[0, K]``, K a whole number.
      by: Variables with levels.
      indication: A number that is 1 or more where it was indicated, such as a count of diagnoses.
    """

    kind: Literal["utilisation"]
    variable: Name
    by: tuple[Name, ...] = Field(default=(), strict=False)
    indication: Name | None = None

    def require_fits(self, measured: Measured) -> None:
        """Check the count, the indication and the groups."""
        low, high = measured.number(self.variable)
        if low != 0 or high != int(high) or not 1 <= high <= MOST_TIMES:
            raise ValueError(
                f"variable = {self.variable!r} has the clip [{low:g}, {high:g}]; a count from 0 to "
                f"a whole number of at most {MOST_TIMES} is needed"
            )
        if self.indication is not None:
            measured.number(self.indication, "indication")
        measured.require_groups(self.by)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        _, high = measured.number(self.variable)
        match = "" if self.indication is None else f", and whether it was indicated ({self.indication})"
        return (
            f"How often patients had {self.variable} (up to {high:g} times) and who had it again{match}"
            f"{groups_in_words(self.by)}"
        )
