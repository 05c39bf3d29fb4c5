"""``fedvalue site describe``: how good the records are, for this hospital only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fedvalue.client.opening import open_home
from fedvalue.study import file as study_file

Home = Annotated[Path, typer.Argument(help="The site's home folder.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Add the command to ``fedvalue site``."""
    app.command("describe")(describe)


def describe(
    home: Home,
    study: Annotated[
        Path | None, typer.Option(help="Also say how ready the records are for this study.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Print what is good as well.")] = False,
    language: Annotated[Literal["en", "zh"], typer.Option(help="en or zh.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Say how good the records are: what is empty, unknown, out of order, out of range, twice, or drifted.

    Prints what somebody should look at, and writes all of it, in both languages, as description.html and
    description.json into the home, mode 0600. They hold exact counts: they stay here. Drift is against the
    load that was described before.

    Example: fedvalue site describe HOME --study study.toml
    """
    from fedvalue.client.describing.description import PAGE
    from fedvalue.client.describing.description import describe as describe_records
    from fedvalue.client.describing.page import write_page
    from fedvalue.client.describing.words import described_text

    opened = open_home(home)
    found = describe_records(opened, None if study is None else study_file.load(study))
    write_page(opened, found)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        typer.echo(described_text(found, language, everything=everything), nl=False)
        typer.echo(f"wrote {home / PAGE}")
