"""What every table of a mapping has: the one file it is read from."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import model_validator

from fedvalue.client.records.cells import Cell, Day, Section
from fedvalue.study.model import Name


class Rows(Section):
    """A table that is read from one file.

    Attributes:
      file: Its name under ``[files]``.
      timed: True where the time of the day counts.
    """

    timed: ClassVar[bool] = False
    file: Name

    @model_validator(mode="after")
    def _cells_in_place(self) -> Self:
        for key in type(self).model_fields:
            cell = getattr(self, key)
            if isinstance(cell, Day) and cell.time is not None and not self.timed:
                raise ValueError(f"{key}: the time of the day counts for measurements only")
            if not isinstance(cell, Cell):
                continue
            if cell.several and key != "code":
                raise ValueError(
                    f"{key} is one value of one column: columns and separator belong to code and genes"
                )
            if cell.row_number and key != "patient_id":
                raise ValueError(f"{key}: row_number belongs to patient_id")
            if cell.file_name and key != "patient_id":
                raise ValueError(f"{key}: file_name belongs to patient_id")
            if "type" in cell.model_fields_set:
                raise ValueError(f"{key}: type belongs to attributes of patients")
        return self
