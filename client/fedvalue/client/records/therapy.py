"""When a line of therapy ended and when the next one began, told by the starts of drugs alone.

The line is the one that begins on the index day, of lines as `day_zero` tells them apart. It is discontinued
on the day of its last drug, if it is over: another line began, or the patient was followed for longer than
the gap that ends a line without one of the drugs. Where that cannot be told yet, nothing is known of the
patient behind the last drug, and the time ends there; one who died within the gap was treated until then.

After the real-world time to discontinuation of Friends of Cancer Research, Stewart et al., JCO Clinical
Cancer Informatics 3 (2019), doi 10.1200/CCI.18.00155; the gap is the study's (120 days there).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import duckdb
import numpy as np
from numpy.typing import NDArray

from fedvalue.client.records.day_zero import lines_of_therapy
from fedvalue.client.records.selection import code_matches, require_tables
from fedvalue.study.index import Lines
from fedvalue.study.model import duration_days


@dataclass(frozen=True, slots=True)
class Course:
    """The line of therapy of each chosen patient, in days from the index day, shape ``(n,)``.

    Attributes:
      begun: True where a line begins on the index day; of nobody else anything is known.
      discontinued: Day of the last drug of a line that is over, NaN where it is not.
      following: Day on which the next line began, NaN where none did.
      last: Day of the last drug of a line of which nobody can tell yet whether it is over, else NaN.
    """

    begun: NDArray[np.bool_]
    discontinued: NDArray[np.float64]
    following: NDArray[np.float64]
    last: NDArray[np.float64]


def course_of(starts: Sequence[tuple[float, str]], lines: Lines) -> tuple[float, float | None]:
    """Return the last day of one patient's first line, and the day on which the next one began, if it did.

    Args:
      starts: Day and code of every start of a drug, by day; at least one.
      lines: How lines are told apart.
    """
    found = lines_of_therapy(starts, lines)
    following = found[1][0] if len(found) > 1 else None
    return max(day for day, _ in starts if following is None or day < following), following


def courses(
    connection: duckdb.DuckDBPyConnection,
    where: str,
    lines: Lines,
    stop: NDArray[np.float64],
    died: NDArray[np.bool_],
) -> Course:
    """Return the line of therapy of each chosen patient.

    Args:
      connection: The store, with the table ``chosen``.
      where: What reads it, for the error.
      lines: How lines are told apart.
      stop: Last day on which each patient was followed, NaN where unknown, shape ``(n,)``.
      died: True where that is the day of death.

    Raises:
      SourceMissing: the site's mapping does not fill ``drug``.
    """
    require_tables(connection, ("drug",), where)
    ours, parameters = code_matches(lines.codes)
    rows = connection.execute(
        "SELECT c.position, x.day - c.index_day, x.code FROM chosen c JOIN drug x USING (patient_id) "  # noqa: S608 (own names)
        f"WHERE {ours} AND x.day >= c.index_day ORDER BY 1, 2, 3",
        parameters,
    )
    begun = np.zeros(len(stop), dtype=bool)
    discontinued, following, last = (np.full(len(stop), np.nan) for _ in range(3))
    gap = duration_days(lines.gap)
    for position, records in groupby(_portions(rows), key=itemgetter(0)):
        starts = [(float(day), str(code)) for _, day, code in records]
        if starts[0][0] != 0:
            continue
        begun[position] = True
        end, after = course_of(starts, lines)
        if after is not None:
            following[position], discontinued[position] = after, end
        elif stop[position] - end > gap:
            discontinued[position] = end
        elif not died[position]:
            last[position] = end
    return Course(begun, discontinued, following, last)


def _portions(rows: duckdb.DuckDBPyConnection) -> Iterator[tuple[int, float, str]]:
    while portion := rows.fetchmany(100_000):
        yield from portion
