"""What was done to a patient, as one value each: days with a record, worst grade, return to hospital.

As everywhere at a site, a patient's rows give a value or a declared unknown, never an error.
"""

from __future__ import annotations

import duckdb
import numpy as np
from numpy.typing import NDArray

from fedvalue.client.records.selection import code_matches, integers, require_tables, within_window
from fedvalue.client.records.store import EVERY_GENE
from fedvalue.study.model import window_days
from fedvalue.study.sources import RecordCount, WorstGrade


def index_days(connection: duckdb.DuckDBPyConnection, between: tuple[float, float]) -> NDArray[np.float64]:
    """Return the calendar day of each patient's index day, NaN outside ``between``, shape ``(n,)``.

    At a hospital whose days are numbers, not dates, it is NaN for everybody.
    """
    calendar = connection.execute("SELECT value FROM store_meta WHERE key = 'calendar'").fetchone()
    found = connection.execute("SELECT index_day AS v FROM chosen ORDER BY position").fetchnumpy()["v"]
    days: NDArray[np.float64] = np.ma.filled(np.ma.asarray(found), np.nan).astype(np.float64)
    if calendar is None or calendar[0] != "true":
        return np.full(len(days), np.nan)
    return np.where((days >= between[0]) & (days <= between[1]), days, np.nan)


def counted_days(
    connection: duckdb.DuckDBPyConnection, name: str, source: RecordCount
) -> tuple[str, dict[str, object]]:
    """Return the query ``(position, v)`` of the number of days with a record, and its parameters.

    None is 0. A test of which the day is not known makes the count unknown.

    Raises:
      SourceMissing: the site's mapping does not fill the table.
    """
    matches, parameters = _matching(connection, name, source)
    sql = f"""SELECT c.position, CASE
    WHEN bool_or(x.patient_id IS NOT NULL AND x.day IS NULL) THEN NULL
    ELSE CAST(count(DISTINCT x.day) AS DOUBLE) END AS v
FROM chosen c LEFT JOIN {within_window(source.of, matches, undated=True)} x USING (position)
GROUP BY c.position"""  # noqa: S608 (own names; every value of the study is a parameter)
    return sql, parameters


def first_record_day(
    connection: duckdb.DuckDBPyConnection, name: str, source: RecordCount
) -> tuple[str, dict[str, object]]:
    """Return the query ``(position, v)`` of the day of the first record, from the index day, and parameters.

    Nobody's first day is unknown otherwise than by having none: a record of which the day is not known does
    not count.

    Raises:
      SourceMissing: the site's mapping does not fill the table.
    """
    matches, parameters = _matching(connection, name, source)
    sql = f"""SELECT c.position, CAST(min(x.day - c.index_day) AS DOUBLE) AS v
FROM chosen c LEFT JOIN {within_window(source.of, matches)} x USING (position)
GROUP BY c.position"""  # noqa: S608 (own names; every value of the study is a parameter)
    return sql, parameters


def _matching(
    connection: duckdb.DuckDBPyConnection, name: str, source: RecordCount
) -> tuple[str, dict[str, object]]:
    """Return the condition on a row ``x`` of the source's table, and the parameters of the query."""
    require_tables(connection, (source.of,), f"the variable {name!r}")
    first, last = window_days(source.within)
    parameters: dict[str, object] = {"first": first, "last": last}
    matches = "true"
    if source.codes:
        matches, codes = code_matches(source.codes)
        parameters |= codes
    if source.gene is not None:
        matches = "list_contains($genes, x.gene)"
        parameters["genes"] = [source.gene, EVERY_GENE]
    return matches, parameters


def worst_grade(connection: duckdb.DuckDBPyConnection, name: str, source: WorstGrade) -> NDArray[np.int64]:
    """Return 0 without an event, else the highest grade; -1 where an event has no known grade.

    Raises:
      SourceMissing: the site's mapping does not fill the table.
    """
    require_tables(connection, ("adverse_event",), f"the variable {name!r}")
    first, last = window_days(source.within)
    parameters: dict[str, object] = {"first": first, "last": last}
    matches = "true"
    if source.codes:
        matches, codes = code_matches(source.codes)
        parameters |= codes
    return integers(
        connection,
        f"""SELECT CASE
    WHEN bool_or(x.patient_id IS NOT NULL AND x.grade IS NULL) THEN -1
    ELSE coalesce(max(x.grade), 0) END AS value
FROM chosen c LEFT JOIN {within_window("adverse_event", matches)} x USING (position)
GROUP BY c.position ORDER BY c.position""",  # noqa: S608 (own names; every value is a parameter)
        parameters,
    )


def readmitted(
    connection: duckdb.DuckDBPyConnection, where: str, within_days: int, planned: tuple[str, ...]
) -> NDArray[np.int64]:
    """Return 1 where the first stay was followed by an unplanned one, 0 where not, -1 without any stay.

    The first stay begins on or after the index day. A stay that begins by the day of discharge is a
    transfer: it is the same stay and moves its discharge. Planned stays neither count nor end the window;
    the code of a stay's first record says whether it was planned. The first stay may be a planned one.

    Raises:
      SourceMissing: the site's mapping does not fill the table.
    """
    require_tables(connection, ("admission",), where)
    parameters: dict[str, object] = {"within": within_days}
    is_planned = "false"
    if planned:
        is_planned, codes = code_matches(planned)
        parameters |= codes
    return integers(
        connection,
        f"""
WITH stays AS (
    SELECT c.position, x.day, x.discharge, {is_planned} AS planned,
      max(x.discharge) OVER (PARTITION BY c.position ORDER BY x.day, x.discharge DESC, x.code
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before,
      row_number() OVER (PARTITION BY c.position ORDER BY x.day, x.discharge DESC, x.code) AS nth
    FROM chosen c JOIN admission x USING (patient_id) WHERE x.day >= c.index_day),
  numbered AS (
    SELECT *, sum(CASE WHEN before IS NULL OR day > before THEN 1 ELSE 0 END)
      OVER (PARTITION BY position ORDER BY nth) AS episode
    FROM stays),
  episodes AS (
    SELECT position, episode, min(day) AS day, max(discharge) AS discharge,
      arg_min(planned, nth) AS planned
    FROM numbered GROUP BY position, episode),
  followed AS (
    SELECT f.position, bool_or(coalesce(NOT e.planned AND e.day - f.discharge <= $within, false)) AS again
    FROM episodes f LEFT JOIN episodes e ON e.position = f.position AND e.episode > 1
    WHERE f.episode = 1 GROUP BY f.position)
SELECT CASE WHEN f.again IS NULL THEN -1 WHEN f.again THEN 1 ELSE 0 END AS value
FROM chosen c LEFT JOIN followed f USING (position) ORDER BY c.position""",  # noqa: S608 (own names)
        parameters,
    )
