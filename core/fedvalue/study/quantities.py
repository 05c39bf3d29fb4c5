"""Quantities that are known by name, with their units: what makes two hospitals' numbers one number.

A value is kept in one unit of its quantity. What is converted is rounded as instruments print it, because
that is how limits are stated: 10.0 mmol/L is the upper end of the same range as 180 mg/dL although it is
180.16, and 53 mmol/mol is 7.0 %.

HbA1c: NGSP % = 0.09148 x IFCC mmol/mol + 2.152, Hoelzel et al., Clinical Chemistry 50 (2004) 166-174;
Geistanger et al., Clinical Chemistry 54 (2008) 1379-1385. Glucose: 180.156 g/mol. Pressure: 1 kPa = 7.50062
mmHg (SI).
Codes: LOINC 2.78.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

UNIT_BLANKS = " []\u00a0\u3000"
"""What says nothing in a unit."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A unit of a quantity: ``kept = factor * value + offset``, rounded to ``digits`` of the unit kept.

    Attributes:
      name: As it is written in a study.
      spellings: As sources write it, without blanks and brackets, in lower case.
      factor: See above.
      offset: See above.
      digits: Decimals that instruments print in this unit.
    """

    name: str
    spellings: tuple[str, ...]
    digits: int
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity.

    Attributes:
      name: As it is written in a mapping and a study.
      scales: Its units; the first is the one that values are kept in.
      lowest: Least value that can be, in that unit.
      highest: Largest value that can be.
      codes: LOINC codes that mean it, and what else sources call it.
    """

    name: str
    scales: tuple[Scale, ...]
    lowest: float
    highest: float
    codes: tuple[str, ...]

    @property
    def unit(self) -> str:
        """The unit that values are kept in."""
        return self.scales[0].name

    def scale(self, unit: str) -> Scale | None:
        """Return the unit that is spelled so, None where there is none."""
        plain = plain_unit(unit)
        return next((one for one in self.scales if plain in one.spellings), None)

    def kept(self, value: float, unit: str) -> float:
        """Return a value in the unit that values are kept in.

        Raises:
          ValueError: the quantity has no such unit.
        """
        scale = self._known(unit)
        if scale is self.scales[0]:
            return value
        return round(scale.factor * value + scale.offset, self.scales[0].digits)

    def stated(self, value: float, unit: str) -> float:
        """Return a value that is kept in another unit of its quantity.

        Raises:
          ValueError: the quantity has no such unit.
        """
        scale = self._known(unit)
        if scale is self.scales[0]:
            return value
        return round((value - scale.offset) / scale.factor, scale.digits)

    def _known(self, unit: str) -> Scale:
        scale = self.scale(unit)
        if scale is None:
            names = ", ".join(one.name for one in self.scales)
            raise ValueError(f"{self.name} is not measured in {unit!r}; its units are {names}")
        return scale


_PERCENT = Scale("%", ("%", "％", "percent", "%hb", "%ngsp"), 1)
_IFCC = Scale("mmol/mol", ("mmol/mol", "mmol/molhb"), 0, 0.09148, 2.152)
_MASS = Scale("mg/dL", ("mg/dl", "mg/100ml"), 0)
_MOLES = Scale("mmol/L", ("mmol/l", "mmol/liter", "毫摩尔/升"), 1, 18.0156)
_MERCURY = Scale("mmHg", ("mmhg", "毫米汞柱"), 0)
_PASCAL = Scale("kPa", ("kpa", "千帕"), 1, 7.50062)
CGM = "glucose_cgm"

QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        found.name: found
        for found in (
            Quantity(
                "hba1c", (_PERCENT, _IFCC), 2.0, 25.0,
                ("4548-4", "17856-6", "59261-8", "HbA1c", "糖化血红蛋白"),
            ),
            Quantity(
                "glucose", (_MASS, _MOLES), 5.0, 2000.0,
                ("2345-7", "2339-0", "14749-6", "15074-8", "41653-7", "14743-9", "血糖"),
            ),
            Quantity(CGM, (_MASS, _MOLES), 20.0, 700.0, ("99504-3", "105272-9", "动态血糖")),
            Quantity("systolic", (_MERCURY, _PASCAL), 30.0, 350.0, ("8480-6", "收缩压")),
            Quantity("diastolic", (_MERCURY, _PASCAL), 10.0, 250.0, ("8462-4", "舒张压")),
        )
    }
)  # fmt: skip
"""Name to quantity. Glucose of a laboratory or a finger and glucose of a sensor are two quantities."""
BY_CODE: Mapping[str, str] = MappingProxyType(
    {code: found.name for found in QUANTITIES.values() for code in (found.name, *found.codes)}
)
"""Name, LOINC code or other word to the name of the quantity."""


def plain_unit(text: str) -> str:
    """Return a unit as it is compared: in lower case, without blanks and brackets (``mm[Hg]`` is mmhg)."""
    return text.lower().translate(str.maketrans("", "", UNIT_BLANKS))
