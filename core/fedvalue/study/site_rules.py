"""The tables of a site's policy: budgets, what one study may ask, the machine, the clock, and who signs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from fedvalue.study.model import Line, Part
from fedvalue.study.toml import listed, quoted

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: tuple[Day, ...] = get_args(Day)
_PARTITION = re.compile(r"[0-9]{4}(-[0-9]{1,2})?")

PersonRole = Literal["second", "system", "security", "audit"]
"""``second`` countersigns approvals, ``security`` signs the policy, ``audit`` seals the log, ``system`` runs
the machine and signs nothing."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"{name!r} is no time zone known to this machine, such as 'Asia/Shanghai'"
        ) from error
    return name


class Budget(Part):
    """Privacy for life.

    Attributes:
      epsilon: Of all studies together.
      delta: Of all studies together.
      admits_sampled: True where studies may draw patients by chance, as trainings do. It is fixed when the
        ledger is opened, for life, and costs plain studies 5 to 7 percent of what the budget bears.
    """

    epsilon: float = Field(gt=0, le=10_000)
    delta: float = Field(gt=0, lt=1)
    admits_sampled: bool = Field(default=False, exclude_if=lambda value: value is False)


class Limits(Part):
    """What one study may ask at most; what is left out is not limited.

    Attributes:
      epsilon: Charge of one study with all its spare attempts, at the study's delta.
      min_released_patients: Smallest released count that a study may report a group at.
      releases: Releases of one study.
      numbers: Numbers of one release.
    """

    epsilon: float | None = Field(default=None, gt=0, le=10_000)
    min_released_patients: int | None = Field(default=None, ge=1)
    releases: int | None = Field(default=None, ge=1)
    numbers: int | None = Field(default=None, ge=1)


class Caps(Part):
    """What reading the records for a study may use of this machine.

    Attributes:
      threads: Threads of the database.
      memory: Its memory before it spills to disk, such as ``2GiB``.
    """

    threads: int = Field(default=2, ge=1, le=256)
    memory: str = Field(default="2GiB", pattern=r"^[1-9][0-9]{0,5}(MiB|GiB)$")


class Opening(Part):
    """Hours in which the site answers.

    Attributes:
      days: ``mon`` to ``sun``: on which days the hours begin.
      start: ``HH:MM``, included.
      until: ``HH:MM``, excluded; at or before ``start``: of the next day.
      zone: Time zone of both.
    """

    days: tuple[Day, ...] = Field(default=WEEK, strict=False, min_length=1)
    start: str = Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")
    until: str = Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"

    def includes(self, moment: datetime) -> bool:
        """Tell whether the site answers at ``moment``, which has a time zone."""
        here = moment.astimezone(ZoneInfo(self.zone))
        first, last = time.fromisoformat(self.start), time.fromisoformat(self.until)
        clock = here.time().replace(tzinfo=None)
        today = WEEK[here.weekday()] in self.days
        if first < last:
            return today and first <= clock < last
        yesterday = WEEK[(here - timedelta(days=1)).weekday()] in self.days
        return (today and clock >= first) or (yesterday and clock < last)


class Person(Part):
    """Somebody who holds an office at this site beside the officer.

    Attributes:
      name: Who.
      role: Which office.
      key: Public key, 64 hexadecimal digits.
    """

    name: Line = Field(min_length=1)
    role: PersonRole
    key: str = Field(pattern=r"^[0-9a-f]{64}$")


def partition_names(named: Mapping[str, object]) -> None:
    """Check the names of partitions.

    Raises:
      ValueError: one is no year.
    """
    for name in named:
        if _PARTITION.fullmatch(name) is None:
            raise ValueError(f"partitions: {name!r} is no year such as '2027'")


def partitions_toml(partitions: Mapping[str, Budget]) -> str:
    """Return the tables of budgets by partition."""
    return "".join(
        f"\n[partitions.{quoted(name)}]      # people who enter in that year\n"
        f"epsilon = {each.epsilon!r}\ndelta = {each.delta!r}\n"
        for name, each in sorted(partitions.items())
    )


def rules_toml(limits: Limits, caps: Caps, opening: tuple[Opening, ...], people: tuple[Person, ...]) -> str:
    """Return the tables that limit studies, machine and hours, and those that name people."""
    text = ""
    given = limits.model_dump(exclude_none=True)
    if given:
        text += "\n[limits]                # of one study\n"
        text += "".join(f"{key} = {value!r}\n" for key, value in given.items())
    if caps != Caps():
        text += f"\n[caps]                  # of this machine\nthreads = {caps.threads}\n"
        text += f"memory = {quoted(caps.memory)}\n"
    for each in opening:
        text += f"\n[[opening]]             # when the site answers\ndays = {listed(each.days)}\n"
        text += f"start = {quoted(each.start)}\nuntil = {quoted(each.until)}\nzone = {quoted(each.zone)}\n"
    for person in people:
        text += f"\n[[people]]\nname = {quoted(person.name)}\nrole = {quoted(person.role)}\n"
        text += f"key = {quoted(person.key)}\n"
    return text
