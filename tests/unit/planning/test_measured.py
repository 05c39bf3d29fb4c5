"""What hospitals work out of measurements and drugs is said to them, in both languages."""

from __future__ import annotations

from pathlib import Path

from fedvalue.planning.measured import measured_in_words
from tests.records_desk import Desk

STUDY = """
[cohort]
index = { first = "drug", codes = ["A10*"] }
[variables]
range = { sensor = { what = "in range", within = "0d..13d" }, clip = [0, 100], unit = "%" }
[variables.pressure]
measurement = { code = "systolic", within = "0d..30d", unit = "kPa", take = "mean", days = 5 }
clip = [5, 40]
unit = "kPa"
[endpoints.control]
kind = "binary"
source = "targets"
targets = [
  { measurement = { code = "hba1c", within = "150d..210d", unit = "%" }, below = 7 },
  { sensor = { what = "events below 54", within = "76d..89d" }, below = 1 },
]
[endpoints.off]
kind = "time_to_event"
events = ["discontinuation", "death"]
therapy = { codes = ["A10*"], gap = "120 days", maintenance = ["A10A*"] }
until = "24 months"
grid = "1 month"
[[analyses]]
kind = "proportion"
endpoint = "control"
budget = 1.0
"""


def test_every_source_of_a_value_is_one_sentence_in_each_language() -> None:
    study = Desk(Path(), Path()).study(STUDY)
    assert measured_in_words(study) == [
        "range: the glucose sensor's share of readings in range over 0d..13d (worn at least 70%), in %.",
        "pressure: the mean systolic of 0d..30d (at least 5 days with a value), in kPa.",
        (
            "control: the last hba1c of 150d..210d below 7 % and the glucose sensor's events below 54 mg/dL "
            "over 76d..89d (worn at least 70%) below 1."
        ),
        (
            "off: discontinuation told by starts of A10*; drugs that start within 28 days join a line, and "
            "more than 120 days without one end it; A10A* begin no line."
        ),
    ]
    assert measured_in_words(study, "zh") == [
        "range：0d..13d 内葡萄糖 70–180 mg/dL（3.9–10.0 mmol/L）的读数占比（佩戴率至少 70%），%。",
        "pressure：0d..30d 内 systolic 的均值（至少 5 天有值），kPa。",
        (
            "control：150d..210d 内 hba1c 的最后一次低于 7 %，"
            "且 76d..89d 内低于 54 mg/dL 持续 15 分钟以上的事件次数（2 级低血糖）（佩戴率至少 70%）低于 1。"
        ),
        (
            "off：停药由 A10* 的用药起始日推算；起始后 28 天内加入的药物属于同一线，"
            "停药超过 120 天视为该线结束；维持用药 A10A* 不另起一线。"
        ),
    ]
