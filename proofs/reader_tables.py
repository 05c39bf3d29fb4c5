"""Hostile folders of text files for any mapping: what a column is comes from what the mapping says of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import PurePosixPath

from fedvalue.client.records.cells import DATE_FORMATS, Cell, Day
from fedvalue.client.records.layouts import layout
from fedvalue.client.records.mapping import Mapping as MappingFile
from fedvalue.client.records.mapping import parse_mapping
from fedvalue.client.records.tables import wanted
from proofs.reader_inputs import NO_AMOUNTS, NO_DATES, ODD_AMOUNTS, TEXTS, Made, table

PEOPLE = tuple(f"P{number:03}" for number in range(12))
DELIMITED = """
mapping = 1
[files.people]
path = "people.csv"
[files.drugs]
path = "drugs.csv"
[patient]
file = "people"
patient_id = "id"
origin = { date = "joined" }
[patient.attributes]
sex = { column = "sex", codes = { M = "male", F = "female", "1" = "male" } }
age = { column = "age", type = "number" }
[[drug]]
file = "drugs"
patient_id = "id"
day = { date = "day" }
code = { column = "code", separator = ";" }
line = "line"
[[event]]
file = "drugs"
patient_id = "id"
day = { date = "day" }
kind = { column = "kind", codes = { dead = "death", PD = "progression", "0" = "ignore" } }
[[follow_up]]
file = "people"
patient_id = "id"
day = { date = "seen" }
"""
CLAIMS = """
mapping = 1
[files.people]
path = "people.csv"
[files.claims]
path = "claims.csv"
[patient]
file = "people"
patient_id = "id"
[[claim]]
file = "claims"
patient_id = "id"
claim_id = "claim"
day = { date = "day" }
total_paid = "total"
currency = "currency"
"""
MAF = """
mapping = 1
[files.people]
path = "people.csv"
[files.calls]
path = "calls.maf"
build = "GRCh38"
[patient]
file = "people"
patient_id = "id"
[[variant]]
file = "calls"
tested = "listed"
"""
REPORTS = """
mapping = 1
[files.people]
path = "people.csv"
[files.reports]
path = "reports.csv"
[patient]
file = "people"
patient_id = "id"
[[molecular_report]]
file = "reports"
patient_id = "id"
text = "words"
gene = "gene"
day = { date = "day" }
panel = "panel"
"""
MAF_COLUMNS = (
    "Hugo_Symbol", "NCBI_Build", "Variant_Classification", "Tumor_Sample_Barcode", "HGVSp_Short", "t_depth",
    "t_alt_count", "FILTER",
)  # fmt: skip
MAF_CELLS: Mapping[str, Sequence[str]] = {
    "Hugo_Symbol": ("EGFR", "KRAS", "TP53", "egfr"),
    "NCBI_Build": ("GRCh38", "38", "hg38", "GRCh38", "GRCh38", "GRCh37", ""),
    "Variant_Classification": ("Missense_Mutation", "In_Frame_Del", "Silent", "nothing known"),
    "HGVSp_Short": ("p.L858R", "p.G12C", "p.(Leu858Arg)", "E746_A750del", "", "p.?"),
    "t_depth": ("100", "0", "-3", "1e9", "x", ""),
    "t_alt_count": ("10", "200", "-1", ""),
    "FILTER": ("PASS", ".", "q10"),
}
WORDS = (
    "l858r", "t790m", "E746_A750del", "g12c", "KRAS", "EGFR", "ALK", "not tested", "no mutation", "detected",
    "not detected", "wild type", "and", ",", ";", "/", ":", "exon 19 deletion", "fusion", "suspected",
    "failed", "panel does not cover", "未检测", "阴性", "阳性", "突变", "19外显子缺失",
    "(+)", "(-)", "p.", "c.2573T>G",
    "rs7903146",     "*1/*2", "none but", "VUS", "uncertain significance", ".", "\n",
)  # fmt: skip
"""Pieces of what laboratories write."""


@dataclass(frozen=True, slots=True)
class Column:
    """What the cells of a column are.

    Attributes:
      kind: ``id``, ``day``, ``amount``, ``code`` or ``text``.
      words: Cells that mean something, where that is known.
      form: strptime pattern of a day.
    """

    kind: str
    words: tuple[str, ...] = ()
    form: str = "%Y-%m-%d"


@lru_cache(maxsize=64)
def mapping_of(text: str) -> MappingFile:
    """Return a mapping, by its text or by the name of a layout that comes with FedValue."""
    return layout(text) if "\n" not in text else parse_mapping(text.encode(), where="map.toml")


@lru_cache(maxsize=256)
def columns(text: str, name: str) -> Mapping[str, Column]:
    """Return the columns of ``[files.<name>]`` that a mapping reads, and what they are."""
    mapping = mapping_of(text)
    found = {one.partition(":")[0]: Column("text") for one in sorted(wanted(mapping, name).columns)}
    for _, part in mapping.tables():
        if part.file != name:
            continue
        cells = {key: getattr(part, key) for key in type(part).model_fields}
        cells |= {f"attributes.{key}": cell for key, cell in getattr(part, "attributes", {}).items()}
        for key, value in cells.items():
            if isinstance(value, Day):
                form = value.format[0] if value.format != DATE_FORMATS else "%Y-%m-%d"
                found[value.column] = Column("day", form=form)
            elif isinstance(value, Cell):
                for column in value.names:
                    found[column.partition(":")[0]] = _kind(key, value)
    return found


def _kind(key: str, cell: Cell) -> Column:
    if key in ("patient_id", "claim_id"):
        return Column("id" if key == "patient_id" else "claim")
    if key in ("total_paid", "patient_paid", "fund_paid", "amount", "quantity") or cell.type == "number":
        return Column("amount")
    return Column(
        "code", tuple(cell.codes) or ("C34.1", "L01EB02", "XL01EBJ001A001010100001", "101", "102", "1")
    )


def drawn(rng: random.Random, column: Column, *, hostile: float) -> str:
    """Return a cell of a column; with probability ``hostile`` one that somebody made to break things."""
    if rng.random() < hostile:
        some = {"day": tuple(NO_DATES), "amount": (*NO_AMOUNTS, *ODD_AMOUNTS)}.get(column.kind, TEXTS)
        return rng.choice(some if rng.random() < 0.8 else TEXTS)
    if column.kind == "id":
        return rng.choice(PEOPLE)
    if column.kind == "claim":
        return f"C{rng.randrange(40)}"
    if column.kind == "day":
        return (date(2024, 1, 1) + timedelta(days=rng.randrange(700))).strftime(column.form)
    if column.kind == "amount":
        return f"{rng.randrange(10_000_000) / 100:.2f}"
    return rng.choice(column.words or ("a", "b", "1", "EGFR"))


def folder(
    rng: random.Random, text: str, *, hostile: float, rows: int = 12, delimiter: str = ",",
    encoding: str = "utf-8", leave: float = 0.5, only: str | None = None,
) -> Made:  # fmt: skip
    """Return the files of a mapping with hostile cells.

    Args:
      rng: Draws.
      text: As for `mapping_of`.
      hostile: Share of hostile cells.
      rows: Of a file, at most.
      delimiter: Between two cells.
      encoding: Of the files.
      leave: Share of optional files that are not there.
      only: Write this file alone.
    """
    mapping, files, counts = mapping_of(text), dict[str, bytes](), dict[str, int]()
    for name, source in mapping.files.items():
        people = name == mapping.patient.file
        if only is not None and name != only:
            continue
        if source.optional and only is None and rng.random() < leave:
            continue
        path = source.path.replace("*", "019" if "_2" in source.path else "")
        kinds = columns(text, name)
        made = [
            [drawn(rng, one, hostile=hostile) for one in kinds.values()]
            for _ in range(rng.randrange(1, rows))
        ]
        if people:
            named = [
                [
                    person if one.kind == "id" else drawn(rng, one, hostile=hostile / 4)
                    for one in kinds.values()
                ]
                for person in PEOPLE
            ]
            made = named + made[:3]
        mark = "\t" if PurePosixPath(path).name == "CONCEPT.csv" else source.delimiter or delimiter
        files[path], counts[path] = table(
            rng, list(kinds), made, delimiter=mark, encoding=encoding, broken=not people
        )
    return Made(files, counts, encoding)


def people(rng: random.Random) -> tuple[bytes, int]:
    """Return a file of the people that tables speak of."""
    return table(rng, ["id"], [[person] for person in PEOPLE], broken=False)


def maf(rng: random.Random, *, hostile: float) -> Made:
    """Return a MAF with rows on another build, classes that nobody knows and cells that are none."""
    rows = []
    for _ in range(rng.randrange(1, 20)):
        cells = {
            name: rng.choice(TEXTS) if rng.random() < hostile else rng.choice(MAF_CELLS.get(name, PEOPLE))
            for name in MAF_COLUMNS
        }
        # a line of blanks alone is no row
        cells["Tumor_Sample_Barcode"] = cells["Tumor_Sample_Barcode"].strip() or "P001"
        rows.append(list(cells.values()))
    above = ["#version 2.4", "#=cmd"][: rng.randrange(3)]
    calls, count = table(rng, MAF_COLUMNS, rows, delimiter="\t", quotes=False, above=above)
    who, persons = people(rng)
    return Made({"people.csv": who, "calls.maf": calls}, {"people.csv": persons, "calls.maf": count})


def words(rng: random.Random) -> str:
    """Return what a laboratory might write, or what nobody would."""
    if rng.random() < 0.1:
        return rng.choice(TEXTS)
    pieces = [rng.choice(WORDS if rng.random() < 0.9 else TEXTS) for _ in range(rng.randrange(1, 14))]
    return rng.choice((" ", "", " ")).join(pieces)


def reports(rng: random.Random, *, hostile: float) -> Made:
    """Return a table of molecular reports."""
    rows = [
        [
            rng.choice(PEOPLE), words(rng), rng.choice(("EGFR", "KRAS", "", "x")),
            drawn(rng, Column("day"), hostile=hostile), rng.choice(("a", "b", "")),
        ]
        for _ in range(rng.randrange(1, 15))
    ]  # fmt: skip
    told, count = table(rng, ["id", "words", "gene", "day", "panel"], rows)
    who, persons = people(rng)
    return Made({"people.csv": who, "reports.csv": told}, {"people.csv": persons, "reports.csv": count})


def claims(rng: random.Random) -> Made:
    """Return claims each of which is sound or breaks one rule: what a load has to say of them is known."""
    rows, expected, cents = list[list[str]](), dict[str, int](), 0

    def broken(reason: str) -> None:
        expected[reason] = expected.get(reason, 0) + 1

    for number in range(rng.randrange(5, 40)):
        cells = [rng.choice(PEOPLE), f"C{number}", f"2026-0{rng.randrange(1, 10)}-11", "", "CNY"]
        cells[3] = (
            rng.choice(tuple(ODD_AMOUNTS)) if rng.random() < 0.3 else f"{rng.randrange(10_000_000) / 100:.2f}"
        )
        way = rng.randrange(9)
        if way == 0:
            cells[2] = rng.choice(tuple(NO_DATES))
            broken(NO_DATES[cells[2]])
        elif way == 1:
            cells[3] = rng.choice(tuple(NO_AMOUNTS))
            broken(NO_AMOUNTS[cells[3]])
        elif way == 2:
            cells[0] = rng.choice([one for one in TEXTS if one.strip() and one not in ("NULL", "nan")]) + "?"
            broken("patient not in the patients table")
        elif way == 3:
            cells[rng.randrange(2)] = rng.choice(("", "NULL", " ", "\u3000"))
            broken("missing id")
        elif way == 4:
            cells[4] = rng.choice(("", "cny", "YUAN", "=1", "元"))
            broken("unknown currency")
        elif way == 5 and cents:
            again = next(row for row in rows if row[5:] == ["sound"])
            cells = [*again[:2], *cells[2:]]
            broken("duplicate claim")
        else:
            cents += _cents(cells[3])
            cells.append("sound")
        rows.append(cells)
    header = ["id", "claim", "day", "total", "currency"]
    data, count = table(rng, header, [row[:5] for row in rows], broken=False)
    who, persons = people(rng)
    return Made(
        {"people.csv": who, "claims.csv": data}, {"people.csv": persons, "claims.csv": count},
        expected=expected, total=cents,
    )  # fmt: skip


def _cents(text: str) -> int:
    amount = Decimal(ODD_AMOUNTS.get(text, text)).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return int(amount * 100)


Maker = Callable[[random.Random], Made]
