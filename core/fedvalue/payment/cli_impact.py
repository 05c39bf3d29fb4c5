"""How a budget impact is printed: in words and tables, in English or Chinese, or as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from fedvalue.payment.fund import impact, redline
from fedvalue.payment.fund.what_if import STEPS, Answer, answer

Language = Literal["en", "zh"]

WORDS: dict[str, dict[Language, str]] = {
    "year": {"en": "year", "zh": "年度"},
    "base": {"en": "without", "zh": "不实施"},
    "scenario": {"en": "with", "zh": "实施"},
    "impact": {"en": "impact", "zh": "预算影响"},
    "growth": {"en": "fund growth (without)", "zh": "基金增长（不实施）"},
    "above": {"en": "P(above redline) (without)", "zh": "突破红线概率（不实施）"},
    "verdict": {"en": "redline", "zh": "红线"},
    "rate": {"en": "surplus rate", "zh": "结余率"},
    "months": {"en": "surplus months", "zh": "结余可支付月数"},
    "breaking": {"en": "uptake that breaks it", "zh": "突破红线的使用率"},
    "tail": {"en": "spend VaR95 / expected shortfall", "zh": "支出 VaR95 / 预期亏空"},
    "stress": {"en": "stress", "zh": "压力情景"},
    "over": {"en": "years over the redline", "zh": "突破红线年度"},
    "total": {"en": "impact, all years", "zh": "合计影响"},
    "parameter": {"en": "parameter, a fifth down and up", "zh": "参数（下调、上调 20%）"},
    "low": {"en": "impact at low", "zh": "下调时影响"},
    "high": {"en": "impact at high", "zh": "上调时影响"},
    "heat": {"en": "impact by price (down) and uptake (across)", "zh": "价格（行）与使用率（列）的影响"},
    "warning": {"en": "below the warning rate", "zh": "低于预警线"},
    "note": {
        "en": "Nothing was proposed: this only looks.",
        "zh": "本命令仅供测算，未提出任何建议。",
    },
}


def print_impact(path: Path, language: Language, *, as_json: bool) -> None:
    """Answer a budget-impact question and print it.

    Raises:
      PaymentError: the question or a table is not valid.
    """
    found = answer(path)
    if as_json:
        typer.echo(json.dumps(_plain(found), ensure_ascii=False, indent=1))
        return
    console = Console(highlight=False)
    say = {key: words[language] for key, words in WORDS.items()}
    question = found.question
    console.print(
        f"{question.title.read(language)} ({question.currency}), {impact.LABELS[question.scenario][language]}"
    )
    console.print(_years(found, say))
    console.print(_redline(found, say, language))
    console.print(_stresses(found, say, language))
    console.print(_tornado(found, say))
    console.print(_heat_map(found, say))
    console.print(say["note"])


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False)


def _years(found: Answer, say: dict[str, str]) -> Table:
    table = _table(say["year"], say["base"], say["scenario"], say["impact"], say["tail"])
    for each in found.years:
        year, tail = each.impact, each.tail
        table.add_row(
            str(year.year), f"{year.base:,}", f"{year.scenario:,}", f"{year.impact:+,}",
            f"{tail.value_at_risk:,.0f} / {tail.expected_shortfall:,.0f}",
        )  # fmt: skip
    return table


def _redline(found: Answer, say: dict[str, str], language: Language) -> Table:
    table = _table(
        *(say[key] for key in ("year", "growth", "above", "verdict", "rate", "months", "breaking"))
    )
    for each in found.years:
        line, solvent = each.redline, each.solvency
        table.add_row(
            str(each.impact.year),
            f"{each.impact.growth:.2%} ({each.impact.growth_without:.2%})",
            f"{line.probability:.3f} ({line.probability_without:.3f})",
            redline.LABELS[line.verdict][language],
            f"{solvent.surplus_rate:.2%}" + (f" ({say['warning']})" if solvent.warning else ""),
            f"{solvent.months}",
            "-" if each.breaking_uptake is None else f"{each.breaking_uptake:.1%}",
        )
    return table


def _stresses(found: Answer, say: dict[str, str], language: Language) -> Table:
    table = _table(say["stress"], say["total"], say["over"])
    for each in found.stresses:
        whole = sum((year.impact for year in each.years), Decimal(0))
        table.add_row(
            each.stress.zh if language == "zh" else each.stress.en,
            f"{whole:+,}",
            ", ".join(map(str, each.over_redline)) or "-",
        )
    return table


def _tornado(found: Answer, say: dict[str, str]) -> Table:
    table = _table(say["parameter"], say["low"], say["high"])
    for bar in found.tornado:
        table.add_row(bar.name, f"{bar.at_low:+,.0f}", f"{bar.at_high:+,.0f}")
    return table


def _heat_map(found: Answer, say: dict[str, str]) -> Table:
    table = _table(say["heat"], *(f"x {step}" for step in STEPS))
    for step, row in zip(STEPS, found.heat_map, strict=True):
        table.add_row(f"x {step}", *(f"{cell:+,.0f}" for cell in row))
    return table


def _plain(found: Answer) -> dict[str, Any]:
    """The answer as JSON: amounts as text, because they are decimal; distributions as numbers."""
    return {
        "question": found.question.model_dump(mode="json"),
        "years": [_json(asdict(each)) for each in found.years],
        "stresses": [
            {
                "name": each.stress.name,
                "text": {"en": each.stress.en, "zh": each.stress.zh},
                "impact": [str(year.impact) for year in each.years],
                "growth": [str(year.growth) for year in each.years],
                "over_redline": list(each.over_redline),
            }
            for each in found.stresses
        ],
        "tornado": [asdict(bar) for bar in found.tornado],
        "heat_map": {"steps": list(STEPS), "price_by_uptake": [list(row) for row in found.heat_map]},
    }


def _json(value: object) -> object:
    if isinstance(value, dict):
        return {key: _json(each) for key, each in value.items()}
    return str(value) if isinstance(value, Decimal) else value
