"""The variables of a study, one value per chosen patient: a level, a number, or unknown."""

from __future__ import annotations

import re

import duckdb
import numpy as np
from numpy.typing import NDArray

from fedvalue.client.records.counting import counted_days, first_record_day, index_days, worst_grade
from fedvalue.client.records.effects import PROTEIN_CHANGING, short_protein_change
from fedvalue.client.records.selection import integers, person_column, require_tables
from fedvalue.client.records.store import EVERY_GENE, UNREAD, UNSPECIFIED
from fedvalue.errors import StudyInvalid
from fedvalue.study.cohort import Variable, VariantSource
from fedvalue.study.model import window_days

EXON_19 = (729, 761)
"""First and last codon of EGFR exon 19, NM_005228 (Ensembl ENST00000275493)."""
_CHANGE = re.compile(r"p\.[A-Z*]\d+\S*")


def category(connection: duckdb.DuckDBPyConnection, name: str, variable: Variable) -> NDArray[np.int64]:
    """Return the index of each patient's level, -1 where unknown, shape ``(n,)``.

    Raises:
      SourceMissing: the site's mapping does not fill what the variable reads.
      StudyInvalid: a class of variants that nobody could have.
    """
    if variable.variant is not None:
        return _variant(connection, name, variable.variant)
    if variable.variants:
        return _first_variant([_variant(connection, name, source) for source in variable.variants])
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
FROM chosen c LEFT JOIN claim x ON x.patient_id = c.patient_id
  AND x.day - c.index_day BETWEEN $first AND $last
GROUP BY c.position"""  # noqa: S608 (own names)
    finite = "CASE WHEN isfinite(v) THEN v ELSE 'nan'::DOUBLE END AS value"
    sql = f"SELECT {finite} FROM ({values}) ORDER BY position"  # noqa: S608 (own text)
    found = np.ma.asarray(connection.execute(sql, parameters).fetchnumpy()["value"])
    filled: NDArray[np.float64] = np.ma.filled(found, np.nan).astype(np.float64)
    low, high = variable.clip or (-np.inf, np.inf)
    return np.clip(filled, low, high)


def _variant(connection: duckdb.DuckDBPyConnection, name: str, source: VariantSource) -> NDArray[np.int64]:
    """Return 0 mutated, 1 wild type, 2 not tested.

    It is -1 where only the gene is known to be mutated and the study asks for a certain change, and where no
    such variant is known but a line of the patient's file that speaks of the gene cannot be read.
    """
    require_tables(connection, ("test",), f"the variable {name!r}")
    parameters: dict[str, object] = {"gene": source.gene, "every": EVERY_GENE, "bare": UNSPECIFIED}
    parameters["unread"] = UNREAD
    conditions = [
        _class(wanted, source.gene, position, name, parameters)
        for position, wanted in enumerate(source.classes)
    ]
    matched = " OR ".join(f"({condition})" for condition in conditions)
    return integers(
        connection,
        f"""
WITH changes AS (
    SELECT *, TRY_CAST(regexp_extract(protein_change, '^p\\.[A-Z*]([0-9]+)', 1) AS INTEGER) AS codon
    FROM variant WHERE gene = $gene),
  found AS (
    SELECT patient_id, bool_or({matched}) AS matched,
      bool_or((effect = $bare AND protein_change = '') OR effect = $unread) AS unspecified
    FROM changes GROUP BY patient_id),
  looked AS (SELECT DISTINCT patient_id FROM test WHERE gene IN ($gene, $every))
SELECT CASE WHEN f.matched THEN 0
    WHEN f.unspecified THEN -1
    WHEN f.patient_id IS NOT NULL OR l.patient_id IS NOT NULL THEN 1
    ELSE 2 END AS value
FROM chosen c LEFT JOIN found f USING (patient_id) LEFT JOIN looked l USING (patient_id)
ORDER BY c.position""",  # noqa: S608 (own text; genes and classes are parameters)
        parameters,
    )


def _first_variant(found: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the position of the first variant that a patient has, then "other", then "not tested".

    It is -1 where none is found and one of them is unknown.

    Args:
      found: For each variant, what `_variant` says of every patient, shape ``(n,)``.
    """
    table = np.stack(found)
    missing = np.select([(table < 0).any(axis=0), (table == 2).any(axis=0)], [-1, len(found) + 1], len(found))
    return np.where((table == 0).any(axis=0), (table == 0).argmax(axis=0), missing).astype(np.int64)


def _class(wanted: str, gene: str, position: int, name: str, parameters: dict[str, object]) -> str:
    """Return the SQL condition of one class on a row of ``variant``."""
    if wanted == "any":
        parameters["changing"] = list(PROTEIN_CHANGING)
        return "list_contains($changing, effect)"
    if wanted == "fusion":
        return "effect = 'Fusion'"
    if wanted == "ex19del" and gene == "EGFR":
        low, high = EXON_19
        deletion = "effect = 'In_Frame_Del' OR (effect = $bare AND contains(protein_change, 'del'))"
        return f"protein_change = 'ex19del' OR (codon BETWEEN {low} AND {high} AND ({deletion}))"
    change = short_protein_change(wanted)
    if _CHANGE.fullmatch(change) is None:
        raise StudyInvalid(
            f"{wanted!r} is no class of variants of {gene}",
            where=f"variables.{name}.variant.classes",
            do="use any, fusion, ex19del (EGFR only) or a protein change such as p.L858R",
        )
    parameters[f"change{position}"] = change
    return f"protein_change = $change{position}"
