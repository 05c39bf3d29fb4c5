"""The frozen cohort of a study: one row per patient, written once, read by every round, checked by digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.client.records import outcomes, variables
from fedvalue.client.records.needed import needed
from fedvalue.client.records.patient_cap import require_within_cap
from fedvalue.client.records.selection import Step
from fedvalue.client.records.store import MODEST, Limits, reading, writing
from fedvalue.client.records.stores import choosing
from fedvalue.errors import OutputError, SourceMissing, SourceUnreadable
from fedvalue.study.endpoints import Binary
from fedvalue.study.file import digest
from fedvalue.study.schema import Study

_HASHED_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Frozen:
    """The cohort of a study as it is in the store now.

    Attributes:
      patient_ids: Ids in increasing order, shape ``(n,)``. They stay at the site.
      cohort: The same patients, in the same order, without ids.
      steps: How many patients each step of the selection left; for the site's officer only.
      data_cut: Latest day of any record in the store, None where there is none.
      calendar: True where days count from 1970-01-01.
      lost_ids: Ids of the patients who are left out, in increasing order; `Cohort.lost` has their steps.
    """

    patient_ids: NDArray[np.object_]
    cohort: Cohort
    steps: tuple[Step, ...]
    data_cut: float | None
    calendar: bool
    lost_ids: NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an approval binds to.

    Attributes:
      study: Hash of the study, 64 hexadecimal digits.
      content: SHA-256 over the rows in the order of patient ids, and over the steps that left others out.
      data_cut: Latest day of any record when the cohort was frozen, None where there is none.
      calendar: True where that day counts from 1970-01-01.
      path: The file, mode 0600.
    """

    study: str
    content: str
    data_cut: float | None
    calendar: bool
    path: Path

    @property
    def data_cut_date(self) -> date | None:
        """The data cut as a date, None where the hospital's days are numbers."""
        if self.data_cut is None or not self.calendar:
            return None
        return date(1970, 1, 1) + timedelta(days=self.data_cut)


def build(database_path: Path, study: Study, *, limits: Limits = MODEST) -> Frozen:
    """Compute the cohort, variables and endpoints of a study from the site's store.

    Args:
      database_path: The store that `fedvalue.client.records.load.load` wrote.
      study: The study.
      limits: Threads and memory.

    Raises:
      SourceMissing: no store, or the study reads what the site's mapping does not fill.
      SourceUnreadable: the file is no store.
      StudyInvalid: a class of variants that nobody could have.
    """
    with choosing(database_path, study.cohort, needed(study), limits=limits) as chosen:
        connection, steps, cut = chosen.connection, chosen.steps, chosen.data_cut
        ids = connection.execute("SELECT patient_id FROM chosen ORDER BY position").fetchall()
        lost = connection.execute("SELECT patient_id, step FROM lost ORDER BY patient_id").fetchall()
        categorical = {name: item for name, item in study.variables.items() if item.categorical}
        numeric = {name: item for name, item in study.variables.items() if not item.categorical}
        assessed = {name: item for name, item in study.endpoints.items() if isinstance(item, Binary)}
        timed = {name: item for name, item in study.endpoints.items() if not isinstance(item, Binary)}
        cohort = Cohort(
            patients=len(ids),
            categories={
                name: variables.category(connection, name, item) for name, item in categorical.items()
            },
            numbers={name: variables.number(connection, name, item) for name, item in numeric.items()},
            binary={name: outcomes.binary(connection, name, item) for name, item in assessed.items()},
            survival={name: outcomes.survival(connection, study, name, item) for name, item in timed.items()},
            lost=np.array([step for _, step in lost], dtype=np.int64),
        )
        calendar = connection.execute("SELECT value FROM store_meta WHERE key = 'calendar'").fetchone()
    return Frozen(
        np.array([patient for (patient,) in ids], dtype=object),
        cohort,
        steps,
        cut,
        calendar is not None and calendar[0] == "true",
        np.array([patient for patient, _ in lost], dtype=object),
    )


def cohort_counts(database_path: Path, study: Study, *, limits: Limits = MODEST) -> tuple[Step, ...]:
    """Return how many patients each step of the study's selection leaves: for the site's officer, never sent.

    Raises:
      SourceMissing, SourceUnreadable, StudyInvalid: as in `build`.
    """
    return build(database_path, study, limits=limits).steps


def freeze(
    database_path: Path,
    study: Study,
    folder: Path,
    *,
    counted: Callable[[Sequence[str]], Sequence[bool]] | None = None,
    limits: Limits = MODEST,
) -> Snapshot:
    """Write the cohort of a study to ``folder`` once; later loads do not change it.

    Sums are exact for as many patients as the study's public cap says, so that a larger cohort is refused
    here, at the hospital and before anybody asks: in a round a refusal would tell of patients.

    Args:
      database_path: The store.
      study: The study.
      folder: Where the rows go.
      counted: Tells of patients, in the order of their ids, who may be counted; None counts all.
      limits: Threads and memory.

    Raises:
      OutputError: this study is frozen already, or the place cannot be written.
      SourceMissing, SourceUnreadable, StudyInvalid: as in `build`.
      StudyInvalid: more patients than the study's public cap.
    """
    key = digest(study)
    path = snapshot_path(folder, key)
    if path.exists():
        raise OutputError(
            "the cohort of this study is frozen already",
            where=str(path),
            do="withdraw the approval first; it removes it",
        )
    frozen = build(database_path, study, limits=limits)
    ids, columns = frozen.patient_ids, _columns(frozen.cohort)
    if counted is not None:
        stay = np.array(counted(ids.tolist()), dtype=bool)
        ids, columns = ids[stay], {name: column[stay] for name, column in columns.items()}
    require_within_cap(study, len(ids))
    lost_ids, steps = frozen.lost_ids, frozen.cohort.lost
    if counted is not None and len(lost_ids):
        stay = np.array(counted(lost_ids.tolist()), dtype=bool)
        lost_ids, steps = lost_ids[stay], steps[stay]
    stated = Snapshot(key, "", frozen.data_cut, frozen.calendar, path)
    return _write(stated, (ids, columns), (lost_ids, {"step": steps}), limits)


def remove_rows(
    folder: Path, study: Study, stay: Callable[[Sequence[str]], Sequence[bool]], *, limits: Limits = MODEST
) -> tuple[Snapshot, int]:
    """Take people out of a frozen cohort, as if they had not been in the records when it was frozen.

    Args:
      folder: Where `freeze` wrote it.
      study: The study.
      stay: Tells of patients, in the order of their ids, who stays.
      limits: Threads and memory.

    Returns:
      What is frozen now, and how many rows of the cohort went; with none, the file is as it was.

    Raises:
      SourceMissing, SourceUnreadable: as in `read_snapshot`.
      OutputError: the place cannot be written.
    """
    read_snapshot(folder, study, limits=limits)  # what does not hold is not made to hold
    key = digest(study)
    path = snapshot_path(folder, key)
    stated, (ids, columns), (lost_ids, steps) = _frozen(path, key, limits)
    kept, among_lost = np.array(stay(ids.tolist()), dtype=bool), np.array(stay(lost_ids.tolist()), dtype=bool)
    if kept.all() and among_lost.all():
        return stated, 0
    rows = (ids[kept], {name: column[kept] for name, column in columns.items()})
    lost = (lost_ids[among_lost], {"step": steps[among_lost]})
    return _write(stated, rows, lost, limits), int((~kept).sum())


def _write(stated: Snapshot, rows: _Rows, lost: _Rows, limits: Limits) -> Snapshot:
    """Write rows whole into the place of a snapshot, and return it with their digest."""
    (ids, columns), (lost_ids, steps) = rows, lost
    content = _digest(rows, lost)
    frame = pd.DataFrame({"position": np.arange(len(ids)), "patient_id": ids, **columns})
    left_out = pd.DataFrame({"position": np.arange(len(lost_ids)), "patient_id": lost_ids, **steps})
    with writing(stated.path, limits=limits) as connection:
        connection.register("rows", frame)
        connection.execute("CREATE TABLE cohort AS SELECT * FROM rows")
        connection.unregister("rows")
        connection.register("left_out", left_out)
        connection.execute("CREATE TABLE lost AS SELECT * FROM left_out")
        connection.unregister("left_out")
        connection.execute(
            "CREATE TABLE frozen (study VARCHAR, content VARCHAR, data_cut DOUBLE, calendar BOOLEAN)"
        )
        connection.execute(
            "INSERT INTO frozen VALUES (?, ?, ?, ?)",
            [stated.study, content, stated.data_cut, stated.calendar],
        )
    return replace(stated, content=content)


def find_snapshot(folder: Path, study: Study, *, limits: Limits = MODEST) -> Snapshot:
    """Return what was frozen for this study, without its rows.

    Raises:
      SourceMissing: nothing was.
      SourceUnreadable: the file is no snapshot of this study.
    """
    key = digest(study)
    path = snapshot_path(folder, key)
    with _opened(path, limits) as connection:
        return _stated(connection, key, path)


def read_snapshot(
    folder: Path, study: Study, *, content: str | None = None, limits: Limits = MODEST
) -> Cohort:
    """Return the frozen cohort of a study after checking that no row of it was changed.

    Args:
      folder: Where `freeze` wrote it.
      study: The study.
      content: The digest that the officer approved; without it the file is only checked against itself.
      limits: Threads and memory.

    Raises:
      SourceMissing: this study was not frozen here.
      SourceUnreadable: the rows are not those that were frozen.
    """
    key = digest(study)
    path = snapshot_path(folder, key)
    stated, (ids, columns), (lost_ids, steps) = _frozen(path, key, limits)
    computed = _digest((ids, columns), (lost_ids, {"step": steps}))
    if computed != stated.content or (content is not None and computed != content):
        raise SourceUnreadable(
            "the frozen cohort is not the one that was approved",
            where=str(path),
            do="somebody changed the file: restore it, or withdraw the approval and approve again",
        )
    return replace(_cohort(len(ids), columns, study), lost=steps)


def _frozen(
    path: Path, key: str, limits: Limits
) -> tuple[Snapshot, _Rows, tuple[NDArray[np.object_], NDArray[np.int64]]]:
    """Return what a file states, the rows in it, and who was left out by which step; nothing is checked."""
    with _opened(path, limits) as connection:
        stated = _stated(connection, key, path)
        found = connection.execute("SELECT * EXCLUDE (position) FROM cohort ORDER BY position").fetchnumpy()
        lost = _left_out(connection)
    ids = np.asarray(found.pop("patient_id"), dtype=object)
    columns = {
        name: np.ma.filled(np.ma.asarray(values), np.nan if values.dtype.kind == "f" else -1)
        for name, values in found.items()
    }
    return stated, (ids, columns), lost


def _left_out(connection: duckdb.DuckDBPyConnection) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Return who was left out and by which step; nobody in a cohort that was frozen before this was kept."""
    kept = connection.execute("SELECT 1 FROM information_schema.tables WHERE table_name = 'lost'").fetchone()
    if kept is None:
        return np.array([], dtype=object), np.zeros(0, dtype=np.int64)
    rows = connection.execute("SELECT patient_id, step FROM lost ORDER BY position").fetchnumpy()
    steps = np.ma.filled(np.ma.asarray(rows["step"]), -1).astype(np.int64)
    return np.asarray(rows["patient_id"], dtype=object), steps


def snapshot_path(folder: Path, study_hash: str) -> Path:
    """Return where the frozen cohort of a study stands."""
    return folder / f"{study_hash}.duckdb"


def _columns(cohort: Cohort) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
    """Return every array of a cohort under a name of its own, in a fixed order."""
    columns: dict[str, NDArray[np.float64] | NDArray[np.int64]] = {}
    columns |= {f"category {name}": cohort.categories[name] for name in sorted(cohort.categories)}
    columns |= {f"number {name}": cohort.numbers[name] for name in sorted(cohort.numbers)}
    columns |= {f"status {name}": cohort.binary[name].status for name in sorted(cohort.binary)}
    for name in sorted(cohort.survival):
        outcome = cohort.survival[name]
        columns |= {
            f"entry {name}": outcome.entry,
            f"exit {name}": outcome.exit,
            f"event {name}": outcome.event,
        }
    return columns


def _cohort(
    patients: int, columns: dict[str, NDArray[np.float64] | NDArray[np.int64]], study: Study
) -> Cohort:
    """The inverse of `_columns`."""

    def whole(key: str) -> NDArray[np.int64]:
        return columns[key].astype(np.int64)

    def real(key: str) -> NDArray[np.float64]:
        return columns[key].astype(np.float64)

    timed = [name for name, item in study.endpoints.items() if not isinstance(item, Binary)]
    return Cohort(
        patients=patients,
        categories={
            name: whole(f"category {name}") for name, item in study.variables.items() if item.categorical
        },
        numbers={
            name: real(f"number {name}") for name, item in study.variables.items() if not item.categorical
        },
        binary={
            name: BinaryOutcome(whole(f"status {name}")) for name in study.endpoints if name not in timed
        },
        survival={
            name: SurvivalOutcome(real(f"entry {name}"), real(f"exit {name}"), whole(f"event {name}"))
            for name in timed
        },
    )


_Rows = tuple[NDArray[np.object_], dict[str, NDArray[np.float64] | NDArray[np.int64]]]


def _digest(chosen: _Rows, lost: _Rows) -> str:
    """Return the SHA-256 over the rows that are in and then those that were left out."""
    whole = _content(*chosen)
    if not len(lost[0]):
        return whole
    return hashlib.sha256(f"{whole}{_content(*lost)}".encode()).hexdigest()


def _content(ids: NDArray[np.object_], columns: dict[str, NDArray[np.float64] | NDArray[np.int64]]) -> str:
    """Return the SHA-256 over one JSON line per patient, in the order of ids; NaN is null."""
    content = hashlib.sha256(json.dumps(["patient_id", *columns]).encode() + b"\n")
    for lines in _lines(ids, columns):
        content.update(lines)
    return content.hexdigest()


def _lines(
    ids: NDArray[np.object_], columns: dict[str, NDArray[np.float64] | NDArray[np.int64]]
) -> Iterator[bytes]:
    for start in range(0, len(ids), _HASHED_ROWS):
        part = slice(start, start + _HASHED_ROWS)
        values = [ids[part].tolist(), *(column[part].tolist() for column in columns.values())]
        rows = zip(*values, strict=True)
        yield "".join(
            json.dumps([None if value != value else value for value in row]) + "\n" for row in rows
        ).encode()


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    if not path.is_file():
        raise SourceMissing(
            "this study is not frozen here", where=str(path), do="approve it with `fedvalue site approve`"
        )
    with reading(path, limits=limits) as connection:
        yield connection


def _stated(connection: duckdb.DuckDBPyConnection, key: str, path: Path) -> Snapshot:
    try:
        row = connection.execute("SELECT study, content, data_cut, calendar FROM frozen").fetchone()
    except duckdb.Error as error:
        raise SourceUnreadable("this file is no frozen cohort", where=str(path)) from error
    if row is None or row[0] != key:
        raise SourceUnreadable("this file is the frozen cohort of another study", where=str(path))
    return Snapshot(key, str(row[1]), None if row[2] is None else float(row[2]), bool(row[3]), path)
