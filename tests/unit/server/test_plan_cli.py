"""The command ``fedvalue study plan``: text, JSON, page, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedvalue.cli import main
from tests.agreement import SMALL


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def test_the_plan_is_printed_and_drawn(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = written.with_name("plan.html")
    assert main(["study", "plan", str(written), "--years", "40", "--draws", "2", "--out", str(page)]) == 0
    said = capsys.readouterr().out
    assert "Nothing was asked and nothing is spent" in said.replace("\n", " ")
    assert "can no longer be asked about from year" in said.replace("\n", " ")
    drawn = page.read_text(encoding="utf-8")
    assert "<svg" in drawn
    assert "预期区间宽度" in drawn


def test_json_holds_every_group_at_every_epsilon(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["study", "plan", str(written), "--json", "--draws", "1", "--patients", "300", "--sites", "4"]
    assert main(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["sites"], found["patients"], found["releases"]) == (4, 300, 1)
    assert [each["epsilon"] for each in found["at"]] == [0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0]
    assert {"width", "power", "detectable", "answered"} <= set(found["at"][0]["groups"][0])
    assert found["reviews"] is None


def test_fewer_hospitals_than_the_study_demands_are_refused(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "plan", str(written), "--sites", "2"]) == 2
    assert "at least 3 hospitals" in capsys.readouterr().err


def test_the_page_says_what_is_not_answered_and_what_each_year_spends(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = written.with_name("plan.html")
    few = ["--patients", "60", "--draws", "2", "--years", "3", "--out", str(page)]
    assert main(["study", "plan", str(written), *few]) == 0
    assert "not answered at epsilon" in capsys.readouterr().out
    drawn = page.read_text(encoding="utf-8")
    assert "What this epsilon does not answer" in drawn
    assert "可行的 epsilon" in drawn
    assert "仍可提问的入组年份数" in drawn
