"""Hostile input to every reader: refused by an error of ours, or every record kept or counted.

Some dozens here; ``make prove KEY=readers`` gives each reader ten thousand, and large ones besides.
"""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import duckdb
import pytest

from fedvalue.client.records import text_lines
from fedvalue.client.records.connectors import Wanted
from fedvalue.client.records.load import CONNECTORS, load
from fedvalue.client.records.mapping import SourceFile, parse_mapping
from fedvalue.client.records.report import FileReport, LeftOut
from fedvalue.client.records.store import MODEST, scratch
from fedvalue.errors import SourceMissing, SourceUnreadable
from proofs import reader_runs, reader_tables
from proofs.reader_inputs import Made
from proofs.reader_laws import Broken, counted, require_whole, unpacked, whole_load
from tests.records_desk import Desk, reasons

SEED = 20261122
READERS = [*reader_runs.SETTINGS, *reader_runs.READERS]
TABLE = '[patient]\nfile = "people"\npatient_id = "id"\n'
CODED = TABLE + '[[condition]]\nfile = "codes"\npatient_id = "id"\nday = {{ date = "day" }}\ncode = {}\n'


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "hospital"
    folder.mkdir()
    return Desk(folder, tmp_path / "home" / "records.duckdb")


def conditions(desk: Desk, text: bytes) -> list[tuple[object, ...]]:
    """Load a file of codes and return what is in the store."""
    (desk.folder / "people.csv").write_text("id\na\nb\n")
    (desk.folder / "codes.csv").write_bytes(text)
    desk.load(CODED.format('"code"'))
    return desk.rows("FROM condition ORDER BY ALL")


@pytest.mark.parametrize("key", READERS)
def test_a_reader_takes_hostile_files_or_refuses_them_by_name(key: str) -> None:
    tally = reader_runs.run(
        key, "stage", range({"words": 200, "omop_duckdb": 4, "parquet": 60}.get(key, 10)), SEED
    )
    assert tally.broken == []


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("maf", 9147),  # thirty columns more than the header: DuckDB's own reader died of its error message
        ("bcf", 6670),  # a vertical tab in a sample's name was taken for the end of a line
        ("parquet", 55),  # the name of a column is no text
        ("parquet", 127),  # the second of two files at one place was read as DuckDB had kept the first
    ],
)
def test_what_broke_a_reader_once_does_not_again(key: str, number: int) -> None:
    assert reader_runs.run(key, "stage", range(number, number + 2), SEED).broken == []


def test_an_error_of_the_store_is_not_said_of_the_database_that_is_read(tmp_path: Path) -> None:
    place = tmp_path / "cdm.duckdb"
    with duckdb.connect(str(place)) as engine:
        engine.execute("CREATE TABLE death AS SELECT '1' AS person_id")
    source = SourceFile(path="cdm.duckdb", format="omop", table="death")
    wanted = Wanted(frozenset({"person_id"}))
    with duckdb.connect() as store:
        store.execute("CREATE TEMP VIEW t_cdm AS SELECT 1")  # in the way of the table to be
        with pytest.raises(duckdb.CatalogException):
            CONNECTORS["omop"].read(store, source, [("cdm.duckdb", place)], wanted, "t")


@pytest.mark.parametrize("key", ["claims", "delimited", "vcf", "fhir"])
def test_a_hostile_folder_is_loaded_with_every_row_kept_or_counted(key: str) -> None:
    tally = reader_runs.run(key, "load", range(3), SEED)
    assert tally.broken == []


def test_the_law_sees_a_row_that_is_gone_and_one_that_is_made_up(tmp_path: Path) -> None:
    made = Made({"a.csv": b"id\na\nb\n"}, {"a.csv": 2})
    spoiled = Made(made.files, {})
    for one in (made, spoiled):
        for rows in (1, 3):
            with pytest.raises(Broken, match=f"{rows} kept"):
                require_whole(FileReport(file="a.csv", rows=rows), "csv", one)
    with pytest.raises(Broken, match="without line"):
        require_whole(
            FileReport(file="a.csv", rows=1, left_out=(LeftOut(reason="x", rows=1, file="a.csv"),)),
            "csv",
            made,
        )
    claims = reader_tables.claims(random.Random(SEED))
    wrong = Made(claims.files, claims.rows, expected=claims.expected, total=(claims.total or 0) + 1)
    with pytest.raises(Broken, match="cents in the store"):
        whole_load(tmp_path, reader_tables.CLAIMS, wrong, again=False)


def test_records_are_counted_without_the_readers() -> None:
    assert counted("csv", b"\n\nid,x\na,1\n \nb,2", "utf-8") == (2, 2)
    assert counted("csv", b'id,x\na,"1\n2"\n', "utf-8") == (0, 2)
    assert counted("maf", b"#v\nid\tx\na\t1\n#b\t2\n", "utf-8") == (2, 2)
    assert counted("vcf", b"##x\n#CHROM\r\n1\n\n \r\n", "utf-8") == (2, 2)
    assert counted("fhir", b"{}\n\xff\n\n", "utf-8") == (2, 2)
    assert unpacked(gzip.compress(b"a") + gzip.compress(b"b") + b"\0\0") == b"ab"
    assert unpacked(gzip.compress(b"abc")[:-3]) is None


@pytest.mark.parametrize("word", ["infinity", "-infinity", "Infinity", "epoch"])
def test_a_word_that_duckdb_reads_as_a_day_is_none(desk: Desk, word: str) -> None:
    desk.write(people="id\na\n", codes=f"id,day,code\na,{word},x\na,1900-01-01,y\n")
    report = desk.load(CODED.format('"code"'))
    assert reasons(report, "condition[0]") == {"unparseable date": (1, (2,))}
    assert desk.rows("SELECT code FROM condition") == [("y",)]


def test_a_blank_at_the_end_of_a_file_is_trimmed_like_any_other(desk: Desk) -> None:
    assert conditions(desk, b"id,day,code\na,2026-01-01,x\nb,2026-01-01,y ") == [
        ("a", 20454.0, "x"),
        ("b", 20454.0, "y"),
    ]


def test_half_a_surrogate_pair_and_lists_in_lists_cost_their_own_value(tmp_path: Path) -> None:
    deep = "[" * 900 + '"x"' + "]" * 900
    codes = ['"C34"', r'"\ud800"', r'"\ud83d\ude00"', deep]
    lines = [f'{{"id":"a","code":{code}}}' for code in codes]
    (tmp_path / "c.ndjson").write_text("\n".join(lines))
    source = SourceFile(path="c.ndjson")
    with scratch(read_from=tmp_path, limits=MODEST) as connection:
        raw = CONNECTORS["fhir"].read(
            connection, source, [("c.ndjson", tmp_path / "c.ndjson")], Wanted(frozenset({"code"})), "t"
        )
        rows = connection.execute(f"SELECT {raw.columns['code']} FROM t ORDER BY line").fetchall()
    found = [text for (text,) in rows]
    assert found[:3] == ["C34", "\ufffd" * 3, "\U0001f600"]
    left = sum(item.rows for item in raw.files[0].left_out)
    assert raw.rows + left == 4


def test_a_link_out_of_the_folder_is_no_file_of_it(desk: Desk) -> None:
    (desk.folder / "people.csv").write_text("id\na\n")
    outside = desk.folder.parent / "elsewhere.csv"
    outside.write_text("id,day,code\na,2026-01-01,x\n")
    place = desk.folder / "codes.csv"
    place.symlink_to(outside)
    with pytest.raises(SourceMissing, match="leads out"):
        desk.load(CODED.format('"code"'))
    place.unlink()
    outside.rename(desk.folder / "inside.csv")
    place.symlink_to(desk.folder / "inside.csv")
    desk.load(CODED.format('"code"'))
    assert desk.rows("SELECT code FROM condition") == [("x",)]


def test_gzip_that_unpacks_to_no_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_lines, "BOMB", 1 << 20)
    monkeypatch.setattr(text_lines, "BLOCK", 1 << 20)
    mapping = parse_mapping(b'mapping = 1\n[files.people]\npath = "people.csv"\n' + TABLE.encode(), where="m")
    (tmp_path / "people.csv").write_bytes(gzip.compress(b"id\n" + bytes(8 << 20)))
    with pytest.raises(SourceUnreadable, match="unpacks to more"):
        load(tmp_path, mapping, tmp_path / "home" / "r.duckdb")


def test_a_wide_table_in_quotes_is_planned_in_parts(tmp_path: Path) -> None:
    """One expression for each of 150 columns took seconds for every block of a file."""
    names = [f"x{at}" for at in range(150)]
    (tmp_path / "w.csv").write_text(",".join(names) + "\n" + ",".join(f'" {name}"' for name in names) + "\n")
    with scratch(read_from=tmp_path, limits=MODEST) as connection:
        raw = CONNECTORS["csv"].read(
            connection,
            SourceFile(path="w.csv"),
            [("w.csv", tmp_path / "w.csv")],
            Wanted(frozenset(names)),
            "t",
        )
        (row,) = connection.execute(
            f"SELECT {', '.join(raw.columns[name] for name in names)} FROM t"
        ).fetchall()
    assert list(row) == names
