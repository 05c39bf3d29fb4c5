"""The site's privacy ledger: one SQLite file, append-only, charged before anything leaves.

Charge, then release. A debit checks the budget's filter and appends the entry in one transaction that
has reached the disk when it returns; only then may a row be touched. What a crash leaves behind is a
charge without a reply, never a reply without a charge. The one reply of each attempt is stored before it
is sent, so that a retransmission returns the same bytes and no attempt ever has two answers.

What is detected: any change, insertion, exchange or removal inside the chain, a removed end (SQLite's own
sequence remembers the last number), removed or added triggers, a reply that differs from its entry, a
budget that is not the one the ledger was opened with. What one site alone cannot detect is the whole file
put back to an earlier copy; peers will keep receipts for that (an entry's number and hash are the receipt).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.client.governance.durable import connect, make_private, publish, transaction
from fedvalue.client.governance.entries import (
    BEFORE_THE_FIRST,
    Attempt,
    Debit,
    Entry,
    answered,
    opened_budget,
    opening,
    seal,
    unseal,
)
from fedvalue.errors import AttemptTaken, BudgetSpent, LedgerBroken, LedgerError
from fedvalue.privacy.accounting import NOTHING, UNITS_PER_RHO, Budget, Price
from fedvalue.study.signature import public_hex

PATIENCE = 5.0
"""Seconds to wait for another process that holds the ledger."""

_SCHEMA = (
    "CREATE TABLE entry (number INTEGER PRIMARY KEY AUTOINCREMENT, content BLOB, hash TEXT, signature TEXT)",
    "CREATE TABLE reply (debit INTEGER PRIMARY KEY REFERENCES entry (number), content BLOB)",
    *(
        f"CREATE TRIGGER {table}_{verb} BEFORE {verb.upper()} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for table in ("entry", "reply")
        for verb in ("update", "delete")
    ),
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a charge.

    Attributes:
      number: Number of the debit in the ledger.
      hash: Hash of the debit.
      fresh: True if this call charged it; False if it had been charged before.
    """

    number: int
    hash: str
    fresh: bool


class Ledger:
    """One site's ledger, open in one thread of one process; open another one elsewhere."""

    def __init__(
        self,
        path: Path,
        key: Ed25519PrivateKey,
        clock: Callable[[], datetime],
        connection: sqlite3.Connection,
    ) -> None:
        self._path, self._key, self._clock, self._connection = path, key, clock, connection
        self._budget: Budget
        self._entries: list[Entry] = []
        self._debits: dict[Attempt, Entry] = {}
        self._replies: dict[int, str] = {}
        self._spent = NOTHING

    @classmethod
    def create(
        cls, path: Path, budget: Budget, key: Ed25519PrivateKey, clock: Callable[[], datetime]
    ) -> Self:
        """Open a new ledger, for life.

        The file gets its name only when it is whole, and is readable by its owner alone from the start.

        Raises:
          LedgerError: there is a ledger already, or the place cannot be written.
        """
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.unlink(missing_ok=True)
            make_private(partial)
            with (
                cls(partial, key, clock, connect(partial, PATIENCE)) as ledger,
                ledger._transaction("IMMEDIATE"),
            ):
                for statement in _SCHEMA:
                    ledger._connection.execute(statement)
                ledger._append(opening(budget))
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
        return cls.open(path, key, clock)

    @classmethod
    def open(
        cls,
        path: Path,
        key: Ed25519PrivateKey,
        clock: Callable[[], datetime],
        *,
        budget: Budget | None = None,
        patience: float = PATIENCE,
    ) -> Self:
        """Open a ledger and verify all of it.

        Args:
          path: The file.
          key: The site's key.
          clock: Tells the time of new entries, with its time zone.
          budget: What the site's policy says now; it must be what the ledger was opened with.
          patience: Seconds to wait while another process writes.

        Raises:
          LedgerBroken: something in it was changed.
          LedgerBusy: another process holds it.
          LedgerError: it is not there, cannot be read, or was opened with another budget.
        """
        ledger = cls(path, key, clock, connect(path, patience))
        try:
            ledger.verify()
            ledger._require(budget or ledger.budget)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def budget(self) -> Budget:
        """The budget that the ledger was opened with."""
        return self._budget

    def spent(self) -> Price:
        """Return what all debits charged together."""
        self._refresh()
        return self._spent

    def remaining_units(self) -> int:
        """Return the rho of the largest release that would still pass, in units of 2^-40."""
        return self.budget.remaining_units(self.spent())

    def entries(self) -> tuple[Entry, ...]:
        """Return every entry, oldest first."""
        self._refresh()
        return tuple(self._entries)

    def verify(self) -> None:
        """Check the whole file again: schema, chain, signatures, replies.

        Raises:
          LedgerBroken: something in it was changed.
        """
        self._entries, self._debits, self._replies, self._spent = [], {}, {}, NOTHING
        with self._transaction("DEFERRED"):
            found = {
                row[0] for row in self._rows("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
            }
            if found != set(_SCHEMA):
                raise self._broken("its tables or append-only triggers were changed")
            self._catch_up()
            if not self._entries:
                raise self._broken("it has no opening entry")
            self._budget = opened_budget(self._entries[0])
            replies = self._rows("SELECT debit, CAST(content AS BLOB) FROM reply")
            stored = {debit: hashlib.sha256(reply or b"").hexdigest() for debit, reply in replies}
            if stored != self._replies:
                raise self._broken("a stored reply is not the one that was sent")

    def debit(self, debit: Debit) -> Receipt:
        """Charge one attempt at a release, if the budget covers it; on the disk when this returns.

        The same debit a second time charges nothing and returns the receipt of the first.

        Raises:
          BudgetSpent: the budget does not cover it; nothing was written.
          AttemptTaken: this attempt was charged with other parameters.
          LedgerBusy: another process holds the ledger.
          LedgerError: the entry cannot be written; nothing may leave.
        """
        with self._transaction("IMMEDIATE"):
            self._catch_up()
            if (known := self._debits.get(debit.key)) is not None:
                if known.body != debit.body():
                    raise AttemptTaken(
                        "this attempt was charged with other parameters",
                        where=f"{debit.release}, attempt {debit.attempt}",
                        do="ask as a new attempt, with a new charge",
                    )
                return Receipt(known.number, known.hash, fresh=False)
            if not self.budget.passes(self._spent, NOTHING, debit.price):
                raise self._refused(debit)
            entry = self._append(debit.body())
        return Receipt(entry.number, entry.hash, fresh=True)

    def store_reply(self, receipt: Receipt, reply: bytes) -> None:
        """Store the one reply of a charged attempt, before it is sent; on the disk when this returns.

        Raises:
          LedgerError: the attempt has another reply already, was never charged, or the disk refuses.
        """
        with self._transaction("IMMEDIATE"):
            self._catch_up()
            self._charged(receipt)
            known = self._replies.get(receipt.number)
            if known is None:
                self._append(answered(receipt.number, reply))
                self._connection.execute("INSERT INTO reply VALUES (?, ?)", (receipt.number, reply))
            elif known != hashlib.sha256(reply).hexdigest():
                raise LedgerError(
                    "this attempt has another reply already",
                    where=f"entry {receipt.number}",
                    do="send the stored one",
                )

    def reply_for(self, receipt: Receipt) -> bytes | None:
        """Return the stored reply of a charged attempt, the same bytes for ever, or None if it has none.

        Raises:
          LedgerBroken: the stored bytes are not those that were sealed.
        """
        with self._transaction("DEFERRED"):
            self._catch_up()
            self._charged(receipt)
            known = self._replies.get(receipt.number)
            if known is None:
                return None
            stored = self._rows("SELECT CAST(content AS BLOB) FROM reply WHERE debit = ?", receipt.number)
            (reply,) = next(stored, (None,))
            if hashlib.sha256(reply or b"").hexdigest() != known:
                raise self._broken(f"the reply to entry {receipt.number} was changed")
            return reply or b""

    def _require(self, budget: Budget) -> None:
        if budget != self._budget:
            raise LedgerError(
                f"the policy says epsilon {budget.epsilon} at delta {budget.delta}, this ledger was opened "
                f"for life with epsilon {self._budget.epsilon} at delta {self._budget.delta}",
                where=str(self._path),
                do="put the ledger's budget back into the policy: a new one is never taken over silently",
            )

    def _charged(self, receipt: Receipt) -> None:
        entry = self._entries[receipt.number - 1] if 1 <= receipt.number <= len(self._entries) else None
        if entry is None or entry.hash != receipt.hash or entry.kind != "debit":
            raise LedgerError(
                "the receipt is not of a charge in this ledger", where=f"entry {receipt.number}"
            )

    def _refused(self, debit: Debit) -> BudgetSpent:
        left, asked = self.budget.remaining_units(self._spent), debit.price.rho_units or 0
        return BudgetSpent(
            f"the release costs {asked / UNITS_PER_RHO:.6g} zCDP and {left / UNITS_PER_RHO:.6g} is left",
            where=f"{debit.release}, attempt {debit.attempt}",
            do="nothing was charged; the budget is for life, ask less or ask other sites",
        )

    def _append(self, body: Mapping[str, Any]) -> Entry:
        previous = self._entries[-1].hash if self._entries else BEFORE_THE_FIRST
        entry = seal(len(self._entries) + 1, previous, self._clock(), body, self._key)
        self._connection.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?)",
            (entry.number, entry.content(), entry.hash, entry.signature.model_dump_json()),
        )
        return entry

    def _refresh(self) -> None:
        with self._transaction("DEFERRED"):
            self._catch_up()

    def _catch_up(self) -> None:
        """Read and check what was appended since the last look; what was read before stays as it was read."""
        known = len(self._entries)
        ((count, last),) = self._rows("SELECT count(*), coalesce(max(number), 0) FROM entry")
        ((sequence,),) = self._rows(
            "SELECT total(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = 'entry'"
        )
        if not count == last == sequence >= known:
            raise self._broken("entries are missing")
        # The casts let a hand-edited column of another type be nothing but bytes.
        query = (
            "SELECT number, CAST(content AS BLOB), CAST(hash AS BLOB), CAST(signature AS BLOB) FROM entry"
            " WHERE number >= ? ORDER BY number"
        )
        public_key = public_hex(self._key)
        for number, content, digest, signed in self._rows(query, known):
            if number == known:
                if digest != self._entries[-1].hash.encode():
                    raise self._broken("entries were replaced")
                continue
            previous = self._entries[-1].hash if self._entries else BEFORE_THE_FIRST
            self._take(unseal(number, previous, content or b"", digest or b"", signed or b"", public_key))

    def _take(self, entry: Entry) -> None:
        if entry.kind == "debit":
            self._debits[entry.attempt] = entry
            self._spent = self._spent + entry.price
        elif entry.kind == "reply":
            self._replies[entry.body["entry"]] = entry.body["sha256"]
        elif entry.kind != "opened" or entry.number != 1:
            # A newer version may have charged something here that this one would not count.
            raise self._broken(f"entry {entry.number} is of the kind {entry.kind!r}, unknown to this version")
        self._entries.append(entry)

    def _rows(self, query: str, *values: int) -> Iterator[tuple[Any, ...]]:
        return iter(self._connection.execute(query, values))

    def _broken(self, what: str) -> LedgerBroken:
        return LedgerBroken(
            f"the ledger does not hold: {what}",
            where=str(self._path),
            do="answer nothing; restore it with its auditor",
        )

    @contextmanager
    def _transaction(self, mode: str) -> Iterator[None]:
        try:
            with transaction(self._connection, self._path, mode):
                yield
        except LedgerBroken:
            # Whoever catches this must not be able to go on with what was read so far.
            self.close()
            raise
