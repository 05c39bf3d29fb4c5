"""Parts of a standard that reads more than one share: its quantities and its criteria."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from fedvalue.payment.parameters import Unit
from fedvalue.study.model import Line, Name, Part
from fedvalue.study.schema import Text

Statistic = Literal["proportion", "survival", "curve", "estimate", "held"]


class Quantity(Part):
    """One number that evidence, or the payer's own books, supply.

    Attributes:
      text: For people.
      statistic: ``proportion``: released counts of an outcome; ``survival``: S at ``day``; ``curve``: S at
        every month of the contract; ``estimate``: a named estimate of any analysis; ``held``: an exact
        figure of the payer's statement, of the quantity's own name.
      unit: Unit of the number.
      missing: How a missing outcome counts, for a proportion.
      day: Name of the parameter that holds the day, for survival.
      analysis: Kind of the analysis, for an estimate; None takes the one that names the endpoint and group.
      stratum: Group of the analysis, where it is not one of the study's levels, such as ``difference``.
      estimate: Name of the estimate in that group.
    """

    text: Text
    statistic: Statistic
    unit: Unit
    missing: Literal["non_response", "exclude"] | None = None
    day: Name | None = None
    analysis: Name | None = None
    stratum: Line | None = None
    estimate: Line | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {
            "missing": self.statistic == "proportion",
            "day": self.statistic == "survival",
            "estimate": self.statistic == "estimate",
        }
        for key, required in needed.items():
            if required != (getattr(self, key) is not None):
                raise ValueError(f"{key} goes with another statistic than {self.statistic}, or is missing")
        if self.statistic != "estimate" and self.analysis is not None:
            raise ValueError("analysis goes with statistic: estimate")
        return self


class CriterionOf(Part):
    """One bar. Several bars of a standard are met together or not at all.

    Attributes:
      of: A quantity, or one that the mechanism derives.
      direction: On which side of the threshold it is met.
      threshold: Name of the dated parameter that holds tau.
      reference: Name of the parameter that holds what is expected anyway; None where none is declared.
    """

    of: Name
    direction: Literal["at_least", "at_most"]
    threshold: Name
    reference: Name | None = None
