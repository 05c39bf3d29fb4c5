"""``kind = "model_evaluation"``: whether a given model may be believed, by group."""

from __future__ import annotations

import math
import operator
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from fedvalue.study.model import Level, Name, Part
from fedvalue.study.questions.calibration import INTERCEPT, require_coefficients, require_score
from fedvalue.study.questions.question import Measured, Question, entry_at_origin, groups_in_words
from fedvalue.study.scoring import ScoringModel

MAX_BINS = 50
MONTHS = 3
"""Length of the temporal hold-out: the last quarter of the calendar variable."""


class Tiers(Part):
    """Risk tiers, from the lowest.

    Attributes:
      names: Of the tiers.
      cuts: Predicted probabilities between them, public. Or:
      shares: What share of the patients each tier is to hold, together 1: the cuts are then the edges of the
        released bins that come nearest, which costs no more than the bins do.
    """

    names: tuple[Level, ...] = Field(default=("low", "middle", "high"), strict=False, min_length=2)
    cuts: tuple[float, ...] = Field(default=(), strict=False)
    shares: tuple[float, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if bool(self.cuts) == bool(self.shares):
            raise ValueError("give cuts or shares, one of them")
        if len(set(self.names)) != len(self.names):
            raise ValueError("names are distinct")
        if self.cuts and len(self.cuts) != len(self.names) - 1:
            raise ValueError(f"{len(self.names)} tiers have {len(self.names) - 1} cuts between them")
        _increasing(self.cuts, "cuts")
        if self.shares and (
            len(self.shares) != len(self.names) or min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-9
        ):
            raise ValueError("shares are above 0, one a tier, and add to 1")
        return self


class ModelEvaluation(Question):
    """Calibration, discrimination and use of a given model, by protected group and in the last quarter.

    Attributes:
      outcome: A binary endpoint, which the model predicts.
      time: A time-to-event endpoint, for the concordance index.
      model: The model as public numbers. Or:
      score: A numeric variable between 0 and 1: each patient's predicted probability. Or:
      coefficients: Of a logistic model, as in ``kind = "calibration"``.
      by: Variables with levels, such as protected attributes; each makes groups of its own.
      calendar: A calendar variable: its last three months are assessed by themselves.
      cells: Variables with levels that together make the cells of risk coefficients.
      tiers: Risk tiers.
      bins: Bins of predicted risk of one width.
      cuts: Inner edges of the bins instead, for outcomes that are rare or frequent.
      sites: True for observed over predicted at each hospital, and how far hospitals differ: publishes noisy
        values of single hospitals.
    """

    kind: Literal["model_evaluation"]
    outcome: Name | None = None
    time: Name | None = None
    model: ScoringModel | None = None
    score: Name | None = None
    coefficients: dict[str, float] | None = Field(default=None, min_length=1, max_length=100)
    by: tuple[Name, ...] = Field(default=(), strict=False, max_length=6)
    calendar: Name | None = None
    cells: tuple[Name, ...] = Field(default=(), strict=False, max_length=4)
    tiers: Tiers | None = None
    bins: int = Field(default=20, ge=2, le=MAX_BINS)
    cuts: tuple[float, ...] = Field(default=(), strict=False, max_length=MAX_BINS - 1)
    sites: bool = Field(default=False, exclude_if=operator.not_)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if sum(given is not None for given in (self.model, self.score, self.coefficients)) != 1:
            raise ValueError("give model, score or coefficients, one of them")
        if self.outcome is None and self.time is None:
            raise ValueError("give outcome, time or both")
        if self.outcome is None and (self.by or self.calendar or self.cells or self.tiers or self.sites):
            raise ValueError("by, calendar, cells, tiers and sites need a binary outcome")
        _increasing(self.cuts, "cuts")
        return self

    @property
    def edges(self) -> tuple[float, ...]:
        """Inner edges of the bins: as stated, or of one width, with the public cuts of the tiers."""
        even = tuple(i / self.bins for i in range(1, self.bins))
        between = () if self.tiers is None else self.tiers.cuts
        return tuple(sorted({*(self.cuts or even), *between}))

    @property
    def read(self) -> tuple[str, ...]:
        """Variables that the prediction reads."""
        if self.model is not None:
            return self.model.variables
        if self.score is not None:
            return (self.score,)
        names = (term.partition("=")[0] for term in self.coefficients or {} if term != INTERCEPT)
        return tuple(dict.fromkeys(names))

    def require_fits(self, measured: Measured) -> None:
        """Check outcome, prediction, groups and cells."""
        if self.outcome is not None:
            measured.binary(self.outcome, "outcome")
        if self.time is not None:
            measured.time_to_event(self.time, "time")
        for name in self.by:
            measured.require_groups((name,))
        measured.require_groups(self.cells, "cells")
        if len(set(self.by)) != len(self.by):
            raise ValueError("by names a variable twice")
        if len(self.cells) == 1 and self.cells[0] in self.by:
            raise ValueError(
                f"cells and by both name {self.cells[0]!r}; give cells two variables, or by none"
            )
        if self.calendar is not None:
            measured.calendar_days(self.calendar)
        if self.model is not None:
            self.model.require_reads(dict(measured.variables))
            if not self.model.predicts_probability:
                raise ValueError(f"model: link = {self.model.link!r} predicts an amount, not a probability")
        if self.score is not None:
            require_score(self.score, measured)
        require_coefficients(self.coefficients or {}, measured)

    def tells_of_sites(self) -> bool:
        """Each hospital's observed over predicted is released, where the study asks for it."""
        return self.sites

    def times(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the time-to-event endpoint with what the prediction reads."""
        return () if self.time is None else ((self.time, self.read),)

    def _by_horizon(self, measured: Measured) -> str:
        timed = self.model is not None and self.model.timed and self.time is not None
        if not timed or not entry_at_origin(self.time or "", self.read, measured):
            return ""
        return ", and how many do by the horizon"

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        if self.model is not None:
            source = (
                f"a given model of {len(self.model.columns)} columns"
                f"{'' if self.model.linear else f' and {len(self.model.hidden)} hidden layers'}"
            )
        else:
            source = f"the score {self.score}" if self.score else "given coefficients"
        parts = []
        if self.outcome is not None:
            parts.append(
                f"whether {source} predicts {self.outcome} well: calibration in {len(self.edges) + 1} bins, "
                f"discrimination and use, for everybody{groups_in_words(self.by)}"
            )
        if self.time is not None:
            parts.append(f"whether {source} tells who reaches {self.time} sooner{self._by_horizon(measured)}")
        if self.calendar is not None:
            start = last_quarter(measured.calendar_days(self.calendar)[1])
            parts.append(f"the same from {start} on by itself")
        if self.tiers is not None:
            parts.append(f"counts and event rates of the risk tiers {', '.join(self.tiers.names)}")
        if self.cells:
            parts.append(f"predicted and observed risk in cells of {' and '.join(self.cells)}")
        if self.sites:
            parts.append("observed over predicted of EACH HOSPITAL, published with noise")
        told = "; ".join(parts)
        return told[:1].upper() + told[1:]


def last_quarter(last: date) -> date:
    """Return the first day of the three months that end with ``last``."""
    after = last + timedelta(days=1)
    year, month = divmod(after.year * 12 + after.month - 1 - MONTHS, 12)
    day = after.day
    while True:
        try:
            return date(year, month + 1, day)
        except ValueError:  # the month has no such day
            day -= 1


def _increasing(cuts: tuple[float, ...], key: str) -> None:
    if any(not 0 < cut < 1 or not math.isfinite(cut) for cut in cuts):
        raise ValueError(f"{key} lie between 0 and 1")
    if any(not before < after for before, after in pairwise(cuts)):
        raise ValueError(f"{key} increase")
