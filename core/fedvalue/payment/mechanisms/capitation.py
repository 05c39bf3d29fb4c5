"""Capitation with bonus and penalty: a head's price, times a factor that the realised targets decide.

    payment = sum over tiers of member-years x base_tier x f
    f = 1 + bonus     where every target is reached (AND)
    f = 1 - penalty   otherwise, unless the gap policy gives another factor to a part of the targets

The gap policy is required: what a panel earns that reaches some targets and not all. ``penalty`` takes it
as missed, ``neutral`` pays 1, ``proportional`` goes from penalty to bonus by the share of targets reached.
A target is reached at its own value. "Admissions -20 %" is 1 - realised / expected admissions; expected is
the risk-adjusted concurrent trend of the region, by default, or the panel's own previous year. That other
one regresses to the mean and rewards a bad year; both reductions are noted. Partial years enter pro rata.

A settlement reads realised figures and no probability: 572 of 800 (71.5 %) reach a target of 70 %. The
bonus is its own flow. Source: payment.md 2.4, P03, P04, P11 and points 11 and 16.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal, get_args

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.bands import TierAmounts
from fedvalue.payment.mechanisms.cash import Party, Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import ONE, chosen, money, not_negative, positive, share
from fedvalue.payment.mechanisms.settle import Panel, Realised, meets, settled

Baseline = Literal["concurrent_trend", "previous_year"]
PartlyReached = Literal["penalty", "neutral", "proportional"]
MissingPolicy = Literal["fail", "exclude"]


@dataclass(frozen=True, slots=True)
class Head:
    """What one member of a tier is paid for a year.

    Attributes:
      tier: Name of the risk tier; ``all`` without tiers.
      base: Money per member-year.
    """

    tier: str
    base: Decimal

    def __post_init__(self) -> None:
        money(self.base, f"base of {self.tier}")


@dataclass(frozen=True, slots=True)
class CapitationTerms:
    """The contract with two targets.

    Attributes:
      contract: Its name.
      currency: ISO 4217 code.
      heads: Base by tier.
      control_target: Rate of controlled members.
      reduction_target: Reduction of admissions against the baseline.
      bonus: Share added.
      penalty: Share taken off.
      gap: What a part of the targets earns; required.
      missing: How unmeasured members count.
      baseline: What admissions are compared with.
      bearer: Who pays.
    """

    contract: str
    currency: str
    heads: tuple[Head, ...]
    control_target: Decimal
    reduction_target: Decimal
    bonus: Decimal
    penalty: Decimal
    gap: PartlyReached
    missing: MissingPolicy
    baseline: Baseline = "concurrent_trend"
    bearer: Party = "fund"

    def __post_init__(self) -> None:
        check_currency(self.currency)
        chosen(self.gap, get_args(PartlyReached), "gap policy")
        chosen(self.missing, get_args(MissingPolicy), "policy for missing outcomes")
        chosen(self.baseline, get_args(Baseline), "baseline")
        for name in ("control_target", "reduction_target", "bonus", "penalty"):
            share(getattr(self, name), name.replace("_", " "))
        if not self.heads or len({head.tier for head in self.heads}) != len(self.heads):
            raise PaymentError("each tier has one base", where=self.contract)


@dataclass(frozen=True, slots=True)
class TierYears:
    """Member-years of one tier, partial years pro rata.

    Attributes:
      tier: Name of the tier.
      member_years: At least 0.
    """

    tier: str
    member_years: Fraction


@dataclass(frozen=True, slots=True)
class PanelYear:
    """One institution's year.

    Attributes:
      tiers: Member-years by tier.
      control: Who was controlled.
      admissions: Admissions of the panel; a same-day transfer is one, a planned cycle none.
      expected_by_trend: Risk-adjusted concurrent expectation of the region, from its signed table.
      previous_year: The panel's own admissions of the year before, adjusted to this year's member-years.
    """

    tiers: tuple[TierYears, ...]
    control: Panel
    admissions: int
    expected_by_trend: Decimal
    previous_year: Decimal


def reduction(facts: PanelYear, baseline: Baseline) -> Fraction:
    """Return 1 - realised / expected admissions; below 0 where there were more."""
    expected = facts.expected_by_trend if baseline == "concurrent_trend" else facts.previous_year
    return 1 - not_negative(facts.admissions, "admissions") / positive(expected, f"admissions by {baseline}")


def factor(terms: CapitationTerms, facts: PanelYear) -> Fraction:
    """Return f of a year's realised targets."""
    targets = (
        meets(facts.control.rate(terms.missing), terms.control_target),
        reduction(facts, terms.baseline) >= share(terms.reduction_target, "reduction target"),
    )
    up, down = ONE + share(terms.bonus, "bonus"), ONE - share(terms.penalty, "penalty")
    if all(targets):
        return up
    if not any(targets) or terms.gap == "penalty":
        return down
    return ONE if terms.gap == "neutral" else down + (up - down) * Fraction(sum(targets), len(targets))


def settle_capitation(terms: CapitationTerms, statement: Realised[PanelYear]) -> Settlement:
    """Return base and bonus or penalty of a year.

    Raises:
      PurposeMixed: an estimate instead of facts.
      PaymentError: a tier without base, nobody to take a rate of, no expected admissions.
    """
    facts = settled(statement, PanelYear, contract=terms.contract)
    base, f = heads_total(terms.heads, facts.tiers), factor(terms, facts)
    flows = (
        flow("base", base, bearer=terms.bearer, payee="hospital"),
        flow("bonus" if f > 1 else "penalty", base * (f - 1), bearer=terms.bearer, payee="hospital"),
    )
    notes = [
        f"reduction of admissions against {baseline}: {float(reduction(facts, baseline)):.4f}"
        for baseline in get_args(Baseline)
        if baseline == terms.baseline or facts.previous_year
    ]
    return settlement(terms.contract, terms.currency, flows, notes=notes)


def heads_total(heads: tuple[Head, ...], tiers: tuple[TierYears, ...]) -> Fraction:
    """Return the sum over tiers of member-years times base.

    Raises:
      PaymentError: a tier without base.
    """
    bases = {head.tier: money(head.base, head.tier) for head in heads}
    total = Fraction(0)
    for tier in tiers:
        if tier.tier not in bases:
            raise PaymentError(f"the contract has no base for the tier {tier.tier!r}", where="tiers")
        total += bases[tier.tier] * not_negative(tier.member_years, f"member years of {tier.tier}")
    return total


@dataclass(frozen=True, slots=True)
class TieredCapitationTerms:
    """Capitation with a bonus, a dead band and a penalty per head.

    Attributes:
      contract: Its name.
      currency: ISO 4217 code.
      heads: Base by tier.
      tiers: From control rate to amount per head.
      missing: How unmeasured members count.
      bearer: Who pays.
    """

    contract: str
    currency: str
    heads: tuple[Head, ...]
    tiers: TierAmounts
    missing: MissingPolicy
    bearer: Party = "fund"

    def __post_init__(self) -> None:
        check_currency(self.currency)
        chosen(self.missing, get_args(MissingPolicy), "policy for missing outcomes")


def settle_tiered_capitation(terms: TieredCapitationTerms, statement: Realised[PanelYear]) -> Settlement:
    """Return base and bonus or penalty of a year with a dead band.

    Raises:
      PurposeMixed: an estimate instead of facts.
    """
    facts = settled(statement, PanelYear, contract=terms.contract)
    years = sum((Fraction(t.member_years) for t in facts.tiers), Fraction(0))
    added = terms.tiers.of(facts.control.rate(terms.missing)) * years
    flows = (
        flow("base", heads_total(terms.heads, facts.tiers), bearer=terms.bearer, payee="hospital"),
        flow("bonus" if added > 0 else "penalty", added, bearer=terms.bearer, payee="hospital"),
    )
    return settlement(terms.contract, terms.currency, flows)


def next_standard(standard: Decimal, realised: Fraction, *, target: Decimal, uplift: Decimal) -> Fraction:
    """Return next year's standard of this institution's contract: raised where the target was reached.

    An auto-applied term of the contract (P11: at 70 % or more, 10 % more next year), exact before rounding.
    """
    up = share(uplift, "uplift") if meets(realised, target) else 0
    return money(standard, "standard") * (1 + up)
