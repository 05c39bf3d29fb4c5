"""New-technology carve-out: a new code is counted apart for a time, and then re-enters.

While active its lines are outside the mean that makes weights and outside the total budget; after the last
day they are inside again, without a decision. Inside and apart add to the lines, to the fen. A carve-out has
a launch, an end and a source; a code has one at a time.

No uncertainty enters. Source: payment.md P21 (one year from launch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from fedvalue.errors import ParameterWithoutSource, PaymentError, WindowsOverlap
from fedvalue.payment.mechanisms.exact import count, fen, money
from fedvalue.payment.parameters import Source


@dataclass(frozen=True, slots=True)
class CarveOut:
    """One code counted apart.

    Attributes:
      code: As the settlement list has it.
      launched: First day on the market, and of the carve-out.
      years: How long, at least 1.
      source: Where it was decided.
    """

    code: str
    launched: date
    years: int
    source: Source

    def __post_init__(self) -> None:
        if not isinstance(self.source, Source):
            raise ParameterWithoutSource("the parameter has no source", where=f"carve-out of {self.code}")
        if count(self.years, "years") < 1:
            raise PaymentError("a carve-out of no years", where=self.code)

    @property
    def expires(self) -> date:
        """Last day."""
        return years_after(self.launched, self.years) - timedelta(days=1)

    def active(self, day: date) -> bool:
        """Tell whether a line of that day is counted apart."""
        return self.launched <= day <= self.expires


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a settlement list.

    Attributes:
      code: Drug, consumable or service.
      day: Of use.
      amount: Its cost.
    """

    code: str
    day: date
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Separated:
    """Lines inside and apart.

    Attributes:
      inside: Sum of lines that make weights and count to the budget.
      apart: Sum of carved-out lines.
    """

    inside: Decimal
    apart: Decimal


def years_after(day: date, years: int) -> date:
    """Return the same day of a later year; 29 February becomes 1 March."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def separate(lines: Sequence[Line], carve_outs: Sequence[CarveOut]) -> Separated:
    """Return the sums of lines inside and apart.

    Raises:
      PurposeMixed: a noised amount.
      PaymentError: two carve-outs of one code overlap, negative money.
    """
    for i, one in enumerate(carve_outs):
        for other in carve_outs[i + 1 :]:
            if one.code == other.code and one.launched <= other.expires and other.launched <= one.expires:
                raise WindowsOverlap("overlapping windows: one code is carved out twice", where=one.code)
    inside = apart = Fraction(0)
    for line in lines:
        amount = money(line.amount, f"line {line.code}")
        if any(c.code == line.code and c.active(line.day) for c in carve_outs):
            apart += amount
        else:
            inside += amount
    return Separated(fen(inside), fen(apart))
