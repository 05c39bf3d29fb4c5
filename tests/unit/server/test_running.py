"""A study that stops half-way goes on where it stopped, says where it stands, and pays nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedvalue.cli import main
from fedvalue.errors import EvidenceError, FedValueError, RunInterrupted, TooFewSites
from fedvalue.evidence import documents, statements
from fedvalue.evidence.chain import verify_chain
from fedvalue.planning.concluding import quiet
from fedvalue.server.checkpoint import Kept
from fedvalue.server.coordinator import Coordinator
from fedvalue.server.run_state import RunFolder, State
from fedvalue.server.running import run_watched
from fedvalue.study.file import digest
from fedvalue.study.signature import sign
from tests.agreement import SMALL, key, study
from tests.federation import Hospitals, make_hospitals, noon

TWO = study(
    ("min_sites = 3", "min_sites = 5"),
    ("dropouts = 0", "dropouts = 1"),
    (
        "[endpoints]\nresponded",
        'age = { person = "responded", clip = [0, 1], unit = "years" }\n\n[endpoints]\nresponded',
    ),
    (
        '[[analyses]]\nkind = "kaplan_meier"\nendpoint = "os"\nby = ["egfr"]\nbudget = 0.5',
        '[[analyses]]\nkind = "trimmed_mean"\nvariable = "age"\nbudget = 0.5',
    ),
    text=SMALL,
)
"""Two releases: the second one is asked with public numbers that the first one gave."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    return make_hospitals(tmp_path_factory.mktemp("running") / "homes", TWO, clear_sum=False)


@pytest.fixture
def hospitals(template: Hospitals, tmp_path: Path) -> Hospitals:
    return template.copy(tmp_path / "homes")


class Killed(BaseException):
    """Stands for a process that is gone."""


def coordinator(hospitals: Hospitals, progress: Callable[[str, int, int], None] | None = None) -> Coordinator:
    signed = sign(statements.study_statement(digest(TWO)), key("author"), "study")
    made = Coordinator(
        study=TWO, roster=hospitals.roster, key=key("coordinator"), study_signatures=(signed,),
        simulation=True, wait_seconds=0.0, step_seconds=30.0, clock=noon,
        progress=progress or quiet,
    )  # fmt: skip
    assert made.study_hash == digest(TWO)
    return made


def dying_at(what: str) -> Callable[[str, int, int], None]:
    def progress(text: str, done: int, total: int) -> None:
        del done, total
        if text == what:
            raise Killed

    return progress


def debits(hospitals: Hospitals) -> list[int]:
    found = []
    for home in hospitals.homes():
        with home.ledger() as ledger:
            found.append(sum(entry.kind == "debit" for entry in ledger.entries()))
    return found


def test_after_a_kill_the_study_goes_on_and_asks_nothing_twice(hospitals: Hospitals, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with hospitals.grid() as grid, pytest.raises(Killed):
        run_watched(coordinator(hospitals, dying_at("opening release-2")), grid, out)
    assert debits(hospitals) == [1] * 5
    state = RunFolder(out).state()
    assert (state.phase, state.reason, state.over) == ("failed", "Killed", True)

    with hospitals.grid() as grid:  # the nodes were started again too
        kept: list[tuple[str, str]] = []
        evidence = run_watched(
            coordinator(hospitals),
            grid,
            out,
            lambda package: kept.append((package.evidence_id, RunFolder(out).state().phase)),
        )
    assert kept == [(evidence.evidence_id, "running")]  # results are written before it counts as finished
    assert debits(hospitals) == [2] * 5
    assert [(r.label, r.attempt) for r in evidence.releases] == [("release-1", 1), ("release-2", 1)]
    assert [spent.releases for spent in evidence.privacy.spent] == [2] * 5
    verify_chain(evidence, study=TWO)
    state = RunFolder(out).state()
    assert (state.phase, state.reason, state.done, state.releases) == ("finished", evidence.evidence_id, 2, 2)
    assert state.resumed


def test_a_site_that_is_away_after_the_resumption_keeps_its_approval_in_the_evidence(
    hospitals: Hospitals, tmp_path: Path
) -> None:
    with hospitals.grid() as grid, pytest.raises(Killed):
        run_watched(coordinator(hospitals, dying_at("opening release-2")), grid, tmp_path / "out")
    (hospitals.home("s05").study_folder(digest(TWO)) / "approval.json").unlink()
    with hospitals.grid() as grid:
        evidence = run_watched(coordinator(hospitals), grid, tmp_path / "out")
    assert [len(release.answered) for release in evidence.releases] == [5, 4]
    assert len(evidence.approvals) == 5
    verify_chain(evidence, study=TWO)


def test_a_cancelled_study_ends_at_its_next_step_and_can_be_taken_up(
    hospitals: Hospitals, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "out")

    def cancelling(text: str, done: int, total: int) -> None:
        del done, total
        if text == "opening release-2":
            folder.cancel()

    with hospitals.grid() as grid, pytest.raises(RunInterrupted):
        run_watched(coordinator(hospitals, cancelling), grid, folder.folder)
    assert folder.state().phase == "cancelled"
    assert debits(hospitals) == [1] * 5
    with hospitals.grid() as grid:
        assert len(run_watched(coordinator(hospitals), grid, folder.folder).releases) == 2


def test_the_log_of_a_run_gets_a_line_when_something_changes_and_not_when_nothing_does(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path / "out")
    state = State(study_id="a", study_hash="b" * 64, phase="waiting for sites", updated=noon())
    for reason in ("0 of 3 are connected", "0 of 3 are connected", "1 of 3 are connected"):
        folder.tell(state.model_copy(update={"reason": reason}))
    assert [json.loads(line)["reason"][0] for line in folder.lines()] == ["0", "1"]
    assert folder.state().reason == "1 of 3 are connected"


def test_too_few_sites_are_a_state_with_its_reason(hospitals: Hospitals, tmp_path: Path) -> None:
    for name in ("s01", "s02"):
        (hospitals.home(name).study_folder(digest(TWO)) / "approval.json").unlink()
    with hospitals.grid() as grid, pytest.raises(TooFewSites):
        run_watched(coordinator(hospitals), grid, tmp_path / "out")
    state = RunFolder(tmp_path / "out").state()
    assert state.phase == "below threshold"
    assert "3 of 5 sites approve" in state.reason
    assert "not_approved" in state.reason


Damage = Callable[[Path], None]


def _other_sum(folder: Path) -> None:
    np.save(folder / "release-1.npy", np.load(folder / "release-1.npy") + 1)


def _other_study(folder: Path) -> None:
    path = folder / "release-1.json"
    path.write_text(path.read_text().replace(digest(TWO), "ab" * 32))


def _other_survivors(folder: Path) -> None:
    path = folder / "release-1.json"
    kept = json.loads(path.read_text())
    kept["record"]["transcript"]["signatures"] = kept["record"]["transcript"]["signatures"][:2]
    path.write_text(json.dumps(kept))


def _signed_again(damage: Damage) -> Damage:
    """Change it, and have the coordinator itself sign what came of it."""

    def done(folder: Path) -> None:
        damage(folder)
        path = folder / "release-1.json"
        kept = documents.parse(Kept, path.read_bytes(), where=str(path))
        documents.write(kept.signed(key("coordinator")), path)

    return done


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_other_sum, "damaged"),
        (_other_study, "not signed by this coordinator"),
        (_other_survivors, "not signed by this coordinator"),
        (_signed_again(_other_study), "another study or roster"),
        (_signed_again(_other_survivors), "does not hold"),
        (lambda folder: (folder / "release-1.npy").write_bytes(b"x"), "cannot be read"),
        (lambda folder: (folder / "release-1.json").write_bytes(b"{}"), "record"),
    ],
)
def test_a_checkpoint_that_was_changed_is_not_believed(
    damage: Damage, said: str, hospitals: Hospitals, tmp_path: Path
) -> None:
    with hospitals.grid() as grid, pytest.raises(Killed):
        run_watched(coordinator(hospitals, dying_at("opening release-2")), grid, tmp_path / "out")
    damage(tmp_path / "out" / "checkpoint")
    with hospitals.grid() as grid, pytest.raises(EvidenceError, match=said):
        run_watched(coordinator(hospitals), grid, tmp_path / "out")
    assert debits(hospitals) == [1] * 5


def test_the_commands_say_where_a_study_stands(
    hospitals: Hospitals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["study", "status", str(out)]) == EvidenceError.exit_status
    assert "no run was begun here" in capsys.readouterr().err
    with hospitals.grid() as grid:
        run_watched(coordinator(hospitals), grid, out)
    assert main(["study", "status", str(out)]) == 0
    assert "finished (2/2 releases): ev-" in capsys.readouterr().out
    assert main(["study", "status", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["phase"] == "finished"
    assert main(["study", "logs", str(out), "--follow"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("waiting for sites: 5 of 5 are connected" in line for line in lines)
    assert any("running (1/2 releases): opening release-2" in line for line in lines)
    assert main(["study", "cancel", str(out)]) == 0
    assert "over already" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_asked(
    hospitals: Hospitals, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with hospitals.grid() as grid, pytest.raises(FedValueError):
        run_watched(coordinator(hospitals), grid, tmp_path / "file" / "out")
    assert debits(hospitals) == [0] * 5
