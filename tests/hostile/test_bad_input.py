"""Bad input to a whole run: each is refused by name, and nothing half-written is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from fedvalue.client.home import SiteHome
from fedvalue.errors import (
    FedValueError,
    OutputError,
    SourceMissing,
    TableEmpty,
    TooFewSites,
)
from fedvalue.quiet import quiet_environment
from fedvalue.simulation import PooledTable, SiteFolders, run
from fedvalue.study.file import parse
from fedvalue.study.schema import Study
from fedvalue.synthetic.hospitals import make_hospitals
from fedvalue.synthetic.studies import three_sites_study
from fedvalue.synthetic.worlds import three_sites_world
from tests.study_head import head

FLAT = """
mapping = 1
[files.table]
path = "table.csv"
[patient]
file = "table"
patient_id = "id"
[[survival]]
file = "table"
patient_id = "id"
time = { duration = "days" }
event = { column = "dead", codes = { "0" = "censored", "1" = "death" } }
"""

SURVIVAL = (
    head("survival-of-everybody", title="Survival")
    + """
[endpoints]
os = { kind = "time_to_event", events = ["death"], until = "12 months", grid = "1 month" }
[[analyses]]
kind = "kaplan_meier"
endpoint = "os"
budget = 1.0
"""
)


@pytest.fixture
def hospitals(tmp_path: Path) -> Path:
    folder = tmp_path / "hospitals"
    make_hospitals(three_sites_world(), folder, np.random.default_rng(7))
    return folder


@pytest.fixture
def study() -> Study:
    return parse(three_sites_study(), where="three sites")


def flat_table(tmp_path: Path, rows: list[str]) -> PooledTable:
    table, mapping = tmp_path / "pooled.csv", tmp_path / "map.toml"
    table.write_text("\n".join(["id,site,days,dead", *rows, ""]))
    mapping.write_text(FLAT)
    return PooledTable(table, mapping, site_column="site")


def left_behind(out: Path) -> list[str]:
    return sorted(p.name for p in out.glob("*") if p.is_file() and not p.name.startswith("."))


def test_an_empty_table_is_refused_at_load(tmp_path: Path) -> None:
    with pytest.raises(TableEmpty):
        run(parse(SURVIVAL.encode(), where="s"), flat_table(tmp_path, []), out=tmp_path / "out")


def test_no_events_at_all_gives_a_flat_curve_from_released_counts(tmp_path: Path) -> None:
    rows = [f"p{i},s{i % 4},{100 + i},0" for i in range(800)]
    result = run(
        parse(SURVIVAL.encode(), where="s"),
        flat_table(tmp_path, rows),
        out=tmp_path / "out",
        day=date(2026, 6, 1),
    )
    stratum = result.evidence.conclusions[0].strata[0]
    assert stratum.status == "estimated"
    assert stratum.curve is not None
    assert min(stratum.curve.survival) > 0.9
    assert all(low <= s <= high for low, s, high in zip(
        stratum.curve.lower, stratum.curve.survival, stratum.curve.upper, strict=True))  # fmt: skip


def test_fewer_hospitals_than_the_study_demands_are_refused_with_what_to_do(tmp_path: Path) -> None:
    rows = [f"p{i},s{i % 2},{100 + i},1" for i in range(50)]
    with pytest.raises(TooFewSites) as refusal:
        run(parse(SURVIVAL.encode(), where="s"), flat_table(tmp_path, rows), out=tmp_path / "out")
    assert refusal.value.do
    assert left_behind(tmp_path / "out") == []


def test_outside_the_studys_dates_no_site_answers_and_no_budget_is_spent(
    hospitals: Path, study: Study, tmp_path: Path
) -> None:
    with pytest.raises(TooFewSites, match="outside_validity"):
        run(study, SiteFolders(hospitals), out=tmp_path / "out", day=date(2025, 12, 31))
    for home in (tmp_path / "out" / "sites").iterdir():
        with SiteHome.open(home).ledger() as ledger:
            assert [entry.kind for entry in ledger.entries()].count("debit") == 0
    assert left_behind(tmp_path / "out") == []


def test_a_folder_without_hospitals_and_a_missing_one_are_refused(study: Study, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(SourceMissing):
            run(study, SiteFolders(folder), out=tmp_path / "out")


def test_a_hospital_whose_file_is_missing_is_named(hospitals: Path, study: Study, tmp_path: Path) -> None:
    victim = next(p for p in sorted(hospitals.iterdir()) if p.is_dir())
    table = next(p for p in sorted(victim.iterdir()) if p.suffix in (".csv", ".tsv", ".parquet"))
    table.unlink()
    with pytest.raises(SourceMissing, match=table.name):
        run(study, SiteFolders(hospitals), out=tmp_path / "out")


@pytest.mark.parametrize("what", ["a file", "a folder of somebody"])
def test_an_output_place_that_cannot_be_used_is_refused_before_anything_runs(
    hospitals: Path, study: Study, tmp_path: Path, what: str
) -> None:
    out = tmp_path / "taken"
    if what == "a file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError):
        run(study, SiteFolders(hospitals), out=out)
    kept = out if what == "a file" else out / "thesis.txt"
    assert kept.read_text() == "mine"


def test_every_refusal_says_what_where_and_what_to_do(hospitals: Path, study: Study, tmp_path: Path) -> None:
    with pytest.raises(FedValueError) as refusal:
        run(study, SiteFolders(hospitals), out=tmp_path / "out", day=date(2025, 1, 1))
    assert refusal.value.what
    assert refusal.value.where
    assert refusal.value.do


def test_a_run_stopped_in_the_middle_leaves_whole_ledgers_and_no_half_written_result(
    tmp_path: Path, warm_commands: Path
) -> None:
    """Ctrl-C reaches the demonstration at three moments of its run."""
    command = [str(warm_commands / "fedvalue"), "demo", "--out", str(tmp_path / "out")]
    for pause in (0.5, 1.5, 3.0):
        process = subprocess.Popen(
            command,
            env=quiet_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while (
            not (tmp_path / "out" / "sites").exists()
            and time.monotonic() < deadline
            and process.poll() is None
        ):
            time.sleep(0.05)
        time.sleep(pause)
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        finished = process.returncode == 0
        assert finished or process.returncode == 130, errors
        assert b"Traceback" not in errors
        results = left_behind(tmp_path / "out")
        assert ("report.html" in results) == finished
        for home in (tmp_path / "out" / "sites").iterdir():
            if (home / "policy.toml").exists():
                with SiteHome.open(home).ledger() as ledger:
                    ledger.verify()
