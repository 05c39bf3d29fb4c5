"""One pooled table becomes a folder per hospital, and every row lands in exactly one."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import Mapping, parse_mapping
from fedvalue.client.records.split import LONGEST_NAME, NO_SITE, site_names, split_table
from fedvalue.errors import MappingInvalid, OutputError, SourceMissing, SourceUnreadable, TableEmpty
from fedvalue.study.roster import SITE_ID

FLAT = """
mapping = 1
[files.table]
path = "{path}"
{options}
[patient]
file = "table"
patient_id = "id"
attributes = {{ note = "note" }}
"""


def mapping(path: str = "table.csv", options: str = "") -> Mapping:
    return parse_mapping(FLAT.format(path=path, options=options).encode(), where="map.toml")


def test_the_site_column_is_text_and_rows_keep_their_cells(tmp_path: Path) -> None:
    table = tmp_path / "pooled.csv"
    table.write_text(
        'id,hospital,note\n001,05,"a,b"\n002,5,"say ""hi"""\n003,MP,"two\nlines"\n'
        "004,,x\n005,NA,\n006,05, NA \nbad\n"
    )
    split = split_table(table, "hospital", tmp_path / "sites", mapping())
    assert [(site.name, site.value, site.rows) for site in split.sites] == [
        ("05", "05", 2), ("5", "5", 1), ("MP", "MP", 1), ("no-site", "", 2),
    ]  # fmt: skip
    assert (split.file.rows, split.file.left_out[0].rows, split.file.left_out[0].lines) == (6, 1, (9,))
    stores = {site.name: tmp_path / f"{site.name}.duckdb" for site in split.sites}
    notes = dict[str, str | None]()
    for site in split.sites:
        assert site.folder == tmp_path / "sites" / site.name
        load(site.folder, mapping(), stores[site.name])
        with duckdb.connect(str(stores[site.name]), read_only=True) as connection:
            notes |= dict(connection.execute("SELECT patient_id, note FROM patient").fetchall())
    assert notes == {
        "001": "a,b",
        "002": 'say "hi"',
        "003": "two lines",
        "004": "x",
        "005": None,
        "006": None,
    }


def test_a_number_that_a_spreadsheet_made_of_a_site_is_its_whole_number(tmp_path: Path) -> None:
    table = tmp_path / "pooled.csv"
    table.write_text("id,hospital,note\na,3.0,\nb,12.0,\n")
    split = split_table(table, "hospital", tmp_path / "sites", mapping())
    assert [(site.name, site.value) for site in split.sites] == [("12", "12.0"), ("3", "3.0")]


@pytest.mark.parametrize(
    ("path", "options"),
    [("in/table.tsv", ""), ("table.txt", 'delimiter = "|"'), ("table.csv", 'encoding = "gb18030"')],
)
def test_rows_are_written_as_the_mapping_reads_them(tmp_path: Path, path: str, options: str) -> None:
    wanted = mapping(path, options)
    table = tmp_path / ("pooled" + Path(path).suffix)
    source = wanted.files["table"]
    delimiter = source.delimiter or ("\t" if source.kind == "tsv" else ",")
    with table.open("w", newline="", encoding=source.encoding) as stream:
        csv.writer(stream, delimiter=delimiter).writerows(
            [("id", "hospital", "note"), ("甲", "协和", "a|b"), ("乙", "瑞金", "\t,")]
        )
    split = split_table(table, "hospital", tmp_path / "sites", wanted)
    assert {site.value for site in split.sites} == {"协和", "瑞金"}
    for site in split.sites:
        assert re.fullmatch(r"site-[0-9a-f]{8}", site.name)
        assert load(site.folder, wanted, tmp_path / "s.duckdb").rows["patient"] == 1


def test_a_pooled_parquet_is_split_into_csv(tmp_path: Path) -> None:
    table = tmp_path / "pooled.parquet"
    with duckdb.connect(":memory:") as connection:
        rows = "VALUES ('a', '05', 'x'), ('b', NULL, 'y'), ('c', '05', NULL)"
        connection.sql(f'SELECT * FROM ({rows}) t(id, "the ""site""", note)').write_parquet(str(table))
    split = split_table(table, 'the "site"', tmp_path / "sites", mapping())
    assert [(site.name, site.rows) for site in split.sites] == [("05", 2), ("no-site", 1)]
    assert load(split.sites[0].folder, mapping(), tmp_path / "s.duckdb").rows["patient"] == 2


def test_what_cannot_be_split_is_refused(tmp_path: Path) -> None:
    table, into = tmp_path / "pooled.csv", tmp_path / "sites"
    with pytest.raises(SourceMissing, match="table is not there"):
        split_table(table, "hospital", into, mapping())
    table.write_text("id,hospital,note\n")
    with pytest.raises(SourceMissing, match=r"expects the column 'TSS'.*'id', 'hospital', 'note'"):
        split_table(table, "TSS", into, mapping())
    with pytest.raises(TableEmpty):
        split_table(table, "hospital", into, mapping())
    table.write_text("id,hospital,note\n" + "".join(f"{i},{i},x\n" for i in range(1001)))
    with pytest.raises(SourceUnreadable, match="1001 different values"):
        split_table(table, "hospital", into, mapping())
    table.write_text("id,hospital,note\na,1,x\n")
    for other in (
        mapping("table.parquet"),
        mapping("table_*.csv"),
        mapping(options='[files.more]\npath = "b.csv"'),
    ):
        with pytest.raises(MappingInvalid):
            split_table(table, "hospital", into, other)
    into.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="cannot be written"):
        split_table(table, "hospital", into, mapping())


def test_names_that_would_be_one_folder_are_told_apart() -> None:
    names = site_names(["MP", "mp", "a b", "a-b", "", "../../etc", "协和", "x" * 80, "05", "_x"])
    assert names["a-b"] == "a-b"
    assert names["05"] == "05"
    assert names[""] == NO_SITE
    assert names["../../etc"] == "etc"
    assert names["_x"] == "x"
    assert len({name.casefold() for name in names.values()}) == len(names)


@given(st.sets(st.text(max_size=60), max_size=12))
def test_every_text_gives_a_safe_id_of_its_own(values: set[str]) -> None:
    names = site_names(sorted(values))
    assert all(re.fullmatch(SITE_ID, name) and len(name) <= LONGEST_NAME for name in names.values())
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert names == site_names(sorted(values, reverse=True))
