"""Claims of a million patients into the site's store, beside DuckDB's own read of the same files.

DuckDB guesses the types and writes tables; ours takes every cell as text, checks every rule, joins patients,
looks for duplicates, counts what is left out by line, and writes the store. Both have two threads and 2 GiB,
each in a process of its own; CPU seconds of all threads. ``python -m benchmarks.rows.load_vs_duckdb 100000``
measures another number of patients.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import claims_at_size
from benchmarks.row import Row

AT_MOST = 3.0
PEAK_AT_MOST = 4096.0  # MiB
SMALL = claims_at_size.PEOPLE // 10
STEEPEST = 1.5
"""How many times more than ten times the tenth a full load may take: it grows linearly."""


def measure(folder: Path, people: int = claims_at_size.PEOPLE) -> Row:
    """Load both ways.

    Args:
      folder: Where DuckDB's own tables go.
      people: Patients; each has 5 claims of 4 lines.

    Raises:
      RuntimeError: the load took more memory than is allowed, or grows faster than its rows.
    """
    _, small = claims_at_size.store(people // 10)
    place, ours = claims_at_size.store(people)
    own = claims_at_size.read_by_duckdb(place.parent.parent, folder / "own.duckdb")
    cohort = claims_at_size.alone("cohort", str(place))
    peak = max(ours.peak, cohort.peak)
    if peak > PEAK_AT_MOST:
        raise RuntimeError(f"{peak:.0f} MiB, and {PEAK_AT_MOST:.0f} are allowed")
    if ours.cpu > 10 * STEEPEST * small.cpu:
        raise RuntimeError(f"{ours.cpu:.0f} s beside {small.cpu:.1f} s for a tenth of the rows")
    how = (
        f"{people:,} patients, {people * 5:,} claims, {people * 20:,} claim lines from CSV files to the "
        "store, beside DuckDB's own read of the files into tables; CPU seconds of all threads. Ours: "
        f"{ours.wall:.0f} s on the clock, {small.cpu:.1f} CPU s for a tenth, peak {ours.peak:.0f} MiB; "
        "cohort and contribution of "
        f"{cohort.rows:,} patients {cohort.cpu:.1f} CPU s, peak {cohort.peak:.0f} MiB"
    )
    return Row(ours=ours.cpu, other=own.cpu, ratio=ours.cpu / own.cpu, unit="s", how=how)


if __name__ == "__main__":
    chosen = int(sys.argv[1]) if sys.argv[1:] else claims_at_size.PEOPLE
    sys.stdout.write(f"{measure(claims_at_size.PLACE, chosen)}\n")
