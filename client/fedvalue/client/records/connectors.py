"""The seam for every kind of source: a connector turns local files into one table of text.

CSV, TSV, MAF, Parquet, VCF and BCF come with it. OMOP, FHIR or a country's claims layout enter here: an
object with one method, under the name that ``format`` in a mapping gives.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb

from fedvalue.client.records.mapping import SourceFile
from fedvalue.client.records.report import FileReport
from fedvalue.errors import SourceMissing

SHOWN_COLUMNS = 40
BLANKS = " \t\r\n\u00a0\u3000\ufeff"
"""What is trimmed from a cell: spaces of all widths and a byte order mark."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Files of one shape as one table of text.

    The table has the columns ``file`` (position in ``files``), ``line`` (first line of a file is 1) and one
    text column for each local column that was asked for; cells are trimmed and NULL where not known.

    Attributes:
      table: Name of the SQL table.
      columns: Local column to SQL column.
      files: What was read, in the order of ``file``.
      listed: SQL table of the same columns with everyone the files speak of, if that is more than its rows.
      scopes: What each variant file can tell of genes, one of `scope.SCOPES`; empty for other files.
      source: Number of the first file in the store's table of sources; the others follow.
    """

    table: str
    columns: Mapping[str, str]
    files: tuple[FileReport, ...]
    listed: str | None = None
    scopes: tuple[str, ...] = ()
    source: int = 0

    @property
    def rows(self) -> int:
        """Rows that parsed."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the mapping asks of some files.

    Attributes:
      columns: Local columns that must be there.
      alternatives: Local columns that are taken where they are there.
      everything: Take every column of the header.
    """

    columns: frozenset[str]
    alternatives: frozenset[str] = frozenset()
    everything: bool = False


class Connector(Protocol):
    """Reads one kind of file."""

    def read(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: SourceFile,
        files: Sequence[tuple[str, Path]],
        wanted: Wanted,
        table: str,
    ) -> Raw:
        """Read ``files`` into the new temporary table ``table``.

        Args:
          connection: The store that is being loaded.
          source: What the mapping says of the files.
          files: Path below the hospital's folder, and where it is.
          wanted: Columns the mapping reads.
          table: A name that is safe in SQL.

        Raises:
          SourceMissing: a wanted column is not there; names those that are.
          SourceUnreadable: a file cannot be parsed at all; single bad lines are counted instead.
        """


def require_columns(wanted: Collection[str], there: Sequence[str], *, where: str) -> None:
    """Check that every wanted column is in the header.

    Raises:
      SourceMissing: names the columns that are missing and those that exist.
    """
    if missing := sorted(set(wanted) - set(there)):
        shown = ", ".join(repr(name[:60]) for name in there[:SHOWN_COLUMNS])
        more = f" and {len(there) - SHOWN_COLUMNS} more" if len(there) > SHOWN_COLUMNS else ""
        raise SourceMissing(
            f"the mapping expects the column {', '.join(map(repr, missing))}",
            where=where,
            do=f"the file has {shown}{more}",
        )


def cell_sql(expression: str) -> str:
    """Return the SQL of a trimmed cell, NULL where not known; takes ``$blanks`` and ``$missing``."""
    trimmed = f"trim({expression}, $blanks)"
    return f"CASE WHEN {trimmed} = '' OR list_contains($missing, {trimmed}) THEN NULL ELSE {trimmed} END"
