"""Whose patient: attribution by contract or plurality of visits, and member-years pro rata to the day.

A signed contract with an institution decides; without one the institution with most visits does; a tie goes
by the stated rule. A member counts for the days from joining to leaving, death or move, both ends included,
over the days of the year, so that a year split in two adds up to itself, and a member who moves counts once.

No uncertainty enters; what an attribution rule leaves open is a term. Source: payment.md 2.4, P37.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Literal, get_args

from fedvalue.errors import PaymentError, WindowsOverlap
from fedvalue.payment.mechanisms.exact import chosen, count

TieRule = Literal["most_recent", "unattributed"]


@dataclass(frozen=True, slots=True)
class Visits:
    """One person's visits to one institution in the attribution period.

    Attributes:
      institution: Where.
      visits: How many.
      last: Day of the last one.
    """

    institution: str
    visits: int
    last: date


@dataclass(frozen=True, slots=True)
class Span:
    """Days for which one member belongs to one institution, both included.

    Attributes:
      member: Pseudonym at the payer; it never leaves it.
      start: First day.
      end: Last day: leaving, death or move, or the end of the year.
    """

    member: str
    start: date
    end: date


def attribute(visits: Iterable[Visits], *, contract: str | None, tie: TieRule) -> str | None:
    """Return the institution that a person is attributed to, or None.

    Args:
      visits: One entry per institution.
      contract: The institution that the person signed with, or None.
      tie: What decides between equal numbers of visits.

    Raises:
      PaymentError: no tie rule, a negative number of visits, an institution twice.
    """
    chosen(tie, get_args(TieRule), "tie rule")
    seen = list(visits)
    if len({v.institution for v in seen}) != len(seen):
        raise PaymentError("one institution twice among one person's visits", where="attribution")
    if contract is not None:
        return contract
    most = max((count(v.visits, "visits") for v in seen), default=0)
    leading = [v for v in seen if v.visits == most and most > 0]
    if len(leading) > 1:
        latest = max(v.last for v in leading)
        leading = [v for v in leading if v.last == latest] if tie == "most_recent" else []
    return leading[0].institution if len(leading) == 1 else None


def member_years(spans: Iterable[Span], *, year: int) -> Fraction:
    """Return the member-years of an institution in a calendar year, exactly.

    Args:
      spans: Of its members; days outside the year are cut off.
      year: The year, of 365 or 366 days.

    Raises:
      PaymentError: a span ends before it starts, or one member's spans overlap.
    """
    first, last = date(year, 1, 1), date(year, 12, 31)
    days = 0
    for span in _each_day_once(spans):
        start, end = max(span.start, first), min(span.end, last)
        days += max((end - start).days + 1, 0)
    return Fraction(days, (last - first).days + 1)


def exclusive(panels: Mapping[str, Iterable[Span]]) -> None:
    """Refuse a member who belongs to two institutions on one day.

    Args:
      panels: Spans by institution.

    Raises:
      PaymentError: overlapping windows.
    """
    _each_day_once(span for spans in panels.values() for span in spans)


def _each_day_once(spans: Iterable[Span]) -> list[Span]:
    ordered, ends = sorted(spans, key=lambda s: (s.member, s.start)), dict[str, date]()
    for span in ordered:
        if span.end < span.start:
            raise PaymentError("a membership ends before it starts", where="member years")
        if span.member in ends and span.start <= ends[span.member]:
            raise WindowsOverlap(
                "overlapping windows: one member counts twice on a day", where="member years"
            )
        ends[span.member] = span.end
    return ordered
