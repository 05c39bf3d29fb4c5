"""Commands that write pages: budget impact, value, sub-groups, institutions, evidence with decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fedvalue.evidence import sealing
from fedvalue.payment.decision import load_decision
from fedvalue.payment.economics.value_answer import answer as value_of
from fedvalue.payment.fund.what_if import answer
from fedvalue.server.reports import exported, page, sheet
from fedvalue.server.reports.look import Publication
from fedvalue.server.reports.payment.desk import (
    Missing,
    costs_sheet,
    frontier_sheet,
    funnel_sheet,
    read_costs,
    read_options,
    read_panels,
)
from fedvalue.server.reports.payment.pages import impact_sheet
from fedvalue.server.reports.payment.valued import value_sheet
from fedvalue.server.reports.wording import Language, Voice

app = typer.Typer(no_args_is_help=True, help="Write pages that people read: figures, tables, both languages.")

Out = Annotated[Path, typer.Option(help="The page, HTML; its folder exists.", show_default=False)]
Audience = Annotated[
    Publication, typer.Option(help="internal, parties or public: every figure says who may see it.")
]
Choice = Annotated[Language, typer.Option(help="en, zh, or both: the reader chooses.")]


@app.command()
def impact(
    question: Annotated[
        Path, typer.Argument(help="The question, TOML; its CSV tables lie beside it.", show_default=False)
    ],
    out: Out,
    language: Choice = "both",
    publication: Audience = "internal",
) -> None:
    """Draw what a decision does to the fund: impact and redline, stresses, tornado, heat map, solvency.

    The same question as that of fedvalue payment impact; nothing is proposed.

    Example: fedvalue report impact impact.toml --out impact.html
    """
    voice = Voice.of(language)
    page.save(sheet.render(impact_sheet(answer(question), voice), language, publication), out)
    typer.echo(f"wrote {out}")


@app.command()
def costs(
    table: Annotated[
        Path,
        typer.Argument(help="CSV, columns group,cost: the payer's own exact cases.", show_default=False),
    ],
    currency: Annotated[str, typer.Option(help="ISO 4217 code of the costs.", show_default=False)],
    out: Out,
    language: Choice = "both",
) -> None:
    """Draw what sub-groups cost on the payer's own lists: boxes, CV, and what the split explains.

    Example: fedvalue report costs cases.csv --currency CNY --out costs.html
    """
    page.save(sheet.render(costs_sheet(read_costs(table), currency, Voice.of(language)), language), out)
    typer.echo(f"wrote {out}")


@app.command()
def funnel(
    table: Annotated[
        Path,
        typer.Argument(
            help="CSV, columns institution,reached,failed,missing: one signed statement a line.",
            show_default=False,
        ),
    ],
    out: Out,
    center: Annotated[
        float | None, typer.Option(help="The target, 0 to 1; without it the rate of all together.")
    ] = None,
    missing: Annotated[
        Missing, typer.Option(help="People due without a measurement: fail, or exclude them.")
    ] = "fail",
    language: Choice = "both",
) -> None:
    """Draw realised rates of institutions against chance, from their signed settlement statements.

    Outside the limits is a reason to look, not a verdict: nothing is settled by this page.

    Example: fedvalue report funnel statements.csv --center 0.7 --out funnel.html
    """
    made = funnel_sheet(read_panels(table), center, missing, Voice.of(language))
    page.save(sheet.render(made, language), out)
    typer.echo(f"wrote {out}")


@app.command()
def frontier(
    table: Annotated[
        Path,
        typer.Argument(
            help="CSV, columns option,cost,effect: expected values per patient.", show_default=False
        ),
    ],
    currency: Annotated[str, typer.Option(help="ISO 4217 code of the costs.", show_default=False)],
    out: Out,
    language: Choice = "both",
    publication: Audience = "internal",
) -> None:
    """Draw options by effect and cost with the efficiency frontier; dominated ones are named.

    Example: fedvalue report frontier options.csv --currency CNY --out frontier.html
    """
    made = frontier_sheet(read_options(table), currency, Voice.of(language))
    page.save(sheet.render(made, language, publication), out)
    typer.echo(f"wrote {out}")


@app.command()
def value(
    question: Annotated[
        Path, typer.Argument(help="The question, TOML; its CSV tables lie beside it.", show_default=False)
    ],
    out: Out,
    language: Choice = "both",
    publication: Audience = "internal",
) -> None:
    """Draw options by cost and QALYs: frontier, plane, acceptability, value of information, net benefit.

    The same question as that of fedvalue payment value; nothing is proposed.

    Example: fedvalue report value value.toml --out value.html
    """
    made = value_sheet(value_of(question), Voice.of(language))
    page.save(sheet.render(made, language, publication), out)
    typer.echo(f"wrote {out}")


@app.command()
def evidence(
    package: Annotated[Path, typer.Argument(help="The evidence package, JSON.", show_default=False)],
    out: Out,
    decision: Annotated[
        list[Path] | None, typer.Option(help="A decision that rests on it; repeat it for several.")
    ] = None,
    language: Choice = "both",
    publication: Audience = "parties",
) -> None:
    """Write the report of evidence, with decisions made after the study ended.

    Every identity and signature is checked first.

    Example: fedvalue report evidence evidence.json --decision decision.json --out report.html
    """
    decisions = tuple(load_decision(path) for path in decision or [])
    page.write(sealing.load(package), decisions, out, language, publication)
    typer.echo(f"wrote {out}")


@app.command()
def figures(
    package: Annotated[Path, typer.Argument(help="The evidence package, JSON.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the figures.", show_default=False)],
    language: Annotated[Literal["en", "zh"], typer.Option(help="en or zh.")] = "en",
) -> None:
    """Write the figures of every analysis as SVG files, text as text, for slides and papers.

    Every identity and signature is checked first.

    Example: fedvalue report figures evidence.json --out figures
    """
    for path in exported.figures(sealing.load(package), out, language):
        typer.echo(f"wrote {path}")
