"""``fedvalue federation``: what the coordinator makes before the first study."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from fedvalue.operations.endpoint import Endpoint
from fedvalue.server.provisioning import tls
from fedvalue.server.provisioning.office import KEY, TLS, Office
from fedvalue.server.watched import health, measured
from fedvalue.study.identity.clock import present
from fedvalue.study.identity.confirmation import spoken
from fedvalue.study.identity.ends import warnings
from fedvalue.study.identity.enrolment import TOKEN_DAYS, read_answer
from fedvalue.study.keys import replace_file

app = typer.Typer(
    no_args_is_help=True,
    help="The coordinator's papers: TLS, one-time enrolment tokens, registration of SuperNodes. Nothing here "
    "says who a hospital is; that is `fedvalue authority`, on another machine.",
)

Folder = Annotated[Path, typer.Argument(help="The coordinator's folder.", show_default=False)]
SiteId = Annotated[str, typer.Argument(help="Site id.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command()
def init(
    folder: Folder,
    name: Annotated[str, typer.Option(help="What the federation calls itself, one line.")],
    host: Annotated[
        list[str], typer.Option(help="Name or address of this machine; the first is told to sites.")
    ],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the SuperLink.")] = 9092,
    as_json: AsJson = False,
) -> None:
    """Make the coordinator's TLS root and server certificate, and the key that signs evidence.

    Prints the command that starts the SuperLink with them. The keys stay in the folder (mode 0600).

    Example: fedvalue federation init out/coordinator --name "Example Federation" --host coordinator.example
    """
    office = Office(folder, present)
    state = office.make(name, tuple(host), port)
    command = _superlink(folder, state.port)
    _tell(
        as_json,
        {"address": state.address, "superlink": command, "key": str(folder / KEY)},
        f"made {folder}: {TLS}/ and {KEY}\nstart the SuperLink with\n  {command}",
    )


@app.command("add-site")
def add_site(
    folder: Folder,
    site: SiteId,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the token; default: in the folder.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="Days for which it is good.")] = TOKEN_DAYS,
    as_json: AsJson = False,
) -> None:
    """Make a one-time enrolment token for a site: one file, to hand to that hospital and to nobody else.

    Whoever holds it may register one SuperNode under that name, once. It is no identity: a thief gets as far
    as the SuperLink's door and stands on no roster. A new token for a site ends its unused one; give one too
    where a SuperNode's key was lost or is to be changed.
    """
    token = Office(folder, present).invite(site, days)
    path = out or folder / "tokens" / f"{site}.token.json"
    replace_file(path, token.model_dump_json().encode(), mode=0o600)
    _tell(
        as_json,
        {"site": site, "token": str(path), "until": token.until.isoformat()},
        f"wrote {path}, good once and until {token.until:%Y-%m-%d}; the site runs `fedvalue site enrol`",
    )


@app.command()
def admit(
    folder: Folder,
    answer: Annotated[Path, typer.Argument(help="The site's answer, a file.", show_default=False)],
    connection: Annotated[str, typer.Option(help="Flower's name for this SuperLink.")] = "here",
    as_json: AsJson = False,
) -> None:
    """Take a site's answer to its token, and print the command that registers its SuperNode.

    A token that was used before, that has ended, or whose answer was changed is refused (exit status 7).
    """
    found = read_answer(answer)
    path = Office(folder, present).admit(found)
    command = f"flwr supernode register {path} {connection}"
    _tell(
        as_json,
        {"site": found.site.id, "node_key": str(path), "register": command},
        f"{found.site.id} ({found.site.entity}) has used its token\nregister its SuperNode with\n"
        f"  {command}\nits site key is {spoken(found.site.public_key)}; whose that is, the authority says",
    )


@app.command()
def renew(folder: Folder, as_json: AsJson = False) -> None:
    """Make a new server key and certificate; sites trust the root and notice nothing.

    Start the SuperLink anew afterwards.
    """
    office = Office(folder, present)
    office.renew()
    until = tls.ends(folder / TLS / tls.SERVER)
    _tell(as_json, {"valid_until": until.isoformat()}, f"good until {until:%Y-%m-%d}; restart the SuperLink")


@app.command()
def show(folder: Folder, as_json: AsJson = False) -> None:
    """Show who was invited and who came, how to start the SuperLink, and what ends within thirty days."""
    office = Office(folder, present)
    state = office.state()
    found = warnings(office.endings(), present())
    rows = [
        {
            "site": each.token.site,
            "until": each.token.until.isoformat(),
            "used": each.used.isoformat() if each.used else "",
        }
        for each in state.invited
    ]
    lines = [f"{state.name} at {state.address}", f"  {_superlink(folder, state.port)}"]
    for row in rows:
        state_of = f"came {row['used'][:10]}" if row["used"] else "has not come"
        lines += [f"  {row['site']:<20} {state_of}"]
    lines += [f"warning: {line}" for line in found]
    facts = {"name": state.name, "address": state.address, "invited": rows, "warnings": list(found)}
    _tell(as_json, facts, "\n".join(lines))


@app.command()
def watch(
    folder: Folder,
    runs: Annotated[
        Path, typer.Option(help="Folder of the studies' --out folders, or one of them.", show_default=False)
    ],
    listen: Annotated[
        str, typer.Option(help="127.0.0.1:port, or the path of a Unix socket; nobody else is let in.")
    ] = "127.0.0.1:9465",
) -> None:
    """Serve /health and /metrics (Prometheus) of this coordinator, until SIGTERM or Ctrl-C.

    Reads the folders of the studies, so that it goes on while a study's own process dies and is started
    again. docs/operations.md lists every number, and why no patient can move it.
    """
    stop = threading.Event()
    office = Office(folder, present)
    office.state()  # refuses a folder that is none, now
    endpoint = Endpoint(listen, health=lambda: health(runs), metrics=lambda: measured(runs, office).text())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    typer.echo(f"on {endpoint.where}: /health /metrics")
    stop.wait()
    endpoint.close()


def _superlink(folder: Path, port: int) -> str:
    at = folder / TLS
    return (
        f"flower-superlink --host 0.0.0.0 --port {port} --ssl-certfile {at / tls.SERVER} "
        f"--ssl-keyfile {at / tls.SERVER_KEY} --ssl-ca-certfile {at / tls.ROOT} --enable-supernode-auth "
        f"--database {folder / 'superlink.db'} --disable-runtime-dependency-installation"
    )


def _tell(as_json: bool, facts: object, text: str) -> None:
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)
