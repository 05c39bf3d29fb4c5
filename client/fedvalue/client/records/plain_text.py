"""Text files that are simple enough for DuckDB's own reader: no quotes, one record a line, none broken.

Most exports are. One pass over the bytes tells, at the speed of memory; whatever is not simple is read by
`text_lines`, line by line, to the same rows. Nothing is guessed: the reader is told every option, and the
rows it read have to be as many as the file has lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from fedvalue.client.records.connectors import BLANKS
from fedvalue.client.records.store import interrupted
from fedvalue.client.records.text_lines import chunks

_LONGEST = 2_000_000
"""Bytes of a line, as much as DuckDB's reader takes."""
_WIDE_BLANKS = tuple(blank.encode() for blank in BLANKS if not blank.isascii())
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BREAK, _RETURN = b"\n\r"


@dataclass(frozen=True, slots=True)
class Plain:
    """What one pass over a simple file found.

    Attributes:
      lines: Lines of the file.
      blanks: True where a cell may begin or end with a blank.
      packed: True for gzip.
    """

    lines: int
    blanks: bool
    packed: bool


def looked_through(path: Path, delimiter: str, *, where: str) -> Plain | None:
    """Return what a file is like if DuckDB's reader can be trusted with it, else None.

    Args:
      path: The file, plain or gzip, in UTF-8.
      delimiter: Between two cells.
      where: Its name in errors.

    Raises:
      SourceMissing: the file cannot be opened.
      SourceUnreadable: damaged gzip.
    """
    mark = ord(delimiter)
    lines, ended, blanks, last = 0, True, False, b""
    for data in chunks(path, where):
        if not last and data[:2] in _UTF16:
            return None
        if b'"' in data or b"\0" in data:
            return None
        whole = last + data
        # a return at the end may go with what follows: it is looked at together with that
        held = whole.endswith(b"\r")
        seen = whole[:-1] if held else whole
        if b"\r" in seen and seen.count(b"\r") != seen.count(b"\r\n"):
            return None
        blanks = blanks or _edged(seen, mark) or _wide(seen)
        lines += data.count(b"\n")
        ended, last = data.endswith(b"\n"), data[-1:]
    # the end of the file is the end of its last line
    blanks = blanks or last in (b" ", b"\t")
    return None if last == b"\r" else Plain(lines + (not ended), blanks, _packed(path))


def _edged(data: bytes, mark: int) -> bool:
    """Tell whether a space, tab or return stands beside a delimiter or at an end of a line."""
    codes: NDArray[np.uint8] | None = None
    for blank in b" \t\r":
        if blank == mark or blank not in data:
            continue
        if codes is None:
            codes = np.frombuffer(data, dtype=np.uint8)
        at = np.flatnonzero(codes == blank)
        before, after = codes[at[at > 0] - 1], codes[at[at < len(data) - 1] + 1]
        if ((before == mark) | (before == _BREAK)).any() or (after == mark).any():
            return True
        if blank != _RETURN and (after == _BREAK).any():
            return True
    return False


def _wide(data: bytes) -> bool:
    return not data.isascii() and any(blank in data for blank in _WIDE_BLANKS)


def _packed(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def read_plain(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    plain: Plain,
    *,
    table: str,
    header: Sequence[str],
    above: int,
    delimiter: str,
    cells: str,
    unknown: Sequence[str],
    parameters: Mapping[str, object],
) -> int | None:
    """Read a simple file into the new temporary table ``table``, rows in the order of the file.

    Args:
      connection: The store that is being loaded.
      path: The file.
      plain: What `looked_through` found.
      table: A name that is safe in SQL; row ``n`` (``rowid`` n, from 0) is line ``above + 1 + n``.
      header: Names of the columns, however many; in SQL they are ``h0``, ``h1``, ...
      above: Lines up to the header, with it.
      delimiter: Between two cells.
      cells: SQL of the columns of ``table``, over ``h0``, ``h1``, ...
      unknown: Cells that are NULL as they stand; the empty cell always is.
      parameters: Of ``cells``.

    Returns:
      The number of rows; None, and no table, where the file turned out not to be simple.
    """
    columns = {f"h{number}": "VARCHAR" for number in range(len(header))}
    try:
        # Errors are passed over because DuckDB 1.5 can die of writing its message on a line that is far too
        # long; nothing is lost by it: a line passed over is missing from the count below.
        connection.execute(
            f"CREATE TEMP TABLE {table} AS SELECT {cells} FROM read_csv($path, auto_detect = false, "  # noqa: S608 (own names)
            "header = false, skip = $above, delim = $delimiter, quote = '', escape = '', comment = '', "
            "columns = $columns, nullstr = $unknown, null_padding = false, ignore_errors = true, "
            "strict_mode = true, max_line_size = $longest, compression = $compression, encoding = 'utf-8')",
            {
                "path": str(path),
                "above": above,
                "delimiter": delimiter,
                "columns": columns,
                "unknown": sorted({"", *unknown}),
                "longest": _LONGEST,
                "compression": "gzip" if plain.packed else "none",
                **parameters,
            },
        )
    except duckdb.Error as error:
        if interrupted(error):
            raise KeyboardInterrupt from error
        # a line too short, too long or no text: the reader of lines says which
        return None
    found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 (own name)
    rows = int(found[0]) if found else 0
    if rows != plain.lines - above:
        connection.execute(f"DROP TABLE {table}")
        return None
    return rows
