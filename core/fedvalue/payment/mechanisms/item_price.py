"""An item's price cap and the patient's share: a sequencing test at most 3,000, of which 10 % by the patient.

    covered = min(charge, cap);  patient = share x covered;  fund = covered - patient
    excess  = charge - covered

Who bears the excess is a required term: ``hospital`` (it may not be billed) or ``patient``. A second payer
may take a share of the patient's part. The parts add to the charge to the fen.

No uncertainty enters. Source: payment.md P10, P19, P45.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from fedvalue.payment.mechanisms.cash import Settlement, Transfer, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import apportion, chosen, money, share
from fedvalue.payment.mechanisms.settle import Realised, settled


@dataclass(frozen=True, slots=True)
class ItemTerms:
    """The rule of one item.

    Attributes:
      contract: Its name.
      code: Of the item.
      currency: ISO 4217 code.
      cap: The most that is covered.
      patient_share: Of what is covered.
      insurer_share: Of the patient's part; 0 without a second payer.
      excess: Who bears what lies above the cap.
    """

    contract: str
    code: str
    currency: str
    cap: Decimal
    patient_share: Decimal
    insurer_share: Decimal
    excess: Literal["hospital", "patient"]

    def __post_init__(self) -> None:
        check_currency(self.currency)
        money(self.cap, "cap")
        share(self.patient_share, "patient share")
        share(self.insurer_share, "insurer share")
        chosen(self.excess, ("hospital", "patient"), "bearer of the excess")


@dataclass(frozen=True, slots=True)
class Charge:
    """One billed item.

    Attributes:
      code: Of the item.
      amount: As billed.
    """

    code: str
    amount: Decimal


def settle_item(terms: ItemTerms, statement: Realised[Charge]) -> Settlement:
    """Return who pays what of one billed item.

    Raises:
      PurposeMixed: an estimate instead of facts.
      PaymentError: another item, negative money.
    """
    facts = settled(statement, Charge, contract=terms.contract)
    chosen(facts.code, (terms.code,), "item of this rule")
    charge = money(facts.amount, "charge")
    covered = min(charge, money(terms.cap, "cap"))
    flows: list[Transfer] = []
    if covered:
        own = share(terms.patient_share, "patient share")
        second = share(terms.insurer_share, "insurer share")
        fund, patient, insurer = apportion(covered, (1 - own, own * (1 - second), own * second))
        flows = [
            flow("covered", fund, bearer="fund", payee="hospital"),
            flow("co-pay", patient, bearer="patient", payee="hospital"),
            flow("second payer", insurer, bearer="insurer", payee="hospital"),
        ]
    over = charge - covered
    if over and terms.excess == "patient":
        flows.append(flow("excess", over, bearer="patient", payee="hospital"))
    notes = [f"{float(over):.2f} above the cap is not billed"] if over and terms.excess == "hospital" else []
    return settlement(terms.contract, terms.currency, flows, notes=notes)


def patient_rate(result: Settlement, charge: Decimal) -> Fraction:
    """Return the patient's share of a charge, for the promise "co-pay of at most 10 %"."""
    return Fraction(-result.net("patient")) / money(charge, "charge")
