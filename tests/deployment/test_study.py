"""The small study over a real SuperLink, SuperNodes and site nodes, by the commands that people type."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedvalue.client.opening import SITE_VARIABLE
from fedvalue.evidence import sealing
from fedvalue.evidence.chain import verify_chain
from fedvalue.operations.processes import free_ports
from fedvalue.quiet import quiet_environment
from fedvalue.synthetic.hospitals import make_hospitals
from fedvalue.synthetic.studies import three_sites_study
from fedvalue.synthetic.worlds import three_sites_world
from tests.deployment.flower import StartFlower


@dataclass(frozen=True, slots=True)
class Shell:
    """Where people type commands; each must succeed.

    Attributes:
      commands: Folder of the programs.
      folder: Of everything that the test makes.
    """

    commands: Path
    folder: Path

    def __call__(self, *words: str | Path) -> str:
        command = [str(self.commands / "fedvalue"), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=quiet_environment())
        assert done.returncode == 0, done.stderr
        return done.stdout

    def told(self, *words: str | Path) -> dict[str, Any]:
        """What a command says with ``--json``."""
        found: dict[str, Any] = json.loads(self(*words, "--json"))
        return found


def joined(fedvalue: Shell, names: list[str]) -> dict[str, Path]:
    """Let hospitals join a federation, as its people do: files from hand to hand, digits by telephone."""
    authority, coordinator = fedvalue.folder / "authority", fedvalue.folder / "coordinator"
    print_ = fedvalue.told("authority", "init", authority, "--name", "Example Federation")["fingerprint"]
    fedvalue("federation", "init", coordinator, "--name", "Example Federation", "--host", "localhost")
    homes, digits = {}, {}
    secret = fedvalue.folder / "passphrase"
    secret.touch(mode=0o600)
    secret.write_text("correct horse battery staple\n", encoding="utf-8")
    for name in names:
        home = homes[name] = fedvalue.folder / "homes" / name
        fedvalue(
            "site", "init", home, "--site", name, "--entity", name, "--epsilon", "4", "--profile", "none",
            *(("--passphrase-file", secret) if name == names[0] else ()),
        )  # fmt: skip
        token = fedvalue.told("federation", "add-site", coordinator, name)["token"]
        with locked(secret):
            joining = fedvalue.told("site", "enrol", home, token)
            digits[name] = joining["digits"]
            fedvalue("federation", "admit", coordinator, joining["answer"])
            papers = fedvalue.folder / f"{name}.papers.json"
            fedvalue(
                "authority", "issue", authority, joining["request"], "--digits", digits[name], "--out", papers
            )
            fedvalue("site", "certify", home, papers, "--authority", print_)
    for name, home in homes.items():
        for other in names:
            if other != name:
                fedvalue("site", "confirm", home, other, digits[other])
    fedvalue("authority", "sign-roster", authority, "--out", fedvalue.folder / "roster.toml")
    return homes


@contextmanager
def locked(secret: Path) -> Iterator[None]:
    """Let commands find the passphrase of the one site's key that is under one."""
    os.environ[SITE_VARIABLE] = str(secret)
    try:
        yield
    finally:
        del os.environ[SITE_VARIABLE]


@pytest.mark.timeout(600)
def test_three_real_hospitals_answer_the_small_study_by_the_commands_that_people_type(
    start_flower: StartFlower, checkout: Path, warm_commands: Path, tmp_path: Path
) -> None:
    fedvalue = Shell(warm_commands, tmp_path)
    make_hospitals(three_sites_world(), tmp_path / "hospitals", np.random.default_rng(1))
    names = sorted(p.name for p in (tmp_path / "hospitals").iterdir() if p.is_dir())
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

    sockets = Path(tempfile.mkdtemp(prefix="fv-"))  # a socket's path has 107 bytes at most
    federation = start_flower([f'site-socket="{sockets / name}"' for name in names])
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
    shutil.rmtree(sockets)
