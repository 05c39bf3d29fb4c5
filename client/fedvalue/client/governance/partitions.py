"""Who belongs to which accrual partition: for life, that of the year of first entry into this store.

The store keeps one keyed hash a person (HMAC-SHA256 under a secret of the site), never an id, and forgets
nobody: a patient who is deleted and comes back is the same person with the same charges. It is chained, batch
by batch, and the ledger's entry ``entered`` holds the chain's end; a store that is missing, older or edited
is noticed, because otherwise everybody in it would be new again and have a fresh budget.

The store is written first and the ledger second. A crash in between leaves a store that is ahead, and the
next `Partitions.open` tells the ledger.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from fedvalue.client.governance.books import StoreMark
from fedvalue.client.governance.durable import Tables, publish_bytes
from fedvalue.client.governance.entries import require_distinct
from fedvalue.client.governance.ledger import PATIENCE, Ledger
from fedvalue.errors import LedgerBroken, LedgerError

NAME = "the store of first entries"
_TRIGGERS = tuple(
    f"CREATE TRIGGER {table}_{verb} BEFORE {verb.upper()} ON {table}"
    f" BEGIN SELECT RAISE(ABORT, 'the store of first entries forgets nobody'); END"
    for table in ("person", "batch")
    for verb in ("update", "delete")
)
SCHEMA = (
    "CREATE TABLE person (hash BLOB PRIMARY KEY, batch INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE batch (number INTEGER PRIMARY KEY, partition TEXT NOT NULL, digest TEXT NOT NULL)",
    *_TRIGGERS,
)
SECRET_BYTES = 32


class FirstEntries:
    """The store itself: hashes of people in batches, each batch of one partition."""

    def __init__(self, tables: Tables, secret: bytes) -> None:
        self._tables, self._secret = tables, secret

    @classmethod
    def open(cls, path: Path, secret: bytes, *, create: bool, patience: float = PATIENCE) -> Self:
        """Open the store and verify all of it.

        Args:
          path: The file, mode 0600.
          secret: The site's secret.
          create: True if an empty one may be made.
          patience: Seconds to wait for another process.

        Raises:
          LedgerBroken: it was changed.
          LedgerError: it is not there, or the disk refuses.
        """
        made = cls(Tables.open(path, SCHEMA, name=NAME, patience=patience, create=create), secret)
        try:
            made.verify()
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Close the file."""
        self._tables.close()

    def add(self, ids: Iterable[str], partition: str) -> StoreMark:
        """Write a batch: those of ``ids`` that are not in the store yet enter ``partition``, for life.

        A batch is written also when nobody is new; it then belongs to the partition ``""``.

        Raises:
          LedgerError: the disk refuses; nothing was written.
        """
        hashes = sorted({self._hash(each) for each in ids})
        with self._tables.transaction("IMMEDIATE") as rows:
            new = [each for each in hashes if _batch_of(rows, each) is None]
            found = rows.execute("SELECT number, digest FROM batch ORDER BY number DESC LIMIT 1").fetchone()
            number, before = found or (0, self._start())
            name = partition if new else ""
            mark = StoreMark(number + 1, _digest(before, number + 1, name, new))
            rows.execute("INSERT INTO batch VALUES (?, ?, ?)", (mark.batch, name, mark.digest))
            rows.executemany("INSERT INTO person VALUES (?, ?)", ((each, mark.batch) for each in new))
        return mark

    def partition_of(self, ids: Sequence[str]) -> list[str | None]:
        """Return each person's partition, None for people who never entered; in the order of ``ids``."""
        with self._tables.transaction("DEFERRED") as rows:
            names: dict[int, str] = dict(rows.execute("SELECT number, partition FROM batch"))
            batches = [_batch_of(rows, self._hash(each)) for each in ids]
        return [None if batch is None else names[batch] for batch in batches]

    def batches(self) -> tuple[tuple[StoreMark, str], ...]:
        """Return every batch, oldest first: where the store stood after it, and its partition."""
        with self._tables.transaction("DEFERRED") as rows:
            found = rows.execute("SELECT number, digest, partition FROM batch ORDER BY number").fetchall()
        return tuple((StoreMark(number, digest), partition) for number, digest, partition in found)

    def verify(self) -> None:
        """Check the chain of batches against the people in them.

        Raises:
          LedgerBroken: people or batches were changed, or the secret is another one.
        """
        people: dict[int, list[bytes]] = {}
        with self._tables.transaction("DEFERRED") as rows:
            for digest, batch in rows.execute("SELECT hash, batch FROM person ORDER BY hash"):
                people.setdefault(batch, []).append(digest)
            batches = rows.execute("SELECT number, partition, digest FROM batch ORDER BY number").fetchall()
        before = self._start()
        for expected, (number, partition, digest) in enumerate(batches, start=1):
            before = _digest(before, expected, partition, people.pop(expected, []))
            if (number, digest) != (expected, before):
                raise LedgerBroken(
                    f"{NAME} was changed", where=f"{self._tables.path}, batch {number}", do="answer nothing"
                )
        if people:
            raise LedgerBroken(f"{NAME} was changed", where=str(self._tables.path), do="answer nothing")

    def _start(self) -> str:
        # The chain starts from the secret: under another one everybody would seem new.
        return hmac.digest(self._secret, b"\x00start of the store of first entries", "sha256").hex()

    def _hash(self, patient_id: str) -> bytes:
        return hmac.digest(self._secret, patient_id.encode(), "sha256")


class Partitions:
    """The store of first entries beside the ledger that charges its partitions."""

    def __init__(self, store: FirstEntries, ledger: Ledger) -> None:
        self._store, self._ledger = store, ledger

    @classmethod
    def open(cls, path: Path, secret: bytes, ledger: Ledger, *, patience: float = PATIENCE) -> Self:
        """Open the store, check it against the ledger, and tell the ledger what a crash kept from it.

        A store is made where the ledger has never heard of one.

        Args:
          path: The file, mode 0600.
          secret: From `site_secret`.
          ledger: The site's ledger, open; the caller closes it.
          patience: Seconds to wait for another process.

        Raises:
          LedgerBroken: the store is gone, older than the ledger knows, or was changed.
          LedgerError: the disk refuses.
        """
        known = ledger.store_mark()
        if known.batch and not path.exists():
            raise LedgerBroken(
                f"{NAME} is gone, so everybody would seem new",
                where=str(path),
                do="put back the copy that was saved with the ledger, or see docs/ledger.md",
            )
        store = FirstEntries.open(path, secret, create=True, patience=patience)
        try:
            batches = store.batches()
            if known.batch and (known.batch > len(batches) or batches[known.batch - 1][0] != known):
                raise LedgerBroken(  # noqa: TRY301  # one way out, so that the file is closed
                    f"{NAME} is older than the ledger says, or is another one",
                    where=f"{path}, batch {known.batch}",
                    do="put back the copy that was saved with the ledger, or see docs/ledger.md",
                )
            for mark, partition in batches[known.batch :]:
                ledger.entered(mark, partition)
        except BaseException:
            store.close()
            raise
        return cls(store, ledger)

    def close(self) -> None:
        """Close the store; the ledger stays open."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def register(self, ids: Iterable[str], year: int) -> str:
        """Let the people of a load enter: who is new belongs to this year's partition, for life.

        Call it at every load with everybody in the store. Each call is one entry of the ledger, whoever came.

        Args:
          ids: Patient ids of the site's records.
          year: The year of the load by the site's clock.

        Returns:
          The partition of people who are new now. It is ``2026``, or ``2026-2`` where the partition 2026 of a
          lost ledger counts as spent.

        Raises:
          LedgerError: the disk refuses.
        """
        lost = {account.name for account in self._ledger.accounts() if account.lost}
        name, turn = str(year), 1
        while name in lost:
            turn += 1
            name = f"{year}-{turn}"
        require_distinct((name,), where="the year of a load")
        mark = self._store.add(ids, name)
        (partition,) = (found for each, found in self._store.batches() if each == mark)
        self._ledger.entered(mark, partition)
        return name

    def partition_of(self, ids: Sequence[str]) -> list[str]:
        """Return each person's partition, in the order of ``ids``.

        Raises:
          LedgerError: somebody never entered; nobody may be answered about without being charged.
        """
        found = self._store.partition_of(ids)
        known = [each for each in found if each is not None]
        if len(known) != len(found):
            raise LedgerError(
                f"{len(found) - len(known)} people never entered {NAME}", do="load the records again"
            )
        return known

    def partitions_of(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Return the partitions that these people belong to, sorted.

        Raises:
          LedgerError: somebody never entered.
        """
        return tuple(sorted(set(self.partition_of(ids))))

    def members(self, ids: Sequence[str], partitions: Sequence[str]) -> list[bool]:
        """Tell of each person whether a study that touches ``partitions`` may count it.

        Raises:
          LedgerError: somebody never entered.
        """
        return [each in partitions for each in self.partition_of(ids)]


def site_secret(path: Path, entropy: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
    """Read the site's secret for hashing ids, and make it first (mode 0600) if it is not there.

    Raises:
      LedgerError: it cannot be read or made, others may read it, or it is no secret.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with suppress(FileExistsError):  # another process was faster; its secret is the one
                publish_bytes(path, entropy(SECRET_BYTES).hex().encode())
        shared, text = path.stat().st_mode & 0o077, path.read_bytes()
    except OSError as error:
        raise LedgerError(
            f"the secret of {NAME} cannot be used: {error.strerror}", where=str(path)
        ) from error
    if shared or len(text) != 2 * SECRET_BYTES:
        raise LedgerError(f"the secret of {NAME} is open to others or damaged", where=str(path))
    try:
        return bytes.fromhex(text.decode())
    except ValueError as error:
        raise LedgerError(f"the secret of {NAME} is damaged", where=str(path)) from error


def _batch_of(rows: sqlite3.Connection, digest: bytes) -> int | None:
    found = rows.execute("SELECT batch FROM person WHERE hash = ?", (digest,)).fetchone()
    return None if found is None else int(found[0])


def _digest(before: str, number: int, partition: str, people: Sequence[bytes]) -> str:
    content = hashlib.sha256(f"{before}/{number}/{partition}/{len(people)}/".encode())
    for each in people:
        content.update(each)
    return content.hexdigest()
