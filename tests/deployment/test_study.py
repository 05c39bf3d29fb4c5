"""The small study over a real SuperLink and three SuperNodes, by the commands that people type."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np

from fedvalue.evidence import sealing
from fedvalue.evidence.chain import verify_chain
from fedvalue.quiet import quiet_environment
from fedvalue.synthetic.hospitals import make_hospitals
from fedvalue.synthetic.studies import three_sites_study
from fedvalue.synthetic.worlds import three_sites_world
from tests.deployment.flower import StartFlower


def fedvalue(commands: Path, *words: str | Path) -> str:
    """Give one command to a hospital's or the coordinator's shell; it must succeed."""
    command = [str(commands / "fedvalue"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=quiet_environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_three_hospitals_answer_the_small_study_over_flowers_own_processes(
    start_flower: StartFlower, checkout: Path, warm_commands: Path, tmp_path: Path
) -> None:
    make_hospitals(three_sites_world(), tmp_path / "hospitals", np.random.default_rng(1))
    names = sorted(p.name for p in (tmp_path / "hospitals").iterdir() if p.is_dir())
    study, roster = tmp_path / "study.toml", tmp_path / "roster.toml"
    study.write_bytes(three_sites_study())
    fedvalue(warm_commands, "study", "sign", study, "--key", tmp_path / "author.pem")
    homes = [tmp_path / "homes" / name for name in names]
    for home in homes:
        fedvalue(
            warm_commands, "site", "init", home, "--site", home.name, "--entity", home.name, "--epsilon", "4",
            "--profile", "none", "--unsafe", "clear_sum",
        )  # fmt: skip
        raw = tmp_path / "hospitals" / home.name
        fedvalue(warm_commands, "site", "load", home, "--from", raw, "--mapping", raw / "map.toml")
    roster.write_text("".join(fedvalue(warm_commands, "site", "card", home) for home in homes))
    for home in homes:
        assert "What leaves a hospital" in fedvalue(
            warm_commands, "site", "check", home, study, "--roster", roster
        )
        fedvalue(warm_commands, "site", "approve", home, study, "--roster", roster)

    federation = start_flower([f'site-home="{home}"' for home in homes])
    out = tmp_path / "out"
    run = federation.run(checkout, study=str(study), roster=str(roster), out=str(out))
    assert run.status == "finished:completed", run.output + run.details

    package = sealing.load(out / "evidence.json")
    links = verify_chain(package)
    assert [link.name for link in links][:3] == ["study", "study signature", "roster"]
    assert not package.simulation
    assert package.unsafe == ("clear_sum",)
    assert {site for release in package.releases for site in release.answered} == set(names)
    assert (out / "report.html").exists()
    for home in homes:
        ledger = json.loads(fedvalue(warm_commands, "site", "ledger", home, "--json"))
        assert len(ledger["debits"]) == 1
    assert federation.outbound() == []
