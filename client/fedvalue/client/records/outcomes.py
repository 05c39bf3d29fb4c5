"""The endpoints of a study, one outcome per chosen patient.

Whatever a patient's rows hold gives an outcome or a declared unknown, never an error: an error after
approval would say something about a patient.
"""

from __future__ import annotations

import duckdb
import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import BinaryOutcome, SurvivalOutcome
from fedvalue.client.records.counting import readmitted
from fedvalue.client.records.measured import on_target
from fedvalue.client.records.scope import ENDED, LOOKED
from fedvalue.client.records.selection import integers, person_column, require_tables
from fedvalue.client.records.store import EVERY_GENE
from fedvalue.client.records.therapy import courses
from fedvalue.study.endpoints import DISCONTINUATION, OF_THERAPY, Binary, TimeToEvent
from fedvalue.study.questions.question import entry_at_origin
from fedvalue.study.schema import Study

BEST_FIRST = ("CR", "PR", "SD", "PD")
"""Assessments from the best to the worst; NE says that nothing could be assessed and never counts."""

_DEATH = """death AS (
    SELECT c.position, min(x.day - c.index_day) AS died
    FROM chosen c JOIN event x USING (patient_id) WHERE x.kind = 'death' GROUP BY c.position)"""

_HAPPENED = """happened AS (
    SELECT c.position, x.day - c.index_day AS day, list_position($kinds, x.kind) AS kind
    FROM chosen c JOIN event x USING (patient_id)
    WHERE list_contains($kinds, x.kind) AND NOT list_contains($told, x.kind) AND x.day >= c.index_day
    QUALIFY row_number() OVER (
      PARTITION BY c.position ORDER BY x.day, list_position($kinds, x.kind)) = 1),
  seen AS (
    SELECT c.position, max(x.day - c.index_day) AS last
    FROM chosen c JOIN follow_up x USING (patient_id) GROUP BY c.position),
  line AS (
    SELECT c.position, h.day, h.kind, d.died, coalesce(d.died, s.last) AS stop
    FROM chosen c LEFT JOIN death d USING (position) LEFT JOIN happened h USING (position)
    LEFT JOIN seen s USING (position))"""

_REPORTS = """
WITH asked AS (SELECT unnest($genes) AS gene),
  looked AS (
    SELECT patient_id, gene, min(day) AS day FROM (
      SELECT x.patient_id, a.gene, x.day, list_contains($read, x.status) AS is_read
      FROM test x JOIN asked a ON x.gene = a.gene OR x.gene = $every OR a.gene = $every
      WHERE list_contains($ended, x.status)
      QUALIFY is_read OR NOT bool_or(is_read) OVER (PARTITION BY x.patient_id, a.gene))
    GROUP BY patient_id, gene
    UNION ALL
    SELECT DISTINCT v.patient_id, a.gene, NULL
    FROM variant v JOIN asked a ON v.gene = a.gene
    WHERE NOT EXISTS (
      SELECT 1 FROM test x WHERE x.patient_id = v.patient_id AND x.gene IN (v.gene, $every)
        AND list_contains($read, x.status))),
  latest AS (
    SELECT c.position, bool_or(l.gene IS NOT NULL AND l.day IS NULL) AS undated,
      max(l.day - c.index_day) AS day
    FROM chosen c LEFT JOIN looked l USING (patient_id) GROUP BY c.position)
SELECT CASE WHEN undated THEN 'nan'::DOUBLE ELSE greatest(coalesce(day, 0), 0) END AS value
FROM latest ORDER BY position"""


def binary(connection: duckdb.DuckDBPyConnection, name: str, endpoint: Binary) -> BinaryOutcome:
    """Return 1 success, 0 failure, -1 missing for each patient.

    ``best by day N``: the best assessment of days 1 to N decides. ``status at day N within M days``: the
    assessment nearest to day N does, the worse of two equally near; who died by day N failed.
    Without an assessment, a death up to the last day of the window is a failure; otherwise the outcome is
    missing.
    Assessments after death do not count, and a death before the index day makes the outcome missing.

    Raises:
      SourceMissing: the site's mapping does not fill what the endpoint reads.
    """
    where = f"endpoints.{name}"
    if endpoint.within_days is not None:
        return BinaryOutcome(readmitted(connection, where, endpoint.within_days, endpoint.planned))
    if endpoint.targets:
        return BinaryOutcome(on_target(connection, where, endpoint.targets))
    if endpoint.source == "person":
        column, _ = person_column(connection, endpoint.column or "", where)
        flag = f"CASE TRY_CAST({column} AS DOUBLE) WHEN 1 THEN 1 WHEN 0 THEN 0 ELSE -1 END AS value"
        people = "FROM chosen c JOIN patient p USING (patient_id) ORDER BY c.position"
        return BinaryOutcome(integers(connection, f"SELECT {flag} {people}", {}))
    require_tables(connection, ("response", "event"), where)
    first, last = endpoint.window
    target = last if endpoint.takes_best else int((endpoint.what or "").split()[3])
    rank = "list_position($order, x.status)"
    order = rank if endpoint.takes_best else f"abs(x.day - c.index_day - $target), -{rank}"
    dead = "false" if endpoint.takes_best else "d.died <= $target"
    sql = f"""
WITH {_DEATH},
  told AS (
    SELECT c.position, x.status
    FROM chosen c JOIN response x USING (patient_id) LEFT JOIN death d USING (position)
    WHERE x.method = $method AND list_contains($order, x.status)
      AND x.day - c.index_day BETWEEN $first AND $last
      AND (d.died IS NULL OR x.day - c.index_day <= d.died)
    QUALIFY row_number() OVER (PARTITION BY c.position ORDER BY {order}) = 1)
SELECT CASE
    WHEN d.died < 0 THEN -1
    WHEN {dead} THEN 0
    WHEN list_contains($success, t.status) THEN 1
    WHEN t.status IS NOT NULL OR d.died <= $last THEN 0
    ELSE -1 END AS value
FROM chosen c LEFT JOIN death d USING (position) LEFT JOIN told t USING (position)
ORDER BY c.position"""  # noqa: S608 (own text; every value of the study is a parameter)
    parameters: dict[str, object] = {
        "method": endpoint.method,
        "order": list(BEST_FIRST),
        "success": list(endpoint.success),
        "first": first,
        "last": last,
    }
    return BinaryOutcome(
        integers(connection, sql, parameters if endpoint.takes_best else {**parameters, "target": target})
    )


def survival(
    connection: duckdb.DuckDBPyConnection, study: Study, name: str, endpoint: TimeToEvent
) -> SurvivalOutcome:
    """Return entry, exit and event of each patient, in days from the index day.

    A patient is observed until death, or else until the last day of follow-up; the first event up to then
    counts, the one that the endpoint names first where two fall on one day. Who has no event, no death and no
    follow-up, or whose death or follow-up lies before the index day, is unknown: event -1, entry and exit 0.

    With ``therapy`` the end of a line of therapy and the beginning of the next are told by the starts of
    drugs (`therapy.courses`), and who begins no line on the index day is unknown.

    With delayed entry a patient enters on the day of the report of the genes in question. Who was not tested
    enters at 0; the entry of who was tested on a day that is not known is NaN, and counts in no analysis that
    looks at the entry.

    Raises:
      SourceMissing: the site's mapping does not fill what the endpoint reads.
    """
    where = f"endpoints.{name}"
    require_tables(connection, ("event", "follow_up"), where)
    told = () if endpoint.therapy is None else OF_THERAPY
    found = connection.execute(
        f"WITH {_DEATH}, {_HAPPENED} SELECT day, kind, died, stop FROM line ORDER BY position",  # noqa: S608 (own text; every value of the study is a parameter)
        {"kinds": list(endpoint.events), "told": list(told)},
    ).fetchnumpy()
    day, kind, died, stop = (
        np.ma.filled(np.ma.asarray(found[key]).astype(np.float64), np.nan)
        for key in ("day", "kind", "died", "stop")
    )
    unknown = np.zeros(len(stop), dtype=bool)
    if endpoint.therapy is not None:
        course = courses(connection, where, endpoint.therapy, stop, ~np.isnan(died))
        for place, event in enumerate(endpoint.events, start=1):
            if event in OF_THERAPY:
                own = course.discontinued if event == DISCONTINUATION else course.following
                first = (own < day) | (np.isnan(day) & ~np.isnan(own)) | ((own == day) & (place < kind))
                day, kind = np.where(first, own, day), np.where(first, place, kind)
        if DISCONTINUATION in endpoint.events:
            stop = np.where(np.isnan(stop), stop, np.fmin(stop, course.last))
        unknown = ~course.begun
    exits = np.fmin(day, stop)
    unknown |= np.isnan(exits) | (stop < 0)
    events = np.where(unknown, -1, np.where(~(day > stop) & ~np.isnan(day), kind, 0)).astype(np.int64)
    genes = _delaying_genes(study, name, endpoint)
    entries = np.zeros(len(exits)) if genes is None else _reports(connection, genes)
    return SurvivalOutcome(
        entry=np.where(unknown, 0.0, entries), exit=np.where(unknown, 0.0, exits), event=events
    )


def _delaying_genes(study: Study, name: str, endpoint: TimeToEvent) -> tuple[str, ...] | None:
    """Return the genes whose report delays entry, ``()`` for any; None where everybody enters at 0."""
    timed = [item for question in study.analyses for item in question.times() if item[0] == name]
    stated = endpoint.entry == "later of origin and test report"
    if not stated and all(entry_at_origin(name, used, study.measured) for _, used in timed):
        return None
    groups = [study.variables[variable] for _, used in timed for variable in used]
    genes = {gene for variable in groups for gene in variable.genes}
    genes = genes or {gene for item in study.variables.values() for gene in item.genes}
    return tuple(sorted(genes))


def _reports(connection: duckdb.DuckDBPyConnection, genes: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the day of entry: the latest of the genes' first reports, NaN where one has no known day.

    A gene's report is the first one that could be read; failing that, the first that says why there is none.
    """
    require_tables(connection, ("test",), "delayed entry")
    found = connection.execute(
        _REPORTS,
        {
            "genes": list(genes) or [EVERY_GENE],
            "every": EVERY_GENE,
            "read": list(LOOKED),
            "ended": list(ENDED),
        },
    ).fetchnumpy()
    filled: NDArray[np.float64] = np.ma.filled(np.ma.asarray(found["value"]), np.nan).astype(np.float64)
    return filled
