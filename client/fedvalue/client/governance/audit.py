"""The site's audit log: what was asked, approved, answered and refused. Never a patient, never a count.

Each line holds the hash of the one before and is signed with a key of the log's own, ``keys/audit.pem``. It
is made with the first signed line and is under no passphrase: the log is also written where nobody can be
asked. Beside the log, ``audit.head`` says where its last whole line ends. So a change anywhere is seen from
the files of this site alone, the last line and a cut end included, and a line that a crash tore is no damage.
Who holds the machine and all its keys can forge all of it; against that, the audit administrator seals the
end of the log now and then and keeps the seal elsewhere (`fedvalue.client.governance.seals`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedvalue.errors import LedgerBroken, OutputError, SignatureInvalid
from fedvalue.study.keys import load_key, make_key, replace_file
from fedvalue.study.signature import public_hex

START = "0" * 64
TAIL = 4096
"""Bytes read at once from the end of the log."""

SIGNATURE = "signature"
"""Key of a line that holds its signature, base64 of Ed25519 over the line without it."""

HEAD = "audit.head"
"""Beside the log: where its last whole line ends, 20 digits, and that line's SHA-256."""

KEY, PUBLIC = "audit.pem", "audit.pub"
_CONTEXT = b"fedvalue audit line\x00"


@dataclass(frozen=True, slots=True)
class AuditLog:
    """An append-only file of signed JSON lines, each holding the hash of the one before.

    Attributes:
      path: The file, mode 0600; its key lies in ``keys`` beside it.
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
                body: dict[str, object] = {
                    "time": self.clock().isoformat(), "event": event, "before": before, **fields,
                }  # fmt: skip
                signed = self._key().sign(_CONTEXT + rfc8785.dumps(body))  # type: ignore[arg-type]  # JSON values
                line = rfc8785.dumps({**body, SIGNATURE: b64encode(signed).decode()})  # type: ignore[dict-item]  # as above
                # a line that a crash tore stays where it is, and is chained like any other
                file.write((b"\n" if torn else b"") + line + b"\n")
                file.flush()
                os.fsync(file.fileno())
                self._note(file.tell(), line)
        except (OSError, SignatureInvalid) as error:
            why = error.strerror if isinstance(error, OSError) else error.what
            raise OutputError(f"the audit log cannot be written: {why}", where=str(self.path)) from error

    def entries(self) -> list[dict[str, object]]:
        """Return all events, oldest first, after checking chain, signatures and end.

        A line that a crash tore is an event ``torn``. Lines from before the log had a key are not signed;
        after the first signed one all are.

        Raises:
          LedgerBroken: a line was changed or taken out, the end is missing, or the file is no log.
        """
        raw = self.path.read_bytes() if self.path.exists() else b""
        self._require_end(raw)
        public = self._public()
        before, found, signing = START, list[dict[str, object]](), False
        lines = raw.split(b"\n")
        whole = len(lines) - 1
        for number, line in enumerate(lines[:-1] if not lines[-1] else lines, start=1):
            where = f"{self.path}:{number}"
            after = lines[number] if number < len(lines) else b""
            body = _read(line)
            if body is None:
                if number <= whole and hashlib.sha256(line).hexdigest().encode() not in after:
                    raise LedgerBroken("a line of the audit log is no JSON", where=where)
                # torn by a crash: the next line names it, or it is the last one and has no end
                before = hashlib.sha256(line).hexdigest()
                found.append({"event": "torn"})
                continue
            if body.get("before") != before:
                raise LedgerBroken(
                    f"line {number} of the audit log does not follow the one before: one of both was "
                    "changed, or lines between them are gone",
                    where=where,
                    do="compare with a copy of the log",
                )
            signed = body.pop(SIGNATURE, None)
            signing = signing or signed is not None
            if signing and not _holds(body, signed, public):
                raise LedgerBroken(
                    f"line {number} of the audit log is not as it was signed", where=where,
                    do="compare with a copy of the log",
                )  # fmt: skip
            before = hashlib.sha256(line).hexdigest()
            found.append(body)
        return found

    def hash_of(self, number: int) -> str:
        """Return the SHA-256 of a line, counted from 1; empty if there is no such line."""
        lines = self.path.read_bytes().split(b"\n") if self.path.exists() else []
        return hashlib.sha256(lines[number - 1]).hexdigest() if 1 <= number <= len(lines) else ""

    def _key(self) -> Ed25519PrivateKey:
        """Read the log's key, or make it; the caller holds the log's lock."""
        path = self.path.parent / "keys" / KEY
        if path.exists():
            return load_key(path)
        made = make_key(path)
        replace_file(path.with_name(PUBLIC), public_hex(made).encode(), mode=0o600)
        return made

    def _public(self) -> Ed25519PublicKey | None:
        path = self.path.parent / "keys" / PUBLIC
        try:
            return Ed25519PublicKey.from_public_bytes(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        except (OSError, ValueError):
            return None

    def _note(self, end: int, line: bytes) -> None:
        """Write down where the log ends: one write of 86 bytes, without a sync, at most one line behind."""
        descriptor = os.open(self.path.with_name(HEAD), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, f"{end:020d} {hashlib.sha256(line).hexdigest()}\n".encode(), 0)
        finally:
            os.close(descriptor)

    def _require_end(self, raw: bytes) -> None:
        """Refuse a log that ends before the place that was written down, or holds another line there."""
        path = self.path.with_name(HEAD)
        try:
            place, _, digest = path.read_text(encoding="ascii").strip().partition(" ")
            end = int(place)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise LedgerBroken("the end of the audit log cannot be read", where=str(path)) from error
        line = raw[:end].rstrip(b"\n").rpartition(b"\n")[2]
        if len(raw) < end or hashlib.sha256(line).hexdigest() != digest:
            raise LedgerBroken(
                "the end of the audit log was changed or is gone", where=f"{self.path}:{raw[:end].count(10)}",
                do="compare with a copy of the log",
            )  # fmt: skip


def _read(line: bytes) -> dict[str, object] | None:
    """Return the object of a line; None for what is no JSON, and an empty one for what is no object."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else {}


def _holds(body: dict[str, object], signed: object, key: Ed25519PublicKey | None) -> bool:
    if key is None:
        return False
    try:
        content = _CONTEXT + rfc8785.dumps(body)  # type: ignore[arg-type]  # it was read from JSON
        key.verify(b64decode(str(signed), validate=True), content)
    except (InvalidSignature, ValueError, rfc8785.CanonicalizationError):
        return False
    return True


def _last_line(file: BinaryIO) -> tuple[bytes, bool]:
    """Return the last line without its end, and whether that end is missing; reads no more than it needs."""
    size, found = file.seek(0, os.SEEK_END), b""
    while size and found.rstrip(b"\n").count(b"\n") == 0:
        start = max(0, size - TAIL)
        file.seek(start)
        found, size = file.read(size - start) + found, start
    return found.rstrip(b"\n").rpartition(b"\n")[2], bool(found) and not found.endswith(b"\n")
