"""One thing that was counted in the records, with how bad it is; for the hospital only, never sent."""

from __future__ import annotations

from typing import Literal

import duckdb
from pydantic import BaseModel, ConfigDict

Verdict = Literal["good", "look", "bad"]
Area = Literal[
    "completeness", "codes", "dates", "amounts", "duplicates", "vital_status", "drift", "readiness"
]
AREAS: tuple[Area, ...] = (
    "completeness", "codes", "dates", "amounts", "duplicates", "vital_status", "drift", "readiness",
)  # fmt: skip


class Measure(BaseModel):
    """One count.

    Attributes:
      area: What it is about.
      key: Which sentence says it; see `fedvalue.client.describing.words`.
      about: Table, column or study that it is about.
      count: How many rows or people it concerns.
      of: Of how many.
      verdict: ``good``, ``look`` (somebody should look at it) or ``bad``.
      detail: A word more, such as a coding system.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    area: Area
    key: str
    about: str
    count: int
    of: int
    verdict: Verdict = "good"
    detail: str = ""

    @property
    def share(self) -> float:
        """The count as a share, 0 to 1; 0 of nothing is 0."""
        return self.count / self.of if self.of else 0.0


def judged(
    area: Area, key: str, about: str, count: int, of: int, *, look: float, bad: float, detail: str = ""
) -> Measure:
    """Return a measure whose verdict is by its share: above ``look``, above ``bad``, or good."""
    share = count / of if of else 0.0
    verdict: Verdict = "bad" if share > bad else "look" if share > look else "good"
    return Measure(area=area, key=key, about=about, count=count, of=of, verdict=verdict, detail=detail)


def tables_of(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, ...]]:
    """Return the tables of a store that its mapping fills, each with its columns."""
    fed = {
        name for (name,) in connection.execute("SELECT value FROM store_meta WHERE key = 'table'").fetchall()
    }
    found: dict[str, tuple[str, ...]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns ORDER BY table_name, ordinal_position"
    ).fetchall():
        if table in fed:
            found[table] = (*found.get(table, ()), column)
    return found


def one(connection: duckdb.DuckDBPyConnection, sql: str, *values: object) -> tuple[int, ...]:
    """Return the first row of a query as whole numbers, NULL as 0."""
    row = connection.execute(sql, list(values)).fetchone() or ()
    return tuple(int(value or 0) for value in row)
