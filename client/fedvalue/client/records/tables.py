"""From one table of the mapping to the canonical tables of the store."""

from __future__ import annotations

import duckdb

from fedvalue.client.records.cells import Cell, Day
from fedvalue.client.records.claim_sections import Claim, ClaimLine, Enrolment, VitalStatus
from fedvalue.client.records.claims import load_claim, load_claim_line, load_enrolment, load_vital_status
from fedvalue.client.records.code_systems import ANOTHER_SYSTEM, SHAPES, System
from fedvalue.client.records.connectors import Raw, Wanted
from fedvalue.client.records.genomics import MAF_OPTIONAL, complete, load_panel, load_test, load_variant
from fedvalue.client.records.mapping import Mapping, SourceFile
from fedvalue.client.records.measurement_sections import Measurement
from fedvalue.client.records.measurements import load_measurement
from fedvalue.client.records.molecular import load_molecular_report
from fedvalue.client.records.pseudonyms import Pseudonyms
from fedvalue.client.records.report import TableReport
from fedvalue.client.records.rules import NO_EVENT, REPEATED, RowQuery, Value
from fedvalue.client.records.sections import (
    CENSORED,
    KINDS,
    METHODS,
    STATUSES,
    Admission,
    AdverseEvent,
    Coded,
    Drug,
    Event,
    FollowUp,
    MolecularReport,
    Panel,
    Patient,
    Records,
    Response,
    Survival,
    Table,
    Test,
    Variant,
)  # fmt: skip
from fedvalue.client.records.store import quoted


def wanted(mapping: Mapping, file: str) -> Wanted:
    """Return the columns of ``[files.<file>]`` that the tables of the mapping read."""
    columns, alternatives = set[str](), set[str]()
    kind = mapping.files[file].kind
    for _, table in mapping.tables():
        if table.file != file:
            continue
        if isinstance(table, Variant):
            if kind == "maf":
                alternatives |= set(MAF_OPTIONAL)
            table = complete(table, kind, ()) if kind == "maf" else complete(table, kind)
        if isinstance(table, Panel):
            columns |= set(table.genes.values())
        if isinstance(table, Patient):
            for attribute in table.attributes.values():
                columns |= set(attribute.names)
        if (
            isinstance(table, Test | MolecularReport)
            and table.genes is not None
            and table.genes.cell is not None
        ):
            columns |= set(table.genes.cell.names)
        for name in type(table).model_fields:
            value = getattr(table, name)
            if isinstance(value, Cell):
                columns |= set(value.names)
            elif isinstance(value, Day):
                columns |= set(value.columns)
    return Wanted(frozenset(columns), frozenset(alternatives - columns))


def fed_by(where: str, table: Table) -> tuple[str, ...]:
    """Return the canonical tables that a table of the mapping, known by its key ``where``, fills."""
    if isinstance(table, Survival):
        return ("event", "follow_up")
    if isinstance(table, VitalStatus):
        return ("event", "follow_up", "vital_status")
    found = isinstance(table, Panel | MolecularReport)
    if found or (isinstance(table, Variant) and table.tested != "nobody"):
        return ("variant", "test")
    return (where.partition("[")[0],)


def load_patient(
    connection: duckdb.DuckDBPyConnection, mapping: Mapping, raw: Raw, pseudonyms: Pseudonyms | None
) -> TableReport:
    """Create ``patient``, one row per patient, the first one where an id repeats, and ``person``.

    The temporary table ``person(local_id, patient_id, origin)`` leads from the hospital's ids to pseudonyms;
    without ``pseudonyms`` the store has the hospital's ids.

    Raises:
      SourceUnreadable: two patients would have the same pseudonym.
    """
    table = mapping.patient
    query = RowQuery(connection, raw, patients=False)
    query.patient(table.patient_id)
    if table.origin is not None:
        query.put("origin", query.day(table.origin), blank=True)
    else:
        query.put("origin", Value("CAST(NULL AS DOUBLE)" if mapping.calendar else "CAST(0 AS DOUBLE)"))
    for name, cell in table.attributes.items():
        value = query.number(cell, missing=None) if cell.type == "number" else query.text(cell, missing=None)
        query.put(name, value, blank=True)
    staged = query.stage("staged", once="duplicate patient", key=("patient_id",))
    columns = ", ".join(quoted(name) for name in query.columns)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE person AS SELECT patient_id AS local_id, patient_id, origin "
        "FROM staged WHERE _reason IS NULL"
    )
    if pseudonyms is not None:
        pseudonyms.write(connection, "person")
    connection.execute(
        f"CREATE OR REPLACE TABLE patient AS SELECT {columns} FROM (SELECT s.* REPLACE "  # noqa: S608 (own names)
        "(p.patient_id AS patient_id) FROM staged s JOIN person p ON p.local_id = s.patient_id "
        "WHERE s._reason IS NULL ORDER BY s._file, s._line)"
    )
    return staged.report("patient")


def load_table(
    connection: duckdb.DuckDBPyConnection, where: str, table: Records, raw: Raw, source: SourceFile
) -> TableReport:
    """Fill what ``table`` feeds.

    Args:
      connection: The store that is being loaded; ``patient`` is there.
      where: Key of the table in the mapping, such as ``condition[0]``.
      table: What the mapping says.
      raw: Its file as it was read.
      source: What the mapping says of that file.
    """
    if isinstance(table, Variant):
        return load_variant(connection, where, table, raw, source)
    if isinstance(table, Test):
        return load_test(connection, where, table, raw)
    if isinstance(table, Panel):
        return load_panel(connection, where, table, raw)
    if isinstance(table, MolecularReport):
        return load_molecular_report(connection, where, table, raw)
    if isinstance(table, Survival):
        return _survival(connection, where, table, raw)
    if isinstance(table, Claim):
        return load_claim(connection, where, table, raw)
    if isinstance(table, ClaimLine):
        return load_claim_line(connection, where, table, raw)
    if isinstance(table, Enrolment):
        return load_enrolment(connection, where, table, raw)
    if isinstance(table, VitalStatus):
        return load_vital_status(connection, where, table, raw)
    if isinstance(table, Measurement):
        return load_measurement(connection, where, table, raw)
    query = RowQuery(connection, raw)
    code = query.each(table.code) if isinstance(table, Drug | Coded | AdverseEvent) else None
    query.patient(table.patient_id)
    # A column of days of death is empty for who lives: nothing is wrong with that row.
    happens = isinstance(table, Event) and table.kind.constant is not None
    day = query.day(table.day, missing=NO_EVENT) if happens else query.day(table.day)
    query.put("day", query.not_before_origin(day) if isinstance(table, Event | FollowUp) else day)
    if isinstance(table, Admission):
        code, discharge = table.code, query.day(table.discharge)
        early = ("discharge before admission", f"({discharge.sql}) < ({day.sql})")
        query.put("discharge", Value(discharge.sql, (*discharge.faults, early)))
    if code is not None:
        query.put("code", _code(query, code, table.system if isinstance(table, Drug | Coded) else None))
    if isinstance(table, Drug):
        query.put("line", _whole(query, table.line), blank=True)
    if isinstance(table, AdverseEvent):
        query.put("grade", _grade(query, table.grade), blank=True)
    if isinstance(table, Response):
        query.put("method", query.text(table.method, missing="missing code", allowed=METHODS))
        query.put("status", query.text(table.status, missing="missing code", allowed=STATUSES))
    if isinstance(table, Event):
        query.put("kind", query.text(table.kind, missing="missing code", allowed=KINDS))
    staged = query.stage("staged", once=REPEATED)
    columns = ", ".join([*(quoted(name) for name in query.columns), "source"])
    target = where.partition("[")[0]
    connection.execute(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM staged WHERE _reason IS NULL")  # noqa: S608 (own names)
    return staged.report(where)


def _survival(connection: duckdb.DuckDBPyConnection, where: str, table: Survival, raw: Raw) -> TableReport:
    query = RowQuery(connection, raw)
    query.patient(table.patient_id)
    query.put("day", query.not_before_origin(query.day(table.time)))
    query.put("kind", query.text(table.event, missing="missing code", allowed=(*KINDS, CENSORED)))
    staged = query.stage("staged", once=REPEATED)
    connection.execute(
        "INSERT INTO follow_up (patient_id, day, source) "
        "SELECT patient_id, day, source FROM staged WHERE _reason IS NULL"
    )
    connection.execute(
        "INSERT INTO event (patient_id, day, kind, source) SELECT patient_id, day, kind, source FROM staged "
        "WHERE _reason IS NULL AND kind <> $censored",
        {"censored": CENSORED},
    )
    return staged.report(where)


def _code(query: RowQuery, cell: Cell, system: System | None) -> Value:
    """Return a code; one that does not look like its system's leaves the row out."""
    code = query.text(cell, missing="missing code")
    if system is None:
        return code
    looks = query.worked_out(f"regexp_full_match({code.sql}, {query.parameter(SHAPES[system])})")
    return Value(code.sql, (*code.faults, (ANOTHER_SYSTEM, f"NOT {looks}")))


def _grade(query: RowQuery, cell: Cell) -> Value:
    """Return a grade of 1 to 5; anything else is blanked."""
    number = _whole(query, cell)
    fits = f"({number.sql}) BETWEEN 1 AND 5"
    return Value(f"CASE WHEN {fits} THEN {number.sql} END", (*number.faults, ("no grade", f"NOT ({fits})")))


def _whole(query: RowQuery, cell: Cell | None) -> Value:
    if cell is None:
        return Value("CAST(NULL AS BIGINT)")
    number = query.number(cell, missing=None, largest=1000)
    whole = f"({number.sql}) = floor({number.sql})"
    return Value(
        f"CASE WHEN {whole} THEN CAST({number.sql} AS BIGINT) END",
        (*number.faults, ("not a whole number", f"NOT ({whole})")),
    )
