"""No process of ours reports to anybody; a watched process shows that it does not even try."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedvalue.quiet import SWITCHES, quiet_environment
from tests.outbound.watch import attempts, watched

# What Flower's own commands do on starting: an event of telemetry and the look for updates.
REPORTS = """
from flwr.supercore.telemetry import EventType, event
from flwr.supercore.update_check import warn_if_flwr_update_available
event(EventType.PING).result(20)
warn_if_flwr_update_available("flower-superlink")
"""

STUDY = """
import numpy as np
from fedvalue.server.grids.local import LocalGrid, LocalNode, run_server_app
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

app, client = ServerApp(), ClientApp()

@client.train()
def train(message, context):
    metrics = MetricRecord({"num-examples": 1})
    return Message(RecordDict({"arrays": message.content["arrays"], "metrics": metrics}), reply_to=message)

@app.main()
def main(grid, context):
    FedAvg(fraction_evaluate=0.0).start(grid, ArrayRecord({"w": Array(np.zeros(100))}), num_rounds=2)

run_server_app(app, LocalGrid({n: LocalNode(client) for n in (2, 3, 4)}))
print("ran")
"""


def run(program: str, environment: dict[str, str], folder: Path) -> tuple[str, list[str]]:
    log = folder / "outbound.log"
    environment = {**watched(environment, log), "FLWR_HOME": str(folder / "flwr")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, attempts(log)


def talkative() -> dict[str, str]:
    """This process's environment without the switches or a proxy, as a user's shell would have it."""
    left_out = {*SWITCHES, "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    return {name: value for name, value in os.environ.items() if name.upper() not in left_out}


def test_the_watch_sees_what_flower_does_when_nobody_tells_it_not_to(tmp_path: Path) -> None:
    _, seen = run(REPORTS, talkative(), tmp_path)
    hosts = {line.split("\t")[1] for line in seen}
    assert len(hosts) == 2, seen  # telemetry and updates; each was refused before anything was sent


def test_flower_in_a_quiet_environment_does_not_try_to_report(tmp_path: Path) -> None:
    assert run(REPORTS, quiet_environment(talkative()), tmp_path)[1] == []


def test_a_process_that_calls_silence_first_does_not_try_to_report(tmp_path: Path) -> None:
    program = f"from fedvalue.quiet import silence\nsilence()\n{REPORTS}"
    assert run(program, talkative(), tmp_path)[1] == []


def test_silence_holds_even_where_flower_was_imported_before(tmp_path: Path) -> None:
    program = f"import flwr.serverapp\nfrom fedvalue.quiet import silence\nsilence()\n{REPORTS}"
    assert run(program, talkative(), tmp_path)[1] == []


@pytest.mark.parametrize("first", ["", "import flwr.serverapp\n"])
def test_a_study_over_a_local_grid_does_not_try_to_leave_the_machine(first: str, tmp_path: Path) -> None:
    out, seen = run(first + STUDY + REPORTS, talkative(), tmp_path)
    assert out == "ran\n"
    assert seen == []


def test_the_quiet_environment_keeps_the_rest_and_overrules_what_was_set() -> None:
    given = {"HOME": "/home/a", "FLWR_TELEMETRY_ENABLED": "1"}
    assert quiet_environment(given) == {"HOME": "/home/a", **SWITCHES}
    assert given["FLWR_TELEMETRY_ENABLED"] == "1"


def test_every_child_of_this_process_inherits_the_environment_asked_for() -> None:
    environment = quiet_environment()
    assert {name: environment[name] for name in SWITCHES} == dict(SWITCHES)
    assert environment["PATH"] == os.environ["PATH"]
