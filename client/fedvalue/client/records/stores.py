"""A site's store, wherever it is: a DuckDB file, or a PostgreSQL server that a file in the home names.

Cohorts are chosen where the rows are. On a server the index day and every record required or excluded is
evaluated there; then the rows of the patients chosen, and of the tables that the study reads, come to a
DuckDB that keeps nothing. From there on everything is the same, so that what is frozen is too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from fedvalue.client.records import store
from fedvalue.client.records.databases import is_server
from fedvalue.client.records.selection import Step, latest_day, select
from fedvalue.client.records.server import Server, connected
from fedvalue.client.records.server_tables import bring, empty_copy, held_still, layout_on
from fedvalue.client.records.store import Limits, require_format
from fedvalue.errors import SourceMissing
from fedvalue.study.cohort import Cohort

_ABOUT = ("store_meta", "loaded")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The patients of a cohort in ``connection``: ``chosen``, ``lost`` and the canonical tables.

    Attributes:
      connection: DuckDB; its tables hold at least the rows of the patients chosen.
      steps: How many patients each step of the selection left.
      data_cut: Latest day of any record of anybody, None where there is none.
    """

    connection: duckdb.DuckDBPyConnection
    steps: tuple[Step, ...]
    data_cut: float | None


@contextmanager
def choosing(path: Path, cohort: Cohort, tables: Collection[str], *, limits: Limits) -> Iterator[Chosen]:
    """Choose the patients of a cohort where the store is, and give their rows.

    Args:
      path: The store.
      cohort: Who is in.
      tables: Canonical tables that will be read of those who are.
      limits: Threads and memory here.

    Raises:
      SourceMissing: there is no store, or the site's mapping does not fill what the cohort asks for.
      SourceUnreadable: the file is no store.
    """
    if not is_server(path):
        with store.reading(path, limits=limits) as connection:
            require_format(connection, where=str(path))
            yield Chosen(connection, select(connection, cohort), latest_day(connection))
        return
    with empty_copy(limits) as (connection, room):
        with _held(path) as server:
            require_format(server, where=str(path))
            steps = select(server, cohort)
            cut = latest_day(server)
            for table in ("chosen", "lost", *_ABOUT):
                bring(server, connection, room, table)
            there = layout_on(server).keys()
            for table in sorted({"patient", *tables} & there):
                bring(server, connection, room, table, chosen=True)
        yield Chosen(connection, steps, cut)


@contextmanager
def reading(
    path: Path, *, limits: Limits, tables: Collection[str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a DuckDB connection that reads a store.

    Args:
      path: The store.
      limits: Threads and memory.
      tables: Canonical tables that will be read; None for all. What is on a server is brought over.

    Raises:
      SourceMissing: there is no store.
      SourceUnreadable: the file is none.
    """
    if not is_server(path):
        with store.reading(path, limits=limits) as connection:
            yield connection
        return
    with empty_copy(limits) as (connection, room):
        with _held(path) as server:
            there = layout_on(server).keys()
            for table in sorted(there if tables is None else {*_ABOUT, *tables} & there):
                bring(server, connection, room, table)
        yield connection


def exists(path: Path) -> bool:
    """Tell whether there is a store.

    Raises:
      SourceMissing, SourceUnreadable: the server cannot be asked.
    """
    if not is_server(path):
        return path.is_file()
    with connected(path) as server:
        return server.holds_store()


def mark(path: Path, connection: duckdb.DuckDBPyConnection) -> str:
    """Return what tells the last load of a store from another one.

    Args:
      path: The store.
      connection: It, open.
    """
    if not is_server(path):
        status = path.stat()
        return f"{status.st_mtime_ns:x}-{status.st_size:x}"
    made = connection.execute("SELECT value FROM store_meta WHERE key = 'fingerprint'").fetchone()
    return "" if made is None else str(made[0])[:32]


@contextmanager
def _held(path: Path) -> Iterator[Server]:
    with connected(path) as server:
        if not server.holds_store():
            raise SourceMissing("there is no store", where=str(path), do="run `fedvalue site load` first")
        server.undo()
        held_still(server)
        yield server
