"""The site's privacy ledger: one SQLite file, append-only, charged before anything leaves.

Charge, then release. A debit checks the budget's filter and appends the entry in one transaction that
has reached the disk when it returns; only then may a row be touched. What a crash leaves behind is a
charge without a reply, never a reply without a charge. The one reply of each attempt is stored before it
is sent, so that a retransmission returns the same bytes and no attempt ever has two answers.

What is detected: any change, insertion, exchange or removal inside the chain, a removed end (SQLite's own
sequence remembers the last number), removed or added triggers, a reply that differs from its entry, a
budget that is not the one the ledger was opened with. What one site alone cannot detect is the whole file
put back to an earlier copy; for that, peers keep the highest counter and head they have seen, and after
every start `fedvalue.client.governance.receipts.reopen` asks them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.client.governance.books import Account, Books, StoreMark, unasked
from fedvalue.client.governance.chain import Chain, Head, Receipt
from fedvalue.client.governance.durable import publish_bytes
from fedvalue.client.governance.entries import (
    PARTITION,
    Debit,
    Entry,
    answered,
    budget_body,
    opening,
    require_distinct,
)
from fedvalue.client.governance.reservations import Held, Reservation
from fedvalue.errors import AttemptTaken, LedgerError, StudyClosed
from fedvalue.privacy.accounting import ORDERS, Budget, Price

PATIENCE = 5.0
"""Seconds to wait for another process that holds the ledger."""


class Ledger:
    """One site's ledger, open in one thread of one process; open another one elsewhere."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._books = Books()

    @classmethod
    def create(
        cls,
        path: Path,
        budget: Budget,
        key: Ed25519PrivateKey,
        clock: Callable[[], datetime],
        *,
        partitions: Sequence[str] = (PARTITION,),
        lost: Mapping[str, Any] | None = None,
    ) -> Self:
        """Open a new ledger, for life.

        Args:
          path: The file; its owner's alone, and whole when it gets its name.
          budget: Of each partition.
          key: The site's key.
          clock: Tells the time of new entries, with its time zone.
          partitions: Those that exist from the start; none, where `entered` opens one a year.
          lost: What is known of a lost ledger that this one follows, from
            `fedvalue.client.governance.recovery.declare_lost`.

        Raises:
          LedgerError: there is a ledger already, or the place cannot be written.
        """
        require_distinct(partitions, where=str(path))
        Chain.create(path, key, clock, opening(budget, partitions, lost), patience=PATIENCE)
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
        ledger = cls(Chain(path, key, clock, patience=patience))
        try:
            ledger.verify()
            ledger._require(budget or ledger.budget)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Close the file."""
        self._chain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def budget(self) -> Budget:
        """The budget of every partition that was not opened with another."""
        return self._books.budget

    def head(self) -> Head:
        """Return the counter and the hash of the last entry: what peers remember of this ledger."""
        self._refresh()
        return self._head()

    def hash_at(self, counter: int) -> str | None:
        """Return the hash of the entry that ``counter`` numbers, or None if this file does not hold it."""
        self._refresh()
        number = counter - self._books.base
        return self._chain.entries[number - 1].hash if 1 <= number <= len(self._chain.entries) else None

    def accounts(self) -> tuple[Account, ...]:
        """Return every partition, in the order in which they were opened."""
        self._refresh()
        return self._books.accounts()

    def reservations(self) -> tuple[Held, ...]:
        """Return every study that has something reserved or may still ask, oldest first."""
        self._refresh()
        return tuple(self._books.held.values())

    def partitions(self, named: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the partitions that an ask touches: those named, or all that exist and are not lost.

        Raises:
          LedgerError: there is none, or one is named that does not exist.
          BudgetSpent: one that is named counts as spent for life.
        """
        self._refresh()
        return self._books.chargeable(named)

    def store_mark(self) -> StoreMark:
        """Return where the store of first entries stood when this ledger last heard of it."""
        self._refresh()
        return self._books.store

    def spent(self, partition: str | None = None) -> Price:
        """Return what all debits charged together on one partition, or at most on any."""
        accounts = [each for each in self.accounts() if partition in (None, each.name)]
        if partition is not None and not accounts:
            raise LedgerError(f"there is no partition {partition!r}", where=str(self._chain.path))
        return Price(tuple(max((a.spent.units[i] for a in accounts), default=0) for i in range(len(ORDERS))))

    def remaining_units(self, partitions: Sequence[str] = ()) -> int:
        """Return the rho of the largest release that would still pass, in units of 2^-40.

        Args:
          partitions: That the release touches; none: all that exist and are not lost. What other studies
            have reserved is not left.
        """
        accounts = self.accounts()
        if not accounts and not partitions:
            return self.budget.rho_units
        touched = self.partitions(partitions)
        return min(each.remaining_units for each in accounts if each.name in touched)

    def entries(self) -> tuple[Entry, ...]:
        """Return every entry, oldest first."""
        self._refresh()
        return tuple(self._chain.entries)

    def verify(self) -> None:
        """Check the whole file again: schema, chain, signatures, replies.

        Raises:
          LedgerBroken: something in it was changed.
        """
        self._chain.entries.clear()
        self._books = Books()
        with self._chain.transaction("DEFERRED"):
            self._chain.require_schema()
            self._catch_up()
            if not self._chain.entries:
                raise self._chain.broken("it has no opening entry")
            replies = self._chain.rows("SELECT debit, CAST(content AS BLOB) FROM reply")
            stored = {debit: hashlib.sha256(reply or b"").hexdigest() for debit, reply in replies}
            if stored != self._books.replies:
                raise self._chain.broken("a stored reply is not the one that was sent")

    def backup(self, target: Path) -> Head:
        """Copy the ledger to a new file, mode 0600, and return where the copy ends.

        Raises:
          LedgerError: there is a file already, or the place cannot be written.
        """
        with self._chain.transaction("DEFERRED"):
            self._catch_up()
            content = self._chain.content()
        try:
            publish_bytes(target, content)
        except FileExistsError as error:
            raise LedgerError("there is a file already", where=str(target), do="name another") from error
        except OSError as error:
            raise LedgerError(f"the copy cannot be made: {error.strerror}", where=str(target)) from error
        return self._head()

    def open_partition(self, name: str, budget: Budget | None = None) -> None:
        """Open a partition with its own budget, for life.

        Args:
          name: Usually a year.
          budget: Default: the ledger's.

        Raises:
          LedgerError: it is open already, or the entry cannot be written.
        """
        require_distinct((name,), where=str(self._chain.path))
        body = {"kind": "partition", "partition": name, "budget": budget_body(budget or self.budget)}
        with self._chain.transaction("IMMEDIATE"):
            self._catch_up()
            if any(name == each.name for each in self._books.accounts()):
                raise LedgerError(
                    "the partition is open already", where=name, do="its budget is for life; use it"
                )
            self._chain.append(body)

    def entered(self, mark: StoreMark, partition: str) -> None:
        """Note that people entered the store; opens their partition if it is new.

        One entry a load, whoever came: the counter, which peers see, must not tell. A mark that the ledger
        has passed already writes nothing.

        Args:
          mark: Where the store of first entries stands now.
          partition: Where the new people belong; empty if nobody is new.

        Raises:
          LedgerError: the entry cannot be written.
        """
        require_distinct((partition,) if partition else (), where=str(self._chain.path))
        with self._chain.transaction("IMMEDIATE"):
            self._catch_up()
            if mark.batch > self._books.store.batch:
                body = {"batch": mark.batch, "store": mark.digest, "partition": partition}
                self._chain.append({"kind": "entered", **body})

    def require_room(self, asked: Reservation) -> tuple[str, ...]:
        """Return on which partitions `reserve` would set a plan aside; raises as it does, writes nothing."""
        with self._chain.transaction("IMMEDIATE"):
            self._catch_up()
            return self._books.admit_reservation(asked)[0]

    def reserve(self, asked: Reservation) -> Receipt:
        """Set a study's plan and spare attempts aside on approval; on the disk when this returns.

        The same reservation a second time writes nothing. Another plan of the same study, after its roster
        or policy changed, takes the place of the first: what the first had not asked can never be asked
        any more, and what it had charged stays charged.

        Raises:
          BudgetSpent: a partition cannot bear all of it; nothing was written.
          StudyClosed: the study was closed here.
          NotReserved: it names other partitions than before.
          LedgerError: a partition does not exist, or the entry cannot be written.
        """
        with self._chain.transaction("IMMEDIATE"):
            self._catch_up()
            partitions, replaces = self._books.admit_reservation(asked)
            held = self._books.held.get(asked.study_hash)
            if held is not None and held.plan == asked.plan:
                return Receipt(held.number, self._chain.entries[held.number - 1].hash, fresh=False)
            entry = self._chain.append(asked.body(partitions, replaces))
        return Receipt(entry.number, entry.hash, fresh=True)

    def debit(self, debit: Debit, *, reserve: bool = False) -> Receipt:
        """Charge one attempt at a release, if the budget covers it; on the disk when this returns.

        The same debit a second time charges nothing and returns the receipt of the first. A study that has
        a reservation is charged from it and for nothing else.

        Args:
          debit: The attempt.
          reserve: True to refuse a study that reserved nothing.

        Raises:
          BudgetSpent: a partition's budget does not cover it; nothing was written.
          AttemptTaken: this attempt was charged with other parameters.
          NotReserved: the study has no reservation, or not for this.
          SpareAttemptsSpent: the reservation holds no such attempt.
          StudyClosed: the study was closed here.
          LedgerBusy: another process holds the ledger.
          LedgerError: the entry cannot be written; nothing may leave.
        """
        with self._chain.transaction("IMMEDIATE"):
            self._catch_up()
            body = debit.body()
            if (known := self._books.debits.get(debit.key)) is not None:
                same = {key: known.body.get(key) for key in body} == body
                if not same or debit.partitions not in ((), known.partitions):
                    raise AttemptTaken(
                        "this attempt was charged with other parameters",
                        where=f"{debit.release}, attempt {debit.attempt}",
                        do="ask as a new attempt, with a new charge",
                    )
                return Receipt(known.number, known.hash, fresh=False)
            leave = self._books.admit(debit, reserve=reserve)
            entry = self._chain.append(
                {**body, "partitions": list(leave.partitions), "reservation": leave.reservation}
            )
        return Receipt(entry.number, entry.hash, fresh=True)

    def close_study(self, study_hash: str, why: str = "") -> Receipt:
        """End a study for good: what it never asked is free again, and it can never ask or reserve more.

        Args:
          study_hash: The study, 64 hexadecimal digits.
          why: The officer's reason, one line; it stays in the ledger.

        Raises:
          StudyClosed: it was closed before.
          LedgerError: this ledger knows no such study, or the entry cannot be written.
        """
        with self._chain.transaction("IMMEDIATE"):
            self._catch_up()
            if study_hash in self._books.closed:
                raise StudyClosed("the study was closed before", where=study_hash[:16])
            held = self._books.held.get(study_hash)
            if held is None and all(study != study_hash for study, _, _ in self._books.debits):
                raise LedgerError(
                    "this ledger knows no such study", where=study_hash[:16], do="give the whole hash"
                )
            number, returned = (held.number, unasked(held)) if held else (0, [])
            body = {"study": study_hash, "why": why, "reservation": number, "returned": returned}
            entry = self._chain.append({"kind": "closed", "result": "returned", **body})
        return Receipt(entry.number, entry.hash, fresh=True)

    def hand_over(self, key: Ed25519PrivateKey) -> Head:
        """Let another key of this site sign what follows; on the disk when this returns, and closed.

        Budgets, charges and the counter go on. Open the ledger with the new key afterwards.

        Raises:
          LedgerError: the entry cannot be written.
        """
        with self._chain.transaction("IMMEDIATE"):
            self._catch_up()
            entry = self._chain.hand_over(key)
            head = Head(self._books.base + entry.number, entry.hash)
        self.close()
        return head

    def store_reply(self, receipt: Receipt, reply: bytes) -> None:
        """Store the one reply of a charged attempt, before it is sent; on the disk when this returns.

        Raises:
          LedgerError: the attempt has another reply already, was never charged, or the disk refuses.
        """
        with self._chain.transaction("IMMEDIATE"):
            self._catch_up()
            self._charged(receipt)
            known = self._books.replies.get(receipt.number)
            if known is None:
                self._chain.append(answered(receipt.number, reply))
                self._chain.store_reply(receipt.number, reply)
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
        with self._chain.transaction("DEFERRED"):
            self._catch_up()
            self._charged(receipt)
            known = self._books.replies.get(receipt.number)
            if known is None:
                return None
            stored = self._chain.rows(
                "SELECT CAST(content AS BLOB) FROM reply WHERE debit = ?", receipt.number
            )
            (reply,) = next(stored, (None,))
            if hashlib.sha256(reply or b"").hexdigest() != known:
                raise self._chain.broken(f"the reply to entry {receipt.number} was changed")
            return reply or b""

    def _require(self, budget: Budget) -> None:
        if budget != self.budget:
            raise LedgerError(
                f"the policy says epsilon {budget.epsilon} at delta {budget.delta}, this ledger was opened "
                f"for life with epsilon {self.budget.epsilon} at delta {self.budget.delta}",
                where=str(self._chain.path),
                do="put the ledger's budget back into the policy: a new one is never taken over silently",
            )

    def _charged(self, receipt: Receipt) -> None:
        entry = (
            self._chain.entries[receipt.number - 1]
            if 1 <= receipt.number <= len(self._chain.entries)
            else None
        )
        if entry is None or entry.hash != receipt.hash or entry.kind != "debit":
            raise LedgerError(
                "the receipt is not of a charge in this ledger", where=f"entry {receipt.number}"
            )

    def _refresh(self) -> None:
        with self._chain.transaction("DEFERRED"):
            self._catch_up()

    def _catch_up(self) -> None:
        for entry in self._chain.catch_up():
            self._books.take(entry)

    def _head(self) -> Head:
        return Head(self._books.base + len(self._chain.entries), self._chain.entries[-1].hash)


__all__ = ["PATIENCE", "Head", "Ledger", "Receipt"]
