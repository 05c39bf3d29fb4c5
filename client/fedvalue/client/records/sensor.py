"""What a continuous glucose sensor says of each patient: shares of readings, episodes, wear.

Shares are of the readings in the window. A reading is compared as devices show it, in whole mg/dL. Wear is
the share of the window's quarters of an hour that hold a reading, so that sensors that tell every minute,
every five or every fifteen are treated alike; below the wear that the study asks for nothing is known.

Episodes: a reading speaks for the time until the next one, but for no longer than the patient's usual spacing
of readings, 15 minutes at most. Readings more than 45 minutes apart begin a new stretch. An event is 15
minutes in a row below the limit; it is over after 15 minutes in a row not below it, or with the stretch. One
minute of the 15 is left to clocks that are not exact.

Battelino et al., Diabetes Care 42 (2019) 1593-1603; Danne et al., Diabetes Care 40 (2017) 1631-1640
(episodes).
"""

from __future__ import annotations

import duckdb
import numpy as np
from numpy.typing import NDArray

from fedvalue.study.measurements import SensorMetric, SensorValue
from fedvalue.study.model import window_days
from fedvalue.study.quantities import CGM

LOW, LOWER, HIGH, HIGHER = 70, 54, 180, 250
"""Limits in mg/dL: 3.9, 3.0, 10.0 and 13.9 mmol/L."""
EPISODE_MINUTES, CLOCK_MINUTES, STRETCH_MINUTES = 15.0, 1.0, 45.0
_SHARES = {
    "in range": f"value BETWEEN {LOW} AND {HIGH}",
    "below 70": f"value < {LOW}",
    "below 54": f"value < {LOWER}",
    "above 180": f"value > {HIGH}",
    "above 250": f"value > {HIGHER}",
}
_EVENTS = {"events below 70": LOW, "events below 54": LOWER}
_READINGS = """
WITH reading AS (
    SELECT c.position, x.value, round((x.day - c.index_day) * 86400) / 60 AS minute
    FROM chosen c JOIN measurement x USING (patient_id)
    WHERE x.code = $code AND x.day - c.index_day >= $first AND x.day - c.index_day < $end),
  worn AS (
    SELECT position, count(DISTINCT floor(minute / 15)) / CAST($slots AS DOUBLE) AS wear
    FROM reading GROUP BY position)"""
_EPISODES = """,
  spaced AS (
    SELECT position, minute, value < $limit AS low, lead(minute) OVER w - minute AS ahead,
      minute - lag(minute) OVER w AS behind, lag(value < $limit) OVER w AS was_low
    FROM reading WINDOW w AS (PARTITION BY position ORDER BY minute, value)),
  usual AS (
    SELECT position, least($episode, coalesce(
      percentile_cont(0.5) WITHIN GROUP (ORDER BY ahead), $episode)) AS spacing
    FROM spaced WHERE ahead IS NULL OR ahead > 0 GROUP BY position),
  spoken AS (
    SELECT s.position, s.minute, s.low, least(coalesce(s.ahead, u.spacing), u.spacing) AS minutes,
      CASE WHEN s.behind IS NULL OR s.behind > $stretch THEN 1 ELSE 0 END AS begins,
      CASE WHEN s.behind IS NULL OR s.behind > $stretch OR s.low <> s.was_low THEN 1 ELSE 0 END AS turns
    FROM spaced s JOIN usual u USING (position)),
  numbered AS (
    SELECT *, sum(turns) OVER (PARTITION BY position ORDER BY minute ROWS UNBOUNDED PRECEDING) AS run
    FROM spoken),
  runs AS (
    SELECT position, run, bool_or(low) AS low, sum(minutes) >= $episode - $clock AS lasts,
      max(begins) AS begins
    FROM numbered GROUP BY position, run),
  ended AS (
    SELECT position, run, low AND lasts AS event,
      sum(CASE WHEN begins = 1 OR (lasts AND NOT low) THEN 1 ELSE 0 END)
        OVER (PARTITION BY position ORDER BY run ROWS UNBOUNDED PRECEDING) AS endings
    FROM runs),
  events AS (
    SELECT position, count(DISTINCT endings) AS value FROM ended WHERE event GROUP BY position)"""


def sensor_value(connection: duckdb.DuckDBPyConnection, source: SensorValue) -> NDArray[np.float64]:
    """Return what a study asks of a sensor, NaN where it was not worn enough or not at all, shape ``(n,)``.

    Args:
      connection: The store, with the table ``chosen``.
      source: What is asked; the values are in its unit.
    """
    first, last = window_days(source.within)
    parameters: dict[str, object] = {
        "code": CGM, "first": first, "end": last + 1, "slots": source.slots, "least": source.wear,
    }  # fmt: skip
    more, value, table = "", _summed(source.what), "reading"
    if source.what in _EVENTS:
        more = _EPISODES
        parameters |= {
            "limit": _EVENTS[source.what], "episode": EPISODE_MINUTES, "clock": CLOCK_MINUTES,
            "stretch": STRETCH_MINUTES,
        }  # fmt: skip
        value, table = "coalesce(max(e.value), 0)", "events"
    joined = "LEFT JOIN events e USING (position)" if table == "events" else "JOIN reading r USING (position)"
    found = connection.execute(
        f"""{_READINGS}{more},
  summed AS (
    SELECT w.position, w.wear, {value} AS value FROM worn w {joined} GROUP BY w.position, w.wear)
SELECT CASE WHEN s.wear >= $least THEN s.value END AS value
FROM chosen c LEFT JOIN summed s USING (position) ORDER BY c.position""",  # noqa: S608 (own text; every value of the study is a parameter)
        parameters,
    ).fetchnumpy()["value"]
    filled: NDArray[np.float64] = np.ma.filled(np.ma.asarray(found).astype(np.float64), np.nan)
    return np.where(np.isfinite(filled), filled, np.nan)


def _summed(what: SensorMetric) -> str:
    """Return the SQL of a metric over a patient's readings."""
    if what == "wear":
        return "100 * w.wear"
    if what == "mean":
        return "avg(value)"
    if what == "variation":
        return "CASE WHEN avg(value) > 0 THEN 100 * stddev_samp(value) / avg(value) END"
    return f"100.0 * count(*) FILTER (WHERE {_SHARES.get(what, 'true')}) / count(*)"
