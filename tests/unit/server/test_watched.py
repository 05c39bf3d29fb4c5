"""The coordinator's numbers come from the folders of its runs, and go on when a run's process has died."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedvalue.operations.endpoint import ask
from fedvalue.operations.metrics import table
from fedvalue.server.federation_cli import app
from fedvalue.server.provisioning.office import Office
from fedvalue.server.run_state import RunFolder, State
from fedvalue.server.watched import DECLARED, LINES, health, measured

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two studies, one that runs and one that failed; log lines of the first, some in a file set aside."""
    folder = tmp_path / "runs"
    for name, phase, done in (("lung", "running", 2), ("breast", "failed", 0)):
        state = State(
            study_id=name, study_hash="a" * 64, phase=phase, reason="because", done=done, releases=5,
            updated=NOON,
        )  # fmt: skip
        RunFolder(folder / name, lambda: NOON).tell(state)
    joined, refused = {"event": "session joined"}, {"event": "session refused", "reason": "signature_invalid"}
    (folder / "lung" / LINES).write_text(f"{json.dumps(joined)}\n{json.dumps(refused)}\nhalf a li")
    (folder / "lung" / f"{LINES}.1").write_text(f"{json.dumps(joined)}\n")
    return folder


def test_phases_releases_and_sessions_are_read_from_the_disk(runs: Path) -> None:
    text = measured(runs).text()
    assert 'study_phase{study="lung",phase="running"} 1\n' in text
    assert 'study_phase{study="lung",phase="finished"} 0\n' in text
    assert 'study_releases{study="lung"} 5\n' in text
    assert 'study_releases_done{study="lung"} 2\n' in text
    assert "sessions_joined_total 2\n" in text
    assert 'sessions_refused_total{reason="signature_invalid"} 1\n' in text
    assert f'updated_timestamp_seconds{{study="lung"}} {int(NOON.timestamp())}\n' in text


def test_one_run_may_be_named_itself_and_a_broken_one_is_passed_over(runs: Path) -> None:
    assert measured(runs / "lung").text().count("_releases{") == 1
    (runs / "lung" / "state.json").write_text("{}")
    assert 'study="lung"' not in measured(runs).text()


def test_the_health_is_bad_while_a_study_has_failed(runs: Path) -> None:
    found = health(runs)
    assert not found["ok"]
    assert found["studies"] == {
        "lung": {"phase": "running", "reason": "because"}, "breast": {"phase": "failed", "reason": "because"},
    }  # fmt: skip
    assert health(runs / "lung")["ok"]


def test_the_command_serves_them_on_this_machine_until_it_is_told_to_stop(runs: Path, tmp_path: Path) -> None:
    Office(tmp_path / "office", lambda: NOON).make("Example", ("localhost",), 9092)
    where, found = tmp_path / "m.sock", dict[str, str]()

    def look() -> None:
        until = time.monotonic() + 10
        while not where.exists() and time.monotonic() < until:
            time.sleep(0.01)
        try:
            found["metrics"] = ask(str(where), "/metrics")[1]
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    looking = threading.Thread(target=look)
    looking.start()
    try:
        said = CliRunner().invoke(
            app, ["watch", str(tmp_path / "office"), "--runs", str(runs), "--listen", str(where)]
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    looking.join()
    assert said.exit_code == 0, said.output
    assert 'paper_ends_timestamp_seconds{paper="the TLS root"}' in found["metrics"]
    assert not where.exists()


def test_an_address_that_others_could_reach_is_refused(runs: Path, tmp_path: Path) -> None:
    Office(tmp_path / "office", lambda: NOON).make("Example", ("localhost",), 9092)
    said = CliRunner().invoke(
        app, ["watch", str(tmp_path / "office"), "--runs", str(runs), "--listen", "0.0.0.0:1"]
    )
    assert "others could reach" in str(said.exception)


def test_every_number_has_its_reason_and_both_are_in_the_documents() -> None:
    operations = Path(__file__).parents[3] / "docs" / "operations.md"
    assert table(DECLARED) in operations.read_text(encoding="utf-8")
    for metric in DECLARED:
        assert len(metric.why) > 15
        assert metric.name.startswith("fedvalue_coordinator_")
        assert (metric.kind == "counter") == metric.name.endswith("_total")
