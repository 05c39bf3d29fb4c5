"""What a study reads from measurements: one value of a window, or what a glucose sensor shows over one.

Sensor metrics are those of the international consensus: Battelino et al., Diabetes Care 42 (2019) 1593-1603,
table 1 and figure 1; episodes after Danne et al., Diabetes Care 40 (2017) 1631-1640.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

from pydantic import Field, model_validator

from fedvalue.study.model import Line, Part, Window, window_days
from fedvalue.study.quantities import BY_CODE, QUANTITIES, Quantity

Take = Literal["last", "first", "mean", "lowest", "highest"]
TAKES: Mapping[Take, tuple[str, str]] = MappingProxyType(
    {
        "last": ("last", "最后一次"), "first": ("first", "第一次"), "mean": ("mean", "均值"),
        "lowest": ("lowest", "最低"), "highest": ("highest", "最高"),
    }
)  # fmt: skip
SensorMetric = Literal[
    "in range", "below 70", "below 54", "above 180", "above 250", "events below 70", "events below 54",
    "mean", "variation", "wear",
]  # fmt: skip
SENSOR_UNITS: Mapping[SensorMetric, str] = MappingProxyType(
    {
        "in range": "%", "below 70": "%", "below 54": "%", "above 180": "%", "above 250": "%",
        "events below 70": "events", "events below 54": "events", "mean": "mg/dL", "variation": "%",
        "wear": "%",
    }
)  # fmt: skip
"""What a sensor's readings are summed up as, with its unit: shares are of readings, 0 to 100."""
SENSOR_ZH: Mapping[SensorMetric, str] = MappingProxyType(
    {
        "in range": "葡萄糖 70–180 mg/dL（3.9–10.0 mmol/L）的读数占比",
        "below 70": "葡萄糖低于 70 mg/dL（3.9 mmol/L）的读数占比",
        "below 54": "葡萄糖低于 54 mg/dL（3.0 mmol/L）的读数占比",
        "above 180": "葡萄糖高于 180 mg/dL（10.0 mmol/L）的读数占比",
        "above 250": "葡萄糖高于 250 mg/dL（13.9 mmol/L）的读数占比",
        "events below 70": "低于 70 mg/dL 持续 15 分钟以上的事件次数（1 级低血糖）",
        "events below 54": "低于 54 mg/dL 持续 15 分钟以上的事件次数（2 级低血糖）",
        "mean": "传感器葡萄糖均值", "variation": "传感器葡萄糖变异系数", "wear": "传感器佩戴率",
    }
)  # fmt: skip
MAX_SENSOR_DAYS = 366


class MeasuredValue(Part):
    """One value of what was measured in a window.

    Attributes:
      code: Name of a quantity (``hba1c``, ``glucose``, ``systolic``, ``diastolic``), or another code as the
        hospitals have it.
      within: Days from the index day, both ends included.
      take: ``last`` and ``first``: the mean of the last or first day with a value; ``mean``, ``lowest`` and
        ``highest`` are of all values of the window.
      unit: What the value is stated in. Of a code that is no quantity here, values in another unit count as
        none.
      days: On how many different days there has to be a value at least; with fewer it is unknown.
    """

    code: str = Field(min_length=1, max_length=40, pattern=r"^[^*@\s]+$")
    within: Window
    take: Take = "last"
    unit: Line = Field(min_length=1, max_length=20)
    days: int = Field(default=1, ge=1, le=1000)

    @model_validator(mode="after")
    def _known_by_name(self) -> Self:
        name = BY_CODE.get(self.code)
        if name is not None and name != self.code:
            raise ValueError(f"code {self.code!r} is known as {name!r}: write that")
        if (found := self.quantity) is not None:
            found.stated(0.0, self.unit)
        return self

    @property
    def quantity(self) -> Quantity | None:
        """The quantity, None for a code that is none here."""
        return QUANTITIES.get(self.code)

    def in_words(self, language: str = "en") -> str:
        """Say what it is, in ``en`` or ``zh``."""
        if language == "zh":
            least = f"（至少 {self.days} 天有值）" if self.days > 1 else ""
            return f"{self.within} 内 {self.code} 的{TAKES[self.take][1]}{least}"
        least = f" (at least {self.days} days with a value)" if self.days > 1 else ""
        return f"the {self.take} {self.code} of {self.within}{least}"


class SensorValue(Part):
    """What the readings of a continuous glucose sensor are summed up as.

    Attributes:
      what: See `SENSOR_UNITS`. ``in range`` is 70 to 180 mg/dL, both included, which is 3.9 to 10.0 mmol/L.
      An
        event begins with 15 minutes in a row below the limit and ends with 15 minutes in a row not below it.
      within: Days from the index day, both ends included; 14 of them are usual.
      wear: Least share of the window's quarters of an hour that hold a reading; with less it is unknown.
    """

    what: SensorMetric
    within: Window
    wear: float = Field(default=0.7, ge=0, le=1)

    @model_validator(mode="after")
    def _short_enough(self) -> Self:
        if self.slots > 96 * MAX_SENSOR_DAYS:
            raise ValueError(f"a sensor is looked at over {MAX_SENSOR_DAYS} days at most")
        return self

    @property
    def days(self) -> tuple[int, int]:
        """First and last day from the index day."""
        return window_days(self.within)

    @property
    def slots(self) -> int:
        """Quarters of an hour of the window."""
        first, last = self.days
        return 96 * (last - first + 1)

    @property
    def unit(self) -> str:
        """What it is stated in."""
        return SENSOR_UNITS[self.what]

    def in_words(self, language: str = "en") -> str:
        """Say what it is, in ``en`` or ``zh``."""
        if language == "zh":
            return f"{self.within} 内{SENSOR_ZH[self.what]}（佩戴率至少 {100 * self.wear:g}%）"
        shares = self.unit == "%" and self.what not in ("variation", "wear")
        of = "share of readings " if shares else ""
        limit = " mg/dL" if self.what[-1].isdigit() else ""
        shown = f"{of}{self.what}{limit}"
        return f"the glucose sensor's {shown} over {self.within} (worn at least {100 * self.wear:g}%)"


class Target(Part):
    """A value with a limit: one condition of an outcome.

    Attributes:
      measurement: A value that was measured. Exactly one of the two is given.
      sensor: What a glucose sensor shows.
      below: The value lies below this.
      at_least: The value is not below this.
    """

    measurement: MeasuredValue | None = None
    sensor: SensorValue | None = None
    below: float | None = None
    at_least: float | None = None

    @model_validator(mode="after")
    def _one_value_one_limit(self) -> Self:
        if (self.measurement is None) == (self.sensor is None):
            raise ValueError("a target has exactly one of measurement, sensor")
        if self.below is None and self.at_least is None:
            raise ValueError("a target has a limit: below, at_least, or both")
        if self.below is not None and self.at_least is not None and not self.at_least < self.below:
            raise ValueError("at_least lies below below")
        return self

    @property
    def value(self) -> MeasuredValue | SensorValue:
        """What is compared.

        Raises:
          ValueError: the target has neither, which no validated one does.
        """
        found = self.measurement or self.sensor
        if found is None:
            raise ValueError("a target has exactly one of measurement, sensor")
        return found

    def in_words(self, language: str = "en") -> str:
        """Say what has to hold, in ``en`` or ``zh``: ``the last hba1c of 150d..210d below 7 %``."""
        low, high = ("不低于 ", "低于 ") if language == "zh" else ("at least ", "below ")
        limits = [f"{low}{self.at_least:g}"] if self.at_least is not None else []
        limits += [f"{high}{self.below:g}"] if self.below is not None else []
        joined = ("且" if language == "zh" else " and ").join(limits)
        unit = "" if self.value.unit == "events" else f" {self.value.unit}"
        return f"{self.value.in_words(language)}{'' if language == 'zh' else ' '}{joined}{unit}"
