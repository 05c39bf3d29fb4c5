"""One table of the mapping as SQL: typed values, and the rule that a row breaks if it breaks one.

All user text is a parameter or stands in the table of codes; SQL holds only our own names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import PurePosixPath

import duckdb
import pandas as pd

from fedvalue.client.records.cells import IGNORE, TIME_FORMATS, Cell, Day, plain_code
from fedvalue.client.records.connectors import Raw
from fedvalue.client.records.report import SHOWN_LINES, FileRows, LeftOut, TableReport

EARLIEST, LATEST = "1850-01-01", "2150-12-31"
FARTHEST_DAY = 100_000
LARGEST_NUMBER = 1e15
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_NOT_FINITE = "not a finite number"
_TOO_LARGE = "number out of range"


IGNORED, NO_EVENT, NO_REPORT, NO_VALUE = "ignored", "no event", "no report", "no value"
REPEATED = "duplicate row"
STRANGER = "patient not in the patients table"
DUPLICATE_CLAIM = "duplicate claim"
LINE_OF_CLAIM = "another line of its claim"
SUPERSEDED, VOIDED, REVERSED = "superseded by an adjustment", "void", "reversed"
BENIGN = (IGNORED, NO_EVENT, NO_REPORT, NO_VALUE, LINE_OF_CLAIM, SUPERSEDED, VOIDED, REVERSED)
"""Reasons that say nothing bad of a row: a code to ignore, an empty column of death or report days, a claim
that no longer stands."""
_ELSEWHERE = re.compile(r"\b(?:u|p|k\d+)\.")
_WORKED_OUT = re.compile(r"\br\.v(\d+)\b")


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
    _worked_out: dict[str, str] = field(default_factory=dict)
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

    def worked_out(self, sql: str) -> str:
        """Return the name of a value that is computed once a row, however often it is asked for.

        What hangs on other tables than the raw one stays as it is.
        """
        if _ELSEWHERE.search(sql) is not None:
            return sql
        return f"r.{self._worked_out.setdefault(sql, f'v{len(self._worked_out)}')}"

    def patient(self, cell: Cell) -> None:
        """Add ``patient_id``, which must be in the patients table."""
        value = self.text(cell, missing="missing id")
        if not self.patients:
            self.put("patient_id", value)
            return
        self.put("patient_id", Value("p.patient_id", value.faults))
        self.joins.append(f"LEFT JOIN person p ON p.local_id = ({value.sql})")
        self.faults.append((STRANGER, "p.patient_id IS NULL"))

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
        plain = self.worked_out(
            f"CASE WHEN contains({base}, '.') "
            f"THEN regexp_replace(({base}), '^([+-]?[0-9]+)\\.0+$', '\\1') ELSE {base} END"
        )
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
        return self.number_of(base.sql, base.faults, largest=largest)

    def number_of(
        self, sql: str, faults: tuple[tuple[str, str], ...], *, largest: float = LARGEST_NUMBER
    ) -> Value:
        """Return the finite number that a text is, with the faults of the text before its own."""
        return self._number(sql, faults, largest, 1.0)

    def _number(self, base: str, faults: tuple[tuple[str, str], ...], largest: float, scale: float) -> Value:
        read = f"coalesce(TRY_CAST(({base}) AS DOUBLE) * {scale!r}, 'infinity'::DOUBLE)"
        number = self.worked_out(f"CASE WHEN regexp_full_match(({base}), '{_NUMBER}') THEN {read} END")
        fits = f"abs({number}) <= {largest!r}"
        return Value(
            f"CASE WHEN {fits} THEN {number} END",
            (
                *faults,
                (_NOT_FINITE, f"({base}) IS NOT NULL AND {number} IS NULL"),
                (_TOO_LARGE, f"NOT ({fits})"),
            ),
        )

    def day(self, day: Day, *, missing: str | None = "missing day") -> Value:
        """Return a day on the hospital's scale; ``missing`` is the reason where there is none, if it is."""
        base = f"r.{self.raw.columns[day.column]}"
        absent = () if missing is None else ((missing, f"{base} IS NULL"),)
        if day.date is not None:
            stamp = self._stamp(base, day.format, "DATE")
            plausible = f"{stamp} BETWEEN DATE '{EARLIEST}' AND DATE '{LATEST}'"
            return Value(
                f"CASE WHEN {plausible} THEN CAST({stamp} - DATE '1970-01-01' AS DOUBLE) END",
                (
                    *absent,
                    ("unparseable date", f"{base} IS NOT NULL AND {stamp} IS NULL"),
                    ("date out of range", f"{stamp} IS NOT NULL AND NOT ({plausible})"),
                ),
            )
        return self._counted(day, base, absent)

    def moment(self, day: Day) -> Value:
        """Return a day with the fraction of it that had passed, where the source tells the time."""
        base = f"r.{self.raw.columns[day.column]}"
        absent = (("missing day", f"{base} IS NULL"),)
        if day.date is None:
            return self._counted(day, base, absent)
        formats = list(day.format if "format" in day.model_fields_set else TIME_FORMATS)
        if day.time is not None:
            # a date without its time stays a date
            base = f"concat_ws(' ', {base}, r.{self.raw.columns[day.time]})"
        stamp = self._stamp(base, formats, "TIMESTAMP")
        plausible = f"CAST({stamp} AS DATE) BETWEEN DATE '{EARLIEST}' AND DATE '{LATEST}'"
        return Value(
            f"CASE WHEN {plausible} THEN epoch({stamp}) / 86400.0 END",
            (
                *absent,
                ("unparseable date", f"{stamp} IS NULL"),
                ("date out of range", f"{stamp} IS NOT NULL AND NOT ({plausible})"),
            ),
        )

    def _stamp(self, base: str, formats: Sequence[str], kind: str) -> str:
        """Return a date or a moment, NULL where the text is none in any of the formats."""
        read = self.worked_out(f"CAST(try_strptime({base}, {self.parameter(list(formats))}) AS {kind})")
        # DuckDB reads the words "infinity" and "epoch" as this day
        word = f"CAST({read} AS DATE) = DATE '1900-01-01' AND NOT regexp_matches({base}, '[0-9]')"
        return self.worked_out(f"CASE WHEN {word} THEN NULL ELSE {read} END")

    def _counted(self, day: Day, base: str, absent: tuple[tuple[str, str], ...]) -> Value:
        """Return a day that is a number: of the hospital's scale, or since the patient's origin."""
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

    def money(self, cell: Cell, *, missing: str | None, signed: bool = False) -> Value:
        """Return an amount with two decimals, of at least 0 unless it may be ``signed``."""
        number = self.number(cell, missing=missing)
        exact = self.worked_out(f"TRY_CAST(({self._base(cell)}) AS DECIMAL(18,2))")
        if signed:
            return Value(f"CASE WHEN ({number.sql}) IS NOT NULL THEN {exact} END", number.faults)
        faults = (*number.faults, ("negative amount", f"({number.sql}) < 0"))
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
        if cell.file_name:
            names = [PurePosixPath(file.file).name.partition(".")[0] for file in self.raw.files]
            base = f"({self.parameter(names)})[r.file + 1]"
            return f"left({base}, {cell.first_characters})" if cell.first_characters is not None else base
        base = "u.one" if cell.column == "*" else f"r.{self.raw.columns[cell.names[0]]}"
        return f"left({base}, {cell.first_characters})" if cell.first_characters is not None else base

    def stage(
        self, table: str, *, once: str | None = None, key: Collection[str] = (), also: Sequence[str] = ()
    ) -> Staged:
        """Run the query into the temporary table ``table``.

        Args:
          table: A name that is safe in SQL; it holds the output columns, ``_file``, ``_line``, ``_reason``.
          once: The reason that a second row with the same ``key`` is left out for.
          key: Columns that may occur once.
          also: Reasons that the caller leaves rows out for afterwards.
        """
        reasons = [name for name, _ in self.faults]
        reason = " ".join(f"WHEN {condition} THEN {at}" for at, (_, condition) in enumerate(self.faults, 1))
        blanked = "CAST(NULL AS VARCHAR[])"
        if self.blanked:
            some = " OR ".join(f"({condition})" for _, condition in self.blanked)
            names = ", ".join(f"CASE WHEN {condition} THEN '{name}' END" for name, condition in self.blanked)
            blanked = f"CASE WHEN {some} THEN list_filter([{names}], lambda x: x IS NOT NULL) END"
        outputs = ", ".join(f'({sql}) AS "{name}"' for name, sql in self.columns.items())
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT r.file AS _file, r.line AS _line, "  # noqa: S608 (own names)
            f"CAST(r.file + {self.raw.source} AS INTEGER) AS source, {outputs}, "
            f"CAST(CASE {reason or 'WHEN false THEN NULL'} END AS UTINYINT) AS _reason, "
            f"{blanked} AS _blanked FROM {self._rows()} r {' '.join(self.joins)}",
            self.parameters,
        )
        if once is not None:
            reasons.append(once)
            self._once(table, tuple(key or self.columns), len(reasons))
        reasons += also
        return Staged(self.connection, table, tuple(file.file for file in self.raw.files), tuple(reasons))

    def _rows(self) -> str:
        """Return the raw table with what is worked out of it, level by level."""
        levels: list[list[str]] = []
        level_of: dict[str, int] = {}
        for sql, name in self._worked_out.items():
            level = max((level_of[f"v{at}"] + 1 for at in _WORKED_OUT.findall(sql)), default=0)
            level_of[name] = level
            if level == len(levels):
                levels.append([])
            levels[level].append(f"{sql} AS {name}")
        rows = self.raw.table
        for level_sql in levels:
            rows = f"(SELECT r.*, {', '.join(level_sql)} FROM {rows} r)"  # noqa: S608 (own names)
        return rows

    def _once(self, table: str, key: tuple[str, ...], reason: int) -> None:
        """Mark every sound row of a staged table whose key stands on an earlier one."""
        same = ", ".join(f'"{name}"' for name in key)
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE twice AS SELECT h FROM (SELECT hash({same}) AS h FROM {table} "  # noqa: S608 (own names)
            "WHERE _reason IS NULL) GROUP BY h HAVING count(*) > 1"
        )
        # Keys that only look the same are told apart here; most tables have few rows to look at.
        self.connection.execute(
            f"UPDATE {table} SET _reason = {reason} FROM (SELECT row, row_number() OVER "  # noqa: S608 (own names)
            f"(PARTITION BY {same} ORDER BY _file, _line, row) AS nth "
            f"FROM (SELECT rowid AS row, * FROM {table}) "
            f"WHERE _reason IS NULL AND hash({same}) IN (FROM twice)) again "
            f"WHERE again.nth > 1 AND {table}.rowid = again.row"
        )


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows with the rule they break.

    Attributes:
      connection: The store that is being loaded.
      table: The temporary table; sound rows have ``_reason`` NULL.
      files: Names of the files, by ``_file``.
      reasons: Rules by ``_reason``, the first of them 1.
    """

    connection: duckdb.DuckDBPyConnection
    table: str
    files: tuple[str, ...]
    reasons: tuple[str, ...]

    def report(self, where: str) -> TableReport:
        """Return what was read, kept and left out; ``where`` is the table's key in the mapping."""
        files = self._counts()
        return TableReport(
            table=where,
            read=sum(one.read for one in files),
            kept=sum(one.kept for one in files),
            left_out=self._left_out(),
            blanked=self._blanked(),
            files=files,
        )

    def number(self, reason: str) -> int:
        """Return the number of a reason in ``_reason``."""
        return self.reasons.index(reason) + 1

    def findings(self, reason: str, rows: str) -> tuple[LeftOut, ...]:
        """Return what a query ``(_file, _line)`` finds, as the report names it."""
        return self._grouped(f"SELECT $said AS reason, _file, _line FROM ({rows})", {"said": reason})  # noqa: S608 (own names)

    def _counts(self) -> tuple[FileRows, ...]:
        rows = self.connection.execute(
            f"SELECT _file, count(*), count(*) FILTER (_reason IS NULL) FROM {self.table} GROUP BY _file"  # noqa: S608 (own name)
        ).fetchall()
        return tuple(FileRows(file=self.files[file], read=read, kept=kept) for file, read, kept in rows)

    def _left_out(self) -> tuple[LeftOut, ...]:
        broken = f"SELECT $names[_reason] AS reason, _file, _line FROM {self.table} WHERE _reason IS NOT NULL"  # noqa: S608 (own names)
        return self._grouped(broken, {"names": list(self.reasons)})

    def _blanked(self) -> tuple[LeftOut, ...]:
        return self._grouped(
            f"SELECT unnest(_blanked) AS reason, _file, _line FROM {self.table} WHERE _reason IS NULL "  # noqa: S608 (own names)
            "AND _blanked IS NOT NULL",
            {},
        )

    def _grouped(self, rows: str, parameters: Mapping[str, object]) -> tuple[LeftOut, ...]:
        found = self.connection.execute(
            "SELECT reason, _file, count(*), list_slice(list_sort(list_distinct(list(_line))), 1, $shown) "  # noqa: S608 (own names)
            f"FROM ({rows}) GROUP BY reason, _file ORDER BY reason, _file",
            {"shown": SHOWN_LINES, **parameters},
        ).fetchall()
        return tuple(
            LeftOut(reason=reason, rows=rows, file=self.files[file], lines=tuple(lines))
            for reason, file, rows, lines in found
        )
