"""Split one pooled table into a folder per hospital, for a simulation.

The site column is text: leading zeros and letters stay. A row without a site goes to a site of its own.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from fedvalue.client.records.cells import plain_code
from fedvalue.client.records.connectors import Raw, Wanted
from fedvalue.client.records.load import CONNECTORS
from fedvalue.client.records.mapping import Mapping, SourceFile
from fedvalue.client.records.report import FileReport
from fedvalue.client.records.store import MODEST, Limits, scratch
from fedvalue.errors import MappingInvalid, OutputError, SourceMissing, SourceUnreadable, TableEmpty

NO_SITE = "no-site"
LONGEST_NAME = 40
"""As long as a site id of a roster may be."""
MOST_SITES = 1000
"""With more different values than this the column is not the hospital."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Site:
    """One hospital of a pooled table.

    Attributes:
      name: Name of its folder: letters, digits, ``-`` and ``_``.
      value: Text of the site column, empty where it says nothing.
      folder: The folder, laid out as the mapping expects.
      rows: How many rows it holds.
    """

    name: str
    value: str
    folder: Path
    rows: int


@dataclass(frozen=True, slots=True)
class Split:
    """A pooled table as folders.

    Attributes:
      sites: By name.
      file: How the pooled table was read; its malformed lines belong to no site and are counted here.
    """

    sites: tuple[Site, ...]
    file: FileReport


def split_table(
    table: Path, site_column: str, into: Path, mapping: Mapping, *, limits: Limits = MODEST
) -> Split:
    """Write the rows of each site of a pooled table to a folder of its own below ``into``.

    Args:
      table: CSV, TSV or Parquet with one header.
      site_column: The column that names the hospital.
      into: Folder of the folders to be.
      mapping: Names exactly one file, csv or tsv; the rows of a site are written under that name.
      limits: Threads and memory.

    Raises:
      MappingInvalid: the mapping names several files, or a pattern, or another format.
      SourceMissing: the table or its column is not there.
      SourceUnreadable: the table cannot be parsed.
      TableEmpty: it has no row.
      OutputError: a folder cannot be written.
    """
    target = _one_file(mapping)
    if not table.is_file():
        raise SourceMissing(
            "the table is not there", where=str(table), do="give the path of the pooled table"
        )
    table = table.resolve()
    source = _as_source(table, target)
    with scratch(read_from=table.parent, limits=limits) as connection:
        wanted = Wanted(frozenset({site_column}), everything=True)
        raw = CONNECTORS[source.kind].read(connection, source, [(table.name, table)], wanted, "pooled")
        if raw.rows == 0:
            raise TableEmpty("the table has no usable row", where=str(table))
        connection.execute(
            "CREATE TEMP TABLE sited AS SELECT *, coalesce(CASE WHEN NOT list_contains($missing, "  # noqa: S608
            f"{raw.columns[site_column]}) THEN {raw.columns[site_column]} END, '') AS site FROM pooled",
            {"missing": list(target.missing)},
        )
        found = connection.execute("SELECT DISTINCT site FROM sited ORDER BY site").fetchall()
        if len(found) > MOST_SITES:
            raise SourceUnreadable(
                f"the column {site_column!r} has {len(found)} different values",
                where=str(table),
                do="name the column of the hospital",
            )
        names = site_names(value for (value,) in found)
        sites = [_write(connection, raw, value, name, into, target) for value, name in names.items()]
    return Split(tuple(sorted(sites, key=lambda site: site.name)), raw.files[0])


def site_names(values: Iterable[str]) -> dict[str, str]:
    """Return a site id for each text of a site column: letters, digits, ``-`` and ``_``, all different.

    A whole number that a spreadsheet wrote as ``3.0`` is ``3``. A text whose name would be cut, emptied or
    the same as another's (upper and lower case are one on many disks) carries digits of its SHA-256.
    """
    plain = {
        value: _UNSAFE.sub("-", plain_code(value)).strip("-_") if value.strip() else NO_SITE
        for value in values
    }
    alike = Counter(name.casefold() for name in plain.values())
    unchanged = Counter(name.casefold() for value, name in plain.items() if name == value)
    names = {}
    for value, name in plain.items():
        folded = name.casefold()
        alone = alike[folded] == 1 or (name == value and unchanged[folded] == 1)
        if not name or len(name) > LONGEST_NAME or not alone:
            mark = hashlib.sha256(value.encode()).hexdigest()[:8]
            names[value] = f"{name[: LONGEST_NAME - 9].strip('-_') or 'site'}-{mark}"
        else:
            names[value] = name
    return names


def _one_file(mapping: Mapping) -> SourceFile:
    if len(mapping.files) != 1:
        raise MappingInvalid(
            f"a pooled table is one file; the mapping names {len(mapping.files)}",
            where="[files]",
            do="give a mapping whose tables all read one file",
        )
    source = next(iter(mapping.files.values()))
    if source.kind not in ("csv", "tsv") or "*" in source.path or "?" in source.path:
        raise MappingInvalid(
            f"a pooled table is split into csv or tsv files, not {source.path!r}",
            where="[files]",
            do="give the path a name such as table.csv",
        )
    return source


def _as_source(table: Path, target: SourceFile) -> SourceFile:
    """Return how the pooled table is read: its own ending goes before the mapping's."""
    plain = SourceFile(path=table.name, format=None, encoding=target.encoding, missing=())
    try:
        kind = plain.kind
    except ValueError:
        kind = target.kind
    if kind not in ("csv", "tsv", "parquet"):
        raise MappingInvalid(f"a pooled table is csv, tsv or parquet, not {kind}", where=str(table))
    delimiter = target.delimiter if kind == target.kind else None
    return plain.model_copy(update={"format": kind, "delimiter": delimiter})


def _write(
    connection: duckdb.DuckDBPyConnection, raw: Raw, value: str, name: str, into: Path, target: SourceFile
) -> Site:
    # A line break would let a line of one patient's cell be read as a row of its own.
    columns = ", ".join(
        rf"regexp_replace(coalesce({column}, ''), '[\r\n]+', ' ', 'g')" for column in raw.columns.values()
    )
    rows = connection.execute(
        f"SELECT {columns} FROM sited WHERE site = $site ORDER BY line",  # noqa: S608 (own names)
        {"site": value},
    ).fetchall()
    folder = into / name
    path = folder / target.path
    delimiter = target.delimiter or ("\t" if target.kind == "tsv" else ",")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("w", newline="", encoding=target.encoding) as stream:
            writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
            writer.writerow(raw.columns)
            writer.writerows(rows)
    except OSError as error:
        raise OutputError(f"a site's folder cannot be written: {error.strerror}", where=str(path)) from error
    return Site(name, value, folder, len(rows))
