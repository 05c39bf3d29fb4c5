"""Changes of a store on a PostgreSQL server as a whole: moved there, led to another layout, taken away.

A step of `migrations` is DuckDB's SQL. Here it runs on an empty DuckDB of the same drawing, with the server's
rows of the two tables that say what a store is made of; then the server's tables are drawn like that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from fedvalue.client.records import store
from fedvalue.client.records.server import Server
from fedvalue.client.records.server_tables import (
    bring,
    empty_copy,
    index,
    layout_of,
    layout_on,
    send,
    settle,
)
from fedvalue.client.records.store import Limits, quoted
from fedvalue.client.records.targets import ABOUT, held_by_us
from fedvalue.client.records.workroom import workroom
from fedvalue.errors import OutputError, SourceMissing


@contextmanager
def redrawing(path: Path, *, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give an empty DuckDB of a store's drawing; what the block makes of it becomes the store's.

    Args:
      path: The file that names the server.
      limits: Threads and memory.

    Raises:
      SourceMissing: there is no store.
      OutputError: a load is at work.
    """
    with held_by_us(path) as server, empty_copy(limits) as (connection, room):
        _require(server)
        before = layout_on(server)
        for table, columns in before.items():
            listed = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
            connection.execute(f"CREATE TABLE {quoted(table)} ({listed})")
        about = [table for table in ABOUT if table in before]
        for table in about:
            bring(server, connection, room, table)
        yield connection
        wanted = layout_of(connection)
        settle(server, wanted)
        for table in ABOUT:
            if table in wanted:
                server.execute(f"DELETE FROM {table}")  # noqa: S608 (own names)
                send(server, connection, room, table)
        server.keep()


def move_store(file: Path, path: Path, *, limits: Limits) -> None:
    """Copy a store in a DuckDB file onto a server, as it is; the file stays.

    Args:
      file: The store.
      path: The file that names the server.
      limits: Threads and memory.

    Raises:
      SourceMissing: there is no such store, or the server does not answer.
      OutputError: the server holds a store already, or a load is at work.
    """
    with held_by_us(path) as server, workroom() as room:
        if server.holds_store():
            raise OutputError(
                "the server holds a store already", where=str(path), do="give the records another schema"
            )
        with store.reading(file, limits=limits, room=room) as connection:
            store.require_format(connection, where=str(file))
            wanted = layout_of(connection)
            settle(server, wanted)
            for table in wanted:
                send(server, connection, room, table)
            index(server, store.CANONICAL)
            server.keep()


def remove_store(path: Path) -> bool:
    """Take every table of a store off its server; the schema stays. Tell whether there was one.

    Raises:
      SourceMissing, SourceUnreadable, OutputError: the server cannot be asked, or a load is at work.
    """
    with held_by_us(path) as server:
        if not server.holds_store():
            return False
        settle(server, {})
        server.keep()
    return True


def _require(server: Server) -> None:
    if not server.holds_store():
        raise SourceMissing("there is no store", where=server.where, do="run `fedvalue site load` first")
