"""What every question of a study has: a share of the budget, a check against what is measured, and words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pydantic import Field

from fedvalue.study.cohort import Cohort, Variable
from fedvalue.study.endpoints import Binary, Endpoint, TimeToEvent
from fedvalue.study.model import Duration, Part, duration_days

MAX_GROUPS = 200
"""Most groups of one analysis: past it every group is too small to be reported."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a study measures on each patient; each method finds one thing or says what there is instead.

    Attributes:
      variables: By name.
      endpoints: By name.
    """

    variables: Mapping[str, Variable]
    endpoints: Mapping[str, Endpoint]

    def binary(self, name: str, key: str = "endpoint") -> Binary:
        """Return a binary endpoint.

        Raises:
          ValueError: ``name`` is none; the sentence begins with ``key``.
        """
        found = self.endpoints.get(name)
        if isinstance(found, Binary):
            return found
        fitting = sorted(n for n, e in self.endpoints.items() if isinstance(e, Binary))
        raise ValueError(f"{key} = {name!r} is no binary endpoint; there are {fitting}")

    def time_to_event(self, name: str, key: str = "endpoint") -> TimeToEvent:
        """Return a time-to-event endpoint.

        Raises:
          ValueError: ``name`` is none; the sentence begins with ``key``.
        """
        found = self.endpoints.get(name)
        if isinstance(found, TimeToEvent):
            return found
        fitting = sorted(n for n, e in self.endpoints.items() if isinstance(e, TimeToEvent))
        raise ValueError(f"{key} = {name!r} is no time_to_event endpoint; there are {fitting}")

    def number(self, name: str, key: str = "variable") -> tuple[float, float]:
        """Return the public clip of a numeric variable.

        Raises:
          ValueError: ``name`` is no numeric variable; the sentence begins with ``key``.
        """
        found = self.variables.get(name)
        if found is not None and found.clip is not None:
            return found.clip
        fitting = sorted(n for n, v in self.variables.items() if v.clip is not None)
        raise ValueError(f"{key} = {name!r} is no numeric variable; there are {fitting}")

    def amount(self, name: str, key: str = "variable") -> None:
        """Check that there is a number on each patient: a numeric variable, or a binary endpoint as 0 or 1.

        Raises:
          ValueError: ``name`` is neither, or both; the sentence begins with ``key``.
        """
        numbers = {n for n, v in self.variables.items() if v.clip is not None}
        outcomes = {n for n, e in self.endpoints.items() if isinstance(e, Binary)}
        if name in numbers & outcomes:
            raise ValueError(f"{key} = {name!r} is both a variable and an endpoint; give one another name")
        if name not in numbers | outcomes:
            raise ValueError(
                f"{key} = {name!r} is no numeric variable and no binary endpoint; "
                f"there are {sorted(numbers | outcomes)}"
            )

    def calendar_days(self, name: str, key: str = "calendar") -> tuple[date, date]:
        """Return first and last calendar day of a variable with the calendar day of the index day.

        Raises:
          ValueError: ``name`` is none; the sentence begins with ``key``.
        """
        found = self.variables.get(name)
        if found is not None and found.between is not None:
            return found.between
        fitting = sorted(n for n, v in self.variables.items() if v.between is not None)
        raise ValueError(f"{key} = {name!r} is no calendar variable; there are {fitting}")

    def levels(self, name: str, key: str = "by") -> tuple[str, ...]:
        """Return the public levels of a categorical variable.

        Raises:
          ValueError: ``name`` is no variable with levels; the sentence begins with ``key``.
        """
        found = self.variables.get(name)
        if found is not None and found.categorical:
            return tuple(found.levels)
        fitting = sorted(n for n, v in self.variables.items() if v.categorical)
        raise ValueError(f"{key} = {name!r} is no variable with levels; there are {fitting}")

    def require_groups(self, by: tuple[str, ...], key: str = "by") -> None:
        """Check the variables that make the groups of an analysis.

        Raises:
          ValueError: one stands there twice, has no levels, or they make more than `MAX_GROUPS` groups.
        """
        if len(set(by)) != len(by):
            raise ValueError(f"{key} names a variable twice")
        groups = math.prod(len(self.levels(name, key)) for name in by)
        if groups > MAX_GROUPS:
            raise ValueError(f"{key} makes {groups} groups; at most {MAX_GROUPS} are allowed")


class Question(Part):
    """One analysis of a study file; each kind is a subclass with a literal ``kind``.

    Attributes:
      budget: Share of the study's privacy budget, above 0 and at most 1.
    """

    budget: float = Field(gt=0, le=1)

    def require_fits(self, measured: Measured) -> None:
        """Check the question against what the study measures.

        Raises:
          ValueError: a sentence that begins with the key at fault.
        """
        del measured

    def require_cohort(self, cohort: Cohort) -> None:
        """Check the question against who is selected.

        Raises:
          ValueError: a sentence that begins with the key at fault.
        """
        del cohort

    def tells_of_sites(self) -> bool:
        """Tell whether noisy values of single sites are published: every site's policy has to allow it."""
        return False

    def times(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return each time-to-event endpoint that is used, with the variables that compare or adjust in it.

        A variant among them is known only from its report on, so they decide when a patient's time begins.
        """
        return ()

    def in_words(self, measured: Measured) -> str:
        """Say in one sentence, without its full stop, what is asked: shown to hospitals before they agree."""
        del measured
        raise TypeError(f"{type(self).__name__} has no words")


def groups_in_words(by: tuple[str, ...]) -> str:
    """Return ``", by sex and egfr"``, or nothing for everybody together."""
    return f", by {' and '.join(by)}" if by else ""


def entry_at_origin(endpoint: str, variables: tuple[str, ...], measured: Measured) -> bool:
    """Tell whether everybody enters at time zero in an analysis that uses these variables.

    A variant is known only from its report on, so with a variant among them the default is delayed entry
    (left truncation) unless the endpoint says otherwise.

    Raises:
      ValueError: ``endpoint`` is no time-to-event endpoint.
    """
    found = measured.time_to_event(endpoint)
    if found.entry is not None:
        return found.entry == "origin"
    return not any(measured.variables[name].genes for name in variables)


def entry_in_words(endpoint: str, variables: tuple[str, ...], measured: Measured) -> str:
    """Say from when a patient counts in an analysis that uses these variables.

    Raises:
      ValueError: ``endpoint`` is no time-to-event endpoint.
    """
    at_origin = entry_at_origin(endpoint, variables, measured)
    return "day zero" if at_origin else "the day of their genomic report"


def require_followed(at: tuple[Duration, ...], endpoint: TimeToEvent) -> None:
    """Check that times lie within the follow-up of an endpoint.

    Raises:
      ValueError: a time is past the endpoint's ``until``.
    """
    for time in at:
        if duration_days(time) > endpoint.edges[-1]:
            raise ValueError(f"at = {time!r} is past the endpoint's until = {endpoint.until!r}")
