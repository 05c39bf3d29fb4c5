"""What a variable can be made of besides a column: records counted, the worst grade, the calendar."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import Field, model_validator

from fedvalue.study.model import Code, Part, Window

CODED = ("drug", "condition", "procedure", "admission", "adverse_event")
"""Tables whose records have a code."""

GRADES = ("none", "1", "2", "3", "4", "5")
"""Levels of a worst grade: no such event, then the grades of CTCAE 5.0; 5 is death."""


class RecordCount(Part):
    """On how many different days a patient has a record.

    Attributes:
      of: The table.
      codes: Codes that count, for tables with codes; empty: any.
      gene: For ``test``: only tests that looked at this gene.
      within: Days from the index day, both ends included.
    """

    of: Literal["drug", "condition", "procedure", "admission", "adverse_event", "claim", "test"]
    codes: tuple[Code, ...] = Field(default=(), strict=False)
    gene: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9-]{1,19}$")
    within: Window

    @model_validator(mode="after")
    def _codes_where_there_are_any(self) -> Self:
        if self.codes and self.of not in CODED:
            raise ValueError(f"records of {self.of} have no codes")
        if self.gene is not None and self.of != "test":
            raise ValueError("only tests have a gene")
        return self


class WorstGrade(Part):
    """The worst grade of a patient's adverse events.

    Attributes:
      codes: Events that count; empty: any.
      within: Days from the index day, both ends included.
    """

    codes: tuple[Code, ...] = Field(default=(), strict=False)
    within: Window


def day_number(value: date) -> float:
    """Return days since 1970-01-01."""
    return float((value - date(1970, 1, 1)).days)
