"""Loads that follow one another: the store is always what a first load of the folder would make of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pytest

from fedvalue.client.records.connectors import Raw, Wanted
from fedvalue.client.records.load import CONNECTORS, load
from fedvalue.client.records.mapping import SourceFile
from fedvalue.client.records.report import LoadReport
from fedvalue.client.records.store import CANONICAL, MODEST, alone
from fedvalue.client.records.stores import reading
from fedvalue.client.records.tabular import DelimitedText
from fedvalue.errors import OutputError
from tests.records_desk import Desk, reasons

TEXT = """
[files.people]
path = "people.csv"
[files.bills]
path = "bills-*.csv"
[files.seen]
path = "seen*.csv"
optional = true
[patient]
file = "people"
patient_id = "id"
origin = { date = "origin" }
[[claim]]
file = "bills"
patient_id = "id"
claim_id = "bill"
day = { date = "day" }
total_paid = "paid"
currency = { constant = "CNY" }
[[condition]]
file = "bills"
patient_id = "id"
day = { date = "day" }
code = "dx"
[[follow_up]]
file = "seen"
patient_id = "id"
day = { date = "day" }
"""
PEOPLE = "id,origin\na,2024-01-01\nb,2024-01-02\n"
JANUARY = "id,bill,day,paid,dx\na,1,2024-02-01,10.00,C34\nb,2,2024-02-02,20.00,C34\n"
MARCH = "id,bill,day,paid,dx\na,3,2024-04-01,5.00,J91\nc,4,2024-04-02,7.00,C34\n"


class Watched(DelimitedText):
    """Remembers which files were read."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "seen", [])

    def read(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: SourceFile,
        files: Sequence[tuple[str, Path]],
        wanted: Wanted,
        table: str,
    ) -> Raw:
        self.seen.extend(shown for shown, _ in files)  # type: ignore[attr-defined]  # set above
        return super().read(connection, source, files, wanted, table)


def again(desk: Desk) -> tuple[LoadReport, list[str]]:
    """Load; return the report and the files that were read."""
    watched = Watched()
    report = load(desk.folder, desk.mapping(TEXT), desk.database, connectors={**CONNECTORS, "csv": watched})
    return report, watched.seen  # type: ignore[attr-defined]  # set above


def content(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of a store, without the numbers of the files."""
    with reading(database, limits=MODEST) as connection:
        return {
            name: connection.execute(
                f"SELECT COLUMNS(c -> c <> 'source') FROM {name} ORDER BY ALL"
            ).fetchall()
            for name in CANONICAL
        }


def write(desk: Desk, **files: str) -> None:
    for name, text in files.items():
        (desk.folder / f"{name.replace('_', '-')}.csv").write_text(text)


def test_the_same_files_again_change_nothing_and_are_not_read(desk: Desk) -> None:
    write(desk, people=PEOPLE, bills_01=JANUARY)
    first, read = again(desk)
    assert (read, first.unchanged) == (["people.csv", "bills-01.csv"], ())
    before = desk.database.stat()
    second, read = again(desk)
    after = desk.database.stat()
    assert read == []
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert second.model_copy(update={"unchanged": ()}) == first
    assert second.unchanged == ("people.csv", "bills-01.csv")


def test_a_new_file_is_added_and_read_alone(desk: Desk) -> None:
    write(desk, people=PEOPLE, bills_01=JANUARY)
    again(desk)
    write(desk, bills_03=MARCH)
    report, read = again(desk)
    assert (read, report.unchanged) == (["people.csv", "bills-03.csv"], ("bills-01.csv",))
    assert report.rows["claim"] == 3
    assert [file.rows for file in report.files] == [2, 2, 2]
    assert reasons(report, "claim[0]") == {"patient not in the patients table": (1, (3,))}


def test_a_corrected_file_takes_the_place_of_its_rows(desk: Desk) -> None:
    write(desk, people=PEOPLE, bills_01=JANUARY, bills_03=MARCH)
    again(desk)
    write(desk, bills_01=JANUARY.replace("20.00", "25.00"))
    _, read = again(desk)
    assert read == ["people.csv", "bills-01.csv"]
    assert desk.rows("SELECT claim_id, CAST(total_paid AS DOUBLE) FROM claim ORDER BY 1") == [
        ("1", 10.0), ("2", 25.0), ("3", 5.0)
    ]  # fmt: skip
    (desk.folder / "bills-03.csv").unlink()
    again(desk)
    assert desk.rows("SELECT claim_id FROM claim ORDER BY 1") == [("1",), ("2",)]


def test_a_patient_who_comes_later_brings_the_rows_that_waited(desk: Desk) -> None:
    write(desk, people=PEOPLE, bills_01=JANUARY, bills_03=MARCH)
    again(desk)
    write(desk, people=PEOPLE + "c,2024-01-03\n")
    _, read = again(desk)
    assert read == ["people.csv", "bills-03.csv"]
    assert desk.rows("SELECT claim_id FROM claim WHERE patient_id = 'c'") == [("4",)]


def test_a_patient_who_is_gone_takes_every_row_along(desk: Desk) -> None:
    write(desk, people=PEOPLE, bills_01=JANUARY)
    again(desk)
    write(desk, people="id,origin\na,2024-01-01\n")
    report, _ = again(desk)
    assert report.rows["claim"] == 1
    assert reasons(report, "claim[0]") == {"patient not in the patients table": (1, (3,))}


def test_a_claim_that_stands_in_two_files_counts_once_whatever_came_first(desk: Desk) -> None:
    write(desk, people=PEOPLE, bills_05=JANUARY)
    again(desk)
    write(desk, bills_02=JANUARY.replace("10.00", "11.00"))
    report, read = again(desk)
    # the files are taken in the order of their names, as a first load takes them
    assert read == ["people.csv", "bills-02.csv", "bills-02.csv", "bills-05.csv"]
    assert desk.rows("SELECT CAST(sum(total_paid) AS DOUBLE) FROM claim") == [(31.0,)]
    assert reasons(report, "claim[0]") == {"duplicate claim": (2, (2, 3))}


def test_any_row_of_edits_leaves_what_a_first_load_would(desk: Desk, tmp_path: Path) -> None:
    # Law: after every edit, the store and the report of the load that follows are those of a first load.
    rng = np.random.default_rng(8)
    for _ in range(7):
        people = [f"{who},2024-01-0{1 + int(rng.integers(2))}" for who in "abcd" if rng.random() < 0.8]
        write(desk, people="\n".join(["id,origin", "e,2024-01-01", *people]) + "\n")
        for name in rng.choice(["bills-01", "bills-02", "bills-03", "seen-1", "seen-2"], 2, replace=False):
            path = desk.folder / f"{name}.csv"
            if rng.random() < 0.2 and len(list(desk.folder.glob("bills*"))) > 1:
                path.unlink(missing_ok=True)
                continue
            rows = [
                f"{rng.choice(list('abcde'))},{rng.integers(6)},2024-02-0{rng.integers(4)},{rng.integers(3)},C34"
                for _ in range(3)
            ]
            path.write_text("\n".join(["id,bill,day,paid,dx", "e,9,2024-02-01,1,C34", *rows]) + "\n")
        if not list(desk.folder.glob("bills*")):
            write(desk, bills_01=JANUARY)
        report = desk.load(TEXT)
        fresh = tmp_path / "fresh.duckdb"
        fresh.unlink(missing_ok=True)
        first = load(desk.folder, desk.mapping(TEXT), fresh)
        assert content(desk.database) == content(fresh)
        assert report.model_copy(update={"unchanged": ()}) == first


def test_two_loads_do_not_work_on_one_store(desk: Desk) -> None:
    write(desk, people=PEOPLE, bills_01=JANUARY)
    with alone(desk.database), pytest.raises(OutputError, match="another load"):
        again(desk)


KILLED = """
import os, signal, sys
from pathlib import Path
from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import load_mapping
def stop(what, done, steps):
    if what == sys.argv[4]:
        os.kill(os.getpid(), signal.SIGKILL)
load(Path(sys.argv[1]), load_mapping(Path(sys.argv[2])), Path(sys.argv[3]), progress=stop)
"""


@pytest.mark.parametrize("at", ["patient", "claim[0]"])
def test_a_load_that_is_killed_leaves_the_store_as_it_was_and_the_next_one_clears_up(
    desk: Desk, tmp_path: Path, at: str
) -> None:
    write(desk, people=PEOPLE, bills_01=JANUARY)
    again(desk)
    before = desk.database.read_bytes()
    write(desk, bills_03=MARCH)
    (tmp_path / "map.toml").write_text(f"mapping = 1\n{TEXT}")
    # the killed process shares no file with this one but the store's folder
    command = [
        sys.executable,
        "-c",
        KILLED,
        str(desk.folder),
        str(tmp_path / "map.toml"),
        str(desk.database),
        at,
    ]
    ended = subprocess.run(command, env={**os.environ}, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert desk.database.read_bytes() == before
    again(desk)
    assert [path.name for path in desk.database.parent.iterdir()] == [desk.database.name]
    assert len(desk.rows("FROM claim")) == 3
