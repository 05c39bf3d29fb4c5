"""What a load need not read again: files whose bytes and meaning are what they were.

The store is always what a first load of the folder would make of it. A file is passed over where its digest
and the parts of the mapping that read it are those of the load before, where none of its rows was left out
for want of a patient who has come since, and where no key of it stands in another file of its table. What a
table makes of several files together, such as adjustments of claims or who was tested, is read whole or not
at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from fedvalue.client.records.claim_sections import Claim, ClaimLine, Enrolment, VitalStatus
from fedvalue.client.records.mapping import Mapping as MappingFile
from fedvalue.client.records.mapping import SourceFile
from fedvalue.client.records.measurement_sections import Measurement
from fedvalue.client.records.report import FileReport, LeftOut, TableReport
from fedvalue.client.records.rules import DUPLICATE_CLAIM, LINE_OF_CLAIM, REPEATED, STRANGER
from fedvalue.client.records.sections import (
    Admission,
    AdverseEvent,
    Coded,
    Drug,
    Event,
    FollowUp,
    Response,
    Table,
    Variant,
)

READER = 2
"""Raised when the same bytes and the same mapping may give other rows than before."""
_BY_FILE = (
    Admission, AdverseEvent, Claim, ClaimLine, Coded, Drug, Enrolment, Event, FollowUp, Measurement,
    Response,
)  # fmt: skip
_HASHED = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """One file of the folder.

    Attributes:
      shown: Path below the folder.
      path: Where it is.
      digest: SHA-256, 64 hexadecimal digits.
    """

    shown: str
    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """One file as it went into one table of the mapping.

    Attributes:
      source: Number of its rows in the store.
      digest: Of the file.
      report: What became of its rows.
      reading: How the file itself was read.
    """

    source: int
    digest: str
    report: TableReport
    reading: FileReport


@dataclass(slots=True)
class Memory:
    """What the store knows of earlier loads, by recipe and file.

    Attributes:
      earlier: Files that went into the store.
      last: Highest number of a source.
      newcomers: True where patients have come since.
    """

    earlier: dict[tuple[str, str], Earlier] = field(default_factory=dict)
    last: int = 0
    newcomers: bool = False

    def standing(
        self, table: Table, recipe: str, files: Sequence[Found], *, whole: bool = False
    ) -> dict[str, Earlier]:
        """Return the files of a table whose rows in the store stay, by path.

        Args:
          table: What the mapping says.
          recipe: From `recipe`.
          files: That the table is read from today.
          whole: Read all files again if one of them is.
        """
        kept: dict[str, Earlier] = {}
        for file in files:
            found = self.earlier.get((recipe, file.shown))
            if found is not None and found.digest == file.digest and not self._misses(table, found):
                kept[file.shown] = found
        there = {file.shown for file in files}
        known = {shown for its, shown in self.earlier if its == recipe}
        if len(kept) == len(files) and known == there:
            return kept
        together = (
            whole or not by_file(table) or any(_shadowed(self.earlier[recipe, shown]) for shown in known)
        )
        return {} if together and known else kept

    def _misses(self, table: Table, found: Earlier) -> bool:
        if not self.newcomers:
            return False
        if isinstance(table, Variant) and table.tested == "all patients":
            return True
        if isinstance(table, VitalStatus) and table.complete_until is not None:
            return True
        return any(item.reason == STRANGER for item in found.report.left_out)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
      OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def recipe(table: Table, source: SourceFile) -> str:
    """Return the digest of what the mapping says of a table and of its file, whatever their names there."""
    said = [
        READER,
        type(table).__name__,
        table.model_dump(mode="json", exclude={"file"}),
        source.model_dump(mode="json"),
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def fingerprint(mapping: MappingFile, files: Mapping[str, Sequence[Found]], secret: str) -> str:
    """Return the digest of everything that the store is made of."""
    said = [
        READER,
        mapping.model_dump(mode="json"),
        {name: [(file.shown, file.digest) for file in found] for name, found in files.items()},
        secret,
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def by_file(table: Table) -> bool:
    """Tell whether the rows of one file of a table hang on no other file of it."""
    if isinstance(table, Claim) and (table.claim_id is None or table.nets):
        return False
    numbered = table.patient_id is not None and table.patient_id.row_number
    return isinstance(table, _BY_FILE) and not numbered


def remember(connection: duckdb.DuckDBPyConnection) -> Memory:
    """Return what the store that is open knows of earlier loads."""
    memory = Memory()
    for source, made_by, file, digest, report, reading in connection.execute(
        "SELECT source, recipe, file, digest, report, reading FROM loaded ORDER BY source"
    ).fetchall():
        memory.earlier[made_by, file] = Earlier(
            source, digest, TableReport.model_validate_json(report), FileReport.model_validate_json(reading)
        )
        memory.last = max(memory.last, source)
    return memory


def split_report(report: TableReport, file: str) -> TableReport:
    """Return the part of a report that is about one file."""
    read, kept = next(((one.read, one.kept) for one in report.files if one.file == file), (0, 0))

    def own(items: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
        return tuple(item for item in items if item.file == file)

    return TableReport(
        table=report.table, read=read, kept=kept, left_out=own(report.left_out), blanked=own(report.blanked)
    )


def merged(place: str, reports: Sequence[TableReport]) -> TableReport:
    """Return the report of a table from those of its files, in their order."""

    def together(name: str) -> tuple[LeftOut, ...]:
        items = [item for report in reports for item in getattr(report, name)]
        return tuple(sorted(items, key=lambda item: item.reason))

    return TableReport(
        table=place,
        read=sum(report.read for report in reports),
        kept=sum(report.kept for report in reports),
        left_out=together("left_out"),
        blanked=together("blanked"),
    )


def _shadowed(found: Earlier) -> bool:
    """Tell whether a file's row was left out because its key stands elsewhere, perhaps in another file."""
    return any(item.reason in (REPEATED, DUPLICATE_CLAIM, LINE_OF_CLAIM) for item in found.report.left_out)
