"""Variants and tests: who was looked at, for which genes, and what was found."""

from __future__ import annotations

import re
from dataclasses import replace

import duckdb

from fedvalue.client.records.cells import Cell
from fedvalue.client.records.connectors import Raw
from fedvalue.client.records.effects import effect_class, short_protein_change
from fedvalue.client.records.report import TableReport
from fedvalue.client.records.rules import NO_REPORT, RowQuery, Value
from fedvalue.client.records.sections import Panel, Test, Variant
from fedvalue.client.records.store import EVERY_GENE, UNSPECIFIED

MAF_PATIENT, MAF_GENE, MAF_EFFECT = "Tumor_Sample_Barcode", "Hugo_Symbol", "Variant_Classification"
MAF_CHANGES = ("HGVSp_Short", "Protein_Change", "HGVSp", "AAChange")
_MISSENSE = re.compile(r"p\.[A-Z]\d+[A-Z]")


def complete(table: Variant, kind: str, there: tuple[str, ...] = MAF_CHANGES) -> Variant:
    """Return the table with the columns that a MAF or VCF is known to have.

    Args:
      table: As the mapping has it.
      kind: Format of its file.
      there: Which of the columns for a protein change the file has.
    """
    if kind == "vcf":
        known = {
            "patient_id": "sample",
            "gene": "gene",
            "protein_change": "protein_change",
            "effect": "effect",
        }
    elif kind == "maf":
        known = {"patient_id": MAF_PATIENT, "gene": MAF_GENE, "effect": MAF_EFFECT}
        known |= {"protein_change": next(name for name in MAF_CHANGES if name in there)} if there else {}
    else:
        known = {}
    given = {name: Cell(column=column) for name, column in known.items() if getattr(table, name) is None}
    return table.model_copy(update=given)


def load_variant(
    connection: duckdb.DuckDBPyConnection, where: str, table: Variant, raw: Raw, kind: str
) -> TableReport:
    """Fill ``variant``, and ``test`` as far as the file tells who was tested."""
    table = complete(table, kind, tuple(name for name in MAF_CHANGES if name in raw.columns))
    if table.patient_id is None or table.gene is None:
        raise ValueError("a validated mapping names patient_id and gene")
    query = RowQuery(connection, raw)
    query.patient(table.patient_id)
    gene = query.text(table.gene, missing="missing code")
    query.put("gene", Value(f"upper({gene.sql})", gene.faults))
    if table.protein_change is not None:
        change = query.rewritten(table.protein_change, short_protein_change, missing=None)
        query.put("protein_change", Value(f"coalesce({change.sql}, '')"))
    else:
        query.put("protein_change", Value("''"))
    if table.effect is not None:
        effect = query.rewritten(table.effect, effect_class, missing=None)
        query.put("effect", Value(f"coalesce({effect.sql}, '{UNSPECIFIED}')", effect.faults))
    else:
        query.put("effect", Value(f"'{UNSPECIFIED}'"))
    staged = query.stage("staged", once="duplicate row")
    connection.execute(
        "INSERT INTO variant SELECT patient_id, gene, protein_change, effect FROM staged "
        "WHERE _reason IS NULL"
    )
    report = staged.report(where)
    if table.tested != "nobody":
        report = _tested(connection, table, table.patient_id, raw, report)
    return report


def _tested(
    connection: duckdb.DuckDBPyConnection, table: Variant, patient: Cell, raw: Raw, report: TableReport
) -> TableReport:
    """Fill ``test``; the report day of a patient is the earliest of the file, NULL where there is none."""
    people = RowQuery(connection, raw if raw.listed is None else replace(raw, table=raw.listed))
    people.patient(patient)
    people.put(
        "day", Value("CAST(NULL AS DOUBLE)") if table.report is None else people.day(table.report), blank=True
    )
    staged = people.stage("staged")
    who = "(SELECT patient_id, min(day) AS day FROM staged WHERE _reason IS NULL GROUP BY patient_id)"
    if table.tested == "all patients":
        who = f"(SELECT p.patient_id, s.day FROM patient p LEFT JOIN {who} s USING (patient_id))"  # noqa: S608 (own names)
    connection.execute(
        f"INSERT INTO test SELECT patient_id, day, unnest($genes) FROM {who}",  # noqa: S608 (own names)
        {"genes": [gene.upper() for gene in table.genes] or [EVERY_GENE]},
    )
    return report.model_copy(update={"blanked": (*report.blanked, *staged.report("").blanked)})


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
    staged = query.stage("staged", once="duplicate row")
    symbols = "gene" if gene is not None else "unnest($genes)"
    parameters = {} if gene is not None else {"genes": [name.upper() for name in table.genes.symbols]}
    connection.execute(
        f"INSERT INTO test SELECT patient_id, day, {symbols} FROM staged WHERE _reason IS NULL",  # noqa: S608 (own names)
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
    staged = query.stage("staged", once="duplicate row")
    connection.execute(
        "INSERT INTO test SELECT patient_id, day, gene FROM staged "
        "WHERE _reason IS NULL AND result IS NOT NULL AND result <> 'not tested'"
    )
    for found in sorted(set(table.codes.values()) - {"wild type", "not tested"}):
        change, effect = _finding(found)
        connection.execute(
            "INSERT INTO variant SELECT DISTINCT patient_id, gene, $change, $effect FROM staged "
            "WHERE _reason IS NULL AND result = $found",
            {"change": change, "effect": effect, "found": found},
        )
    return staged.report(where)


def _finding(result: str) -> tuple[str, str]:
    """Return protein change and effect of a word in a panel."""
    if result == "fusion":
        return "", "Fusion"
    if result == "ex19del":
        return result, "In_Frame_Del"
    if result == "mutated":
        return "", UNSPECIFIED
    change = short_protein_change(result)
    return change, "Missense_Mutation" if _MISSENSE.fullmatch(change) else UNSPECIFIED
