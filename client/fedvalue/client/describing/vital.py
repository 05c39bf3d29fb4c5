"""Of how many people it is not known whether they live: 6, 12 and 24 months after their first day.

Somebody's status at a day is known if a death is on record, or any record or follow-up on or after that day.
Only people whose day has come by the data cut count. The same is said of each source alone, with the last day
on which it knew somebody to live: a source that stopped telling shows there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import duckdb

from fedvalue.client.describing.counting import Tables
from fedvalue.client.describing.measure import Measure, judged, one
from fedvalue.client.records.claim_sections import WAYS
from fedvalue.study.model import duration_days

MONTHS = (6, 12, 24)
RECORDS, FOLLOW_UP = "records", "follow-up"
_SEEN = (
    "drug", "response", "condition", "procedure", "claim", "admission", "adverse_event", "measurement",
)  # fmt: skip
_NOBODY = "SELECT NULL::VARCHAR AS patient_id, NULL::DOUBLE AS day WHERE false"


def vital_status(connection: duckdb.DuckDBPyConnection, tables: Tables) -> Iterator[Measure]:
    """Yield how many people's vital status is unknown at each of `MONTHS`, in all and by each source.

    A person's first day is the day of origin, and without one the first record.
    """
    seen, dead = _seen(tables), _dead(tables)
    if not seen:
        return
    for months in MONTHS:
        unknown, people = _unknown(connection, seen, seen, dead, months)
        yield judged("vital_status", "unknown_at", str(months), unknown, people, look=0.1, bad=0.3)
    (everybody,) = one(connection, "SELECT count(*) FROM patient")
    calendar = connection.execute("SELECT value FROM store_meta WHERE key = 'calendar'").fetchone()
    dated = calendar is not None and calendar[0] == "true"
    for source, alive, died in _sources(connection, tables):
        told = f"SELECT patient_id, day FROM ({alive}) UNION ALL SELECT patient_id, day FROM ({died})"  # noqa: S608 (own names)
        (people,) = one(connection, f"SELECT count(DISTINCT patient_id) FROM ({told})")  # noqa: S608 (own names)
        found = connection.execute(f"SELECT max(day) FROM ({alive})").fetchone()  # noqa: S608 (own names)
        last = None if found is None else found[0]
        yield Measure(
            area="vital_status", key="known_by", about=source, count=people, of=everybody,
            detail=_shown(last, dated=dated),
        )  # fmt: skip
        for months in MONTHS:
            unknown, people = _unknown(connection, seen, [alive], [died], months)
            yield Measure(
                area="vital_status", key="unknown_by", about=str(months), count=unknown, of=people,
                detail=source,
            )  # fmt: skip


def _seen(tables: Tables) -> list[str]:
    """Return queries ``(patient_id, day)`` of everything that shows somebody alive."""
    seen = [f"SELECT patient_id, day FROM {table}" for table in (*_SEEN, "follow_up") if table in tables]  # noqa: S608 (own names)
    if "enrolment" in tables:
        seen.append("SELECT patient_id, until AS day FROM enrolment WHERE until IS NOT NULL")
    if "vital_status" in tables:
        seen.append("SELECT patient_id, day FROM vital_status WHERE status = 'alive'")
    return seen


def _dead(tables: Tables) -> list[str]:
    dead = ["SELECT patient_id, day FROM event WHERE kind = 'death'"] if "event" in tables else []
    if "vital_status" in tables:
        dead.append("SELECT patient_id, day FROM vital_status WHERE status = 'dead'")
    return dead


def _sources(connection: duckdb.DuckDBPyConnection, tables: Tables) -> Iterator[tuple[str, str, str]]:
    """Yield each source with its queries ``(patient_id, day)`` of people alive and of deaths."""
    records = [f"SELECT patient_id, day FROM {table}" for table in _SEEN if table in tables]  # noqa: S608 (own names)
    if records:
        yield RECORDS, " UNION ALL ".join(records), _NOBODY
    listed = "vital_status" in tables
    # a vital status fills follow_up and event as well: only what came otherwise is a source of its own
    other = (
        "NOT EXISTS (SELECT 1 FROM vital_status v WHERE v.patient_id = x.patient_id AND v.day = x.day)"
        if listed
        else "true"
    )
    if "follow_up" in tables:
        died = f"SELECT patient_id, day FROM event x WHERE kind = 'death' AND {other}"  # noqa: S608 (own text)
        alive = f"SELECT patient_id, day FROM follow_up x WHERE {other}"  # noqa: S608 (own text)
        yield FOLLOW_UP, alive, died if "event" in tables else _NOBODY
    for how in WAYS if listed else ():
        rows = f"SELECT patient_id, day FROM vital_status WHERE how = '{how}' AND status = "  # noqa: S608 (own words)
        if one(connection, f"SELECT count(*) FROM vital_status WHERE how = '{how}'") != (0,):  # noqa: S608 (own words)
            yield how, f"{rows}'alive'", f"{rows}'dead'"


def _unknown(
    connection: duckdb.DuckDBPyConnection,
    everything: Sequence[str],
    seen: Sequence[str],
    dead: Sequence[str],
    months: int,
) -> tuple[int, ...]:
    """Return of how many people the status is unknown so many months after their first day, and of how many.

    Args:
      connection: The store.
      everything: Queries that tell first days and the data cut.
      seen: Queries that show people alive.
      dead: Queries of deaths.
      months: After the first day.
    """
    return one(
        connection,
        f"""
WITH noted AS ({" UNION ALL ".join(everything)}),
  seen AS ({" UNION ALL ".join(seen)}),
  dead AS ({" UNION ALL ".join(dead) or _NOBODY}),
  began AS (SELECT patient_id, min(day) AS first FROM noted GROUP BY patient_id),
  last AS (SELECT patient_id, max(day) AS last FROM seen GROUP BY patient_id),
  died AS (SELECT patient_id, min(day) AS died FROM dead GROUP BY patient_id),
  cut AS (SELECT max(day) AS cut FROM noted),
  people AS (
    SELECT coalesce(p.origin, b.first) AS start, l.last, d.died
    FROM patient p LEFT JOIN began b USING (patient_id) LEFT JOIN last l USING (patient_id)
    LEFT JOIN died d USING (patient_id)
    WHERE coalesce(p.origin, b.first) IS NOT NULL)
SELECT count(*) FILTER (died IS NULL AND NOT coalesce(last >= start + $1, false)), count(*)
FROM people, cut WHERE start + $1 <= cut""",  # noqa: S608 (own names)
        duration_days(f"{months} months"),
    )


def _shown(day: float | None, *, dated: bool) -> str:
    if day is None:
        return "-"
    return str(date(1970, 1, 1) + timedelta(days=day)) if dated else f"{day:g}"
