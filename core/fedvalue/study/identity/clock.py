"""Clocks: a certificate's dates mean nothing where the clock is wrong, so a wrong clock is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from fedvalue.errors import ClockSkewed

Clock = Callable[[], datetime]
"""Returns the present, with its time zone."""

TOLERANCE = timedelta(minutes=5)
"""How far two honest clocks may differ. It never prolongs a certificate or a revocation list."""


def present() -> datetime:
    """Return the machine's present in UTC."""
    return datetime.now(UTC)


def utc(now: datetime) -> datetime:
    """Return ``now`` in UTC.

    Raises:
      ClockSkewed: it has no time zone, so that it may be hours off.
    """
    if now.utcoffset() is None:
        raise ClockSkewed("the clock tells no time zone", do="give the present in UTC")
    return now.astimezone(UTC)


def require_later(now: datetime, signed: datetime, *, where: str) -> None:
    """Refuse a clock that is behind something that has been signed already.

    Args:
      now: This machine's present.
      signed: When the object was made, as the object says; also this site's own last ledger entry.
      where: Names the object in the error.

    Raises:
      ClockSkewed: ``signed`` is in the future by more than `TOLERANCE`.
    """
    if utc(signed) - utc(now) > TOLERANCE:
        raise ClockSkewed(
            f"it was signed at {utc(signed).isoformat()}, and here it is {utc(now).isoformat()}",
            where=where,
            do="set this machine's clock; if it is right, the signer's is wrong",
        )


def require_same_time(now: datetime, stated: datetime, *, where: str) -> None:
    """Refuse a live message whose sender's clock is not this machine's.

    Raises:
      ClockSkewed: the two differ by more than `TOLERANCE`, either way.
    """
    if abs(utc(now) - utc(stated)) > TOLERANCE:
        raise ClockSkewed(
            f"two clocks are {abs(utc(now) - utc(stated))} apart",
            where=where,
            do="set both from a time server",
        )
