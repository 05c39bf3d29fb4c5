"""One payment for one outcome, confirmed once: reversal of prediabetes, for provider and patient.

    provider reward and patient credit are paid  iff  the outcome is confirmed, by a second measurement at
    least ``confirm_days`` after the first, and was not paid for this person before.

An outcome without confirmation is held while a confirmation can still come, and is then forgone. Reversal
that is lost again later claws nothing back: the contract would have to be an instalment contract.

No uncertainty enters. Source: payment.md P30 (3,000 per person for the provider, 500 for the patient).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.cash import Party, Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import count, money
from fedvalue.payment.mechanisms.settle import Realised, settled


@dataclass(frozen=True, slots=True)
class OneOffTerms:
    """The contract.

    Attributes:
      contract: Its name.
      currency: ISO 4217 code.
      provider_reward: Per person, to the hospital.
      patient_credit: Per person, to the patient.
      confirm_days: Days that outcome and confirmation lie apart, at least.
      deadline_days: Days after the outcome by which it must be confirmed.
      bearer: Who pays.
    """

    contract: str
    currency: str
    provider_reward: Decimal
    patient_credit: Decimal
    confirm_days: int
    deadline_days: int
    bearer: Party = "fund"

    def __post_init__(self) -> None:
        check_currency(self.currency)
        money(self.provider_reward, "provider reward")
        money(self.patient_credit, "patient credit")
        if count(self.deadline_days, "deadline") < count(self.confirm_days, "confirm days"):
            raise PaymentError(
                "the deadline falls before the first possible confirmation", where=self.contract
            )


@dataclass(frozen=True, slots=True)
class Reversal:
    """One person's facts; days since enrolment.

    Attributes:
      reached_day: First measurement that shows the outcome, or None.
      confirmed_day: The confirming one, or None.
      paid_before: Whether this person's outcome was paid already.
    """

    reached_day: int | None
    confirmed_day: int | None
    paid_before: bool


def settle_one_off(terms: OneOffTerms, statement: Realised[Reversal], *, today: int) -> Settlement:
    """Return the one payment, or what is held.

    Args:
      terms: The contract.
      statement: The provider's signed facts.
      today: Days since enrolment.

    Raises:
      PurposeMixed: an estimate instead of facts.
    """
    facts = settled(statement, Reversal, contract=terms.contract)
    flows, held, notes = [], [], []
    reached, confirmed = facts.reached_day, facts.confirmed_day
    if reached is None:
        notes.append("the outcome was not reached")
    elif facts.paid_before:
        notes.append("paid before: one person's outcome is paid once")
    elif confirmed is not None and terms.confirm_days <= confirmed - reached <= terms.deadline_days:
        flows.append(flow("provider reward", terms.provider_reward, bearer=terms.bearer, payee="hospital"))
        flows.append(flow("patient credit", terms.patient_credit, bearer=terms.bearer, payee="patient"))
    elif count(today, "today") <= reached + terms.deadline_days:
        held.append("reward: the outcome is not confirmed yet")
    else:
        notes.append("not confirmed in time")
    return settlement(terms.contract, terms.currency, flows, held=held, notes=notes)
