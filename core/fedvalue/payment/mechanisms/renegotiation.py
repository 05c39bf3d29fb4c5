"""Renegotiation: when cost falls, part of the fall is passed through to the standard.

    trigger:      P(fall >= delta) >= p_met        (delta 10 %, p_met 0.9)
    new standard: old x (1 - phi x fall), not below the floor;  phi = 2/3 turns 30 % into 20 %

The fall that the formula takes is the figure that the parties agreed on, exact; the trigger reads the
estimate with both variances. Notice lies between the decision and the first day of the new standard.

Source: payment.md 2.13, P26.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.exact import count, exact, fen, money, positive, share
from fedvalue.payment.mechanisms.underlying import Draws, underlying


@dataclass(frozen=True, slots=True)
class RenegotiationTerms:
    """The contract.

    Attributes:
      trigger: delta.
      p_met: Probability demanded, above 0.5.
      pass_through: phi, between 0 and 1.
      floor: Least standard.
      notice_days: Between decision and first day.
    """

    trigger: Decimal
    p_met: float
    pass_through: Fraction
    floor: Decimal
    notice_days: int

    def __post_init__(self) -> None:
        share(self.trigger, "trigger")
        share(self.pass_through, "pass-through")
        money(self.floor, "floor")
        count(self.notice_days, "notice days")
        if not 0.5 < self.p_met < 1:
            raise PaymentError("a probability demanded lies above a half", where="renegotiation")


@dataclass(frozen=True, slots=True)
class Renegotiated:
    """The new standard.

    Attributes:
      standard: To the fen.
      factor: New over old before rounding and floor.
      floored: Whether the floor holds it.
      starts: First day.
    """

    standard: Decimal
    factor: Fraction
    floored: bool
    starts: date


def triggered(terms: RenegotiationTerms, fall: Draws, name: str) -> tuple[bool, float]:
    """Return whether talks start, and P(fall >= delta).

    Args:
      terms: The contract.
      fall: Draws that hold the relative fall of cost.
      name: Its name among them.

    Raises:
      PurposeMixed: a realised figure or a bare number.
    """
    underlying(fall, name)
    probability = float((fall.column(name) >= float(terms.trigger)).mean())
    return probability >= terms.p_met, probability


def renegotiated(
    terms: RenegotiationTerms, standard: Decimal, fall: Decimal, *, decided: date
) -> Renegotiated:
    """Return the new standard for an agreed fall.

    Args:
      terms: The contract.
      standard: In force.
      fall: Agreed, between 0 and 1.
      decided: Day of the decision.

    Raises:
      PurposeMixed: a noised fall.
      PaymentError: a fall outside its range, or a standard below the floor already.
    """
    old, floor = money(standard, "standard"), money(terms.floor, "floor")
    if old < floor:
        raise PaymentError("the standard lies below its floor already", where="renegotiation")
    factor = 1 - exact(terms.pass_through, "pass-through") * share(fall, "fall")
    starts = decided + timedelta(days=terms.notice_days)
    return Renegotiated(fen(max(old * factor, floor)), factor, old * factor < floor, starts)


def relative_fall(before: Decimal, after: Decimal) -> Fraction:
    """Return 1 - after / before, for two prices of one item; below 0 for a rise."""
    return 1 - money(after, "price after") / positive(money(before, "price before"), "price before")
