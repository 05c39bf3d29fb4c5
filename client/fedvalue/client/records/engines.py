"""What choosing a cohort asks of whatever holds the canonical tables: a DuckDB file, or a PostgreSQL server.

SQL of this room that runs on both keeps to what both understand: named parameters as ``$name``, lists through
``= ANY($name)`` and ``unnest``, a name for every subquery, ``FLOAT8`` for a number of double precision.
Anything else belongs to DuckDB alone, and reads rows of chosen patients that were brought to it.
"""

from __future__ import annotations

from typing import Any, Protocol


class Answer(Protocol):
    """Rows that an engine answers with."""

    def fetchone(self) -> Any:
        """Return the next row, None behind the last."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def fetchmany(self, size: int, /) -> list[Any]:
        """Return the next rows, ``size`` at most; none behind the last."""


class Engine(Protocol):
    """Runs SQL where the canonical tables are; a DuckDB connection is one."""

    def execute(self, query: str, parameters: Any = None, /) -> Answer:
        """Run one statement; ``parameters`` are by name, without the dollar."""
