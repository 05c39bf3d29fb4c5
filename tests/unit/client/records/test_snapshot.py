"""The frozen cohort: written once, unchanged by later loads, and checked before it is read."""

from __future__ import annotations

import dataclasses
import stat
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pytest

from fedvalue.analyses.cohort import Cohort
from fedvalue.client.records.snapshot import (
    build,
    cohort_counts,
    find_snapshot,
    freeze,
    read_snapshot,
    snapshot_path,
)  # fmt: skip
from fedvalue.errors import OutputError, SourceMissing, SourceUnreadable
from fedvalue.study.file import digest
from tests.records_desk import Desk

ROOM = """
[patient]
file = "people"
patient_id = "id"
origin = { date = "start" }
attributes = { sex = "sex", age = { column = "age", type = "number" }, ok = "ok" }
[[survival]]
file = "people"
patient_id = "id"
time = { duration = "time" }
event = { column = "dead", codes = { "0" = "censored", "1" = "death" } }
"""
ROWS = """
    id,start,sex,age,ok,time,dead
    b,2024-01-01,f,50.5,1,100,1
    a,2024-01-02,m,,0,200,0
    c,2024-01-03,x,90,,,
"""
STUDY = """
[variables]
sex = { person = "sex", levels = ["m", "f"] }
age = { person = "age", clip = [18, 80], unit = "years" }
[endpoints]
ok = { kind = "binary", source = "person", column = "ok" }
os = { kind = "time_to_event", events = ["death"], until = "24 months", grid = "1 month" }
[[analyses]]
kind = "proportion"
endpoint = "ok"
budget = 1.0
"""


def arrays(cohort: Cohort) -> list[object]:
    return [
        cohort.patients, *cohort.categories.values(), *cohort.numbers.values(),
        *(outcome.status for outcome in cohort.binary.values()),
        *(array for out in cohort.survival.values() for array in (out.entry, out.exit, out.event)),
    ]  # fmt: skip


def assert_same(a: Cohort, b: Cohort) -> None:
    assert [list(getattr(a, field.name)) for field in dataclasses.fields(a)[1:]] == [
        list(getattr(b, field.name)) for field in dataclasses.fields(b)[1:]
    ]
    for left, right in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_array_equal(left, right)


def test_what_is_frozen_is_what_was_built_and_what_is_read(desk: Desk, tmp_path: Path) -> None:
    desk.write(people=ROWS)
    desk.load(ROOM)
    study = desk.study(STUDY)
    frozen = build(desk.database, study)
    snapshot = freeze(desk.database, study, tmp_path / "studies")
    assert_same(read_snapshot(tmp_path / "studies", study, content=snapshot.content), frozen.cohort)
    assert frozen.patient_ids.tolist() == ["a", "b", "c"]
    assert frozen.cohort.categories["sex"].tolist() == [0, 1, -1]
    np.testing.assert_array_equal(frozen.cohort.numbers["age"], [np.nan, 50.5, 80.0])
    assert frozen.cohort.binary["ok"].status.tolist() == [0, 1, -1]
    assert frozen.cohort.survival["os"].exit.tolist() == [200.0, 100.0, 0.0]
    assert frozen.cohort.survival["os"].event.tolist() == [0, 1, -1]
    assert snapshot.study == digest(study)
    assert snapshot.path == snapshot_path(tmp_path / "studies", snapshot.study)
    assert stat.S_IMODE(snapshot.path.stat().st_mode) == 0o600
    assert find_snapshot(tmp_path / "studies", study) == snapshot
    # The last record is a's follow-up, 200 days after 2024-01-02: 2024-07-20 (29 days to the end of January,
    # then 29, 31, 30, 31, 30 to the end of June make 180, and 20 more).
    assert snapshot.data_cut_date == date(2024, 7, 20)
    assert [step.patients for step in cohort_counts(desk.database, study)] == [3, 3]


def test_a_later_load_does_not_change_what_was_frozen(desk: Desk, tmp_path: Path) -> None:
    desk.write(people=ROWS)
    desk.load(ROOM)
    study = desk.study(STUDY)
    snapshot = freeze(desk.database, study, tmp_path)
    before = read_snapshot(tmp_path, study)
    desk.write(people=ROWS + "    d,2024-01-01,f,50,1,100,1\n")
    desk.load(ROOM)
    assert_same(read_snapshot(tmp_path, study, content=snapshot.content), before)
    with pytest.raises(OutputError, match="frozen already"):
        freeze(desk.database, study, tmp_path)
    snapshot.path.unlink()
    assert freeze(desk.database, study, tmp_path).content != snapshot.content


def test_the_digest_depends_on_the_rows_and_not_on_their_order_in_the_files(
    desk: Desk, tmp_path: Path
) -> None:
    study = desk.study(STUDY)
    lines = ROWS.strip("\n").splitlines()
    contents = []
    for number, rows in enumerate(
        (lines, [lines[0], *reversed(lines[1:])], [line.replace("50.5", "50.4") for line in lines])
    ):
        desk.write(people="\n".join(rows))
        desk.load(ROOM)
        contents.append(freeze(desk.database, study, tmp_path / str(number)).content)
    assert contents[0] == contents[1] != contents[2]


def test_a_changed_row_is_noticed(desk: Desk, tmp_path: Path) -> None:
    desk.write(people=ROWS)
    desk.load(ROOM)
    study = desk.study(STUDY)
    snapshot = freeze(desk.database, study, tmp_path)
    with duckdb.connect(str(snapshot.path)) as connection:
        connection.execute('UPDATE cohort SET "event os" = 0 WHERE patient_id = $who', {"who": "b"})
    with pytest.raises(SourceUnreadable, match="not the one that was approved"):
        read_snapshot(tmp_path, study)


def test_a_forged_digest_is_noticed_by_the_one_that_was_approved(desk: Desk, tmp_path: Path) -> None:
    desk.write(people=ROWS)
    desk.load(ROOM)
    study = desk.study(STUDY)
    approved = freeze(desk.database, study, tmp_path).content
    snapshot_path(tmp_path, digest(study)).unlink()
    desk.write(people=ROWS.replace("100,1", "101,1"))
    desk.load(ROOM)
    freeze(desk.database, study, tmp_path)
    read_snapshot(tmp_path, study)
    with pytest.raises(SourceUnreadable, match="not the one that was approved"):
        read_snapshot(tmp_path, study, content=approved)


def test_another_studys_file_or_none_is_refused(desk: Desk, tmp_path: Path) -> None:
    desk.write(people=ROWS)
    desk.load(ROOM)
    study, other = desk.study(STUDY), desk.study(STUDY.replace("18, 80", "18, 81"))
    snapshot = freeze(desk.database, study, tmp_path)
    with pytest.raises(SourceMissing, match="not frozen here"):
        read_snapshot(tmp_path, other)
    snapshot.path.rename(snapshot_path(tmp_path, digest(other)))
    with pytest.raises(SourceUnreadable, match="another study"):
        read_snapshot(tmp_path, other)
    desk.database.rename(snapshot.path)
    with pytest.raises(SourceUnreadable, match="no frozen cohort"):
        find_snapshot(tmp_path, study)


def test_a_cohort_of_nobody_is_a_cohort(desk: Desk, tmp_path: Path) -> None:
    drug = '[[drug]]\nfile = "people"\npatient_id = "id"\nday = { date = "start" }\ncode = "sex"\n'
    desk.write(people=ROWS)
    desk.load(ROOM + drug)
    study = desk.study('[cohort]\nindex = { first = "drug", codes = ["L01*"] }\n' + STUDY)
    frozen = build(desk.database, study)
    freeze(desk.database, study, tmp_path)
    assert_same(read_snapshot(tmp_path, study), frozen.cohort)
    assert frozen.cohort.patients == 0
    assert [array.dtype for array in arrays(frozen.cohort)[1:]] == [  # type: ignore[attr-defined]  # numpy arrays
        np.int64, np.float64, np.int64, np.float64, np.float64, np.int64,
    ]  # fmt: skip


DIAGNOSES = """
[[condition]]
file = "diagnoses"
patient_id = "id"
day = { date = "day" }
code = "code"
"""
SELECTED = (
    STUDY
    + """
[cohort]
index = { first = "condition", codes = ["C34"] }
exclude = [{ condition = ["C50"], within = "-365d..0d" }]
"""
)


def diagnosed(desk: Desk) -> None:
    """Load three people: a stays, b has had another cancer, c has no diagnosis."""
    desk.write(people=ROWS, diagnoses="id,day,code\na,2024-01-02,C34\nb,2023-06-01,C50\nb,2024-01-01,C34\n")
    desk.load(ROOM + DIAGNOSES)


def test_the_step_that_left_a_patient_out_is_frozen_too(desk: Desk, tmp_path: Path) -> None:
    diagnosed(desk)
    study = desk.study(SELECTED)
    frozen = build(desk.database, study)
    # step 0 is the index, step 1 what is excluded
    assert dict(zip(frozen.lost_ids, frozen.cohort.lost.tolist(), strict=True)) == {"b": 1, "c": 0}
    freeze(desk.database, study, tmp_path)
    assert read_snapshot(tmp_path, study).lost.tolist() == [1, 0]
    counted = freeze(desk.database, study, tmp_path / "some", counted=lambda ids: [i != "c" for i in ids])
    assert read_snapshot(tmp_path / "some", study, content=counted.content).lost.tolist() == [1]


def test_a_changed_step_is_noticed_and_an_older_file_has_none(desk: Desk, tmp_path: Path) -> None:
    diagnosed(desk)
    study = desk.study(SELECTED)
    snapshot = freeze(desk.database, study, tmp_path)
    with duckdb.connect(str(snapshot.path)) as connection:
        connection.execute("UPDATE lost SET step = 0")
    with pytest.raises(SourceUnreadable, match="not the one that was approved"):
        read_snapshot(tmp_path, study)
    everybody = desk.study(STUDY)
    older = freeze(desk.database, everybody, tmp_path)
    with duckdb.connect(str(older.path)) as connection:
        connection.execute("DROP TABLE lost")
    assert len(read_snapshot(tmp_path, everybody, content=older.content).lost) == 0
