"""An SQLite file that holds what it said it holds, also after a power cut, and is its owner's alone."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from fedvalue.errors import LedgerBroken, LedgerBusy, LedgerError

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_SETTINGS = (
    "journal_mode = DELETE",
    # EXTRA is FULL and also syncs the folder once the rollback journal is gone: without that, a power cut
    # just after a commit could bring the journal back and undo a charge that was already answered.
    "synchronous = EXTRA",
    "fullfsync = ON",
    "trusted_schema = OFF",
)


def make_private(path: Path) -> None:
    """Make an empty file that only its owner may read, before it has a first byte.

    Raises:
      OSError: the file exists, or the place cannot be written.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def publish(partial: Path, path: Path) -> None:
    """Give a whole file its name, on the disk when this returns.

    Raises:
      FileExistsError: something has that name; it stays as it is.
      OSError: the place cannot be written.
    """
    # A hard link, unlike a rename, refuses to replace a file that is there already.
    path.hardlink_to(partial)
    partial.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def publish_bytes(path: Path, content: bytes) -> None:
    """Write a new private file whole; on the disk when this returns.

    Raises:
      FileExistsError: something has that name; it stays as it is.
      OSError: the place cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        publish(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def set_aside(path: Path) -> Path | None:
    """Rename whatever is at ``path``, so that a new file may take its name; nothing is ever deleted.

    Returns:
      Where it is now, or None if nothing was there.

    Raises:
      LedgerError: the place cannot be written.
    """
    if not path.exists():
        return None
    number = 1
    while (aside := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    try:
        path.rename(aside)
    except OSError as error:
        raise LedgerError(f"a file cannot be set aside: {error.strerror}", where=str(path)) from error
    return aside


class Tables:
    """A few tables in one private file, for any thread of any process; every write waits for the disk.

    Attributes:
      path: The file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, name: str) -> None:
        self.path, self._connection, self._name = path, connection, name
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, schema: Sequence[str], *, name: str, patience: float, create: bool) -> Self:
        """Open the file, and make it first if it is not there and may be.

        Args:
          path: The file.
          schema: Its statements, exactly.
          name: What it is, for messages, such as ``the journal``.
          patience: Seconds to wait for another process.
          create: True if a new one may be made.

        Raises:
          LedgerBroken: it holds other tables or triggers.
          LedgerError: it is not there, or the disk refuses.
        """
        if create and not path.exists():
            cls._make(path, schema, name)
        made = cls(path, connect(path, patience, name=name, threads=True), name)
        try:
            made._require(schema)
        except BaseException:
            made.close()
            raise
        return made

    def _require(self, schema: Sequence[str]) -> None:
        with self.transaction("DEFERRED") as rows:
            found = {
                row[0] for row in rows.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
            }
        if found != set(schema):
            raise LedgerBroken(
                f"{self._name} has other tables or triggers than were made",
                where=str(self.path),
                do="answer nothing",
            )

    @staticmethod
    def _make(path: Path, schema: Sequence[str], name: str) -> None:
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.unlink(missing_ok=True)
            make_private(partial)
            connection = connect(partial, 0.0, name=name)
            try:
                with transaction(connection, partial, "IMMEDIATE", name=name):
                    for statement in schema:
                        connection.execute(statement)
            finally:
                connection.close()
            # Another process that made it first has made the same empty file.
            with suppress(FileExistsError):
                publish(partial, path)
        except OSError as error:
            raise LedgerError(f"{name} cannot be made: {error.strerror}", where=str(path)) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self, mode: str) -> Iterator[sqlite3.Connection]:
        """Run the body in one transaction, on the disk when this ends; any error undoes all of it."""
        with self._lock, transaction(self._connection, self.path, mode, name=self._name):
            yield self._connection

    def row(self, query: str, *values: Any) -> Any:
        """Return the first row of a query, or None."""
        with self.transaction("DEFERRED") as rows:
            return rows.execute(query, values).fetchone()


def connect(
    path: Path, patience: float, *, name: str = "the ledger", threads: bool = False
) -> sqlite3.Connection:
    """Open an existing file for reading and writing; transactions are begun by hand.

    Args:
      path: The file; it is never created.
      patience: Seconds to wait for a lock.
      name: What the file is, for messages.
      threads: True if several threads use it, one at a time.

    Raises:
      LedgerError: as in `translated`.
    """
    with translated(path, name=name):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=patience,
            isolation_level=None,
            check_same_thread=not threads,
        )
        try:
            for setting in _SETTINGS:
                connection.execute(f"PRAGMA {setting}")
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def transaction(
    connection: sqlite3.Connection, path: Path, mode: str, *, name: str = "the ledger"
) -> Iterator[None]:
    """Run the body in one transaction, on the disk when this ends; any error undoes all of it.

    Args:
      connection: From `connect`.
      path: Names the file in errors.
      mode: ``DEFERRED`` to read, ``IMMEDIATE`` to write: no other process writes in between.
      name: What the file is, for messages.

    Raises:
      LedgerError: as in `translated`.
    """
    with translated(path, name=name):
        connection.execute(f"BEGIN {mode}")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            # SQLite may have rolled back by itself, for example on a full disk.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextmanager
def translated(path: Path, *, name: str = "the ledger") -> Iterator[None]:
    """Turn SQLite's errors into ours.

    Raises:
      LedgerBusy: another process holds the file.
      LedgerBroken: the file is damaged or not of this kind.
      LedgerError: it is not there, or the disk refuses.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        where = str(path)
        if code in _BUSY:
            raise LedgerBusy(f"another process holds {name}", where=where, do="try again later") from error
        if code in _BROKEN:
            raise LedgerBroken(f"{name} is damaged: {error}", where=where, do="answer nothing") from error
        raise LedgerError(
            f"{name} cannot be used: {error}",
            where=where,
            do="release nothing; mend the disk or its rights",
        ) from error
