"""Consent, objection and withdrawal: who is in a cohort, and whose row goes afterwards."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from fedvalue.client.charge import debit_of
from fedvalue.client.governance.approvals import approve, approved
from fedvalue.client.governance.consent import Register, Word, need_of, read_words
from fedvalue.client.governance.withdrawals import counts, register_file, take_words
from fedvalue.client.home import SiteHome
from fedvalue.client.records.snapshot import remove_rows, snapshot_path
from fedvalue.errors import FedValueError, SourceMissing, SourceUnreadable
from fedvalue.study.approval import CLEAR_SUM
from fedvalue.study.file import digest
from fedvalue.study.governance import Governance
from tests.agreement import SMALL, study
from tests.unit.client.governance.conftest import Desk

DAY = date(2026, 2, 1)


def word(patient: str, said: str, scope: str = "research", day: date = DAY) -> Word:
    return Word(patient, said, scope, day)


def patients(home: SiteHome, desk: Desk) -> int:
    return approved(home, digest(desk.study)).cohort(home).patients


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register.open(tmp_path / "consent.sqlite", b"s" * 32)


def test_the_latest_word_counts_and_of_one_day_the_one_noted_last(register: Register) -> None:
    later = date(2026, 2, 2)
    register.add([word("a", "withdraws", day=later), word("a", "consents"), word("b", "objects")])
    register.add([word("c", "objects"), word("c", "consents"), word("d", "consents", "other study")])
    assert register.stays(["a", "b", "c", "d", "e"], "small", "none") == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("need", "expected"),
    [
        #        nobody's word, research, this study, both, study then out of research, other study
        ("none", [True, True, True, True, False, True]),
        ("broad", [False, True, True, True, False, False]),
        ("specific", [False, False, True, True, False, False]),
    ],
)
def test_what_is_on_record_decides_by_what_the_study_needs(
    register: Register, need: str, expected: list[bool]
) -> None:
    register.add(
        [
            word("b", "consents"), word("c", "consents", "small"), word("d", "consents"),
            word("d", "consents", "small"), word("e", "consents", "small"),
            word("e", "withdraws", day=date(2026, 2, 3)), word("f", "consents", "another"),
        ]
    )  # fmt: skip
    assert register.stays(list("abcdef"), "small", need) == expected  # type: ignore[arg-type]  # a Need


def test_the_need_follows_the_ethics_line_of_the_site_where_the_policy_asks_for_records() -> None:
    lines = [
        {"site": "*", "approval": "x", "consent": "broad"},
        {"site": "s01", "approval": "x", "consent": "specific"},
        {"site": "s02", "approval": "x", "consent": "waived"},
    ]  # fmt: skip
    stated = Governance.model_validate({"profile": "eu", "ethics": lines})
    assert [need_of("recorded", stated, site) for site in ("s01", "s02", "s03")] == [
        "specific",
        "none",
        "broad",
    ]
    assert need_of("recorded", Governance(profile="eu"), "s01") == "broad"
    assert need_of(None, stated, "s01") == need_of("objection", stated, "s01") == "none"


def test_nothing_can_be_taken_out_and_no_id_is_in_the_file(register: Register, tmp_path: Path) -> None:
    register.add([word("Patient-4711", "objects")])
    assert register.add([word("Patient-4711", "objects")]) == 0  # the same word twice is one
    assert b"4711" not in (tmp_path / "consent.sqlite").read_bytes()
    with pytest.raises(FedValueError), register._tables.transaction("IMMEDIATE") as rows:
        rows.execute("DELETE FROM word")
    assert register.counts().out == 1


def test_who_objected_is_not_frozen_and_the_local_id_is_the_hospital_s_own(desk: Desk) -> None:
    take_words(
        desk.home, [word("P0", "objects"), word("P1", "withdraws", "small"), word("P2", "objects", "other")]
    )
    approve(desk.home, desk.study, desk.roster, unsafe=())
    assert patients(desk.home, desk) == 28


def test_where_consent_has_to_be_on_record_only_those_are_frozen(desk: Desk) -> None:
    home = desk.under(consent="recorded")
    take_words(
        home, [word("P3", "consents"), word("P4", "consents", "small"), word("P5", "consents", "other")]
    )
    approve(home, desk.study, desk.roster, unsafe=())
    assert patients(home, desk) == 2


def test_a_stricter_policy_takes_rows_out_at_the_next_approval_while_nothing_was_released(desk: Desk) -> None:
    approve(desk.home, desk.study, desk.roster, unsafe=())
    take_words(desk.home, [word("P3", "consents"), word("P4", "consents")])
    assert patients(desk.home, desk) == 30
    home = desk.under(consent="recorded")
    approve(home, desk.study, desk.roster, unsafe=())
    assert patients(home, desk) == 2


def test_before_the_first_release_a_withdrawal_takes_the_row_out_and_the_approval_stays(desk: Desk) -> None:
    home = desk.home
    approve(home, desk.study, desk.roster, unsafe=())
    folder = home.study_folder(digest(desk.study))
    before = (folder / "approval.json").read_bytes()
    found = take_words(home, [word("P0", "withdraws"), word("P9", "withdraws")])
    assert patients(home, desk) == 28
    assert (folder / "approval.json").read_bytes() == before
    assert (found.people, found.out, dict(found.removed)) == (2, 2, {digest(desk.study): 2})
    rows = snapshot_path(folder, digest(desk.study)).read_bytes()
    take_words(home, [word("P0", "withdraws", day=date(2026, 2, 3))])  # is out already
    assert snapshot_path(folder, digest(desk.study)).read_bytes() == rows
    # who comes back is in the next study, not in rows that were frozen without them
    take_words(home, [word("P0", "consents", day=date(2026, 2, 4))])
    assert patients(home, desk) == 28
    assert counts(home).out == 1


def test_after_the_first_release_the_rows_stay_and_the_next_study_leaves_the_person_out(desk: Desk) -> None:
    home = desk.home
    approve(home, desk.study, desk.roster, unsafe=(CLEAR_SUM,))
    found = approved(home, digest(desk.study))
    with home.ledger() as ledger:
        ledger.debit(debit_of(found, found.plan.releases[0], 1), reserve=True)
    take_words(home, [word("P0", "withdraws")])
    assert patients(home, desk) == 30
    assert dict(counts(home).removed) == {}
    other = study(('"Dr. Example"', '"Dr. Other"'), text=SMALL)
    approve(home, other, desk.roster, unsafe=())
    assert approved(home, digest(other)).cohort(home).patients == 29


def test_the_audit_log_does_not_tell_who_spoke_how_many_or_whether_anybody_was_in_a_study(desk: Desk) -> None:
    approve(desk.home, desk.study, desk.roster, unsafe=())
    told = []
    for patients_who_spoke in (["P0", "P1"], ["nobody in the records"]):
        before = desk.home.audit_file.read_text(encoding="utf-8").count("\n")
        take_words(desk.home, [word(patient, "withdraws") for patient in patients_who_spoke])
        lines = desk.home.audit_file.read_text(encoding="utf-8").splitlines()[before:]
        events = [json.loads(line) for line in lines]
        told.append([{k: v for k, v in e.items() if k not in ("before", "signature")} for e in events])
    assert told[0] == told[1]
    assert [event["event"] for event in told[0]] == ["consent recorded", "consent applied"]
    assert register_file(desk.home).stat().st_mode & 0o077 == 0


def test_rows_that_went_before_a_crash_kept_the_officer_from_signing_are_not_answered_about(
    desk: Desk,
) -> None:
    home, folder = desk.home, desk.home.study_folder(digest(desk.study))
    approve(home, desk.study, desk.roster, unsafe=())
    remove_rows(folder, desk.study, lambda ids: [position > 1 for position, _ in enumerate(ids)])
    with pytest.raises(SourceUnreadable, match="not the one that was approved"):
        patients(home, desk)
    approve(home, desk.study, desk.roster, unsafe=())
    assert patients(home, desk) == 28


@pytest.mark.parametrize(
    ("text", "kind", "where"),
    [
        ("id,day,said\nP0,2026-01-01,objects\n", SourceMissing, ":1"),
        ("patient_id,day,said\nP0,2026-01-01,maybe\n", SourceUnreadable, ":2"),
        ("patient_id,day,said\n\nP0,2026-02-30,objects\n", SourceUnreadable, ":3"),
        ("patient_id,day,said\nP0,2026-03-02,objects\n", SourceUnreadable, ":2"),
        ("patient_id,day,said\nP0,2026-01-01,objects,research,x\n", SourceUnreadable, ":2"),
        ("patient_id,day,said\n,2026-01-01,objects\n", SourceUnreadable, ":2"),
        ("patient_id,day,said\n" + "x" * 300 + ",2026-01-01,objects\n", SourceUnreadable, ":2"),
        ('patient_id,day,said\n"P0,2026-01-01,objects\n', SourceUnreadable, ""),
        ("", SourceMissing, ":1"),
    ],
)
def test_a_file_with_a_bad_row_is_refused_whole_by_its_row_and_without_its_content(
    text: str, kind: type[FedValueError], where: str, tmp_path: Path
) -> None:
    path = tmp_path / "words.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(kind) as refused:
        read_words(path, date(2026, 3, 1))
    assert refused.value.where.endswith(where)
    assert "P0" not in str(refused.value)


def test_a_file_as_a_spreadsheet_writes_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_bytes(
        "\ufeffpatient_id,day,said,scope\r\n张三,2026-01-01,objects,\r\nP1,2026-01-02,consents,small\r\n".encode()
    )
    assert read_words(path, date(2026, 3, 1)) == (
        word("张三", "objects", day=date(2026, 1, 1)), word("P1", "consents", "small", date(2026, 1, 2)),
    )  # fmt: skip
    for broken in (b"\xff\xfe", b"patient_id,day,said\nP\x000,2026-01-01,objects\n"):
        path.write_bytes(broken)
        with pytest.raises(FedValueError):
            read_words(path, date(2026, 3, 1))
    with pytest.raises(SourceMissing):
        read_words(tmp_path / "none.csv", date(2026, 3, 1))
