"""``fedvalue site serve`` and what belongs to a site that runs: status, doctor, pause, purge, uninstall."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from fedvalue.client.opening import from_file, open_home
from fedvalue.errors import OutputError, SiteUnreachable

Home = Annotated[Path, typer.Argument(help="The site's home folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]

NOT_WELL = 1
"""Exit status of `status` and `doctor` where something is wrong."""


def add_to(app: typer.Typer) -> None:
    """Add these commands to ``fedvalue site``."""
    named: dict[str, Callable[..., None]] = {
        "serve": serve, "status": status, "doctor": doctor, "pause": pause, "resume": resume,
        "purge": purge, "uninstall": uninstall,
    }  # fmt: skip
    for name, command in named.items():
        app.command(name)(command)


def serve(
    home: Home,
    socket: Annotated[
        Path | None,
        typer.Option(help="Socket for the SuperNode's ClientApp; default: node.sock in the home."),
    ] = None,
    passphrase_from: Annotated[
        Path | None,
        typer.Option("--passphrase-file", help="Passphrase of the site's key, in a file of mode 0600."),
    ] = None,
    node_only: Annotated[
        bool, typer.Option("--node-only", help="Run the site node alone, in this process.")
    ] = False,
) -> None:
    """Run this site: its node, its SuperNode where one is configured, and a health endpoint.

    The node is the one process that holds records, ledger and keys. The SuperNode dials the coordinator that
    enrolment named, or serve.toml in the home; a worker hands its messages to the node and runs nothing of
    any Flower bundle. What dies is started again, later and later; when this process ends, however it ends,
    all of them end. Log lines go to logs/site.log, and where serve.toml says.

    With --node-only nothing but the node runs, and a SuperNode of your own reaches it over its socket, which
    only this user may open. After a start the node stays closed until its peers have said what they saw of
    its ledger. Ends on SIGTERM or Ctrl-C; epochs under way are forgotten, and the study goes on in a new one.
    A site key under a passphrase is opened once, now: from the file, from the one that
    FEDVALUE_SITE_PASSPHRASE_FILE names, or by asking. With papers that have ended it starts, and answers
    nothing.
    """
    ask = from_file(passphrase_from)
    if node_only:
        from fedvalue.client.serve import serve_node

        serve_node(home, socket, told=lambda text: typer.echo(text), ask=ask)
        return
    from fedvalue.client.running.site import serve_site

    serve_site(home, socket, ask)


def status(home: Home, as_json: AsJson = False) -> None:
    """Say how a running site is: each of its processes, and whether it is paused.

    Exit status 0 if all is well, 1 if a process is down, 4 if the site does not run.
    """
    from fedvalue.client.running.settings import load_settings, status_address
    from fedvalue.operations.endpoint import ask

    where = status_address(home, load_settings(home))
    try:
        code, text = ask(where)
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise SiteUnreachable("the site does not run", where=where, do="fedvalue site serve") from error
    if as_json:
        typer.echo(text, nl=False)
    else:
        for name, part in found["parts"].items():
            typer.echo(f"{name:<10} {part['state']:<9} started again {part['restarts']} times")
        if found["paused"]:
            typer.echo("paused: nothing is answered; `fedvalue site resume` ends it")
    if code != 200:
        raise typer.Exit(NOT_WELL)


def doctor(
    home: Home,
    coordinator: Annotated[
        list[str] | None, typer.Option(help="host:port to reach, beside the SuperLink that enrolment named.")
    ] = None,
    language: Annotated[Literal["en", "zh"], typer.Option(help="Of the lines.")] = "en",
    as_json: AsJson = False,
) -> None:
    """Look at everything that a site needs: each line says pass, warn or fail, and what to do.

    Looks at home, versions, memory, disk, its encryption, clock, papers, name service, proxy, ports and the
    coordinator's certificate. Sends nothing of this site but a TLS greeting to the coordinator. Exit status 0
    if nothing fails, 1 otherwise.
    """
    from fedvalue.client.running.doctor import examine

    found = examine(home, tuple(coordinator or ()))
    if as_json:
        typer.echo(json.dumps([line.facts(language) for line in found], ensure_ascii=False))
    else:
        for line in found:
            typer.echo(line.text(language))
    if any(line.verdict == "fail" for line in found):
        raise typer.Exit(NOT_WELL)


def pause(
    home: Home,
    reason: Annotated[str, typer.Option(help="For this site's own people; it leaves nowhere.")] = "",
) -> None:
    """The kill switch: from now on this site answers nothing, and forgets every epoch under way.

    Works on a running site at once, in the middle of a step too: what is being computed is not sent. What was
    sent stays sent and charged. Nothing else is stopped or removed.
    """
    from fedvalue.client.running.pause import pause as switch

    typer.echo("paused" if switch(open_home(home), reason) else "it was paused already")


def resume(home: Home) -> None:
    """End a pause: the site answers again. A study that waited goes on in a new epoch."""
    from fedvalue.client.running.pause import resume as switch

    typer.echo("resumed" if switch(open_home(home)) else "it was not paused")


def purge(home: Home, yes: Yes = False) -> None:
    """Remove what this home holds of patients: records, load report, frozen rows. The site stays enrolled.

    Studies under way end here; after `fedvalue site load` new ones can be approved. Policy, keys, papers,
    ledger, approvals and audit log stay. Stop the site first.
    """
    from fedvalue.client.running.purging import of_patients

    _remove(home, of_patients, "purged", yes)


def uninstall(home: Home, yes: Yes = False) -> None:
    """Remove this site: everything but what the law wants kept. It can never answer again.

    Kept are ledger, audit log, approvals with their studies and rosters, policy, papers and public keys: who
    asked what, who said yes, what it cost; no patient, no secret. Stop the site first, and tell the
    coordinator and the authority.
    """
    from fedvalue.client.running.purging import of_everything

    _remove(home, of_everything, "uninstalled", yes)


def _remove(home: Path, choose: Callable[..., object], event: str, yes: bool) -> None:
    from fedvalue.client.running.purging import Removal, remove

    opened = open_home(home)
    what = choose(opened)
    if not isinstance(what, Removal):
        raise OutputError("nothing was chosen", where=str(home))
    typer.echo(
        "\n".join(["removed:", *(f"  {n}" for n in what.goes), "kept:", *(f"  {n}" for n in what.stays)])
    )
    if what.server is not None:
        typer.echo("removed too: the records on the PostgreSQL server")
    if not yes:
        typer.confirm(f"Remove {len(what.goes)} files for good?", abort=True)
    remove(opened, what, event=event)
    typer.echo(f"{event}. Freed places of a disk can be read until they are used again: encrypt the disk")
