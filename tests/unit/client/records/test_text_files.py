"""Text files as they come: quotes, line breaks, encodings, compression, broken lines and their numbers."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.client.records import text_lines
from fedvalue.client.records.connectors import Raw, Wanted
from fedvalue.client.records.load import CONNECTORS
from fedvalue.client.records.mapping import SourceFile
from fedvalue.client.records.text_lines import BLOCK, blocks
from fedvalue.errors import SourceMissing, SourceUnreadable


def read(path: Path, source: SourceFile, *columns: str) -> tuple[Raw, list[tuple[object, ...]]]:
    """Return what the connector of a file makes of it: line and cells."""
    with duckdb.connect(":memory:") as connection:
        raw = CONNECTORS[source.kind].read(
            connection, source, [(path.name, path)], Wanted(frozenset(columns)), "raw"
        )
        chosen = ", ".join(["line", *(raw.columns[name] for name in columns)])
        return raw, connection.execute(f"SELECT {chosen} FROM raw ORDER BY line").fetchall()


def malformed(raw: Raw) -> tuple[int, tuple[int, ...]]:
    found = raw.files[0].left_out
    return (found[0].rows, found[0].lines) if found else (0, ())


def test_a_broken_quote_costs_one_line_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    good = "".join(f"{i},a,b\n" for i in range(1000))
    path.write_text(f'id,x,y\n{good}6,"un,q\n{good}7,"x",y\n8,few\n9,too,many,z\n')
    raw, rows = read(path, SourceFile(path="t.csv"), "id")
    # Header 1, good 2-1001, broken 1002, good 1003-2002, 7 in 2003, few in 2004, many in 2005.
    assert malformed(raw) == (3, (1002, 2004, 2005))
    assert len(rows) == raw.rows == 2001
    assert rows[-1] == (2003, "7")


def test_line_breaks_inside_quotes_are_part_of_a_cell_and_line_numbers_stay_true(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        b'id,x,y\r\n1,"a\r\nb",c\r\n\r\n2,"say ""hi""",\r\n3, "d" ,5" tumour\r\n4,"d",5" tumour\r\n'
    )
    raw, rows = read(path, SourceFile(path="t.csv"), "id", "x", "y")
    assert rows == [(2, "1", "a\nb", "c"), (5, "2", 'say "hi"', None), (7, "4", "d", '5" tumour')]
    assert malformed(raw) == (1, (6,))


def test_blanks_of_all_widths_are_trimmed_and_missing_words_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\ufeffid , x\n\u3000 007 \u00a0,NA\n8,\t\n9, unknown \n", encoding="utf-8")
    _, rows = read(path, SourceFile(path="t.csv"), "id", "x")
    assert rows == [(2, "007", None), (3, "8", None), (4, "9", "unknown")]
    _, rows = read(path, SourceFile(path="t.csv", missing=("unknown",)), "id", "x")
    assert rows == [(2, "007", "NA"), (3, "8", None), (4, "9", None)]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("zipped", [False, True])
def test_encodings_and_gzip_and_a_line_that_is_no_text(tmp_path: Path, encoding: str, zipped: bool) -> None:
    path = tmp_path / "t.csv"
    data = "编号,性别\n甲,女\n".encode(encoding) + b"b\xff\xff,\xff\n" + "丙,男\n".encode(encoding)
    path.write_bytes(gzip.compress(data) if zipped else data)
    source = SourceFile(path="t.csv", encoding=encoding)  # type: ignore[arg-type]  # parametrised literals
    raw, rows = read(path, source, "编号", "性别")
    assert rows == [(2, "甲", "女"), (4, "丙", "男")]
    assert malformed(raw) == (1, (3,))


def test_the_wrong_encoding_is_refused_with_the_key_to_set(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("编号,性别\n甲,女\n".encode("gb18030"))
    with pytest.raises(SourceUnreadable, match="set encoding = 'gb18030'"):
        read(path, SourceFile(path="t.csv"), "编号")
    path.write_bytes("id,sex\n1,2\n".encode("utf-16"))
    with pytest.raises(SourceUnreadable, match="UTF-16"):
        read(path, SourceFile(path="t.csv"), "id")


def test_damaged_gzip_and_what_is_no_parquet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(gzip.compress(b"id\n" + b"1\n" * 10_000)[:-20])
    with pytest.raises(SourceUnreadable, match="damaged or cut short"):
        read(path, SourceFile(path="t.csv"), "id")
    other = tmp_path / "t.parquet"
    other.write_bytes(b"PAR1 no")
    with pytest.raises(SourceUnreadable, match="no parquet file"):
        read(other, SourceFile(path="t.parquet"), "id")
    with pytest.raises(SourceMissing):
        read(tmp_path, SourceFile(path="t.csv"), "id")


def test_parquet_columns_are_text_under_their_own_names(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with duckdb.connect(":memory:") as connection:
        connection.sql(
            "SELECT * FROM (VALUES ('007', 1.0, DATE '2024-01-02'), (NULL, 'inf'::DOUBLE, NULL)) "
            't("the ""id""; DROP TABLE raw", n, d)'
        ).write_parquet(str(path))
    name = 'the "id"; DROP TABLE raw'
    _, rows = read(path, SourceFile(path="t.parquet"), name, "n", "d")
    assert rows == [(1, "007", "1.0", "2024-01-02"), (2, None, "inf", None)]
    with pytest.raises(SourceMissing, match="expects the column 'x'"):
        read(path, SourceFile(path="t.parquet"), "x")


def test_a_delimiter_that_is_special_in_patterns(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text('a|b\n1|"x|y"\n2|\n')
    _, rows = read(path, SourceFile(path="t.txt", delimiter="|"), "a", "b")
    assert rows == [(2, "1", "x|y"), (3, "2", None)]


def test_a_file_of_several_blocks_keeps_its_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    cell = "x" * 1000
    path.write_text("id,x\n" + "".join(f'{i},"{cell}\n{cell}"\n' for i in range(BLOCK // 1500)))
    assert sum(1 for _ in blocks(path, "utf-8", where="t.csv")) > 1
    raw, rows = read(path, SourceFile(path="t.csv"), "id")
    assert malformed(raw) == (0, ())
    # Record i stands on lines 2 + 2i and 3 + 2i.
    assert rows == [(2 + 2 * i, str(i)) for i in range(BLOCK // 1500)]


BLANKS = " \t\r\n\u00a0\u3000\ufeff"
CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=8).filter(
    lambda text: text == text.strip(BLANKS) and text != ""
)
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters='\r\n\x00,"'), max_size=8)
NOTE = CELL | st.lists(PLAIN, min_size=2, max_size=19).map("\n".join).filter(
    lambda text: text == text.strip(BLANKS) and text != ""
)
"""A note of several lines none of which reads as a record or as the start of one."""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELL, NOTE, CELL), min_size=1, max_size=12))
def test_whatever_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("a", "b", "c"), *rows])
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    raw, found = read(path, SourceFile(path="t.csv", missing=()), "a", "b", "c")
    assert [row[1:] for row in found] == rows
    assert malformed(raw) == (0, ())


@pytest.mark.parametrize(
    ("text", "kept", "broken"),
    [
        # Lines 2 to 4 would be one record of three cells, with the second row inside its cell.
        ('Z,"a\n1,b,c\nx",5\n', [(3, "1")], (2, 4)),
        # The next record begins with a quote of its own, and Z's quote would end there.
        ('Z,5,"a\n1,"\nb",c\n', [(3, "1")], (2,)),
        ('Z,"a\n1,",b",c\n', [(3, "1")], (2,)),
        # Line 3 is the end of a cell, and the start of a record as well: nothing tells which.
        ('1,"a\nb","c\nd"\n', [], (2, 3, 4)),
        # The closing line is a record by itself, so a cell of the first column is never joined.
        ('"a\nb",2,3\n', [(3, 'b"')], (2,)),
    ],
)
def test_a_line_that_reads_as_a_record_by_itself_is_never_swallowed(
    tmp_path: Path, text: str, kept: list[tuple[object, ...]], broken: tuple[int, ...]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"id,x,y\n{text}")
    raw, rows = read(path, SourceFile(path="t.csv"), "id")
    assert (rows, malformed(raw)) == (kept, (len(broken), broken))


def test_a_line_longer_than_any_table_has_is_left_out_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_lines, "LONGEST_LINE", 100)
    monkeypatch.setattr(text_lines, "BLOCK", 7)
    path = tmp_path / "t.csv"
    path.write_text(f'id,x\n1,"a"\n2,{"b" * 99}\n3,{"c" * 98}\n')
    raw, rows = read(path, SourceFile(path="t.csv"), "id")
    # "2," and 99 letters are 101 bytes, "3," and 98 are 100.
    assert (rows, malformed(raw)) == ([(2, "1"), (4, "3")], (1, (3,)))
