"""A store on a PostgreSQL server: how a site reaches it, and one transaction on it as an `Engine`.

The server stands in ``records.toml`` in the site's home, mode 0600, as an OMOP source on a server does::

    dsn = "postgresql://fedvalue@db.hospital.example/site?sslmode=verify-full"
    schema = "fedvalue"

Never a password: libpq takes one from its password file, its service file or the environment. What PostgreSQL
says in an error may quote a row, so it is not passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedvalue.client.records.databases import require_private, server_terms
from fedvalue.client.records.engines import Answer
from fedvalue.errors import OutputError, SourceMissing, SourceUnreadable

if TYPE_CHECKING:
    from psycopg import Connection, ServerCursor

SCHEMA = "fedvalue"
"""Schema of a store unless ``records.toml`` names another one; it holds nothing else."""
_PARAMETER = re.compile(r"\$([a-z_][a-z_0-9]*)")
_PORTION = 50_000
_SCHEMA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(slots=True)
class Server:
    """One connection to the server that holds a store.

    Attributes:
      connection: A transaction begins with the first statement.
      schema: Of the canonical tables.
      where: What an error calls the store: the file that names it, and nothing of the server.
    """

    connection: Connection[tuple[Any, ...]]
    schema: str
    where: str
    _open: ServerCursor[tuple[Any, ...]] | None = field(default=None, repr=False)

    def execute(self, query: str, parameters: Any = None, /) -> Answer:
        """Run one statement as `fedvalue.client.records.engines.Engine` has it; rows come in portions.

        Rows of an earlier statement that were not fetched are gone.
        """
        self.close()
        given = parameters or {}
        text = _PARAMETER.sub(r"%(\1)s", query.replace("%", "%%")) if given else query
        if query.lstrip().startswith(("SELECT", "WITH")):
            self._open = self.connection.cursor(name="fedvalue")
            self._open.itersize = _PORTION
            return self._open.execute(text.encode(), given or None)
        made = self.connection.execute(text.encode(), given or None)
        if (created := re.match(r"CREATE TEMP TABLE (\w+)", query)) is not None:
            self.connection.execute(f"ANALYZE {created[1]}".encode())  # the planner knows nothing of it else
        return made

    def one(self, query: str, parameters: Any = None) -> Any:
        """Return the first value of the first row, None without a row."""
        row = self.execute(query, parameters).fetchone()
        return None if row is None else row[0]

    def holds_store(self) -> bool:
        """Tell whether the schema holds a store of any layout."""
        return self.one(_TABLE_THERE, {"schema": self.schema, "name": "store_meta"}) is not None

    def tables(self) -> frozenset[str]:
        """Return the tables of the schema."""
        found = self.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = $schema",
            {"schema": self.schema},
        ).fetchall()
        return frozenset(name for (name,) in found)

    def keep(self) -> None:
        """End the transaction; what it did stays."""
        self.close()
        self.connection.commit()

    def undo(self) -> None:
        """End the transaction as if it had never been."""
        self.close()
        self.connection.rollback()

    def close(self) -> None:
        """Forget the rows that were not fetched."""
        if self._open is not None:
            self._open.close()
            self._open = None


_TABLE_THERE = "SELECT 1 FROM information_schema.tables WHERE table_schema = $schema AND table_name = $name"


@contextmanager
def connected(path: Path) -> Iterator[Server]:
    """Connect to the server that a file names; what is not committed in the block is undone.

    Args:
      path: ``records.toml``.

    Raises:
      SourceMissing: the server does not answer, or refuses the user.
      SourceUnreadable: the file is not valid, the way there is not encrypted, or PostgreSQL refuses what it
        is asked.
      OutputError: the server went away, or is full.
    """
    terms = _checked(path)
    import psycopg  # only sites with such a store need it; `server_terms` has seen that it is there

    schema = terms.get("schema", SCHEMA)
    try:
        connection = psycopg.connect(terms["dsn"], connect_timeout=10, application_name="fedvalue")
    except psycopg.Error as error:
        raise SourceMissing(
            "the PostgreSQL server does not answer, or refuses the user",
            where=str(path),
            do="try the same dsn with psql; a password stands in libpq's password file",
        ) from error
    server = Server(connection, schema, str(path))
    try:
        require_private(connection.info.hostaddr, encrypted=connection.pgconn.ssl_in_use, where=str(path))
        # statements of a load or a cohort may take long, and so may the files in between
        connection.execute(
            f'SET search_path TO "{schema}"; SET extra_float_digits = 1; SET statement_timeout = 0; '
            "SET idle_in_transaction_session_timeout = 0; SET client_encoding = 'UTF8'".encode()
        )
        if server.one("SELECT current_setting('server_encoding')") != "UTF8":
            raise SourceUnreadable(
                "the database is not in UTF-8",
                where=str(path),
                do="CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
            )
        server.keep()
        yield server
    except psycopg.Error as error:
        raise translated(error, str(path)) from error
    finally:
        with suppress(psycopg.Error):  # of a connection that is gone
            server.close()
        connection.close()


def translated(error: Exception, where: str) -> Exception:
    """Return what one of psycopg's errors means here, without its text."""
    import psycopg

    name = type(error).__name__
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return OutputError(
            "the server refuses this user what a store needs",
            where=where,
            do="the user owns the schema of the store, and may create it and temporary tables",
        )
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return OutputError(
            f"the server went away or is full ({name}); nothing was changed unless it had all arrived",
            where=where,
            do="look at the server, then do the same again: what was done already changes nothing",
        )
    return SourceUnreadable(f"PostgreSQL refuses what it was asked ({name})", where=where)


def server_file(dsn: str, schema: str = SCHEMA) -> bytes:
    """Return the content of a ``records.toml``.

    Raises:
      SourceUnreadable: the dsn or the schema is none, or the dsn has a password in it.
    """
    _without_password(dsn, "--store")
    if _SCHEMA_NAME.fullmatch(schema) is None:
        raise SourceUnreadable("a schema is named by letters, digits and _", where="--store-schema")
    escaped = dsn.replace("\\", "\\\\").replace('"', '\\"')
    return f'dsn = "{escaped}"\nschema = "{schema}"\n'.encode()


def at_rest(path: Path) -> dict[str, str]:
    """Return what a doctor asks of a server: its version, whether it keeps what it is told and to itself.

    Raises:
      SourceMissing, SourceUnreadable, OutputError: as in `connected`.
    """
    with connected(path) as server:
        return {
            "version": str(server.one("SELECT current_setting('server_version')")),
            "durable": "yes" if server.one("SELECT current_setting('fsync')") == "on" else "no",
            "private": "no"
            if server.one(
                "SELECT 1 FROM pg_namespace WHERE nspname = $schema "
                "AND has_schema_privilege('public', oid, 'USAGE')",
                {"schema": server.schema},
            )
            else "yes",
        }


def _checked(path: Path) -> dict[str, str]:
    terms = server_terms(path, str(path))
    _without_password(terms["dsn"], str(path))
    if _SCHEMA_NAME.fullmatch(terms.get("schema", SCHEMA)) is None:
        raise SourceUnreadable("a schema is named by letters, digits and _", where=str(path))
    return terms


def _without_password(dsn: str, where: str) -> None:
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise SourceUnreadable(
            "PostgreSQL needs psycopg", where=where, do="pip install 'fedvalue[client]'"
        ) from error
    try:
        words = conninfo_to_dict(dsn)
    except ProgrammingError:
        raise SourceUnreadable(  # what psycopg says quotes the dsn
            "this is no address of a PostgreSQL server",
            where=where,
            do="such as postgresql://user@host/database?sslmode=verify-full",
        ) from None
    if words.get("password"):
        raise SourceUnreadable(
            "the address of the server has a password in it",
            where=where,
            do="take it out: libpq reads ~/.pgpass, PGPASSFILE, PGSERVICE or PGPASSWORD by itself",
        )
