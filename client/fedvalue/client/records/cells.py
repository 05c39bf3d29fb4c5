"""What a mapping says of one value: where it stands and how it is read."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from fedvalue.study.model import DAYS_PER, Part

IGNORE = "ignore"
"""A code that leaves a row out on purpose."""
DATE_FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S",
)  # fmt: skip
TIME_FORMATS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S", *DATE_FORMATS,
)  # fmt: skip
"""Where the time of the day counts, unless the mapping says otherwise."""
_PATTERN = re.compile(r"(?:[^%]|%[YymdHIMSfjbBpz%])+")
_WHOLE = re.compile(r"([+-]?\d+)\.0+")


def plain_code(text: str) -> str:
    """Return ``"1"`` for ``"1.0"``, what a spreadsheet makes of a whole number; other text trimmed."""
    text = text.strip()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


class Section(Part):
    """A frozen part of a mapping file that names the keys it allows."""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if isinstance(value, dict):
            allowed = [field.alias or name for name, field in cls.model_fields.items()]
            if unknown := [str(key) for key in value if key not in allowed]:
                raise ValueError(
                    f"unknown key {', '.join(map(repr, unknown))}; allowed: {', '.join(allowed)}"
                )
        return value


class Cell(Section):
    """One value of a row. A bare text in the file is the name of a column.

    Attributes:
      column: Name of the column.
      columns: Several columns, one value each.
      constant: The same text for every row.
      row_number: The number of the row, as text.
      file_name: The file's name up to its first point: one file a patient.
      codes: Local code to ours.
      separator: The cell holds several values, parted by this text.
      first_characters: Keep only so many characters.
      type: How an attribute of a patient is read.
    """

    column: str | None = Field(default=None, min_length=1)
    columns: tuple[str, ...] = Field(default=(), strict=False)
    constant: str | None = Field(default=None, min_length=1)
    row_number: Literal[True] | None = None
    file_name: Literal[True] | None = Field(default=None, exclude_if=lambda given: given is None)
    codes: dict[str, str] = {}
    separator: str | None = Field(default=None, min_length=1, max_length=5)
    first_characters: int | None = Field(default=None, ge=1, le=100)
    type: Literal["text", "number"] = "text"

    @model_validator(mode="before")
    @classmethod
    def _bare_text_is_a_column(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = (
            self.column is not None,
            bool(self.columns),
            self.constant is not None,
            self.row_number is not None,
            self.file_name is not None,
        )
        if sum(given) != 1:
            raise ValueError("give exactly one of column, columns, constant, row_number, file_name")
        keys = [plain_code(key) for key in self.codes]
        if len(set(keys)) != len(keys):
            raise ValueError("codes: two keys mean the same code ('1' also matches '1.0')")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The columns it reads."""
        return (self.column,) if self.column is not None else self.columns

    @property
    def several(self) -> bool:
        """True where one row may hold more than one value."""
        return bool(self.columns) or self.separator is not None

    def require_results(self, allowed: Collection[str], key: str) -> None:
        """Check that constant and codes lead only to codes we know.

        Raises:
          ValueError: names the first other one.
        """
        for result in [self.constant] if self.constant is not None else self.codes.values():
            if result not in allowed and not (result == IGNORE and self.codes):
                raise ValueError(f"{key}: {result!r} is not one of {', '.join(allowed)}")


class Day(Section):
    """One day of a row: a date, a number on the hospital's own scale, or a time since the patient's origin.

    Attributes:
      date: Column with a calendar date.
      time: Column with the time of the day, where that is a column of its own; of measurements only.
      ``format``
        is then of both, with one blank between them.
      day: Column with a day number on the scale of all tables.
      duration: Column with a time since the patient's origin, never negative.
      format: strptime patterns of a date, tried in order.
      unit: Of ``day`` and ``duration``.
    """

    date: str | None = Field(default=None, min_length=1)
    day: str | None = Field(default=None, min_length=1)
    duration: str | None = Field(default=None, min_length=1)
    format: tuple[str, ...] = Field(default=DATE_FORMATS, strict=False, min_length=1)
    unit: Literal["days", "weeks", "months", "years"] = "days"
    time: str | None = Field(default=None, min_length=1, exclude_if=lambda given: given is None)

    @model_validator(mode="after")
    def _time_of_a_date(self) -> Self:
        if self.time is not None and self.date is None:
            raise ValueError("time belongs to date")
        return self

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if sum(column is not None for column in (self.date, self.day, self.duration)) != 1:
            raise ValueError("give exactly one of date, day, duration")
        if self.date is None and "format" in self.model_fields_set:
            raise ValueError("format belongs to date")
        for pattern in self.format:
            if _PATTERN.fullmatch(pattern) is None or not {"%Y", "%y"} & set(re.findall("%.", pattern)):
                raise ValueError(f"format: {pattern!r} is no strptime pattern of a date, such as '%d.%m.%Y'")
        if self.date is not None and "unit" in self.model_fields_set:
            raise ValueError("unit belongs to day and duration")
        return self

    @property
    def column(self) -> str:
        """The column it reads."""
        return self.date or self.day or self.duration or ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column it reads."""
        return (self.column,) if self.time is None else (self.column, self.time)

    @property
    def scale(self) -> float:
        """Days per unit."""
        return DAYS_PER[self.unit.removesuffix("s")]
