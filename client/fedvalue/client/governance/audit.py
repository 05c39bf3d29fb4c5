"""The site's audit log: what was asked, approved, answered and refused. Never a patient, never a count."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import rfc8785

from fedvalue.errors import LedgerBroken, OutputError

START = "0" * 64
TAIL = 4096
"""Bytes read at once from the end of the log."""


@dataclass(frozen=True, slots=True)
class AuditLog:
    """An append-only file of JSON lines, each holding the hash of the one before.

    Attributes:
      path: The file, mode 0600.
      clock: Tells the time.
    """

    path: Path
    clock: Callable[[], datetime]

    def write(self, event: str, **fields: str | int) -> None:
        """Append one event.

        Raises:
          OutputError: the log cannot be written; the caller must then not answer.
        """
        try:
            with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                last, torn = _last_line(file)
                before = hashlib.sha256(last).hexdigest() if last else START
                body = {"time": self.clock().isoformat(), "event": event, "before": before, **fields}
                # a line that a crash tore stays where it is, and is chained like any other
                file.write((b"\n" if torn else b"") + rfc8785.dumps(body) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"the audit log cannot be written: {error.strerror}", where=str(self.path)
            ) from error

    def entries(self) -> list[dict[str, object]]:
        """Return all events, oldest first, after checking the chain.

        A change of the last line, or an end that is cut off, cannot be seen from the file alone. A line that
        a crash tore, and that the next one names, is an event ``torn``.

        Raises:
          LedgerBroken: a line that another one follows was changed or taken out, or the file is no log.
        """
        before, found = START, list[dict[str, object]]()
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        for number, line in enumerate(lines, start=1):
            where = f"{self.path}:{number}"
            try:
                body = json.loads(line)
            except (ValueError, RecursionError) as error:
                if number < len(lines) and hashlib.sha256(line).hexdigest().encode() in lines[number]:
                    before = hashlib.sha256(line).hexdigest()
                    found.append({"event": "torn"})
                    continue
                raise LedgerBroken("a line of the audit log is no JSON", where=where) from error
            if not isinstance(body, dict) or body.get("before") != before:
                raise LedgerBroken(
                    f"line {number} of the audit log does not follow the one before: one of both was "
                    "changed, or lines between them are gone",
                    where=where,
                    do="compare with a copy of the log",
                )
            before = hashlib.sha256(line).hexdigest()
            found.append(body)
        return found


def _last_line(file: BinaryIO) -> tuple[bytes, bool]:
    """Return the last line without its end, and whether that end is missing; reads no more than it needs."""
    size, found = file.seek(0, os.SEEK_END), b""
    while size and found.rstrip(b"\n").count(b"\n") == 0:
        start = max(0, size - TAIL)
        file.seek(start)
        found, size = file.read(size - start) + found, start
    return found.rstrip(b"\n").rpartition(b"\n")[2], bool(found) and not found.endswith(b"\n")
