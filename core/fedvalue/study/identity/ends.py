"""What ends soon: certificates, lists and authorities, said thirty days ahead and not on the day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fedvalue.study.identity.clock import utc

AHEAD = timedelta(days=30)
"""How long before its end something is worth a warning."""

LIST_AHEAD = timedelta(days=7)
"""A revocation list lives for about a month, so thirty days ahead would warn always."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that ends.

    Attributes:
      what: Its name, for people.
      until: Last second, UTC.
      do: What prolongs it.
      ahead: How long before the end to warn.
    """

    what: str
    until: datetime
    do: str
    ahead: timedelta = AHEAD

    def left(self, now: datetime) -> timedelta:
        """Return what is left; negative once it has ended."""
        return utc(self.until) - utc(now)

    def ended(self, now: datetime) -> bool:
        """Tell whether it has ended."""
        return self.left(now) < timedelta(0)

    def soon(self, now: datetime) -> bool:
        """Tell whether to warn: it has ended or ends soon."""
        return self.left(now) <= self.ahead

    def sentence(self, now: datetime) -> str:
        """Return one line for people."""
        if self.ended(now):
            return f"{self.what} ended on {self.until:%Y-%m-%d %H:%M}Z -> {self.do}"
        return f"{self.what} ends in {self.left(now).days} days, on {self.until:%Y-%m-%d} -> {self.do}"


def warnings(endings: Iterable[Ending], now: datetime) -> tuple[str, ...]:
    """Return a line for everything that has ended or ends soon, soonest first."""
    found = sorted((each for each in endings if each.soon(now)), key=lambda each: each.until)
    return tuple(each.sentence(now) for each in found)
