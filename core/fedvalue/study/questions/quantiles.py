"""``kind = "quantiles"``: median and other quantiles of a number, by group."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, groups_in_words

CELLS = Literal[16, 32, 64, 128, 256]


class Quantiles(Question):
    """Quantiles of a number, by group, on a public grid.

    Attributes:
      variable: A variable with a clip.
      by: Variables with levels.
      at: Shares in (0, 1), increasing.
      cells: Cells of the grid.
      spacing: ``even``; ``growing``: cells widen with their number, for costs, of which most are small.
    """

    kind: Literal["quantiles"]
    variable: Name
    by: tuple[Name, ...] = Field(default=(), strict=False)
    at: tuple[float, ...] = Field(default=(0.25, 0.5, 0.75), strict=False, min_length=1, max_length=20)
    cells: CELLS = 64
    spacing: Literal["even", "growing"] = "even"

    def require_fits(self, measured: Measured) -> None:
        """Check variable, groups and shares."""
        measured.number(self.variable)
        measured.require_groups(self.by)
        if list(self.at) != sorted(set(self.at)) or not 0 < self.at[0] <= self.at[-1] < 1:
            raise ValueError(f"at = {list(self.at)} must increase and lie between 0 and 1")

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        low, high = measured.number(self.variable)
        unit = measured.variables[self.variable].unit
        shares = ", ".join(f"{100 * q:g}%" for q in self.at)
        return (
            f"The values of {self.variable} below which {shares} of the patients lie, on {self.cells} "
            f"{self.spacing} cells from {low:g} to {high:g} {unit}{groups_in_words(self.by)}"
        )
