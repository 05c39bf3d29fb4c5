"""The canonical tables on a PostgreSQL server, made from what DuckDB says of its own; rows go over as CSV.

There is one drawing of the tables, in `store` and `migrations`. The server's are what an empty DuckDB has
after the same statements, type by type. Text is ``COLLATE "C"``: the order of bytes, as in DuckDB, whatever
the database was made with. Numbers of double precision cross as their shortest exact decimals.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import duckdb

from fedvalue.client.records.server import Server
from fedvalue.client.records.store import Limits, quoted, scratch
from fedvalue.client.records.workroom import workroom
from fedvalue.errors import SourceUnreadable

Layout = Mapping[str, Mapping[str, str]]
"""Tables, their columns in order, and DuckDB's type of each."""

_TYPES = MappingProxyType(
    {
        "VARCHAR": 'text COLLATE "C"', "DOUBLE": "double precision", "BIGINT": "bigint",
        "INTEGER": "integer", "BOOLEAN": "boolean",
    }
)  # fmt: skip
_BACK = MappingProxyType(
    {
        "text": "VARCHAR", "double precision": "DOUBLE", "bigint": "BIGINT", "integer": "INTEGER",
        "boolean": "BOOLEAN",
    }
)  # fmt: skip
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_LONGEST_KEY = 2000
"""Bytes of a patient's id that an index of PostgreSQL takes at least; pseudonyms have 12."""
_BLOCK = 1 << 20
_LONGEST = 1 << 26
NUL, SHOWN_NUL = "chr(0)", "\u2400"
"""PostgreSQL's text has no character of number 0: a cell that holds one shows the sign for it."""


def layout_of(connection: duckdb.DuckDBPyConnection, tables: Collection[str] | None = None) -> Layout:
    """Return the tables of a DuckDB database, or some of them."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal "
        "AND database_name = current_database() ORDER BY table_name, column_index"
    ).fetchall():
        if tables is None or table in tables:
            found.setdefault(table, {})[column] = kind
    return found


def layout_on(server: Server) -> Layout:
    """Return the tables on the server.

    Raises:
      SourceUnreadable: a column has a type that no store has.
    """
    found: dict[str, dict[str, str]] = {}
    for table, column, kind, digits, scale in server.execute(
        "SELECT table_name, column_name, data_type, numeric_precision, numeric_scale "
        "FROM information_schema.columns WHERE table_schema = $schema ORDER BY table_name, ordinal_position",
        {"schema": server.schema},
    ).fetchall():
        ours = f"DECIMAL({digits},{scale})" if kind == "numeric" else _BACK.get(kind)
        if ours is None:
            raise SourceUnreadable(
                f"the column {column!r} of {table!r} has the type {kind}, which no store has",
                where=server.where,
                do="give the store a schema of its own",
            )
        found.setdefault(table, {})[column] = ours
    return found


def settle(server: Server, wanted: Layout) -> None:
    """Give the schema these tables and no others; a column that stays keeps its values.

    Readers wait for it: whoever reads holds ``store_meta``, see `held_still`.

    Raises:
      SourceUnreadable: the schema holds tables and no store: it is somebody else's.
    """
    if server.one("SELECT 1 FROM pg_namespace WHERE nspname = $schema", {"schema": server.schema}) is None:
        server.execute(f"CREATE SCHEMA {quoted(server.schema)}")
    if server.tables() and not server.holds_store():
        raise SourceUnreadable(
            "the schema has tables in it that are no store's",
            where=server.where,
            do='give the store a schema of its own: schema = "..." in this file',
        )
    there = layout_on(server)
    if same(there, wanted):
        return
    if there:
        server.execute("LOCK TABLE store_meta IN ACCESS EXCLUSIVE MODE")
    for table in there.keys() - wanted.keys():
        server.execute(f"DROP TABLE {quoted(table)}")
    for table, columns in wanted.items():
        if table not in there:
            listed = ", ".join(f"{quoted(name)} {_on_server(kind)}" for name, kind in columns.items())
            server.execute(f"CREATE TABLE {quoted(table)} ({listed})")
            continue
        before = there[table]
        gone = [name for name, kind in before.items() if columns.get(name) != kind]
        changes = [f"DROP COLUMN {quoted(name)}" for name in gone]
        changes += [
            f"ADD COLUMN {quoted(name)} {_on_server(kind)}"
            for name, kind in columns.items()
            if name in gone or name not in before
        ]
        if changes:
            server.execute(f"ALTER TABLE {quoted(table)} {', '.join(changes)}")


def same(one: Layout, other: Layout) -> bool:
    """Tell whether two layouts have the same tables and columns, in whatever order."""
    return {name: dict(columns) for name, columns in one.items()} == {
        name: dict(columns) for name, columns in other.items()
    }


def index(server: Server, tables: Collection[str]) -> None:
    """Index canonical tables that have just been filled by patient, and tell the planner of their rows."""
    longest = server.one("SELECT max(octet_length(patient_id)) FROM patient") or 0
    for table in sorted(tables):
        if longest <= _LONGEST_KEY:
            server.execute(f"CREATE INDEX IF NOT EXISTS {table}_by_patient ON {table} (patient_id)")
        server.execute(f"ANALYZE {table}")


def held_still(server: Server) -> None:
    """Let nobody change the drawing of the tables in this transaction, which sees one moment of them.

    It comes first: PostgreSQL takes the moment of such a transaction at the first statement behind the lock.
    """
    server.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    server.execute("LOCK TABLE store_meta IN ACCESS SHARE MODE")


def bring(
    server: Server,
    connection: duckdb.DuckDBPyConnection,
    room: Path,
    table: str,
    *,
    columns: Sequence[str] | None = None,
    chosen: bool = False,
) -> None:
    """Bring rows of a table on the server into the table of the same name in DuckDB, made where it is not.

    Args:
      server: Where they are.
      connection: May read the files of ``room``.
      room: A folder that only its owner may enter.
      table: A canonical table, or a temporary one of the server.
      columns: Those that are brought; None for all.
      chosen: Only rows of the patients in the server's temporary table ``chosen``.
    """
    kinds = _columns(server, table)
    names = list(kinds) if columns is None else list(columns)
    listed = ", ".join(f"{quoted(name)} {kinds[name]}" for name in names)
    connection.execute(f"CREATE TABLE IF NOT EXISTS {quoted(table)} ({listed})")
    asked = ", ".join(f"x.{quoted(name)}" for name in names)
    only = " JOIN chosen c USING (patient_id)" if chosen else ""
    place = room / "rows.csv"
    server.close()
    with (
        place.open("wb") as stream,
        server.connection.cursor() as cursor,
        cursor.copy(
            f"COPY (SELECT {asked} FROM {quoted(table)} x{only}) TO STDOUT (FORMAT csv)".encode()  # noqa: S608 (own names)
        ) as rows,
    ):
        for block in rows:
            stream.write(block)
    typed = "{" + ", ".join(f"{_word(name)}: {_word(kinds[name])}" for name in names) + "}"
    into = ", ".join(quoted(name) for name in names)
    connection.execute(
        f"INSERT INTO {quoted(table)} ({into}) SELECT * FROM read_csv($place, columns = {typed}, "  # noqa: S608 (own names)
        "header = false, auto_detect = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', "
        f"allow_quoted_nulls = false, max_line_size = {_LONGEST}, parallel = false)",
        {"place": str(place)},
    )
    place.unlink()


def send(server: Server, connection: duckdb.DuckDBPyConnection, room: Path, table: str) -> None:
    """Add the rows of a DuckDB table to the table of the same name on the server.

    Args:
      server: Where they go.
      connection: May write files into ``room``.
      room: A folder that only its owner may enter.
      table: A canonical table, or a temporary one of the server.
    """
    kinds = layout_of(connection, (table,))[table]
    shown = ", ".join(
        f"replace({quoted(name)}, {NUL}, '{SHOWN_NUL}')" if kind == "VARCHAR" else quoted(name)
        for name, kind in kinds.items()
    )
    place = room / "rows.csv"
    connection.execute(
        f"COPY (SELECT {shown} FROM {quoted(table)}) TO '{_path(place)}' "  # noqa: S608 (own names)
        "(FORMAT csv, HEADER false, FORCE_QUOTE *)"
    )
    listed = ", ".join(quoted(name) for name in kinds)
    server.close()
    with (
        place.open("rb") as stream,
        server.connection.cursor() as cursor,
        cursor.copy(f"COPY {quoted(table)} ({listed}) FROM STDIN (FORMAT csv)".encode()) as rows,
    ):
        while block := stream.read(_BLOCK):
            rows.write(block)
    place.unlink()


@contextmanager
def empty_copy(limits: Limits) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """Give a DuckDB that keeps nothing, without a table, and the folder through which rows come to it."""
    with workroom() as room, scratch(read_from=room, limits=limits) as connection:
        yield connection, room


def _columns(server: Server, table: str) -> Mapping[str, str]:
    rows = server.execute(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
        "WHERE a.attrelid = to_regclass($name) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        {"name": quoted(table)},
    ).fetchall()
    return {
        name: re.sub(r"^numeric", "DECIMAL", kind) if kind.startswith("numeric") else _BACK[kind]
        for name, kind in rows
    }


def _on_server(kind: str) -> str:
    decimal = _DECIMAL.fullmatch(kind)
    if decimal is not None:
        return f"numeric({decimal[1]},{decimal[2]})"
    if kind not in _TYPES:
        raise SourceUnreadable(
            f"a store on PostgreSQL has no columns of the type {kind}", where="the drawing of the tables"
        )
    return _TYPES[kind]


def _word(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _path(place: Path) -> str:
    return str(place).replace("'", "''")
