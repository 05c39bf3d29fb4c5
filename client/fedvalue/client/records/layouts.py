"""Mapping files that come with FedValue, for layouts that many sites share."""

from __future__ import annotations

from importlib.resources import files

from fedvalue.client.records.mapping import Mapping, parse_mapping
from fedvalue.errors import MappingInvalid

LAYOUTS = ("cms-rif", "settlement-list", "omop-csv", "omop-duckdb", "omop-postgresql", "fhir-r4")
"""Names of the layouts."""
_ENCODING = 'encoding = "utf-8"'


def layout_text(name: str, *, encoding: str = "utf-8") -> str:
    """Return a layout as the mapping file that it is, to be used or to be changed.

    Args:
      name: One of `LAYOUTS`.
      encoding: Of the hospital's text files, ``utf-8`` or ``gb18030``.

    Raises:
      MappingInvalid: there is no such layout.
    """
    if name not in LAYOUTS:
        raise MappingInvalid(f"there is no layout {name!r}", do=f"there are {', '.join(LAYOUTS)}")
    text = (files("fedvalue.client.records") / "layouts" / f"{name}.toml").read_text(encoding="utf-8")
    return text.replace(_ENCODING, f'encoding = "{encoding}"')


def layout(name: str, *, encoding: str = "utf-8") -> Mapping:
    """Return a layout, validated.

    Raises:
      MappingInvalid: there is no such layout.
    """
    return parse_mapping(layout_text(name, encoding=encoding).encode(), where=f"the layout {name}")
