"""Day zero of each patient: the one place that says when a patient's time begins.

Everything that decides whether a patient is in is known on that day: records up to it, insurance before it.
Nothing that happens later moves it, so no time is lived through for certain. Of several records on one day
the day counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from fedvalue.client.records.engines import Answer, Engine
from fedvalue.study.cohort import Cohort
from fedvalue.study.index import Lines
from fedvalue.study.model import duration_days

Matching = Callable[[Sequence[str]], tuple[str, dict[str, object]]]
_INSURED = """insured AS (
    SELECT patient_id, min(day) AS day, max(until) AS until FROM (
      SELECT *, sum(CASE WHEN day <= reach + 1 THEN 0 ELSE 1 END) OVER w AS period FROM (
        SELECT patient_id, day, coalesce(until, 'infinity'::FLOAT8) AS until,
          max(coalesce(until, 'infinity'::FLOAT8)) OVER (PARTITION BY patient_id ORDER BY day, until
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reach
        FROM enrolment WHERE day IS NOT NULL) e
      WINDOW w AS (PARTITION BY patient_id ORDER BY day, until ROWS UNBOUNDED PRECEDING)) p
    GROUP BY patient_id, period)"""
"""Times of insurance without a break: one that begins on the day after another ended goes on."""
_PORTION = 100_000
"""Rows at a time."""


def tables_read(cohort: Cohort) -> tuple[str, ...]:
    """Return the canonical tables that say when time begins."""
    first = cohort.index.first
    events = () if first == "patient" else ("drug",) if first == "line" else (first,)
    return (*events, *(("enrolment",) if cohort.observable is not None else ()))


def day_zero(connection: Engine, cohort: Cohort, code_matches: Matching) -> None:
    """Create the temporary table ``step(patient_id, index_day)``, one row for each patient with a day zero.

    Args:
      connection: The store.
      cohort: What the study says.
      code_matches: SQL condition on ``x.code`` for codes, with its parameters.
    """
    index = cohort.index
    parameters: dict[str, object] = {}
    if index.first == "patient":
        hits = "SELECT patient_id, origin AS day FROM patient WHERE origin IS NOT NULL"
    elif index.first == "line":
        wanted = code_matches(index.codes) if index.codes else None
        _lines(connection, cohort.lines, index.number or 1, wanted, code_matches)
        hits = "SELECT patient_id, day FROM line_of_therapy"
    else:
        matches, parameters = code_matches(index.codes)
        hits = f"SELECT DISTINCT patient_id, day FROM {index.first} x WHERE {matches} AND day IS NOT NULL"  # noqa: S608 (own names)
    alone = "before IS NULL"
    if index.washout is not None:
        alone += " OR day - before > $washout"
        parameters = {**parameters, "washout": duration_days(index.washout)}
    insured, covered = "", ""
    if cohort.observable is not None:
        insured = f", {_INSURED}"
        covered = (
            " AND EXISTS (SELECT 1 FROM insured i WHERE i.patient_id = s.patient_id "
            "AND i.day <= s.day - $observable AND i.until >= s.day)"
        )
        parameters = {**parameters, "observable": duration_days(cohort.observable)}
    connection.execute(
        f"""CREATE TEMP TABLE step AS
WITH hits AS ({hits}),
  spaced AS (SELECT patient_id, day, lag(day) OVER (PARTITION BY patient_id ORDER BY day) AS before FROM hits)
  {insured}
SELECT patient_id, min(day) AS index_day FROM spaced s WHERE ({alone}){covered} GROUP BY patient_id""",  # noqa: S608 (own names)
        parameters,
    )


def _lines(
    connection: Engine,
    lines: Lines | None,
    number: int,
    wanted: tuple[str, dict[str, object]] | None,
    code_matches: Matching,
) -> None:
    """Create ``line_of_therapy(patient_id, day)``: where line ``number`` began, if it holds a wanted drug."""
    if lines is None:
        matches, parameters = wanted or ("true", {})
        connection.execute(
            "CREATE TEMP TABLE line_of_therapy AS SELECT patient_id, min(day) AS day FROM drug x "  # noqa: S608 (own names)
            f"WHERE line = $number AND day IS NOT NULL GROUP BY patient_id HAVING bool_or({matches})",
            {**parameters, "number": number},
        )
        return
    ours, parameters = code_matches(lines.codes)
    rows = connection.execute(
        "SELECT patient_id, day, code FROM drug x "  # noqa: S608 (own names)
        f"WHERE {ours} AND day IS NOT NULL ORDER BY patient_id, day, code",
        parameters,
    )
    found = list(_numbered(_fetched(rows), lines, number))
    connection.execute("CREATE TEMP TABLE begun AS SELECT patient_id, day, code FROM drug WHERE false")
    for start in range(0, len(found), _PORTION):
        ids, days, codes = zip(*found[start : start + _PORTION], strict=True)
        connection.execute(
            "INSERT INTO begun SELECT unnest(CAST($ids AS VARCHAR[])), unnest(CAST($days AS FLOAT8[])), "
            "unnest(CAST($codes AS VARCHAR[]))",
            {"ids": list(ids), "days": list(days), "codes": list(codes)},
        )
    matches, parameters = wanted or ("true", {})
    connection.execute(
        "CREATE TEMP TABLE line_of_therapy AS SELECT patient_id, min(day) AS day FROM begun x "  # noqa: S608 (own names)
        f"GROUP BY patient_id HAVING bool_or({matches})",
        parameters,
    )


def _fetched(rows: Answer) -> Iterator[tuple[str, float, str]]:
    while portion := rows.fetchmany(_PORTION):
        yield from portion


def _numbered(
    rows: Iterable[tuple[str, float, str]], lines: Lines, number: int
) -> Iterator[tuple[str, float, str]]:
    """Yield patient, beginning and each drug of every patient's line ``number``."""
    for patient, records in groupby(rows, key=itemgetter(0)):
        found = lines_of_therapy([(day, code) for _, day, code in records], lines)
        if len(found) >= number:
            begun, drugs = found[number - 1]
            for code in sorted(drugs):
                yield patient, begun, code


def lines_of_therapy(starts: Sequence[tuple[float, str]], lines: Lines) -> list[tuple[float, frozenset[str]]]:
    """Return one patient's lines of therapy: the day each began, and its drugs.

    Args:
      starts: Day and code of every start of a drug, by day; those of one day are looked at together.
      lines: How lines are told apart.
    """
    combine, gap = duration_days(lines.combine), duration_days(lines.gap)
    found: list[tuple[float, set[str]]] = []
    last = 0.0
    for day, together in groupby(starts, key=itemgetter(0)):
        codes = {code for _, code in together}
        if not found or day - last > gap:
            found.append((day, codes))
        else:
            begun, drugs = found[-1]
            new = {code for code in codes - drugs if not _carries_on(code, lines)}
            if new and day - begun > combine:
                found.append((day, codes))
            else:
                drugs |= codes
        last = day
    return [(day, frozenset(codes)) for day, codes in found]


def _carries_on(code: str, lines: Lines) -> bool:
    return any(
        code.startswith(each[:-1]) if each.endswith("*") else code == each for each in lines.maintenance
    )
