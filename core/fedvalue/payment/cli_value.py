"""How an answered cost-effectiveness question is printed: words and tables, English or Chinese, or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from fedvalue.payment.economics import modifiers
from fedvalue.payment.economics.value_answer import Against, ValueAnswer, answer

Language = Literal["en", "zh"]

WORDS: dict[str, dict[Language, str]] = {
    "option": {"en": "option", "zh": "方案"},
    "cost": {"en": "cost", "zh": "费用"},
    "effect": {"en": "QALYs", "zh": "QALY"},
    "standing": {"en": "standing", "zh": "地位"},
    "ratio": {"en": "ratio to the one before", "zh": "相对前一方案的比值"},
    "frontier": {"en": "on the frontier", "zh": "位于前沿"},
    "D": {"en": "dominated", "zh": "被占优"},
    "ED": {"en": "dominated by a mixture", "zh": "被组合占优"},
    "against": {"en": "{option} against {today}", "zh": "{option} 对比 {today}"},
    "icer": {
        "en": "ICER {ratio} ({where}); it decides nothing",
        "zh": "ICER {ratio}（{where}）；不作决策依据",
    },
    "inb": {"en": "net benefit (SD)", "zh": "净获益（标准差）"},
    "p": {"en": "P(> 0)", "zh": "P(> 0)"},
    "modified": {"en": "with modifiers: net benefit, P(> 0)", "zh": "计入修正：净获益，P(> 0)"},
    "best": {"en": "best on average", "zh": "平均最优"},
    "ceaf": {"en": "P(it is best)", "zh": "其最优概率"},
    "evpi": {"en": "EVPI per person", "zh": "人均 EVPI"},
    "evppi": {"en": "worth knowing", "zh": "值得了解的参数"},
    "modifier": {"en": "modifier", "zh": "价值修正"},
    "applied": {"en": "x {factor} on the {target}: {condition}", "zh": "{target} x {factor}：{condition}"},
    "passed": {"en": "looked at, does not apply: {condition}", "zh": "已核对，不适用：{condition}"},
    "capped": {"en": " (held at the ceiling)", "zh": "（以上限为准）"},
    "threshold": {"en": "threshold", "zh": "支付意愿"},
    "observed": {
        "en": "{option}: {share} of the effect falls into the time seen; the rest rests on the tail",
        "zh": "{option}：{share} 的效果处于已观察时间内，其余依赖外推",
    },
    "crossed": {
        "en": "{option}: PFS lay above OS by up to {by} and was capped",
        "zh": "{option}：PFS 高于 OS 最多 {by}，已截断",
    },
    "years": {"en": "years", "zh": "年"},
    "saving": {"en": "the fund saves (SD)", "zh": "基金节省（标准差）"},
    "short": {"en": "expected shortfall", "zh": "预期亏空"},
    "note": {
        "en": "No official threshold exists in China; k is a grid. Nothing was proposed: this only looks.",
        "zh": "中国无官方阈值，支付意愿以区间列示。本命令仅供测算，未提出任何建议。",
    },
}


def value(
    question: Annotated[
        Path, typer.Argument(help="The question, TOML; its CSV tables lie beside it.", show_default=False)
    ],
    language: Annotated[Language, typer.Option(help="Language of labels, en or zh.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Compare options by lifetime cost and QALYs: ICER, net benefit, frontier, value of information, savings.

    Options are Markov cohorts, survival curves, or draws of another model. Nothing is proposed.
    Exit status 9: the question or a table is not valid.

    Example: fedvalue payment value value.toml
    """
    found = answer(question)
    if as_json:
        typer.echo(json.dumps(plain(found), ensure_ascii=False, indent=1))
        return
    console = Console(highlight=False)
    say = {key: words[language] for key, words in WORDS.items()}
    console.print(f"{found.question.title.read(language)} ({found.question.currency})")
    console.print(_options(found, say))
    for each in found.against:
        console.print(say["against"].format(option=each.option, today=found.drawn.draws.options[0]))
        console.print("  " + say["icer"].format(ratio=each.ratio.printed, where=each.ratio.label(language)))
        console.print(_at(each, say))
    for line in _log(found, say, language):
        console.print(line)
    console.print(_information(found, say))
    for line in _limits(found, say):
        console.print(line)
    if found.savings:
        console.print(_savings(found, say))
    console.print(say["note"])


def plain(found: ValueAnswer) -> dict[str, Any]:
    """Return an answer as JSON values."""
    return {
        "currency": found.question.currency,
        "options": [
            {
                "name": p.option.name, "cost": p.option.cost, "effect": p.option.effect,
                "standing": p.standing, "before": p.before, "ratio": p.ratio,
            }
            for p in found.placed
        ],
        "against": [
            {
                "option": each.option, "today": found.drawn.draws.options[0],
                "cost": each.increment.cost, "effect": each.increment.effect,
                "icer": each.ratio.printed, "quadrant": each.ratio.quadrant,
                "net_benefit": [
                    {
                        "k": at.plain.k, "mean": at.plain.mean, "sd": at.plain.sd,
                        "probability": at.plain.probability, "modified_k": at.modified.k,
                        "modified_mean": at.modified.mean, "modified_probability": at.modified.probability,
                    }
                    for at in each.at
                ],
            }
            for each in found.against
        ],
        "grid": found.acceptability.grid.tolist(),
        "ceac": {
            name: found.acceptability.ceac[:, i].tolist()
            for i, name in enumerate(found.acceptability.options)
        },
        "best": list(found.acceptability.best),
        "ceaf": found.acceptability.ceaf.tolist(),
        "evpi": list(found.evpi),
        "evppi": {name: list(values) for name, values in found.evppi.items()},
        "observed_share": dict(found.drawn.observed),
        "crossed": dict(found.drawn.crossed),
        "savings": [
            {
                "years": s.years, "mean": s.amount.mean, "sampling_variance": s.amount.sampling_variance,
                "privacy_variance": s.amount.privacy_variance, "probability_saves": s.probability_saves,
                "expected_shortfall": s.expected_shortfall,
            }
            for s in found.savings
        ],
    }  # fmt: skip


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False)


def _options(found: ValueAnswer, say: dict[str, str]) -> Table:
    table = _table(*(say[key] for key in ("option", "cost", "effect", "standing", "ratio")))
    for p in found.placed:
        ratio = "-" if p.ratio is None else f"{p.ratio:,.0f}"
        table.add_row(
            p.option.name, f"{p.option.cost:,.0f}", f"{p.option.effect:.4f}", say[p.standing], ratio
        )
    return table


def _at(each: Against, say: dict[str, str]) -> Table:
    heads = ["k", say["inb"], say["p"]]
    table = _table(*heads, *([say["modified"]] if each.log is not None else []))
    for at in each.at:
        row = [
            f"{at.plain.k:,.0f}",
            f"{at.plain.mean:+,.0f} ({at.plain.sd:,.0f})",
            f"{at.plain.probability:.3f}",
        ]
        if each.log is not None:
            row.append(f"{at.modified.mean:+,.0f}, {at.modified.probability:.3f}")
        table.add_row(*row)
    return table


def _log(found: ValueAnswer, say: dict[str, str], language: Language) -> list[str]:
    log = found.against[0].log
    lines = []
    for step in () if log is None else log.log:
        weight = step.modifier
        told = say["applied" if weight.applies else "passed"].format(
            factor=f"{weight.factor:g}",
            target=say["threshold" if weight.target == "threshold" else "effect"],
            condition=weight.condition,
        )
        ground = modifiers.LABELS[weight.ground][language]
        lines.append(f"{say['modifier']}, {ground}: {told}" + (say["capped"] if step.capped else ""))
    return lines


def _information(found: ValueAnswer, say: dict[str, str]) -> Table:
    table = _table("k", say["best"], say["ceaf"], say["evpi"], say["evppi"])
    for i, k in enumerate(found.acceptability.grid):
        worth = sorted(((values[i], name) for name, values in found.evppi.items()), reverse=True)
        told = ", ".join(f"{name} {amount:,.0f}" for amount, name in worth[:3] if amount >= 0.5)
        table.add_row(
            f"{k:,.0f}", found.acceptability.best[i], f"{found.acceptability.ceaf[i]:.3f}",
            f"{found.evpi[i]:,.0f}", told or "-",
        )  # fmt: skip
    return table


def _limits(found: ValueAnswer, say: dict[str, str]) -> list[str]:
    lines = [
        say["observed"].format(option=option, share=f"{share:.0%}")
        for option, share in found.drawn.observed.items()
    ]
    return lines + [
        say["crossed"].format(option=option, by=f"{by:.3f}")
        for option, by in found.drawn.crossed.items()
        if by > 0
    ]


def _savings(found: ValueAnswer, say: dict[str, str]) -> Table:
    table = _table(say["years"], say["saving"], say["p"], say["short"])
    for s in found.savings:
        sd = (s.amount.sampling_variance + s.amount.privacy_variance) ** 0.5
        table.add_row(
            str(s.years), f"{s.amount.mean:+,.0f} ({sd:,.0f})", f"{s.probability_saves:.3f}",
            f"{s.expected_shortfall:,.0f}",
        )  # fmt: skip
    return table
