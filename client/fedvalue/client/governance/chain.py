"""The file under the ledger: sealed entries in SQLite, append-only, read once and checked link by link.

It knows nothing of budgets; what an entry means is `fedvalue.client.governance.books`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.client.governance.durable import connect, make_private, publish, transaction
from fedvalue.client.governance.entries import BEFORE_THE_FIRST, Entry, seal, unseal
from fedvalue.client.governance.rotation import KIND, handover, signer_after
from fedvalue.errors import LedgerBroken, LedgerError
from fedvalue.study.signature import public_hex

SCHEMA = (
    "CREATE TABLE entry (number INTEGER PRIMARY KEY AUTOINCREMENT, content BLOB, hash TEXT, signature TEXT)",
    "CREATE TABLE reply (debit INTEGER PRIMARY KEY REFERENCES entry (number), content BLOB)",
    *(
        f"CREATE TRIGGER {table}_{verb} BEFORE {verb.upper()} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for table in ("entry", "reply")
        for verb in ("update", "delete")
    ),
)

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of an entry.

    Attributes:
      number: Number of the entry in the ledger.
      hash: Its hash.
      fresh: True if this call wrote it; False if it had been written before.
    """

    number: int
    hash: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a ledger.

    Attributes:
      counter: Grows by one with every entry, and never repeats in the life of a site; at least 1.
      hash: Hash of the last entry, 64 hexadecimal digits.
    """

    counter: int
    hash: str


class Chain:
    """One chain, open in one thread of one process.

    Attributes:
      path: The file.
      entries: What was read and checked so far, oldest first.
    """

    def __init__(self, path: Path, key: Ed25519PrivateKey, clock: Clock, *, patience: float) -> None:
        self.path, self._key, self._clock = path, key, clock
        self._public_key = self._signer = public_hex(key)
        self.entries: list[Entry] = []
        self._connection = connect(path, patience)

    @classmethod
    def create(
        cls, path: Path, key: Ed25519PrivateKey, clock: Clock, first: Mapping[str, Any], *, patience: float
    ) -> None:
        """Make a chain of one entry.

        The file gets its name only when it is whole, and is readable by its owner alone from the start.

        Raises:
          LedgerError: there is a file already, or the place cannot be written.
        """
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.unlink(missing_ok=True)
            make_private(partial)
            with closing(cls(partial, key, clock, patience=patience)) as made, made.transaction("IMMEDIATE"):
                for statement in SCHEMA:
                    made._connection.execute(statement)
                made.append(first)
            publish(partial, path)
        except FileExistsError as error:
            raise LedgerError(
                "there is a ledger already", where=str(path), do="a budget is for life: open this one"
            ) from error
        except OSError as error:
            raise LedgerError(f"the ledger cannot be made: {error.strerror}", where=str(path)) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def require_schema(self) -> None:
        """Refuse a file whose tables or triggers are others.

        Raises:
          LedgerBroken: they are.
        """
        query = "SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        if {row[0] for row in self.rows(query)} != set(SCHEMA):
            raise self.broken("its tables or append-only triggers were changed")

    def append(self, body: Mapping[str, Any]) -> Entry:
        """Seal and write the next entry; it counts once it was read back by `catch_up`."""
        previous = self.entries[-1].hash if self.entries else BEFORE_THE_FIRST
        entry = seal(len(self.entries) + 1, previous, self._clock(), body, self._key)
        self._connection.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?)",
            (entry.number, entry.content(), entry.hash, entry.signature.model_dump_json()),
        )
        return entry

    def store_reply(self, debit: int, reply: bytes) -> None:
        """Write the bytes of a reply beside the entry that binds them."""
        self._connection.execute("INSERT INTO reply VALUES (?, ?)", (debit, reply))

    def catch_up(self) -> Iterator[Entry]:
        """Read and check what was appended since the last look; what was read before stays as it was read.

        Raises:
          LedgerBroken: a link does not hold.
        """
        known = len(self.entries)
        if not known:
            self._signer = self._first_signer()
        ((count, last),) = self.rows("SELECT count(*), coalesce(max(number), 0) FROM entry")
        ((sequence,),) = self.rows(
            "SELECT total(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = 'entry'"
        )
        if not count == last == sequence >= known:
            raise self.broken("entries are missing")
        # The casts let a hand-edited column of another type be nothing but bytes.
        query = (
            "SELECT number, CAST(content AS BLOB), CAST(hash AS BLOB), CAST(signature AS BLOB) FROM entry"
            " WHERE number >= ? ORDER BY number"
        )
        for number, content, digest, signed in self.rows(query, known):
            if number == known:
                if digest != self.entries[-1].hash.encode():
                    raise self.broken("entries were replaced")
                continue
            previous = self.entries[-1].hash if self.entries else BEFORE_THE_FIRST
            entry = unseal(number, previous, content or b"", digest or b"", signed or b"", self._signer)
            self._signer = signer_after(entry, self._signer)
            self.entries.append(entry)
            yield entry
        if self._signer != self._public_key:
            raise self.broken("it goes on under another key than this site's")

    def hand_over(self, key: Ed25519PrivateKey) -> Entry:
        """Write the entry after which ``key`` signs; this object cannot read on, open the ledger with it."""
        previous = self.entries[-1].hash if self.entries else BEFORE_THE_FIRST
        return self.append(handover(len(self.entries) + 1, previous, self._public_key, key))

    def _first_signer(self) -> str:
        """Return the key that should have signed the first entry: the site's, or the first before it."""
        query = """SELECT CAST(content AS BLOB) FROM entry
            WHERE CAST(content AS TEXT) LIKE '%"kind":"rekeyed"%' ORDER BY number"""
        for (content,) in self.rows(query):
            try:
                body = json.loads(content)["body"]
                if body["kind"] == KIND:
                    return str(body["old"])
            except (ValueError, KeyError, TypeError):
                break  # what does not parse is refused when its turn comes
        return self._public_key

    def rows(self, query: str, *values: int) -> Iterator[tuple[Any, ...]]:
        """Return the rows of a query."""
        return iter(self._connection.execute(query, values))

    def content(self) -> bytes:
        """Return the whole file; call it in a transaction."""
        # Not sqlite3's backup(), which waits without end for a process that holds the file.
        return self._connection.serialize()

    def broken(self, what: str) -> LedgerBroken:
        """Return the error for a file that was changed."""
        return LedgerBroken(
            f"the ledger does not hold: {what}",
            where=str(self.path),
            do="answer nothing; see docs/ledger.md for the way back",
        )

    @contextmanager
    def transaction(self, mode: str) -> Iterator[None]:
        """Run the body in one transaction, on the disk when this ends; any error undoes all of it.

        Raises:
          LedgerError: as in `fedvalue.client.governance.durable.translated`.
        """
        try:
            with transaction(self._connection, self.path, mode):
                yield
        except LedgerBroken:
            # Whoever catches this must not be able to go on with what was read so far.
            self.close()
            raise
