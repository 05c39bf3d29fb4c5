"""From one layout of the store to the next, and back.

Each step is SQL over a copy that takes the store's place when it is whole; a store that cannot be led on is
left as it is. Of a store on a server the step sees empty tables: it may draw tables anew, and change what
``store_meta`` and ``loaded`` say, and nothing else. The way back drops what the older layout has no place
for: the next load reads it again. A load makes the present layout by itself, so a migration is for stores
whose files are no longer at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import duckdb

from fedvalue.client.records.databases import is_server
from fedvalue.client.records.server_changes import redrawing
from fedvalue.client.records.store import (
    FORMAT,
    MODEST,
    SINCE_2,
    SINCE_3,
    Limits,
    alone,
    format_of,
    reading,
    writing,
)
from fedvalue.errors import SourceUnreadable

_IN_1 = (
    "drug", "response", "event", "follow_up", "condition", "procedure", "claim", "variant", "test",
    "admission", "adverse_event",
)  # fmt: skip
_CLAIM_SINCE_2 = {
    "fund_paid": "DECIMAL(18,2)", "setting": "VARCHAR", "channel": "VARCHAR", "payment_group": "VARCHAR",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One step between two layouts.

    Attributes:
      up: SQL from the older one.
      down: SQL back.
    """

    up: str
    down: str


STEPS = MappingProxyType(
    {
        2: Step(
            up=(
                "".join(f"ALTER TABLE {name} ADD COLUMN source INTEGER;" for name in _IN_1)
                + "".join(
                    f"ALTER TABLE claim ADD COLUMN {name} {kind};" for name, kind in _CLAIM_SINCE_2.items()
                )
                + SINCE_2
            ),
            down=(
                "".join(f"ALTER TABLE {name} DROP COLUMN source;" for name in _IN_1)  # noqa: S608 (own names)
                + "".join(f"ALTER TABLE claim DROP COLUMN {name};" for name in _CLAIM_SINCE_2)
                + "".join(
                    f"DROP TABLE {name};" for name in ("claim_line", "enrolment", "vital_status", "loaded")
                )
                + "DELETE FROM store_meta WHERE key IN ('fingerprint', 'report') "
                "OR (key = 'table' AND value IN ('claim_line', 'enrolment', 'vital_status'));"
            ),
        ),
        3: Step(
            up=SINCE_3,
            down=(
                "DROP TABLE measurement;"
                "DELETE FROM loaded WHERE starts_with(place, 'measurement[');"
                "DELETE FROM store_meta WHERE key IN ('fingerprint', 'report') "
                "OR (key = 'table' AND value = 'measurement');"
            ),
        ),
    }
)
"""Layout to the step that leads to it."""


def migrate(path: Path, *, to: int = FORMAT, limits: Limits = MODEST) -> int:
    """Lead a store to another layout.

    Args:
      path: The store.
      to: Layout to make, 1 to `FORMAT`.
      limits: Threads and memory.

    Returns:
      The layout it had.

    Raises:
      SourceMissing: there is no store.
      SourceUnreadable: the file is no store, is of a newer version, or there is no such layout.
      OutputError: the place cannot be written, or a load is at work.
    """
    if not 1 <= to <= FORMAT:
        raise SourceUnreadable(
            f"there is no layout {to}", where=str(path), do=f"this version knows the layouts 1 to {FORMAT}"
        )
    if is_server(path):
        with redrawing(path, limits=limits) as connection:
            had = _known(format_of(connection), path)
            _lead(connection, had, to)
        return had
    with reading(path, limits=limits) as connection:
        had = _known(format_of(connection), path)
    if had == to:
        return had
    with alone(path), writing(path, limits=limits, onto=path) as connection:
        _lead(connection, had, to)
    return had


def _known(layout: int | None, path: Path) -> int:
    if layout is None or layout > FORMAT:
        raise SourceUnreadable(
            "this file is no store that this version knows",
            where=str(path),
            do=f"it knows the layouts 1 to {FORMAT}; go back with the version that made the store",
        )
    return layout


def _lead(connection: duckdb.DuckDBPyConnection, had: int, to: int) -> None:
    layouts = range(had + 1, to + 1) if had < to else range(had, to, -1)
    for layout in layouts:
        connection.execute(STEPS[layout].up if had < to else STEPS[layout].down)
    connection.execute("UPDATE store_meta SET value = $to WHERE key = 'format'", {"to": str(to)})
