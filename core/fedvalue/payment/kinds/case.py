"""What a mechanism sees of a decision: the standard on a day, joint draws, the payer's figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.decision import Outcome
from fedvalue.payment.decision_findings import Refused, Result
from fedvalue.payment.held import Held
from fedvalue.payment.known import Known
from fedvalue.payment.mechanisms.underlying import Derived, Draws, Floats
from fedvalue.payment.parameters import is_money
from fedvalue.payment.standard import Standard

Take = Callable[[str], Floats]
"""Gives the draws of a quantity, shape ``(runs,)``."""


@dataclass(frozen=True, slots=True)
class Case:
    """One decision, as its mechanism reads it.

    Attributes:
      standard: The standard.
      on: The day whose values are used.
      known: What is known of every quantity.
      draws: The same, jointly.
      held: The payer's statement.
      seed: For draws that a mechanism makes itself.
      together: Covariance of two quantities, by sampling and by noise, where an analysis states it.
      proposed: Payment values as proposed; empty for those in force.
    """

    standard: Standard
    on: date
    known: Mapping[str, Known]
    draws: Draws
    held: Held | None
    seed: int
    together: Mapping[frozenset[str], tuple[float, float]] = field(default_factory=dict)
    proposed: Mapping[str, Decimal] = field(default_factory=dict)

    def amount(self, name: str) -> Decimal:
        """Return a payment value, term or parameter: as proposed, or in force on the day."""
        return self.proposed[name] if name in self.proposed else self.standard.amount(name, self.on)

    def number(self, name: str) -> float:
        """Return the same as a float, for distributions."""
        return float(self.amount(name))

    def family(self, stem: str) -> dict[str, Decimal]:
        """Return the payment values and terms called ``<stem>_<rest>``, by rest, numbers in order."""
        found = {
            name.removeprefix(f"{stem}_"): self.amount(name)
            for name in self.standard.amounts
            if name.startswith(f"{stem}_")
        }
        return dict(sorted(found.items(), key=lambda item: _order(item[0])))

    def numbered(self, stem: str) -> list[Decimal]:
        """Return ``<stem>_1``, ``<stem>_2``, ... in order.

        Raises:
          PaymentError: a number is left out.
        """
        found = {int(rest): amount for rest, amount in self.family(stem).items() if rest.isdigit()}
        if sorted(found) != list(range(1, len(found) + 1)):
            raise PaymentError(f"{stem}_1, {stem}_2, ... leave a number out", where=self.standard.name)
        return [found[i] for i in range(1, len(found) + 1)]

    def word(self, name: str) -> str:
        """Return a word of the contract."""
        return self.standard.contract[name]

    @property
    def currency(self) -> str:
        """Return the one currency of the standard's money.

        Raises:
          PaymentError: its money is in two currencies, or there is none.
        """
        found = {p.unit[:3] for p in self.standard.amounts.values() if is_money(p.unit)}
        if len(found) != 1:
            raise PaymentError(f"the standard's money is in {sorted(found)}", where=self.standard.name)
        return found.pop()

    def statement(self) -> Held:
        """Return the payer's statement.

        Raises:
          PaymentError: the decision has none.
        """
        if self.held is None:
            raise PaymentError(
                "this mechanism reads the payer's own exact figures", where=self.standard.name,
                do="give the payer's statement with --held",
            )  # fmt: skip
        return self.held

    def figure(self, name: str) -> Decimal:
        """Return an exact figure that the standard reads as a quantity."""
        return self.statement().figure(name, self.standard.quantities[name].unit)

    def through(self, function: Callable[[Take], Floats]) -> Derived:
        """Return a function of the quantities, given a way to take one quantity's draws."""
        names = self.draws.names

        def rows(values: Floats) -> Floats:
            return np.asarray(function(lambda name: values[:, names.index(name)]), dtype=np.float64)

        return self.draws.through(rows)

    def as_proposed(self, values: Mapping[str, Decimal]) -> Case:
        """Return the case with payment values as proposed."""
        return replace(self, proposed=dict(values))


@dataclass(frozen=True, slots=True)
class Expected:
    """Money that is expected per patient.

    Attributes:
      name: Of the flow.
      bearer: Who pays.
      payee: Who receives.
      amount: Estimate with both variances.
    """

    name: str
    bearer: str
    payee: str
    amount: Derived


def _no_derived(case: Case) -> dict[str, Known]:
    del case
    return {}


def _no_amounts(case: Case, outcome: Outcome) -> dict[str, Decimal]:
    del case, outcome
    return {}


def _no_results(case: Case) -> tuple[Result, ...]:
    del case
    return ()


def _no_money(case: Case) -> tuple[Expected, ...]:
    del case
    return ()


def _no_refusal(case: Case) -> Refused | None:
    del case
    return None


def _no_check(case: Case) -> None:
    del case


def _no_months(case: Case) -> tuple[str, ...]:
    del case
    return ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A mechanism at work; every part may be left out.

    Attributes:
      check: Refuses a contract that leaves something open, before any evidence is read.
      months: Months at which a curve is read.
      refuse: Why the mechanism cannot be used as asked for; the standard is then kept.
      derive: Quantities that criteria may name.
      compute: Amounts that consequences may name.
      results: Numbers for the reader.
      expect: Money that is expected per patient.
    """

    check: Callable[[Case], None] = _no_check
    months: Callable[[Case], tuple[str, ...]] = _no_months
    refuse: Callable[[Case], Refused | None] = _no_refusal
    derive: Callable[[Case], Mapping[str, Known]] = _no_derived
    compute: Callable[[Case, Outcome], Mapping[str, Decimal]] = _no_amounts
    results: Callable[[Case], tuple[Result, ...]] = _no_results
    expect: Callable[[Case], tuple[Expected, ...]] = _no_money


def result(name: str, unit: str, derived: Derived, text: str | None = None) -> Result:
    """Return a derived quantity for the reader, to nine digits."""
    low, high = derived.interval()
    return Result(
        name=name, unit=unit, value=kept(derived.value), lower=kept(low), upper=kept(high),
        sampling_variance=kept(derived.sampling_variance), privacy_variance=kept(derived.privacy_variance),
        text=text,
    )  # fmt: skip


def kept(value: float) -> float:
    """Return a figure as decisions keep it, to nine significant digits."""
    return float(f"{value:.9g}")


def _order(rest: str) -> tuple[int, str]:
    return (int(rest), "") if re.fullmatch(r"[0-9]+", rest) else (1_000_000, rest)
