"""Of how many people it is not known whether they live: 6, 12 and 24 months after their first day.

Somebody's status at a day is known if a death is on record, or any record or follow-up on or after that day.
Only people whose day has come by the data cut count.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from fedvalue.client.describing.counting import Tables
from fedvalue.client.describing.measure import Measure, judged, one
from fedvalue.study.model import duration_days

MONTHS = (6, 12, 24)
_SEEN = ("drug", "response", "follow_up", "condition", "procedure", "claim", "admission", "adverse_event")


def vital_status(connection: duckdb.DuckDBPyConnection, tables: Tables) -> Iterator[Measure]:
    """Yield how many people's vital status is unknown at each of `MONTHS`.

    A person's first day is the day of origin, and without one the first record.
    """
    seen = [f"SELECT patient_id, day FROM {table}" for table in _SEEN if table in tables]  # noqa: S608 (own names)
    if "enrolment" in tables:
        seen.append("SELECT patient_id, until AS day FROM enrolment WHERE until IS NOT NULL")
    dead = ["SELECT patient_id, day FROM event WHERE kind = 'death'"] if "event" in tables else []
    if "vital_status" in tables:
        seen.append("SELECT patient_id, day FROM vital_status WHERE status = 'alive'")
        dead.append("SELECT patient_id, day FROM vital_status WHERE status = 'dead'")
    if not seen:
        return
    nobody = "SELECT NULL::VARCHAR AS patient_id, NULL::DOUBLE AS day WHERE false"
    whole = f"""
WITH seen AS ({" UNION ALL ".join(seen)}),
  dead AS ({" UNION ALL ".join(dead) or nobody}),
  last AS (SELECT patient_id, min(day) AS first, max(day) AS last FROM seen GROUP BY patient_id),
  died AS (SELECT patient_id, min(day) AS died FROM dead GROUP BY patient_id),
  cut AS (SELECT max(last) AS cut FROM last),
  people AS (
    SELECT coalesce(p.origin, l.first) AS start, l.last, d.died
    FROM patient p LEFT JOIN last l USING (patient_id) LEFT JOIN died d USING (patient_id)
    WHERE coalesce(p.origin, l.first) IS NOT NULL)
SELECT count(*) FILTER (NOT coalesce(died <= start + $1, false) AND NOT coalesce(last >= start + $1, false)
    AND NOT coalesce(died > start + $1, false)), count(*)
FROM people, cut WHERE start + $1 <= cut"""  # noqa: S608 (own names)
    for months in MONTHS:
        unknown, people = one(connection, whole, duration_days(f"{months} months"))
        yield judged("vital_status", "unknown_at", str(months), unknown, people, look=0.1, bad=0.3)
