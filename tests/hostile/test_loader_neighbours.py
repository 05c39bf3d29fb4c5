"""One patient's rows, whatever they hold, change no other patient's rows at a hospital.

Neighbours in the sense of differential privacy: a folder, and the same folder with one patient's hostile rows
between everybody else's. All others have the same rows in the store and the same row in the cohort. The
exceptions of docs/mapping.md ("One patient's rows change nobody else's") are tests of their own, by name.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pytest

from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import parse_mapping
from fedvalue.client.records.report import LoadReport
from fedvalue.client.records.snapshot import build
from fedvalue.client.records.split import split_table
from fedvalue.client.records.store import CANONICAL, MODEST, reading
from fedvalue.errors import SourceUnreadable, TableEmpty
from fedvalue.study.file import parse
from tests.records_desk import ENDPOINT, STUDY

OTHERS = [f"P{number:02d}" for number in range(8)]
HOSTILE = "X"
SEEDS = range(3)

CELLS = (
    "", " ", '"', '""', '"a', 'a"', '"a"b', '"a\nb"', "a\nb", '"a\n1,2,3\nb"', '"a\n\n', "\n", "\r", "\r\n",
    ",", ",,,,", "\t", "\t\t\t", "\x00", "a\x00b", "nan", "inf", "-inf", "1e308", "-1e999", "9" * 400, "-1",
    "0x10", "1", "1.0", "01", "\u0661", "1,5", "2020-13-45", "0000-00-00", "31.12.2020", "20200101",
    "infinity", "99999-01-01", "\ufeff", "\u2028", "\x85", "\x1c", "\\", "'; DROP TABLE patient; --", "NA",
    "NULL", "\udcff", "\udc81", "\udcff\udcfe", "#", "death", "p.L858R", "x" * 70_000,
)  # fmt: skip
"""What a cell of the hostile patient may hold; a lone surrogate stands for a byte that is no text."""
LETTERS = ('"', '"', ",", ",", "\n", "\n", "\t", "\t", " ", ";", "\x00", "\r", "a", "1", HOSTILE, "\udcff")
GENOTYPES = (
    "", ".", "x", "0/9", "-1", "1" * 5000, "0/1;?", "/", "1/", "|", "\x00", "\udcff", "0/1:a", ":", '"',
    "1|1", ",", "\r", "\u0661", "0/1/0/1", " 0/1",
)  # fmt: skip

VARIABLES = """
[variables.sex]
person = "sex"
levels = ["male", "female"]
[variables.egfr]
variant = { gene = "EGFR", classes = ["p.L858R"] }
levels = ["mutated", "wild type", "not tested"]
[variables.kras]
variant = { gene = "KRAS", classes = ["any"] }
levels = ["mutated", "wild type", "not tested"]
[variables.age]
person = "age"
clip = [0, 120]
unit = "years"
"""
COST = """
[variables.cost]
claims = "total_paid"
window = "0d..365d"
clip = [0, 1000]
unit = "CNY"
[variables.glucose]
measurement = { code = "glucose", within = "-9999d..9999d", unit = "mg/dL", take = "mean" }
clip = [0, 2000]
unit = "mg/dL"
[variables.sensed]
sensor = { what = "events below 70", within = "0d..365d", wear = 0 }
clip = [0, 100]
unit = "events"
"""

FOLDER = """
mapping = 1
[files.patients]
path = "patients.{ending}"
encoding = "{encoding}"
[files.records]
path = "records.{ending}"
encoding = "{encoding}"
[patient]
file = "patients"
patient_id = "id"
origin = {{ date = "diagnosed" }}
[patient.attributes]
sex = {{ column = "sex", codes = {{ "1" = "male", "2" = "female" }} }}
age = {{ column = "age", type = "number" }}
note = "note"
[[follow_up]]
file = "patients"
patient_id = "id"
day = {{ date = "seen", format = ["%Y-%m-%d", "%d.%m.%Y"] }}
[[event]]
file = "patients"
patient_id = "id"
day = {{ date = "died" }}
kind = {{ constant = "death" }}
[[drug]]
file = "records"
patient_id = "id"
day = {{ date = "day" }}
code = {{ column = "code", separator = ";" }}
line = "line"
[[claim]]
file = "records"
patient_id = "id"
claim_id = "claim"
day = {{ date = "day" }}
total_paid = "paid"
currency = {{ constant = "CNY" }}
[[measurement]]
file = "records"
patient_id = "id"
day = {{ date = "day" }}
code = {{ constant = "glucose" }}
value = "paid"
unit = {{ constant = "mg/dL" }}
[[measurement]]
file = "records"
patient_id = "id"
day = {{ date = "day" }}
code = {{ constant = "glucose_cgm" }}
value = "paid"
unit = {{ constant = "mmol/L" }}
words = {{ Low = 2.1 }}
[[variant]]
file = "records"
patient_id = "id"
gene = "gene"
protein_change = "change"
tested = "listed"
"""
PATIENTS = ("id", "sex", "age", "note", "diagnosed", "seen", "died")
RECORDS = ("id", "day", "code", "line", "claim", "paid", "gene", "change", "note")

GENOMES = """
mapping = 1
[files.patients]
path = "patients.csv"
[files.calls]
path = "calls.{kind}"
[patient]
file = "patients"
patient_id = "id"
[patient.attributes]
sex = "sex"
age = {{ column = "age", type = "number" }}
[[survival]]
file = "patients"
patient_id = "id"
time = {{ duration = "days" }}
event = {{ column = "dead", codes = {{ "0" = "censored", "1" = "death" }} }}
[[variant]]
file = "calls"
tested = "listed"
"""
MAF = ("Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode", "HGVSp_Short")

FLAT = """
mapping = 1
[files.table]
path = "table.csv"
[patient]
file = "table"
patient_id = "id"
[patient.attributes]
sex = "sex"
age = { column = "age", type = "number" }
[[survival]]
file = "table"
patient_id = "id"
time = { duration = "days", unit = "months" }
event = { column = "dead", codes = { "0" = "censored", "1" = "death" } }
[[panel]]
file = "table"
patient_id = "id"
genes = { EGFR = "egfr", KRAS = "kras" }
codes = { "0" = "wild type", "1" = "mutated", "L" = "p.L858R" }
report = { duration = "report" }
"""
TABLE = ("id", "sex", "age", "days", "dead", "egfr", "kras", "report")

Rows = list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a hospital knows of everybody but the hostile patient."""

    store: dict[str, list[str]]
    cohort: dict[str, dict[str, float]]


def look(database: Path, variables: str) -> Seen:
    """Return the rows of the others: of every table in the store, and of the cohort."""
    with reading(database, limits=MODEST) as connection:
        tables = {
            name: connection.execute(
                f"SELECT * FROM {name} WHERE list_contains($others, patient_id)", {"others": OTHERS}
            ).fetchall()
            for name in CANONICAL
        }
    text = f'{STUDY}[cohort]\nindex = {{ first = "patient" }}\n{variables}{ENDPOINT}'
    frozen = build(database, parse(text.encode(), where="study.toml"))
    columns = {**frozen.cohort.categories, **frozen.cohort.numbers}
    outcome = frozen.cohort.survival["pfs"]
    columns |= {"entry": outcome.entry, "exit": outcome.exit, "event": outcome.event}
    rows = {
        patient: {name: float(values[at]) for name, values in columns.items()}
        for at, patient in enumerate(frozen.patient_ids)
        if patient in OTHERS
    }
    return Seen({name: sorted(map(repr, rows)) for name, rows in tables.items()}, rows)


def loaded(folder: Path, mapping: str, files: dict[str, bytes]) -> LoadReport:
    """Write the files of a hospital and load them; the store stands beside them."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return load(folder, parse_mapping(mapping.encode(), where="map.toml"), store(folder))


def store(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.duckdb"


def require_same(before: Seen, after: Seen) -> None:
    assert after.store == before.store
    assert list(after.cohort) == list(before.cohort) == OTHERS
    for patient, row in before.cohort.items():
        np.testing.assert_equal(after.cohort[patient], row, err_msg=patient)


def lines(rows: Iterable[Sequence[str]], delimiter: str) -> list[str]:
    """Return the text of every row as the csv module writes it."""
    written = []
    for row in rows:
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(row)
        written.append(text.getvalue())
    return written


def hostile(random: np.random.Generator, width: int, at: int, delimiter: str) -> str:
    """Return a few lines of the hostile patient: raw cells, cells well written, or mere rubbish."""
    form = random.integers(4)
    cells = [str(cell) for cell in random.choice(np.array(CELLS, dtype=object), width)]
    cells[at] = HOSTILE if random.integers(4) else cells[at]
    if form == 0:
        return "".join(random.choice(LETTERS, random.integers(1, 40))) + "\n"
    if form == 1:
        # Right but for one quote that stays open.
        plain = ["1"] * width
        plain[at] = HOSTILE
        plain[int(random.integers(width))] = '"' + "".join(random.choice(LETTERS, random.integers(4)))
        return delimiter.join(plain) + "\n"
    return lines([cells], delimiter)[0] if form == 2 else delimiter.join(cells) + "\n"


def among(random: np.random.Generator, own: list[str], width: int, at: int, delimiter: str) -> str:
    """Return the lines of the others with hostile ones between any two records."""
    return "".join(
        line + "".join(hostile(random, width, at, delimiter) for _ in range(random.integers(6)))
        for line in ["", *own]
    )


def encoded(text: str, encoding: str = "utf-8") -> bytes:
    return text.encode(encoding, "surrogateescape")


def people(others: Sequence[str] = OTHERS) -> Rows:
    return [(patient, "male", str(50 + at), str(100 * at), str(at % 2)) for at, patient in enumerate(others)]


def note(at: int) -> str:
    return (
        "",
        "plain",
        'in "quotes"',
        "two\nlines",
        "\nblank\n\nlines",
        'a, b; c\n,d "e" f',
        "5' tumor",
        "男\n",
    )[at]


def folder_rows() -> tuple[Rows, Rows]:
    patients: Rows = [
        (
            patient,
            str(1 + at % 2),
            str(40 + at),
            note(at),
            "2020-01-01",
            "2021-03-04",
            "2021-01-01" * (at % 2),
        )
        for at, patient in enumerate(OTHERS)
    ]
    genes = (("EGFR", "p.L858R"), ("KRAS", "1"), ("KRAS", "p.G12C"), ("TP53", ""))
    records: Rows = [
        (
            patient,
            f"2020-02-0{number}",
            "A;B",
            "1.0",
            str(number),
            "10.50",
            *genes[(at + number) % 4],
            note(at),
        )
        for at, patient in enumerate(OTHERS)
        for number in (1, 2)
    ]
    return patients, records


@pytest.mark.parametrize(
    ("ending", "delimiter", "encoding"),
    [("csv", ",", "utf-8"), ("tsv", "\t", "utf-8"), ("csv", ",", "gb18030")],
)
def test_hostile_rows_in_a_folder_of_text_files_change_nobody_elses(
    tmp_path: Path, ending: str, delimiter: str, encoding: str
) -> None:
    mapping = FOLDER.format(ending=ending, encoding=encoding)
    patients, records = (lines(rows, delimiter) for rows in folder_rows())
    titles = [lines([names], delimiter)[0] for names in (PATIENTS, RECORDS)]

    def seen(name: str, *texts: str) -> Seen:
        data = [encoded(title + text, encoding) for title, text in zip(titles, texts, strict=True)]
        loaded(tmp_path / name, mapping, {f"patients.{ending}": data[0], f"records.{ending}": data[1]})
        return look(store(tmp_path / name), VARIABLES + COST)

    before = seen("before", "".join(patients), "".join(records))
    assert {len(before.store[name]) for name in ("patient", "follow_up")} == {len(OTHERS)}
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        first = among(random, patients, len(PATIENTS), 0, delimiter) + f"{HOSTILE}{delimiter * 6}\n"
        second = among(random, records, len(RECORDS), 0, delimiter)
        require_same(before, seen(f"after{seed}", first, second))


def test_hostile_rows_in_a_maf_change_nobody_elses(tmp_path: Path) -> None:
    table = "".join(lines([("id", "sex", "age", "days", "dead"), *people()], ","))
    calls = [
        "\t".join((gene, "Missense_Mutation", patient, change)) + "\n"
        for patient in OTHERS[:6]
        for gene, change in (("EGFR", "p.L858R"), ("TP53", "1"))
    ]

    def seen(name: str, text: str, *, more: str = "") -> Seen:
        data = encoded("#version 2.4\n" + "\t".join(MAF) + "\n" + text)
        loaded(
            tmp_path / name,
            GENOMES.format(kind="maf"),
            {"patients.csv": encoded(table + more), "calls.maf": data},
        )
        return look(store(tmp_path / name), VARIABLES)

    before = seen("before", "".join(calls))
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        text = among(random, calls, len(MAF), 2, "\t")
        require_same(before, seen(f"after{seed}", text, more=f"{HOSTILE},male,1,1,1\n"))


def vcf(samples: Sequence[str], columns: Sequence[Sequence[str]]) -> bytes:
    """Return a VCF with three lines; ``columns`` holds three genotypes per sample."""
    text = (
        "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
        + "\t".join(samples)
        + "\n"
    )
    for at, info in enumerate(("GENE=EGFR;HGVSp=p.L858R", "GENE=KRAS;HGVSp=p.G12C,p.G12D", "GENE=TP53")):
        alternative = "A,G" if at == 1 else "G"
        fixed = (
            "7",
            str(100 + at),
            ".",
            "T",
            alternative,
            ".",
            "PASS",
            f"{info};EFFECT=missense_variant",
            "GT",
        )
        text += "\t".join((*fixed, *(column[at] for column in columns))) + "\n"
    return encoded(text)


def called(at: int) -> tuple[str, ...]:
    return tuple(("0/1", "0/0", "./.", "1|1")[(at + line) % 4] for line in range(3))


def genomes(folder: Path, samples: Sequence[str], columns: Sequence[Sequence[str]]) -> LoadReport:
    """Load a VCF beside everybody's rows in the patients table."""
    table = "".join(lines([("id", "sex", "age", "days", "dead"), *people([*OTHERS, HOSTILE])], ","))
    return loaded(
        folder,
        GENOMES.format(kind="vcf"),
        {"patients.csv": encoded(table), "calls.vcf": vcf(samples, columns)},
    )


def test_hostile_genotypes_in_a_vcf_of_several_samples_change_nobody_elses(tmp_path: Path) -> None:
    columns = [called(at) for at in range(len(OTHERS))]
    genomes(tmp_path / "before", OTHERS, columns)
    before = look(store(tmp_path / "before"), VARIABLES)
    # 0/1 at places 0, 4 and 1|1 at 3, 7 of the first line carry EGFR p.L858R: mutated is level 0.
    assert [row["egfr"] for row in before.cohort.values()] == [0, 1, 1, 0, 0, 1, 1, 0]
    # A hostile sample before, between and behind the others, with three bad genotypes each.
    samples, all_columns = list[str](), list[tuple[str, ...]]()
    for at in range(0, len(GENOTYPES), 3):
        samples += [f"{HOSTILE}{at}", *OTHERS[at // 3 : at // 3 + 1]]
        all_columns += [GENOTYPES[at : at + 3], *columns[at // 3 : at // 3 + 1]]
    samples += [*OTHERS[len(GENOTYPES) // 3 :], HOSTILE]
    all_columns += [*columns[len(GENOTYPES) // 3 :], ("x", "0/9", "1" * 5000)]
    report = genomes(tmp_path / "after", samples, all_columns)
    require_same(before, look(store(tmp_path / "after"), VARIABLES))
    assert [(item.reason, item.lines) for item in report.files[1].left_out] == [
        ("genotype that is none", (3, 4, 5))
    ]


def table_rows() -> Rows:
    return [
        (
            patient,
            "male",
            str(50 + at),
            str(3 * at),
            str(at % 2),
            ("0", "1", "L", "")[at % 4],
            str(at % 2),
            "1",
        )
        for at, patient in enumerate(OTHERS)
    ]


def test_hostile_rows_in_a_flat_table_change_nobody_elses(tmp_path: Path) -> None:
    own, title = lines(table_rows(), ","), lines([TABLE], ",")[0]

    def seen(name: str, text: str) -> Seen:
        loaded(tmp_path / name, FLAT, {"table.csv": encoded(title + text)})
        return look(store(tmp_path / name), VARIABLES)

    before = seen("before", "".join(own))
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        require_same(before, seen(f"after{seed}", among(random, own, len(TABLE), 0, ",")))


def test_hostile_cells_of_a_pooled_parquet_table_change_nobody_elses_after_the_split(tmp_path: Path) -> None:
    rows = [(*row, "h1") for row in table_rows()]
    texts = [cell for cell in CELLS if cell.isprintable() or "\n" in cell]
    texts.append('"\nP00,female,1,1,1,1,1,1\n"')

    def seen(name: str, all_rows: Rows) -> Seen:
        path = tmp_path / f"{name}.parquet"
        with duckdb.connect(":memory:") as connection:
            names = ", ".join(f'"{column}" VARCHAR' for column in (*TABLE, "site"))
            connection.execute(f"CREATE TABLE t ({names})")
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", all_rows)
            connection.table("t").write_parquet(str(path))
        mapping = parse_mapping(FLAT.encode(), where="map.toml")
        split_table(path, "site", tmp_path / name, mapping)
        load(tmp_path / name / "h1", mapping, store(tmp_path / name))
        return look(store(tmp_path / name), VARIABLES)

    before = seen("before", rows)
    bad = [
        (HOSTILE, *(texts[(at + place) % len(texts)] for place in range(7)), "h1") for at in range(len(texts))
    ]
    require_same(before, seen("after", [*bad, *rows]))


def test_the_law_sees_a_row_that_is_gone_and_a_variant_that_is_lost(tmp_path: Path) -> None:
    own, title = lines(table_rows(), ","), lines([TABLE], ",")[0]
    for name, rows in (
        ("all", own),
        ("one less", own[1:]),
        ("changed", [own[0].replace(",0,0,", ",1,0,"), *own[1:]]),
    ):
        loaded(tmp_path / name, FLAT, {"table.csv": encoded(title + "".join(rows))})
    before, *others = (look(store(tmp_path / name), VARIABLES) for name in ("all", "one less", "changed"))
    for after in others:
        with pytest.raises(AssertionError):
            require_same(before, after)


# Where a format makes it impossible: the exceptions of docs/mapping.md.


def test_exception_a_line_that_is_no_row_completes_the_row_above_that_was_cut_off_inside_a_quote(
    tmp_path: Path,
) -> None:
    title, own = lines([TABLE], ",")[0], lines(table_rows(), ",")
    broken, rest = 'P00,male,"5\n', '5",1,1,0,0,1\n'  # the second line has six cells of eight
    kept = {}
    for name, text in (("before", broken), ("after", broken + rest)):
        loaded(tmp_path / name, FLAT, {"table.csv": encoded(title + text + "".join(own[1:]))})
        with reading(store(tmp_path / name), limits=MODEST) as connection:
            kept[name] = {who for (who,) in connection.execute("SELECT patient_id FROM patient").fetchall()}
    # Only P00, whose own row is broken, is moved.
    assert kept == {"before": set(OTHERS[1:]), "after": set(OTHERS)}


@pytest.mark.parametrize("genotype", ["0/1\t0/1", "0/1\n", "0\n1\t"])
def test_exception_a_delimiter_in_a_sample_of_a_vcf_makes_the_lines_gene_unknown_for_the_others(
    tmp_path: Path, genotype: str
) -> None:
    columns = [called(at) for at in range(len(OTHERS))]
    report = genomes(tmp_path / "after", [HOSTILE, *OTHERS], [(genotype, "0/0", "0/0"), *columns])
    seen = look(store(tmp_path / "after"), VARIABLES)
    # The first line speaks of EGFR: unknown, not wild type. KRAS and TP53 stand on sound lines.
    assert [row["egfr"] for row in seen.cohort.values()] == [-1] * len(OTHERS)
    genomes(tmp_path / "before", OTHERS, columns)
    before = look(store(tmp_path / "before"), VARIABLES)
    assert [row["kras"] for row in seen.cohort.values()] == [row["kras"] for row in before.cohort.values()]
    assert "wrong number of columns" in {item.reason for item in report.files[1].left_out}


@pytest.mark.parametrize("name", ["P00", "\udcff"])
def test_exception_a_sample_name_that_stands_twice_or_is_no_text_refuses_the_load(
    tmp_path: Path, name: str
) -> None:
    columns = [called(at) for at in range(len(OTHERS) + 1)]
    with pytest.raises(SourceUnreadable, match="#CHROM line"):
        genomes(tmp_path / "after", [*OTHERS, name], columns)
    assert not store(tmp_path / "after").exists()


def test_exception_row_numbers_name_the_rows_below_anew_and_leave_what_they_hold(tmp_path: Path) -> None:
    mapping = FLAT.replace('patient_id = "id"', "patient_id = { row_number = true }")
    title, own = lines([TABLE], ",")[0], lines(table_rows(), ",")
    held = {}
    for name, text in (("before", ""), ("after", f'{HOSTILE},"\n')):
        loaded(tmp_path / name, mapping, {"table.csv": encoded(title + text + "".join(own))})
        with reading(store(tmp_path / name), limits=MODEST) as connection:
            held[name] = connection.execute("SELECT * FROM patient ORDER BY age").fetchall()
    assert [row[0] for row in held["before"]] == [str(2 + at) for at in range(len(OTHERS))]
    assert [row[0] for row in held["after"]] == [str(3 + at) for at in range(len(OTHERS))]
    assert [row[1:] for row in held["after"]] == [row[1:] for row in held["before"]]


def test_exception_rows_that_are_all_a_table_has_decide_whether_the_load_is_refused(tmp_path: Path) -> None:
    patients, records = (lines(rows, ",") for rows in folder_rows())
    living = [line.replace("2021-01-01", "") for line in patients]
    titles = [lines([names], ",")[0] for names in (PATIENTS, RECORDS)]
    files = {"records.csv": encoded(titles[1] + "".join(records))}
    mapping = FOLDER.format(ending="csv", encoding="utf-8")
    loaded(tmp_path / "before", mapping, files | {"patients.csv": encoded(titles[0] + "".join(living))})
    bad = f"{HOSTILE},1,1,,2020-01-01,2021-03-04,never\n"
    with pytest.raises(TableEmpty, match="event"):
        loaded(
            tmp_path / "after", mapping, files | {"patients.csv": encoded(titles[0] + "".join(living) + bad)}
        )
    assert not store(tmp_path / "after").exists()
