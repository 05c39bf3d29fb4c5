"""Measurements of a study, one value per chosen patient, and outcomes that are limits of such values.

A measurement of 10 in the evening of day 90 is of day 90: a window's last day is whole. What was measured
after a patient's death counts for nobody.
"""

from __future__ import annotations

import duckdb
import numpy as np
from numpy.typing import NDArray

from fedvalue.client.records.selection import require_tables
from fedvalue.client.records.sensor import sensor_value
from fedvalue.study.measurements import MeasuredValue, SensorValue, Target
from fedvalue.study.model import window_days

SUCCESS, FAILURE, MISSING = 1, 0, -1
_TAKEN = {
    "last": "avg(value) FILTER (WHERE on_day = last)",
    "first": "avg(value) FILTER (WHERE on_day = first)",
    "mean": "avg(value)",
    "lowest": "min(value)",
    "highest": "max(value)",
}


def measured(
    connection: duckdb.DuckDBPyConnection, where: str, source: MeasuredValue | SensorValue
) -> NDArray[np.float64]:
    """Return what a measurement or a glucose sensor says of each patient, NaN where unknown, shape ``(n,)``.

    Args:
      connection: The store, with the table ``chosen``.
      where: What reads it, for the error.
      source: What is read; the values are in its unit.

    Raises:
      SourceMissing: the site's mapping does not fill ``measurement``.
    """
    require_tables(connection, ("measurement",), where)
    if isinstance(source, SensorValue):
        return sensor_value(connection, source)
    first, last = window_days(source.within)
    known = source.quantity is not None
    parameters: dict[str, object] = {
        "code": source.code,
        "first": first,
        "end": last + 1,
        "days": source.days,
    }
    if not known:
        parameters["unit"] = source.unit
    values = _column(
        connection,
        f"""
WITH inside AS (
    SELECT c.position, x.value, floor(x.day - c.index_day) AS on_day
    FROM chosen c JOIN measurement x USING (patient_id)
    WHERE x.code = $code {"" if known else "AND x.unit = $unit"}
      AND x.day - c.index_day >= $first AND x.day - c.index_day < $end),
  edged AS (
    SELECT *, min(on_day) OVER (PARTITION BY position) AS first,
      max(on_day) OVER (PARTITION BY position) AS last
    FROM inside),
  taken AS (
    SELECT position, {_TAKEN[source.take]} AS value FROM edged
    GROUP BY position HAVING count(DISTINCT on_day) >= $days)
SELECT t.value FROM chosen c LEFT JOIN taken t USING (position) ORDER BY c.position""",  # noqa: S608 (own text; every value of the study is a parameter)
        parameters,
    )
    quantity = source.quantity
    if quantity is None:
        return values
    scale = quantity.scale(source.unit)
    if scale is None or scale is quantity.scales[0]:
        return values
    return np.round((values - scale.offset) / scale.factor, scale.digits)


def on_target(
    connection: duckdb.DuckDBPyConnection, where: str, targets: tuple[Target, ...]
) -> NDArray[np.int64]:
    """Return 1 where every limit holds, 0 where one does not, -1 where that is unknown, shape ``(n,)``.

    One limit that does not hold decides, whatever is unknown of the others. Who died before or within a
    window and has no value there failed; a death before the index day makes the outcome missing.

    Raises:
      SourceMissing: the site's mapping does not fill what is read.
    """
    require_tables(connection, ("event",), where)
    died = _column(
        connection,
        "SELECT d.died FROM chosen c LEFT JOIN (SELECT c.position, min(x.day - c.index_day) AS died "
        "FROM chosen c JOIN event x USING (patient_id) WHERE x.kind = 'death' GROUP BY c.position) d "
        "USING (position) ORDER BY c.position",
        {},
    )
    held = np.full(len(died), SUCCESS, dtype=np.int64)
    for target in targets:
        values = measured(connection, where, target.value)
        unknown = np.isnan(values)
        reached = np.ones(len(values), dtype=bool)
        if target.below is not None:
            reached &= values < target.below
        if target.at_least is not None:
            reached &= values >= target.at_least
        dead = unknown & (died <= window_days(target.value.within)[1])
        one = np.where(dead, FAILURE, np.where(unknown, MISSING, np.where(reached, SUCCESS, FAILURE)))
        held = np.where(
            (held == FAILURE) | (one == FAILURE), FAILURE, np.where(one == MISSING, MISSING, held)
        )
    return np.where(died < 0, MISSING, held).astype(np.int64)


def _column(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, object]
) -> NDArray[np.float64]:
    """Return the one column of a query, NaN where NULL or not finite."""
    found = next(iter(connection.execute(sql, parameters).fetchnumpy().values()))
    filled: NDArray[np.float64] = np.ma.filled(np.ma.asarray(found).astype(np.float64), np.nan)
    return np.where(np.isfinite(filled), filled, np.nan)
