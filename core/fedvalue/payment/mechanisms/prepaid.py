"""Prepaid capitation: the surplus stays with the provider, the deficit is the provider's.

    income = member-years x price per head;  surplus = income - cost
    surplus > 0: retained, if the floor of quality is reached; otherwise it goes back to the fund
    surplus < 0: borne by the hospital, unless the contract says a share that the fund bears

A floor of quality guards against a surplus that is made of withheld care. Cost is truncated beforehand
where the contract has a stop-loss (`stop_loss`). The advance was paid before: what it was is a fact, and the
settlement pays the rest or takes back what was too much.

No uncertainty enters. Source: payment.md 2.4, P31 (800-1,200 per head).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from fedvalue.payment.mechanisms.cash import Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import chosen, money, not_negative, share
from fedvalue.payment.mechanisms.settle import Panel, Realised, meets, settled


@dataclass(frozen=True, slots=True)
class PrepaidTerms:
    """The contract.

    Attributes:
      contract: Its name.
      currency: ISO 4217 code.
      per_head: Per member-year.
      quality_floor: Rate below which a surplus is not retained.
      deficit_share_of_fund: 0 where no deficit is covered.
      missing: How unmeasured members count.
    """

    contract: str
    currency: str
    per_head: Decimal
    quality_floor: Decimal
    deficit_share_of_fund: Decimal
    missing: Literal["fail", "exclude"]

    def __post_init__(self) -> None:
        check_currency(self.currency)
        money(self.per_head, "per head")
        share(self.quality_floor, "quality floor")
        share(self.deficit_share_of_fund, "deficit share of the fund")
        chosen(self.missing, ("fail", "exclude"), "policy for missing outcomes")


@dataclass(frozen=True, slots=True)
class PrepaidYear:
    """One institution's year.

    Attributes:
      member_years: Pro rata.
      advance: Paid before.
      cost: Of the members' care, after truncation.
      quality: The agreed measure.
    """

    member_years: Fraction
    advance: Decimal
    cost: Decimal
    quality: Panel


def settle_prepaid(terms: PrepaidTerms, statement: Realised[PrepaidYear]) -> Settlement:
    """Return what is still paid or taken back.

    Raises:
      PurposeMixed: an estimate instead of facts.
      PaymentError: negative money.
    """
    facts = settled(statement, PrepaidYear, contract=terms.contract)
    income = money(terms.per_head, "per head") * not_negative(facts.member_years, "member years")
    surplus = income - money(facts.cost, "cost")
    flows = [flow("balance", income - money(facts.advance, "advance"), bearer="fund", payee="hospital")]
    reached = meets(facts.quality.rate(terms.missing), terms.quality_floor)
    notes = [f"{'surplus' if surplus >= 0 else 'deficit'} {abs(float(surplus)):.2f}"]
    if surplus > 0 and not reached:
        flows.append(flow("surplus not earned", surplus, bearer="hospital", payee="fund"))
        notes.append("the floor of quality was not reached")
    if surplus < 0:
        covered = -surplus * share(terms.deficit_share_of_fund, "deficit share of the fund")
        flows.append(flow("deficit share", covered, bearer="fund", payee="hospital"))
    return settlement(terms.contract, terms.currency, flows, notes=notes)
