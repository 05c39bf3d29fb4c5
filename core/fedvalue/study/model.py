"""The strict base of every part of a study file."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

DAYS_PER = {"day": 1.0, "week": 7.0, "month": 365.25 / 12, "year": 365.25}
"""Length of the units that a study file may use, in days; a month is a twelfth of 365.25 days."""

MIN_DAYS = 0.001
MAX_DAYS = 100_000
"""Longest duration, and farthest day of a window, that a study file may name: more than 270 years."""

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(day|week|month|year)s?")
_WINDOW = re.compile(r"(-?[0-9]{1,7})d\.\.(-?[0-9]{1,7})d")
_HIDES = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line breaks, and marks that change the direction of writing."""


class Part(BaseModel):
    """A frozen part of a study: unknown keys are errors, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def duration_days(text: str) -> float:
    """Return the length of ``"6 months"`` or ``"183 days"`` in days.

    Raises:
      ValueError: ``text`` is not a number and one of day, week, month, year.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as '183 days' or '6 months'")
    days = float(match[1]) * DAYS_PER[match[2]]
    if not MIN_DAYS <= days <= MAX_DAYS:
        raise ValueError(f"a duration is at least {MIN_DAYS} and at most {MAX_DAYS} days")
    return days


def window_days(text: str) -> tuple[int, int]:
    """Return the first and last day of ``"-365d..0d"``, both included, counted from the index day.

    Raises:
      ValueError: the text is not such a window, or ends before it starts.
    """
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a window such as '-365d..0d'")
    first, last = int(match[1]), int(match[2])
    if last < first:
        raise ValueError("a window must not end before it starts")
    if max(abs(first), abs(last)) > MAX_DAYS:
        raise ValueError(f"a window stays within {MAX_DAYS} days of the index day")
    return first, last


def one_line(text: str) -> str:
    """Return ``text`` if it is one line that a terminal shows as it stands.

    Raises:
      ValueError: a control character or line break in it could make the words about a study read otherwise.
    """
    if _HIDES.search(text) is not None:
        raise ValueError("the text is one line, without control characters")
    return text


def _checked_duration(text: str) -> str:
    duration_days(text)
    return text.strip()


def _checked_window(text: str) -> str:
    window_days(text)
    return text.strip()


Line = Annotated[str, AfterValidator(one_line)]
"""Text that people read on one line."""

Duration = Annotated[str, AfterValidator(_checked_duration)]
Window = Annotated[str, AfterValidator(_checked_window)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
StudyId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{2,62}$")]
Level = Annotated[
    str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^|=,]+$"), AfterValidator(one_line)
]
Code = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^*\s]+\*?$")]
"""A code of a coding system; a trailing ``*`` means every code that begins so."""
