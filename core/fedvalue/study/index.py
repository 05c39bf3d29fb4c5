"""What makes day zero of a patient: the index event, and how lines of therapy are told apart."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fedvalue.study.model import Code, Duration, Part

First = Literal["drug", "condition", "procedure", "patient", "line"]


def _absent(value: object) -> bool:
    """Tell whether a key was not given: it is then left out of the canonical form, as before it existed."""
    return value is None


class Index(Part):
    """What makes day zero of a patient.

    Attributes:
      first: ``drug``, ``condition`` or ``procedure``: the day of the first record with one of ``codes``;
        ``line``: the day on which line of therapy ``number`` began, if it holds one of ``codes``;
        ``patient``: the day of origin in the patients table (every patient of the table).
      codes: Codes that count; a trailing ``*`` matches any ending. Empty only for ``patient``, and for
        ``line`` where any drug will do.
      washout: The first record counts that has no other one in so long a time before; without it, the first
        record ever.
      number: Of the line of therapy, from 1.
    """

    first: First
    codes: tuple[Code, ...] = Field(default=(), strict=False)
    washout: Duration | None = Field(default=None, exclude_if=_absent)
    number: int | None = Field(default=None, ge=1, le=20, exclude_if=_absent)

    @model_validator(mode="after")
    def _codes_where_needed(self) -> Self:
        if self.first in ("drug", "condition", "procedure") and not self.codes:
            raise ValueError("codes are required, except with first = 'patient' or 'line'")
        if self.first == "patient" and self.codes:
            raise ValueError("codes are required, except with first = 'patient', which takes none")
        if (self.first == "line") != (self.number is not None):
            raise ValueError("first = 'line' takes a number, and nothing else does")
        if self.washout is not None and self.first in ("patient", "line"):
            raise ValueError("washout is for the first drug, condition or procedure")
        return self

    @property
    def what(self) -> str:
        """The event in words: ``drug L01EB*``, ``line of therapy 1 with L01EB*``."""
        coded = " or ".join(self.codes)
        if self.first == "patient":
            return "known day of origin"
        if self.first == "line":
            return f"line of therapy {self.number}" + (f" with {coded}" if coded else "")
        after = f" after {self.washout} without one" if self.washout is not None else ""
        return f"{self.first} {coded}{after}"


class Lines(Part):
    """How starts of drugs become lines of therapy.

    A line begins with the first drug. Drugs that start within ``combine`` of its beginning belong to it. A
    drug that starts later and is not part of it begins the next line, unless it is one of ``maintenance``; so
    does any drug after ``gap`` without one. Giving a drug up begins no line.

    Attributes:
      codes: Drugs that make lines; others are passed over.
      combine: How long after its beginning a drug still joins a line.
      gap: A longer time without any of the drugs ends a line.
      maintenance: Drugs that carry a line on: they never begin the next one.
    """

    codes: tuple[Code, ...] = Field(strict=False, min_length=1)
    combine: Duration = "28 days"
    gap: Duration = "90 days"
    maintenance: tuple[Code, ...] = Field(default=(), strict=False)
