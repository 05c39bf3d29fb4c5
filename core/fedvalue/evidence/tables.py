"""The numbers of a package as flat tables, for spreadsheets and other programs: CSV files or one JSON object.

Three tables: every estimate with its interval and both variances (a group without any has one row that says
why), every released coordinate, and every point of every line and survival curve. Numbers are written so that
reading them gives the same float64; a number that does not exist is an empty cell, in JSON ``null``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from fedvalue.analyses.estimate import Conclusion, Curve, Series, Stratum
from fedvalue.errors import OutputError
from fedvalue.evidence.package import EvidencePackage

Cell = str | float | None
Row = Mapping[str, Cell]
Format = Literal["csv", "json"]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "estimates": (
        "evidence", "analysis", "kind", "endpoint", "group", "status", "reason", "estimate", "value", "unit",
        "lower", "upper", "sampling_variance", "privacy_variance", "remedy_epsilon", "remedy_patients",
    ),
    "released": (
        "evidence", "analysis", "kind", "endpoint", "group", "coordinate", "value", "noise_variance",
    ),
    "lines": (
        "evidence", "analysis", "kind", "endpoint", "group", "line", "x", "x_unit", "value", "unit", "lower",
        "upper", "sampling_variance", "privacy_variance", "at_risk",
    ),
}  # fmt: skip
"""Columns of each table, in order. Intervals hold 95 %; variances are in squared units."""

CURVE = "survival curve"


def tables(package: EvidencePackage) -> dict[str, list[Row]]:
    """Return the rows of every table of `COLUMNS`, in the order of the package."""
    found: dict[str, list[Row]] = {name: [] for name in COLUMNS}
    for conclusion in package.conclusions:
        for stratum in conclusion.strata:
            head = _head(package, conclusion, stratum)
            found["estimates"] += [{**head, **row} for row in _estimates(stratum)]
            found["released"] += [
                {**head, "coordinate": name, "value": one.value, "noise_variance": one.noise_variance}
                for name, one in stratum.released.items()
            ]
            found["lines"] += [{**head, **row} for row in _lines(stratum)]
    return {
        name: [{column: row.get(column) for column in COLUMNS[name]} for row in rows]
        for name, rows in found.items()
    }


def _head(package: EvidencePackage, conclusion: Conclusion, stratum: Stratum) -> dict[str, Cell]:
    return {
        "evidence": package.evidence_id, "analysis": conclusion.label, "kind": conclusion.kind,
        "endpoint": conclusion.endpoint, "group": stratum.name,
    }  # fmt: skip


def _estimates(stratum: Stratum) -> Iterator[dict[str, Cell]]:
    remedy = stratum.remedy
    about: dict[str, Cell] = {
        "status": stratum.status, "reason": stratum.reason,
        "remedy_epsilon": None if remedy is None else remedy.epsilon,
        "remedy_patients": None if remedy is None else remedy.patients,
    }  # fmt: skip
    if not stratum.estimates:
        yield about
    for name, one in stratum.estimates.items():
        yield {**about, "estimate": name, **one.model_dump()}


def _lines(stratum: Stratum) -> Iterator[dict[str, Cell]]:
    if stratum.curve is not None:
        yield from _curve(stratum.curve)
    for name, series in stratum.series.items():
        yield from _series(name, series)


def _curve(curve: Curve) -> Iterator[dict[str, Cell]]:
    for i, day in enumerate(curve.days):
        yield {
            "line": CURVE, "x": day, "x_unit": "days", "value": curve.survival[i], "unit": "probability",
            "lower": curve.lower[i], "upper": curve.upper[i], "at_risk": curve.at_risk[i],
            "sampling_variance": curve.sampling_variance[i], "privacy_variance": curve.privacy_variance[i],
        }  # fmt: skip


def _series(name: str, series: Series) -> Iterator[dict[str, Cell]]:
    def told(values: tuple[float, ...], i: int) -> float | None:
        return values[i] if values else None

    for i, x in enumerate(series.x):
        yield {
            "line": name, "x": x, "x_unit": series.x_unit, "value": series.values[i], "unit": series.unit,
            "lower": told(series.lower, i), "upper": told(series.upper, i),
            "sampling_variance": told(series.sampling_variance, i),
            "privacy_variance": told(series.privacy_variance, i),
        }  # fmt: skip


def as_csv(name: str, rows: list[Row]) -> str:
    """Return one table as CSV (RFC 4180 with line feeds), its first line the names of the columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS[name])
    for row in rows:
        writer.writerow([_written(row[column]) for column in COLUMNS[name]])
    return text.getvalue()


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else repr(float(cell))


def export(package: EvidencePackage, folder: Path, form: Format) -> tuple[Path, ...]:
    """Write the tables of a package and return the files.

    Args:
      package: Checked by the caller.
      folder: Made if it is not there; files of the same names are replaced.
      form: ``csv``: a file for each table; ``json``: one file.

    Raises:
      OutputError: the place cannot be written.
    """
    found = tables(package)
    texts = (
        {"evidence.json": json.dumps(found, ensure_ascii=False, indent=1) + "\n"}
        if form == "json"
        else {f"{name}.csv": as_csv(name, rows) for name, rows in found.items()}
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError(
            f"the tables cannot be written: {error.strerror}",
            where=str(folder),
            do="choose a writable folder",
        ) from error
    return tuple(folder / name for name in texts)
