"""A site under its supervisor against a real SuperLink: what it lets in, and what survives which death."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.processes import free_ports
from fedvalue.operations.endpoint import ask
from tests.deployment.flower import FlowerFederation, StartFlower
from tests.federation import make_home

# A ServerApp of the coordinator's: asks every site, and prints what each says.
SERVER = """
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import ServerApp

server = ServerApp()


@server.main()
def main(grid, context):
    fields = {"kind": "EnrolRequest", "study_hash": "a" * 64, "roster_hash": "b" * 64, "nonce": "c" * 32}
    content = RecordDict({"fedvalue": ConfigRecord(fields)})
    messages = [Message(content, node, "query.enrol") for node in grid.get_node_ids()]
    for reply in grid.send_and_receive(messages, timeout=60):
        fault = [reply.error.code, reply.error.reason] if reply.has_error() else None
        said = fault or dict(reply.content["fedvalue"])
        print("said:", said, flush=True)
"""

# A program that somebody put into a bundle: it writes a file as soon as it is imported, and when it is asked.
ROGUE = """
from pathlib import Path
from flwr.app import Message
from flwr.clientapp import ClientApp

Path({proof!r}).write_text("I was here")
client = ClientApp()


@client.query("enrol")
def enrol(message, context):
    Path({proof!r}).write_text("and here")
    return Message(message.content, reply_to=message)
"""

APP = """
[project]
name = "{name}"
version = "1"
description = "A bundle."
license = "Apache-2.0"

[tool.flwr.app]
publisher = "{name}"
{include}

[tool.flwr.app.components]
serverapp = "site_asker:server"
clientapp = "{client}"
"""


@dataclass(frozen=True, slots=True)
class Served:
    """A site that runs.

    Attributes:
      home: Its folder.
      supervisor: Process id.
      federation: The SuperLink that it dials.
    """

    home: Path
    supervisor: int
    federation: FlowerFederation

    def health(self) -> dict[str, Any]:
        """What its endpoint says; empty while it does not answer."""
        try:
            return dict(json.loads(ask(str(self.home / "status.sock"))[1]))
        except OSError:
            return {}

    def states(self) -> dict[str, str]:
        """State of each part."""
        return {name: part["state"] for name, part in self.health().get("parts", {}).items()}

    def pids(self) -> dict[str, int]:
        """Process id of each part."""
        return {name: part["pid"] for name, part in self.health()["parts"].items()}

    def wait_ready(self) -> None:
        """Wait until all parts are ready and the SuperLink sees the SuperNode."""
        self.federation.tree.wait_until(
            lambda: list(self.states().values()) == ["ready"] * 3, "the parts", 60
        )

    def log(self) -> list[dict[str, Any]]:
        """Its log lines."""
        return [json.loads(line) for line in (self.home / "logs" / "site.log").read_text().splitlines()]


@pytest.fixture(scope="module")
def served(start_flower: StartFlower, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    installed = tmp_path_factory.mktemp("installed")
    (installed / "site_asker.py").write_text(SERVER)
    federation = start_flower([], {"PYTHONPATH": str(installed)})
    (own,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="fv-") as short:  # a socket's path has 100 bytes
        home = make_home(Path(short), "s01", patients=3).folder
        link = (federation.folder / "homes" / "caller" / "config.toml").read_text().split('"')[1]
        (home / "serve.toml").write_text(
            f'[flower]\nsuperlink = "{link}"\nunsafe_insecure = true\nport = {own}\n[logs]\nstderr = "json"\n'
        )
        started = federation.tree.start("site", ["fedvalue", "site", "serve", str(home)])
        site = Served(home, started.pid, federation)
        federation.tree.wait_until((home / "status.sock").exists, "the site", 60)
        site.wait_ready()
        yield site


def app(folder: Path, name: str, client: str, program: str = "") -> Path:
    """Write an app whose bundle names ``client``, and carries ``program``."""
    folder = folder / name
    folder.mkdir()
    include = "" if program else 'fab-include = ["README.md"]'
    (folder / "pyproject.toml").write_text(APP.format(name=name, include=include, client=client))
    (folder / "README.md").write_text("A bundle.\n")
    if program:
        (folder / "rogue.py").write_text(program)
    return folder


def test_a_bundle_of_names_is_answered_and_a_rogue_one_is_refused_before_a_line_of_it_runs(
    served: Served, tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    apps = (
        app(tmp_path, "ours", "fedvalue.client.app:app"),
        app(tmp_path, "rogue", "rogue:client", ROGUE.format(proof=str(proof))),
    )
    with ThreadPoolExecutor(2) as pool:  # side by side: each mostly waits
        ours, rogue = pool.map(served.federation.run, apps)
    assert "said: {'kind': 'Refused', 'code': 'not_approved'}" in ours.output
    assert "said: [7, 'bundle_refused']" in rogue.output
    assert not proof.exists()
    refused = [line for line in served.log() if line["event"] == "bundle refused"]
    assert [(line["part"], line["code"]) for line in refused] == [("worker", "bundle_refused")]
    assert "carries more than names" in refused[0]["reason"]
    assert not list(served.home.rglob("rogue.py"))  # nothing of it was unpacked either
    _, numbers = ask(str(served.home / "status.sock"), "/metrics")
    assert "fedvalue_site_bundles_refused_total 1\n" in numbers
    assert 'fedvalue_site_messages_refused_total{kind="enrol",code="not_approved"} 1\n' in numbers
    assert served.federation.outbound() == []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are tied to their parent on Linux only")
def test_whatever_is_killed_comes_back_and_a_killed_supervisor_leaves_no_orphan(served: Served) -> None:
    before = served.pids()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    served.federation.tree.wait_until(
        lambda: not set(before.values()) & set(served.pids().values()), "new processes", 30
    )
    served.wait_ready()
    assert served.health()["ok"]
    after = served.pids()
    children = [Path(f"/proc/{pid}/task/{pid}/children").read_text() for pid in after.values()]
    assert children == ["", "", ""]  # none of them has a child that could outlive it

    os.kill(served.supervisor, signal.SIGKILL)
    until = time.monotonic() + 10
    while any(alive(pid) for pid in after.values()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in after.values())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
