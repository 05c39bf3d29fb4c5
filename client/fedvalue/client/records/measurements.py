"""Measurements into the store: every value of a quantity in the one unit that it is kept in.

A row of a quantity whose unit is not known is left out and counted: a number without its unit is no value. A
value that nobody can have, mostly a unit that was written wrongly, is left out too.
"""

from __future__ import annotations

import duckdb

from fedvalue.client.records.connectors import Raw
from fedvalue.client.records.measurement_sections import Measurement
from fedvalue.client.records.report import TableReport
from fedvalue.client.records.rules import NO_VALUE, REPEATED, RowQuery, Value
from fedvalue.study.quantities import BY_CODE, QUANTITIES, UNIT_BLANKS, Scale

MISSING_UNIT, UNKNOWN_UNIT, IMPOSSIBLE = "missing unit", "unknown unit", "value that cannot be"
_BOUND = r"^(?:[<>]=?|≤|≥)\s*"
"""What stands before the end of an instrument's range."""


def load_measurement(
    connection: duckdb.DuckDBPyConnection, where: str, table: Measurement, raw: Raw
) -> TableReport:
    """Fill ``measurement``.

    Args:
      connection: The store that is being loaded; ``patient`` is there.
      where: Key of the table in the mapping, such as ``measurement[0]``.
      table: What the mapping says.
      raw: Its file as it was read.
    """
    query = RowQuery(connection, raw)
    cell = query.each(table.code)
    query.patient(table.patient_id)
    code = query.text(cell, missing="missing code")
    names = _each({found: _text(name) for found, name in BY_CODE.items()})
    name = query.worked_out(f"CASE {code.sql} {names} ELSE {code.sql} END")
    query.put("code", Value(name, code.faults))
    unit = query.text(table.unit, missing=MISSING_UNIT)
    plain = unit.sql
    for blank in UNIT_BLANKS:
        plain = f"replace({plain}, {_text(blank)}, '')"
    plain = query.worked_out(f"lower({plain})")
    number = _number(query, table)
    query.put("value", _kept(query, number, name, plain))
    query.put("day", query.moment(table.day))
    units = {found.name: _text(found.unit) for found in QUANTITIES.values()}
    known = " OR ".join(
        f"({name} = {_text(found.name)} AND {plain} IN ({_spelled(found.scales)}))"
        for found in QUANTITIES.values()
    )
    strange = (UNKNOWN_UNIT, f"{name} IN ({', '.join(map(_text, QUANTITIES))}) AND NOT ({known})")
    query.put("unit", Value(f"CASE {name} {_each(units)} ELSE {unit.sql} END", (*unit.faults, strange)))
    staged = query.stage("staged", once=REPEATED)
    connection.execute(
        "INSERT INTO measurement (patient_id, day, code, value, unit, source) "
        "SELECT patient_id, day, code, value, unit, source FROM staged WHERE _reason IS NULL"
    )
    return staged.report(where)


def _number(query: RowQuery, table: Measurement) -> Value:
    """Return the value as it is written, words and ends of an instrument's range as their numbers."""
    text = query.text(table.value, missing=NO_VALUE)
    words = "".join(
        f"WHEN {query.parameter(word.strip().lower())} THEN {query.parameter(repr(float(number)))} "
        for word, number in table.words.items()
    )
    bounded = f"left({text.sql}, 1) IN ('<', '>', '≤', '≥')"
    bare = f"CASE WHEN {bounded} THEN regexp_replace({text.sql}, '{_BOUND}', '') ELSE {text.sql} END"
    written = query.worked_out(f"CASE lower({text.sql}) {words}ELSE {bare} END" if words else bare)
    return query.number_of(written, text.faults)


def _kept(query: RowQuery, number: Value, name: str, unit: str) -> Value:
    """Return the value in the unit that its quantity is kept in; one that nobody can have is a fault."""
    kinds, bounds = [], []
    for found in QUANTITIES.values():
        digits = found.scales[0].digits
        scales = " ".join(
            f"WHEN {unit} IN ({_spelled((scale,))}) THEN "
            + (
                f"({number.sql})"
                if scale is found.scales[0]
                else f"round({scale.factor!r} * ({number.sql}) + {scale.offset!r}, {digits})"
            )
            for scale in found.scales
        )
        kinds.append(f"WHEN {_text(found.name)} THEN CASE {scales} END")
        bounds.append(f"WHEN {_text(found.name)} THEN {{v}} BETWEEN {found.lowest!r} AND {found.highest!r}")
    value = query.worked_out(f"CASE {name} {' '.join(kinds)} ELSE ({number.sql}) END")
    possible = f"CASE {name} {' '.join(bounds).replace('{v}', value)} ELSE true END"
    return Value(value, (*number.faults, (IMPOSSIBLE, f"NOT ({possible})")))


def _each(cases: dict[str, str]) -> str:
    return " ".join(f"WHEN {_text(case)} THEN {result}" for case, result in cases.items())


def _spelled(scales: tuple[Scale, ...]) -> str:
    return ", ".join(_text(spelling) for scale in scales for spelling in scale.spellings)


def _text(own: str) -> str:
    """Return one of our own words as SQL text."""
    return "'" + own.replace("'", "''") + "'"
