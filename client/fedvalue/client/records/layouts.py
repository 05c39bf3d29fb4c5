"""Mapping files that come with FedValue, for layouts that many sites share, and what their columns mean.

A device's layout is a mapping of its own, and its part below the patients may stand in another layout too: a
hospital loads one folder through one mapping.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from fedvalue.client.records.mapping import Mapping, parse_mapping
from fedvalue.errors import MappingInvalid

DEVICES = ("cgm-libreview", "cgm-dexcom", "cgm-table", "pressure-table", "pressure-log")
"""Layouts of device exports: glucose sensors and blood-pressure cuffs."""
LAYOUTS = (
    "cms-rif", "settlement-list", "omop-csv", "omop-duckdb", "omop-postgresql", "fhir-r4", "county",
    "county-zh", *DEVICES,
)  # fmt: skip
"""Names of the layouts."""
DESCRIBED = ("county", "county-zh", *DEVICES)
"""Layouts with a dictionary; the others are standards with papers of their own."""
MASS, MOLES = "mg/dL", "mmol/L"
_ENCODING = 'encoding = "utf-8"'
_DEVICE = "# The device.\n"
_IN_MOLES = ((MASS, MOLES), ("= 39", "= 2.1"), ("= 401", "= 22.3"), ("= 501", "= 27.9"))
"""A sensor's export in mmol/L: its unit, and what its words for out of range stand for."""
_ZH = "-zh"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a layout.

    Attributes:
      file: That it stands in.
      column: Its name.
      column_zh: Its Chinese name in the template; empty where a device gives the name.
      required: ``yes`` where it may not be empty.
      form: What a cell looks like.
      meaning: What it means, in English.
      meaning_zh: The same in Chinese.
      example: A cell.
    """

    file: str
    column: str
    column_zh: str
    required: str
    form: str
    meaning: str
    meaning_zh: str
    example: str


def layout_text(name: str, *, encoding: str = "utf-8", unit: str = MASS, devices: Sequence[str] = ()) -> str:
    """Return a layout as the mapping file that it is, to be used or to be changed.

    Args:
      name: One of `LAYOUTS`.
      encoding: Of the hospital's text files, ``utf-8`` or ``gb18030``.
      unit: Of glucose in the exports of sensors, ``mg/dL`` or ``mmol/L``.
      devices: Some of `DEVICES` whose files stand in the same folder.

    Raises:
      MappingInvalid: there is no such layout, device or unit.
    """
    _require(name, LAYOUTS, "layout")
    _require(unit, (MASS, MOLES), "unit of glucose")
    text = _read(name, unit)
    for device in devices:
        _require(device, DEVICES, "device")
        if device != name:
            text += "\n" + _read(device, unit).partition(_DEVICE)[2]
    return text.replace(_ENCODING, f'encoding = "{encoding}"')


def layout(name: str, *, encoding: str = "utf-8", unit: str = MASS, devices: Sequence[str] = ()) -> Mapping:
    """Return a layout, validated; arguments as for `layout_text`.

    Raises:
      MappingInvalid: there is no such layout, device or unit.
    """
    text = layout_text(name, encoding=encoding, unit=unit, devices=devices)
    return parse_mapping(text.encode(), where=f"the layout {name}")


def dictionary(name: str) -> tuple[Column, ...]:
    """Return what the columns of a layout mean.

    Raises:
      MappingInvalid: the layout has no dictionary.
    """
    _require(name, DESCRIBED, "layout with a dictionary")
    place = files("fedvalue.client.records") / "layouts" / f"{name.removesuffix(_ZH)}.dictionary.csv"
    with place.open(encoding="utf-8") as stream:
        return tuple(Column(**row) for row in csv.DictReader(stream))


def _require(name: str, known: Sequence[str], what: str) -> None:
    if name not in known:
        raise MappingInvalid(f"there is no {what} {name!r}", do=f"there are {', '.join(known)}")


def _read(name: str, unit: str) -> str:
    place = files("fedvalue.client.records") / "layouts" / f"{name.removesuffix(_ZH)}.toml"
    text = place.read_text(encoding="utf-8")
    if unit == MOLES and name.startswith("cgm-"):
        for mass, moles in _IN_MOLES:
            text = text.replace(mass, moles)
    if name.endswith(_ZH):
        for each in dictionary(name):
            text = text.replace(f'"{each.column}"', f'"{each.column_zh}"')
    return text
