"""``fedvalue site audit``: read and check the audit log, seal its end, send it to a syslog."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.partitions import Partitions, site_secret
from fedvalue.client.governance.seals import export as export_log
from fedvalue.client.governance.seals import require_seal
from fedvalue.client.governance.seals import seal as seal_log
from fedvalue.client.governance.versions import history
from fedvalue.client.home import SiteHome
from fedvalue.client.opening import ASK, open_home
from fedvalue.errors import FedValueError, OutputError
from fedvalue.study.keys import write_new
from fedvalue.study.passphrases import KeyRing

audit_app = typer.Typer(no_args_is_help=True, help="The site's audit log.")

Home = Annotated[Path, typer.Argument(help="The site's home folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@audit_app.command()
def show(
    home: Home,
    last: Annotated[int, typer.Option(min=1, help="So many of the newest lines.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the newest lines after checking all of the log; it needs no coordinator and no running site."""
    opened = open_home(home)
    for entry in AuditLog(opened.audit_file, opened.clock).entries()[-last:]:
        if as_json:
            typer.echo(json.dumps(entry))
            continue
        rest = " ".join(f"{k}={v}" for k, v in entry.items() if k not in ("time", "event", "before"))
        typer.echo(f"{str(entry.get('time', ''))[:19]:<19}  {entry['event']}  {rest}".rstrip())


@audit_app.command()
def seal(
    home: Home,
    out: Annotated[Path, typer.Option(help="New file for the seal; keep it on another machine.")],
    key: Annotated[
        Path | None, typer.Option(help="Key of the audit administrator; default: the officer's.")
    ] = None,
) -> None:
    """Sign the end of the log as it stands, to show later that nothing before it was changed."""
    opened = open_home(home)
    made = seal_log(opened, opened.officer_key() if key is None else KeyRing(ASK).key(key, "the audit key"))
    write_new(out, made.model_dump_json().encode(), mode=0o600, what="the seal")
    typer.echo(f"sealed {made.lines} lines, {made.last}; wrote {out}")


@audit_app.command()
def export(
    home: Home,
    syslog: Annotated[str | None, typer.Option(help="/dev/log, or host:port (UDP); each line once.")] = None,
    out: Annotated[Path | None, typer.Option(help="A new file for a copy of the whole log.")] = None,
) -> None:
    """Send the lines that were not sent yet to the hospital's syslog, or copy the log, after checking it."""
    opened = open_home(home)
    if (syslog is None) == (out is None):
        raise OutputError("say where to", where="command line", do="give --syslog or --out")
    if syslog is not None:
        typer.echo(f"sent {export_log(opened, syslog)} lines to {syslog}")
    if out is not None:
        lines = len(AuditLog(opened.audit_file, opened.clock).entries())
        write_new(out, opened.audit_file.read_bytes(), mode=0o600, what="the copy")
        typer.echo(f"copied {lines} lines to {out}")


@audit_app.command()
def verify(
    home: Home,
    as_json: AsJson = False,
    sealed: Annotated[list[Path] | None, typer.Option("--seal", help="Check against this seal too.")] = None,
) -> None:
    """Check the audit log, the ledger's chain and signatures, the first entries, the policy's versions.

    The first line that does not hold is named; the exit status is 5.
    """
    opened = open_home(home)
    found: dict[str, Any] = {}
    wrong: list[FedValueError] = []
    for name, check in (
        ("audit", _check_audit),
        ("ledger", _check_ledger),
        ("first_entries", _check_store),
        ("policy", _check_policy),
    ):
        try:
            found[name] = check(opened)
        except FedValueError as error:
            wrong.append(error)
            if not as_json:
                typer.echo(f"{name}: DOES NOT HOLD", err=True)
    for path in sealed or []:
        found[path.name] = {"lines": require_seal(opened, path).lines}
    if wrong:
        raise wrong[0]
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, facts in found.items():
        typer.echo(f"{name}: holds ({', '.join(f'{value} {key}' for key, value in facts.items())})")


def _check_audit(home: SiteHome) -> dict[str, object]:
    return {"lines": len(AuditLog(home.audit_file, home.clock).entries())}


def _check_ledger(home: SiteHome) -> dict[str, object]:
    with home.ledger() as ledger:
        return {"entries": len(ledger.entries()), "head": ledger.head().hash}


def _check_policy(home: SiteHome) -> dict[str, object]:
    return {"versions": len(history(home))}


def _check_store(home: SiteHome) -> dict[str, object]:
    with home.ledger() as ledger:
        if not ledger.store_mark().batch and not home.first_entries_file.exists():
            return {"loads": 0}
        secret = site_secret(home.first_entries_secret_file)
        with Partitions.open(home.first_entries_file, secret, ledger):
            return {"loads": ledger.store_mark().batch}
