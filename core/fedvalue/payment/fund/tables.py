"""The payer's own tables as CSV with a strict schema: people, uptake, price, costs and the fund line.

Two files, UTF-8, comma, one header line, exactly these columns in this order:

* **forecast**: ``year, treatment, eligible, uptake_base, uptake_new, price, reimbursed, admin, offsets``: one
  line per year and treatment. ``eligible`` people, ``uptake_*`` the share of them on the treatment without
  (base) and with (new) the decision, ``price`` money per person and year, ``reimbursed`` the share of it that
  the fund pays, ``admin`` and ``offsets`` money per person and year that the fund spends or saves besides.
* **fund**: ``year, revenue, other_spend``: the fund line without any of the treatments; the first year is the
  one before the decision, and its ``other_spend`` is the whole spend of that year.

An unknown, missing or repeated column, an empty cell, a thousands separator, a binary artefact such as
``1e5``, a negative number, a share above 1, a year twice or missing: all refused with the line. Money is
`Decimal`, with two decimals at most.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from fedvalue.errors import PaymentError
from fedvalue.evidence import documents

FORECAST = (
    "year", "treatment", "eligible", "uptake_base", "uptake_new", "price", "reimbursed", "admin", "offsets",
)  # fmt: skip
FUND = ("year", "revenue", "other_spend")
YEARS = (3, 5)
"""Fewest and most years of a budget impact (ISPOR good practice)."""

MAX_ROWS = 10_000
_MONEY = re.compile(r"[0-9]{1,15}(\.[0-9]{1,2})?")
_SHARE = re.compile(r"0(\.[0-9]{1,9})?|1(\.0{1,9})?")
_WHOLE = re.compile(r"[0-9]{1,12}")
_YEAR = re.compile(r"[12][0-9]{3}")


@dataclass(frozen=True, slots=True)
class Line:
    """One treatment in one year.

    Attributes:
      year: Calendar year.
      treatment: Its name.
      eligible: People.
      uptake_base: Share of them treated without the decision, 0 to 1.
      uptake_new: Share of them treated with it, 0 to 1.
      price: Money per person and year.
      reimbursed: Share of the price that the fund pays, 0 to 1.
      admin: Money per person and year that the fund spends besides.
      offsets: Money per person and year that the fund saves besides.
    """

    year: int
    treatment: str
    eligible: int
    uptake_base: Decimal
    uptake_new: Decimal
    price: Decimal
    reimbursed: Decimal
    admin: Decimal
    offsets: Decimal


@dataclass(frozen=True, slots=True)
class FundYear:
    """The fund in one year, without the treatments of the forecast.

    Attributes:
      year: Calendar year.
      revenue: Money.
      other_spend: Money; in the first year everything that was spent.
    """

    year: int
    revenue: Decimal
    other_spend: Decimal


def read_forecast(path: Path) -> tuple[Line, ...]:
    """Read a forecast.

    Raises:
      PaymentError: unreadable, or not as the schema says; the line is named.
    """
    return parse_forecast(documents.read_bytes(path, PaymentError), where=str(path))


def read_fund(path: Path) -> tuple[FundYear, ...]:
    """Read a fund line.

    Raises:
      PaymentError: unreadable, or not as the schema says; the line is named.
    """
    return parse_fund(documents.read_bytes(path, PaymentError), where=str(path))


def parse_forecast(raw: bytes, *, where: str) -> tuple[Line, ...]:
    """Validate the bytes of a forecast; ``where`` names them in errors.

    Raises:
      PaymentError: as in `read_forecast`.
    """
    lines = []
    for at, row in _rows(raw, FORECAST, where):
        if not row["treatment"].strip() or row["treatment"] != row["treatment"].strip():
            raise PaymentError("a treatment has a name without blanks around it", where=at)
        lines.append(
            Line(
                year=int(_cell(row, "year", _YEAR, at)),
                treatment=row["treatment"],
                eligible=int(_cell(row, "eligible", _WHOLE, at)),
                uptake_base=Decimal(_cell(row, "uptake_base", _SHARE, at)),
                uptake_new=Decimal(_cell(row, "uptake_new", _SHARE, at)),
                price=Decimal(_cell(row, "price", _MONEY, at)),
                reimbursed=Decimal(_cell(row, "reimbursed", _SHARE, at)),
                admin=Decimal(_cell(row, "admin", _MONEY, at)),
                offsets=Decimal(_cell(row, "offsets", _MONEY, at)),
            )
        )
    checked_lines(lines, where=where)
    return tuple(lines)


def parse_fund(raw: bytes, *, where: str) -> tuple[FundYear, ...]:
    """Validate the bytes of a fund line; ``where`` names them in errors.

    Raises:
      PaymentError: as in `read_fund`.
    """
    found = tuple(
        FundYear(
            int(_cell(row, "year", _YEAR, at)),
            Decimal(_cell(row, "revenue", _MONEY, at)),
            Decimal(_cell(row, "other_spend", _MONEY, at)),
        )
        for at, row in _rows(raw, FUND, where)
    )
    if any(later.year != earlier.year + 1 for earlier, later in pairwise(found)):
        raise PaymentError("the years of a fund line follow one another, none left out", where=where)
    if found[0].other_spend == 0:
        raise PaymentError("the year before the decision has no spend, so nothing can grow", where=where)
    return found


def checked_lines(lines: Sequence[Line], *, where: str) -> tuple[int, ...]:
    """Return the years of a forecast if every treatment has all of them once.

    Raises:
      PaymentError: fewer than three or more than five years, a gap, or a treatment and year missing or twice.
    """
    years = sorted({line.year for line in lines})
    if not YEARS[0] <= len(years) <= YEARS[1] or years[-1] - years[0] != len(years) - 1:
        raise PaymentError(
            f"a budget impact covers {YEARS[0]} to {YEARS[1]} years in a row, not {years}", where=where
        )
    seen = [(line.treatment, line.year) for line in lines]
    wanted = {(treatment, year) for treatment, _ in seen for year in years}
    if len(set(seen)) != len(seen) or set(seen) != wanted:
        raise PaymentError("every treatment has exactly one line for every year", where=where)
    return tuple(years)


def _rows(raw: bytes, columns: tuple[str, ...], where: str) -> list[tuple[str, dict[str, str]]]:
    try:
        table = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise PaymentError(f"not a CSV table in UTF-8: {error}", where=where) from error
    if not table or tuple(table[0]) != columns:
        raise PaymentError(
            f"the columns are {table[0] if table else []}",
            where=where,
            do=f"write exactly {','.join(columns)}",
        )
    body = [(f"{where}, line {i}", row) for i, row in enumerate(table[1:], start=2) if row]
    if not 0 < len(body) <= MAX_ROWS:
        raise PaymentError(f"the table has {len(body)} lines; it takes 1 to {MAX_ROWS}", where=where)
    for at, row in body:
        if len(row) != len(columns):
            raise PaymentError(f"{len(row)} cells where there are {len(columns)} columns", where=at)
    return [(at, dict(zip(columns, row, strict=True))) for at, row in body]


def _cell(row: dict[str, str], column: str, pattern: re.Pattern[str], at: str) -> str:
    if pattern.fullmatch(row[column]) is None:
        kinds = {_MONEY: "money such as 1200.50", _SHARE: "a share such as 0.25", _WHOLE: "a whole number"}
        raise PaymentError(
            f"{column} is {row[column][:40]!r}, not {kinds.get(pattern, 'a year such as 2027')}", where=at
        )
    return row[column]
