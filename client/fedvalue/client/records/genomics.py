"""Variants and tests: who was looked at, for which genes, and what was found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import duckdb
import pandas as pd

from fedvalue.client.records.actionable import actionable, catalogue_genes
from fedvalue.client.records.builds import column_words
from fedvalue.client.records.cells import Cell
from fedvalue.client.records.connectors import Raw
from fedvalue.client.records.effects import SEVERITY, effect_class, short_protein_change
from fedvalue.client.records.mapping import SourceFile
from fedvalue.client.records.report import TableReport
from fedvalue.client.records.rules import IGNORED, NO_REPORT, RowQuery, Value
from fedvalue.client.records.scope import EVERYTHING, NOT_READABLE, SCOPES, TESTED, tests_of
from fedvalue.client.records.sections import SIGNIFICANCES, TEST_STATES, Panel, Test, Variant
from fedvalue.client.records.store import UNSPECIFIED
from fedvalue.errors import SourceUnreadable

MAF_PATIENT, MAF_GENE, MAF_EFFECT = "Tumor_Sample_Barcode", "Hugo_Symbol", "Variant_Classification"
MAF_CHANGES = ("HGVSp_Short", "Protein_Change", "HGVSp", "AAChange")
MAF_DETAILS = {"depth": "t_depth", "alt_depth": "t_alt_count", "allele_fraction": "t_vaf", "filter": "FILTER"}
MAF_BUILD = "NCBI_Build"
MAF_OPTIONAL = (*MAF_CHANGES, *MAF_DETAILS.values(), MAF_BUILD)
"""Columns of a MAF that are taken where they are there."""
ANOTHER_BUILD = "another genome build"
_VCF_CELLS = (
    "gene", "protein_change", "effect", "genotype", "depth", "allele_fraction", "filter",
)  # fmt: skip
_MISSENSE = re.compile(r"p\.[A-Z]\d+[A-Z]")
_NO_TEXT = Value("CAST(NULL AS VARCHAR)")
_MOST_READS = 1e8
TEST_COLUMNS = "patient_id, day, gene, status, panel, assay, source"
VARIANT_COLUMNS = (
    "patient_id, gene, protein_change, effect, catalogued, significance, genotype, depth, allele_fraction, "
    "filter, source"
)


def complete(table: Variant, kind: str, there: Sequence[str] = MAF_CHANGES) -> Variant:
    """Return the table with the columns that a MAF or VCF is known to have.

    Args:
      table: As the mapping has it.
      kind: Format of its file.
      there: Which of the columns that a MAF may have the file has.
    """
    if kind == "vcf":
        known = {"patient_id": "sample", **{name: name for name in _VCF_CELLS}}
    elif kind == "maf":
        known = {"patient_id": MAF_PATIENT, "gene": MAF_GENE, "effect": MAF_EFFECT}
        if changes := [name for name in MAF_CHANGES if name in there]:
            known["protein_change"] = changes[0]
        known |= {name: column for name, column in MAF_DETAILS.items() if column in there}
    else:
        known = {}
    given = {name: Cell(column=column) for name, column in known.items() if getattr(table, name) is None}
    return table.model_copy(update=given)


def load_variant(
    connection: duckdb.DuckDBPyConnection, where: str, table: Variant, raw: Raw, source: SourceFile
) -> TableReport:
    """Fill ``variant``, and ``test`` as far as the file tells who was tested.

    Raises:
      SourceUnreadable: every row of a MAF is on another genome build than the mapping says.
    """
    read_here = source.kind == "vcf"
    table = complete(table, source.kind, tuple(raw.columns) if source.kind == "maf" else MAF_CHANGES)
    if table.patient_id is None or table.gene is None:
        raise ValueError("a validated mapping names patient_id and gene")
    query = RowQuery(connection, raw)
    query.patient(table.patient_id)
    if source.kind == "maf" and source.build is not None and MAF_BUILD in raw.columns:
        words = query.parameter(list(column_words(source.build)))
        stated = f"upper(r.{raw.columns[MAF_BUILD]})"
        query.faults.append((ANOTHER_BUILD, f"{stated} IS NOT NULL AND NOT list_contains({words}, {stated})"))
    gene = query.text(table.gene, missing="missing code")
    query.put("gene", Value(f"upper({gene.sql})", gene.faults))
    query.put("protein_change", _change(query, table.protein_change, as_read=read_here))
    query.put("effect", _effect(query, table.effect, as_read=read_here))
    _details(query, table, as_read=read_here)
    staged = query.stage("staged", once="duplicate row")
    report = staged.report(where)
    if report.kept == 0 and any(item.reason == ANOTHER_BUILD for item in report.left_out):
        raise SourceUnreadable(
            f"no row is on {source.build}, which the mapping says the file is on",
            where=", ".join(file.file for file in raw.files),
            do=f"look at the column {MAF_BUILD}, and mend build in [files.{table.file}]",
        )
    insert_variants(connection, "staged")
    if table.tested != "nobody":
        report = _tested(connection, table, table.patient_id, raw, report)
    return report


def _change(query: RowQuery, cell: Cell | None, *, as_read: bool) -> Value:
    """Return the protein change; the reader of VCF has put it in short form already."""
    if cell is None:
        return Value("''")
    if as_read and not cell.codes:
        return Value(f"coalesce({query.text(cell, missing=None).sql}, '')")
    return Value(f"coalesce({query.rewritten(cell, short_protein_change, missing=None).sql}, '')")


def _effect(query: RowQuery, cell: Cell | None, *, as_read: bool) -> Value:
    if cell is None:
        return Value(f"'{UNSPECIFIED}'")
    if as_read and not cell.codes:
        told = query.text(cell, missing=None, allowed=SEVERITY)
        return Value(f"coalesce({told.sql}, '{UNSPECIFIED}')", told.faults)
    effect = query.rewritten(cell, effect_class, missing=None)
    return Value(f"coalesce({effect.sql}, '{UNSPECIFIED}')", effect.faults)


def _details(query: RowQuery, table: Variant, *, as_read: bool) -> None:
    """Add significance, genotype, depth, allele fraction and filter; what is wrong with one blanks it."""
    significance = _NO_TEXT
    if table.significance is not None:
        told = query.text(table.significance, missing=None, allowed=SIGNIFICANCES)
        # A word that is none may mean anything: the variant is then of uncertain significance.
        known = query.parameter(list(SIGNIFICANCES))
        significance = Value(
            f"CASE WHEN list_contains({known}, ({told.sql})) THEN ({told.sql}) "
            f"WHEN ({query.text(table.significance.model_copy(update={'codes': {}}), missing=None).sql}) "
            "IS NOT NULL THEN 'uncertain' END",
            told.faults,
        )
    query.put("significance", significance, blank=True)
    for name, cell in (("genotype", table.genotype), ("filter", table.filter)):
        query.put(name, _NO_TEXT if cell is None else query.text(cell, missing=None), blank=True)
    if (
        as_read
        and table.alt_depth is None
        and not any(cell and cell.codes for cell in (table.depth, table.allele_fraction))
    ):
        # the reader of VCF writes numbers only
        for name, kind in (("depth", "BIGINT"), ("allele_fraction", "DOUBLE")):
            cell = getattr(table, name)
            sql = "NULL" if cell is None else query.text(cell, missing=None).sql
            query.put(name, Value(f"TRY_CAST({sql} AS {kind})"))
        return
    depth = _number(query, table.depth, _MOST_READS)
    query.put("depth", Value(f"CAST(floor({depth.sql}) AS BIGINT)", depth.faults), blank=True)
    fraction = _number(query, table.allele_fraction, 1.0)
    if table.alt_depth is not None:
        reads = _number(query, table.alt_depth, _MOST_READS)
        share = f"CASE WHEN ({reads.sql}) <= ({depth.sql}) THEN ({reads.sql}) / nullif(({depth.sql}), 0) END"
        fraction = Value(f"coalesce(({fraction.sql}), {share})", (*fraction.faults, *reads.faults))
    query.put("allele_fraction", fraction, blank=True)


def _number(query: RowQuery, cell: Cell | None, largest: float) -> Value:
    """Return a number of 0 to ``largest``, NULL where it is not known."""
    if cell is None:
        return Value("CAST(NULL AS DOUBLE)")
    number = query.number(cell, missing=None, largest=largest)
    return Value(
        f"CASE WHEN ({number.sql}) >= 0 THEN ({number.sql}) END",
        (*number.faults, ("negative number", f"({number.sql}) < 0")),
    )


def insert_variants(connection: duckdb.DuckDBPyConnection, staged: str) -> None:
    """Insert the sound rows of a staged table into ``variant``, each with its name in the catalogue."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE kinds AS SELECT DISTINCT gene, protein_change, effect FROM {staged} "  # noqa: S608 (own names)
        "WHERE _reason IS NULL AND list_contains($genes, gene)",
        {"genes": list(catalogue_genes())},
    )
    found = connection.execute("FROM kinds").fetchall()
    named = [(*kind, name) for kind in found if (name := actionable().name(*kind))]
    frame = pd.DataFrame(named, columns=["gene", "protein_change", "effect", "catalogued"], dtype=object)
    connection.register("named", frame.astype("string") if not named else frame)
    connection.execute(
        f"INSERT INTO variant ({VARIANT_COLUMNS}) SELECT {VARIANT_COLUMNS} FROM {staged} "  # noqa: S608 (own names)
        "LEFT JOIN named USING (gene, protein_change, effect) WHERE _reason IS NULL"
    )
    connection.unregister("named")


def _tested(
    connection: duckdb.DuckDBPyConnection, table: Variant, patient: Cell, raw: Raw, report: TableReport
) -> TableReport:
    """Fill ``test``; the report day of a patient is the earliest of the file, NULL where there is none."""
    people = RowQuery(connection, raw if raw.listed is None else replace(raw, table=raw.listed))
    people.patient(patient)
    people.put(
        "day", Value("CAST(NULL AS DOUBLE)") if table.report is None else people.day(table.report), blank=True
    )
    _panel_and_assay(people, table.panel, table.assay)
    staged = people.stage("staged")
    scopes = raw.scopes or (EVERYTHING,) * len(raw.files)
    genes = [gene.upper() for gene in table.genes]
    rows = [
        (number, gene, status)
        for number, scope in [*enumerate(scopes), (-1, min(scopes, key=SCOPES.index))]
        for gene, status in tests_of(scope, genes)
    ]
    connection.register("looked_at", pd.DataFrame(rows, columns=["file", "gene", "status"]))
    # The earliest day over all files, one row for each file that may tell something else of the genes.
    who = (
        "(SELECT patient_id, _file AS file, min(min(day)) OVER (PARTITION BY patient_id) AS day, "
        "max(panel) AS panel, max(assay) AS assay FROM staged WHERE _reason IS NULL "
        "GROUP BY patient_id, _file)"
    )
    if table.tested == "all patients":
        who = (
            "(SELECT p.patient_id, coalesce(s.file, -1) AS file, s.day, s.panel, s.assay "  # noqa: S608 (own names)
            f"FROM patient p LEFT JOIN {who} s USING (patient_id))"
        )
    connection.execute(
        f"INSERT INTO test ({TEST_COLUMNS}) SELECT DISTINCT w.patient_id, w.day, l.gene, l.status, w.panel, "  # noqa: S608 (own names)
        f"w.assay, {raw.source} FROM {who} w JOIN looked_at l USING (file)"
    )
    connection.unregister("looked_at")
    return report.model_copy(update={"blanked": (*report.blanked, *staged.report("").blanked)})


def _panel_and_assay(query: RowQuery, panel: Cell | None, assay: Cell | None) -> None:
    for name, cell in (("panel", panel), ("assay", assay)):
        query.put(name, _NO_TEXT if cell is None else query.text(cell, missing=None), blank=True)


def load_test(connection: duckdb.DuckDBPyConnection, where: str, table: Test, raw: Raw) -> TableReport:
    """Fill ``test`` from a table that says who was tested, for which genes, and when that was reported."""
    query = RowQuery(connection, raw)
    gene = None if table.genes.cell is None else query.each(table.genes.cell)
    query.patient(table.patient_id)
    query.put(
        "day", Value("CAST(NULL AS DOUBLE)") if table.day is None else query.day(table.day, missing=NO_REPORT)
    )
    if gene is not None:
        symbol = query.text(gene, missing="missing code")
        query.put("gene", Value(f"upper({symbol.sql})", symbol.faults))
    status = Value(f"'{TESTED}'")
    if table.status is not None:
        told = query.text(table.status, missing=None, allowed=TEST_STATES)
        # What became of a test is not known where its word is none: that is no wild type.
        known = query.parameter(list(TEST_STATES))
        status = Value(
            f"CASE WHEN list_contains({known}, ({told.sql})) THEN ({told.sql}) ELSE '{NOT_READABLE}' END",
            told.faults,
        )
        query.put("status", replace(status, faults=()))
        query.blanked += [fault for fault in told.faults if fault[0] != IGNORED]
        query.faults += [fault for fault in told.faults if fault[0] == IGNORED]
    else:
        query.put("status", status)
    _panel_and_assay(query, table.panel, table.assay)
    staged = query.stage("staged", once="duplicate row")
    symbols = "gene" if gene is not None else "unnest($genes)"
    parameters = {} if gene is not None else {"genes": [name.upper() for name in table.genes.symbols]}
    connection.execute(
        f"INSERT INTO test ({TEST_COLUMNS}) SELECT patient_id, day, {symbols}, status, panel, assay, source "  # noqa: S608 (own names)
        "FROM staged WHERE _reason IS NULL",
        parameters,
    )
    return staged.report(where)


def load_panel(connection: duckdb.DuckDBPyConnection, where: str, table: Panel, raw: Raw) -> TableReport:
    """Fill ``variant`` and ``test`` from one column per gene; an empty cell is a gene that was not tested."""
    columns = ", ".join(f"r.{raw.columns[column]}" for column in table.genes.values())
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE wide AS SELECT r.*, unnest($genes) AS gene, "  # noqa: S608 (own names)
        f"unnest([{columns}]) AS result "
        f"FROM {raw.table} r",
        {"genes": [gene.upper() for gene in table.genes]},
    )
    query = RowQuery(connection, replace(raw, table="wide"))
    query.patient(table.patient_id)
    query.put("gene", Value("r.gene"))
    result = query.code("r.result", table.codes)
    query.put("result", Value(result, (("unknown code", f"r.result IS NOT NULL AND {result} IS NULL"),)))
    query.put(
        "day", Value("CAST(NULL AS DOUBLE)") if table.report is None else query.day(table.report), blank=True
    )
    _panel_and_assay(query, table.panel, table.assay)
    staged = query.stage("staged", once="duplicate row")
    connection.execute(
        f"INSERT INTO test ({TEST_COLUMNS}) SELECT patient_id, day, gene, "  # noqa: S608 (own names)
        "CASE WHEN list_contains($states, result) THEN result ELSE $tested END, panel, assay, source "
        "FROM staged WHERE _reason IS NULL AND result IS NOT NULL",
        {"states": [state for state in TEST_STATES if state != TESTED], "tested": TESTED},
    )
    for found in sorted(set(table.codes.values()) - {"wild type", *TEST_STATES}):
        change, effect, significance = _finding(found)
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE found AS "  # noqa: S608 (own names)
            f"SELECT DISTINCT {raw.source} AS source, patient_id, gene, $change AS protein_change, "
            "$effect AS effect, "
            "nullif($significance, '') AS significance, NULL::VARCHAR AS genotype, "
            "NULL::BIGINT AS depth, NULL::DOUBLE AS allele_fraction, NULL::VARCHAR AS filter, "
            "NULL::VARCHAR AS _reason FROM staged WHERE _reason IS NULL AND result = $found",
            {"change": change, "effect": effect, "significance": significance, "found": found},
        )
        insert_variants(connection, "found")
    return staged.report(where)


def _finding(result: str) -> tuple[str, str, str]:
    """Return protein change, effect and significance of a word in a panel."""
    if result == "fusion":
        return "", "Fusion", ""
    if result == "ex19del":
        return result, "In_Frame_Del", ""
    if result == "mutated":
        return "", UNSPECIFIED, ""
    if result == "unknown significance":
        return "", UNSPECIFIED, "uncertain"
    change = short_protein_change(result)
    return change, "Missense_Mutation" if _MISSENSE.fullmatch(change) else UNSPECIFIED, ""
