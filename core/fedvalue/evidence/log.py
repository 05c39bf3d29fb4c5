"""The append-only evidence log: one line a document, each line chained to the one before it.

A line names a document by identity and SHA-256; the documents stand beside the log. Changing, removing
or reordering a line breaks the chain. Cutting the end off is seen by whoever remembers the last hash.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import rfc8785
from pydantic import AwareDatetime, Field

from fedvalue.analyses.estimate import Value
from fedvalue.errors import EvidenceError, OutputError
from fedvalue.evidence import documents
from fedvalue.evidence.fields import Digest

START = "0" * 64
"""What the first line is chained to."""


class Entry(Value):
    """One line of the log.

    Attributes:
      sequence: 1, 2, 3, ...
      time: When it was added.
      document: Identity of the document, such as ``ev-...``.
      document_digest: SHA-256 of its canonical form.
      previous: ``hash`` of the line before, or `START`.
      hash: SHA-256 of the RFC 8785 form of this line without ``hash``.
    """

    sequence: int = Field(ge=1)
    time: AwareDatetime
    document: str = Field(min_length=1)
    document_digest: Digest
    previous: Digest
    hash: Digest


def append(path: Path, *, document: str, document_digest: str, now: datetime) -> Entry:
    """Add a line; it is on disk when this returns.

    Args:
      path: The log; made if it is not there.
      document: Identity of the document.
      document_digest: SHA-256 of its canonical form.
      now: The time, with its zone.

    Raises:
      EvidenceError: the log so far does not hold.
      OutputError: the log cannot be written.
    """
    try:
        handle = path.open("a+b")
    except OSError as error:
        raise OutputError(f"the log cannot be written: {error.strerror}", where=str(path)) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        entries = _read(handle.read(), str(path))
        body = {
            "sequence": len(entries) + 1,
            "time": now.isoformat(),
            "document": document,
            "document_digest": document_digest,
            "previous": entries[-1].hash if entries else START,
        }
        entry = Entry.model_validate_json(json.dumps({**body, "hash": START}))
        entry = entry.model_copy(update={"hash": _hash(entry)})
        try:
            handle.write(documents.canonical(entry) + b"\n")
            handle.flush()
            os.fsync(handle.fileno())
        except OSError as error:
            raise OutputError(f"the log cannot be written: {error.strerror}", where=str(path)) from error
    return entry


def verify(path: Path, *, head: str | None = None) -> tuple[Entry, ...]:
    """Check the whole log.

    Args:
      path: The log.
      head: A hash seen earlier, which must still be in the log.

    Returns:
      Its entries, oldest first.

    Raises:
      EvidenceError: unreadable, a line was changed, removed or reordered, or ``head`` is gone.
    """
    entries = _read(documents.read_bytes(path), str(path))
    if head is not None and head not in {entry.hash for entry in entries}:
        raise EvidenceError("a line seen earlier is gone", where=str(path), do="the log was cut or replaced")
    return entries


def _read(raw: bytes, where: str) -> tuple[Entry, ...]:
    if raw and not raw.endswith(b"\n"):
        raise EvidenceError("the last line is incomplete", where=where, do="restore the log from its copy")
    entries: list[Entry] = []
    for number, line in enumerate(raw.split(b"\n")[:-1], start=1):
        at = f"{where}, line {number}"
        entry = documents.parse(Entry, line, where=at)
        previous = entries[-1].hash if entries else START
        if (entry.sequence, entry.previous) != (number, previous) or entry.hash != _hash(entry):
            raise EvidenceError("the chain is broken", where=at, do="this line or one before it was changed")
        entries.append(entry)
    return tuple(entries)


def _hash(entry: Entry) -> str:
    body: dict[str, Any] = documents.content(entry, without=frozenset({"hash"}))
    return hashlib.sha256(rfc8785.dumps(body)).hexdigest()
