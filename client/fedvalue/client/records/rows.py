"""What every table of a mapping has: the one file it is read from."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from fedvalue.client.records.cells import Cell, Section
from fedvalue.study.model import Name


class Rows(Section):
    """A table that is read from one file.

    Attributes:
      file: Its name under ``[files]``.
    """

    file: Name

    @model_validator(mode="after")
    def _cells_in_place(self) -> Self:
        for key in type(self).model_fields:
            cell = getattr(self, key)
            if not isinstance(cell, Cell):
                continue
            if cell.several and key != "code":
                raise ValueError(
                    f"{key} is one value of one column: columns and separator belong to code and genes"
                )
            if cell.row_number and key != "patient_id":
                raise ValueError(f"{key}: row_number belongs to patient_id")
            if "type" in cell.model_fields_set:
                raise ValueError(f"{key}: type belongs to attributes of patients")
        return self
