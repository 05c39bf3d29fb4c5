"""The durable journal of the private sum: no round ever has two answers, whatever dies in between.

`Journal` of `fedvalue.strategies.secure_aggregation.private_sum.journal` says what is remembered; this one
keeps it in one SQLite file, on the disk before a call returns. What was written first stays: the file's own
triggers refuse a change. Replies may be dropped once their epoch is over; a place without its reply is a
burnt round, so that loses an answer and never makes a second one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from fedvalue.client.governance.durable import Tables
from fedvalue.client.governance.ledger import PATIENCE, Head
from fedvalue.client.governance.receipts import Receipts
from fedvalue.errors import LedgerBroken, LedgerError
from fedvalue.strategies.secure_aggregation.private_sum.journal import LedgerEnd

NAME = "the journal"
_KEY = "PRIMARY KEY (epoch, number, step)"
SCHEMA = (
    f"CREATE TABLE place (epoch TEXT, number INTEGER, step TEXT, digest BLOB NOT NULL, {_KEY})",
    f"CREATE TABLE reply (epoch TEXT, number INTEGER, step TEXT, content BLOB NOT NULL, {_KEY})",
    *(
        f"CREATE TRIGGER {table}_{verb} BEFORE {verb.upper()} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, 'what was written first stays'); END"
        for table, verb in (("place", "update"), ("place", "delete"), ("reply", "update"))
    ),
)
_DIGEST = "SELECT digest FROM place WHERE epoch = ? AND number = ? AND step = ?"
_REPLY = "SELECT content FROM reply WHERE epoch = ? AND number = ? AND step = ?"
DIGEST_BYTES = 32


class DurableJournal:
    """The journal of one site, for all its studies; safe for several threads and processes."""

    def __init__(self, tables: Tables, receipts: Receipts) -> None:
        self._tables, self._receipts = tables, receipts

    @classmethod
    def open(cls, path: Path, receipts: Receipts, *, patience: float = PATIENCE) -> Self:
        """Open the journal, or make an empty one.

        An absent journal is no danger: the secrets of every epoch that it could speak of died with the
        process that held them.

        Args:
          path: The file, mode 0600.
          receipts: Where the ends of peers' ledgers are kept.
          patience: Seconds to wait for another process.

        Raises:
          LedgerError: it cannot be made, is damaged, or is not ours.
        """
        return cls(Tables.open(path, SCHEMA, name=NAME, patience=patience, create=True), receipts)

    def close(self) -> None:
        """Close the file; the receipts stay open."""
        self._tables.close()

    def first(self, epoch: str, number: int, step: str, digest: bytes) -> tuple[bytes, bool]:
        """Write ``digest`` unless something stands there already.

        Args:
          epoch: Epoch id.
          number: Round, from 1; 0 for the epoch as a whole.
          step: Which "once only" it is.
          digest: 32 bytes.

        Returns:
          What stands there now, and True if this call wrote it.

        Raises:
          LedgerError: the disk refuses; the caller must answer nothing.
        """
        if len(digest) != DIGEST_BYTES:
            raise LedgerError(f"a digest has {DIGEST_BYTES} bytes", where=f"{epoch}/{number}/{step}")
        with self._tables.transaction("IMMEDIATE") as rows:
            found = rows.execute(_DIGEST, (epoch, number, step)).fetchone()
            if found is not None:
                return self._bytes(found[0], epoch, number, step), False
            rows.execute("INSERT INTO place VALUES (?, ?, ?, ?)", (epoch, number, step, digest))
        return digest, True

    def peek(self, epoch: str, number: int, step: str) -> bytes | None:
        """Return what stands there, or None; writes nothing.

        Raises:
          LedgerError: the disk refuses.
        """
        found = self._tables.row(_DIGEST, epoch, number, step)
        return None if found is None else self._bytes(found[0], epoch, number, step)

    def store(self, epoch: str, number: int, step: str, reply: bytes) -> None:
        """Keep the one reply to what `first` wrote there, before it is sent.

        Raises:
          LedgerError: nothing was written there, another reply is kept, or the disk refuses.
        """
        place = (epoch, number, step)
        with self._tables.transaction("IMMEDIATE") as rows:
            if rows.execute(_DIGEST, place).fetchone() is None:
                raise LedgerError("nothing was asked there", where=f"{epoch}/{number}/{step}")
            found = rows.execute(_REPLY, place).fetchone()
            if found is None:
                rows.execute("INSERT INTO reply VALUES (?, ?, ?, ?)", (*place, reply))
            elif found[0] != reply:
                raise LedgerError(
                    "another reply is kept there", where=f"{epoch}/{number}/{step}", do="send the stored one"
                )

    def stored(self, epoch: str, number: int, step: str) -> bytes | None:
        """Return the reply kept there, the same bytes for ever, or None.

        Raises:
          LedgerError: the disk refuses.
        """
        found = self._tables.row(_REPLY, epoch, number, step)
        return None if found is None else bytes(found[0])

    def drop_replies(self, epoch: str) -> None:
        """Give the disk back what an epoch that is over has answered; its places stay for ever.

        Raises:
          LedgerError: the disk refuses.
        """
        with self._tables.transaction("IMMEDIATE") as rows:
            rows.execute("DELETE FROM reply WHERE epoch = ?", (epoch,))

    def witness(self, site: str, seen: LedgerEnd) -> None:
        """Remember the end of a peer's ledger if it is later than what is remembered.

        Raises:
          LedgerRolledBack: the peer has shown two ledgers with one counter.
          LedgerError: the disk refuses.
        """
        self._receipts.saw(site, Head(seen.counter, seen.head.hex()))

    def witnessed(self, site: str) -> LedgerEnd | None:
        """Return the latest end of a peer's ledger that was seen, or None."""
        latest = self._receipts.latest(site)
        return None if latest is None else LedgerEnd(latest.counter, bytes.fromhex(latest.hash))

    def _bytes(self, found: object, epoch: str, number: int, step: str) -> bytes:
        # Somebody with the sqlite3 command could leave a number or nothing there.
        if not isinstance(found, bytes) or len(found) != DIGEST_BYTES:
            raise LedgerBroken("an entry of the journal is no digest", where=f"{epoch}/{number}/{step}")
        return found
