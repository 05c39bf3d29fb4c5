"""What is measured: binary outcomes and times to an event, each with how it is assessed."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fedvalue.study.index import Lines
from fedvalue.study.measurements import Target
from fedvalue.study.model import Code, Duration, Name, Part, duration_days

_BEST_BY = re.compile(r"best by day ([0-9]{1,5})")
_STATUS_AT = re.compile(r"status at day ([0-9]{1,5}) within ([0-9]{1,5}) days")
MAX_INTERVALS = 4000
"""Most intervals of a time grid; a daily grid over ten years fits."""


DISCONTINUATION = "discontinuation"
OF_THERAPY = (DISCONTINUATION, "new_treatment")
"""Events that starts of drugs can tell."""


def _absent(value: object) -> bool:
    """Tell whether a key was not given: it is then left out of the canonical form, as before it existed."""
    return value is None or value == ()


class Binary(Part):
    """An outcome that a patient has, has not, or lacks.

    Attributes:
      source: ``response`` reads the response assessments; ``person`` a 0/1 column of the patients table;
        ``readmission`` whether the first stay in hospital was followed by another one; ``targets`` whether
        what was measured keeps to limits.
      method: Who assessed: methods are never pooled without saying so.
      what: ``best by day 183`` (best assessment up to that day), or ``status at day 183 within 28 days``.
      success: Assessment codes that count as the outcome.
      column: The 0/1 column, for ``person``.
      within_days: For ``readmission``: days after discharge in which a stay counts. A stay that begins on
        the day of discharge, or before it, is a transfer and belongs to the same stay.
      planned: For ``readmission``: codes of planned stays, such as chemotherapy cycles; they do not count.
      targets: For ``targets``: the limits, all of which have to be kept.
      missing: ``non_response`` counts a missing outcome as failure (conservative); ``exclude`` leaves it out.
        Death before the day is a failure under both.
    """

    kind: Literal["binary"]
    source: Literal["response", "person", "readmission", "targets"] = "response"
    method: Literal["recist", "clinician", "report_text"] | None = None
    what: str | None = None
    success: tuple[Literal["CR", "PR", "SD", "PD"], ...] = Field(
        default=("CR", "PR"), strict=False, min_length=1
    )
    column: Name | None = None
    within_days: int | None = Field(default=None, ge=1, le=365, exclude_if=_absent)
    planned: tuple[Code, ...] = Field(default=(), strict=False, exclude_if=_absent)
    targets: tuple[Target, ...] = Field(default=(), strict=False, max_length=10, exclude_if=_absent)
    missing: Literal["non_response", "exclude"] = "non_response"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.source == "readmission") != (self.within_days is not None) or (
            self.planned and self.within_days is None
        ):
            raise ValueError("source = 'readmission' takes within_days and planned, and nothing else does")
        if self.source == "readmission":
            if self.column is not None or self.method is not None or self.what is not None:
                raise ValueError("source = 'readmission' takes no method, what or column")
            if self.missing != "exclude":
                raise ValueError("who was never in hospital cannot return to it: missing = 'exclude'")
            return self
        if (self.source == "targets") != bool(self.targets):
            raise ValueError("source = 'targets' takes targets, and nothing else does")
        if self.source == "targets":
            if self.column is not None or self.method is not None or self.what is not None:
                raise ValueError("source = 'targets' takes no method, what or column")
            return self
        if self.source == "person":
            if self.column is None or self.method is not None or self.what is not None:
                raise ValueError("source = 'person' takes a column, and no method or what")
            return self
        if self.method is None or self.what is None or self.column is not None:
            raise ValueError("source = 'response' takes method and what, and no column")
        if _BEST_BY.fullmatch(self.what) is None and _STATUS_AT.fullmatch(self.what) is None:
            raise ValueError(
                "what is 'best by day N' or 'status at day N within M days', N and M of five digits at most"
            )
        return self

    @property
    def window(self) -> tuple[int, int]:
        """First and last day after the index day on which an assessment counts, both included.

        Raises:
          ValueError: the endpoint is not read from assessments.
        """
        if (best := _BEST_BY.fullmatch(self.what or "")) is not None:
            return 1, int(best[1])
        if (status := _STATUS_AT.fullmatch(self.what or "")) is not None:
            return max(1, int(status[1]) - int(status[2])), int(status[1]) + int(status[2])
        raise ValueError("only an assessed response has a window")

    @property
    def takes_best(self) -> bool:
        """True where the best assessment counts, False where the one nearest the day does."""
        return self.what is not None and self.what.startswith("best")


class TimeToEvent(Part):
    """Time from the index day to the first of some events, on a public grid.

    Attributes:
      origin: ``index``: time runs from the index day.
      entry: ``origin``: everybody is followed from day zero. ``later of origin and test report``: a patient
        counts only from the day of the genomic report (left truncation). Left out, it is the latter when a
        variant defines a group of the analysis, else the former.
      events: Event kinds of the events table that end the time; the first one counts.
      therapy: How starts of drugs become lines of therapy. With it ``discontinuation`` is the last drug of
        the line that begins on the index day, if the line is over: another one began, or the patient was
        followed for longer than ``gap`` without a drug; ``new_treatment`` is the day on which the next line
        began.
      until: Length of follow-up that is looked at.
      grid: Width of one interval of the grid.
    """

    kind: Literal["time_to_event"]
    origin: Literal["index"] = "index"
    entry: Literal["origin", "later of origin and test report"] | None = None
    events: tuple[Literal["death", "progression", "relapse", "new_treatment", "discontinuation"], ...] = (
        Field(strict=False, min_length=1)
    )
    therapy: Lines | None = Field(default=None, exclude_if=_absent)
    until: Duration
    grid: Duration

    @model_validator(mode="after")
    def _therapy_of_use(self) -> Self:
        if self.therapy is not None and not set(self.events) & set(OF_THERAPY):
            raise ValueError(f"therapy tells {' and '.join(OF_THERAPY)}: name one of them in events")
        return self

    @model_validator(mode="after")
    def _grid_fits(self) -> Self:
        if len(set(self.events)) != len(self.events):
            raise ValueError("events are distinct")
        if duration_days(self.grid) > duration_days(self.until):
            raise ValueError("the grid must not be wider than the follow-up")
        if self.intervals > MAX_INTERVALS:
            raise ValueError(f"the grid has {self.intervals} intervals; at most {MAX_INTERVALS} are allowed")
        return self

    @property
    def intervals(self) -> int:
        """Number of intervals of the grid."""
        return math.ceil(duration_days(self.until) / duration_days(self.grid) - 1e-9)

    @property
    def edges(self) -> tuple[float, ...]:
        """Edges of the grid in days from the origin, ``intervals + 1`` of them, from 0 to the horizon."""
        width, last = duration_days(self.grid), duration_days(self.until)
        return (*(width * i for i in range(self.intervals)), last)


Endpoint = Annotated[Binary | TimeToEvent, Field(discriminator="kind")]
