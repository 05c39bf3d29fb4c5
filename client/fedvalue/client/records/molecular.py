"""Molecular reports in a laboratory's own words: variants, and what became of every gene of the panel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
import pandas as pd

from fedvalue.client.records.cells import Cell
from fedvalue.client.records.connectors import Raw
from fedvalue.client.records.genomics import TEST_COLUMNS, insert_variants
from fedvalue.client.records.report import SHOWN_LINES, LeftOut, TableReport
from fedvalue.client.records.rules import NO_REPORT, RowQuery, Value
from fedvalue.client.records.scope import NOT_READABLE, NOT_REPORTED, NOT_TESTED, TESTED
from fedvalue.client.records.sections import MolecularReport
from fedvalue.client.records.store import EVERY_GENE
from fedvalue.client.records.wording import Finding, read_words

NOT_UNDERSTOOD = "result not readable"
PANEL_UNKNOWN = "panel without a list of genes"
_NO_TEXT = Value("CAST(NULL AS VARCHAR)")


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one report says.

    Attributes:
      tests: Gene and status.
      variants: Findings with a variant.
      readable: False where some of it could not be read.
    """

    tests: tuple[tuple[str, str], ...]
    variants: tuple[Finding, ...]
    readable: bool


def load_molecular_report(
    connection: duckdb.DuckDBPyConnection, where: str, table: MolecularReport, raw: Raw
) -> TableReport:
    """Fill ``variant`` and ``test`` from the words of molecular reports.

    A row that cannot be read stays as a test that is not readable, and is counted.
    """
    query = RowQuery(connection, raw)
    query.patient(table.patient_id)
    no_day = Value("CAST(NULL AS DOUBLE)")
    query.put("day", no_day if table.day is None else query.day(table.day, missing=NO_REPORT), blank=True)
    query.put("words", query.text(table.text, missing=None))
    one_gene = _NO_TEXT if table.gene is None else query.text(table.gene, missing="missing code")
    query.put("gene", Value(f"upper({one_gene.sql})", one_gene.faults))
    listed = None if table.genes is None else table.genes.cell
    cells: list[tuple[str, Cell | None]] = [
        ("panel", table.panel),
        ("assay", table.assay),
        ("listed", listed),
    ]
    for name, cell in cells:
        plain = cell if cell is None else cell.model_copy(update={"separator": None})
        query.put(name, _NO_TEXT if plain is None else query.text(plain, missing=None), blank=True)
    staged = query.stage("staged", once="duplicate row")
    rows = connection.execute(
        "SELECT _file, _line, patient_id, day, words, gene, panel, assay, listed FROM staged "
        "WHERE _reason IS NULL ORDER BY _file, _line"
    ).fetchall()
    read: dict[tuple[str, str, tuple[str, ...]], _Reading] = {}
    tests, variants = list[tuple[object, ...]](), list[tuple[object, ...]]()
    faults: dict[tuple[str, int], list[int]] = {}
    for file, line, patient, day, words, gene, panel, assay, genes in rows:
        covered = _covered(table, panel, genes)
        if covered is None:
            faults.setdefault((PANEL_UNKNOWN, file), []).append(line)
        key = (words or "", gene or "", covered or ())
        if key not in read:
            read[key] = _reading(*key, unmentioned=table.unmentioned)
        found = read[key]
        if not found.readable:
            faults.setdefault((NOT_UNDERSTOOD, file), []).append(line)
        tests += [(patient, day, name, status, panel, assay) for name, status in found.tests]
        variants += [(patient, one.gene, one.change, one.effect, one.significance) for one in found.variants]
    _insert(connection, tests, variants, raw.source)
    report = staged.report(where)
    names = tuple(file.file for file in raw.files)
    blanked = tuple(
        LeftOut(reason=reason, rows=len(lines), file=names[file], lines=tuple(lines[:SHOWN_LINES]))
        for (reason, file), lines in sorted(faults.items())
    )
    return report.model_copy(update={"blanked": (*report.blanked, *blanked)})


def _covered(table: MolecularReport, panel: str | None, listed: str | None) -> tuple[str, ...] | None:
    """Return the genes that were looked at, empty where nobody says, None where the panel is not listed."""
    if table.panels:
        genes: Sequence[str] | None = table.panels.get(panel or "")
        return None if genes is None else tuple(gene.upper() for gene in genes)
    if table.genes is None:
        return ()
    if table.genes.cell is None:
        return tuple(gene.upper() for gene in table.genes.symbols)
    parts = (listed or "").split(table.genes.cell.separator) if table.genes.cell.separator else [listed or ""]
    return tuple(dict.fromkeys(part.strip().upper() for part in parts if part.strip()))


def _reading(words: str, gene: str, covered: tuple[str, ...], *, unmentioned: str) -> _Reading:
    found = read_words(words, gene, covered)
    named = [one for one in found if one.gene]
    rest = [one for one in found if not one.gene]
    tests = [(one.gene, one.state) for one in named]
    mentioned = {one.gene for one in named}
    if gene and not covered:
        left: tuple[str, ...] = ()
    else:
        left = tuple(one for one in covered if one not in mentioned)
    tests += [(one, status) for one in left for status in _of_the_rest(rest, unmentioned)]
    if not covered and not gene:
        # "No mutation found", and nobody says in which genes: wild type of none.
        tests += [(EVERY_GENE, NOT_REPORTED if one.state == TESTED else one.state) for one in rest]
    return _Reading(
        tuple(dict.fromkeys(test for test in tests if test[1] != NOT_TESTED)),
        tuple(one for one in named if one.effect),
        all(one.state != NOT_READABLE for one in found),
    )


def _of_the_rest(rest: list[Finding], unmentioned: str) -> Iterator[str]:
    """Yield what holds for a gene of the panel that the words do not name."""
    if rest:
        yield from (one.state for one in rest)
    else:
        yield TESTED if unmentioned == "wild type" else NOT_REPORTED


def _insert(
    connection: duckdb.DuckDBPyConnection,
    tests: list[tuple[object, ...]],
    variants: list[tuple[object, ...]],
    source: int,
) -> None:
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE told (patient_id VARCHAR, day DOUBLE, gene VARCHAR, status VARCHAR, "
        "panel VARCHAR, assay VARCHAR)"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE found (patient_id VARCHAR, gene VARCHAR, protein_change VARCHAR, "
        "effect VARCHAR, significance VARCHAR, genotype VARCHAR, depth BIGINT, allele_fraction DOUBLE, "
        f"filter VARCHAR, _reason VARCHAR, source INTEGER DEFAULT {source})"
    )
    for table, rows, columns in (
        ("told", tests, ("patient_id", "day", "gene", "status", "panel", "assay")),
        ("found", variants, ("patient_id", "gene", "protein_change", "effect", "significance")),
    ):
        if not rows:
            continue
        # Text for text, NULL for None: the types must not hang on what happens to be in the rows.
        frame = pd.DataFrame(rows, columns=list(columns)).astype(
            {name: ("float64" if name == "day" else "object") for name in columns}
        )
        connection.register("rows", frame)
        chosen = ", ".join(
            f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END"
            if name == "day"
            else f"CAST({name} AS VARCHAR)"
            for name in columns
        )
        connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT DISTINCT {chosen} FROM rows")  # noqa: S608 (own names)
        connection.unregister("rows")
    connection.execute("UPDATE found SET significance = nullif(significance, '')")
    connection.execute(
        f"INSERT INTO test ({TEST_COLUMNS}) SELECT DISTINCT patient_id, day, gene, status, panel, assay, "  # noqa: S608 (own names)
        f"{source} FROM told"
    )
    insert_variants(connection, "found")
