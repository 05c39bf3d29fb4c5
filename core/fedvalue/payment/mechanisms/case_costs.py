"""What the payer's own settlement lists say a group costs: exact, by group, reconciled to the fen.

Counts, sums and sums of squares; nothing else is needed for means, variances and weights, and they add, so
that an institution that splits in two changes nothing. The books close: grouped cases, trimmed cases,
carved-out amounts and ungrouped cases add to what the lists hold, in cases and in fen, or nothing is built
on them. A noised or clipped cost is refused by type.

Historic drug and consumable lines are re-priced to the price list that ``price_list`` names before they are
summed. Source: payment.md point 12 and 2.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.cash import check_currency
from fedvalue.payment.mechanisms.exact import count, exact, fen, money, not_negative
from fedvalue.payment.mechanisms.trimming import trim


@dataclass(frozen=True, slots=True)
class GroupCosts:
    """One group's cases.

    Attributes:
      group: Its code.
      cases: How many.
      total: Sum of their costs.
      squares: Sum of the squares of their costs.
    """

    group: str
    cases: int
    total: Decimal
    squares: Decimal

    def __post_init__(self) -> None:
        n = count(self.cases, f"cases of {self.group}")
        total = money(self.total, f"total of {self.group}")
        if n * not_negative(self.squares, f"squares of {self.group}") < total**2:
            raise PaymentError("a sum of squares below what its mean demands", where=self.group)

    def __add__(self, other: GroupCosts) -> GroupCosts:
        """Pool two institutions' cases of one group."""
        if self.group != other.group:
            raise PaymentError(f"{self.group} and {other.group} are two groups", where="group costs")
        return GroupCosts(
            self.group, self.cases + other.cases, self.total + other.total, self.squares + other.squares
        )

    @property
    def mean(self) -> Fraction:
        """Mean cost.

        Raises:
          PaymentError: no cases.
        """
        if not self.cases:
            raise PaymentError("a group without cases has no mean", where=self.group)
        return Fraction(self.total) / self.cases

    @property
    def variance(self) -> Fraction:
        """Sample variance of the cost of a case, 0 for one case."""
        if self.cases < 2:
            return Fraction(0)
        return (Fraction(self.squares) - self.cases * self.mean**2) / (self.cases - 1)


@dataclass(frozen=True, slots=True)
class PayerHeld:
    """One year of a region's settlement lists, closed.

    Attributes:
      year: Discharge year.
      currency: ISO 4217 code.
      grouping_version: Of the grouper; two versions are bridged by grouping one year with both.
      price_list: Which price list the costs are at.
      groups: Cases inside the fences, each group once.
      trimmed_cases: Cases outside.
      trimmed_total: Their cost.
      carved_total: New technology that is paid apart for now, inside otherwise grouped cases.
      ungrouped_cases: Cases that the grouper could not place.
      ungrouped_total: Their cost.
      ledger_cases: All cases on the lists.
      ledger_total: Their cost.
    """

    year: int
    currency: str
    grouping_version: str
    price_list: str
    groups: tuple[GroupCosts, ...]
    trimmed_cases: int
    trimmed_total: Decimal
    carved_total: Decimal
    ungrouped_cases: int
    ungrouped_total: Decimal
    ledger_cases: int
    ledger_total: Decimal

    def __post_init__(self) -> None:
        check_currency(self.currency)
        if not self.groups or len({g.group for g in self.groups}) != len(self.groups):
            raise PaymentError("each group stands once", where=f"settlement lists of {self.year}")
        parts = [
            *(Fraction(g.total) for g in self.groups),
            *(money(getattr(self, n), n) for n in ("trimmed_total", "carved_total", "ungrouped_total")),
        ]
        cases = sum(g.cases for g in self.groups) + self.trimmed_cases + self.ungrouped_cases
        open_money = money(self.ledger_total, "ledger total") - sum(parts)
        open_cases = count(self.ledger_cases, "ledger cases") - cases
        if open_money or open_cases:
            raise PaymentError(
                f"the books do not close: {open_cases} cases and {fen(open_money)} {self.currency} are open",
                where=f"settlement lists of {self.year}",
                do="find the lines; no weight is built on totals that do not reconcile to the fen",
            )

    @property
    def cases(self) -> int:
        """Cases behind the weights."""
        return sum(g.cases for g in self.groups)

    @property
    def mean(self) -> Fraction:
        """Mean cost of the cases behind the weights."""
        return sum((Fraction(g.total) for g in self.groups), Fraction(0)) / self.cases

    def group(self, name: str) -> GroupCosts:
        """Return one group.

        Raises:
          PaymentError: there is no such group.
        """
        for group in self.groups:
            if group.group == name:
                return group
        raise PaymentError(f"no group {name!r}", where=f"settlement lists of {self.year}")


def summed(group: str, costs: Sequence[Decimal]) -> GroupCosts:
    """Return count, sum and sum of squares of exact costs.

    Raises:
      PurposeMixed: a noised cost.
      PaymentError: negative money.
    """
    fractions = [money(cost, f"cost in {group}") for cost in costs]
    squares = sum((c**2 for c in fractions), Fraction(0))
    # Costs are whole fen, so squares have at most four decimals: this division is exact.
    return GroupCosts(
        group, len(costs), fen(sum(fractions, Fraction(0))), Decimal(int(squares * 10**4)).scaleb(-4)
    )


def close_books(
    costs: Mapping[str, Sequence[Decimal]],
    *,
    year: int,
    currency: str,
    grouping_version: str,
    price_list: str,
    trim_factor: Decimal,
    ledger_cases: int,
    ledger_total: Decimal,
    carved_total: Decimal = Decimal("0.00"),
    ungrouped: Sequence[Decimal] = (),
) -> PayerHeld:
    """Trim, sum and reconcile one year.

    Args:
      costs: Exact cost of every grouped case, by group, without carved-out lines.
      year: Discharge year.
      currency: ISO 4217 code.
      grouping_version: Of the grouper.
      price_list: Which price list the costs are at.
      trim_factor: Of the fences.
      ledger_cases: All cases on the lists.
      ledger_total: Their cost.
      carved_total: Cost of carved-out lines.
      ungrouped: Cost of cases that the grouper could not place.

    Raises:
      PurposeMixed: a noised cost.
      PaymentError: the books do not close.
    """
    trimmed = {group: trim(values, trim_factor) for group, values in costs.items()}
    cut = [exact(cost, "cost") for part in trimmed.values() for cost in part.cut]
    return PayerHeld(
        year=year,
        currency=currency,
        grouping_version=grouping_version,
        price_list=price_list,
        groups=tuple(summed(group, part.kept) for group, part in trimmed.items()),
        trimmed_cases=len(cut),
        trimmed_total=fen(sum(cut, Fraction(0))),
        carved_total=carved_total,
        ungrouped_cases=len(ungrouped),
        ungrouped_total=fen(sum((money(cost, "cost") for cost in ungrouped), Fraction(0))),
        ledger_cases=ledger_cases,
        ledger_total=ledger_total,
    )
