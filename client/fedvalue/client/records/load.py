"""Load a hospital's folder through a mapping into the site's one store, and report what was left out.

Whatever breaks a rule is counted by reason and left out, never silently. The store appears whole or not
at all.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Dictionary
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import duckdb

from fedvalue.client.records.connectors import Connector, Raw
from fedvalue.client.records.mapping import Mapping
from fedvalue.client.records.report import LoadReport, TableReport
from fedvalue.client.records.rules import BENIGN, create_codes
from fedvalue.client.records.sections import Patient, Variant
from fedvalue.client.records.store import CANONICAL, MODEST, Limits, create_tables, writing
from fedvalue.client.records.tables import fed_by, load_patient, load_table, wanted
from fedvalue.client.records.tabular import DelimitedText, Parquet
from fedvalue.client.records.vcf import Vcf
from fedvalue.errors import MappingInvalid, SourceMissing, TableEmpty

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done and how many there are."""

CONNECTORS: Dictionary[str, Connector] = MappingProxyType(
    {
        "csv": DelimitedText(),
        "tsv": DelimitedText(),
        "maf": DelimitedText(quotes=False, comments=True),
        "parquet": Parquet(),
        "vcf": Vcf(),
    }
)
"""Format in a mapping to what reads it."""


def silent(what: str, done: int, steps: int) -> None:
    """Report no progress."""


def load(
    folder: Path,
    mapping: Mapping,
    database_path: Path,
    *,
    progress: Progress = silent,
    connectors: Dictionary[str, Connector] = CONNECTORS,
    limits: Limits = MODEST,
) -> LoadReport:
    """Load the files of ``folder`` into a new store that takes the place of ``database_path``.

    Args:
      folder: The hospital's folder.
      mapping: What its files, columns and codes mean.
      database_path: The DuckDB file to be; mode 0600, written beside it first and renamed when it is whole.
      progress: Is told of every file and table.
      connectors: What reads each format.
      limits: Threads and memory.

    Returns:
      What was read, kept and left out, by reason and line number. For the hospital only.

    Raises:
      SourceMissing: a folder, file or column is not there; names what was expected and what exists.
      SourceUnreadable: a file cannot be parsed at all.
      TableEmpty: a file or table has no usable row.
      OutputError: the store cannot be written.
    """
    folder = folder.resolve()
    paths, absent = _found(folder, mapping)
    tables = [(where, table) for where, table in mapping.tables() if table.file in paths]
    steps = len(paths) + len(tables)
    with writing(database_path, read_from=folder, limits=limits) as connection:
        create_tables(connection)
        create_codes(connection)
        raws: dict[str, Raw] = {}
        for number, (name, files) in enumerate(paths.items()):
            progress(mapping.files[name].path, len(raws), steps)
            source = mapping.files[name]
            raws[name] = _connector(connectors, source.kind).read(
                connection, source, files, wanted(mapping, name), f"raw_{number}"
            )
        absent += _empty(mapping, raws)
        reports = list[TableReport]()
        for where, table in tables:
            progress(where, len(raws) + len(reports), steps)
            raw = raws[table.file]
            if isinstance(table, Patient):
                reports.append(load_patient(connection, mapping, raw))
            else:
                reports.append(load_table(connection, where, table, raw, mapping.files[table.file]))
            _usable(reports[-1], optional=mapping.files[table.file].optional or isinstance(table, Variant))
        _meta(connection, mapping)
        rows = {name: _rows(connection, name) for name in CANONICAL}
    progress("done", steps, steps)
    return LoadReport(
        files=tuple(file for raw in raws.values() for file in raw.files),
        tables=tuple(reports),
        rows=rows,
        absent=tuple(absent),
    )


def _found(folder: Path, mapping: Mapping) -> tuple[dict[str, list[tuple[str, Path]]], list[str]]:
    """Return each file of the mapping with its places, and the optional ones that are not there."""
    if not folder.is_dir():
        raise SourceMissing(
            "the hospital's folder is not there", where=str(folder), do="give the folder of its files"
        )
    found: dict[str, list[tuple[str, Path]]] = {}
    absent: list[str] = []
    for name, source in mapping.files.items():
        pattern = PurePosixPath(source.path)
        place = folder / pattern.parent
        inside = place.resolve().is_relative_to(folder.resolve())
        name_pattern = pattern.name.replace("[", "[[]")
        matches = sorted(place.glob(name_pattern)) if inside and place.is_dir() else []
        files = [(match.relative_to(folder).as_posix(), match) for match in matches if match.is_file()]
        if files:
            found[name] = files
        elif source.optional and name != mapping.patient.file:
            absent.append(source.path)
        else:
            there = sorted(path.name for path in folder.iterdir())[:40]
            raise SourceMissing(
                f"the mapping expects the file {source.path!r}",
                where=str(folder),
                do=f"the folder holds {', '.join(there) or 'nothing'}; or mend [files.{name}].path",
            )
    return found, absent


def _connector(connectors: Dictionary[str, Connector], kind: str) -> Connector:
    if kind not in connectors:
        raise MappingInvalid(
            f"nothing reads the format {kind!r}", do=f"there are {', '.join(sorted(connectors))}"
        )
    return connectors[kind]


def _empty(mapping: Mapping, raws: dict[str, Raw]) -> list[str]:
    """Refuse a file without a row; return the optional ones."""
    empty = []
    for name, raw in raws.items():
        if raw.rows == 0 and raw.listed is None:
            if not mapping.files[name].optional:
                raise TableEmpty(
                    "the file has no usable row",
                    where=mapping.files[name].path,
                    do=f"export it again, or set optional = true in [files.{name}] if that is right",
                )
            empty.append(mapping.files[name].path)
    return empty


def _usable(report: TableReport, *, optional: bool) -> None:
    """Refuse a table of which every row broke a rule."""
    broken = [item for item in report.left_out if item.reason not in BENIGN]
    if (
        report.kept == 0
        and (broken or report.table == "patient")
        and not (optional and report.table != "patient")
    ):
        reasons = ", ".join(f"{item.rows} x {item.reason}" for item in broken)
        raise TableEmpty(
            f"no row of {report.table} is usable: {reasons or 'it has none'}",
            where=report.table,
            do="check the columns and codes of this table in the mapping",
        )


def _meta(connection: duckdb.DuckDBPyConnection, mapping: Mapping) -> None:
    fed = {name for where, table in mapping.tables() for name in fed_by(where, table)}
    rows = [
        ("format", "1"),
        ("calendar", str(mapping.calendar).lower()),
        *(("table", name) for name in sorted(fed)),
    ]
    connection.executemany("INSERT INTO store_meta VALUES (?, ?)", rows)


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 (own names)
    return int(row[0]) if row else 0
