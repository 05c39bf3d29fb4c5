"""Databases that a hospital has already: a DuckDB file, or a PostgreSQL server named by a file of its own.

Only ever read. A PostgreSQL server stands in a TOML file in the hospital's folder, mode 0600::

    dsn = "host=cdm.hospital.example dbname=cdm user=fedvalue_reader sslmode=verify-full"
    schema = "cdm54"

A password belongs into libpq's own password file, not here. Rows come through a cursor at the server, some
ten thousand at a time, in a read-only transaction: what one table says is of one moment.
"""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import duckdb
import pandas as pd

from fedvalue.client.records.store import interrupted
from fedvalue.errors import SourceMissing, SourceUnreadable

if TYPE_CHECKING:
    import psycopg

PORTION = 50_000
"""Rows at a time."""


class Database(Protocol):
    """What a source asks of a database."""

    def columns(self, table: str) -> list[str]:
        """Return the columns of a table, in lower case; empty where there is no such table."""

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Yield the rows of a table as text, some at a time."""


def is_server(path: Path) -> bool:
    """Tell whether a file only names a server, so that nothing in it says what the server holds today."""
    return path.suffix.lower() == ".toml"


@contextmanager
def opened(path: Path, shown: str) -> Iterator[Database]:
    """Open a database for reading.

    Args:
      path: A DuckDB file, or a TOML file that names a PostgreSQL server.
      shown: Its name in errors.

    Raises:
      SourceMissing: it is not there, or the server does not answer.
      SourceUnreadable: it is no such file, or others can read the server's file.
    """
    if is_server(path):
        with _server(path, shown) as found:
            yield found
        return
    try:
        connection = duckdb.connect(str(path), read_only=True, config={"enable_external_access": "false"})
    except duckdb.Error as error:
        raise SourceUnreadable(
            f"this is no database that DuckDB can read ({type(error).__name__})", where=shown
        ) from error
    try:
        yield _DuckDb(connection, shown)
    finally:
        connection.close()


def _name(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


class _DuckDb:
    """Tables of a DuckDB file, in whatever schema they are; ``main`` first.

    Its errors are translated here, where they arise: those of the store that is being loaded are another's.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, shown: str) -> None:
        self._connection, self._shown = connection, shown

    @contextmanager
    def _asked(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            yield self._connection
        except duckdb.Error as error:
            if interrupted(error):
                raise KeyboardInterrupt from error
            raise SourceUnreadable(
                f"DuckDB cannot read it ({type(error).__name__})", where=self._shown
            ) from error

    def _place(self, table: str) -> tuple[str, str] | None:
        with self._asked() as connection:
            row = connection.execute(
                "SELECT table_schema, table_name FROM information_schema.tables "
                "WHERE lower(table_name) = lower(?) ORDER BY table_schema <> 'main', table_schema LIMIT 1",
                [table],
            ).fetchone()
        return None if row is None else (str(row[0]), str(row[1]))

    def columns(self, table: str) -> list[str]:
        place = self._place(table)
        if place is None:
            return []
        with self._asked() as connection:
            rows = connection.execute(
                "SELECT lower(column_name) FROM information_schema.columns "
                "WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position",
                list(place),
            ).fetchall()
        return [str(name) for (name,) in rows]

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        place = self._place(table)
        if place is None:
            return
        chosen = (
            ", ".join(f"CAST({_name(column)} AS VARCHAR) AS {_name(column)}" for column in columns) or "1"
        )
        with self._asked() as connection:
            found = connection.execute(f"SELECT {chosen} FROM {_name(place[0])}.{_name(place[1])}")  # noqa: S608 (quoted names)
        while True:
            with self._asked():
                portion = found.fetchmany(PORTION)
            if not portion:
                return
            yield pd.DataFrame(portion, columns=list(columns), dtype=object)


@contextmanager
def _server(path: Path, shown: str) -> Iterator[Database]:
    terms = server_terms(path, shown)
    try:
        import psycopg  # only hospitals with PostgreSQL have it
    except ImportError as error:
        raise SourceUnreadable(
            "reading PostgreSQL needs psycopg", where=shown, do="pip install 'fedvalue[client]'"
        ) from error
    try:
        with psycopg.connect(terms["dsn"], connect_timeout=10, application_name="fedvalue") as connection:
            require_private(connection.info.hostaddr, encrypted=connection.pgconn.ssl_in_use, where=shown)
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield _Postgres(connection, terms.get("schema", "public"))
    except psycopg.OperationalError as error:
        raise SourceMissing(
            "the PostgreSQL server does not answer, or refuses the user",
            where=shown,
            do="try the same dsn with psql",
        ) from error
    except psycopg.Error as error:
        raise SourceUnreadable(f"PostgreSQL refuses ({type(error).__name__})", where=shown) from error


def require_private(address: str, *, encrypted: bool, where: str) -> None:
    """Check that rows of patients cross no network in clear: libpq's usual ``sslmode`` would let them.

    Args:
      address: The server's, empty for a socket of this machine.
      encrypted: Whether the connection is under TLS.
      where: The file that names the server.

    Raises:
      SourceUnreadable: they would.
    """
    if encrypted or not address or ip_address(address).is_loopback:
        return
    raise SourceUnreadable(
        "the way to the PostgreSQL server is not encrypted, and rows of patients go over it",
        where=where,
        do="turn TLS on at the server; sslmode=verify-full and sslrootcert in the dsn",
    )


def server_terms(path: Path, shown: str) -> dict[str, str]:
    """Read a file that names a PostgreSQL server: ``dsn`` and, where it is there, ``schema``.

    Raises:
      SourceUnreadable: it is no such file, or others can read it.
    """
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise SourceUnreadable(
                "others can read how to reach the database", where=shown, do="chmod 600 it"
            )
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceUnreadable("this is no TOML file", where=shown) from error
    unknown = sorted(set(read) - {"dsn", "schema"})
    if unknown or not isinstance(read.get("dsn"), str) or not isinstance(read.get("schema", ""), str):
        raise SourceUnreadable("a server's file has dsn and, if it is not public, schema", where=shown)
    return {str(key): str(value) for key, value in read.items()}


class _Postgres:
    """Tables of one schema of a PostgreSQL server, in one read-only transaction."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], schema: str) -> None:
        self._connection, self._schema = connection, schema

    def columns(self, table: str) -> list[str]:
        rows = self._connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
            "ORDER BY ordinal_position",
            (self._schema, table),
        ).fetchall()
        return [str(name) for (name,) in rows]

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        from psycopg import sql

        chosen = (
            sql.SQL(", ").join(
                sql.SQL("CAST({} AS text)").format(sql.Identifier(column)) for column in columns
            )
            if columns
            else sql.SQL("1")
        )
        asked = sql.SQL("SELECT {} FROM {}").format(chosen, sql.Identifier(self._schema, table))
        with self._connection.cursor(name="fedvalue") as cursor:
            cursor.itersize = PORTION
            cursor.execute(asked)
            while portion := cursor.fetchmany(PORTION):
                yield pd.DataFrame(portion, columns=list(columns), dtype=object)
