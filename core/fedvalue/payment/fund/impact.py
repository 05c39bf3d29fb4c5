"""Budget impact over three to five years, from the payer's side, undiscounted, on the fund line.

    spend_y = sum over treatments of people_y * uptake_y * (price_y * reimbursed_y + admin_y - offsets_y)

in three scenarios: ``base`` without the decision, ``new`` with it, and ``mixed``, in which a declared share
of the region follows (a pilot, a roll-out by hospital level). The impact is scenario less base. People
times uptake are expected people and need not be whole; each treatment and year is rounded to a hundredth of
the currency once, half to even, and all totals are sums of these rounded amounts, so they add up to the
fen.

Everything here is an amount and therefore `Decimal`. What is uncertain about it is in `redline`,
`sensitivity` and `tail_risk`, in floating point.

Sullivan et al. Budget impact analysis - principles of good practice: report of the ISPOR 2012 task force.
Value in Health 17 (2014) 5-14.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from fedvalue.errors import PaymentError
from fedvalue.payment.fund.tables import FundYear, Line, checked_lines
from fedvalue.payment.money import FEN

Scenario = Literal["base", "new", "mixed"]
SCENARIOS: tuple[Scenario, ...] = ("base", "new", "mixed")

LABELS: dict[str, dict[str, str]] = {
    "base": {"en": "without the decision", "zh": "不实施该决定"},
    "new": {"en": "with the decision", "zh": "实施该决定"},
    "mixed": {"en": "partly rolled out", "zh": "部分实施"},
}


@dataclass(frozen=True, slots=True)
class Spend:
    """What the fund spends on one treatment in one year of one scenario.

    Attributes:
      scenario: Which.
      year: Calendar year.
      treatment: Name.
      people: Expected people treated, ``eligible * uptake``.
      amount: Money; negative where offsets exceed what is paid.
    """

    scenario: Scenario
    year: int
    treatment: str
    people: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class YearImpact:
    """One year of the fund.

    Attributes:
      year: Calendar year.
      base: Spend on the treatments without the decision.
      scenario: Spend on them in the scenario.
      impact: ``scenario - base``.
      fund_spend: The whole fund in the scenario, ``other_spend + scenario``.
      fund_base: The whole fund without the decision.
      growth: Growth of the whole fund over the year before, in the scenario.
      growth_without: The same without the decision.
    """

    year: int
    base: Decimal
    scenario: Decimal
    impact: Decimal
    fund_spend: Decimal
    fund_base: Decimal
    growth: Decimal
    growth_without: Decimal


def spend(lines: Sequence[Line], *, rolled_out: Decimal = Decimal("0.5")) -> tuple[Spend, ...]:
    """Return what the fund spends, line by line, in all three scenarios.

    Args:
      lines: The forecast.
      rolled_out: Share of the region that follows in the scenario ``mixed``, 0 to 1.

    Raises:
      PaymentError: the forecast is incomplete, or the share is none.
    """
    checked_lines(lines, where="forecast")
    if not 0 <= rolled_out <= 1:
        raise PaymentError(f"{rolled_out} of the region is no share", do="write a share between 0 and 1")
    uptake = {"base": Decimal(0), "new": Decimal(1), "mixed": rolled_out}
    return tuple(
        _spend(line, scenario, line.uptake_base + uptake[scenario] * (line.uptake_new - line.uptake_base))
        for scenario in SCENARIOS
        for line in lines
    )


def _spend(line: Line, scenario: Scenario, uptake: Decimal) -> Spend:
    people = line.eligible * uptake
    amount = (people * (line.price * line.reimbursed + line.admin - line.offsets)).quantize(FEN)
    return Spend(scenario, line.year, line.treatment, people, amount)


def total(spends: Sequence[Spend], scenario: Scenario, year: int) -> Decimal:
    """Return the sum over treatments, in money."""
    return sum((s.amount for s in spends if s.scenario == scenario and s.year == year), Decimal("0.00"))


def impact(spends: Sequence[Spend], fund: Sequence[FundYear], scenario: Scenario) -> tuple[YearImpact, ...]:
    """Return the impact on the fund line year by year.

    Args:
      spends: From `spend`.
      fund: The year before the first year of the forecast, and at least its years.
      scenario: ``new`` or ``mixed``; ``base`` gives no impact.

    Raises:
      PaymentError: the fund line does not begin one year before the forecast or ends before it.
    """
    years = sorted({s.year for s in spends})
    line = {entry.year: entry for entry in fund}
    if min(line) != years[0] - 1 or any(year not in line for year in years):
        raise PaymentError(
            f"the fund line covers {min(line)} to {max(line)}, the forecast {years[0]} to {years[-1]}",
            do="begin the fund line with the year before the decision",
        )
    before = without = line[years[0] - 1].other_spend
    found = []
    for year in years:
        base, changed = total(spends, "base", year), total(spends, scenario, year)
        fund_spend, fund_base = line[year].other_spend + changed, line[year].other_spend + base
        found.append(
            YearImpact(
                year=year,
                base=base,
                scenario=changed,
                impact=changed - base,
                fund_spend=fund_spend,
                fund_base=fund_base,
                growth=growth(before, fund_spend),
                growth_without=growth(without, fund_base),
            )
        )
        before, without = fund_spend, fund_base
    return tuple(found)


def growth(before: Decimal, after: Decimal) -> Decimal:
    """Return (after - before) / before as a share, to nine decimals.

    Raises:
      PaymentError: nothing was spent before.
    """
    if before <= 0:
        raise PaymentError(f"a fund that spent {before} has no growth")
    return ((after - before) / before).quantize(Decimal("1e-9"))
