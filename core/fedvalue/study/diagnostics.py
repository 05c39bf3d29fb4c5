"""``[diagnostics]``: what every study checks about its own data, with a standing share of its budget."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from fedvalue.study.model import Name, Part

STANDING_SHARE = 0.15
"""Share of every study's rho, unless the study says otherwise."""


class Diagnostics(Part):
    """Attrition, missing values, balance and follow-up, in the first release beside the analyses.

    Attributes:
      share: Of the study's rho; the budgets of the analyses are shares of the rest. 0 checks nothing.
      balance: Variable whose levels are compared; left out: the first that makes groups of an analysis.
    """

    share: float = Field(default=STANDING_SHARE, ge=0, le=0.5)
    balance: Name | None = None

    @model_validator(mode="after")
    def _balance_needs_a_share(self) -> Self:
        if self.balance is not None and not self.share:
            raise ValueError("balance needs a share above 0")
        return self

    def in_words(self) -> str:
        """Say what is checked."""
        if not self.share:
            return "Diagnostics: none, as the study states."
        compared = (
            f"balance between the levels of {self.balance}" if self.balance else "balance between groups"
        )
        return (
            "Diagnostics: how many patients each step of the selection leaves, missing values, "
            f"{compared}, length of follow-up; {self.share * 100:.3g}% of the budget."
        )


def absent(value: object) -> bool:
    """Tell whether there are none: the canonical form leaves them out then, as before they existed."""
    return isinstance(value, Diagnostics) and not value.share
