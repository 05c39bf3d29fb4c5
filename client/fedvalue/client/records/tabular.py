"""CSV, TSV, MAF and Parquet files as one table of text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from fedvalue.client.records.connectors import BLANKS, Raw, Wanted, cell_sql, require_columns
from fedvalue.client.records.mapping import SourceFile
from fedvalue.client.records.plain_text import looked_through, read_plain
from fedvalue.client.records.report import SHOWN_LINES, FileReport, LeftOut
from fedvalue.client.records.store import interrupted, quoted
from fedvalue.client.records.text_lines import Block, blocks, cells, chunks, whole_records
from fedvalue.errors import SourceUnreadable

MALFORMED = "malformed line"
_DELIMITERS = {"csv": ",", "tsv": "\t", "maf": "\t"}


@dataclass(frozen=True, slots=True)
class _Opened:
    """A text file behind its header, the ``above``-th line."""

    shown: str
    delimiter: str
    header: list[str]
    above: int
    stream: Iterator[Block]


@dataclass(frozen=True, slots=True)
class DelimitedText:
    """Text files with one record a line and a header.

    Attributes:
      quotes: Cells may stand in double quotes.
      comments: Lines that begin with ``#`` above the header are passed over.
    """

    quotes: bool = True
    comments: bool = False

    def read(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: SourceFile,
        files: Sequence[tuple[str, Path]],
        wanted: Wanted,
        table: str,
    ) -> Raw:
        """Read the files; see `fedvalue.client.records.connectors.Connector.read`."""
        names = sorted(wanted.columns | wanted.alternatives)
        if wanted.everything:
            names = [name for name in self._open(source, *files[0]).header if name]
        columns = {name: f"c{i}" for i, name in enumerate(names)}
        reports, found, parts = list[FileReport](), set[str](), list[str]()
        for index, (shown, path) in enumerate(files):
            opened = self._open(source, shown, path)
            require_columns(wanted.columns, opened.header, where=shown)
            if twice := sorted(name for name in columns if opened.header.count(name) > 1):
                raise SourceUnreadable(
                    f"the column {twice[0]!r} stands twice", where=shown, do="rename one of them"
                )
            part = f"{table}_{index}"
            report = self._plain(connection, source, path, opened, columns, part)
            # rows that DuckDB read are numbered by themselves
            line = "line" if report is None else f"rowid + {opened.above + 1} AS line"
            if report is None:
                _create(connection, part, columns)
                insert = _insert_sql(part, columns, opened.header, quotes=self.quotes)
                parameters: dict[str, object] = {"blanks": BLANKS, "missing": list(source.missing)}
                report = self._fill(connection, opened, insert, parameters)
            reports.append(report)
            parts.append(f"SELECT {index} AS file, {', '.join([line, *columns.values()])} FROM {part}")  # noqa: S608 (own names)
            found |= set(opened.header)
        connection.execute(f"CREATE TEMP VIEW {table} AS {' UNION ALL '.join(parts)}")
        return Raw(table, {name: column for name, column in columns.items() if name in found}, tuple(reports))

    def _open(self, source: SourceFile, shown: str, path: Path) -> _Opened:
        """Return the column names and the lines below them."""
        delimiter = source.delimiter or _DELIMITERS[source.kind]
        encoding = _encoding(source, path, shown)
        stream = blocks(path, encoding, where=shown)
        for block in stream:
            for position, line in enumerate(block.lines):
                if block.first + position <= source.skip:
                    continue
                if line is None:
                    raise SourceUnreadable(
                        f"the header is not {encoding} text",
                        where=shown,
                        do="set encoding = 'gb18030' or 'utf-8'",
                    )
                if not line.strip(BLANKS) or (self.comments and line.startswith("#")):
                    continue
                names = cells(line, delimiter, quotes=self.quotes)
                if names is None:
                    raise SourceUnreadable(
                        "the header has a broken quote", where=f"{shown}, line {block.first + position}"
                    )
                below = chain([Block(block.first + position + 1, block.lines[position + 1 :])], stream)
                whole = whole_records(below, len(names), delimiter) if self.quotes else below
                return _Opened(
                    shown, delimiter, [name.strip(BLANKS) for name in names], block.first + position, whole
                )
        raise SourceUnreadable(
            "the file has no header line", where=shown, do="the first line names the columns"
        )

    def _plain(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: SourceFile,
        path: Path,
        opened: _Opened,
        columns: dict[str, str],
        table: str,
    ) -> FileReport | None:
        """Let DuckDB read a file that is simple enough; None, and nothing done, for any other."""
        if source.encoding != "utf-8" or len(opened.header) == 1 or not opened.delimiter.isascii():
            return None
        plain = looked_through(path, opened.delimiter, where=opened.shown)
        if plain is None or plain.lines <= opened.above:
            return None
        chosen = []
        for name, column in columns.items():
            cell = f"h{opened.header.index(name)}" if name in opened.header else "CAST(NULL AS VARCHAR)"
            chosen.append(f"{cell_sql(cell) if plain.blanks else cell} AS {column}")
        trimming: dict[str, object] = {"blanks": BLANKS, "missing": list(source.missing)}
        rows = read_plain(
            connection,
            path,
            plain,
            table=table,
            header=opened.header,
            above=opened.above,
            delimiter=opened.delimiter,
            cells=", ".join(chosen) or "1 AS nothing",
            unknown=() if plain.blanks else source.missing,
            parameters=trimming if plain.blanks and any(name in opened.header for name in columns) else {},
        )
        return None if rows is None else FileReport(file=opened.shown, rows=rows)

    def _fill(
        self,
        connection: duckdb.DuckDBPyConnection,
        opened: _Opened,
        insert: str,
        parameters: dict[str, object],
    ) -> FileReport:
        """Insert the lines that are sound and count the others."""
        cut = f"CREATE OR REPLACE TEMP TABLE cut AS {_cut_sql(opened.delimiter, quotes=self.quotes)}"
        shape = {"width": len(opened.header), "blanks": BLANKS, "delimiter": opened.delimiter}
        rows, bad, lines = 0, 0, list[int]()
        for block in opened.stream:
            if all(line == "" for line in block.lines):
                continue
            frame = _frame(block)
            connection.register("block", frame)
            connection.execute(cut, shape)
            rows += _count(connection.execute(insert, parameters))
            broken = [
                line for (line,) in connection.execute("SELECT line FROM cut WHERE NOT sound").fetchall()
            ]
            broken += [block.first + at for at, text in enumerate(block.lines) if text is None]
            connection.unregister("block")
            bad += len(broken)
            lines = sorted([*lines, *broken])[:SHOWN_LINES]
        connection.execute("DROP TABLE IF EXISTS cut")
        left_out = (
            (LeftOut(reason=MALFORMED, rows=bad, file=opened.shown, lines=tuple(lines)),) if bad else ()
        )
        return FileReport(file=opened.shown, rows=rows, left_out=left_out)


@dataclass(frozen=True, slots=True)
class Parquet:
    """Parquet files; every column is taken as text, so numbers and dates follow the mapping."""

    def read(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: SourceFile,
        files: Sequence[tuple[str, Path]],
        wanted: Wanted,
        table: str,
    ) -> Raw:
        """Read the files; see `fedvalue.client.records.connectors.Connector.read`."""
        names = sorted(wanted.columns)
        if wanted.everything:
            names = _parquet_header(connection, *files[0])
        columns = {name: f"c{i}" for i, name in enumerate(names)}
        reports, parts = [], []
        for index, (shown, path) in enumerate(files):
            part = f"{table}_{index}"
            _create(connection, part, columns)
            require_columns(wanted.columns, _parquet_header(connection, shown, path), where=shown)
            chosen = ", ".join(cell_sql(f"CAST({quoted(name)} AS VARCHAR)") for name in columns)
            try:
                inserted = connection.execute(
                    f"INSERT INTO {part} SELECT file_row_number + 1, {chosen}"  # noqa: S608 (own names, quoted columns)
                    " FROM read_parquet($path, file_row_number = true)",
                    {"path": str(path), "blanks": BLANKS, "missing": list(source.missing)},
                )
            except duckdb.Error as error:
                raise _not_parquet(shown, error) from error
            reports.append(FileReport(file=shown, rows=_count(inserted)))
            parts.append(f"SELECT {index} AS file, * FROM {part}")  # noqa: S608 (own names)
        connection.execute(f"CREATE TEMP VIEW {table} AS {' UNION ALL '.join(parts)}")
        return Raw(table, columns, tuple(reports))


def _encoding(source: SourceFile, path: Path, shown: str) -> str:
    """Return the encoding that the mapping says, but UTF-8 for a file that begins with UTF-8's own mark.

    A spreadsheet saves some tables of a folder as GB18030 and leaves those that nobody filled in as they
    were.
    """
    marked = source.encoding != "utf-8" and next(iter(chunks(path, shown)), b"").startswith(codecs.BOM_UTF8)
    return "utf-8" if marked else source.encoding


def _parquet_header(connection: duckdb.DuckDBPyConnection, shown: str, path: Path) -> list[str]:
    try:
        there = connection.execute("SELECT * FROM read_parquet(?) LIMIT 0", [str(path)]).description
    except (duckdb.Error, UnicodeDecodeError) as error:  # a name that is no text is met by DuckDB's Python
        raise _not_parquet(shown, error) from error
    return [column[0] for column in there or []]


def _not_parquet(shown: str, error: duckdb.Error | UnicodeDecodeError) -> SourceUnreadable:
    if isinstance(error, duckdb.Error) and interrupted(error):
        raise KeyboardInterrupt from error
    return SourceUnreadable(
        f"this is no parquet file that DuckDB can read ({type(error).__name__})", where=shown
    )


def _create(connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str]) -> None:
    cells_of = "".join(f", {column} VARCHAR" for column in columns.values())
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} (line BIGINT{cells_of})")


def _frame(block: Block) -> pd.DataFrame:
    lines = np.arange(block.first, block.first + len(block.lines), dtype=np.int64)
    # What is no text goes as a blank line: the type of the column must not hang on how many there are.
    return pd.DataFrame(
        {"line": lines, "text": pd.Series([line or "" for line in block.lines], dtype=object)}
    )


def _cut_sql(delimiter: str, *, quotes: bool) -> str:
    """SQL of one block cut into cells; ``sound`` where a line has as many as the header."""
    split = "string_split(text, $delimiter)"
    closed = "true"
    if quotes:
        mark = rf"\x{{{ord(delimiter):x}}}"
        cell = rf' *"(?:[^"]|"")*"| *[^{mark}" ][^{mark}]*| *'
        quoted_cells = f"regexp_extract_all(text || $delimiter, '({cell}){mark}', 1)"
        split = f"CASE WHEN contains(text, '\"') THEN {quoted_cells} ELSE {split} END"
        closed = (
            f"(NOT contains(text, '\"') OR regexp_full_match(text || $delimiter, '(?:(?:{cell}){mark})*'))"
        )
    return (
        f"SELECT line, cells, len(cells) = $width AND {closed} AS sound "  # noqa: S608 (own text only)
        f"FROM (SELECT line, text, {split} AS cells FROM block WHERE trim(text, $blanks) <> '')"
    )


def _insert_sql(table: str, columns: dict[str, str], header: list[str], *, quotes: bool) -> str:
    """SQL of the sound lines' cells, level by level: in one expression a wide table takes seconds to plan."""
    there = {column: header.index(name) + 1 for name, column in columns.items() if name in header}
    edges = "' '" if quotes else "$blanks"
    rows = _level({column: f"trim(cells[{at}], {edges})" for column, at in there.items()}, "cut WHERE sound")
    if quotes:
        inside = "replace(substr({0}, 2, length({0}) - 2), '\"\"', '\"')"
        bare = f"trim(CASE WHEN starts_with({{0}}, '\"') THEN {inside} ELSE {{0}} END, $blanks)"
        rows = _level({column: bare.format(column) for column in there}, f"({rows})")
    known = "CASE WHEN {0} = '' OR list_contains($missing, {0}) THEN NULL ELSE {0} END"
    chosen = {column: known.format(column) if column in there else "NULL" for column in columns.values()}
    return f"INSERT INTO {table} {_level(chosen, f'({rows})')} ORDER BY line"


def _level(chosen: dict[str, str], rows: str) -> str:
    cells_of = [f"{sql} AS {column}" for column, sql in chosen.items()]
    return f"SELECT {', '.join(['line', *cells_of])} FROM {rows}"  # noqa: S608 (own names)


def _count(result: duckdb.DuckDBPyConnection) -> int:
    row = result.fetchone()
    return int(row[0]) if row else 0
