"""The project under real Flower processes on loopback: what is shipped, what starts, what stays silent.

One SuperLink with three SuperNodes of Flower's own serves all of it, also a whole study by the commands that
people type.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fedvalue.evidence import sealing
from fedvalue.evidence.chain import verify_chain
from fedvalue.operations.processes import free_ports
from fedvalue.quiet import quiet_environment
from fedvalue.synthetic.hospitals import make_hospitals
from fedvalue.synthetic.studies import three_sites_study
from fedvalue.synthetic.worlds import three_sites_world
from tests.deployment.flower import FlowerFederation, StartFlower
from tests.deployment.shell import Shell, joined, locked

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
    messages = [Message(RecordDict(), node, "query.socket") for node in nodes]
    replies = list(grid.send_and_receive(messages, timeout=60))
    sockets = sorted(reply.content["socket"]["site-socket"] for reply in replies)
    print("word:", context.run_config["word"], "sockets:", *sockets, flush=True)


@client.query("socket")
def socket(message, context):
    content = RecordDict({"socket": ConfigRecord({"site-socket": context.node_config["site-socket"]})})
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


@dataclass(frozen=True, slots=True)
class Town:
    """Three SuperNodes on a SuperLink, each with the socket of a site node beside it.

    Attributes:
      federation: The processes.
      sockets: Folder of the sockets, named after the sites.
      sites: Site ids.
    """

    federation: FlowerFederation
    sockets: Path
    sites: tuple[str, ...]


@pytest.fixture(scope="module")
def town(start_flower: StartFlower, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    installed = tmp_path_factory.mktemp("installed")
    (installed / "fedvalue_standin.py").write_text(STANDIN)
    sites = tuple(sorted(hospital.id for hospital in three_sites_world().hospitals))
    sockets = Path(tempfile.mkdtemp(prefix="fv-"))  # a socket's path has 107 bytes at most
    configs = [f'site-socket="{sockets / site}"' for site in sites]
    yield Town(start_flower(configs, {"PYTHONPATH": str(installed)}), sockets, sites)
    shutil.rmtree(sockets)


def test_three_supernodes_answer_a_run_whose_bundle_carries_no_code(
    town: Town, checkout: Path, tmp_path: Path
) -> None:
    app, federation = tmp_path / "standin", town.federation
    app.mkdir()
    (app / "pyproject.toml").write_text(STANDIN_APP)
    (app / "README.md").write_text("This bundle carries names.\n")
    assert len(federation.online()) == 3

    run = federation.run(app, word="hello there")
    sockets = " ".join(str(town.sockets / site) for site in town.sites)
    assert f"word: hello there sockets: {sockets}" in run.output
    assert run.status == "finished:completed", run.output

    # This repository's own bundle starts too, and says what is missing when no study is named.
    ours = federation.run(checkout, wait=5)
    assert ours.status == "finished:failed"
    assert "the run configuration lacks '" in ours.details

    # A setting that nobody declared never starts a run.
    assert federation.run(checkout, nonsense="1").status == "not started"

    assert federation.outbound() == []


@pytest.mark.timeout(600)
def test_three_real_hospitals_answer_the_small_study_by_the_commands_that_people_type(
    town: Town, checkout: Path, warm_commands: Path, tmp_path: Path
) -> None:
    fedvalue, federation, sockets, names = (
        Shell(warm_commands, tmp_path),
        town.federation,
        town.sockets,
        town.sites,
    )
    make_hospitals(three_sites_world(), tmp_path / "hospitals", np.random.default_rng(1))
    study, roster = tmp_path / "study.toml", tmp_path / "roster.toml"
    study.write_bytes(three_sites_study())
    fedvalue("study", "sign", study, "--key", tmp_path / "author.pem")
    homes = joined(fedvalue, names)
    with locked(tmp_path / "passphrase"):
        for name, home in homes.items():
            raw = tmp_path / "hospitals" / name
            fedvalue("site", "load", home, "--from", raw, "--mapping", raw / "map.toml")
            assert "What leaves a hospital" in fedvalue("site", "check", home, study, "--roster", roster)
            fedvalue("site", "approve", home, study, "--roster", roster)

    for name, home in homes.items():
        secret = ("--passphrase-file", str(tmp_path / "passphrase")) if name == names[0] else ()
        program = [str(Path(sys.executable).parent / "fedvalue"), "site", "serve", "--node-only", str(home)]
        federation.tree.start(f"node-{name}", [*program, "--socket", str(sockets / name), *secret], {})
    federation.tree.wait_until(lambda: all((sockets / name).exists() for name in names), "the nodes", 60.0)
    out, papers = tmp_path / "out", tmp_path / "authority"
    run = federation.run(
        checkout, study=str(study), roster=str(roster), out=str(out),
        authority=str(papers / "authority.crt"), revocations=str(papers / "revocations.pem"),
        federation=str(tmp_path / "coordinator"), sessions=f"127.0.0.1:{free_ports(1)[0]}",
    )  # fmt: skip
    assert run.status == "finished:completed", run.output + run.details

    package = sealing.load(out / "evidence.json")
    links = verify_chain(package)
    assert [link.name for link in links][:3] == ["study", "study signature", "roster"]
    assert not package.simulation
    assert package.unsafe == ()
    assert {site for release in package.releases for site in release.answered} == set(names)
    assert (out / "report.html").exists()
    with locked(tmp_path / "passphrase"):
        for home in homes.values():
            assert len(fedvalue.told("site", "ledger", home)["debits"]) == 1
    joined_in = [
        line for line in (out / "coordinator.log").read_text().splitlines() if "session joined" in line
    ]
    assert len(joined_in) == 3
    assert federation.outbound() == []
