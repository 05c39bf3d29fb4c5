"""Claims of a million made-up patients: files, store and study, made once and kept under ``out/``.

``python -m benchmarks.claims_at_size load FOLDER STORE`` loads in a process of its own and prints seconds and
peak memory, so that what the bench itself holds does not count; ``cohort STORE`` builds the cohort and one
contribution in the same way.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import duckdb

from benchmarks.memory import peak_mib
from fedvalue.client import records
from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import Mapping, parse_mapping
from fedvalue.client.records.snapshot import build
from fedvalue.planning.plan import make_plan
from fedvalue.study.file import parse
from fedvalue.study.roster import Roster, Site
from fedvalue.study.schema import Study

PEOPLE = 1_000_000
CLAIMS_EACH, LINES_EACH = 5, 4
PLACE = Path("out/bench-claims")
MAPPING = b"""
mapping = 1
[files.people]
path = "people.csv"
[files.claims]
path = "claims.csv"
[files.lines]
path = "lines.csv"
[patient]
file = "people"
patient_id = "pid"
origin = { date = "joined" }
[patient.attributes]
sex = { column = "sex", codes = { M = "male", F = "female" } }
born = { column = "born", type = "number" }
[[follow_up]]
file = "people"
patient_id = "pid"
day = { date = "seen" }
[[event]]
file = "people"
patient_id = "pid"
day = { date = "died" }
kind = { constant = "death" }
[[claim]]
file = "claims"
patient_id = "pid"
claim_id = "claim"
day = { date = "day" }
total_paid = "total"
patient_paid = "self"
currency = { constant = "CNY" }
[[condition]]
file = "claims"
patient_id = "pid"
day = { date = "day" }
code = "dx"
[[claim_line]]
file = "lines"
patient_id = "pid"
claim_id = "claim"
line = "line"
day = { date = "day" }
code = "code"
quantity = "cnt"
amount = "amount"
currency = { constant = "CNY" }
"""
STUDY = b"""
[study]
id = "at-size"
title = { en = "at size" }
question = { en = "what do patients with lung cancer cost?" }
principal_investigator = "A. Bench"
valid = { from = 2026-01-01, until = 2027-12-31 }
[privacy]
unit = "patient"
epsilon = 8.0
delta = 1e-8
patient_cap = 1000000
[federation]
min_sites = 3
[governance]
profile = "none"
[cohort]
index = { first = "condition", codes = ["C34*"] }
exclude = [{ condition = ["E11.9"], within = "-365d..0d" }]
[variables.sex]
person = "sex"
levels = ["female", "male"]
[variables.cost]
claims = "total_paid"
window = "0d..365d"
clip = [0, 200000]
unit = "CNY"
[endpoints.os]
kind = "time_to_event"
entry = "origin"
events = ["death"]
until = "36 months"
grid = "1 month"
[diagnostics]
share = 0
[[analyses]]
kind = "kaplan_meier"
endpoint = "os"
by = ["sex"]
budget = 0.5
[[analyses]]
kind = "mean"
variable = "cost"
budget = 0.5
"""


@dataclass(frozen=True, slots=True)
class Took:
    """What a process of its own took.

    Attributes:
      wall: Seconds on the clock.
      cpu: Seconds of all threads.
      peak: Peak memory, MiB.
      rows: Rows that it made.
    """

    wall: float
    cpu: float
    peak: float
    rows: int


def mapping() -> Mapping:
    """Return what the files mean."""
    return parse_mapping(MAPPING, where="claims_at_size")


def study() -> Study:
    """Return a study of the cost of a year with lung cancer."""
    return parse(STUDY, where="claims_at_size")


def files(people: int = PEOPLE) -> Path:
    """Return the folder of the files of so many patients, written where it is not there."""
    folder = PLACE / f"{people}"
    if (folder / "whole").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    claims, lines = people * CLAIMS_EACH, people * CLAIMS_EACH * LINES_EACH
    who = "'P' || lpad(CAST({} AS VARCHAR), 8, '0')"
    bill = "'C' || lpad(CAST({} AS VARCHAR), 9, '0')"
    with duckdb.connect() as engine:
        engine.execute("SET threads = 2")
        tables = {
            "people": (
                f"SELECT {who.format('i')} AS pid, DATE '2019-01-01' + CAST(hash(i) % 300 AS INT) AS joined, "  # noqa: S608 (own names)
                "1930 + hash(i, 1) % 60 AS born, CASE WHEN hash(i, 2) % 2 = 0 THEN 'F' ELSE 'M' END AS sex, "
                "DATE '2024-12-01' + CAST(hash(i, 3) % 90 AS INT) AS seen, CASE WHEN hash(i, 4) % 3 = 0 "
                "THEN DATE '2022-01-01' + CAST(hash(i, 5) % 900 AS INT) END AS died "
                f"FROM range({people}) t(i)"
            ),
            "claims": (
                f"SELECT {who.format(f'i // {CLAIMS_EACH}')} AS pid, {bill.format('i')} AS claim, "  # noqa: S608 (own names)
                "DATE '2020-01-01' + CAST(hash(i) % 1800 AS INT) AS day, ['C34.1', 'C34.9', 'E11.9', 'I10', "
                "'J18.9', 'K29.5', 'M54.5', 'N18.9'][CAST(1 + hash(i, 1) % 8 AS INT)] AS dx, "
                "printf('%.2f', 5000 + (hash(i, 2) % 2000000) / 100.0) AS total, "
                f"printf('%.2f', (hash(i, 3) % 500000) / 100.0) AS self FROM range({claims}) t(i)"
            ),
            "lines": (
                f"SELECT {who.format(f'i // {CLAIMS_EACH * LINES_EACH}')} AS pid, "  # noqa: S608 (own names)
                f"{bill.format(f'i // {LINES_EACH}')} AS claim, i % {LINES_EACH} + 1 AS line, "
                f"DATE '2020-01-01' + CAST(hash(i // {LINES_EACH}) % 1800 AS INT) AS day, "
                "'X' || lpad(CAST(hash(i) % 50000 AS VARCHAR), 6, '0') AS code, "
                "1 + hash(i, 1) % 9 AS cnt, printf('%.2f', (hash(i, 2) % 1000000) / 100.0) AS amount "
                f"FROM range({lines}) t(i)"
            ),
        }
        for name, sql in tables.items():
            engine.execute(f"COPY ({sql}) TO '{folder / name}.csv' (HEADER)")
    (folder / "whole").touch()
    return folder


def store(people: int = PEOPLE) -> tuple[Path, Took]:
    """Return the store of so many patients and what loading took, loaded where it is not there."""
    folder = files(people)
    place, said = folder / "store" / "records.duckdb", folder / f"load-{_loader()}.json"
    if not (place.exists() and said.exists()):
        place.unlink(missing_ok=True)
        said.write_text(json.dumps(astuple(alone("load", str(folder), str(place)))))
    return place, Took(*json.loads(said.read_text()))


def _loader() -> str:
    """Return a digest of the loader's own code: a store that another loader made says nothing of this one."""
    digest = hashlib.sha256()
    for path in sorted(Path(records.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def alone(*words: str, module: str = "benchmarks.claims_at_size") -> Took:
    """Run a command of a module in a process of its own.

    Args:
      words: The command.
      module: That prints seconds, CPU seconds, peak memory and rows as JSON.

    Raises:
      RuntimeError: it failed.
    """
    ended = subprocess.run(
        [sys.executable, "-m", module, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(ended.stderr[-2000:])
    return Took(*json.loads(ended.stdout))


def read_by_duckdb(folder: Path, place: Path) -> Took:
    """Read the same files into a database with DuckDB's own reader and its own guess of the types."""
    return alone("own", str(folder), str(place))


def _own(folder: Path, place: Path) -> int:
    place.unlink(missing_ok=True)
    rows = 0
    with duckdb.connect(str(place), config={"threads": 2, "memory_limit": "2GiB"}) as engine:
        for name in ("people", "claims", "lines"):
            engine.execute(f"CREATE TABLE {name} AS FROM read_csv('{folder / name}.csv')")
            rows += (engine.execute(f"SELECT count(*) FROM {name}").fetchone() or (0,))[0]  # noqa: S608 (own names)
    return rows


def _roster() -> Roster:
    """Return three sites that nobody runs."""
    return Roster(
        site=tuple(
            Site(
                id=f"s{n}", entity=f"E{n}", operator=f"E{n}",
                public_key=f"{n}" * 64, officer_key=f"{n + 3}" * 64,
            )
            for n in range(1, 4)
        )
    )  # fmt: skip


def _cohort(place: Path) -> int:
    frozen = build(place, study())
    for release in make_plan(study(), _roster()).releases:
        release.contribution(frozen.cohort)
    return frozen.cohort.patients


def main(words: list[str]) -> None:
    """Do one thing and print what it took."""
    began, used = time.monotonic(), os.times()
    if words[0] == "load":
        rows = sum(load(Path(words[1]), mapping(), Path(words[2])).rows.values())
    elif words[0] == "own":
        rows = _own(Path(words[1]), Path(words[2]))
    else:
        rows = _cohort(Path(words[1]))
    now = os.times()
    cpu = now.user - used.user + now.system - used.system
    sys.stdout.write(json.dumps([time.monotonic() - began, cpu, peak_mib(), rows]))


if __name__ == "__main__":
    main(sys.argv[1:])
