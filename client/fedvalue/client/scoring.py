"""Score this hospital's own patients with a model package: a local file, which never leaves.

Rows come from the site's records, selected and read as the package's data dictionary says, or from a table
with a column for each variable. What a site does not have is unknown, which is part of the model. Scoring is
arithmetic in numpy: nothing of the training has to be installed, no ledger is charged, nothing is sent.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.scoring import Network
from fedvalue.client.records import variables
from fedvalue.client.records.needed import needed_by
from fedvalue.client.records.store import MODEST, Limits
from fedvalue.client.records.stores import choosing
from fedvalue.errors import SourceMissing, SourceUnreadable, TableEmpty
from fedvalue.strategies.training.package.document import ModelPackage
from fedvalue.study.keys import write_new

Array = NDArray[np.float64]
ID = "id"


@dataclass(frozen=True, slots=True)
class OwnRows:
    """Patients of this hospital, who stay here.

    Attributes:
      ids: Shape ``(n,)``.
      cohort: The same patients, in the same order.
      unknown: Variables that this site does not have at all.
    """

    ids: tuple[str, ...]
    cohort: Cohort
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model says of each.

    Attributes:
      ids: Shape ``(n,)``.
      predicted: Shape ``(n,)``, NaN where arithmetic has no answer.
      tiers: Name of each patient's tier, shape ``(n,)``; empty where the model has none.
    """

    ids: tuple[str, ...]
    predicted: Array
    tiers: tuple[str, ...]


def from_records(database: Path, package: ModelPackage, *, limits: Limits = MODEST) -> OwnRows:
    """Read the patients whom a model is for from the site's records.

    Args:
      database: The store that ``site load`` wrote.
      package: The model.
      limits: Threads and memory.

    Raises:
      SourceMissing: no store, or it lacks the records that select the patients.
      SourceUnreadable: the file is no store.
    """
    categories: dict[str, NDArray[np.int64]] = {}
    numbers: dict[str, Array] = {}
    unknown = []
    tables = needed_by(package.variables.values())
    with choosing(database, package.cohort, tables, limits=limits) as chosen:
        connection = chosen.connection
        ids = connection.execute("SELECT patient_id FROM chosen ORDER BY position").fetchall()
        for name, variable in package.variables.items():
            try:
                if variable.categorical:
                    categories[name] = variables.category(connection, name, variable)
                else:
                    numbers[name] = variables.number(connection, name, variable)
            except SourceMissing:
                unknown.append(name)
    return OwnRows(
        tuple(str(patient) for (patient,) in ids), Cohort(len(ids), categories, numbers), tuple(unknown)
    )


def from_table(path: Path, package: ModelPackage) -> OwnRows:
    """Read patients from a CSV table: a column ``id``, and one for each variable that the site has.

    Levels stand as words, numbers as numbers; what is empty, no level or no number is unknown.

    Raises:
      SourceMissing: no file, or no column ``id``.
      SourceUnreadable: not a CSV table in UTF-8.
      TableEmpty: no row.
    """
    names, rows = _table(path)
    if ID not in names:
        raise SourceMissing(
            f"the table has no column {ID!r}", where=str(path),
            do=f"columns are {ID} and {', '.join(package.variables)}",
        )  # fmt: skip
    if not rows:
        raise TableEmpty("the table has no row", where=str(path))
    categories: dict[str, NDArray[np.int64]] = {}
    numbers: dict[str, Array] = {}
    for name, variable in package.variables.items():
        if name not in names:
            continue
        said = [(row[name] or "").strip() for row in rows]
        if variable.categorical:
            place = {level: i for i, level in enumerate(variable.levels)}
            categories[name] = np.array([place.get(word, -1) for word in said], dtype=np.int64)
        else:
            numbers[name] = np.array([_number(word) for word in said])
    unknown = tuple(name for name in package.variables if name not in names)
    return OwnRows(tuple(str(row[ID] or "") for row in rows), Cohort(len(rows), categories, numbers), unknown)


def local_ids(path: Path) -> tuple[str, ...]:
    """Read the hospital's own ids, the column ``id`` of a CSV table.

    Raises:
      SourceMissing: no file, or no such column.
      SourceUnreadable: not a CSV table in UTF-8.
    """
    names, rows = _table(path)
    if ID not in names:
        raise SourceMissing(f"the table has no column {ID!r}", where=str(path), do=f"name the column {ID}")
    return tuple(row[ID] or "" for row in rows)


def renamed(rows: OwnRows, ids: Sequence[str], known_as: Callable[[str], str]) -> OwnRows:
    """Return the same rows under the hospital's own ids, where these are given.

    Args:
      rows: From the records, which know patients by pseudonyms.
      ids: The hospital's own.
      known_as: From these to the records' names.
    """
    own = {known_as(one): one for one in ids}
    return replace(rows, ids=tuple(own.get(one, one) for one in rows.ids))


def score(rows: OwnRows, package: ModelPackage) -> Scores:
    """Return what a model says of each patient."""
    predicted = Network.of(package.model, package.variables).values(rows.cohort)
    tiers: tuple[str, ...] = ()
    if package.tiers:
        place = np.searchsorted(np.array(package.cuts), np.nan_to_num(predicted), side="right")
        tiers = tuple(
            package.tiers[int(i)] if np.isfinite(p) else "" for i, p in zip(place, predicted, strict=True)
        )
    return Scores(rows.ids, predicted, tiers)


def write(scores: Scores, path: Path) -> None:
    """Write the scores as CSV with mode 0600; the file must not be there yet.

    Raises:
      OutputError: it is there, or the place cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([ID, "prediction", *(("tier",) if scores.tiers else ())])
    table.writerows(_lines(scores))
    write_new(path, text.getvalue().encode(), mode=0o600, what="the scores")


def _lines(scores: Scores) -> Sequence[list[str]]:
    said = [f"{value:.6g}" if np.isfinite(value) else "" for value in scores.predicted]
    columns = [scores.ids, said, *((scores.tiers,) if scores.tiers else ())]
    return [list(line) for line in zip(*columns, strict=True)]


def _table(path: Path) -> tuple[list[str], list[dict[str, str | None]]]:
    """Return the columns and rows of a CSV table."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            return list(table.fieldnames or ()), [dict(row) for row in table]
    except FileNotFoundError as error:
        raise SourceMissing("there is no such table", where=str(path), do="give a CSV file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceUnreadable(
            "the table cannot be read", where=str(path), do="give a CSV file in UTF-8"
        ) from error


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")
