"""The template of a flat research table: empty CSV files that open in any spreadsheet, with their dictionary.

A county hospital fills the files in and loads the folder with the layout that comes with them. They begin
with a byte order mark, by which spreadsheets know UTF-8; what a spreadsheet writes as GB18030 loads with
``--encoding gb18030``. A file of the hospital's is never written over.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

from fedvalue.client.home import write_atomically
from fedvalue.client.records.layouts import Column, dictionary, layout_text
from fedvalue.errors import OutputError

DICTIONARY, MAPPING = "dictionary.csv", "mapping.toml"
_MARK = "\ufeff"


def template_name(language: str) -> str:
    """Return the layout of the template in a language, ``en`` or ``zh``."""
    return "county-zh" if language == "zh" else "county"


def write_template(folder: Path, language: str = "en") -> tuple[Path, ...]:
    """Write the files of the template, its dictionary and its mapping into a folder.

    Args:
      folder: Made where it is not there.
      language: Of the column names, ``en`` or ``zh``.

    Returns:
      What was written.

    Raises:
      OutputError: a file of the template is there already, or the folder cannot be written.
    """
    name = template_name(language)
    columns = dictionary(name)
    headers: dict[str, list[str]] = {}
    for each in columns:
        headers.setdefault(each.file, []).append(each.column_zh if language == "zh" else each.column)
    contents = {file: _csv([header]) for file, header in headers.items()}
    contents[DICTIONARY] = dictionary_text(columns)
    contents[MAPPING] = layout_text(name)
    if there := [file for file in contents if (folder / file).exists()]:
        raise OutputError(
            f"{there[0]} is there already", where=str(folder), do="give a folder without these files"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder cannot be made: {error.strerror}", where=str(folder)) from error
    for file, text in contents.items():
        mark = "" if file == MAPPING else _MARK
        write_atomically(folder / file, f"{mark}{text}".encode(), mode=0o600)
    return tuple(folder / file for file in contents)


def dictionary_text(columns: Sequence[Column]) -> str:
    """Return a dictionary as CSV, both languages side by side."""
    return _csv([[one.name for one in fields(Column)], *(list(astuple(each)) for each in columns)])


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
