"""Three parties: the patient pays a share, an insurer the rest, the manufacturer refunds a failure.

    patient = p x price,  insurer = (1 - p) x price            at the start
    refund  = r x price,  if relapse within W months           by the manufacturer

The refund goes to both payers in proportion to what they paid (or to one of them, in words). A relapse at
W exactly is within. The parts add to price and refund to the fen. Unknown at W: nothing is refunded yet.

Where the insurer is the public fund, name it so. No uncertainty enters. Source: payment.md P15 (30/70, two
years, 50 %); a one-off outcome plan with a refund when complete remission is not reached has the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.cash import Party, Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import apportion, chosen, fen, money, not_negative, share
from fedvalue.payment.mechanisms.settle import Realised, settled

RefundTo = Literal["pro_rata", "patient", "insurer"]


@dataclass(frozen=True, slots=True)
class ThreePartyTerms:
    """The contract.

    Attributes:
      contract: Pseudonymous id.
      currency: ISO 4217 code.
      price: The whole price.
      patient_share: p.
      refund_share: r, of the price.
      window_months: W.
      refund_to: Who is refunded.
      insurer: ``insurer`` or ``fund``.
    """

    contract: str
    currency: str
    price: Decimal
    patient_share: Decimal
    refund_share: Decimal
    window_months: Decimal
    refund_to: RefundTo
    insurer: Party = "insurer"

    def __post_init__(self) -> None:
        check_currency(self.currency)
        money(self.price, "price")
        share(self.patient_share, "patient share")
        share(self.refund_share, "refund share")
        not_negative(self.window_months, "window months")
        chosen(self.refund_to, get_args(RefundTo), "refund recipient")
        chosen(self.insurer, ("insurer", "fund"), "insurer")


@dataclass(frozen=True, slots=True)
class Relapse:
    """One patient's facts, in months since the start.

    Attributes:
      month: Of the relapse, or None.
      followed_to: Last month known about.
    """

    month: Decimal | None
    followed_to: Decimal


def settle_three_party(terms: ThreePartyTerms, statement: Realised[Relapse]) -> Settlement:
    """Return all flows of the contract as far as is known.

    Raises:
      PurposeMixed: an estimate instead of facts.
      PaymentError: a negative month, or a relapse after the last day known about.
    """
    facts = settled(statement, Relapse, contract=terms.contract)
    followed = not_negative(facts.followed_to, "followed to")
    if facts.month is not None and not_negative(facts.month, "month") > followed:
        raise PaymentError("a relapse after the last month known about", where=statement.institution)
    shares = (terms.patient_share, 1 - terms.patient_share)
    payers: tuple[Party, Party] = ("patient", terms.insurer)
    parts = zip(payers, apportion(terms.price, shares), strict=True)
    flows = [flow("price", part, bearer=payer, payee="manufacturer") for payer, part in parts]
    held = []
    if facts.month is not None and facts.month <= terms.window_months:
        refund = fen(money(terms.price, "price") * share(terms.refund_share, "refund share"))
        one, none = Decimal(1), Decimal(0)
        to = {"pro_rata": shares, "patient": (one, none), "insurer": (none, one)}[terms.refund_to]
        for payer, part in zip(payers, apportion(refund, to), strict=True):
            flows.append(flow("refund", part, bearer="manufacturer", payee=payer))
    elif facts.month is None and facts.followed_to < terms.window_months:
        held.append("refund: the outcome is not known to the end of the window")
    return settlement(terms.contract, terms.currency, flows, held=held)
