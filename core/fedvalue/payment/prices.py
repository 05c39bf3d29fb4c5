"""Price years and price lists: no weight, bundle or comparison mixes the prices of different years.

Two different things, never one for the other. *Indexing* moves an amount from one price year to another
with a published index; it suits wages, bed days and services. *Re-pricing* replaces what a historic drug
or consumable line was paid by quantity times today's list price; volume-based purchasing cuts prices by
half and more, which no index shows. A code that the list does not hold is refused or, where the caller
says so, kept and counted, never silently.

Amounts are `Decimal`, rounded line by line to a hundredth, half away from zero, so that totals add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from fedvalue.errors import ParameterNotInForce, PaymentError
from fedvalue.payment.money import FEN
from fedvalue.payment.parameters import Source


@dataclass(frozen=True, slots=True)
class PriceIndex:
    """A yearly index of prices.

    Attributes:
      name: Such as ``consumer prices, medical care``.
      levels: Index level by calendar year, above 0; the scale does not matter.
      source: Where it is published.
    """

    name: str
    levels: Mapping[int, Decimal]
    source: Source

    def __post_init__(self) -> None:
        if not self.levels or not all(level.is_finite() and level > 0 for level in self.levels.values()):
            raise PaymentError("the levels of a price index are above 0", where=self.name)

    def level(self, year: int) -> Decimal:
        """Return the level of a year.

        Raises:
          ParameterNotInForce: the index has no level for it; it is not carried forward.
        """
        if year not in self.levels:
            years = f"{min(self.levels)} to {max(self.levels)}"
            raise ParameterNotInForce(self.name, date(year, 1, 1), f"the index covers {years}")
        return self.levels[year]

    def move(self, amount: Decimal, *, from_year: int, to_year: int) -> Decimal:
        """Return an amount of one price year in the prices of another, to a hundredth.

        Raises:
          ParameterNotInForce: the index has no level for one of the years.
        """
        moved = amount * self.level(to_year) / self.level(from_year)
        return moved.quantize(FEN, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class PriceList:
    """List prices of drugs and consumables, in force from a day.

    Attributes:
      starts: First day.
      currency: ISO 4217 code.
      prices: Money per unit by code, at least 0.
      source: Where it is published.
    """

    starts: date
    currency: str
    prices: Mapping[str, Decimal]
    source: Source

    def __post_init__(self) -> None:
        if not all(price.is_finite() and price >= 0 for price in self.prices.values()):
            raise PaymentError("a list price is at or above 0", where=f"price list of {self.starts}")


@dataclass(frozen=True, slots=True)
class HistoricLine:
    """One historic line of a claim that names a drug or consumable.

    Attributes:
      code: As on the price list.
      day: When it was supplied.
      quantity: Units, above 0.
      paid: What was paid then, at least 0.
    """

    code: str
    day: date
    quantity: Decimal
    paid: Decimal

    def __post_init__(self) -> None:
        if self.quantity <= 0 or self.paid < 0:
            raise PaymentError(
                f"{self.quantity} units paid {self.paid} are no line", where=self.code,
                do="net out returns before re-pricing",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Repriced:
    """Lines at current prices.

    Attributes:
      amounts: One per line, in the order given.
      before: Sum of what was paid.
      after: Sum of ``amounts``.
      kept: Lines without a list price, kept as they were paid.
    """

    amounts: tuple[Decimal, ...]
    before: Decimal
    after: Decimal
    kept: int


def reprice(lines: Sequence[HistoricLine], current: PriceList, *, keep_unlisted: bool) -> Repriced:
    """Return historic lines at the prices of the current list.

    Args:
      lines: Drug and consumable lines; services are indexed, not re-priced.
      current: The list; a line after its first day was paid at it or at a later one and is refused.
      keep_unlisted: Keep a line whose code is not on the list as it was paid, and count it.

    Raises:
      PaymentError: an unlisted code that is not to be kept, or a line that is not historic.
    """
    amounts, kept = [], 0
    for line in lines:
        if line.day >= current.starts:
            raise PaymentError(
                f"a line of {line.day} is not older than the list of {current.starts}", where=line.code
            )
        price = current.prices.get(line.code)
        if price is None and not keep_unlisted:
            raise PaymentError(
                "the current price list does not hold the code",
                where=line.code,
                do="give its successor's code, or keep unlisted lines knowingly",
            )
        kept += price is None
        amounts.append(
            line.paid if price is None else (line.quantity * price).quantize(FEN, rounding=ROUND_HALF_UP)
        )
    before = sum((line.paid for line in lines), Decimal("0.00"))
    return Repriced(tuple(amounts), before, sum(amounts, Decimal("0.00")), kept)


def price_cut(before: Decimal, after: Decimal) -> Decimal:
    """Return the cut as a share of the earlier price, to six decimals; negative for a rise.

    Raises:
      PaymentError: an earlier price that is not above 0, or a later one below 0.
    """
    if before <= 0 or after < 0:
        raise PaymentError(f"from {before} to {after} is no change of a price")
    return (1 - after / before).quantize(Decimal("1e-6"), rounding=ROUND_HALF_UP)
