"""Stress tests: what happens to the fund if, and what would have to happen for the redline to break.

Each stress changes the forecast or the fund line by declared factors, and the budget impact is computed
again, whole: uptake up by half, prices 20 % up or down, 10 % more eligible people, the effect at its lower
bound (offsets at the share that the bound leaves), revenue down by 5 %, a drug shock (spend on the drug
tripled), a pandemic (other spend up, revenue down). The reverse stress asks for the uptake at which the
fund's growth reaches the redline; it is exact, because spend is linear in uptake.

Amounts are `Decimal`; factors are too, so that a stress of 1 changes nothing to the fen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from fedvalue.errors import PaymentError
from fedvalue.payment.fund.impact import Scenario, YearImpact, impact, spend
from fedvalue.payment.fund.redline import Redline
from fedvalue.payment.fund.tables import FundYear, Line

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Stress:
    """Factors on forecast and fund line, all at least 0.

    Attributes:
      name: A word for programs.
      en: What it is, in English.
      zh: The same in Chinese.
      uptake: On the uptake with the decision; a share above 1 is cut to 1.
      price: On prices of the treatments under decision.
      eligible: On eligible people.
      offsets: On offsets.
      spend: On price and admin together, as an unexplained shock.
      revenue: On revenue.
      other_spend: On the rest of the fund, from the first year of the forecast on.
    """

    name: str
    en: str
    zh: str
    uptake: Decimal = ONE
    price: Decimal = ONE
    eligible: Decimal = ONE
    offsets: Decimal = ONE
    spend: Decimal = ONE
    revenue: Decimal = ONE
    other_spend: Decimal = ONE

    def __post_init__(self) -> None:
        factors = (
            self.uptake, self.price, self.eligible, self.offsets, self.spend, self.revenue, self.other_spend,
        )  # fmt: skip
        if not all(factor.is_finite() and factor >= 0 for factor in factors):
            raise PaymentError("the factors of a stress are at or above 0", where=self.name)


def stress_set(*, effect_lower_bound: Decimal) -> tuple[Stress, ...]:
    """Return the standard set.

    Args:
      effect_lower_bound: Lower bound of the effect as a share of its estimate, 0 to 1, privacy noise
        included; offsets shrink to it. It has no default: it comes from the evidence.

    Raises:
      PaymentError: the bound is no share.
    """
    if not 0 <= effect_lower_bound <= 1:
        raise PaymentError(f"an effect at {effect_lower_bound} of its estimate is no lower bound")
    d = Decimal
    return (
        Stress("none", "as forecast", "按预测"),
        Stress("uptake_up", "uptake up by half", "使用率上升 50%", uptake=d("1.5")),
        Stress("price_up", "prices up by 20 %", "价格上涨 20%", price=d("1.2")),
        Stress("price_down", "prices down by 20 %", "价格下降 20%", price=d("0.8")),
        Stress("more_people", "10 % more eligible people", "适用人群增加 10%", eligible=d("1.1")),
        Stress("weak_effect", "effect at its lower bound", "疗效取下限", offsets=effect_lower_bound),
        Stress("revenue_down", "revenue down by 5 %", "基金收入下降 5%", revenue=d("0.95")),
        Stress("drug_shock", "spend on the treatments tripled", "药品支出增至三倍", spend=d(3)),
        Stress(
            "pandemic", "other spend up by 10 %, revenue down by 10 %", "大流行：其他支出增 10%，收入降 10%",
            other_spend=d("1.1"), revenue=d("0.9"),
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """A stress and what it does.

    Attributes:
      stress: The stress.
      years: Budget impact under it.
      fund: The fund line under it.
      over_redline: Years in which the fund grows by more than the redline.
    """

    stress: Stress
    years: tuple[YearImpact, ...]
    fund: tuple[FundYear, ...]
    over_redline: tuple[int, ...]


def apply(
    stress: Stress,
    lines: Sequence[Line],
    fund: Sequence[FundYear],
    redline: Redline,
    *,
    scenario: Scenario = "new",
    rolled_out: Decimal = Decimal("0.5"),
    treatments: frozenset[str] | None = None,
) -> Outcome:
    """Compute the budget impact under a stress.

    Args:
      stress: The stress.
      lines: The forecast.
      fund: The fund line.
      redline: The rule.
      scenario: ``new`` or ``mixed``.
      rolled_out: Share of the region in ``mixed``.
      treatments: Whose uptake, price, offsets and spend are stressed; None: all whose uptake the decision
        changes upwards.

    Raises:
      PaymentError: as in `impact`, or a treatment that the forecast does not have.
    """
    chosen = _under_decision(lines) if treatments is None else treatments
    if unknown := chosen - {line.treatment for line in lines}:
        raise PaymentError(f"the forecast has no treatment {sorted(unknown)[0]!r}", where=stress.name)
    stressed = [_line(stress, line, line.treatment in chosen) for line in lines]
    first = min(line.year for line in lines)
    after = tuple(
        entry
        if entry.year < first
        else replace(
            entry, revenue=entry.revenue * stress.revenue, other_spend=entry.other_spend * stress.other_spend
        )
        for entry in fund
    )
    years = impact(spend(stressed, rolled_out=rolled_out), after, scenario)
    return Outcome(stress, years, after, tuple(y.year for y in years if y.growth > redline.growth))


def breaking_uptake(
    lines: Sequence[Line], fund: Sequence[FundYear], redline: Redline, treatment: str
) -> dict[int, Decimal | None]:
    """Return, for each year, the uptake of a treatment at which the fund's growth reaches the redline.

    All else stays as in the scenario ``new``, the year before included. None where no uptake up to 1 breaks
    it; 0 where it is broken without the treatment.

    Args:
      lines: The forecast.
      fund: The fund line.
      redline: The rule.
      treatment: The one whose uptake is sought.

    Raises:
      PaymentError: the forecast has no such treatment.
    """
    mine = {line.year: line for line in lines if line.treatment == treatment}
    if not mine:
        raise PaymentError(f"the forecast has no treatment {treatment!r}")
    found: dict[int, Decimal | None] = {}
    before = next(entry.other_spend for entry in fund if entry.year == min(mine) - 1)
    for year in impact(spend(lines), fund, "new"):
        line = mine[year.year]
        per_uptake = line.eligible * (line.price * line.reimbursed + line.admin - line.offsets)
        room = before * (1 + redline.growth) - (year.fund_spend - line.uptake_new * per_uptake)
        before = year.fund_spend
        if room < 0:
            found[year.year] = Decimal(0)
        elif per_uptake <= 0 or room >= per_uptake:
            found[year.year] = None
        else:
            found[year.year] = (room / per_uptake).quantize(Decimal("1e-6"))
    return found


def _under_decision(lines: Sequence[Line]) -> frozenset[str]:
    return frozenset(line.treatment for line in lines if line.uptake_new > line.uptake_base)


def _line(stress: Stress, line: Line, chosen: bool) -> Line:
    moved = replace(line, eligible=int((line.eligible * stress.eligible).to_integral_value()))
    if not chosen:
        return moved
    return replace(
        moved,
        uptake_new=min(line.uptake_new * stress.uptake, ONE),
        price=line.price * stress.price * stress.spend,
        admin=line.admin * stress.spend,
        offsets=line.offsets * stress.offsets,
    )
