"""Measure the rows, print the table, write the figures.

A module of ``benchmarks/rows`` is one row, and its name is the row's key. It has ``measure(folder)``, which
returns a `Row`, and the bar on its ratio: ``AT_LEAST``, or ``AT_MOST`` where less is better. A row is
measured three times and the middle one (by ratio) is reported; a row that takes over a minute is measured
once, and so is one that says ``SEEDED``: it measures no time, and its draws are the same each time. The exit
status is 1 where a row misses its bar.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import pkgutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, cast

from rich.console import Console
from rich.table import Table

from benchmarks.row import Row

TIMES = 3
ONCE_ABOVE = 60.0  # seconds; a row that takes longer is measured once
WHOLE_RUN = 20 * 60.0  # seconds; after that, no further row is started


class RowModule(Protocol):
    """What a module of ``benchmarks/rows`` has to have."""

    def measure(self, folder: Path) -> Row:
        """Measure once, leaving what the measurement leaves in an empty folder."""


def every_key() -> list[str]:
    """Every key, in the order of the alphabet."""
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / "rows")]))


def row_module(key: str) -> RowModule:
    """The module of a key; only now is what it compares with imported."""
    return cast("RowModule", importlib.import_module(f"benchmarks.rows.{key}"))


def bars(module: RowModule) -> tuple[float, float]:
    """The least and the largest ratio that a row may have; 0 and infinite where there is no such bar."""
    return float(getattr(module, "AT_LEAST", 0.0)), float(getattr(module, "AT_MOST", math.inf))


def measured(module: RowModule, console: Console) -> Row:
    """The middle of several measurements of one row, or the only one of a slow row."""
    found: list[Row] = []
    slowest, times = 0.0, 1 if getattr(module, "SEEDED", False) else TIMES
    while len(found) < times and slowest < ONCE_ABOVE:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            found.append(module.measure(Path(folder)))
        took = time.monotonic() - began
        slowest = max(slowest, took)
        console.print(f"  {found[-1].ratio:.4g}, {took:.0f} s", style="dim")
    return sorted(found, key=lambda row: row.ratio)[(len(found) - 1) // 2]


def rows(chosen: Sequence[str], console: Console) -> Iterator[tuple[str, tuple[float, float], Row]]:
    """Measure one row after the other: its key, its bars and what was found."""
    began = time.monotonic()
    for key in chosen:
        if time.monotonic() - began > WHOLE_RUN:
            raise SystemExit(f"{WHOLE_RUN / 60:.0f} minutes are over; {key} and later rows were not measured")
        console.print(f"{key} ...")
        module = row_module(key)
        yield key, bars(module), measured(module, console)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write; the exit status.

    Args:
      arguments: ``--key KEY`` for one row, ``--out FILE`` for the figures.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run the benchmarks.")
    parser.add_argument("--key", choices=every_key(), help="run this row only")
    parser.add_argument("--out", type=Path, default=Path("out/bench.json"), help="file for the figures")
    chosen = parser.parse_args(arguments)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)

    progress = Console(stderr=True)
    table = Table("key", "ours", "other", "ratio", "unit", "how", title="Benchmarks")
    results: list[dict[str, object]] = []
    missed: list[str] = []
    for key, (least, most), row in rows([chosen.key] if chosen.key else every_key(), progress):
        results.append({"key": key, **asdict(row)})
        table.add_row(key, *(f"{x:.4g}" for x in (row.ours, row.other, row.ratio)), row.unit, row.how)
        if not least <= row.ratio <= most:
            bound = f"at least {least:g}" if row.ratio < least else f"at most {most:g}"
            missed.append(f"{key}: {row.ratio:.4g}, and the bar is {bound}")
        chosen.out.write_text(json.dumps(results, indent=2) + "\n")
    Console().print(table)
    for line in missed:
        progress.print(f"misses its bar: {line}", style="red")
    return 1 if missed else 0
