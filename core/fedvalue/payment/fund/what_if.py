"""A whole budget-impact question in one file: tables, redline, stresses, solvency; nothing is proposed.

The TOML file names a forecast and a fund line (`tables`) beside it and gives what has no default: the SD of
the fund's growth, sampling and privacy apart, the lower bound of the effect, the opening balance. The answer
changes no standard and creates no proposal; it is for looking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fedvalue.errors import PaymentError
from fedvalue.payment.fund import stress
from fedvalue.payment.fund.impact import YearImpact, impact, spend
from fedvalue.payment.fund.redline import Finding, Growth, Redline, judge
from fedvalue.payment.fund.sensitivity import Bar, Range, heat_map, tornado
from fedvalue.payment.fund.solvency import SolventYear, solvency
from fedvalue.payment.fund.tables import FundYear, Line, read_forecast, read_fund
from fedvalue.payment.fund.tail_risk import TailRisk, of_normal
from fedvalue.payment.parameters import Amount
from fedvalue.study.model import Part
from fedvalue.study.schema import Text
from fedvalue.study.toml import load_toml

SWING = 0.2
"""One-way ranges of the tornado: a fifth down and up."""

STEPS = (0.6, 0.8, 1.0, 1.2, 1.5)
"""Factors on price and uptake along the heat map."""


class Question(Part):
    """What is asked, as the TOML file holds it. Numbers stand in quotes, as everywhere in payment files.

    Attributes:
      format: Version of this layout.
      title: For people.
      currency: ISO 4217 code of every amount.
      forecast: File of the forecast, beside this one.
      fund: File of the fund line, beside this one.
      treatment: The treatment under decision.
      scenario: ``new`` or ``mixed``.
      rolled_out: Share of the region that follows in ``mixed``.
      opening_balance: Accumulated surplus before the first year.
      redline: Largest growth a year.
      q: Largest probability of exceeding it.
      growth_sd: SD of a year's growth from demand and prices, a share.
      growth_privacy_sd: SD from privacy noise; ``"0"`` where the forecast rests on payer-held figures.
      effect_lower_bound: Lower bound of the effect as a share of its estimate.
      warning_rate: Surplus rate below which is warned.
    """

    format: Literal["fedvalue.impact/1"]
    title: Text
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    forecast: str = Field(min_length=1)
    fund: str = Field(min_length=1)
    treatment: str = Field(min_length=1)
    scenario: Literal["new", "mixed"]
    rolled_out: Amount = Decimal(1)
    opening_balance: Amount
    redline: Amount
    q: Amount
    growth_sd: Amount = Field(ge=0)
    growth_privacy_sd: Amount = Field(ge=0)
    effect_lower_bound: Amount
    warning_rate: Amount


@dataclass(frozen=True, slots=True)
class YearAnswer:
    """One year of the answer.

    Attributes:
      impact: Money, in `Decimal`.
      redline: Against the redline.
      solvency: With the decision.
      solvency_without: Without it.
      tail: VaR95 and expected shortfall of the whole fund's spend, in floating point.
      breaking_uptake: Uptake at which the redline is reached; None where none does.
    """

    impact: YearImpact
    redline: Finding
    solvency: SolventYear
    solvency_without: SolventYear
    tail: TailRisk
    breaking_uptake: Decimal | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer.

    Attributes:
      question: What was asked.
      years: Year by year.
      stresses: The stress set.
      tornado: Bars over the impact of all years, longest first, in money.
      heat_map: Impact of all years by factor on price (rows) and uptake (columns) along `STEPS`, in money.
    """

    question: Question
    years: tuple[YearAnswer, ...]
    stresses: tuple[stress.Outcome, ...]
    tornado: tuple[Bar, ...]
    heat_map: tuple[tuple[float, ...], ...]


def answer(path: Path) -> Answer:
    """Read a question with its tables and answer it.

    Args:
      path: The TOML file; tables are looked for in its folder and nowhere else.

    Raises:
      PaymentError: the file or a table is not valid, or they do not fit together.
    """
    question = load_toml(
        path,
        Question,
        failure=PaymentError,
        what="the budget-impact question",
        do="see docs/fund-and-parameters.md",
    )
    tables = []
    for name in (question.forecast, question.fund):
        if Path(name).name != name:
            raise PaymentError(f"{name!r} is not a file beside the question", where=str(path))
        tables.append(path.parent / name)
    return answer_tables(question, read_forecast(tables[0]), read_fund(tables[1]))


def answer_tables(question: Question, lines: Sequence[Line], fund: Sequence[FundYear]) -> Answer:
    """Answer a question from tables that are already read.

    Raises:
      PaymentError: they do not fit together.
    """
    redline = Redline(question.redline, float(question.q))
    breaking = stress.breaking_uptake(lines, fund, redline, question.treatment)
    years = impact(spend(lines, rolled_out=question.rolled_out), fund, question.scenario)
    with_decision, without = (
        solvency(
            years, fund, opening_balance=question.opening_balance, warning_rate=question.warning_rate,
            with_decision=chosen,
        )
        for chosen in (True, False)
    )  # fmt: skip
    variances = (float(question.growth_sd) ** 2, float(question.growth_privacy_sd) ** 2)
    before = next(float(entry.other_spend) for entry in fund if entry.year == years[0].year - 1)
    found = []
    for year, solvent, solvent_without in zip(years, with_decision, without, strict=True):
        found.append(
            YearAnswer(
                impact=year,
                redline=judge(
                    Growth(float(year.growth), *variances),
                    Growth(float(year.growth_without), *variances),
                    redline,
                ),
                solvency=solvent,
                solvency_without=solvent_without,
                tail=of_normal(float(year.fund_spend), before * sum(variances) ** 0.5),
                breaking_uptake=breaking[year.year],
            )
        )
        before = float(year.fund_spend)
    stresses = tuple(
        stress.apply(
            each, lines, fund, redline, scenario=question.scenario, rolled_out=question.rolled_out,
            treatments=frozenset({question.treatment}),
        )
        for each in stress.stress_set(effect_lower_bound=question.effect_lower_bound)
    )  # fmt: skip
    bars, cells = _pictures(question, lines, fund)
    return Answer(question, tuple(found), stresses, bars, cells)


def _pictures(
    question: Question, lines: Sequence[Line], fund: Sequence[FundYear]
) -> tuple[tuple[Bar, ...], tuple[tuple[float, ...], ...]]:
    def whole(factors: Mapping[str, float]) -> float:
        changed = [
            _scaled(line, {k: Decimal(str(v)) for k, v in factors.items()})
            if line.treatment == question.treatment
            else line
            for line in lines
        ]
        years = impact(spend(changed, rolled_out=question.rolled_out), fund, question.scenario)
        return float(sum((year.impact for year in years), Decimal(0)))

    names = ("price", "uptake", "eligible", "offsets")
    _, bars = tornado(whole, [Range(name, 1 - SWING, 1.0, 1 + SWING) for name in names])
    cells = heat_map(whole, dict.fromkeys(names, 1.0), ("price", STEPS), ("uptake", STEPS))
    return bars, tuple(tuple(row) for row in cells.tolist())


def _scaled(line: Line, factor: Mapping[str, Decimal]) -> Line:
    return replace(
        line,
        price=line.price * factor["price"],
        uptake_new=min(line.uptake_new * factor["uptake"], Decimal(1)),
        eligible=int((line.eligible * factor["eligible"]).to_integral_value()),
        offsets=line.offsets * factor["offsets"],
    )
