"""Solvency: how long the fund's surplus lasts, and a warning where a year's surplus rate falls below 5 %.

    surplus rate_y = (revenue_y - spend_y) / revenue_y
    surplus months_y = accumulated surplus at the end of y / (spend_y / 12)

The accumulated surplus starts from a declared balance and takes every year's surplus or deficit. Amounts are
`Decimal`; a rate is a ratio of two of them, to nine decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from fedvalue.errors import PaymentError
from fedvalue.payment.fund.impact import YearImpact
from fedvalue.payment.fund.tables import FundYear

_PLACES = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class SolventYear:
    """The fund at the end of a year.

    Attributes:
      year: Calendar year.
      revenue: Money.
      spend: Money.
      surplus: ``revenue - spend``, negative for a deficit.
      surplus_rate: ``surplus / revenue``.
      balance: Accumulated surplus; negative where the fund owes.
      months: ``balance`` in months of this year's spend; 0 where the fund owes.
      warning: Surplus rate below the warning rate.
      insolvent: Balance below 0.
    """

    year: int
    revenue: Decimal
    spend: Decimal
    surplus: Decimal
    surplus_rate: Decimal
    balance: Decimal
    months: Decimal
    warning: bool
    insolvent: bool


def solvency(
    years: Sequence[YearImpact],
    fund: Sequence[FundYear],
    *,
    opening_balance: Decimal,
    warning_rate: Decimal = Decimal("0.05"),
    with_decision: bool = True,
) -> tuple[SolventYear, ...]:
    """Return the fund's solvency year by year.

    Args:
      years: Budget impact.
      fund: The fund line that it was computed with.
      opening_balance: Accumulated surplus before the first year, in money.
      warning_rate: Surplus rate below which a year is warned of, a share.
      with_decision: False gives the fund without the decision.

    Raises:
      PaymentError: a year without revenue, or one that the fund line lacks.
    """
    revenues = {entry.year: entry.revenue for entry in fund}
    balance, found = opening_balance, []
    for year in years:
        revenue = revenues.get(year.year, Decimal(0))
        if revenue <= 0:
            raise PaymentError(f"the fund has no revenue in {year.year}")
        spend = year.fund_spend if with_decision else year.fund_base
        surplus = revenue - spend
        balance += surplus
        rate = (surplus / revenue).quantize(_PLACES)
        found.append(
            SolventYear(
                year=year.year,
                revenue=revenue,
                spend=spend,
                surplus=surplus,
                surplus_rate=rate,
                balance=balance,
                months=(max(balance, Decimal(0)) * 12 / spend).quantize(Decimal("0.01"))
                if spend > 0
                else Decimal("Infinity"),
                warning=rate < warning_rate,
                insolvent=balance < 0,
            )
        )
    return tuple(found)
