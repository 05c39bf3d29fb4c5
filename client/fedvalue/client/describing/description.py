"""The description of a hospital's records, kept beside them, and what changed since the last load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
from pydantic import BaseModel, ConfigDict, ValidationError

from fedvalue.client.describing import counting
from fedvalue.client.describing.measure import Measure, Verdict, judged, tables_of
from fedvalue.client.describing.vital import vital_status
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.records.snapshot import build
from fedvalue.client.records.stores import mark, reading
from fedvalue.errors import RecordsError
from fedvalue.study.schema import Study

JSON, PAGE = "description.json", "description.html"
"""In the home."""

PREFIX = 3
"""Characters of a code that tell its chapter, for drift."""

_CODED = ("condition", "drug", "procedure")


class Load(BaseModel):
    """What one load is compared by with the next.

    Attributes:
      mark: Tells one load from another.
      rows: Table to its rows.
      shares: What was counted, by name, to its share.
      mix: Table to how often each beginning of a code occurs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mark: str
    rows: dict[str, int]
    shares: dict[str, float]
    mix: dict[str, dict[str, int]]


class Description(BaseModel):
    """How good the records are. For this hospital only.

    Attributes:
      site: Whose.
      made: When it was counted, UTC.
      load: Of which load.
      before: The load before it; None for the first that was described.
      study: Id of the study whose readiness was looked at; empty for none.
      measures: All that was counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str
    made: datetime
    load: Load
    before: Load | None = None
    study: str = ""
    measures: tuple[Measure, ...]

    def worst(self) -> Verdict:
        """Return the worst verdict of all."""
        found = {measure.verdict for measure in self.measures}
        return "bad" if "bad" in found else "look" if "look" in found else "good"


def describe(home: SiteHome, study: Study | None = None) -> Description:
    """Count how good the records are, compare with the load before, and keep it in the home.

    Args:
      home: The site.
      study: A study to look at the readiness for.

    Raises:
      SourceMissing, SourceUnreadable: there are no records, or they cannot be read.
      OutputError: the home cannot be written.
    """
    with reading(home.records_file, limits=home.policy.machine) as connection:
        tables = tables_of(connection)
        calendar = connection.execute("SELECT value FROM store_meta WHERE key = 'calendar'").fetchone()
        dated = calendar is not None and calendar[0] == "true"
        today = float((home.clock().date() - date(1970, 1, 1)).days) if dated else None
        measures = [
            *counting.completeness(connection, tables),
            *counting.codes(connection, tables),
            *counting.dates(connection, tables, today),
            *counting.amounts(connection, tables),
            *counting.duplicates(connection, tables),
            *vital_status(connection, tables),
        ]
        load = _load(connection, tables, measures, home.records_file)
    before = _before(home, load.mark)
    if before is not None:
        measures += drift(before, load)
    if study is not None:
        measures += readiness(home, study)
    found = Description(
        site=home.policy.site,
        made=home.clock().astimezone(UTC),
        load=load,
        before=before,
        study="" if study is None else study.study.id,
        measures=tuple(measures),
    )
    write_atomically(home.folder / JSON, found.model_dump_json(indent=1).encode())
    return found


def drift(before: Load, now: Load) -> Iterator[Measure]:
    """Yield what changed from one load to the next: rows of tables, shares, and the mix of codes.

    The mixes are compared by total variation distance: the share of rows that would have to be of another
    chapter for the two to be alike, 0 to 1.
    """
    for table, rows in now.rows.items():
        last = before.rows.get(table, 0)
        yield judged(
            "drift",
            "rows",
            table,
            abs(rows - last),
            max(last, 1),
            look=0.2,
            bad=0.5,
            detail=f"{rows - last:+d}",
        )
    for name, share in now.shares.items():
        if name in before.shares:
            points = round(100 * (share - before.shares[name]))
            yield judged("drift", "share", name, abs(points), 100, look=0.1, bad=0.3, detail=f"{points:+d}")
    for table, mix in now.mix.items():
        if before.mix.get(table):
            distance = round(1000 * _distance(before.mix[table], mix))
            yield judged("drift", "mix", table, distance, 1000, look=0.2, bad=0.5)


def readiness(home: SiteHome, study: Study) -> Iterator[Measure]:
    """Yield how ready the records are for a study: who is left at each step, and what is unknown of them.

    Raises:
      SourceUnreadable: the file is no store.
    """
    try:
        frozen = build(home.records_file, study, limits=home.policy.machine)
    except RecordsError as error:
        yield Measure(
            area="readiness", key="not_ready", about=study.study.id, count=0, of=1, verdict="bad",
            detail=error.what,
        )  # fmt: skip
        return
    everybody = frozen.steps[0].patients
    for step in frozen.steps[1:]:
        yield Measure(area="readiness", key="step", about=step.what, count=step.patients, of=everybody)
    cohort, least = frozen.cohort, study.federation.min_released_patients
    yield Measure(
        area="readiness", key="cohort", about=study.study.id, count=cohort.patients, of=everybody,
        verdict="bad" if not cohort.patients else "look" if cohort.patients < least else "good",
        detail=str(least),
    )  # fmt: skip
    unknown = {name: int((codes < 0).sum()) for name, codes in cohort.categories.items()}
    unknown |= {name: int((values != values).sum()) for name, values in cohort.numbers.items()}
    unknown |= {name: int((outcome.status < 0).sum()) for name, outcome in cohort.binary.items()}
    unknown |= {name: int((outcome.event < 0).sum()) for name, outcome in cohort.survival.items()}
    for name, count in unknown.items():
        yield judged("readiness", "unknown", name, count, cohort.patients, look=0.2, bad=0.6)


def _load(
    connection: duckdb.DuckDBPyConnection, tables: counting.Tables, measures: list[Measure], path: Path
) -> Load:
    rows = {}
    for table in tables:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 (own name)
        rows[table] = int(found[0]) if found else 0
    mix = {
        table: {
            str(prefix): int(count)
            for prefix, count in connection.execute(
                f"SELECT left(code, {PREFIX}), count(*) FROM {table} GROUP BY 1 ORDER BY 2 DESC LIMIT 500"  # noqa: S608 (own names)
            ).fetchall()
        }
        for table in _CODED
        if table in tables
    }
    kept = [
        m
        for m in measures
        if m.area in ("completeness", "codes", "vital_status") and m.key != "without_record"
    ]
    shares = {f"{m.about} {m.key} {m.detail}".strip(): m.share for m in kept}
    return Load(mark=mark(path, connection), rows=rows, shares=shares, mix=mix)


def _before(home: SiteHome, mark: str) -> Load | None:
    """Return the load before the one that is described now, as an earlier description kept it."""
    try:
        known = Description.model_validate_json((home.folder / JSON).read_bytes())
    except (OSError, ValidationError):
        return None
    return known.before if known.load.mark == mark else known.load


def _distance(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    first, second = sum(one.values()) or 1, sum(other.values()) or 1
    every = {*one, *other}
    return sum(abs(one.get(key, 0) / first - other.get(key, 0) / second) for key in every) / 2
