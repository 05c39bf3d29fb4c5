"""The systemd units parse, are hardened alike, and start programs that are there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from fedvalue.cli import ROOMS

UNITS = tuple(sorted((Path(__file__).parents[3] / "docker" / "systemd").glob("*.service")))
LEAST_EXPOSED = 25
"""Exposure of `systemd-analyze security`, tenths: 2.5 of 10; a unit without hardening has 9.6."""


def settings(unit: Path) -> dict[str, list[str]]:
    """Every setting of the service section, in order; continued lines put together."""
    text = re.sub(r"\\\n\s*", "", unit.read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    section = text.partition("[Service]")[2].partition("[Install]")[0]
    for line in section.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_there_are_units_for_a_site_and_for_a_coordinator() -> None:
    assert [unit.name for unit in UNITS] == [
        "fedvalue-site.service", "fedvalue-superlink.service", "fedvalue-watch.service",
    ]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_every_unit_is_nobodys_but_its_own_users_and_reports_to_nobody(unit: Path) -> None:
    found = settings(unit)
    for name, value in {
        "User": "fedvalue", "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "ProtectSystem": "strict",
        "ProtectHome": "yes", "PrivateDevices": "yes", "UMask": "0077", "LimitCORE": "0",
        "RestrictSUIDSGID": "yes",
    }.items():  # fmt: skip
        assert found[name] == [value], name
    environment = " ".join(found["Environment"])
    assert "FLWR_TELEMETRY_ENABLED=0" in environment
    assert "FLWR_DISABLE_UPDATE_CHECK=1" in environment


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_every_unit_starts_a_command_that_exists(unit: Path) -> None:
    (line,) = settings(unit)["ExecStart"]
    program, *words = shlex.split(line)
    if not program.endswith("/fedvalue"):
        assert shutil.which(Path(program).name) or program.endswith("flower-superlink")
        return
    command: click.Command = next(room for room in ROOMS if room.name == words[0]).load()
    assert isinstance(command, click.Group)
    command = command.commands[words[1]]
    options = {flag for each in command.params for flag in each.opts}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_itself_finds_no_fault_and_little_exposure(unit: Path, tmp_path: Path) -> None:
    here = tmp_path / unit.name
    # verify wants the programs to be there; where they will be, they are not yet
    here.write_text(re.sub(r"/opt/fedvalue/bin/[\w-]+", "/bin/true", unit.read_text(encoding="utf-8")))
    for question in (("verify", "--man=no"), ("security", "--offline=yes", f"--threshold={LEAST_EXPOSED}")):
        done = subprocess.run(
            ["systemd-analyze", "--no-pager", *question, str(here)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        if question[0] == "verify":
            assert unit.name not in done.stderr, done.stderr
