"""The variables of a study, one value per chosen patient: a level, a number, or unknown."""

from __future__ import annotations

import duckdb
import numpy as np
from numpy.typing import NDArray

from fedvalue.client.records.counting import counted_days, first_record_day, index_days, worst_grade
from fedvalue.client.records.measured import measured
from fedvalue.client.records.selection import integers, person_column, require_tables, within_window
from fedvalue.client.records.variant_levels import first_variant_level, variant_level
from fedvalue.study.cohort import Variable
from fedvalue.study.model import window_days


def category(connection: duckdb.DuckDBPyConnection, name: str, variable: Variable) -> NDArray[np.int64]:
    """Return the index of each patient's level, -1 where unknown, shape ``(n,)``.

    Raises:
      SourceMissing: the site's mapping does not fill what the variable reads.
      StudyInvalid: a class of variants that nobody could have.
    """
    if variable.variant is not None:
        return variant_level(connection, name, variable.variant, variable.levels)
    if variable.variants:
        return first_variant_level(connection, name, variable.variants, variable.levels)
    if variable.grade is not None:
        return worst_grade(connection, name, variable.grade)
    column, kind = person_column(connection, variable.person or "", f"variables.{name}")
    if kind == "DOUBLE":
        whole = f"CAST(TRY_CAST({column} AS BIGINT) AS VARCHAR)"
        column = f"CASE WHEN {column} = floor({column}) THEN {whole} ELSE CAST({column} AS VARCHAR) END"
    return integers(
        connection,
        f"SELECT coalesce(list_position($levels, {column}), 0) - 1 AS value "  # noqa: S608 (quoted column)
        "FROM chosen c JOIN patient p USING (patient_id) ORDER BY c.position",
        {"levels": list(variable.levels)},
    )


def number(connection: duckdb.DuckDBPyConnection, name: str, variable: Variable) -> NDArray[np.float64]:
    """Return each patient's number inside the variable's clip, NaN where unknown, shape ``(n,)``.

    Claims are summed over the window; none is 0. A claim in another currency than the variable's unit, or
    without the amount, makes the sum unknown.

    Raises:
      SourceMissing: the site's mapping does not fill what the variable reads.
    """
    parameters: dict[str, object] = {}
    if variable.calendar is not None:
        return index_days(connection, variable.clip or (-np.inf, np.inf))
    read = variable.measurement or variable.sensor
    if read is not None:
        shown = measured(connection, f"the variable {name!r}", read)
        return np.clip(shown, *(variable.clip or (-np.inf, np.inf)))
    if variable.count is not None:
        values, parameters = counted_days(connection, name, variable.count)
    elif variable.first_day is not None:
        values, parameters = first_record_day(connection, name, variable.first_day)
    elif variable.person is not None:
        column, _ = person_column(connection, variable.person, f"variables.{name}")
        values = f"""SELECT c.position, TRY_CAST({column} AS DOUBLE) AS v
FROM chosen c JOIN patient p USING (patient_id)"""  # noqa: S608 (quoted column)
    else:
        require_tables(connection, ("claim",), f"the variable {name!r}")
        first, last = window_days(variable.window or "0d..0d")
        amount = "x.patient_paid" if variable.claims == "patient_paid" else "x.total_paid"
        parameters = {"first": first, "last": last, "unit": variable.unit}
        values = f"""SELECT c.position, CASE
    WHEN bool_or(x.patient_id IS NOT NULL AND ({amount} IS NULL OR x.currency <> $unit)) THEN NULL
    ELSE CAST(coalesce(sum({amount}), 0) AS DOUBLE) END AS v
FROM chosen c LEFT JOIN {within_window("claim", "true")} x USING (position)
GROUP BY c.position"""  # noqa: S608 (own names)
    finite = "CASE WHEN isfinite(v) THEN v ELSE 'nan'::DOUBLE END AS value"
    sql = f"SELECT {finite} FROM ({values}) ORDER BY position"  # noqa: S608 (own text)
    found = np.ma.asarray(connection.execute(sql, parameters).fetchnumpy()["value"])
    filled: NDArray[np.float64] = np.ma.filled(found, np.nan).astype(np.float64)
    low, high = variable.clip or (-np.inf, np.inf)
    return np.clip(filled, low, high)
