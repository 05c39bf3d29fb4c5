"""A desk for tests of the records room: write files, load them, look at the store, build a cohort."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import Mapping, parse_mapping
from fedvalue.client.records.report import LoadReport, TableReport
from fedvalue.client.records.snapshot import Frozen, build
from fedvalue.client.records.store import MODEST
from fedvalue.client.records.stores import reading
from fedvalue.study.file import parse
from fedvalue.study.schema import Study

STUDY = """
[study]
id = "hand-worked"
title = { en = "hand-worked" }
question = { en = "does the hand agree?" }
principal_investigator = "A. Hand"
valid = { from = 2026-01-01, until = 2027-12-31 }
[privacy]
unit = "patient"
epsilon = 8.0
delta = 1e-6
patient_cap = 1000
[federation]
min_sites = 3
[governance]
profile = "none"
"""

ENDPOINT = """
[endpoints.pfs]
kind = "time_to_event"
entry = "origin"
events = ["progression", "death"]
until = "24 months"
grid = "1 month"
[diagnostics]
share = 0

[[analyses]]
kind = "kaplan_meier"
endpoint = "pfs"
budget = 1.0
"""


CALLER = """
[files.people]
path = "people.csv"
[files.calls]
path = "calls.vcf"
[patient]
file = "people"
patient_id = "id"
[[variant]]
file = "calls"
tested = "listed"
"""
"""A mapping of people and the file of one caller."""


@dataclass(frozen=True, slots=True)
class Desk:
    """One hospital's folder and its store."""

    folder: Path
    database: Path

    def write(self, **files: str) -> None:
        """Write ``patients="..."`` to ``patients.csv``; lines may be indented."""
        for name, text in files.items():
            lines = [line.strip() for line in text.strip("\n").splitlines()]
            (self.folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def mapping(self, text: str) -> Mapping:
        """Return a mapping; every csv file of the folder is known by its name."""
        listed = "".join(f'[files.{path.stem}]\npath = "{path.name}"\n' for path in self.folder.glob("*.csv"))
        head = "" if "[files." in text else listed
        return parse_mapping(f"mapping = 1\n{head}{text}".encode(), where="map.toml")

    def load(self, text: str) -> LoadReport:
        """Load the folder through a mapping."""
        return load(self.folder, self.mapping(text), self.database)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Return what the store holds; ``FROM table`` alone leaves out which file a row came from."""
        sql = f"SELECT COLUMNS(name -> name <> 'source') {sql}" if sql.startswith("FROM ") else sql
        with reading(self.database, limits=MODEST) as connection:
            return connection.execute(sql).fetchall()

    def study(self, text: str) -> Study:
        """Return a study with the given parts; everybody and one endpoint where they are left out."""
        cohort = "" if "[cohort" in text else '[cohort]\nindex = { first = "patient" }\n'
        return parse(
            f"{STUDY}{cohort}{text}{'' if '[endpoints' in text else ENDPOINT}".encode(), where="study.toml"
        )

    def build(self, text: str) -> Frozen:
        """Build a study's cohort from the store."""
        return build(self.database, self.study(text))


def reasons(report: LoadReport, table: str) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Return reason -> (rows, lines) of one table of the mapping."""
    return {item.reason: (item.rows, item.lines) for item in table_of(report, table).left_out}


def table_of(report: LoadReport, table: str) -> TableReport:
    """Return the report of one table."""
    return next(item for item in report.tables if item.table == table)
