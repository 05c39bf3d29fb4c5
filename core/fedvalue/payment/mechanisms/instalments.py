"""Instalments with clawback: a price paid over months while the patient stays event-free.

    A_k is paid at t_k  iff  no death, relapse or severe adverse event on [0, t_k]
    clawback = gamma x (sum of instalments paid before T)   iff  death or relapse at T <= W

A severe adverse event stops later instalments and claws nothing back. An event on the due day counts as
before the payment unless the contract says otherwise. Where follow-up ends before t_k nothing is known: the
instalment is held, and after the grace period the contract's policy applies. The manufacturer bears the
clawback; the hospital only where a contract says so in words. The contract is found by its own pseudonymous
id, so a patient who moves keeps the milestones. Death by another cause is a death, unless it is excluded.

No uncertainty enters; `expected_instalments` gives the expectation. Source: payment.md 2.3, P12.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Literal, get_args

from fedvalue.errors import PaymentError, WindowsOverlap
from fedvalue.payment.mechanisms.cash import Party, Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import chosen, fen, money, not_negative, share
from fedvalue.payment.mechanisms.settle import Realised, settled

Tie = Literal["event_first", "payment_first"]
Unknown = Literal["pay", "withhold"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The contract.

    Attributes:
      contract: Pseudonymous id.
      currency: ISO 4217 code.
      months: t_k, increasing, in months since infusion, length k.
      amounts: A_k.
      clawback_share: gamma, between 0 and 1.
      clawback_window: W, in months.
      tie: Whether an event on the due day counts before the payment.
      grace_months: How long an unknown outcome is held.
      unknown_policy: What follows then.
      bearer: Who pays the instalments.
      payee: Who receives them.
      clawback_bearer: Who pays back.
    """

    contract: str
    currency: str
    months: tuple[Decimal, ...]
    amounts: tuple[Decimal, ...]
    clawback_share: Decimal
    clawback_window: Decimal
    grace_months: Decimal
    unknown_policy: Unknown
    tie: Tie = "event_first"
    bearer: Party = "fund"
    payee: Party = "manufacturer"
    clawback_bearer: Party = "manufacturer"

    def __post_init__(self) -> None:
        check_currency(self.currency)
        if not self.months or len(self.months) != len(self.amounts):
            raise PaymentError("each instalment has a month and an amount", where=self.contract)
        if any(later <= earlier for earlier, later in pairwise(self.months)):
            raise WindowsOverlap("overlapping windows: due months do not increase", where=self.contract)
        for month, amount in zip(self.months, self.amounts, strict=True):
            not_negative(month, "month")
            money(amount, f"instalment of month {month}")
        share(self.clawback_share, "clawback share")
        not_negative(self.clawback_window, "clawback window")
        not_negative(self.grace_months, "grace months")
        chosen(self.unknown_policy, get_args(Unknown), "unknown policy")
        chosen(self.tie, get_args(Tie), "tie rule")
        chosen(self.clawback_bearer, get_args(Party), "clawback bearer")

    @property
    def price(self) -> Decimal:
        """The sum of all instalments."""
        return sum(self.amounts, Decimal("0.00"))


@dataclass(frozen=True, slots=True)
class Course:
    """One patient's facts, in months since infusion.

    Attributes:
      event_month: Death or relapse, or None.
      severe_ae_month: Severe adverse event, or None.
      followed_to: Last month known about.
    """

    event_month: Decimal | None
    severe_ae_month: Decimal | None
    followed_to: Decimal

    def __post_init__(self) -> None:
        for name in ("event_month", "severe_ae_month", "followed_to"):
            if (month := getattr(self, name)) is not None:
                not_negative(month, name)


def settle_instalments(terms: Schedule, statement: Realised[Course], *, today: Decimal) -> Settlement:
    """Return the flows of a contract up to today.

    Args:
      terms: The contract.
      statement: The site's signed facts.
      today: Months since infusion.

    Returns:
      Instalments, one flow each, the clawback, and what is held.

    Raises:
      PurposeMixed: an estimate instead of facts.
      PaymentError: a negative month.
    """
    facts = settled(statement, Course, contract=terms.contract)
    now = not_negative(today, "today")
    flows, held, paid = [], [], Fraction(0)
    for month, amount in zip(terms.months, terms.amounts, strict=True):
        if month > now:
            break
        if _stopped(terms, facts, month):
            continue
        if max(facts.followed_to, facts.event_month or facts.followed_to) < month:
            if now <= Fraction(month) + Fraction(terms.grace_months):
                held.append(f"instalment of month {month}: the outcome is not known yet")
                continue
            if terms.unknown_policy == "withhold":
                continue
        flows.append(
            flow(f"instalment of month {month}", Fraction(amount), bearer=terms.bearer, payee=terms.payee)
        )
        paid += Fraction(amount)
    event = facts.event_month
    if event is not None and event <= min(Fraction(terms.clawback_window), now):
        back = flow(
            "clawback",
            fen(paid * Fraction(terms.clawback_share)),
            bearer=terms.clawback_bearer,
            payee=terms.bearer,
        )
        flows.append(back)
    return settlement(terms.contract, terms.currency, flows, held=held)


def _stopped(terms: Schedule, facts: Course, month: Decimal) -> bool:
    """Tell whether an event stands before the payment of a month."""
    events = [m for m in (facts.event_month, facts.severe_ae_month) if m is not None]
    return any(m < month or (m == month and terms.tie == "event_first") for m in events)
