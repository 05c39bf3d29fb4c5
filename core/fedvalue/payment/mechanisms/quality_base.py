"""Base by risk tier, and a bonus for quality: every target reached, or no bonus.

    payment = sum over tiers of patients x base_tier  +  [every target reached] x bonus x bonus patients

Tiers are assigned at the start of the year by the contract's own rule and do not change in it, so that a
complication in the year is not paid for twice. Only tiers that the contract names earn the bonus. There is
no penalty and therefore no gap. A target is reached at its own value.

No uncertainty enters. Source: payment.md P07, P29 (15,000; screening >= 90 % and HbA1c >= 70 %: + 2,000).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.capitation import Head, TierYears, heads_total
from fedvalue.payment.mechanisms.cash import Party, Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import chosen, money, share
from fedvalue.payment.mechanisms.settle import Panel, Realised, meets, settled


@dataclass(frozen=True, slots=True)
class Target:
    """One target of quality.

    Attributes:
      name: ``complication screening``, ``HbA1c below 7``.
      rate: To be reached, between 0 and 1.
    """

    name: str
    rate: Decimal

    def __post_init__(self) -> None:
        share(self.rate, self.name)


@dataclass(frozen=True, slots=True)
class QualityTerms:
    """The contract.

    Attributes:
      contract: Its name.
      currency: ISO 4217 code.
      heads: Base by tier.
      bonus: Per patient-year of a bonus tier.
      bonus_tiers: Which tiers earn it.
      targets: All of them have to be reached.
      missing: How unmeasured patients count.
      bearer: Who pays.
    """

    contract: str
    currency: str
    heads: tuple[Head, ...]
    bonus: Decimal
    bonus_tiers: tuple[str, ...]
    targets: tuple[Target, ...]
    missing: Literal["fail", "exclude"]
    bearer: Party = "fund"

    def __post_init__(self) -> None:
        check_currency(self.currency)
        money(self.bonus, "bonus")
        chosen(self.missing, ("fail", "exclude"), "policy for missing outcomes")
        if not self.targets:
            raise PaymentError("a bonus for quality without a target", where=self.contract)
        if unknown := set(self.bonus_tiers) - {head.tier for head in self.heads}:
            raise PaymentError(f"no base for the bonus tier {min(unknown)!r}", where=self.contract)


@dataclass(frozen=True, slots=True)
class QualityYear:
    """One institution's year.

    Attributes:
      tiers: Patient-years by tier.
      measured: One panel per target, in the order of the contract's targets.
    """

    tiers: tuple[TierYears, ...]
    measured: tuple[Panel, ...]


def settle_quality(terms: QualityTerms, statement: Realised[QualityYear]) -> Settlement:
    """Return base and bonus of a year.

    Raises:
      PurposeMixed: an estimate instead of facts.
      PaymentError: not one panel per target.
    """
    facts = settled(statement, QualityYear, contract=terms.contract)
    if len(facts.measured) != len(terms.targets):
        raise PaymentError("the statement has not one panel per target", where=terms.contract)
    missed = [
        target.name
        for target, panel in zip(terms.targets, facts.measured, strict=True)
        if not meets(panel.rate(terms.missing), target.rate)
    ]
    years = sum((Fraction(t.member_years) for t in facts.tiers if t.tier in terms.bonus_tiers), Fraction(0))
    flows = [flow("base", heads_total(terms.heads, facts.tiers), bearer=terms.bearer, payee="hospital")]
    if not missed:
        flows.append(
            flow("bonus", money(terms.bonus, "bonus") * years, bearer=terms.bearer, payee="hospital")
        )
    return settlement(terms.contract, terms.currency, flows, notes=[f"missed: {name}" for name in missed])
