"""Binary VCF through pysam (htslib), as the text that the reader of VCF takes; and whether BGZF is whole.

A BCF turns into the lines that the same calls have in a VCF, so both follow one set of rules. pysam is asked
for only here: a site without BCF needs none. `docs/decisions` says why text files are read without it.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from fedvalue.client.records.text_lines import Block, chunks
from fedvalue.errors import SourceMissing, SourceUnreadable

_END_OF_BGZF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends every BGZF file: SAM format specification, section 4.1.2."""
_BGZF_HEAD = 18
_RECORDS = 4096
_EXTRA = 4
_TRUNCATED = "the file is damaged or cut short"


def require_whole(path: Path, *, where: str) -> None:
    """Check that a BGZF file (bgzip, BCF) ends with its end mark; other files are let through.

    BGZF is many small gzip members: a file that was cut between two of them would unpack without complaint.

    Raises:
      SourceMissing: the file cannot be opened.
      SourceUnreadable: the end mark is not there.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_BGZF_HEAD)
            if (
                head[:3] != b"\x1f\x8b\x08"
                or len(head) < _BGZF_HEAD
                or not head[3] & _EXTRA
                or head[12:14] != b"BC"
            ):
                return
            stream.seek(-min(len(_END_OF_BGZF), path.stat().st_size), 2)
            whole = stream.read() == _END_OF_BGZF
    except OSError as error:
        raise SourceMissing(f"the file cannot be read: {error.strerror}", where=where) from error
    if not whole:
        raise SourceUnreadable(
            "the gzip file is damaged or cut short: BGZF's end mark is not there",
            where=where,
            do="copy it again",
        )


def is_bcf(path: Path) -> bool:
    """Tell whether a file is a BCF by its first bytes, packed or not."""
    try:
        with path.open("rb") as plain:
            head = plain.read(5)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path, "rb") as stream:
                head = stream.read(5)
    except (OSError, EOFError, zlib.error):
        return False
    return head[:3] == b"BCF"


def bcf_blocks(path: Path, *, where: str) -> Iterator[Block]:
    """Yield the lines of a BCF as a VCF has them, header first.

    Raises:
      SourceUnreadable: pysam is not installed, or cannot read the file to its end.
    """
    try:
        import pysam  # only a site with BCF files has it
    except ImportError as error:
        raise SourceUnreadable(
            "a BCF is read by pysam, which is not installed",
            where=where,
            do="install fedvalue[client], or write a VCF with `bcftools view -O z`",
        ) from error
    for _ in chunks(path, where):
        pass  # what is damaged, or unpacks to no end, does not reach htslib
    # htslib writes positions of broken records to the terminal, and a log holds no patient's data
    loud = pysam.set_verbosity(0)
    try:
        with pysam.VariantFile(str(path), "r") as source:
            # only a line feed ends a line: splitlines() would cut a name with a vertical tab in two
            lines: list[str | None] = [*str(source.header).removesuffix("\n").split("\n")]
            first = 1
            for record in source:
                lines.append(str(record).removesuffix("\n"))
                if len(lines) >= _RECORDS:
                    yield Block(first, lines)
                    first, lines = first + len(lines), []
            yield Block(first, lines)
    except (OSError, ValueError, NotImplementedError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        raise SourceUnreadable(
            f"{_TRUNCATED}, or no BCF ({type(error).__name__})", where=where, do="copy it again"
        ) from error
    finally:
        pysam.set_verbosity(loud)
