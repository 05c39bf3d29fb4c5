"""The table of a mapping that holds what was measured: laboratory values, blood pressure, device readings."""

from __future__ import annotations

import math
from typing import ClassVar, Self

from pydantic import model_validator

from fedvalue.client.records.cells import IGNORE, Cell, Day
from fedvalue.client.records.rows import Rows
from fedvalue.study.quantities import BY_CODE, QUANTITIES


class Measurement(Rows):
    """Values that were measured, one row each.

    Attributes:
      day: With the time of the day, where the source has it.
      code: What was measured: the name of a quantity (`fedvalue.study.quantities`), a LOINC code that means
        one, or any other code.
      value: A number; ``>14.0`` is read as 14.0, the end of what the instrument tells.
      unit: Of the value. Of a quantity it is one of its units, and the value is converted; of any other
      code it
        stays as it is.
      words: Text in place of a number, such as ``{ Low = 39, High = 401 }``, in the row's unit.
    """

    timed: ClassVar[bool] = True
    patient_id: Cell
    day: Day
    code: Cell
    value: Cell
    unit: Cell
    words: dict[str, float] = {}

    @model_validator(mode="after")
    def _plain_number(self) -> Self:
        if self.value.codes or self.value.constant is not None:
            raise ValueError("value is a column of numbers; words says what a text in it stands for")
        plain = [word.strip().lower() for word in self.words]
        if len(set(plain)) != len(plain) or not all(map(math.isfinite, self.words.values())):
            raise ValueError("words: each word once, with a finite number")
        return self

    @model_validator(mode="after")
    def _known_units(self) -> Self:
        name = BY_CODE.get(self.code.constant or "")
        if name is None:
            return self
        for unit in (self.unit.constant, *self.unit.codes.values()):
            if unit is not None and unit != IGNORE and QUANTITIES[name].scale(unit) is None:
                known = ", ".join(scale.name for scale in QUANTITIES[name].scales)
                raise ValueError(f"unit: {name} is not measured in {unit!r}; its units are {known}")
        return self
