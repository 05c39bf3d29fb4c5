"""Bundles by disease and mutation: one price for test, drug and monitoring, with two-sided risk.

    margin = price x earned share - cost                    the hospital keeps it or bears it
    beyond a corridor of +- delta x price the fund takes the share alpha of what lies beyond
    bonus  if the time to progression is above the target, strictly

The bundle starts with its trigger and ends after ``length_days``. Death pro-rates the price by days (or pays
it in full, in words), and so does a switch to the second line, which starts another bundle. Included and
excluded items are the payer's code lists: the cost in a statement is that of included items only.

A price is set from costs: a quantile or the mean of the payer's exact costs of finished bundles, times
1 + loading, below the cap. Reserve per bundle = mean of max(cost - price, 0) = P(cost > price) x E[excess].

No uncertainty enters a settlement. Source: payment.md 2.7, P08, P17 (cap 150,000), P18 (PFS > 12: 20,000).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.cash import Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import (
    ONE,
    chosen,
    count,
    exact,
    fen,
    money,
    not_negative,
    positive,
    share,
)
from fedvalue.payment.mechanisms.settle import Realised, settled
from fedvalue.payment.mechanisms.stop_loss import limit_at

Early = Literal["pro_rata", "full"]


@dataclass(frozen=True, slots=True)
class BundleTerms:
    """The contract.

    Attributes:
      contract: Its name.
      disease: Code of the disease.
      variant: The variant or mutation that the bundle is for.
      currency: ISO 4217 code.
      price: The bundle's price.
      length_days: From the trigger.
      corridor: delta, as a share of the price; 1 or more leaves all risk with the hospital.
      fund_share_beyond: alpha, of what lies beyond the corridor.
      bonus: Paid on top.
      bonus_above_months: Progression-free months to be exceeded.
      on_death: How a bundle ends that death cuts short.
    """

    contract: str
    disease: str
    variant: str
    currency: str
    price: Decimal
    length_days: int
    corridor: Decimal
    fund_share_beyond: Decimal
    bonus: Decimal
    bonus_above_months: Decimal
    on_death: Early

    def __post_init__(self) -> None:
        check_currency(self.currency)
        money(self.price, "price")
        money(self.bonus, "bonus")
        positive(count(self.length_days, "length"), "length")
        not_negative(self.corridor, "corridor")
        share(self.fund_share_beyond, "fund share beyond the corridor")
        not_negative(self.bonus_above_months, "bonus above months")
        chosen(self.on_death, ("pro_rata", "full"), "rule for early death")


@dataclass(frozen=True, slots=True)
class Episode:
    """One finished bundle.

    Attributes:
      cost: Of included items.
      days: Days under the bundle, at most its length.
      ended: ``complete``, ``death`` or ``second_line``.
      progression_free_months: Known time without progression, or None where it is not known.
    """

    cost: Decimal
    days: int
    ended: Literal["complete", "death", "second_line"]
    progression_free_months: Decimal | None


@dataclass(frozen=True, slots=True)
class BundleResult:
    """What a bundle paid and left.

    Attributes:
      settlement: The flows.
      margin: Of the hospital, after risk sharing and without the bonus; below 0 for a loss.
    """

    settlement: Settlement
    margin: Decimal


def settle_bundle(terms: BundleTerms, statement: Realised[Episode]) -> BundleResult:
    """Return flows and margin of one finished bundle.

    Raises:
      PurposeMixed: an estimate instead of facts.
      PaymentError: more days than the bundle has, negative money.
    """
    facts = settled(statement, Episode, contract=terms.contract)
    days = count(facts.days, "days")
    if days > terms.length_days:
        raise PaymentError("more days than the bundle has", where=terms.contract, do="start the next bundle")
    if facts.ended == "complete" and days < terms.length_days:
        raise PaymentError("a complete bundle with fewer days than it has", where=terms.contract)
    cut = facts.ended == "second_line" or (facts.ended == "death" and terms.on_death == "pro_rata")
    earned = Fraction(fen(money(terms.price, "price") * (Fraction(days, terms.length_days) if cut else ONE)))
    left = earned - money(facts.cost, "cost")
    band = earned * exact(terms.corridor, "corridor")
    beyond = left - band if left > band else left + band if left < -band else Fraction(0)
    taken = fen(beyond * share(terms.fund_share_beyond, "fund share beyond the corridor"))
    flows = [
        flow("bundle", earned, bearer="fund", payee="hospital"),
        flow("risk sharing", Fraction(taken), bearer="hospital", payee="fund"),
    ]
    months = facts.progression_free_months
    if months is not None and not_negative(months, "months") > exact(terms.bonus_above_months, "months"):
        flows.append(flow("bonus", terms.bonus, bearer="fund", payee="hospital"))
    return BundleResult(settlement(terms.contract, terms.currency, flows), fen(left - Fraction(taken)))


def price_from(
    costs: Sequence[Decimal], *, level: Decimal | Literal["mean"], loading: Decimal, cap: Decimal
) -> Decimal:
    """Return a price from a payer's exact costs of finished bundles, re-priced to today's price list.

    Args:
      costs: One a bundle, trimmed beforehand.
      level: A quantile between 0 and 1, or the mean.
      loading: Share added, at least 0.
      cap: The most that is paid.

    Raises:
      PurposeMixed: a noised cost.
      PaymentError: no costs, negative money.
    """
    if not costs:
        raise PaymentError("no finished bundle to take a price from", where="bundle price")
    exact_costs = [money(cost, "cost") for cost in costs]
    middle = (
        sum(exact_costs, Fraction(0)) / len(costs) if level == "mean" else Fraction(limit_at(costs, level))
    )
    return fen(min(middle * (1 + not_negative(loading, "loading")), money(cap, "cap")))


def reserve(costs: Sequence[Decimal], price: Decimal) -> Fraction:
    """Return the expected excess per bundle, mean of max(cost - price, 0), exactly.

    Raises:
      PaymentError: no costs, negative money.
    """
    if not costs:
        raise PaymentError("no finished bundle to take a reserve from", where="bundle reserve")
    top = money(price, "price")
    return sum((max(money(cost, "cost") - top, Fraction(0)) for cost in costs), Fraction(0)) / len(costs)
