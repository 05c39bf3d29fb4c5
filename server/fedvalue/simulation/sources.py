"""Where a simulation's hospitals come from: one folder each, or one pooled table that is split."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fedvalue.client.records.mapping import Mapping, load_mapping
from fedvalue.client.records.split import split_table
from fedvalue.errors import SourceMissing
from fedvalue.study.roster import SITE_ID

MAPPING_NAME = "map.toml"
DEALT_COLUMN = "fedvalue_dealt_site"


@dataclass(frozen=True, slots=True)
class Source:
    """One simulated hospital's raw data.

    Attributes:
      site: Site id.
      folder: Folder with its tables.
      mapping: From its columns and codes to ours.
    """

    site: str
    folder: Path
    mapping: Mapping


@dataclass(frozen=True, slots=True)
class SiteFolders:
    """One folder per hospital.

    Attributes:
      folder: The folder of folders; a folder's name is the site's id.
      mapping: One mapping for all; None where each folder has its own ``map.toml``.
    """

    folder: Path
    mapping: Path | None = None

    def inputs(self) -> tuple[Path, ...]:
        """Return what is read."""
        return (self.folder, *(() if self.mapping is None else (self.mapping,)))

    def sites(self, work: Path) -> Iterator[Source]:
        """Return the hospitals in the order of their names; nothing is copied to ``work``.

        Raises:
          SourceMissing: there is no folder, or none below it, or a mapping is missing.
          MappingInvalid: a mapping is not valid.
        """
        del work
        try:
            folders = sorted(p for p in self.folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        except OSError as error:
            raise SourceMissing(
                f"the folder of hospitals cannot be read: {error.strerror}",
                where=str(self.folder),
                do="give a folder that holds one folder per hospital",
            ) from error
        if not folders:
            raise SourceMissing("no hospital's folder is in here", where=str(self.folder))
        _usable_names([folder.name for folder in folders], self.folder)
        for folder in folders:
            yield Source(folder.name, folder, load_mapping(self.mapping or folder / MAPPING_NAME))


@dataclass(frozen=True, slots=True)
class PooledTable:
    """One table of all patients, split for the simulation.

    Attributes:
      table: CSV, TSV or Parquet.
      mapping: From its columns and codes to ours.
      site_column: Column that names the hospital; read as text. A row without one is a site of its own.
      split: Instead of a column: into how many hospitals the rows are dealt at random.
      seed: For dealing them.
    """

    table: Path
    mapping: Path
    site_column: str | None = None
    split: int | None = None
    seed: int = 0

    def inputs(self) -> tuple[Path, ...]:
        """Return what is read."""
        return (self.table, self.mapping)

    def sites(self, work: Path) -> Iterator[Source]:
        """Split the table into one folder per hospital under ``work``.

        Raises:
          SourceMissing: the table or the column is not there.
          MappingInvalid: the mapping is not valid.
        """
        mapping = load_mapping(self.mapping)
        work.mkdir(parents=True, exist_ok=True, mode=0o700)
        table, column = self.table, self.site_column
        if column is None and self.split is None:
            raise SourceMissing("neither a site column nor a number of hospitals is given", where=str(table))
        if column is None:
            table, column = self._dealt(work), DEALT_COLUMN
        for site in split_table(table, column, work / "split", mapping).sites:
            yield Source(site.name, site.folder, mapping)

    def _dealt(self, work: Path) -> Path:
        """Write the table with a column that deals its rows to the hospitals at random."""
        try:
            rows = pd.read_csv(self.table, dtype=str, keep_default_na=False, sep=None, engine="python")
        except (OSError, ValueError) as error:
            raise SourceMissing(
                "the table cannot be read as text with a header",
                where=str(self.table),
                do="give a CSV or TSV file; a Parquet file is split by --site-column",
            ) from error
        rng = np.random.default_rng(self.seed)
        rows[DEALT_COLUMN] = [f"site-{1 + n % (self.split or 1):02d}" for n in rng.permutation(len(rows))]
        target = work / "dealt.csv"
        rows.to_csv(target, index=False)
        return target


def _usable_names(names: list[str], where: Path) -> None:
    """Refuse folder names that cannot be site ids, or differ in capitals only.

    Raises:
      SourceMissing: names the first such folder.
    """
    seen: set[str] = set()
    for name in names:
        if re.fullmatch(SITE_ID, name) is None or name.casefold() in seen:
            raise SourceMissing(
                f"{name!r} cannot be a site's id",
                where=str(where),
                do="rename the folder: letters, digits, '-' and '_', at most 40, distinct without capitals",
            )
        seen.add(name.casefold())
