"""From a realised rate to a factor: tiers, dead bands, and the gap that a contract must fill itself.

A source that says "85 % pays in full, below 70 % pays 80 %" leaves [70 %, 85 %) undefined. The gap policy
is a required term, never a silent zero:

* ``linear``: low + (rate - low_below) / (full_from - low_below) x (full - low);
* ``hold_full``: the factor of the upper tier; only below ``low_below`` is there a reduction;
* ``hold_low``: the factor of the lower tier; only from ``full_from`` on is there none.

At ``low_below`` itself the rate is in the gap, at ``full_from`` above it. The factor never falls when the
rate rises. No uncertainty enters: the rate is realised. Source: payment.md 2.4, P34 and point 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal, get_args

from fedvalue.errors import PaymentError, WindowsOverlap
from fedvalue.payment.mechanisms.cash import Party, Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import chosen, exact, money, not_negative, share
from fedvalue.payment.mechanisms.settle import Panel, Realised, settled

Gap = Literal["linear", "hold_full", "hold_low"]


@dataclass(frozen=True, slots=True)
class BandFactor:
    """Two tiers and what lies between.

    Attributes:
      full_from: Rate from which ``full`` holds.
      full: Factor of the upper tier.
      low_below: Rate below which ``low`` holds.
      low: Factor of the lower tier.
      gap: What holds between; required.
    """

    full_from: Decimal
    full: Decimal
    low_below: Decimal
    low: Decimal
    gap: Gap

    def __post_init__(self) -> None:
        chosen(self.gap, get_args(Gap), "gap policy")
        if share(self.low_below, "low below") > share(self.full_from, "full from"):
            raise WindowsOverlap("overlapping windows: the lower tier reaches into the upper", where="tiers")
        if not_negative(self.low, "low") > not_negative(self.full, "full"):
            raise PaymentError("the lower tier pays more than the upper", where="tiers")

    def of(self, rate: Fraction) -> Fraction:
        """Return the factor of a realised rate.

        Args:
          rate: Between 0 and 1.
        """
        realised = exact(rate, "rate")
        full, low = exact(self.full, "full"), exact(self.low, "low")
        if realised >= Fraction(self.full_from):
            return full
        if realised < Fraction(self.low_below):
            return low
        if self.gap != "linear":
            return full if self.gap == "hold_full" else low
        width = Fraction(self.full_from) - Fraction(self.low_below)
        return low + (realised - Fraction(self.low_below)) / width * (full - low)


@dataclass(frozen=True, slots=True)
class TierAmounts:
    """A bonus from one rate on, a penalty below another, and nothing in the dead band between.

    Attributes:
      bonus_from: Rate from which the bonus is added.
      bonus: Per head.
      penalty_below: Rate below which the penalty is taken off.
      penalty: Per head.
      dead_band: ``neutral``, said in words: between the two nothing is added or taken off.
    """

    bonus_from: Decimal
    bonus: Decimal
    penalty_below: Decimal
    penalty: Decimal
    dead_band: Literal["neutral"]

    def __post_init__(self) -> None:
        chosen(self.dead_band, ("neutral",), "gap policy")
        money(self.bonus, "bonus")
        money(self.penalty, "penalty")
        if share(self.penalty_below, "penalty below") > share(self.bonus_from, "bonus from"):
            raise WindowsOverlap("overlapping windows: bonus and penalty for one rate", where="tiers")

    def of(self, rate: Fraction) -> Fraction:
        """Return what is added per head, below 0 for a penalty."""
        realised = exact(rate, "rate")
        if realised >= Fraction(self.bonus_from):
            return money(self.bonus, "bonus")
        return -money(self.penalty, "penalty") if realised < Fraction(self.penalty_below) else Fraction(0)


@dataclass(frozen=True, slots=True)
class AnnualBundleTerms:
    """A yearly bundle whose price follows the realised control rate.

    Attributes:
      contract: Its name.
      currency: ISO 4217 code.
      price: Per patient and year.
      factor: From rate to factor.
      missing: Whether the unmeasured count as failures.
      bearer: Who pays.
    """

    contract: str
    currency: str
    price: Decimal
    factor: BandFactor
    missing: Literal["fail", "exclude"]
    bearer: Party = "fund"

    def __post_init__(self) -> None:
        check_currency(self.currency)
        money(self.price, "price")
        chosen(self.missing, ("fail", "exclude"), "policy for missing outcomes")


@dataclass(frozen=True, slots=True)
class BundleYear:
    """One institution's year.

    Attributes:
      control: Who was controlled.
      member_years: Patient-years under the bundle.
    """

    control: Panel
    member_years: Fraction


def settle_annual_bundle(terms: AnnualBundleTerms, statement: Realised[BundleYear]) -> Settlement:
    """Return the payment of a year.

    Raises:
      PurposeMixed: an estimate instead of facts.
      PaymentError: nobody to take a rate of.
    """
    facts = settled(statement, BundleYear, contract=terms.contract)
    rate = facts.control.rate(terms.missing)
    years = not_negative(facts.member_years, "member years")
    due = money(terms.price, "price") * years * terms.factor.of(rate)
    paid = flow("annual bundle", due, bearer=terms.bearer, payee="hospital")
    return settlement(
        terms.contract, terms.currency, [paid], notes=[f"realised rate {rate.numerator}/{rate.denominator}"]
    )
