"""Claims, their lines, times of insurance and vital status, from what a payer or a hospital bills.

What is in the store is what stands: a claim that was replaced, taken back or voided is counted and left out.
Amounts are decimals to the cent from the file to the store.
"""

from __future__ import annotations

from datetime import date

import duckdb

from fedvalue.client.records.cells import Cell
from fedvalue.client.records.claim_sections import (
    ACTIONS,
    LIVING,
    Claim,
    ClaimLine,
    Enrolment,
    VitalStatus,
)
from fedvalue.client.records.connectors import Raw
from fedvalue.client.records.report import TableReport
from fedvalue.client.records.rules import (
    DUPLICATE_CLAIM,
    LINE_OF_CLAIM,
    NO_EVENT,
    REPEATED,
    REVERSED,
    SUPERSEDED,
    VOIDED,
    RowQuery,
    Staged,
    Value,
)

NOT_THERE = "adjusts a claim that is not there"
UNEVEN = "fund and personal share do not add up to the total"
OTHER_AMOUNT = "another amount than the claim's first line"
ALONE = "reversal of more than was paid"
_CLAIM = (
    "patient_id, claim_id, day, total_paid, patient_paid, currency, source, fund_paid, setting, channel, "
    "payment_group"
)
_NO_AMOUNT = Value("CAST(NULL AS DECIMAL(18,2))")
_NO_TEXT = Value("CAST(NULL AS VARCHAR)")


def load_claim(connection: duckdb.DuckDBPyConnection, where: str, table: Claim, raw: Raw) -> TableReport:
    """Fill ``claim`` with what stands after repetitions, reversals and adjustments.

    Args:
      connection: The store that is being loaded.
      where: Key of the table in the mapping.
      table: What the mapping says.
      raw: Its file as it was read.
    """
    query = RowQuery(connection, raw)
    query.patient(table.patient_id)
    query.put(
        "claim_id",
        query.text(table.claim_id, missing="missing id")
        if table.claim_id is not None
        else Value("(CAST(r.file AS VARCHAR) || '-' || r.line)"),
    )
    query.put("day", query.day(table.day))
    action = None
    if table.action is not None:
        action = query.text(table.action, missing="missing code", allowed=ACTIONS)
        query.put("action", action)
    _amounts(query, table, action)
    query.put("currency", _currency(query, table.currency))
    for name in ("setting", "channel", "payment_group"):
        query.put(name, _text(query, getattr(table, name)), blank=True)
    if table.action is not None:
        query.put("adjusts", _text(query, table.adjusts), blank=True)
        version = Value("CAST(NULL AS DOUBLE)")
        if table.version is not None:
            version = query.number(table.version, missing=None)
        query.put("version", version, blank=True)
    key = ("patient_id", "claim_id")
    if table.action is not None:
        staged = query.stage("staged", also=(DUPLICATE_CLAIM, SUPERSEDED, VOIDED))
        _adjusted(staged)
        return _kept(staged, where, table)
    if table.negative == "reversal":
        staged = query.stage("staged", once=REPEATED, also=(REVERSED, ALONE))
        return _netted(staged, where)
    if table.repeats:
        staged = query.stage("staged", once=LINE_OF_CLAIM, key=key, also=(OTHER_AMOUNT,))
        _same_amount(staged)
        return _kept(staged, where, table)
    staged = query.stage("staged", once=DUPLICATE_CLAIM if table.claim_id is not None else None, key=key)
    return _kept(staged, where, table)


def load_claim_line(
    connection: duckdb.DuckDBPyConnection, where: str, table: ClaimLine, raw: Raw
) -> TableReport:
    """Fill ``claim_line``; a line that stands twice counts once, where lines have numbers."""
    query = RowQuery(connection, raw)
    query.patient(table.patient_id)
    query.put("claim_id", query.text(table.claim_id, missing="missing id"))
    query.put("line", _text(query, table.line), blank=True)
    query.put("day", query.day(table.day))
    query.put("code", query.text(table.code, missing=None), blank=True)  # its amount counts without one
    quantity = Value("CAST(NULL AS DOUBLE)")
    query.put(
        "quantity",
        quantity if table.quantity is None else query.number(table.quantity, missing=None),
        blank=True,
    )
    query.put(
        "amount", query.money(table.amount, missing="missing amount", signed=table.negative == "reversal")
    )
    query.put("currency", _currency(query, table.currency))
    once = None if table.line is None else REPEATED
    staged = query.stage("staged", once=once, key=("patient_id", "claim_id", "line"))
    _insert(
        connection, "claim_line", "patient_id, claim_id, line, day, code, quantity, amount, currency, source"
    )
    return staged.report(where)


def load_enrolment(
    connection: duckdb.DuckDBPyConnection, where: str, table: Enrolment, raw: Raw
) -> TableReport:
    """Fill ``enrolment``."""
    query = RowQuery(connection, raw)
    query.patient(table.patient_id)
    day = query.day(table.day)
    query.put("day", day)
    until = Value("CAST(NULL AS DOUBLE)")
    if table.until is not None:
        until = query.day(table.until, missing=None)
        until = Value(until.sql, (*until.faults, ("end before the start", f"({until.sql}) < ({day.sql})")))
    query.put("until", until)
    query.put("scheme", _text(query, table.scheme), blank=True)
    query.put("reason", _text(query, table.reason), blank=True)
    staged = query.stage("staged", once=REPEATED)
    _insert(connection, "enrolment", "patient_id, day, until, scheme, reason, source")
    return staged.report(where)


def load_vital_status(
    connection: duckdb.DuckDBPyConnection, where: str, table: VitalStatus, raw: Raw
) -> TableReport:
    """Fill ``vital_status``, ``event`` with deaths and ``follow_up`` with days on which people lived."""
    query = RowQuery(connection, raw)
    query.patient(table.patient_id)
    # A column of days of death is empty for who lives: nothing is wrong with that row.
    day = query.day(table.day, missing=NO_EVENT if table.status.constant is not None else "missing day")
    query.put("day", query.not_before_origin(day))
    query.put("status", query.text(table.status, missing="missing code", allowed=LIVING))
    query.put("reason", _text(query, table.reason), blank=True)
    staged = query.stage("staged", once=REPEATED)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE living AS SELECT patient_id, day, status, $how AS how, reason, source "
        "FROM staged WHERE _reason IS NULL",
        {"how": table.how},
    )
    if table.complete_until is not None:
        # Whom a complete list of deaths does not name was alive on its last day.
        connection.execute(
            "INSERT INTO living SELECT patient_id, $until, 'alive', $how, NULL, $source FROM patient "
            "WHERE patient_id NOT IN (SELECT patient_id FROM living WHERE status = 'dead') "
            "AND coalesce(origin <= $until, true)",
            {
                "until": float((table.complete_until - date(1970, 1, 1)).days),
                "how": table.how,
                "source": raw.source,
            },
        )
    connection.execute("INSERT INTO vital_status SELECT * FROM living")
    connection.execute(
        "INSERT INTO event (patient_id, day, kind, source) "
        "SELECT patient_id, day, 'death', source FROM living WHERE status = 'dead'"
    )
    connection.execute(
        "INSERT INTO follow_up (patient_id, day, source) SELECT patient_id, day, source FROM living"
    )
    return staged.report(where)


def _amounts(query: RowQuery, table: Claim, action: Value | None) -> None:
    signed = table.nets
    total = query.money(table.total_paid, missing="missing amount", signed=signed)
    # what a void takes back may stand there as less than nothing
    negative = (
        () if action is None else (("negative amount", f"({action.sql}) <> 'void' AND ({total.sql}) < 0"),)
    )
    query.put("total_paid", Value(total.sql, (*total.faults, *negative)))
    shares = {
        name: _NO_AMOUNT if cell is None else query.money(cell, missing=None, signed=signed)
        for name, cell in (("patient_paid", table.patient_paid), ("fund_paid", table.fund_paid))
    }
    own, fund = shares["patient_paid"], shares["fund_paid"]
    uneven = f"({fund.sql}) + ({own.sql}) <> ({total.sql})"
    query.put("patient_paid", own, blank=True)
    query.put(
        "fund_paid",
        Value(f"CASE WHEN {uneven} THEN NULL ELSE ({fund.sql}) END", (*fund.faults, (UNEVEN, uneven))),
        blank=True,
    )


def _currency(query: RowQuery, cell: Cell) -> Value:
    currency = query.text(cell, missing="unknown currency")
    looks = query.worked_out(f"coalesce(regexp_full_match({currency.sql}, '[A-Z]{{3}}'), false)")
    return Value(currency.sql, (*currency.faults, ("unknown currency", f"NOT {looks}")))


def _text(query: RowQuery, cell: Cell | None) -> Value:
    return _NO_TEXT if cell is None else query.text(cell, missing=None)


def _insert(connection: duckdb.DuckDBPyConnection, target: str, columns: str) -> None:
    connection.execute(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM staged WHERE _reason IS NULL")  # noqa: S608 (own names)


def _kept(staged: Staged, where: str, table: Claim) -> TableReport:
    _insert(staged.connection, "claim", _CLAIM)
    report = staged.report(where)
    if table.action is None:
        return report
    orphans = staged.findings(
        NOT_THERE,
        "SELECT s._file, s._line FROM staged s WHERE s.adjusts IS NOT NULL AND s.action <> 'original' "
        "AND NOT EXISTS (SELECT 1 FROM staged o "
        "WHERE o.patient_id = s.patient_id AND o.claim_id = s.adjusts)",
    )
    return report.model_copy(update={"blanked": (*report.blanked, *orphans)})


def _adjusted(staged: Staged) -> None:
    """Leave of every claim the row that stands.

    Of rows with the same id the last replacement or void stands, else the first original; what another row
    replaces or voids does not, and a void itself is no claim.
    """
    again, superseded, voided = (staged.number(name) for name in (DUPLICATE_CLAIM, SUPERSEDED, VOIDED))
    staged.connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE ranked AS
SELECT rowid AS row, patient_id, claim_id, action, adjusts, row_number() OVER (
    PARTITION BY patient_id, claim_id
    ORDER BY action = 'original',
      CASE WHEN action <> 'original' THEN version END DESC NULLS LAST,
      CASE WHEN action = 'original' THEN _file ELSE -_file END,
      CASE WHEN action = 'original' THEN _line ELSE -_line END) AS nth,
  bool_or(action <> 'original') OVER (PARTITION BY patient_id, claim_id) AS changed
FROM {staged.table} WHERE _reason IS NULL"""  # noqa: S608 (own names)
    )
    staged.connection.execute(
        f"""UPDATE {staged.table} SET _reason = f.reason FROM (
SELECT r.row, CASE
    WHEN r.nth > 1 THEN CASE WHEN r.changed THEN {superseded} ELSE {again} END
    WHEN r.action = 'void' THEN {voided}
    WHEN EXISTS (SELECT 1 FROM ranked o WHERE o.patient_id = r.patient_id AND o.adjusts = r.claim_id
      AND o.action <> 'original' AND o.claim_id <> r.claim_id) THEN {superseded} END AS reason
FROM ranked r) f WHERE f.reason IS NOT NULL AND {staged.table}.rowid = f.row"""  # noqa: S608 (own names)
    )


def _same_amount(staged: Staged) -> None:
    """Tell lines that repeat their claim from lines that say another amount of it."""
    repeated, other = staged.number(LINE_OF_CLAIM), staged.number(OTHER_AMOUNT)
    staged.connection.execute(
        f"UPDATE {staged.table} SET _reason = {other} FROM (SELECT rowid AS row FROM {staged.table} l "  # noqa: S608 (own names)
        f"WHERE l._reason = {repeated} AND EXISTS (SELECT 1 FROM {staged.table} f WHERE f._reason IS NULL "
        "AND f.patient_id = l.patient_id AND f.claim_id = l.claim_id AND f.total_paid <> l.total_paid)) odd "
        f"WHERE {staged.table}.rowid = odd.row"
    )


def _netted(staged: Staged, where: str) -> TableReport:
    """Add the rows of each claim up; nothing stands of one that was taken back."""
    gone, alone = staged.number(REVERSED), staged.number(ALONE)
    staged.connection.execute(
        "CREATE OR REPLACE TEMP TABLE netted AS SELECT patient_id, claim_id, currency, "  # noqa: S608 (own names)
        "arg_min(day, (_file, _line)) AS day, CAST(sum(total_paid) AS DECIMAL(18,2)) AS total_paid, "
        "CASE WHEN count(patient_paid) = count(*) THEN CAST(sum(patient_paid) AS DECIMAL(18,2)) END "
        "AS patient_paid, "
        "CASE WHEN count(fund_paid) = count(*) THEN CAST(sum(fund_paid) AS DECIMAL(18,2)) END AS fund_paid, "
        "arg_min(setting, (_file, _line)) AS setting, arg_min(channel, (_file, _line)) AS channel, "
        "arg_min(payment_group, (_file, _line)) AS payment_group, min(source) AS source, "
        "bool_or(total_paid < 0) AS taken_back "
        f"FROM {staged.table} WHERE _reason IS NULL GROUP BY patient_id, claim_id, currency"
    )
    staged.connection.execute(
        f"UPDATE {staged.table} SET _reason = CASE WHEN n.total_paid < 0 THEN {alone} ELSE {gone} END "  # noqa: S608 (own names)
        f"FROM netted n WHERE {staged.table}._reason IS NULL AND n.patient_id = {staged.table}.patient_id "
        f"AND n.claim_id = {staged.table}.claim_id AND n.currency = {staged.table}.currency "
        "AND (n.total_paid < 0 OR (n.total_paid = 0 AND n.taken_back))"
    )
    staged.connection.execute(
        f"INSERT INTO claim ({_CLAIM}) SELECT {_CLAIM} FROM netted "  # noqa: S608 (own names)
        "WHERE total_paid > 0 OR (total_paid = 0 AND NOT taken_back)"
    )
    return staged.report(where)
