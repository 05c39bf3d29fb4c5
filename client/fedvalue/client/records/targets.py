"""Where a load puts what it has read: into a DuckDB file that takes the store's place, or onto a server.

Both give the load a DuckDB connection to work in. In that of a file everything stands that stood in the store
before; in that of a server only who the patients were and which files were loaded, and new rows go over in
one transaction at the end. Killed at any point, the store is as before or as after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb

from fedvalue.client.records import store
from fedvalue.client.records.databases import is_server
from fedvalue.client.records.server import Server, connected
from fedvalue.client.records.server_tables import bring, index, layout_of, send, settle
from fedvalue.client.records.store import CANONICAL, Limits, create_tables, format_of, quoted
from fedvalue.errors import OutputError, SourceUnreadable

ABOUT = ("loaded", "store_meta")
"""Tables that say what the others were made of."""


@dataclass(frozen=True, slots=True)
class Gone:
    """What a load takes out of the store.

    Attributes:
      everything: Every row of every table.
      sources: Rows of these files.
    """

    everything: bool
    sources: frozenset[int]


class Change(Protocol):
    """One load at work on a store."""

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """Where new rows are made."""

    def repeats(self, table: str, columns: Sequence[str], new: Sequence[int], old: Sequence[int]) -> bool:
        """Tell whether a row of new files has the values of a row of old ones that ``connection`` lacks."""

    def settled(self, gone: Gone) -> dict[str, int]:
        """Put new rows into the store's tables, take old ones out, and return the rows that each has."""


class Target(Protocol):
    """A store that is loaded."""

    def alone(self) -> AbstractContextManager[None]:
        """Hold the store to one load at a time.

        Raises:
          OutputError: another load is at work, or the place cannot be written.
        """

    def known(self) -> tuple[int | None, dict[str, str]]:
        """Return the layout of the store that is there, None without one, and what it says of itself."""

    def changing(self, folder: Path, *, anew: bool) -> AbstractContextManager[Change]:
        """Give the room for one load; the store changes when the block ends well.

        Args:
          folder: The hospital's, whose files SQL may read.
          anew: Leave nothing of the store that is there.
        """


def target_of(path: Path, limits: Limits) -> Target:
    """Return the store at a path."""
    return _OnServer(path, limits) if is_server(path) else _File(path, limits)


@dataclass(frozen=True, slots=True)
class _FileChange:
    connection: duckdb.DuckDBPyConnection

    def repeats(self, table: str, columns: Sequence[str], new: Sequence[int], old: Sequence[int]) -> bool:
        del table, columns, new, old  # the connection has every row
        return False

    def settled(self, gone: Gone) -> dict[str, int]:
        del gone
        return {name: _rows(self.connection, name) for name in CANONICAL}


@dataclass(frozen=True, slots=True)
class _File:
    """A store in a DuckDB file."""

    path: Path
    limits: Limits

    def alone(self) -> AbstractContextManager[None]:
        return store.alone(self.path)

    def known(self) -> tuple[int | None, dict[str, str]]:
        if not self.path.is_file():
            return None, {}
        try:
            with store.reading(self.path, limits=self.limits) as connection:
                layout = format_of(connection)
                said = "SELECT key, value FROM store_meta WHERE key <> 'table'"
                return layout, {} if layout is None else dict(connection.execute(said).fetchall())
        except SourceUnreadable:
            return None, {}

    @contextmanager
    def changing(self, folder: Path, *, anew: bool) -> Iterator[Change]:
        onto = None if anew else self.path
        with store.writing(self.path, read_from=folder, limits=self.limits, onto=onto) as connection:
            if anew:
                create_tables(connection)
            yield _FileChange(connection)


@dataclass(frozen=True, slots=True)
class _ServerChange:
    connection: duckdb.DuckDBPyConnection
    room: Path
    server: Server
    anew: bool

    def repeats(self, table: str, columns: Sequence[str], new: Sequence[int], old: Sequence[int]) -> bool:
        listed = ", ".join(quoted(name) for name in columns)
        numbers = ", ".join(map(str, new))
        self.connection.execute(
            f"CREATE TABLE newly AS SELECT {listed} FROM {table} WHERE source IN ({numbers})"  # noqa: S608 (own names)
        )
        self.server.execute(f"CREATE TEMP TABLE newly AS SELECT {listed} FROM {table} WHERE false")  # noqa: S608 (own names)
        send(self.server, self.connection, self.room, "newly")
        self.server.execute("ANALYZE newly")
        others = [quoted(name) for name in columns if name != "patient_id"]
        alike = " AND ".join(f"x.{name} IS NOT DISTINCT FROM n.{name}" for name in others) or "true"
        found = self.server.one(
            f"SELECT EXISTS (SELECT 1 FROM {table} x JOIN newly n ON x.patient_id = n.patient_id "  # noqa: S608 (own names)
            f"AND {alike} WHERE x.source = ANY($old))",
            {"old": list(old)},
        )
        self.server.undo()
        self.connection.execute("DROP TABLE newly")
        return bool(found)

    def settled(self, gone: Gone) -> dict[str, int]:
        wanted = layout_of(self.connection, (*CANONICAL, *ABOUT))
        settle(self.server, wanted)
        for name in (*CANONICAL[1:], "loaded"):
            if self.anew or gone.everything:
                self.server.execute(f"DELETE FROM {name}")  # noqa: S608 (own names)
            elif gone.sources:
                self.server.execute(
                    f"DELETE FROM {name} WHERE source = ANY($sources)",  # noqa: S608 (own names)
                    {"sources": sorted(gone.sources)},
                )
        self.server.execute("DELETE FROM patient")
        filled = [name for name in CANONICAL if _rows(self.connection, name)]
        for name in filled:
            send(self.server, self.connection, self.room, name)
        index(self.server, CANONICAL if self.anew else filled)
        return {name: int(self.server.one(f"SELECT count(*) FROM {name}")) for name in CANONICAL}  # noqa: S608 (own names)

    def finish(self) -> None:
        """Say what the store is made of now; from here on it is the new one."""
        for name in ABOUT:
            self.server.execute(f"DELETE FROM {name}")  # noqa: S608 (own names)
            send(self.server, self.connection, self.room, name)
        self.server.keep()


@contextmanager
def held_by_us(path: Path) -> Iterator[Server]:
    """Connect to the server of a store and hold the store to one load at a time.

    Raises:
      OutputError: another load is at work, from here or from another machine.
      SourceMissing, SourceUnreadable: as in `fedvalue.client.records.server.connected`.
    """
    with store.alone(path), connected(path) as server:
        key = hashlib.sha256(f"fedvalue store {server.schema}".encode()).digest()[:8]
        number = int.from_bytes(key, "big", signed=True)
        if not server.one("SELECT pg_try_advisory_lock($key)", {"key": number}):
            raise OutputError(
                "another load of this store is at work", where=str(path), do="wait until it has ended"
            )
        server.keep()  # the lock is the connection's, and goes with it
        yield server


@dataclass(slots=True)
class _OnServer:
    """A store on a PostgreSQL server."""

    path: Path
    limits: Limits
    _server: Server | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        with held_by_us(self.path) as server:
            self._server = server
            try:
                yield
            finally:
                self._server = None

    def known(self) -> tuple[int | None, dict[str, str]]:
        server = self._reached()
        if not server.holds_store():
            return None, {}
        said = server.execute("SELECT key, value FROM store_meta WHERE key <> 'table'").fetchall()
        found = format_of(server), dict(said)
        server.undo()
        return found

    @contextmanager
    def changing(self, folder: Path, *, anew: bool) -> Iterator[Change]:
        server = self._reached()
        with store.beside(self.path, read_from=folder, limits=self.limits) as (connection, room):
            create_tables(connection)
            if not anew:
                for name in ABOUT:
                    bring(server, connection, room, name)
                bring(server, connection, room, "patient", columns=("patient_id", "origin"))
            server.undo()  # nothing is held while files are read
            change = _ServerChange(connection, room, server, anew)
            yield change
            change.finish()

    def _reached(self) -> Server:
        if self._server is None:
            raise OutputError("the store is not held", where=str(self.path), do="hold it with alone() first")
        return self._server


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 (own names)
    return int(row[0]) if row else 0
