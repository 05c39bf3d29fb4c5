"""What is known of a gene in each patient: mutated, wild type, or one of the states that are neither.

Wild type is said only where somebody looked at the gene and could have seen the variants that the study asks
for. Everything else is a state of its own; a study that does not name it gets "unknown", or "not tested"
where a panel left the gene out.
"""

from __future__ import annotations

import re

import duckdb
import numpy as np
from numpy.typing import NDArray

from fedvalue.client.records.actionable import FUSION, actionable, judged
from fedvalue.client.records.effects import PROTEIN_CHANGING, short_protein_change
from fedvalue.client.records.scope import (
    BY_POSITION,
    BY_POSITION_NO_FUSIONS,
    FAILED,
    LOOKED,
    NOT_COVERED,
    NOT_READABLE,
    NOT_REPORTED,
    TESTED,
)  # fmt: skip
from fedvalue.client.records.selection import integers, require_tables
from fedvalue.client.records.store import EVERY_GENE, UNREAD, UNSPECIFIED
from fedvalue.errors import StudyInvalid
from fedvalue.study.cohort import (
    FINER_LEVELS,
    MUTATED,
    NOT_TESTED,
    UNKNOWN_SIGNIFICANCE,
    WILD_TYPE,
    VariantSource,
)

EXON_19 = (729, 761)
"""First and last codon of EGFR exon 19, NM_005228 (Ensembl ENST00000275493)."""
NOT_MUTATED = ("uncertain", "likely benign", "benign")
"""Significance of a variant that ``any`` does not count."""
STATES = (MUTATED, WILD_TYPE, NOT_TESTED, *FINER_LEVELS)
"""Every state; their positions are the numbers in `states`."""
_CHANGE = re.compile(r"p\.[A-Z*]\d+\S*")
_UNKNOWN = -1


def variant_level(
    connection: duckdb.DuckDBPyConnection, name: str, source: VariantSource, levels: tuple[str, ...]
) -> NDArray[np.int64]:
    """Return the index of each patient's level, -1 where unknown, shape ``(n,)``.

    Args:
      connection: The store, with the patients of the cohort in ``chosen``.
      name: Of the variable, for errors.
      source: Gene and classes.
      levels: As the study names them: mutated, wild type, not tested, then any of `FINER_LEVELS`.

    Raises:
      SourceMissing: the site's mapping does not fill what the variable reads.
      StudyInvalid: a class of variants that nobody could have.
    """
    return _named(states(connection, name, source), levels)


def first_variant_level(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    sources: tuple[VariantSource, ...],
    levels: tuple[str, ...],
) -> NDArray[np.int64]:
    """Return the position of the first variant that a patient has, then "other", then "not tested".

    Where none is found, one gene whose state is unknown makes the patient unknown, then the first state of
    the finer ones counts, then not tested; "other" takes wild type in every gene.

    Raises:
      SourceMissing, StudyInvalid: as in `variant_level`.
    """
    found = np.stack([states(connection, name, source) for source in sources])
    ranked = [_UNKNOWN, *(STATES.index(state) for state in (*FINER_LEVELS, NOT_TESTED))]
    worst = np.select([(found == state).any(axis=0) for state in ranked], ranked, STATES.index(WILD_TYPE))
    # "other" stands where wild type stands for one gene
    tail = _named(worst, (MUTATED, WILD_TYPE, *levels[len(sources) + 1 :]))
    missing = np.where(tail < 0, _UNKNOWN, tail + len(sources) - 1)
    carried = found == STATES.index(MUTATED)
    return np.where(carried.any(axis=0), carried.argmax(axis=0), missing).astype(np.int64)


def _named(found: NDArray[np.int64], levels: tuple[str, ...]) -> NDArray[np.int64]:
    """Return positions in ``levels``; a state that is not named is unknown, and never wild type."""
    places = []
    for state in STATES:
        if state == NOT_COVERED and state not in levels:
            state = NOT_TESTED  # the gene was not looked at
        places.append(levels.index(state) if state in levels else _UNKNOWN)
    return np.array([*places, _UNKNOWN], dtype=np.int64)[found]


def states(connection: duckdb.DuckDBPyConnection, name: str, source: VariantSource) -> NDArray[np.int64]:
    """Return the position of each patient's state in `STATES`, -1 where unknown, shape ``(n,)``.

    It is -1 where only the gene is known to be mutated and the study asks for a certain change. Several tests
    of a gene: one that could see the variants decides; failing that, the state nearest to a result counts:
    not readable, failed sample, not reported, not covered.

    Raises:
      SourceMissing, StudyInvalid: as in `variant_level`.
    """
    require_tables(connection, ("test",), f"the variable {name!r}")
    parameters: dict[str, object] = {"gene": source.gene, "every": EVERY_GENE, "bare": UNSPECIFIED}
    conditions = [
        _class(wanted, source.gene, position, name, parameters)
        for position, wanted in enumerate(source.classes)
    ]
    seen = [TESTED]
    if judged(source.gene, source.classes):
        seen += [BY_POSITION] if FUSION in source.classes else [BY_POSITION, BY_POSITION_NO_FUSIONS]
    blind = [one for one in (BY_POSITION, BY_POSITION_NO_FUSIONS, NOT_READABLE) if one not in seen]
    parameters |= {"seen": seen, "blind": blind, "unread": UNREAD, "states": list(STATES)}
    parameters["looked"] = list(LOOKED)
    matched = " OR ".join(f"({condition})" for condition in conditions)
    return integers(
        connection,
        f"""
WITH changes AS (
    SELECT *, TRY_CAST(regexp_extract(protein_change, '^p\\.[A-Z*]*([0-9]+)', 1) AS INTEGER) AS codon
    FROM variant WHERE gene = $gene),
  found AS (
    SELECT patient_id, bool_or({matched}) AS matched,
      bool_or(effect = $bare AND protein_change = '' AND significance IS NULL) AS unspecified,
      bool_or(effect = $unread) AS unread,
      bool_or(coalesce(significance = 'uncertain', false)) AS uncertain
    FROM changes GROUP BY patient_id),
  looked AS (
    SELECT patient_id, bool_or(list_contains($seen, status)) AS seen,
      bool_or(list_contains($blind, status)) AS blind,
      bool_or(status = '{FAILED}') AS failed, bool_or(status = '{NOT_REPORTED}') AS unreported,
      bool_or(status = '{NOT_COVERED}') AS uncovered
    FROM test WHERE gene IN ($gene, $every) GROUP BY patient_id),
  elsewhere AS (SELECT DISTINCT patient_id FROM test WHERE list_contains($looked, status)),
  state AS (
    SELECT c.position, CASE
      WHEN f.matched THEN '{MUTATED}'
      WHEN f.unspecified THEN NULL
      WHEN f.unread THEN '{NOT_READABLE}'
      WHEN f.uncertain THEN '{UNKNOWN_SIGNIFICANCE}'
      WHEN l.seen THEN '{WILD_TYPE}'
      WHEN l.blind THEN '{NOT_READABLE}'
      WHEN f.patient_id IS NOT NULL THEN '{WILD_TYPE}'
      WHEN l.failed THEN '{FAILED}'
      WHEN l.unreported THEN '{NOT_REPORTED}'
      WHEN l.uncovered OR e.patient_id IS NOT NULL THEN '{NOT_COVERED}'
      ELSE '{NOT_TESTED}' END AS state
    FROM chosen c LEFT JOIN found f USING (patient_id) LEFT JOIN looked l USING (patient_id)
      LEFT JOIN elsewhere e USING (patient_id))
SELECT coalesce(list_position($states, state), 0) - 1 AS value FROM state ORDER BY position""",  # noqa: S608 (own text; genes and classes are parameters)
        parameters,
    )


def _class(wanted: str, gene: str, position: int, name: str, parameters: dict[str, object]) -> str:
    """Return the SQL condition of one class on a row of ``variant``."""
    if wanted == "any":
        parameters["changing"] = list(PROTEIN_CHANGING)
        parameters["other"] = list(NOT_MUTATED)
        return "list_contains($changing, effect) AND NOT coalesce(list_contains($other, significance), false)"
    if wanted == FUSION:
        return "effect = 'Fusion'"
    if wanted == "ex19del" and gene == "EGFR":
        low, high = EXON_19
        deletion = "effect = 'In_Frame_Del' OR (effect = $bare AND contains(protein_change, 'del'))"
        return f"protein_change = 'ex19del' OR (codon BETWEEN {low} AND {high} AND ({deletion}))"
    change = short_protein_change(wanted)
    known = actionable().name(gene, change, "") or actionable().name(gene, wanted, "")
    if known:
        parameters[f"change{position}"], parameters[f"known{position}"] = change, known
        return f"catalogued = $known{position} OR protein_change = $change{position}"
    if _CHANGE.fullmatch(change) is None:
        raise StudyInvalid(
            f"{wanted!r} is no class of variants of {gene}",
            where=f"variables.{name}.variant.classes",
            do="use any, fusion, ex19del (EGFR only), a protein change such as p.L858R, or a name that the "
            f"catalogue of actionable variants has for {gene}: "
            f"{', '.join(sorted(actionable().names(gene))) or 'it has none'}",
        )
    parameters[f"change{position}"] = change
    return f"protein_change = $change{position}"
