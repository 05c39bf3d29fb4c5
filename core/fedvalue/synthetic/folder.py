"""Write one hospital's folder: tables in its own codes, calendar and formats, and its ``map.toml``."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedvalue.errors import OutputError
from fedvalue.synthetic.faults import BadRow
from fedvalue.synthetic.genome import GENES, write_maf, write_vcf
from fedvalue.synthetic.layouts import Layout
from fedvalue.synthetic.mapping_text import mapping_text
from fedvalue.synthetic.people import day_number
from fedvalue.synthetic.tables import Tables

MAPPING_NAME = "map.toml"
_ZERO = date(2023, 1, 1)
_DAYS = ("diagnosed", "last_contact", "started", "assessed", "happened", "billed", "reported")
_SPREAD = {"condition": "diagnosis", "test": "genes"}
"""Tables of the store that a cell with several values fills with one row for each."""
_PATTERNS = {"iso": "%Y-%m-%d", "slash": "%Y/%m/%d", "dotted": "%d.%m.%Y"}


def write_folder(
    home: Path, layout: Layout, tables: Tables, bad: tuple[BadRow, ...], rng: np.random.Generator
) -> dict[str, Counter[str]]:
    """Write every file of a hospital, its mapping and its bad rows.

    Args:
      home: The hospital's folder, which exists and is empty.
      layout: How it writes.
      tables: What it knows.
      bad: Extra rows.
      rng: Chooses which good rows the bad ones copy.

    Returns:
      Table of the store to (reason to number of rows): what loading must leave out.

    Raises:
      OSError: a file cannot be written.
      OutputError: the Parquet file cannot be written.
    """
    (home / MAPPING_NAME).write_text(mapping_text(layout), encoding="utf-8")
    left_out: dict[str, Counter[str]] = {}
    for name, table in _localized(layout, tables).items():
        extra = []
        for row in (row for row in bad if row.file == name and len(table)):
            copied = table.iloc[int(rng.integers(len(table)))].to_dict() | dict(row.change)
            extra.append(copied)
            for target, reason in row.left_out.items():
                cell = copied.get(_SPREAD.get(target, ""), "")
                left_out.setdefault(target, Counter())[reason] += cell.count(";") + 1
        whole = pd.concat([table, pd.DataFrame(extra)]) if extra else table
        _write_table(home / layout.files[name], whole.rename(columns=dict(layout.headers)), layout)
    _write_variants(home, layout, tables)
    return left_out


def _localized(layout: Layout, tables: Tables) -> dict[str, pd.DataFrame]:
    """Return the tables as text in the hospital's own codes and calendar, still under our column names."""
    claims = tables.claims.drop(columns="further")
    if layout.joined_diagnoses:
        further = tables.claims["further"]
        claims["diagnosis"] = claims["diagnosis"] + further.where(further == "", ";" + further)
    for money in ("total", "self"):
        claims[money] = [f"{fen // 100}.{fen % 100:02d}" for fen in claims[money].tolist()]
    if layout.currency_column:
        claims["currency"] = "CNY"
    tests = tables.tests.assign(genes=";".join(GENES)) if layout.panel_column else tables.tests
    named = {
        "patients": tables.patients, "treatments": tables.treatments, "responses": tables.responses,
        "events": tables.events, "claims": claims, "tests": tests,
    }  # fmt: skip
    origins = tables.patients.set_index("patient_id")["diagnosed"]
    return {name: _local(layout, table, origins) for name, table in named.items()}


def _local(layout: Layout, table: pd.DataFrame, origins: pd.Series[int]) -> pd.DataFrame:
    local: dict[str, list[str]] = {}
    for column in table.columns:
        values = table[column]
        if column in _DAYS:
            since = np.asarray(origins.loc[table["patient_id"]], dtype=np.int64)
            local[column] = _written(layout, column, np.asarray(values, dtype=np.int64), since)
        elif column in layout.words:
            words = layout.words[column]
            local[column] = [words[code] for code in values.tolist()]
        else:
            local[column] = values.astype(str).tolist()
    return pd.DataFrame(local, dtype=object)


def _written(layout: Layout, column: str, days: NDArray[np.int64], origins: NDArray[np.int64]) -> list[str]:
    if layout.calendar == "numbers":
        return [str(day) for day in (days - day_number(_ZERO)).tolist()]
    if layout.calendar == "durations" and column != "diagnosed":
        return [str(day) for day in (days - origins).tolist()]
    pattern = _PATTERNS.get(layout.calendar, _PATTERNS["iso"])
    unique, inverse = np.unique(days, return_inverse=True)
    written = [(date(1970, 1, 1) + timedelta(days=day)).strftime(pattern) for day in unique.tolist()]
    return [written[i] for i in inverse.tolist()]


def _write_table(path: Path, table: pd.DataFrame, layout: Layout) -> None:
    if path.suffix == ".parquet":
        _write_parquet(path, table)
        return
    separator = "\t" if path.suffix == ".tsv" else ","
    table.to_csv(path, sep=separator, index=False, encoding=layout.encoding, lineterminator="\n")


def _write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a patients table with columns of the types that a data warehouse gives them."""
    kinds = ("VARCHAR", "VARCHAR", "SMALLINT", "DATE", "DATE")
    columns = ", ".join(
        f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in zip(table.columns, kinds, strict=True)
    )
    target = str(path).replace("'", "''")
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "threads": 1,
    }
    try:
        with duckdb.connect(config=settings) as engine:
            engine.register("rows", table.replace("", None))
            engine.execute(f"COPY (SELECT {columns} FROM rows) TO '{target}' (FORMAT parquet)")  # noqa: S608 - our own names
    except duckdb.Error as error:
        raise OutputError(
            "a Parquet file cannot be written", where=str(path), do="give a folder that you may write to"
        ) from error


def _write_variants(home: Path, layout: Layout, tables: Tables) -> None:
    samples, path = tables.tests["patient_id"].tolist(), home / layout.files["variants"]
    if layout.variants == "maf":
        write_maf(path, samples, tables.carried)
    elif layout.variants == "vcf":
        write_vcf(path, samples, tables.carried, annotated=layout.tested == "listed")
    else:
        path.parent.mkdir()
        for row, sample in enumerate(samples):
            write_vcf(
                path.parent / f"{sample}.vcf", ["TUMOR"], tables.carried[row : row + 1], annotated=False
            )
