"""Lines of a text file in blocks: gzip by content, strict decoding, line breaks inside quotes mended.

Python cuts the file into lines and DuckDB cuts lines into cells, so that every line keeps its true number and
one broken quote costs one line, not the rest of the file.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedvalue.errors import SourceMissing, SourceUnreadable

BLOCK = 8 << 20
LONGEST_LINE = 64 << 20
LINES_IN_QUOTES = 20
"""How many lines one quoted cell may span."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive lines.

    Attributes:
      first: Number of the first of them, 1 at the top of the file.
      lines: Their text without line breaks; None where the bytes are not text in the encoding.
    """

    first: int
    lines: list[str | None]


def blocks(path: Path, encoding: str, *, where: str) -> Iterator[Block]:
    """Yield the lines of a file, some megabytes at a time.

    Raises:
      SourceMissing: the file cannot be opened.
      SourceUnreadable: damaged gzip, UTF-16, or a line longer than any table has.
    """
    first = 1
    rest = b""
    for data in _chunks(path, where):
        if first == 1 and not rest and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise SourceUnreadable(
                "the file is in UTF-16",
                where=where,
                do="save it as UTF-8 text (a CSV export), or say its encoding",
            )
        cut = (rest + data).split(b"\n")
        rest = cut.pop()
        if len(rest) > LONGEST_LINE:
            raise SourceUnreadable(
                f"line {first + len(cut)} is longer than any table's", where=where, do="is it text?"
            )
        if cut:
            yield Block(first, _decoded(cut, encoding, first == 1))
            first += len(cut)
    if rest:
        yield Block(first, _decoded([rest], encoding, first == 1))


def _chunks(path: Path, where: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            with gzip.GzipFile(fileobj=plain) if zipped else plain as stream:
                while data := stream.read(BLOCK):
                    yield data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceUnreadable(
            "the gzip file is damaged or cut short", where=where, do="copy it again"
        ) from error
    except OSError as error:
        raise SourceMissing(f"the file cannot be read: {error.strerror}", where=where) from error


def _decoded(lines: list[bytes], encoding: str, top: bool) -> list[str | None]:
    if top and lines[0].startswith(b"\xef\xbb\xbf"):
        lines[0] = lines[0][3:]
    try:
        # Splitting at the byte 0x0A is safe in both encodings: it is never the second byte of a character.
        return [line.removesuffix("\r") for line in b"\n".join(lines).decode(encoding).split("\n")]
    except UnicodeDecodeError:
        return [_decoded_line(line, encoding) for line in lines]


def _decoded_line(line: bytes, encoding: str) -> str | None:
    try:
        return line.decode(encoding).removesuffix("\r")
    except UnicodeDecodeError:
        return None


def cells(line: str, delimiter: str, *, quotes: bool) -> list[str] | None:
    """Return the cells of one line, or None where a quote is broken."""
    if not quotes:
        return line.split(delimiter)
    try:
        rows = list(csv.reader([line], delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def whole_records(stream: Iterator[Block], width: int, delimiter: str) -> Iterator[Block]:
    """Put cells that hold a line break back together.

    A line whose quote stays open is joined with the following ones, at most `LINES_IN_QUOTES`, if that
    makes a record of ``width`` cells; the joined lines leave empty ones behind, so line numbers stay true.
    If nothing fits, the line stays as it is and is counted as malformed, alone.
    """
    first, kept = 1, list[str | None]()
    for block in stream:
        if not kept:
            first = block.first
        lines = kept + block.lines
        settled = _join(lines, width, delimiter, last=False)
        yield Block(first, lines[:settled])
        first, kept = first + settled, lines[settled:]
    if kept:
        _join(kept, width, delimiter, last=True)
        yield Block(first, kept)


def _join(lines: list[str | None], width: int, delimiter: str, *, last: bool) -> int:
    """Join in place; return how many lines at the head are settled."""
    position = 0
    while position < len(lines):
        line = lines[position]
        if line is not None and line.count('"') % 2 and cells(line, delimiter, quotes=True) is None:
            if not last and position + LINES_IN_QUOTES >= len(lines):
                return position
            _close(lines, position, width, delimiter)
        position += 1
    return position


def _close(lines: list[str | None], position: int, width: int, delimiter: str) -> None:
    for end in range(position + 1, min(position + LINES_IN_QUOTES, len(lines))):
        line = lines[end]
        if line is None:
            return
        if line.count('"') % 2 == 0:
            continue
        joined = "\n".join(text or "" for text in lines[position : end + 1])
        parts = cells(joined, delimiter, quotes=True)
        if parts is not None and len(parts) == width:
            lines[position] = joined
            lines[position + 1 : end + 1] = [""] * (end - position)
            return
