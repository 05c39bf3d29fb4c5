"""Lines of a text file in blocks: gzip by content, strict decoding, line breaks inside quotes mended.

Python cuts the file into lines and DuckDB cuts lines into cells, so that every line keeps its true number and
one broken quote costs one line, not the rest of the file. A line is never joined with one that reads as a
record, or as the start of one, by itself: one patient's broken row takes no row of another patient.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from fedvalue.client.records.connectors import BLANKS
from fedvalue.errors import SourceMissing, SourceUnreadable

BLOCK = 8 << 20
LONGEST_LINE = 64 << 20
"""Bytes of a line; a longer one is no text of a table and is left out, alone."""
BOMB = 1 << 27
"""Bytes that gzip may unpack to, however small it is; beyond, at most `MOST_TIMES` times its own."""
MOST_TIMES = 400
LINES_IN_QUOTES = 20
"""How many lines one quoted cell may span."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive lines.

    Attributes:
      first: Number of the first of them, 1 at the top of the file.
      lines: Their text without line breaks; None where the bytes are not text in the encoding, or
        more than `LONGEST_LINE`.
    """

    first: int
    lines: list[str | None]


def blocks(
    path: Path, encoding: str, *, where: str, errors: Literal["strict", "replace"] = "strict"
) -> Iterator[Block]:
    """Yield the lines of a file, some megabytes at a time.

    Args:
      path: The file, plain or gzip.
      encoding: Of its text.
      where: Its name in errors.
      errors: ``replace`` puts U+FFFD for bytes that are not text, for files where several patients share a
        line; ``strict`` gives None for the line.

    Raises:
      SourceMissing: the file cannot be opened.
      SourceUnreadable: damaged gzip, or UTF-16.
    """
    first = 1
    rest = b""
    for data in chunks(path, where):
        if first == 1 and not rest and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise SourceUnreadable(
                "the file is in UTF-16",
                where=where,
                do="save it as UTF-8 text (a CSV export), or say its encoding",
            )
        end = data.rfind(b"\n")
        if end < 0:
            # of a line that is too long, that is all that matters
            rest = rest if len(rest) > LONGEST_LINE else (rest + data)[: LONGEST_LINE + 1]
            continue
        lines = _decoded(rest + data[:end], encoding, errors, first == 1)
        rest = data[end + 1 :]
        yield Block(first, lines)
        first += len(lines)
    if rest:
        yield Block(first, _decoded(rest, encoding, errors, first == 1))


def chunks(path: Path, where: str) -> Iterator[bytes]:
    """Yield the bytes of a file, unpacked if it is gzip, some megabytes at a time.

    Args:
      path: The file.
      where: Its name in errors.

    Raises:
      SourceMissing: the file cannot be opened.
      SourceUnreadable: damaged gzip, or a few bytes that unpack to more than any table has.
    """
    unpacked = 0
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            with gzip.GzipFile(fileobj=plain) if zipped else plain as stream:
                while data := stream.read(BLOCK):
                    unpacked += len(data)
                    if unpacked > BOMB and zipped and unpacked > MOST_TIMES * plain.tell():
                        raise SourceUnreadable(
                            f"the gzip file unpacks to more than {MOST_TIMES} times its size",
                            where=where,
                            do="unpack it and look at it; if it is right, leave it unpacked",
                        )
                    yield data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceUnreadable(
            "the gzip file is damaged or cut short", where=where, do="copy it again"
        ) from error
    except OSError as error:
        raise SourceMissing(f"the file cannot be read: {error.strerror}", where=where) from error


def _decoded(whole: bytes, encoding: str, errors: str, top: bool) -> list[str | None]:
    """Return the lines of some bytes, which end before a line break or with the file."""
    if top:
        whole = whole.removeprefix(b"\xef\xbb\xbf")
    if len(whole) > LONGEST_LINE and max(map(len, whole.split(b"\n"))) > LONGEST_LINE:
        return [_decoded_line(line, encoding, errors) for line in whole.split(b"\n")]
    try:
        # Splitting at a line break is safe in both encodings: 0x0A is never the second byte of a character.
        text = cast("list[str | None]", whole.decode(encoding).split("\n"))
        return [line and line.removesuffix("\r") for line in text] if b"\r" in whole else text
    except UnicodeDecodeError:
        return [_decoded_line(line, encoding, errors) for line in whole.split(b"\n")]


def _decoded_line(line: bytes, encoding: str, errors: str) -> str | None:
    try:
        return line.decode(encoding, errors).removesuffix("\r") if len(line) <= LONGEST_LINE else None
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


@dataclass(frozen=True, slots=True)
class Grammar:
    """Records with cells in double quotes.

    Attributes:
      delimiter: Between two cells.
      width: Cells of a record.
      cell: One cell with the delimiter behind it. A line break stands only inside quotes.
      record: Any number of those.
      tail: A cell whose quote stays open.
    """

    delimiter: str
    width: int
    cell: re.Pattern[str]
    record: re.Pattern[str]
    tail: re.Pattern[str]

    @classmethod
    def of(cls, delimiter: str, width: int) -> Grammar:
        """Return the grammar of records of ``width`` cells."""
        mark = re.escape(delimiter)
        inside = ' *+"(?:[^"]++|"")*+'
        cell = rf'(?:{inside}"| *+[^{mark}" \n][^{mark}\n]*+| *+){mark}'
        return cls(delimiter, width, re.compile(cell), re.compile(f"(?:{cell})*+"), re.compile(inside))

    def sound(self, text: str) -> bool:
        """Return whether the text is one whole record."""
        ended = text + self.delimiter
        return self.record.fullmatch(ended) is not None and len(self.cell.findall(ended)) == self.width

    def opens(self, text: str) -> bool:
        """Return whether the text is the start of a record, up to a cell whose quote stays open.

        That cell is never the first one, whose last line could not be told from a record.
        """
        if '"' not in text or self.record.fullmatch(text + self.delimiter) is not None:
            return False
        whole = self.record.match(text)
        end = whole.end() if whole is not None else 0
        before = len(self.cell.findall(text, 0, end))
        return 1 <= before < self.width and self.tail.fullmatch(text, end) is not None


def whole_records(stream: Iterator[Block], width: int, delimiter: str) -> Iterator[Block]:
    """Put cells that hold a line break back together.

    A line whose quote stays open is joined with the following ones, fewer than `LINES_IN_QUOTES`, if that
    makes a record of ``width`` cells, and if none of those lines is by itself such a record, or the start of
    one. So what is joined depends on no line above or below it, and rows that are sound by themselves stay
    whatever stands beside them. The joined lines leave empty ones behind, so line numbers stay true. If
    nothing fits, the line stays as it is and is counted as malformed, alone.
    """
    grammar = Grammar.of(delimiter, width)
    first, kept = 1, list[str | None]()
    for block in stream:
        if not kept:
            first = block.first
        lines = kept + block.lines
        settled = _join(lines, grammar, last=False)
        yield Block(first, lines[:settled])
        first, kept = first + settled, lines[settled:]
    if kept:
        _join(kept, grammar, last=True)
        yield Block(first, kept)


def _join(lines: list[str | None], grammar: Grammar, *, last: bool) -> int:
    """Join in place; return how many lines at the head are settled."""
    position = 0
    while position < len(lines):
        line = lines[position]
        if line is not None and grammar.opens(line):
            if not last and position + LINES_IN_QUOTES >= len(lines):
                return position
            _close(lines, position, line, grammar)
        position += 1
    return position


def _close(lines: list[str | None], position: int, joined: str, grammar: Grammar) -> None:
    for end in range(position + 1, min(position + LINES_IN_QUOTES, len(lines))):
        line = lines[end]
        if line is None or (line.strip(BLANKS) and (grammar.sound(line) or grammar.opens(line))):
            return
        joined = f"{joined}\n{line}"
        if len(joined) > LONGEST_LINE:
            return
        if grammar.sound(joined):
            lines[position] = joined
            lines[position + 1 : end + 1] = [""] * (end - position)
            return
        if not grammar.opens(joined):
            return
