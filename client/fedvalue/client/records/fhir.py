"""FHIR R4 bulk exports: newline-delimited JSON, one resource a line, as one table of text.

A column of the mapping is a path into the resource (`fhir_paths`). A resource that its source calls entered
in error, or a line of another type than the mapping names, is counted and left out; so is a line that is no
JSON object. A path that no resource has is named in the report: FHIR has no header that would show a typing
error. HL7 FHIR R4 (2019-10-30), bulk data access 2.0.0, https://hl7.org/fhir/R4 .
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import duckdb
import pandas as pd

from fedvalue.client.records.connectors import BLANKS, Raw, Wanted, cell_sql
from fedvalue.client.records.fhir_paths import Location, parsed, text_at
from fedvalue.client.records.mapping import SourceFile
from fedvalue.client.records.report import SHOWN_LINES, FileReport, LeftOut
from fedvalue.client.records.text_lines import blocks
from fedvalue.errors import MappingInvalid

MALFORMED = "no JSON object"
OTHER = "another type of resource"
IN_ERROR = "entered in error"
_STATUSES = ("status", "verificationStatus", "clinicalStatus")


@dataclass(slots=True)
class _Seen:
    """What one file has shown so far."""

    rows: int = 0
    reasons: dict[str, list[int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)

    def leave(self, reason: str, line: int) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1
        lines = self.reasons.setdefault(reason, [])
        if len(lines) < SHOWN_LINES:
            lines.append(line)


@dataclass(frozen=True, slots=True)
class Fhir:
    """Newline-delimited JSON of FHIR resources, plain or gzip."""

    def read(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: SourceFile,
        files: Sequence[tuple[str, Path]],
        wanted: Wanted,
        table: str,
    ) -> Raw:
        """Read the files; see `fedvalue.client.records.connectors.Connector.read`."""
        if wanted.everything:
            raise MappingInvalid("FHIR resources have no columns of their own", do="name the paths to read")
        names = sorted(wanted.columns | wanted.alternatives)
        paths = {name: parsed(name) for name in names}
        columns = {name: f"c{i}" for i, name in enumerate(names)}
        cells_of = "".join(f", {column} VARCHAR" for column in columns.values())
        connection.execute(f"CREATE TEMP TABLE {table} (file INTEGER, line BIGINT{cells_of})")
        chosen = ", ".join(["file", "line", *(cell_sql(column) for column in columns.values())])
        insert = f"INSERT INTO {table} SELECT {chosen} FROM resources ORDER BY line"  # noqa: S608 (own names)
        parameters = {"blanks": BLANKS, "missing": list(source.missing)} if columns else {}
        reports = []
        for index, (shown, path) in enumerate(files):
            seen = _Seen()
            for block in blocks(path, "utf-8", where=shown):
                found = _rows(block.first, block.lines, source.resource, paths, seen)
                if not found["line"]:
                    continue
                frame = pd.DataFrame(
                    {"file": index}
                    | {"line": pd.Series(found["line"], dtype="int64")}
                    | {column: pd.Series(found[name], dtype=object) for name, column in columns.items()}
                )
                connection.register("resources", frame)
                connection.execute(insert, parameters)
                connection.unregister("resources")
            reports.append(_report(shown, seen, names))
        return Raw(table, columns, tuple(reports))


def _rows(
    first: int,
    lines: Sequence[str | None],
    resource: str | None,
    paths: Mapping[str, tuple[Location, ...]],
    seen: _Seen,
) -> dict[str, list[object]]:
    """Return the cells of one block's resources by path, with their lines."""
    found: dict[str, list[object]] = {"line": [], **{name: [] for name in paths}}
    for number, text in enumerate(lines, start=first):
        if text is not None and not text.strip():
            continue
        read = None if text is None else _object(text)
        if read is None:
            seen.leave(MALFORMED, number)
        elif resource is not None and read.get("resourceType") != resource:
            seen.leave(OTHER, number)
        elif _in_error(read):
            seen.leave(IN_ERROR, number)
        elif (cells := _cells(read, paths)) is None:
            seen.leave(MALFORMED, number)
        else:
            seen.rows += 1
            found["line"].append(number)
            for name, cell in cells.items():
                if cell is not None:
                    seen.met.add(name)
                found[name].append(cell)
    return found


def _cells(
    read: Mapping[str, object], paths: Mapping[str, tuple[Location, ...]]
) -> dict[str, str | None] | None:
    """Return a resource's cells by path, None where it is nested deeper than anything that FHIR knows."""
    try:
        return {name: _sound(text_at(read, places)) for name, places in paths.items()}
    except RecursionError:
        return None


def _sound(cell: str | None) -> str | None:
    """Put U+FFFD for half of a surrogate pair, which JSON can write and no text may hold."""
    if cell is None or cell.isascii():
        return cell
    return cell.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _object(text: str) -> dict[str, object] | None:
    """Return a line's JSON object with its numbers as they are written, or None."""
    try:
        read = json.loads(text, parse_float=str, parse_int=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _in_error(resource: Mapping[str, object]) -> bool:
    """Tell whether the source took a resource back."""
    for key in _STATUSES:
        status = resource.get(key)
        if status == "entered-in-error":
            return True
        if isinstance(status, dict) and text_at(status, parsed("coding[code=entered-in-error].code")):
            return True
    return False


def _report(shown: str, seen: _Seen, names: Sequence[str]) -> FileReport:
    left_out = [
        LeftOut(reason=reason, rows=seen.counts[reason], file=shown, lines=tuple(lines))
        for reason, lines in seen.reasons.items()
    ]
    if seen.rows:
        left_out += [
            LeftOut(reason=f"no resource has {name!r}", rows=0, file=shown)
            for name in names
            if name not in seen.met
        ]
    return FileReport(file=shown, rows=seen.rows, left_out=tuple(left_out))
