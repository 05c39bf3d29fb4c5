"""``fedvalue study run | status | cancel | logs``: a study on a federation, watched from its folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fedvalue.errors import FederationError, FedValueError, RunInterrupted
from fedvalue.quiet import quiet_environment
from fedvalue.server.ports import Ports
from fedvalue.server.provisioning.office import KEY
from fedvalue.server.run_state import RunFolder, State

POLL_SECONDS = 1.0
QUIET_SECONDS = 15.0
"""How long a state stands before Flower is asked whether the run is still there; asked again as often."""

UNANSWERED = 4
"""So many times in a row the SuperLink may be away, before nobody waits for it any longer."""


APP = """
[project]
name = "fedvalue-study"
version = "1"
description = "Names only: the apps are the installed ones."
license = "Apache-2.0"

[tool.flwr.app]
publisher = "fedvalue"
fab-include = ["README.md"]

[tool.flwr.app.components]
serverapp = "fedvalue.server.app:app"
clientapp = "fedvalue.client.app:app"

[tool.flwr.app.config]
study = ""
roster = ""
authority = ""
revocations = ""
out = ""
key = ""
standards = ""
wait = 60
step = 3600
sessions = ""
federation = ""
"""

StudyFile = Annotated[
    Path, typer.Argument(help="The study, a TOML file; its .sig beside it.", show_default=False)
]
Out = Annotated[Path, typer.Argument(help="The folder that the run was given as --out.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def run_study(
    study: StudyFile,
    roster: Annotated[Path, typer.Option(help="The roster as the authority signed it.")],
    authority: Annotated[Path, typer.Option(help="The authority's certificate.")],
    revocations: Annotated[Path, typer.Option(help="The authority's newest revocation list.")],
    out: Annotated[Path, typer.Option(help="Folder for results, state and checkpoint.")],
    connection: Annotated[
        str, typer.Option(help="Flower's name for the SuperLink, from its config.toml.")
    ] = "here",
    sessions: Annotated[
        str,
        typer.Option(
            help="Where sites may dial in for streaming rounds, host:port or host:first-last; empty: "
            "Flower's own grid."
        ),
    ] = "",
    federation: Annotated[
        Path | None,
        typer.Option(help="The coordinator's folder: its key, and its certificate for --sessions."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="The coordinator's key; default: that of --federation, else made in --out."),
    ] = None,
    standards: Annotated[
        Path | None, typer.Option(help="Folder of payment standards; default: the examples.")
    ] = None,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for sites.")] = 60,
    step: Annotated[
        int, typer.Option(min=1, help="Seconds that sites have for one answer; who takes longer is left out.")
    ] = 3600,
) -> None:
    """Run a study on a federation and watch it; run again with the same --out, it goes on where it stopped.

    Opened releases are kept in OUT/checkpoint and are never asked or paid twice. Ctrl-C leaves it running;
    `fedvalue study cancel OUT` ends it. Exit status: 0 finished, 5 below threshold or failed, 130 cancelled.
    """
    flower = shutil.which("flwr", path=str(Path(sys.executable).parent)) or shutil.which("flwr")
    if flower is None:
        raise FederationError("Flower's command is not installed", where="flwr", do="pip install flwr")
    if sessions:
        Ports.parse(sessions)
        if federation is None:
            raise FederationError(
                "a port for sessions shows the coordinator's certificate", where="--sessions",
                do="give the folder of `fedvalue federation init` as --federation",
            )  # fmt: skip
    if federation is not None and key is None:
        key = federation / KEY
    settings = {
        "study": study, "roster": roster, "authority": authority, "revocations": revocations, "out": out,
        **({"key": key} if key else {}), **({"standards": standards} if standards else {}),
        **({"federation": federation} if federation else {}),
    }  # fmt: skip
    words = " ".join(f'{name}="{path.resolve()}"' for name, path in settings.items())
    words += f' wait={wait} step={step} sessions="{sessions}"'
    out.mkdir(parents=True, exist_ok=True)
    since = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="fedvalue-run-") as name:
        folder = Path(name)
        (folder / "pyproject.toml").write_text(APP, encoding="utf-8")
        (folder / "README.md").write_text("Names only.\n", encoding="utf-8")
        began = subprocess.run(
            [flower, "run", str(folder), connection, "--run-config", words],
            env=quiet_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
    if began.returncode != 0:
        raise FederationError(
            "Flower does not take the run", where=began.stderr.strip()[-400:] or began.stdout.strip()[-400:],
            do="is the SuperLink there? see `flwr supernode list`",
        )  # fmt: skip
    found = re.search(r"Successfully started run (\d+)", began.stdout + began.stderr)
    run = found[1] if found else ""
    follow(RunFolder(out), since, lambda: flower_says(flower, connection, run))


def status(out: Out, as_json: AsJson = False) -> None:
    """Say where a study stands, and why."""
    state = RunFolder(out).state()
    typer.echo(state.model_dump_json() if as_json else _line(state))


def cancel(out: Out) -> None:
    """End a study at its next step; what was opened stays in its checkpoint."""
    folder = RunFolder(out)
    state = folder.state()
    if state.over:
        typer.echo(f"the study is over already: {_line(state)}")
        return
    folder.cancel()
    typer.echo("cancelled at its next step; run it again to go on")


def logs(
    out: Out,
    follow: Annotated[
        bool, typer.Option("--follow", help="Wait for what comes, until the study is over.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print every state that a study went through."""
    folder, seen = RunFolder(out), 0
    while True:
        lines = folder.lines()
        for line in lines[seen:]:
            typer.echo(line if as_json else _line(State.model_validate(json.loads(line), strict=False)))
        seen = len(lines)
        if not follow or folder.state().over:
            return
        time.sleep(POLL_SECONDS)


def flower_says(flower: str, connection: str, run: str) -> str:
    """Return how a run stands in Flower's words, such as ``finished:failed``; empty where nobody answers."""
    done = subprocess.run(
        [flower, "list", connection, "--run-id", run, "--format", "json"],
        env=quiet_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        (found,) = json.loads(done.stdout)["runs"]
        return str(found["status"])
    except (ValueError, KeyError, TypeError):
        return ""


def follow(
    folder: RunFolder,
    since: datetime,
    asked: Callable[[], str],
    *,
    poll: float = POLL_SECONDS,
    quiet: float = QUIET_SECONDS,
) -> None:
    """Print states until the run is over, or until Flower says that its process is gone.

    Args:
      folder: Of the run.
      since: When it was submitted; older states are an earlier run's.
      asked: Says how the run stands in Flower's words, empty where nobody answers.
      poll: Seconds between two looks.
      quiet: Seconds without a change after which Flower is asked.

    Raises:
      RunInterrupted: it was cancelled.
      FederationError: it failed, its process ended without a word, or the SuperLink is away for long.
    """
    last, changed, away = "", time.monotonic(), 0
    while True:
        state = _state(folder, since)
        if state is not None and (line := _line(state)) != last:
            typer.echo(line)
            last, changed, away = line, time.monotonic(), 0
        if state is not None and state.over:
            break
        if time.monotonic() - changed > quiet:
            changed, said = time.monotonic(), asked()
            away = 0 if said else away + 1
            after = _state(folder, since)
            if (said.startswith("finished") or away >= UNANSWERED) and not (after and after.over):
                raise FederationError(
                    f"the run ended without a word: {said or 'the SuperLink does not answer'}",
                    where=str(folder.folder),
                    do="give the same command again: it goes on where it stopped",
                )
        time.sleep(poll)
    if state.phase == "cancelled":
        raise RunInterrupted("the study was cancelled", where=str(folder.folder))
    if state.phase != "finished":
        raise FederationError(state.reason or state.phase, where=str(folder.folder))


def _state(folder: RunFolder, since: datetime) -> State | None:
    """Return where this run stands; None while only an earlier run of the folder has left a word."""
    try:
        state = folder.state()
    except FedValueError:
        return None
    return state if state.updated >= since else None


def _line(state: State) -> str:
    part = f" ({state.done}/{state.releases} releases)" if state.releases else ""
    again = ", resumed" if state.resumed else ""
    reason = f": {state.reason}" if state.reason else ""
    return f"{state.updated:%Y-%m-%d %H:%M:%S}  {state.phase}{part}{again}{reason}"
