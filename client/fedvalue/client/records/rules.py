"""One table of the mapping as SQL: typed values, and the rule that a row breaks if it breaks one.

All user text is a parameter or stands in the table of codes; SQL holds only our own names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import count

import duckdb
import pandas as pd

from fedvalue.client.records.cells import IGNORE, Cell, Day, plain_code
from fedvalue.client.records.connectors import Raw
from fedvalue.client.records.report import SHOWN_LINES, LeftOut, TableReport

EARLIEST, LATEST = "1850-01-01", "2150-12-31"
FARTHEST_DAY = 100_000
LARGEST_NUMBER = 1e15
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_NOT_FINITE = "not a finite number"
_TOO_LARGE = "number out of range"


IGNORED, NO_EVENT, NO_REPORT = "ignored", "no event", "no report"
BENIGN = (IGNORED, NO_EVENT, NO_REPORT)
"""Reasons that say nothing bad of a row: a code to ignore, an empty column of death or report days."""


@dataclass(frozen=True, slots=True)
class Value:
    """A typed SQL expression and what may be wrong with it.

    Attributes:
      sql: The value; NULL where a fault holds.
      faults: Reason and SQL condition, in the order in which they are looked at.
    """

    sql: str
    faults: tuple[tuple[str, str], ...] = ()


def create_codes(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table of codes that the mapping translates."""
    connection.execute("CREATE TEMP TABLE codes (list INTEGER, local VARCHAR, ours VARCHAR)")


@dataclass(slots=True)
class RowQuery:
    """Collects expressions, joins and parameters of one SELECT over a raw table ``r`` and its patients ``p``.

    Attributes:
      connection: The store that is being loaded.
      raw: What was read.
      patients: False only for the patients table itself.
    """

    connection: duckdb.DuckDBPyConnection
    raw: Raw
    patients: bool = True
    joins: list[str] = field(default_factory=list)
    parameters: dict[str, object] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)
    blanked: list[tuple[str, str]] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=count)

    def put(self, name: str, value: Value, *, blank: bool = False) -> None:
        """Add an output column; its faults leave the row out, or with ``blank`` only the value."""
        self.columns[name] = value.sql
        (self.blanked if blank else self.faults).extend(value.faults)

    def parameter(self, value: object) -> str:
        """Return the name of a new parameter."""
        name = f"p{next(self._numbers)}"
        self.parameters[name] = value
        return f"${name}"

    def patient(self, cell: Cell) -> None:
        """Add ``patient_id``, which must be in the patients table."""
        value = self.text(cell, missing="missing id")
        self.put("patient_id", value)
        if self.patients:
            self.joins.append(f"LEFT JOIN patient p ON p.patient_id = ({value.sql})")
            self.faults.append(("patient not in the patients table", "p.patient_id IS NULL"))

    def text(self, cell: Cell, *, missing: str | None, allowed: Collection[str] = ()) -> Value:
        """Return the text of a cell, translated.

        Args:
          cell: What the mapping says.
          missing: The reason where there is none; None where it may be missing.
          allowed: Our codes, where the value is one of ours.
        """
        base = self._base(cell)
        faults = [(missing, f"({base}) IS NULL")] if missing is not None else []
        sql = base
        if cell.codes:
            sql = self.code(base, cell.codes)
            faults.append(("unknown code", f"({base}) IS NOT NULL AND ({sql}) IS NULL"))
            if IGNORE in cell.codes.values():
                faults.append((IGNORED, f"({sql}) = {self.parameter(IGNORE)}"))
        elif allowed:
            faults.append(("unknown code", f"NOT list_contains({self.parameter(list(allowed))}, ({base}))"))
        return Value(sql, tuple(faults))

    def code(self, base: str, codes: Mapping[str, str]) -> str:
        """Join a table of codes and return the translated value, NULL where the code is not listed."""
        plain = f"regexp_replace(({base}), '^([+-]?[0-9]+)\\.0+$', '\\1')"
        return self._looked_up(plain, {plain_code(local): ours for local, ours in codes.items()})

    def _looked_up(self, sql: str, rows: Mapping[str, str]) -> str:
        last = self.connection.execute("SELECT coalesce(max(list), 0) FROM codes").fetchone()
        number = (int(last[0]) if last else 0) + 1
        # The first row matches nothing: it takes the number for a list that is empty.
        frame = pd.DataFrame({"local": [None, *rows], "ours": [None, *rows.values()]}, dtype=object)
        self.connection.register("new_codes", frame)
        self.connection.execute("INSERT INTO codes SELECT ?, local, ours FROM new_codes", [number])
        self.connection.unregister("new_codes")
        mark = self.parameter(number)
        self.joins.append(f"LEFT JOIN codes k{number} ON k{number}.list = {mark} AND k{number}.local = {sql}")
        return f"k{number}.ours"

    def rewritten(self, cell: Cell, rewrite: Callable[[str], str | None], *, missing: str | None) -> Value:
        """Return the text of a cell, translated, then rewritten; what ``rewrite`` refuses is unknown."""
        codes = {plain_code(local): ours for local, ours in cell.codes.items()}
        base = self._base(cell)
        if cell.constant is not None:
            found = [cell.constant]
        else:
            sql = f"SELECT DISTINCT {base} FROM {self.raw.table} r WHERE {base} IS NOT NULL"  # noqa: S608 (own names)
            found = [text for (text,) in self.connection.execute(sql).fetchall()]
        results = {text: rewrite(codes.get(plain_code(text), text) if codes else text) for text in found}
        # Text for text: with plain codes one patient's "1.0" would take the place of another's "1".
        translated = self._looked_up(
            base, {text: result for text, result in results.items() if result is not None}
        )
        faults = [(missing, f"({base}) IS NULL")] if missing is not None else []
        return Value(
            translated, (*faults, ("unknown code", f"({base}) IS NOT NULL AND {translated} IS NULL"))
        )

    def number(self, cell: Cell, *, missing: str | None, largest: float = LARGEST_NUMBER) -> Value:
        """Return a finite number of at most ``largest`` in absolute value."""
        base = self.text(cell, missing=missing)
        return self._number(base.sql, base.faults, largest, 1.0)

    def _number(self, base: str, faults: tuple[tuple[str, str], ...], largest: float, scale: float) -> Value:
        looks = f"regexp_full_match(({base}), '{_NUMBER}')"
        number = f"(TRY_CAST(({base}) AS DOUBLE) * {scale!r})"
        fits = f"coalesce({looks} AND isfinite({number}) AND abs({number}) <= {largest!r}, false)"
        return Value(
            f"CASE WHEN {fits} THEN {number} END",
            (
                *faults,
                (_NOT_FINITE, f"({base}) IS NOT NULL AND NOT {looks}"),
                (_TOO_LARGE, f"({base}) IS NOT NULL AND {looks} AND NOT {fits}"),
            ),
        )

    def day(self, day: Day, *, missing: str = "missing day") -> Value:
        """Return a day on the hospital's scale; ``missing`` is the reason where there is none."""
        base = f"r.{self.raw.columns[day.column]}"
        absent = ((missing, f"{base} IS NULL"),)
        if day.date is not None:
            stamp = f"CAST(try_strptime({base}, {self.parameter(list(day.format))}) AS DATE)"
            plausible = f"{stamp} BETWEEN DATE '{EARLIEST}' AND DATE '{LATEST}'"
            return Value(
                f"CASE WHEN {plausible} THEN CAST({stamp} - DATE '1970-01-01' AS DOUBLE) END",
                (
                    *absent,
                    ("unparseable date", f"{base} IS NOT NULL AND {stamp} IS NULL"),
                    ("date out of range", f"{stamp} IS NOT NULL AND NOT ({plausible})"),
                ),
            )
        number = self._number(base, absent, FARTHEST_DAY, day.scale)
        if day.day is not None:
            return number
        return Value(
            f"(p.origin + {number.sql})",
            (
                *number.faults,
                ("negative time", f"({number.sql}) < 0"),
                ("origin not known", "p.origin IS NULL"),
            ),
        )

    def not_before_origin(self, day: Value) -> Value:
        """Return the day with the rule that it is not before the patient's origin."""
        return Value(day.sql, (*day.faults, ("before origin", f"({day.sql}) < p.origin")))

    def money(self, cell: Cell, *, missing: str | None) -> Value:
        """Return an amount of at least 0 with two decimals."""
        number = self.number(cell, missing=missing)
        faults = (*number.faults, ("negative amount", f"({number.sql}) < 0"))
        exact = f"TRY_CAST(({self._base(cell)}) AS DECIMAL(18,2))"
        return Value(f"CASE WHEN ({number.sql}) >= 0 THEN {exact} END", faults)

    def each(self, cell: Cell) -> Cell:
        """Spread a cell with several values over rows; return the cell that reads one of them."""
        if not cell.several:
            return cell
        columns = [f"r.{self.raw.columns[name]}" for name in cell.names]
        values = f"[{', '.join(columns)}]"
        if cell.separator is not None:
            mark = self.parameter(cell.separator)
            split = ", ".join(f"string_split(coalesce({column}, ''), {mark})" for column in columns)
            values = f"flatten([{split}])"
        filled = (
            f"list_filter(list_transform({values}, lambda x: trim(x)), lambda x: x IS NOT NULL AND x <> '')"
        )
        # A row without any value still shows once, so that it is counted as missing.
        self.joins.insert(
            0, f"CROSS JOIN LATERAL (SELECT unnest(coalesce(nullif({filled}, []), [NULL])) AS one) u"
        )
        return cell.model_copy(update={"column": "*", "columns": (), "separator": None})

    def _base(self, cell: Cell) -> str:
        if cell.constant is not None and not cell.names:
            return f"CAST({self.parameter(cell.constant)} AS VARCHAR)"
        if cell.row_number:
            several = len(self.raw.files) > 1
            return "(CAST(r.file AS VARCHAR) || '-' || r.line)" if several else "CAST(r.line AS VARCHAR)"
        base = "u.one" if cell.column == "*" else f"r.{self.raw.columns[cell.names[0]]}"
        return f"left({base}, {cell.first_characters})" if cell.first_characters is not None else base

    def stage(self, table: str, *, once: str | None = None, key: Collection[str] = ()) -> Staged:
        """Run the query into the temporary table ``table``.

        Args:
          table: A name that is safe in SQL; it holds the output columns, ``_file``, ``_line``, ``_reason``.
          once: The reason that a second row with the same ``key`` is left out for.
          key: Columns that may occur once.
        """
        reason = " ".join(f"WHEN {condition} THEN '{name}'" for name, condition in self.faults)
        blanks = (
            ", ".join(f"CASE WHEN {condition} THEN '{name}' END" for name, condition in self.blanked)
            or "NULL"
        )
        outputs = ", ".join(f'({sql}) AS "{name}"' for name, sql in self.columns.items())
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT r.file AS _file, r.line AS _line, {outputs}, "  # noqa: S608 (own names)
            f"CASE {reason or 'WHEN false THEN NULL'} END AS _reason, "
            f"list_filter([{blanks}], lambda x: x IS NOT NULL) AS _blanked "
            f"FROM {self.raw.table} r {' '.join(self.joins)}",
            self.parameters,
        )
        if once is not None:
            same = ", ".join(f'"{name}"' for name in key or self.columns)
            self.connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT * REPLACE (CASE WHEN _reason IS NULL AND "  # noqa: S608 (own names)
                f"row_number() OVER (PARTITION BY _reason IS NULL, {same} ORDER BY _file, _line) > 1 "
                f"THEN '{once}' ELSE _reason END AS _reason) FROM {table}"
            )
        return Staged(self.connection, table, tuple(file.file for file in self.raw.files))


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows with the rule they break.

    Attributes:
      connection: The store that is being loaded.
      table: The temporary table; sound rows have ``_reason`` NULL.
      files: Names of the files, by ``_file``.
    """

    connection: duckdb.DuckDBPyConnection
    table: str
    files: tuple[str, ...]

    def report(self, where: str) -> TableReport:
        """Return what was read, kept and left out; ``where`` is the table's key in the mapping."""
        read, kept = self._counts()
        return TableReport(
            table=where, read=read, kept=kept, left_out=self._left_out(), blanked=self._blanked()
        )

    def _counts(self) -> tuple[int, int]:
        row = self.connection.execute(
            f"SELECT count(*), count(*) FILTER (_reason IS NULL) FROM {self.table}"  # noqa: S608 (own name)
        ).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def _left_out(self) -> tuple[LeftOut, ...]:
        broken = f"SELECT _reason AS reason, _file, _line FROM {self.table} WHERE _reason IS NOT NULL"  # noqa: S608 (own names)
        return self._grouped(broken)

    def _blanked(self) -> tuple[LeftOut, ...]:
        return self._grouped(
            f"SELECT unnest(_blanked) AS reason, _file, _line FROM {self.table} WHERE _reason IS NULL"  # noqa: S608 (own names)
        )

    def _grouped(self, rows: str) -> tuple[LeftOut, ...]:
        found = self.connection.execute(
            "SELECT reason, _file, count(*), list_slice(list_sort(list_distinct(list(_line))), 1, $shown) "  # noqa: S608 (own names)
            f"FROM ({rows}) GROUP BY reason, _file ORDER BY reason, _file",
            {"shown": SHOWN_LINES},
        ).fetchall()
        return tuple(
            LeftOut(reason=reason, rows=rows, file=self.files[file], lines=tuple(lines))
            for reason, file, rows, lines in found
        )
