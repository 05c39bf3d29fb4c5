"""What a load read, kept and left out. A file for the hospital: reasons and line numbers, never a value."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fedvalue.client.records.reasons import said

SHOWN_LINES = 5
"""How many line numbers are named per reason."""


_WORDS: MappingProxyType[str, dict[str, str]] = MappingProxyType(
    {
        "en": {
            "files": "Files", "tables": "Tables", "store": "In the store", "rows": "{} rows",
            "unchanged": ", unchanged", "absent": "not there or empty, optional", "kept": "{} read, {} kept",
            "left out": "left out: ", "blanked": "value now unknown: ", "line": " ({}, line {})",
        },
        "zh": {
            "files": "文件", "tables": "表", "store": "库中", "rows": "{} 行", "unchanged": "，未变",
            "absent": "不存在或为空，可选", "kept": "读取 {} 行，保留 {} 行", "left out": "略去：",
            "blanked": "该值记为未知：", "line": "（{}，第 {} 行）",
        },
    }
)  # fmt: skip


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LeftOut(_Line):
    """Rows, or single values, that broke one rule.

    Attributes:
      reason: The rule.
      rows: How many.
      file: The file they stand in, below the hospital's folder.
      lines: Lines of the first few, the first line of a file being 1.
    """

    reason: str
    rows: int
    file: str
    lines: tuple[int, ...] = ()


class FileReport(_Line):
    """One file as it was read.

    Attributes:
      file: Path below the hospital's folder.
      rows: Rows that parsed.
      left_out: Lines that did not.
    """

    file: str
    rows: int
    left_out: tuple[LeftOut, ...] = ()


class FileRows(_Line):
    """How many rows of one file were looked at for a table, and how many are in the store."""

    file: str
    read: int
    kept: int


class TableReport(_Line):
    """One table of the mapping.

    Attributes:
      table: Its key in the mapping, such as ``drug[0]``.
      read: Rows looked at: of a list of codes or genes, one for each entry.
      kept: Rows that are now in the store.
      left_out: Rows that are not, by reason.
      blanked: Single values that are now unknown in rows that were kept, by reason.
      files: The rows by file, where a file stands for itself.
    """

    table: str
    read: int
    kept: int
    left_out: tuple[LeftOut, ...] = ()
    blanked: tuple[LeftOut, ...] = ()
    files: tuple[FileRows, ...] = Field(default=(), exclude=True, repr=False)


class LoadReport(_Line):
    """A whole load.

    Attributes:
      files: Every file that was read.
      tables: Every table of the mapping.
      rows: Canonical table to its number of rows.
      absent: Optional files that are not there or empty.
      unchanged: Files that are as they were in the load before, and were not read again.
    """

    files: tuple[FileReport, ...]
    tables: tuple[TableReport, ...]
    rows: dict[str, int]
    absent: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()

    def json_text(self) -> str:
        """Return the report as JSON, for programs at the hospital."""
        return self.model_dump_json(indent=2) + "\n"

    def plain_text(self, language: Literal["en", "zh"] = "en") -> str:
        """Return the report for a terminal, one line a finding."""
        words = _WORDS[language]
        lines = [words["files"]]
        for file in self.files:
            same = words["unchanged"] if file.file in self.unchanged else ""
            lines.append(f"  {file.file}: {words['rows'].format(file.rows)}{same}")
            lines += [_finding(item, "left out", language) for item in file.left_out]
        lines += [f"  {path}: {words['absent']}" for path in self.absent]
        lines.append(words["tables"])
        for table in self.tables:
            lines.append(f"  {table.table}: {words['kept'].format(table.read, table.kept)}")
            lines += [_finding(item, "left out", language) for item in table.left_out]
            lines += [_finding(item, "blanked", language) for item in table.blanked]
        lines.append(words["store"])
        lines += [f"  {name}: {words['rows'].format(count)}" for name, count in self.rows.items()]
        return "\n".join(lines) + "\n"


def _finding(item: LeftOut, kind: str, language: str) -> str:
    words = _WORDS[language]
    shown = ", ".join(map(str, item.lines))
    more = ", ..." if item.rows > len(item.lines) and item.lines else ""
    where = words["line"].format(item.file, f"{shown}{more}") if shown else f" ({item.file})"
    return f"    {words[kind]}{item.rows} x {said(item.reason, language)}{where}"
