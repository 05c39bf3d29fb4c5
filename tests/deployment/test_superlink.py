"""The project under real Flower processes on loopback: what is shipped, what starts, what stays silent."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from fedvalue.quiet import quiet_environment
from tests.deployment.flower import StartFlower

# Apps of an installed package, of which the bundle knows only the names.
STANDIN = """
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

server = ServerApp()
client = ClientApp()


@server.main()
def main(grid, context):
    nodes = sorted(grid.get_node_ids())
    messages = [Message(RecordDict(), node, "query.home") for node in nodes]
    replies = list(grid.send_and_receive(messages, timeout=60))
    homes = sorted(reply.content["home"]["site-home"] for reply in replies)
    print("word:", context.run_config["word"], "homes:", *homes, flush=True)


@client.query("home")
def home(message, context):
    content = RecordDict({"home": ConfigRecord({"site-home": context.node_config["site-home"]})})
    return Message(content, reply_to=message)
"""

STANDIN_APP = """
[project]
name = "standin"
version = "1"
description = "Names only."
license = "Apache-2.0"

[tool.flwr.app]
publisher = "fedvalue"
fab-include = ["README.md"]

[tool.flwr.app.components]
serverapp = "fedvalue_standin:server"
clientapp = "fedvalue_standin:client"

[tool.flwr.app.config]
word = ""
"""


@pytest.fixture(scope="module")
def bundle(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """What `flwr build` makes of this checkout."""
    folder = tmp_path_factory.mktemp("bundle")
    environment = {**quiet_environment(), "FLWR_HOME": str(folder / "home")}
    command = [str(Path(sys.executable).parent / "flwr"), "build", "--app", str(checkout)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.fab")
    return zipfile.ZipFile(made)


def test_the_bundle_carries_names_and_settings_and_no_code(bundle: zipfile.ZipFile) -> None:
    assert sorted(bundle.namelist()) == [".info/CONTENT", "docs/federation.md", "pyproject.toml"]


def test_the_bundle_names_the_apps_of_the_installed_package(bundle: zipfile.ZipFile) -> None:
    app = tomllib.loads(bundle.read("pyproject.toml").decode())["tool"]["flwr"]["app"]
    assert app["components"] == {
        "serverapp": "fedvalue.server.app:app",
        "clientapp": "fedvalue.client.app:app",
    }


def test_three_supernodes_answer_a_run_whose_bundle_carries_no_code(
    start_flower: StartFlower, checkout: Path, tmp_path: Path
) -> None:
    installed, app = tmp_path / "installed", tmp_path / "standin"
    installed.mkdir()
    app.mkdir()
    (installed / "fedvalue_standin.py").write_text(STANDIN)
    (app / "pyproject.toml").write_text(STANDIN_APP)
    (app / "README.md").write_text("This bundle carries names.\n")

    sites = [f'site-home="{tmp_path}/{name}"' for name in ("north", "river", "east")]
    federation = start_flower(sites, {"PYTHONPATH": str(installed)})
    assert len(federation.online()) == 3

    run = federation.run(app, word="hello there")
    assert f"word: hello there homes: {tmp_path}/east {tmp_path}/north {tmp_path}/river" in run.output
    assert run.status == "finished:completed", run.output

    # This repository's own bundle starts too, and says what is missing when no study is named.
    ours = federation.run(checkout, wait=5)
    assert ours.status == "finished:failed"
    assert "the run configuration lacks '" in ours.details

    # A setting that nobody declared never starts a run.
    assert federation.run(checkout, nonsense="1").status == "not started"

    assert federation.outbound() == []
