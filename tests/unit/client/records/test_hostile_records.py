"""Rows that somebody made to break things: they are inert text, or they are counted and left out."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import duckdb
import pytest

from fedvalue.client.records.load import load
from fedvalue.client.records.store import MODEST, Limits, quoted, reading, writing
from fedvalue.errors import OutputError, SourceMissing, SourceUnreadable
from tests.records_desk import Desk, reasons

PEOPLE = '[patient]\nfile = "people"\npatient_id = "id"\n'
INJECTION = "'); DROP TABLE patient; --"


def test_codes_that_look_like_sql_or_formulas_are_text(desk: Desk) -> None:
    desk.write(
        people=f'id,sex\n"{INJECTION}",x\n=cmd|calc,"{INJECTION}"\n@SUM(A1),$p0\n',
        drugs=f'id,day,code\n"{INJECTION}",1,"{INJECTION}"\n=cmd|calc,1,"a""b\'c"\n',
    )
    desk.load(
        PEOPLE
        + f"""
        [patient.attributes]
        sex = {{ column = "sex", codes = {{ "{INJECTION}" = "it's", "$p0" = "$p0", x = "$missing" }} }}
        file = {{ constant = "{INJECTION}" }}
        select = "id"
        reason = "id"
        [[drug]]
        file = "drugs"
        patient_id = "id"
        day = {{ day = "day" }}
        code = "code"
        """
    )
    assert desk.rows('SELECT patient_id, sex, file, "select" FROM patient ORDER BY sex') == [
        (INJECTION, "$missing", INJECTION, INJECTION),
        ("@SUM(A1)", "$p0", INJECTION, "@SUM(A1)"),
        ("=cmd|calc", "it's", INJECTION, "=cmd|calc"),
    ]
    assert desk.rows("SELECT code FROM drug ORDER BY ALL") == [(INJECTION,), ("a\"b'c",)]


def test_a_study_with_codes_that_look_like_sql_finds_exactly_those(desk: Desk) -> None:
    desk.write(people="id,s\na,x\nb,y\n", drugs="id,day,code\na,1,');--\nb,2,L01%\n")
    desk.load(
        PEOPLE
        + """
        attributes = { s = "s" }
        [[drug]]
        file = "drugs"
        patient_id = "id"
        day = { day = "day" }
        code = "code"
        [[event]]
        file = "drugs"
        patient_id = "id"
        day = { day = "day" }
        kind = { constant = "death" }
        [[follow_up]]
        file = "drugs"
        patient_id = "id"
        day = { day = "day" }
        """
    )
    for codes, expected in (
        ('"\');--"', ["a"]),
        ('"\')*"', ["a"]),
        ('"L01*"', ["b"]),
        ('"%"', []),
        ('"_*"', []),
    ):
        frozen = desk.build(f'[cohort]\nindex = {{ first = "drug", codes = [{codes}] }}\n')
        assert frozen.patient_ids.tolist() == expected


def test_numbers_that_are_none(desk: Desk) -> None:
    odd = ["nan", "inf", "-inf", "1e999", "1e300", "0x10", "1_000", "1,5", "١٢", "--1", "1e", "", "."]
    desk.write(people="id,age\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(odd)) + "z,+1.5e1\n")
    report = desk.load(PEOPLE + 'attributes = { age = { column = "age", type = "number" } }\n')
    assert desk.rows("SELECT patient_id, age FROM patient WHERE age IS NOT NULL") == [("z", 15.0)]
    blanked = {item.reason: item.rows for item in report.tables[0].blanked}
    # Too large: 1e999, 1e300. Missing: the word nan and the empty cell. The other nine are no numbers.
    assert blanked == {"not a finite number": 9, "number out of range": 2}


def test_very_long_cells_and_nul_bytes_pass(desk: Desk) -> None:
    long = "x" * 3_000_000
    desk.write(people=f"id,s\n{long},a\x00b\n")
    desk.load(PEOPLE + 'attributes = { s = "s" }\n')
    assert desk.rows("SELECT length(patient_id), s FROM patient") == [(3_000_000, "a\x00b")]


def test_ten_thousand_repeats_of_a_row_are_one_row(desk: Desk) -> None:
    desk.write(people="id\na\n", seen="id,day\n" + "a,5\n" * 10_000)
    report = desk.load(PEOPLE + '[[follow_up]]\nfile = "seen"\npatient_id = "id"\nday = { day = "day" }\n')
    assert desk.rows("FROM follow_up") == [("a", 5.0)]
    assert reasons(report, "follow_up[0]") == {"duplicate row": (9_999, (3, 4, 5, 6, 7))}


def test_the_store_is_its_owners_alone_from_the_first_byte(desk: Desk) -> None:
    desk.write(people="id\na\n")
    modes: list[int] = []

    def watch(what: str, done: int, steps: int) -> None:
        for path in desk.database.parent.rglob("*"):
            mode = stat.S_IMODE(path.stat().st_mode)
            modes.append(mode if path.parent == desk.database.parent or path.suffix == ".duckdb" else 0o600)

    before = os.umask(0)
    try:
        load(desk.folder, desk.mapping(PEOPLE), desk.database, progress=watch)
    finally:
        os.umask(before)
    # While it grows: a folder that only its owner can enter, and in it the store.
    assert set(modes) == {0o700, 0o600}
    assert stat.S_IMODE(desk.database.stat().st_mode) == 0o600
    assert [path.name for path in desk.database.parent.iterdir()] == [desk.database.name]


@pytest.mark.parametrize("stop", ["people.csv", "patient", "done"])
def test_ctrl_c_leaves_the_former_store_and_nothing_else(desk: Desk, stop: str) -> None:
    desk.write(people="id\na\n")
    desk.load(PEOPLE)
    desk.write(people="id\na\nb\n")

    def interrupt(what: str, done: int, steps: int) -> None:
        if what == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(desk.folder, desk.mapping(PEOPLE), desk.database, progress=interrupt)
    # After the last step the new store is whole and in place; before it the old one stands.
    assert len(desk.rows("FROM patient")) == (2 if stop == "done" else 1)
    assert [path.name for path in desk.database.parent.iterdir()] == [desk.database.name]


def test_a_place_that_cannot_be_written_is_an_output_error(desk: Desk) -> None:
    desk.write(people="id\na\n")
    blocker = desk.folder.parent / "blocker"
    blocker.write_text("a file where a folder should be")
    with pytest.raises(OutputError, match="cannot be written"):
        load(desk.folder, desk.mapping(PEOPLE), blocker / "home" / "records.duckdb")


def test_duckdb_reaches_neither_network_nor_other_files_nor_extensions(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own.csv").write_text("a\n1\n")
    sentences = (
        "INSTALL postgres", "LOAD postgres", "LOAD httpfs", "SELECT * FROM 'http://127.0.0.1:9/x.csv'",
        f"SELECT * FROM read_csv('{other}')", f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/new.duckdb'", "SET enable_external_access = true", "SET threads = 99",
    )  # fmt: skip
    with writing(tmp_path / "s.duckdb", read_from=tmp_path / "own", limits=Limits(1, "256MiB")) as connection:
        own = str(tmp_path / "own" / "own.csv")
        assert connection.execute("SELECT * FROM read_csv(?)", [own]).fetchall() == [(1,)]
        for sentence in sentences:
            with pytest.raises(duckdb.Error, match=r"disabled|Cannot|locked"):
                connection.execute(sentence)
        settings = "autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions"
        for name in settings:
            assert connection.execute("SELECT current_setting(?)", [name]).fetchone() == (False,)


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    with pytest.raises(SourceMissing, match="site load"), reading(path, limits=MODEST):
        pass
    path.write_text("not a database")
    with pytest.raises(SourceUnreadable, match="no store"), reading(path, limits=MODEST):
        pass


def test_errors_of_duckdb_do_not_escape(tmp_path: Path) -> None:
    with (
        pytest.raises(SourceUnreadable, match="ConversionException"),
        writing(tmp_path / "s.duckdb", limits=MODEST) as connection,
    ):
        connection.execute("SELECT CAST('secret-7' AS INTEGER)")
    assert list(tmp_path.iterdir()) == []


def test_identifiers_are_quoted() -> None:
    assert quoted('a"b') == '"a""b"'
