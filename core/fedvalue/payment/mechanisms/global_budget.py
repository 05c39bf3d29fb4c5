"""A global budget with a corridor, and what happens to a surplus.

    left = budget - spend
    |left| <= delta x budget : the hospital keeps it or bears it
    beyond the corridor      : the fund takes the share ``surplus_back`` of a surplus, or bears
                               ``deficit_shared`` of a deficit, up to ``deficit_cap`` x budget

``surplus_back`` 0 is "surplus retained"; ``deficit_shared`` 0 is "deficit not covered". Both are terms. A
surplus that stays is divided by fixed parts (40 / 30 / 30, or 6 : 4), which add to it to the fen.

No uncertainty enters. Source: payment.md 2.12, P35, P38.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.cash import Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import apportion, money, share
from fedvalue.payment.mechanisms.settle import Realised, settled


@dataclass(frozen=True, slots=True)
class BudgetTerms:
    """The contract.

    Attributes:
      contract: Its name.
      currency: ISO 4217 code.
      budget: Of the year.
      corridor: delta.
      surplus_back: Share of a surplus beyond the corridor that goes back.
      deficit_shared: Share of a deficit beyond the corridor that the fund bears.
      deficit_cap: Most that the fund bears, as a share of the budget.
    """

    contract: str
    currency: str
    budget: Decimal
    corridor: Decimal
    surplus_back: Decimal
    deficit_shared: Decimal
    deficit_cap: Decimal

    def __post_init__(self) -> None:
        check_currency(self.currency)
        money(self.budget, "budget")
        for name in ("corridor", "surplus_back", "deficit_shared", "deficit_cap"):
            share(getattr(self, name), name.replace("_", " "))


@dataclass(frozen=True, slots=True)
class Spending:
    """One institution's year.

    Attributes:
      spend: What its care cost.
    """

    spend: Decimal


@dataclass(frozen=True, slots=True)
class BudgetResult:
    """What a year leaves.

    Attributes:
      settlement: The flows.
      left: Of the hospital, after sharing; below 0 for a deficit.
    """

    settlement: Settlement
    left: Decimal


def settle_budget(terms: BudgetTerms, statement: Realised[Spending]) -> BudgetResult:
    """Return the flows of a closed year and what the hospital is left with.

    Raises:
      PurposeMixed: an estimate instead of facts.
      PaymentError: negative money.
    """
    facts = settled(statement, Spending, contract=terms.contract)
    budget = money(terms.budget, "budget")
    left, band = budget - money(facts.spend, "spend"), budget * share(terms.corridor, "corridor")
    flows = [flow("budget", budget, bearer="fund", payee="hospital")]
    if left > band:
        back = flow(
            "surplus back", (left - band) * Fraction(terms.surplus_back), bearer="hospital", payee="fund"
        )
        flows.append(back)
        left -= Fraction(back.amount)
    elif left < -band:
        covered = min((-left - band) * Fraction(terms.deficit_shared), budget * Fraction(terms.deficit_cap))
        help_ = flow("deficit shared", covered, bearer="fund", payee="hospital")
        flows.append(help_)
        left += Fraction(help_.amount)
    result = settlement(terms.contract, terms.currency, flows)
    return BudgetResult(result, result.net("hospital") - facts.spend)


def split_surplus(surplus: Decimal, parts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Divide a surplus by fixed parts; they add to it to the fen.

    Args:
      surplus: At least 0.
      parts: Share by purpose; they add to 1.

    Raises:
      PaymentError: a negative surplus, or parts that do not add to 1.
    """
    if sum((share(part, name) for name, part in parts.items()), Fraction(0)) != 1:
        raise PaymentError("parts of a surplus add to 1", where="surplus")
    return dict(zip(parts, apportion(Fraction(money(surplus, "surplus")), list(parts.values())), strict=True))
