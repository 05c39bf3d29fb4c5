"""Hostile FHIR exports, OMOP databases and settings."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import duckdb

from proofs.reader_inputs import NO_AMOUNTS, NO_DATES, TEXTS, Made
from proofs.reader_tables import DELIMITED, PEOPLE, columns, drawn

POLICY = b"""site = "s01"
entity = "Hospital s01"
operator = "Hospital s01"
analyses = ["mean", "proportion", "kaplan_meier"]
profiles = ["none", "eu"]
study_signers = []
answer_every = 0.0
four_eyes = false
[budget]
epsilon = 40.0
delta = 1e-06
[caps]
threads = 2
memory = "2GiB"
[[opening]]
days = ["mon", "tue"]
start = "08:00"
until = "18:00"
zone = "Asia/Shanghai"
[confirmed]
"Hospital s02" = "0123456789abcdef0123456789abcdef"
"""
HELD = b"""format: fedvalue.payer_held/1
name: closed year
payer: the fund
purpose: set
standards: [a/b]
closed_on: 2026-06-30
year:
  year: 2025
  currency: CNY
  grouping_version: CHS-DRG 2.0
  price_list: list of 2026
  groups:
    - {group: ES1, cases: 3, total: "30.00", squares: "300"}
  trimmed_cases: 0
  trimmed_total: "0.00"
  carved_total: "0.00"
  ungrouped_cases: 0
  ungrouped_total: "0.00"
  ledger_cases: 3
  ledger_total: "30.00"
"""
_NO_RESOURCES = (
    "{", "[]", "null", '"x"', "{}", "1", '{"resourceType": NaN}', "[" * 900 + "]" * 900, '{"a":' * 5000,
    '{"id": 1e999}', '{"resourceType":"Patient","id":"a","id":"b"}', "\x00", "\u00e9{",
)  # fmt: skip
_TYPES = ("Patient", "Condition", "MedicationRequest", "Procedure", "Encounter", "ExplanationOfBenefit")


def fhir(rng: random.Random, *, hostile: float, only: str | None = None) -> Made:
    """Return a bulk export whose resources hold values of other types, deep lists, escapes, broken lines."""
    files, rows = dict[str, bytes](), dict[str, int]()
    for kind in _TYPES if only is None else (only,):
        lines = [_resource_line(rng, kind, hostile) for _ in range(rng.randrange(2, 12))]
        if kind == "Patient":
            lines = [
                json.dumps({"resourceType": kind, "id": who, "gender": "male"}) for who in PEOPLE
            ] + lines
        end = "\r\n" if rng.random() < 0.1 else "\n"
        data = (end.join(lines) + end * rng.randrange(3)).encode("utf-8", "surrogatepass")
        files[f"{kind}.ndjson"], rows[f"{kind}.ndjson"] = data, len(lines)
    return Made(files, rows)


def _resource_line(rng: random.Random, kind: str, hostile: float) -> str:
    """Return one line that is not blank."""
    if rng.random() < hostile / 4:
        return rng.choice(_NO_RESOURCES)
    day = (
        rng.choice(tuple(NO_DATES))
        if rng.random() < hostile
        else f"2025-0{rng.randrange(1, 10)}-11T00:00:00Z"
    )
    who = f"Patient/{rng.choice(PEOPLE)}"
    coded = {"coding": [{"system": "http://snomed.info/sct", "code": rng.choice(("254637007", "C34.1"))}]}
    amount = rng.choice(tuple(NO_AMOUNTS)) if rng.random() < hostile else f"{rng.randrange(9999) / 100}"
    made: dict[str, object] = {
        "resourceType": kind if rng.random() > hostile / 4 else "Group", "id": f"r{rng.randrange(99)}",
        "status": "final",
        "subject": {"reference": who}, "patient": {"reference": who}, "code": coded, "onsetDateTime": day,
        "medicationCodeableConcept": coded, "authoredOn": day, "performedDateTime": day,
        "deceasedDateTime": day,
        "period": {"start": day, "end": day}, "billablePeriod": {"start": day},
        "payment": {"amount": {"value": amount}}, "gender": "female", "birthDate": day[:10],
    }  # fmt: skip
    if rng.random() < hostile / 2:
        made["status"] = "entered-in-error"
    while rng.random() < hostile:
        made[rng.choice(tuple(made))] = _value(rng, 4)
    return json.dumps(made, ensure_ascii=rng.random() < 0.5)


def _value(rng: random.Random, depth: int) -> object:
    way = rng.randrange(10 if depth else 5)
    if way < 2:
        return rng.choice(TEXTS)
    if way < 5:
        return rng.choice(
            (None, True, 10**400, -1.5, "\ud800", "\udfff\ud800", "\0", "", " ", "\ud83d\ude00")
        )
    if way < 7:
        return [_value(rng, depth - 1) for _ in range(rng.randrange(3))]
    if way == 7:
        return _deep(rng.choice((50, 400, 700, 900)))
    names = ("coding", "code", "reference", "value", "system", "start", "end", "amount")
    return {rng.choice(names): _value(rng, depth - 1) for _ in range(rng.randrange(3))}


def _deep(depth: int) -> object:
    found: object = "x"
    for _ in range(depth):
        found = [found]
    return found


@lru_cache(maxsize=24)
def _database(seed: int) -> tuple[bytes, int]:
    """Return a DuckDB file with tables of a CDM, of any types, and the rows of ``drug_exposure``."""
    rng = random.Random(seed)  # noqa: S311 (made-up inputs)
    count = rng.randrange(1, 30)
    with tempfile.TemporaryDirectory(prefix="omop-") as room:
        place = Path(room) / "cdm.duckdb"
        with duckdb.connect() as engine:
            engine.execute(f"ATTACH '{place}' AS cdm (BLOCK_SIZE 16384)")
            engine.execute("USE cdm")
            for name in (
                "person",
                "drug_exposure",
                "condition_occurrence",
                "procedure_occurrence",
                "observation_period",
            ):
                kinds = columns("omop-duckdb", name)
                some = PEOPLE if name == "person" else range(count)
                cells = ", ".join(f'"{column}" VARCHAR' for column in kinds)
                engine.execute(f"CREATE TABLE {name} ({cells})")
                for who in some:
                    row = [
                        str(who) if kind.kind == "id" and name == "person" else drawn(rng, kind, hostile=0.2)
                        for kind in kinds.values()
                    ]
                    marks = ", ".join("?" for _ in row)
                    engine.execute(f"INSERT INTO {name} VALUES ({marks})", row)  # noqa: S608 (own names)
                if rng.random() < 0.3:
                    odd = rng.choice(
                        ("BLOB", "INTEGER[]", "STRUCT(a INTEGER)", "TIMESTAMP", "HUGEINT", "UUID")
                    )
                    engine.execute(f'ALTER TABLE {name} ADD COLUMN "odd" {odd}')
            engine.execute(
                "CREATE TABLE concept (concept_id INTEGER, concept_code VARCHAR, vocabulary_id VARCHAR)"
            )
            engine.execute("INSERT INTO concept VALUES (101, 'L', 'ATC'), (0, '', 'None'), (102, '', NULL)")
        return place.read_bytes(), count


def omop(rng: random.Random, *, hostile: float) -> Made:
    """Return a CDM in one DuckDB file; a hostile one is cut, or has other bytes here and there."""
    data, count = _database(rng.randrange(20))
    rows = {"cdm.duckdb": count}
    if rng.random() < hostile:
        rows, data = {}, _harmed(rng, data, reach=3 * 4096)
    return Made({"cdm.duckdb": data}, rows)


@lru_cache(maxsize=24)
def _parquet(seed: int) -> tuple[dict[str, bytes], dict[str, int]]:
    """Return people and drugs as Parquet files, packed in any way, and their rows."""
    rng, files, rows = random.Random(seed), dict[str, bytes](), dict[str, int]()  # noqa: S311 (made-up inputs)
    with tempfile.TemporaryDirectory(prefix="parquet-") as room, duckdb.connect() as engine:
        for name in ("people", "drugs"):
            kinds, place = columns(DELIMITED, name), Path(room) / f"{name}.parquet"
            cells = ", ".join(f'"{column}" VARCHAR' for column in kinds)
            engine.execute(f"CREATE TABLE {name} ({cells})")
            some = PEOPLE if name == "people" else range(rng.randrange(1, 60))
            for who in some:
                row = [
                    str(who) if kind.kind == "id" and name == "people" else drawn(rng, kind, hostile=0.2)
                    for kind in kinds.values()
                ]
                engine.execute(f"INSERT INTO {name} VALUES ({', '.join('?' for _ in row)})", row)  # noqa: S608 (own names)
            packing = rng.choice(("uncompressed", "snappy", "zstd", "gzip"))
            engine.execute(f"COPY {name} TO '{place}' (FORMAT parquet, COMPRESSION {packing})")
            files[place.name], rows[place.name] = place.read_bytes(), len(some)
    return files, rows


def parquet(rng: random.Random, *, hostile: float, only: bool = False) -> Made:
    """Return two Parquet files; a hostile second one is cut, or has other bytes here and there."""
    sound, count = _parquet(rng.randrange(20))
    name = list(sound)[-1]
    files, rows = ({name: sound[name]}, {name: count[name]}) if only else (dict(sound), dict(count))
    if rng.random() < hostile:
        files[name] = _harmed(rng, files[name], reach=400)
        del rows[name]
    return Made(files, rows)


def _harmed(rng: random.Random, data: bytes, *, reach: int) -> bytes:
    """Cut a file, or change some bytes at its head, at its end, or anywhere."""
    changed, way = bytearray(data), rng.randrange(4)
    if way == 0:
        return bytes(changed[: rng.randrange(len(data))])
    for _ in range(rng.randrange(1, 20)):
        at = rng.randrange(min(reach, len(data)) if way < 3 else len(data))
        changed[len(data) - 1 - at if way == 2 else at] = rng.randrange(256)
    return bytes(changed)


def texts(rng: random.Random, sound: Sequence[bytes]) -> bytes:
    """Return a settings file with lines gone, doubled, swapped or spoiled."""
    lines = rng.choice(sound).split(b"\n")
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(lines))
        way = rng.randrange(5)
        if way == 0:
            del lines[at : at + 1]
        elif way == 1:
            lines.insert(at, rng.choice(lines or [b""]))
        elif way == 2:
            head, mark, _ = lines[at].partition(rng.choice((b"=", b":")))
            value = rng.choice(
                (*(one.encode() for one in TEXTS), b"1e400", b"-1", b"[[[[", b"2026-02-30", b"inf", b"{a=1}")
            )
            lines[at] = head + mark + b" " + value
        elif way == 3:
            lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
        else:
            lines[at] = lines[at] + rng.randbytes(3)
        lines = lines or [b""]
    return b"\n".join(lines)
