"""``kind = "by_site"``: how far hospitals differ, and what a new one may expect."""

from __future__ import annotations

from typing import Literal

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question


class BySite(Question):
    """A mean or share at each site: noisy values of single sites are published.

    Every site's policy has to allow that with ``release_site_values``.

    Attributes:
      variable: A numeric variable, or a binary endpoint as 0 and 1.
    """

    kind: Literal["by_site"]
    variable: Name

    def require_fits(self, measured: Measured) -> None:
        """Check the variable."""
        measured.amount(self.variable)

    def tells_of_sites(self) -> bool:
        """Values of single sites are what is asked for."""
        return True

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        del measured
        return (
            f"{self.variable} AT EACH HOSPITAL, published with noise: how far hospitals differ, the mean "
            "without each of them, and what a new hospital may expect"
        )
