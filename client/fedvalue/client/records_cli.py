"""The site's commands for its records: layouts that come with FedValue, the store's version."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.home import write_atomically
from fedvalue.client.opening import open_home
from fedvalue.client.places import RECORDS, RECORDS_SERVER
from fedvalue.client.records.layouts import DEVICES, LAYOUTS, MASS, dictionary, layout_text
from fedvalue.client.records.migrations import migrate as migrate_store
from fedvalue.client.records.store import FORMAT
from fedvalue.errors import OutputError, PaymentError

Home = Annotated[Path, typer.Argument(help="The site's home folder.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Add the commands to ``fedvalue site``."""
    app.command()(layout)
    app.command()(template)
    app.command()(migrate)
    app.command()(store)
    app.command()(held)


def layout(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(LAYOUTS)}.", show_default=False)],
    encoding: Annotated[str, typer.Option(help="Of the text files: utf-8 or gb18030.")] = "utf-8",
    devices: Annotated[
        list[str] | None,
        typer.Option(
            "--with", help=f"Files of a device in the same folder: {', '.join(DEVICES)}; repeatable."
        ),
    ] = None,
    unit: Annotated[str, typer.Option(help="Of glucose in a sensor's export: mg/dL or mmol/L.")] = MASS,
    columns: Annotated[
        bool, typer.Option("--dictionary", help="Print what its columns mean instead, as CSV.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="File for it; default: print it.")] = None,
) -> None:
    """Give the mapping file of a layout that many sites share, to be used or to be changed.

    Example: fedvalue site layout omop-csv --with cgm-libreview --unit mmol/L --out map.toml
    """
    from fedvalue.client.records.templates import dictionary_text

    text = (
        dictionary_text(dictionary(name)).replace("\r\n", "\n")
        if columns
        else layout_text(name, encoding=encoding, unit=unit, devices=devices or ())
    )
    if out is None:
        typer.echo(text, nl=False)
        return
    write_atomically(out, text.encode(), mode=0o644)
    typer.echo(f"wrote {out}")


def template(
    folder: Annotated[Path, typer.Argument(help="Folder for the files.", show_default=False)],
    language: Annotated[str, typer.Option(help="Of the column names: en or zh.")] = "en",
) -> None:
    """Write empty tables for a hospital to fill in with a spreadsheet, with a dictionary of their columns.

    Load the filled folder with `fedvalue site load HOME --from FOLDER --mapping FOLDER/mapping.toml`; files
    that stay empty are passed over, but patients.csv has to be filled.
    """
    from fedvalue.client.records.templates import write_template

    for path in write_template(folder, language):
        typer.echo(f"wrote {path}")


def migrate(
    home: Home,
    to: Annotated[
        int, typer.Option(min=1, help="Version of the layout; a smaller one is the way back.")
    ] = FORMAT,
) -> None:
    """Lead the site's records to the layout of this version, or back to an older one.

    Loading does it too; this is for records whose files are no longer at hand.
    """
    opened = open_home(home)
    had = migrate_store(opened.records_file, to=to)
    if had == to:
        typer.echo(f"the records have layout {to} already")
        return
    AuditLog(opened.audit_file, opened.clock).write("records migrated")
    typer.echo(f"the records had layout {had}, and have layout {to} now")


def store(
    home: Home,
    dsn: Annotated[
        str,
        typer.Argument(
            help="postgresql://user@host/database?sslmode=verify-full, never with a password.",
            show_default=False,
        ),
    ],
    schema: Annotated[
        str, typer.Option(help="Schema of the records there, and of nothing else.")
    ] = "fedvalue",
) -> None:
    """Hold the site's records on a PostgreSQL server from now on, where they outgrow this machine.

    Records that are here already are copied there as they are, and loads go on from them. Studies approved
    before keep their frozen rows. A password stands where libpq looks for it: ~/.pgpass, PGPASSFILE,
    PGSERVICE.
    """
    from fedvalue.client.records.server import at_rest, server_file
    from fedvalue.client.records.server_changes import move_store

    opened = open_home(home)
    path, here = opened.folder / RECORDS_SERVER, opened.folder / RECORDS
    if path.exists():
        raise OutputError(
            "the records are on a server already",
            where=str(path),
            do="where the server has moved, change the address in that file",
        )
    trial = opened.folder / f".trial-{RECORDS_SERVER}"
    write_atomically(trial, server_file(dsn, schema))
    try:
        version = at_rest(trial)["version"]
        if here.exists():
            move_store(here, trial, limits=opened.policy.machine)
        trial.replace(path)
    finally:
        trial.unlink(missing_ok=True)
    AuditLog(opened.audit_file, opened.clock).write("records moved")
    typer.echo(f"PostgreSQL {version} holds the records of this site now; {path} says where")
    if here.exists():
        typer.echo(f"{here} is not read any more: delete it when you have looked at the records there")


def held(
    home: Home,
    out: Annotated[Path, typer.Option(help="New statement, YAML; its signature goes beside it, .sig.")],
    name: Annotated[str, typer.Option(help="Name of the statement.")],
    standard: Annotated[list[str], typer.Option(help="Standard that it is for; may be repeated.")],
    year: Annotated[int, typer.Option(help="Settlement year.")],
    grouping: Annotated[str, typer.Option(help="Version of the grouper.")],
    prices: Annotated[str, typer.Option(help="Price list that the costs are at.")],
    ledger_cases: Annotated[int, typer.Option(help="Inpatient settlements in the payer's ledger.")],
    ledger_total: Annotated[str, typer.Option(help="Their cost in the ledger, such as 3285874.76.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")] = "CNY",
) -> None:
    """State a payer's exact figures of a closed year, for `fedvalue payment decide --held`.

    The records have to agree with the payer's ledger to the fen; where they do not, nothing is written.
    """
    from fedvalue.client.held import Terms, state

    try:
        total = Decimal(ledger_total)
    except InvalidOperation:
        raise PaymentError(f"{ledger_total!r} is no amount", where="--ledger-total") from None
    opened = open_home(home)
    terms = Terms(name, tuple(standard), year, grouping, prices, ledger_cases, total, currency)
    made = state(opened, terms, out)
    AuditLog(opened.audit_file, opened.clock).write("payer figures stated")
    typer.echo(f"wrote {out} and {out.name}.sig; SHA-256 {made.digest}")
