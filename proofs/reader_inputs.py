"""Inputs that somebody made to break a reader: tables whose every cell may be hostile, and spoiled bytes.

How many records an input holds is known by construction, until its bytes are spoiled; then an independent
count says it (`reader_laws`).
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

TEXTS = (
    "=1+1", "=cmd|' /C calc'!A0", "@SUM(A1:A9)", "+1", "-1", "'); DROP TABLE patient; --", "a\0b", "\ufeffx",
    "患者", "𠮷", "\u202e1", "x" * 3000, '""', "a,b", 'a"b', '"', "NULL", "nan", "\u3000",
    "\x1a", "\x85", "\u2028", "\x0b", "\x1c", "a\tb", "a|b", "a\nb", "a\r\nb", "\r", "$p0", "%s", "1.0",
    "é", "e\u0301", "\uffff",
    "0" * 400,
    "{}", "[1]", "\\", "\\N", "#", "##", "../../etc/passwd", "*", "?", " ", "-", "L858R", "p.L858R",
)  # fmt: skip
"""Cells that are text, and nothing else."""
NO_DATES = {
    "2026-02-30": "unparseable date", "2026-13-01": "unparseable date", "2025-02-29": "unparseable date",
    "0000-00-00": "unparseable date", "today": "unparseable date", "2026-02-01T": "unparseable date",
    "infinity": "unparseable date", "-2026-01-01": "unparseable date",
    "2026-02-01 25:00:00": "unparseable date", "epoch": "unparseable date", "-Infinity": "unparseable date",
    "1799-12-31": "date out of range", "9999-12-31": "date out of range", "": "missing day",
}  # fmt: skip
"""Days that are none, and what a load says of each."""
NO_AMOUNTS = {
    "-5.00": "negative amount", "-0.01": "negative amount", "1e300": "number out of range",
    "1e400": "number out of range", "9" * 400: "number out of range",
    "10000000000000000": "number out of range",
    "inf": "not a finite number", "-inf": "not a finite number", "12,50": "not a finite number",
    "0x10": "not a finite number", "1_000": "not a finite number", "٣": "not a finite number",
    "--5": "not a finite number", "¥5": "not a finite number", "5.0.0": "not a finite number",
    "=5": "not a finite number", ".": "not a finite number", "e5": "not a finite number",
    "nan": "missing amount", "": "missing amount", "NA": "missing amount",
}  # fmt: skip
"""Amounts that are none, and what a load says of each."""
ODD_AMOUNTS = {
    "+5.5": "5.50", "007.10": "7.10", ".5": "0.50", "5.": "5.00", "1e3": "1000.00", "1E+2": "100.00",
    "2.5e-1": "0.25", "0": "0.00", "-0": "0.00", "1e-400": "0.00", "1e-20": "0.00",
    "999999999999.99": "999999999999.99",
    "1000000000000000": "1000000000000000.00", "00000000000000000000000000000000000000000001": "1.00",
    "0.000000000000000000000000000000000000000000001": "0.00", "12.000000000000000000000000000": "12.00",
}  # fmt: skip
"""Amounts that are amounts, to the cent."""
BLANKS = " \t\r\n\u00a0\u3000\ufeff"


@dataclass(frozen=True, slots=True)
class Made:
    """A folder as it might come from a hospital.

    Attributes:
      files: Bytes by path.
      rows: Records of a file, kept or not, by construction; no entry where its bytes were spoiled.
      encoding: Of its text files.
      expected: Reason to rows, for the one table that it was made to break, where that is known.
      total: Sum of the amounts that have to stand, in cents, where that is known.
    """

    files: Mapping[str, bytes]
    rows: Mapping[str, int]
    encoding: str = "utf-8"
    expected: Mapping[str, int] = field(default_factory=dict)
    total: int | None = None


def cell(text: str, delimiter: str, *, quotes: bool) -> str:
    """Return a cell as it has to be written; without quotes, what would end it becomes a blank."""
    if quotes:
        marked = any(mark in text for mark in (delimiter, '"', "\n", "\r"))
        return '"' + text.replace('"', '""') + '"' if marked else text
    return "".join(" " if letter in (delimiter, "\n", "\r") else letter for letter in text)


def table(
    rng: random.Random,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    delimiter: str = ",",
    quotes: bool = True,
    encoding: str = "utf-8",
    above: Sequence[str] = (),
    broken: bool = True,
) -> tuple[bytes, int]:
    """Return a text file, and how many records it holds.

    Args:
      rng: Draws: order of columns, line ends, byte order mark, blank lines, gzip, lines that are no record.
      header: Names of the columns.
      rows: Cells of each row, in the order of ``header``.
      delimiter: Between two cells.
      quotes: Whether cells may stand in quotes.
      encoding: ``utf-8`` or ``gb18030``.
      above: Lines above the header.
      broken: Whether some lines may be no record: too short, too long, an open quote, bytes that are no text.
    """
    order = list(range(len(header)))
    if rng.random() < 0.3:
        rng.shuffle(order)
    end = b"\r\n" if rng.random() < 0.2 else b"\n"

    def line(cells: Sequence[str]) -> bytes:
        # one cell may break, and not the first: its last line could not be told from a record
        breaks, shown = False, list[str]()
        for place, at in enumerate(order):
            head, mark, tail = cells[at].partition("\n")
            if breaks or not place:
                mark = " " if mark else ""
            breaks = breaks or mark == "\n"
            # nor may the line that ends a cell look like the start of a record
            plain = "".join(" " if letter in f'"{delimiter}' else letter for letter in tail)
            shown.append(head + mark + plain.replace("\n", " ") if mark else head)
        text = delimiter.join(cell(one, delimiter, quotes=quotes) for one in shown)
        return text.encode(encoding)

    lines, before = [line(header)], False
    for cells in rows:
        sound = line(cells)
        if before or not broken or rng.random() > 0.06:
            lines.append(sound)
            before = False
        else:
            # the line below an open quote is a record: two lines that are none might make one together
            lines.append(_no_record(rng, sound, delimiter, quotes=quotes))
            before = True
        if rng.random() < 0.02:
            lines.append(b"" if quotes else b"  ")
    data = end.join([*(one.encode() for one in above), *lines]) + (end if rng.random() < 0.8 else b"")
    if encoding == "utf-8" and rng.random() < 0.1:
        data = b"\xef\xbb\xbf" + data
    return (gzip.compress(data, 1) if rng.random() < 0.1 else data), len(rows)


def _no_record(rng: random.Random, sound: bytes, delimiter: str, *, quotes: bool) -> bytes:
    """Return one line that is not blank and no record of a table, or one again in its own right."""
    mark = delimiter.encode()
    plain = sound.replace(b'"', b"'").replace(b"\n", b" ").replace(b"\r", b" ")
    way = rng.randrange(6)
    if way == 0:
        return b"x" + plain.rpartition(mark)[0].replace(mark, b"", 1)
    if way == 1:
        return plain + mark + b"more"
    if way == 2 and quotes:
        head, _, tail = plain.partition(mark)
        return b"x" + head + mark + b'"' + tail
    if way == 3:
        return b"x\xff\xff\x80" + plain
    if way == 4:
        return b"\0" + plain
    return b"x" + mark * 40


def spoiled(rng: random.Random, made: Made) -> Made:
    """Return an input one of whose files has other bytes than it was made of."""
    name = rng.choice(sorted(made.files))
    data = made.files[name]
    inside = data[:2] == b"\x1f\x8b" and rng.random() < 0.5
    if inside:
        data = gzip.decompress(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        data = _mutated(rng, data)
    if inside:
        data = gzip.compress(data, 1)
    elif rng.random() < 0.05:
        data = gzip.compress(data, 1)[: rng.randrange(1, 60)]
    rows = {file: count for file, count in made.rows.items() if file != name}
    return replace(made, files={**made.files, name: data}, rows=rows, expected={}, total=None)


def _mutated(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    to = min(len(data), at + rng.randrange(1, 60))
    way = rng.randrange(12)
    if way == 0:
        return data[:at]
    if way == 1:
        return data[:at] + rng.randbytes(rng.randrange(1, 20)) + data[at:]
    if way == 2:
        return data[:at] + data[to:]
    if way == 3:
        return data[:to] + data[at:to] * rng.randrange(1, 4) + data[to:]
    if way == 4:
        piece = rng.choice(TEXTS).encode("utf-8", "replace")
        return data[:at] + piece + data[at:]
    if way == 5:
        return (
            data[:at]
            + rng.choice((b"\0", b'"', b"\n", b"\r", b"\r\n", b"\t", b",", b"|", b"\xff"))
            + data[at:]
        )
    if way == 6:
        return (
            rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"BCF\x02\x02", b"\n\n"))
            + data
        )
    if way == 7:
        return data.replace(b"\n", rng.choice((b"\r", b"\r\n", b"\n\r", b" \n", b"\n\n")))
    if way == 8:
        return data.decode("utf-8", "replace").encode(
            rng.choice(("utf-16", "gb18030", "latin-1", "utf-8")), "replace"
        )
    if way == 9:
        return rng.randbytes(rng.randrange(300))
    if way == 10 and data:
        return b"".join([data, data[data.find(b"\n") + 1 :]])
    flipped = bytearray(data)
    for _ in range(rng.randrange(1, 8) if data else 0):
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(flipped)
