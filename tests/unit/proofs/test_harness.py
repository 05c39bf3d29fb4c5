"""The proof harness: finished steps are kept, changed sources are run again, time ends the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from proofs import harness
from proofs.harness import Found, Report

QUIET = Console(quiet=True)


class Counted:
    """A proof of two steps that counts how often it is run."""

    TITLE = "made up"
    PAGE = "nowhere.md"

    def __init__(self) -> None:
        self.runs = {"one": 0, "two": 0}
        self.STEPS = {"one": lambda: self.step("one"), "two": lambda: self.step("two")}

    def step(self, name: str) -> Found:
        self.runs[name] += 1
        return {"times": self.runs[name]}

    def report(self, found: Mapping[str, Found]) -> Report:
        return Report(json.dumps(dict(found)), ())


def test_a_finished_step_is_kept_and_one_of_other_sources_is_run_again(tmp_path: Path) -> None:
    proof = Counted()
    first = harness.run_steps(proof, tmp_path, "a", QUIET)
    assert (
        harness.run_steps(proof, tmp_path, "a", QUIET) == first == {"one": {"times": 1}, "two": {"times": 1}}
    )
    assert harness.run_steps(proof, tmp_path, "b", QUIET)["one"] == {"times": 2}


def test_after_its_time_no_further_step_is_started_and_a_broken_file_counts_as_none(tmp_path: Path) -> None:
    proof = Counted()
    harness.run_steps(proof, tmp_path, "a", QUIET)
    (tmp_path / "two.json").write_text("{half")
    assert harness.run_steps(proof, tmp_path, "a", QUIET, seconds=-1.0) == {"one": {"times": 1}}
    assert harness.run_steps(proof, tmp_path, "a", QUIET)["two"] == {"times": 2}


def test_every_key_is_a_proof(capsys: pytest.CaptureFixture[str]) -> None:
    assert "decisions" in harness.every_key()
    for key in harness.every_key():
        assert harness.proof_module(key).STEPS
        assert len(harness.source_digest(key)) == 64
    assert harness.main(["--list"]) == 0
    assert "decisions" in capsys.readouterr().out


def test_a_key_that_is_no_proof_is_refused() -> None:
    with pytest.raises(SystemExit) as refusal:
        harness.main(["--key", "nonsense"])
    assert refusal.value.code == 2


def test_a_page_is_stamped_with_command_commit_and_versions() -> None:
    stamp = harness.stamp("decisions")
    for word in ("python -m proofs --key decisions", "commit", "numpy", "scipy"):
        assert word in stamp
