"""Flows of money: who bears what, in which currency, to the fen.

An amount is never negative. Money that goes the other way is another flow, with bearer and payee exchanged,
so that every settlement shows who is debited; a clawback never debits the hospital unless a contract says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal, get_args

from fedvalue.errors import CurrencyUnknown, PaymentError
from fedvalue.payment.mechanisms.exact import chosen, fen, money

Party = Literal[
    "fund",
    "hospital",
    "patient",
    "manufacturer",
    "insurer",
    "aid_program",
    "innovation_fund",
    "region",
    "escrow",
]
"""``fund``: the public health insurance; ``insurer``: a commercial one; ``region``: a pool of the fund;
``escrow``: a bond that a manufacturer deposited."""

CURRENCIES = frozenset({"CNY", "USD", "GBP", "EUR", "HKD", "CHF", "AUD", "CAD", "SGD"})
"""ISO 4217 codes that a contract may be in: currencies of a hundred parts."""


def check_currency(code: object) -> None:
    """Refuse a currency that is not one of `CURRENCIES`.

    Raises:
      PaymentError: unknown.
    """
    if code not in CURRENCIES:
        raise CurrencyUnknown(
            f"unknown currency {code!r}",
            where="currency",
            do=f"use an ISO 4217 code: {', '.join(sorted(CURRENCIES))}",
        )


@dataclass(frozen=True, slots=True)
class Transfer:
    """One flow of money.

    Attributes:
      name: ``capitation``, ``bonus``, ``clawback``.
      bearer: Who pays.
      payee: Who receives.
      amount: At least 0, to the hundredth.
    """

    name: str
    bearer: Party
    payee: Party
    amount: Decimal

    def __post_init__(self) -> None:
        money(self.amount, self.name)
        chosen(self.bearer, get_args(Party), f"bearer of {self.name}")
        chosen(self.payee, get_args(Party), f"payee of {self.name}")
        if self.bearer == self.payee:
            raise PaymentError(f"{self.bearer} would pay itself", where=self.name)

    @property
    def fen(self) -> int:
        """The amount in hundredths of the currency."""
        return int(self.amount * 100)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one statement leads to.

    Attributes:
      contract: The contract.
      currency: ISO 4217 code.
      transfers: The flows; none of amount 0.
      held: What is neither paid nor refused yet, and why.
      notes: Sentences for the statement.
    """

    contract: str
    currency: str
    transfers: tuple[Transfer, ...]
    held: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_currency(self.currency)

    def net(self, party: Party) -> Decimal:
        """Return what a party receives less what it bears."""
        received = sum((t.amount for t in self.transfers if t.payee == party), Decimal("0.00"))
        return received - sum((t.amount for t in self.transfers if t.bearer == party), Decimal("0.00"))

    def amount(self, name: str) -> Decimal:
        """Return the sum of the flows of that name, 0.00 if there is none."""
        return sum((t.amount for t in self.transfers if t.name == name), Decimal("0.00"))


def flow(name: str, amount: Fraction | Decimal, *, bearer: Party, payee: Party) -> Transfer:
    """Return a flow rounded to the fen; a negative amount flows the other way.

    Args:
      name: Of the flow.
      amount: Money from ``bearer`` to ``payee``; below 0 from ``payee`` to ``bearer``.
      bearer: Who pays where the amount is positive.
      payee: Who receives where it is positive.
    """
    rounded = fen(Fraction(amount))
    if rounded < 0:
        return Transfer(name, payee, bearer, -rounded)
    return Transfer(name, bearer, payee, rounded)


def settlement(
    contract: str,
    currency: str,
    transfers: Iterable[Transfer],
    *,
    held: Iterable[str] = (),
    notes: Iterable[str] = (),
) -> Settlement:
    """Return a settlement without its empty flows.

    Raises:
      PaymentError: unknown currency.
    """
    return Settlement(contract, currency, tuple(t for t in transfers if t.amount), tuple(held), tuple(notes))
