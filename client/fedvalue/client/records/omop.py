"""OMOP CDM 5.4 as a source: a folder of CSV files, a DuckDB file, or a PostgreSQL server.

A table of the CDM is a table like any other, with one thing more: a column ``..._concept_id`` is a number
that only the vocabulary explains. ``condition_concept_id:code`` is its concept's code there, ``:vocabulary``
the name of the vocabulary; 0, OMOP's "no matching concept", and an id that the vocabulary does not hold are
unknown.

OHDSI, OMOP Common Data Model v5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html .
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from fedvalue.client.records.connectors import Raw, Wanted
from fedvalue.client.records.databases import Database, opened
from fedvalue.client.records.mapping import SourceFile
from fedvalue.client.records.report import FileReport
from fedvalue.client.records.store import quoted
from fedvalue.client.records.tabular import DelimitedText, Parquet
from fedvalue.client.records.text_lines import blocks
from fedvalue.errors import MappingInvalid, SourceMissing

ENDS = ("code", "vocabulary")
CONCEPT = ("concept_id", "concept_code", "vocabulary_id")
_TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")


@dataclass(frozen=True, slots=True)
class Omop:
    """Tables of an OMOP CDM."""

    def read(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: SourceFile,
        files: Sequence[tuple[str, Path]],
        wanted: Wanted,
        table: str,
    ) -> Raw:
        """Read the files; see `fedvalue.client.records.connectors.Connector.read`."""
        explained = {name: _explained(name) for name in wanted.columns | wanted.alternatives}
        base = Wanted(
            frozenset(explained[name][0] for name in wanted.columns),
            frozenset(explained[name][0] for name in wanted.alternatives),
            wanted.everything,
        )
        raw = _tables(connection, source, files, base, f"{table}_cdm")
        chosen, joins, columns = ["b.file", "b.line"], list[str](), dict[str, str]()
        concepts = ""
        for number, (name, (column, end)) in enumerate(sorted(explained.items())):
            if column not in raw.columns:
                continue
            at = f"b.{raw.columns[column]}"
            if end:
                concepts = concepts or _concepts(connection, source, files)
                joins.append(f" LEFT JOIN {concepts} k{number} ON k{number}.concept_id = {at}")
                at = f"k{number}.{'concept_code' if end == 'code' else 'vocabulary_id'}"
            columns[name] = f"o{number}"
            chosen.append(f"{at} AS o{number}")
        if wanted.everything:
            for name, column in raw.columns.items():
                columns[name] = f"e_{column}"
                chosen.append(f"b.{column} AS e_{column}")
        connection.execute(
            f"CREATE TEMP VIEW {table} AS SELECT {', '.join(chosen)} FROM {raw.table} b{''.join(joins)}"  # noqa: S608 (own names)
        )
        return Raw(table, columns, raw.files)


def _explained(name: str) -> tuple[str, str]:
    column, _, end = name.partition(":")
    if end and (end not in ENDS or not column.endswith("_concept_id")):
        raise MappingInvalid(
            f"{name[:80]!r} is no column of a CDM table",
            do="':code' and ':vocabulary' stand behind a column that ends in _concept_id",
        )
    return column, end


def _tables(
    connection: duckdb.DuckDBPyConnection,
    source: SourceFile,
    files: Sequence[tuple[str, Path]],
    wanted: Wanted,
    table: str,
) -> Raw:
    """Read tables of the CDM, or of its vocabulary, from wherever they are."""
    shown, path = files[0]
    name = path.name.lower()
    if name.endswith(_TEXT):
        kind = "tsv" if _has_tabs(path, source.encoding, shown) else "csv"
        return DelimitedText().read(
            connection, source.model_copy(update={"format": kind}), files, wanted, table
        )
    if name.endswith(".parquet"):
        return Parquet().read(
            connection, source.model_copy(update={"format": "parquet"}), files, wanted, table
        )
    if source.table is None:
        raise MappingInvalid(
            "a database holds many tables", where=shown, do='name one: table = "condition_occurrence"'
        )
    if len(files) > 1:
        raise MappingInvalid("one database at a time", where=shown, do="name one file, without *")
    with opened(path, shown) as database:
        return _from_database(
            connection, database, source.table, source.missing, wanted, table, shown, optional=source.optional
        )


def _from_database(
    connection: duckdb.DuckDBPyConnection,
    database: Database,
    name: str,
    missing: Sequence[str],
    wanted: Wanted,
    table: str,
    shown: str,
    *,
    optional: bool,
) -> Raw:
    there = database.columns(name)
    if not there and optional:
        there = sorted(wanted.columns | wanted.alternatives)
        name = ""
    if not there:
        raise SourceMissing(
            f"there is no table {name!r}", where=shown, do="see schema and table in the mapping"
        )
    absent = sorted(wanted.columns - set(there))
    if absent:
        raise SourceMissing(
            f"the mapping expects the column {absent[0]!r}",
            where=f"{shown}, {name}",
            do=f"the table has {', '.join(there[:40])}",
        )
    read = there if wanted.everything else sorted((wanted.columns | wanted.alternatives) & set(there))
    columns = {column: f"c{i}" for i, column in enumerate(read)}
    cells = "".join(f", {column} VARCHAR" for column in columns.values())
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} (file INTEGER, line BIGINT{cells})")
    rows = 0
    for frame in database.rows(name, read) if name else ():
        frame.columns = list(columns.values())
        frame.insert(0, "line", range(rows + 1, rows + 1 + len(frame)))
        connection.register("portion", frame)
        chosen = "".join(
            f", CASE WHEN trim({c}) = '' OR list_contains($missing, trim({c})) THEN NULL ELSE trim({c}) END"
            for c in columns.values()
        )
        connection.execute(
            f"INSERT INTO {table} SELECT 0, line{chosen} FROM portion",  # noqa: S608 (own names)
            {"missing": list(missing)} if columns else {},
        )
        connection.unregister("portion")
        rows += len(frame)
    return Raw(table, columns, (FileReport(file=shown, rows=rows),))


def _has_tabs(path: Path, encoding: str, shown: str) -> bool:
    """Tell whether the header is cut by tabs, as the vocabulary's own download is."""
    for block in blocks(path, encoding, where=shown):
        return "\t" in (block.lines[0] or "")
    return False


def _concepts(
    connection: duckdb.DuckDBPyConnection, source: SourceFile, files: Sequence[tuple[str, Path]]
) -> str:
    """Return the SQL table of the vocabulary, read once for a load.

    Raises:
      MappingInvalid: nobody says where the vocabulary is.
      SourceMissing: it is not there.
    """
    shown, path = files[0]
    root = Path(str(path).removesuffix(shown))
    if source.concepts is not None:
        place, name = root / source.concepts, source.concepts
        if not place.resolve().is_relative_to(root.resolve()) or not place.is_file():
            raise SourceMissing(f"the vocabulary {name!r} is not there", where=shown, do="see concepts")
    elif path.name.lower().endswith((*_TEXT, ".parquet")):
        raise MappingInvalid(
            "':code' and ':vocabulary' need the vocabulary", where=shown, do='say concepts = "CONCEPT.csv"'
        )
    else:
        place, name = path, shown
    known = quoted(f"concepts of {name}")
    if connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = ?", [f"concepts of {name}"]
    ).fetchone() != (0,):
        return known
    asked = source.model_copy(update={"table": "concept", "format": None, "optional": False})
    own = f"omop_concept_{zlib.crc32(name.encode()):08x}"
    raw = _tables(connection, asked, [(name, place)], Wanted(frozenset(CONCEPT)), own)
    cells = ", ".join(f"{raw.columns[column]} AS {column}" for column in CONCEPT)
    connection.execute(
        f"CREATE TEMP TABLE {known} AS SELECT {cells} FROM {raw.table} "  # noqa: S608 (own names)
        f"WHERE {raw.columns['concept_id']} <> '0' QUALIFY row_number() OVER (PARTITION BY concept_id) = 1"
    )
    return known
