"""``fedvalue model card``: the page that people read before they trust a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedvalue.server.reports import page, sheet
from fedvalue.server.reports.model_card import card_sheet
from fedvalue.server.reports.wording import Language, Voice
from fedvalue.strategies.training.package.document import checked

app = typer.Typer()


@app.callback()
def models() -> None:
    """Pages about models."""


@app.command()
def card(
    package: Annotated[
        Path, typer.Argument(help="A model package: its folder or model.json.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The page, HTML; its folder exists.", show_default=False)],
    language: Annotated[Language, typer.Option(help="en, zh, or both: the reader chooses.")] = "both",
) -> None:
    """Write the model's card: purpose, figures with intervals, groups, privacy, attacks, limits.

    Identity and signatures are checked first. The page is one file that loads nothing and runs nothing.

    Example: fedvalue model card model --out card.html
    """
    voice = Voice.of(language)
    page.save(sheet.render(card_sheet(checked(package), voice), language), out)
    typer.echo(f"wrote {out}")
