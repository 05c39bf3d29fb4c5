"""Who is in a study at this site: the index day, then the records required and excluded, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from fedvalue.client.records.day_zero import day_zero, tables_read
from fedvalue.client.records.engines import Engine
from fedvalue.client.records.store import quoted
from fedvalue.errors import SourceMissing
from fedvalue.study.cohort import Cohort, Criterion
from fedvalue.study.model import window_days

_DATED = (
    "drug", "response", "event", "follow_up", "condition", "procedure", "claim", "test", "admission",
    "adverse_event", "measurement",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the selection. For the site's own officer; it never leaves the site.

    Attributes:
      what: The step in words.
      patients: How many are left after it.
    """

    what: str
    patients: int


def select(connection: Engine, cohort: Cohort) -> tuple[Step, ...]:
    """Create the temporary tables ``chosen(position, patient_id, index_day)``, in order, and ``lost``.

    ``lost(patient_id, step)`` has who was left out, and by which step: 0 is the index, then the criteria.
    All of it runs where the tables are, on a server too.

    Returns:
      How many patients every step leaves.

    Raises:
      SourceMissing: the study asks for records that this site's mapping does not fill.
    """
    steps = [Step("patients in the store", _count(connection, "patient"))]
    require_tables(connection, tables_read(cohort), f"the cohort's index ({cohort.index.first})")
    day_zero(connection, cohort, code_matches)
    observed = "" if cohort.observable is None else f", insured for {cohort.observable} before"
    steps.append(Step(f"with a {cohort.index.what}{observed}", _count(connection, "step")))
    left = "step"
    connection.execute(
        "CREATE TEMP TABLE lost AS SELECT p.patient_id, 0 AS step FROM patient p "
        "WHERE NOT EXISTS (SELECT 1 FROM step s WHERE s.patient_id = p.patient_id)"
    )
    for word, criteria in (("require", cohort.require), ("exclude", cohort.exclude)):
        for criterion in criteria:
            before, left = left, f"step_{len(steps)}"
            _keep(connection, criterion, before, left, required=word == "require")
            connection.execute(
                f"INSERT INTO lost SELECT b.patient_id, {len(steps) - 1} FROM {before} b "  # noqa: S608 (own names)
                f"WHERE NOT EXISTS (SELECT 1 FROM {left} s WHERE s.patient_id = b.patient_id)"
            )
            what = f"{word} {criterion.kind} {' or '.join(criterion.codes)} within {criterion.within}"
            steps.append(Step(what, _count(connection, left)))
    connection.execute(
        "CREATE TEMP TABLE chosen AS SELECT row_number() OVER (ORDER BY patient_id) - 1 AS position, "  # noqa: S608 (own name)
        f"patient_id, index_day FROM {left}"
    )
    return tuple(steps)


def latest_day(connection: Engine) -> float | None:
    """Return the latest day of any record, None where there is none: the data cut of a cohort."""
    latest = " UNION ALL ".join(f"SELECT max(day) AS day FROM {table}" for table in _DATED)  # noqa: S608 (own names)
    found = connection.execute(f"SELECT max(day) FROM ({latest}) x").fetchone()  # noqa: S608 (own names)
    return None if found is None or found[0] is None else float(found[0])


def code_matches(codes: Sequence[str]) -> tuple[str, dict[str, object]]:
    """Return the SQL condition on ``x.code`` for codes with a trailing ``*``, and its parameters."""
    prefixes = {f"prefix{i}": code[:-1] for i, code in enumerate(codes) if code.endswith("*")}
    exact = [code for code in codes if not code.endswith("*")]
    parts = [f"starts_with(x.code, ${name})" for name in prefixes]
    parameters: dict[str, object] = dict(prefixes)
    if exact:
        parts.append("x.code = ANY($exact)")
        parameters["exact"] = exact
    return f"({' OR '.join(parts)})", parameters


def within_window(table: str, matches: str, *, undated: bool = False) -> str:
    """Return the rows ``x`` of a table inside each patient's window, with the patient's ``position``.

    An outer join on such a condition would look at every pair of rows; this looks at each patient's own.

    Args:
      table: A canonical table.
      matches: Condition on ``x``; the window's days are ``$first`` and ``$last``.
      undated: Take rows without a day along.
    """
    inside = "x.day - c.index_day BETWEEN $first AND $last"
    return (
        f"(SELECT c.position, x.* FROM chosen c JOIN {table} x USING (patient_id) "  # noqa: S608 (own names)
        f"WHERE {matches} AND ({'x.day IS NULL OR ' if undated else ''}{inside}))"
    )


def require_tables(connection: Engine, tables: Sequence[str], who: str) -> None:
    """Check that the site's mapping fills these tables.

    Raises:
      SourceMissing: names the first that it does not.
    """
    fed = {
        name for (name,) in connection.execute("SELECT value FROM store_meta WHERE key = 'table'").fetchall()
    }
    for table in tables:
        if table not in fed:
            raise SourceMissing(
                f"{who} reads the table '{table}', which this site's mapping does not fill",
                where="the site's store",
                do=f"add [[{table}]] to the mapping and load again, or do not approve the study",
            )


def _keep(connection: Engine, criterion: Criterion, before: str, left: str, *, required: bool) -> None:
    """Create the temporary table ``left`` of those in ``before`` whom a criterion keeps."""
    require_tables(connection, (criterion.kind,), f"a criterion ({criterion.kind})")
    matches, parameters = code_matches(criterion.codes)
    first, last = window_days(criterion.within)
    connection.execute(
        f"CREATE TEMP TABLE {left} AS SELECT * FROM {before} s WHERE "  # noqa: S608 (own names)
        f"{'' if required else 'NOT '}EXISTS "
        f"(SELECT 1 FROM {criterion.kind} x WHERE x.patient_id = s.patient_id "
        f"AND {matches} AND x.day - s.index_day BETWEEN $first AND $last)",
        {**parameters, "first": first, "last": last},
    )


def _count(connection: Engine, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 (own names)
    return int(row[0]) if row else 0


def person_column(connection: duckdb.DuckDBPyConnection, name: str, where: str) -> tuple[str, str]:
    """Return the SQL and the type of an attribute of the patients, ``p`` in SQL.

    Raises:
      SourceMissing: the site's mapping has no such attribute.
    """
    rows = connection.execute("DESCRIBE patient").fetchall()
    attributes = {row[0]: row[1] for row in rows if row[0] not in ("patient_id", "origin")}
    if name not in attributes:
        raise SourceMissing(
            f"the study reads the attribute {name!r} of patients, which this site's mapping does not fill",
            where=where,
            do=f"add it to [patient.attributes]; there are {', '.join(sorted(attributes)) or 'none'}",
        )
    return f"p.{quoted(name)}", str(attributes[name])


def integers(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, object]
) -> NDArray[np.int64]:
    """Return the column ``value`` of a query, -1 where NULL, shape ``(n,)``."""
    found = np.ma.asarray(connection.execute(sql, parameters).fetchnumpy()["value"])
    filled: NDArray[np.int64] = np.ma.filled(found, -1).astype(np.int64)
    return filled
