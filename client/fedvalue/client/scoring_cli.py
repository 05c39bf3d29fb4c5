"""``fedvalue model score``: a model on this hospital's own rows, for this hospital's own eyes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedvalue.client import scoring
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.loading import pseudonyms
from fedvalue.client.opening import open_home
from fedvalue.errors import SourceMissing
from fedvalue.strategies.training.package.document import checked

app = typer.Typer()


@app.callback()
def models() -> None:
    """Models on own rows."""


@app.command()
def score(
    package: Annotated[
        Path, typer.Argument(help="A model package: its folder or model.json.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="CSV for the scores, made with mode 0600; it must not exist.")],
    home: Annotated[Path | None, typer.Option(help="The site's home: its own records are scored.")] = None,
    rows: Annotated[
        Path | None, typer.Option(help="Or a CSV table: a column id, and one for each variable.")
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(help="With --home: a CSV table with the hospital's own ids, column id, for the scores."),
    ] = None,
    coordinator: Annotated[
        str | None, typer.Option(help="Public key (64 hex digits) that must have signed the package.")
    ] = None,
) -> None:
    """Score this hospital's own patients; the file stays here, and nothing is sent or charged.

    Identity, signatures and the ONNX file beside the package are checked first. What this site does not have
    counts as unknown. The site's records know patients by pseudonyms; with --ids the scores have the
    hospital's own ids. Nobody is to be refused care or payment by a score alone.

    Example: fedvalue model score model --rows patients.csv --out scores.csv
    """
    found = checked(package, public_key=coordinator)
    if (home is None) == (rows is None):
        raise SourceMissing(
            "nothing to score, or two sources", where="fedvalue model score", do="give --home or --rows"
        )
    if home is not None:
        opened = open_home(home)
        own = scoring.from_records(opened.records_file, found)
        names = pseudonyms(opened)
        if ids is not None and names is not None:
            own = scoring.renamed(own, scoring.local_ids(ids), names.of)
        # who used which model is on record; whom it was used on is not
        AuditLog(opened.audit_file, opened.clock).write("model_scored", model=found.model_id)
    elif rows is not None:
        own = scoring.from_table(rows, found)
    scoring.write(scoring.score(own, found), out)
    typer.echo(f"wrote {out}: {len(own.ids)} patients, mode 0600; it stays here")
    if own.unknown:
        typer.echo(f"unknown at this site, for everybody: {', '.join(own.unknown)}")
