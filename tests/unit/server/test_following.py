"""`fedvalue study run` follows its own run, to its end or to the end of its process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fedvalue.errors import FederationError, RunInterrupted
from fedvalue.server.run_cli import UNANSWERED, follow
from fedvalue.server.run_state import Phase, RunFolder, State

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EARLIER, LATER = NOW - timedelta(minutes=5), NOW + timedelta(minutes=5)


def told(folder: Path, phase: Phase, reason: str = "", at: datetime = LATER) -> RunFolder:
    run = RunFolder(folder, lambda: at)
    run.tell(State(study_id="s", study_hash="ab" * 32, phase=phase, reason=reason, updated=at))
    return run


def nobody_asks() -> str:
    raise AssertionError("Flower was asked while the run's own word stood")


def test_a_run_is_followed_to_its_own_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    follow(told(tmp_path, "finished", "ev-1"), NOW, nobody_asks, poll=0.0)
    assert "finished: ev-1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("phase", "error"),
    [("cancelled", RunInterrupted), ("failed", FederationError), ("below threshold", FederationError)],
)
def test_a_run_that_ends_otherwise_is_an_error_by_its_reason(
    tmp_path: Path, phase: Phase, error: type[Exception]
) -> None:
    with pytest.raises(error, match="cancelled" if phase == "cancelled" else "why"):
        follow(told(tmp_path, phase, "why"), NOW, nobody_asks, poll=0.0)


def test_the_last_word_of_an_earlier_run_in_the_folder_is_not_this_runs(tmp_path: Path) -> None:
    run = told(tmp_path, "failed", "the old reason", at=EARLIER)
    with pytest.raises(FederationError, match=r"ended without a word: finished:failed") as caught:
        follow(run, NOW, lambda: "finished:failed", poll=0.0, quiet=0.0)
    assert "old reason" not in str(caught.value)
    assert "goes on where it stopped" in caught.value.do


def test_a_process_that_is_gone_is_noticed_though_its_state_says_that_it_runs(tmp_path: Path) -> None:
    run = told(tmp_path, "running", "opening release-1")
    answers = iter(["running", "running", "finished:failed"])
    with pytest.raises(FederationError, match="without a word"):
        follow(run, NOW, lambda: next(answers), poll=0.0, quiet=0.0)


def test_a_word_that_arrives_while_flower_is_asked_counts(tmp_path: Path) -> None:
    run = told(tmp_path, "running")

    def asked() -> str:
        told(tmp_path, "finished", "ev-2")
        return "finished:completed"

    follow(run, NOW, asked, poll=0.0, quiet=0.0)


def test_a_superlink_that_stays_away_is_not_waited_for_without_end(tmp_path: Path) -> None:
    asked: list[int] = []

    def silence() -> str:
        asked.append(1)
        return ""

    with pytest.raises(FederationError, match="the SuperLink does not answer"):
        follow(told(tmp_path, "running"), NOW, silence, poll=0.0, quiet=0.0)
    assert len(asked) == UNANSWERED
