"""A cohort above the public cap: refused at this hospital, before a round could tell anybody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedvalue.client.cli import app
from fedvalue.client.governance.approvals import FROZEN, approve, approved
from fedvalue.client.governance.check_words import check_text
from fedvalue.client.governance.checking import look_at, rehearse, with_rehearsal
from fedvalue.client.home import SiteHome
from fedvalue.client.records import snapshot
from fedvalue.client.records.snapshot import snapshot_path
from fedvalue.errors import StudyInvalid
from fedvalue.evidence import statements
from fedvalue.study.file import digest, load
from fedvalue.study.roster import card
from fedvalue.study.schema import Study
from fedvalue.study.signature import sign
from tests.agreement import SMALL, key, study
from tests.federation import NOON, make_home
from tests.unit.client.governance.conftest import Desk

CAP = "patient_cap = 10000"


def capped(patients: int) -> tuple[Study, str]:
    line = f"patient_cap = {patients}"
    return study((CAP, line), text=SMALL), SMALL.replace(CAP, line)


def test_an_approval_takes_as_many_patients_as_the_cap_and_not_one_more(desk: Desk) -> None:
    enough, _ = capped(30)
    approve(desk.home, enough, desk.roster, unsafe=())
    assert approved(desk.home, digest(enough)).cohort(desk.home).patients == 30
    few, _ = capped(29)
    with pytest.raises(StudyInvalid, match="public cap") as refused:
        approve(desk.home, few, desk.roster, unsafe=())
    assert (refused.value.where, "30" in str(refused.value)) == ("privacy.patient_cap", False)
    folder = desk.home.study_folder(digest(few))
    assert not snapshot_path(folder, digest(few)).exists()
    assert not any((folder / name).exists() for name in (FROZEN, "approval.json"))
    with desk.home.ledger() as ledger:  # nothing was set aside for it
        assert [held.study_hash for held in ledger.reservations()] == [digest(enough)]


def test_rows_of_an_approval_decide_however_many_patients_come_later(desk: Desk, tmp_path: Path) -> None:
    exactly, _ = capped(30)
    approve(desk.home, exactly, desk.roster, unsafe=())
    grown = make_home(tmp_path, "s02", patients=45).records_file
    desk.home.records_file.write_bytes(grown.read_bytes())
    assert approved(desk.home, digest(exactly)).cohort(desk.home).patients == 30
    approve(desk.home, exactly, desk.roster, unsafe=())  # again: the rows stay those of the first approval
    assert approved(desk.home, digest(exactly)).cohort(desk.home).patients == 30


def test_rows_that_an_earlier_version_froze_above_the_cap_are_not_approved_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, _ = capped(29)
    with monkeypatch.context() as earlier:
        earlier.setattr(snapshot, "require_within_cap", lambda *_: None)
        approve(desk.home, few, desk.roster, unsafe=())
    assert approved(desk.home, digest(few)).cohort(desk.home).patients == 30  # a round says nothing of it
    with pytest.raises(StudyInvalid, match="public cap"):
        approve(desk.home, few, desk.roster, unsafe=())


@pytest.mark.parametrize(("language", "word"), [("en", "public cap"), ("zh", "患者上限")])
def test_a_check_names_the_line_of_the_cap(desk: Desk, language: str, word: str) -> None:
    few, text = capped(29)
    checked = look_at(desk.home, few, desk.roster, text)
    assert checked.against == ()  # nothing but the records knows
    rehearsal = rehearse(desk.home, few, checked.plan)
    found = with_rehearsal(checked, rehearsal, text)
    (stands,) = found.against
    assert text.splitlines()[(stands.study_line or 0) - 1] == "patient_cap = 29"
    assert word in check_text(found, rehearsal, language)  # type: ignore[arg-type]  # en, zh
    enough, more = capped(30)
    assert with_rehearsal(look_at(desk.home, enough, desk.roster, more), rehearsal, more).against == ()


def test_a_check_at_the_shell_fails_and_says_why(desk: Desk, tmp_path: Path) -> None:
    path, roster = tmp_path / "study.toml", tmp_path / "roster.toml"
    path.write_text(capped(29)[1].replace("until = 2026-12-31", "until = 2099-12-31"), encoding="utf-8")
    signature = sign(statements.study_statement(digest(load(path))), key("author"), "study")
    path.with_name("study.toml.sig").write_text(signature.model_dump_json(), encoding="utf-8")
    roster.write_text("".join(card(site) for site in desk.roster.site), encoding="utf-8")
    home: SiteHome = desk.home
    arguments = ["check", str(home.folder), str(path), "--roster", str(roster), "--json"]
    found = CliRunner().invoke(app, arguments)
    assert isinstance(found.exception, StudyInvalid)
    (refused,) = json.loads(found.output)["refused"]
    assert (refused["code"], refused["study_key"]) == ("study_invalid", "privacy.patient_cap")
    assert home.clock() == NOON
