"""What a continuous glucose sensor says: shares, wear and episodes, by hand and against a slow oracle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby, pairwise

import numpy as np
import pytest

from fedvalue.study.measurements import SENSOR_UNITS, SensorMetric
from tests.records_desk import Desk

MAPPING = """
[patient]
file = "people"
patient_id = "id"
origin = { day = "start" }
[[measurement]]
file = "glucose"
patient_id = "id"
day = { day = "at" }
code = { constant = "glucose_cgm" }
value = "value"
unit = "unit"
[[event]]
file = "people"
patient_id = "id"
day = { day = "died" }
kind = { constant = "death" }
"""
ENDPOINT = """
[endpoints]
good = { kind = "binary", source = "targets", missing = "exclude", targets = [
  { sensor = { what = "in range", within = "0d..0d" }, at_least = 70 },
  { sensor = { what = "events below 54", within = "0d..0d" }, below = 1 },
] }
[[analyses]]
kind = "proportion"
endpoint = "good"
budget = 1.0
"""
Readings = Sequence[tuple[float, float]]
"""Minute from day zero, and mg/dL."""


def load(desk: Desk, patients: dict[str, Readings], unit: str = "mg/dL") -> None:
    rows = [
        f"{who},{minute / 1440!r},{value!r},{unit}"
        for who, found in patients.items()
        for minute, value in found
    ]
    desk.write(
        people="\n".join(["id,start,died", *(f"{who},0," for who in patients)]),
        glucose="\n".join(["id,at,value,unit", *rows]),
    )
    desk.load(MAPPING)


def read(desk: Desk, *metrics: SensorMetric, within: str = "0d..0d", wear: float = 0.7) -> list[float]:
    """Return one metric of each patient, or several of one patient."""
    lines = [
        f'x{place} = {{ sensor = {{ what = "{what}", within = "{within}", wear = {wear} }}, '
        f'clip = [0, 1000], unit = "{SENSOR_UNITS[what]}" }}'
        for place, what in enumerate(metrics)
    ]
    found = desk.build("\n".join(["[variables]", *lines, ENDPOINT])).cohort.numbers
    return [float(value) for place in range(len(metrics)) for value in found[f"x{place}"]]


def every(minutes: float, *runs: tuple[int, float], start: float = 0.0) -> list[tuple[float, float]]:
    """Return readings so many minutes apart: ``(how many, value)`` after ``(how many, value)``."""
    values = [value for count, value in runs for _ in range(count)]
    return [(start + minutes * place, value) for place, value in enumerate(values)]


def test_shares_of_a_day_are_those_of_the_consensus_in_either_unit(desk: Desk) -> None:
    # 96 readings: 6 below 54, 6 of 54-69, 60 of 70-180, 18 of 181-250, 6 above 250
    runs = ((6, 53.0), (6, 54.0), (30, 70.0), (30, 180.0), (18, 181.0), (6, 251.0))
    moles = tuple((count, round(value / 18.0156, 1)) for count, value in runs)
    assert [value for _, value in moles] == [2.9, 3.0, 3.9, 10.0, 10.0, 13.9]
    # with one decimal 181 is 10.0, in range, and 251 is 13.9, which is not above: 10.1 and 14.0 are
    moles = (*moles[:4], (18, 10.1), (6, 14.0))
    for unit, form in (("mg/dL", runs), ("mmol/L", moles)):
        load(desk, {"a": every(15, *form)}, unit)
        found = read(desk, "in range", "below 70", "below 54", "above 180", "above 250")
        assert found == pytest.approx([62.5, 12.5, 6.25, 25.0, 6.25])


def test_a_sensor_that_was_not_worn_for_70_percent_says_nothing(desk: Desk) -> None:
    # 70 % of 96 quarters is 67.2: 68 are enough, 67 are not; one reading a minute does not wear longer
    load(
        desk,
        {
            "a": every(15, (68, 100)),
            "b": every(15, (67, 100)),
            "c": every(1, (600, 100)),
            "d": every(5, (204, 100)),
        },
    )  # c: 40 quarters; d: 204 x 5 minutes are 1,020, 68 quarters
    assert read(desk, "in range") == pytest.approx([100.0, math.nan, math.nan, 100.0], nan_ok=True)
    assert read(desk, "wear", wear=0) == pytest.approx([6800 / 96, 6700 / 96, 4000 / 96, 6800 / 96])
    assert read(desk, "in range", within="0d..13d") == pytest.approx([math.nan] * 4, nan_ok=True)


def test_an_event_is_15_minutes_in_a_row_below_the_limit(desk: Desk) -> None:
    rest = (240, 100.0)
    load(
        desk,
        {
            "a": every(5, (3, 60.0), rest),  # three readings speak for 15 minutes
            "b": every(5, (2, 60.0), rest),
            "c": every(5, (3, 60.0), (2, 80.0), (3, 60.0), rest),  # 10 minutes above do not end it
            "d": every(5, (3, 60.0), (3, 80.0), (3, 60.0), rest),  # 15 minutes do
            "e": every(5, (3, 60.0), (2, 80.0), (1, 50.0), rest),  # 5 more minutes belong to the same
            "f": every(
                15, (1, 69.0), (1, 70.0), (1, 53.0), (90, 70.0)
            ),  # one reading of a quarter of an hour
            "g": every(5, (1, 60.0), rest),
            "h": every(1, (15, 60.0), (1200, 100.0)),
            "i": every(5, (240, 100.0)),
        },
    )
    assert read(desk, "events below 70") == [1, 0, 1, 2, 1, 2, 0, 1, 0]
    assert read(desk, "events below 54") == [0, 0, 0, 0, 0, 1, 0, 0, 0]


def test_an_event_ends_where_readings_stop_for_longer_than_45_minutes(desk: Desk) -> None:
    low, rest = [(3, 60.0)], every(5, (240, 100.0), start=120)
    # the second low begins 45 minutes after the last reading of the first, and 46
    load(
        desk,
        {
            "a": every(5, *low) + every(5, *low, start=55) + rest,
            "b": every(5, *low) + every(5, *low, start=56) + rest,
        },
    )
    assert read(desk, "events below 70") == [1, 2]


def test_time_in_range_without_hypoglycaemia_is_one_outcome(desk: Desk) -> None:
    load(
        desk,
        {
            "a": every(5, (240, 100.0)),
            "b": every(5, (3, 50.0), (240, 100.0)),  # an event
            "c": every(5, (80, 200.0), (160, 100.0)),  # two thirds in range
            "d": every(5, (100, 100.0)),  # hardly worn
            "e": every(5, (50, 40.0)),
        },
    )
    found = desk.build(ENDPOINT).cohort.binary["good"].status.tolist()
    assert found == [1, 0, 0, -1, -1]


def test_mean_and_variation_are_those_of_the_readings(desk: Desk) -> None:
    load(desk, {"a": every(15, (48, 100.0), (48, 140.0))})
    # sum of squares 96 x 400, by 95; its root by 120
    assert read(desk, "mean", "variation") == pytest.approx([120.0, 100 * math.sqrt(96 * 400 / 95) / 120])


def slow_events(found: Readings, limit: float) -> int:
    """The obvious way: minutes one by one."""
    found = sorted(found)
    gaps = [b - a for (a, _), (b, _) in pairwise(found)]
    usual = min(15.0, float(np.median(gaps))) if gaps else 15.0
    runs: list[tuple[bool, float, bool]] = []  # low, minutes, after a hole
    for place, (minute, value) in enumerate(found):
        hole = place == 0 or minute - found[place - 1][0] > 45
        ahead = found[place + 1][0] - minute if place + 1 < len(found) else usual
        runs.append((value < limit, min(ahead, usual), hole))
    events, inside = 0, False
    stretches: list[list[tuple[bool, float, bool]]] = []
    for run in runs:
        stretches += [[]] if run[2] else []
        stretches[-1].append(run)
    for stretch in stretches:
        inside = False
        for low, group in groupby(stretch, key=lambda run: run[0]):
            minutes = sum(run[1] for run in group)
            if minutes >= 14 and low and not inside:
                events, inside = events + 1, True
            elif minutes >= 14 and not low:
                inside = False
    return events


def test_random_days_agree_with_the_slow_way(desk: Desk) -> None:
    rng = np.random.default_rng(11)
    patients: dict[str, Readings] = {}
    for number in range(15):
        step = rng.choice([1, 5, 15])
        values = 85 + np.cumsum(rng.normal(0, 9, 2000 // step))
        kept = rng.random(2000 // step) > 0.1
        minutes = np.arange(2000 // step) * step + rng.choice([0, 400])
        patients[f"p{number:02}"] = [
            (float(m), float(np.clip(round(v), 40, 400)))
            for m, v, k in zip(minutes, values, kept, strict=True)
            if k
        ]
    load(desk, patients)
    expected = [float(slow_events(found, 70)) for found in patients.values()]
    assert sum(expected) > 15
    assert read(desk, "events below 70", within="0d..2d", wear=0) == expected


def test_two_readings_of_one_minute_and_one_reading_alone_are_no_error(desk: Desk) -> None:
    load(desk, {"a": [(0, 50.0), (0, 60.0)], "b": [(0, 50.0)], "c": [(5000, 50.0)]})
    assert read(desk, "events below 70", wear=0) == pytest.approx([1, 1, math.nan], nan_ok=True)
    assert read(desk, "variation", wear=0) == pytest.approx(
        [100 * math.sqrt(50) / 55, math.nan, math.nan], nan_ok=True
    )
