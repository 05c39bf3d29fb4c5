"""An SQLite file that holds what it said it holds, also after a power cut, and is its owner's alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def connect(path: Path, patience: float) -> sqlite3.Connection:
    """Open an existing file for reading and writing; transactions are begun by hand.

    Args:
      path: The file; it is never created.
      patience: Seconds to wait for a lock.

    Raises:
      LedgerError: as in `translated`.
    """
    with translated(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=patience, isolation_level=None
        )
        try:
            for setting in _SETTINGS:
                connection.execute(f"PRAGMA {setting}")
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path, mode: str) -> Iterator[None]:
    """Run the body in one transaction, on the disk when this ends; any error undoes all of it.

    Args:
      connection: From `connect`.
      path: Names the file in errors.
      mode: ``DEFERRED`` to read, ``IMMEDIATE`` to write: no other process writes in between.

    Raises:
      LedgerError: as in `translated`.
    """
    with translated(path):
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
def translated(path: Path) -> Iterator[None]:
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
            raise LedgerBusy("another process holds the ledger", where=where, do="try again later") from error
        if code in _BROKEN:
            raise LedgerBroken(f"the ledger is damaged: {error}", where=where, do="answer nothing") from error
        raise LedgerError(
            f"the ledger cannot be used: {error}",
            where=where,
            do="release nothing; mend the disk or its rights",
        ) from error
