"""A standard that differs by level of facility: grass-roots + 10 to 15 %, within a corridor.

    standard_l = standard x (1 + tilt_l);   neutral: standard_l x sum_l n_l / sum_l n_l (1 + tilt_l)

A tilt outside the corridor that the jurisdiction allows is refused, a level without a tilt too: no level is
silently untilted. Budget-neutral tilting rescales by the case mix in the same decision, so that the
case-weighted mean factor is 1; the money then adds to the fen.

No uncertainty enters: levels and volumes are the payer's own. Source: payment.md P28.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.exact import ONE, count, exact, fen, money


@dataclass(frozen=True, slots=True)
class Corridor:
    """The tilts that are allowed.

    Attributes:
      low: Least, such as 0 or -0.05.
      high: Most.
    """

    low: Decimal
    high: Decimal

    def __post_init__(self) -> None:
        if not -1 < exact(self.low, "low") <= exact(self.high, "high"):
            raise PaymentError(
                "a corridor lies above -1 and its low end below its high end", where="corridor"
            )


def factors(tilts: Mapping[str, Decimal], corridor: Corridor) -> dict[str, Fraction]:
    """Return 1 + tilt by level.

    Raises:
      PaymentError: a tilt outside the corridor.
    """
    for level, tilt in tilts.items():
        if not exact(corridor.low, "low") <= exact(tilt, level) <= exact(corridor.high, "high"):
            raise PaymentError(f"the tilt {tilt} of {level} lies outside {corridor.low} to {corridor.high}")
    return {level: ONE + exact(tilt, level) for level, tilt in tilts.items()}


def neutral(raw: Mapping[str, Fraction], cases: Mapping[str, int]) -> dict[str, Fraction]:
    """Return factors rescaled to a case-weighted mean of 1.

    Args:
      raw: Factor by level.
      cases: Cases by level, the same levels.

    Raises:
      PaymentError: other levels, or no cases.
    """
    if raw.keys() != cases.keys():
        raise PaymentError(f"levels differ: {sorted(raw.keys() ^ cases.keys())}", where="facility tilt")
    whole = sum(count(n, level) for level, n in cases.items())
    if not whole:
        raise PaymentError("no cases to be neutral over", where="facility tilt")
    mean = sum((raw[level] * n for level, n in cases.items()), Fraction(0)) / whole
    return {level: factor / mean for level, factor in raw.items()}


def standards(standard: Decimal, by_level: Mapping[str, Fraction]) -> dict[str, Decimal]:
    """Return the published standard by level, rounded to the fen."""
    return {level: fen(money(standard, "standard") * factor) for level, factor in by_level.items()}
