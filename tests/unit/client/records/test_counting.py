"""Days with a record, worst grades, calendar days and returns to hospital, worked by hand."""

from __future__ import annotations

import math

import pytest

from fedvalue.client.records.snapshot import Frozen
from fedvalue.errors import SourceMissing
from tests.records_desk import Desk, reasons, table_of

PATIENTS = """
[patient]
file = "patients"
patient_id = "id"
origin = { date = "start" }
"""
STAYS = """
[[admission]]
file = "stays"
patient_id = "id"
day = { date = "came" }
discharge = { date = "went" }
code = "diagnosis"
"""
HARM = """
[[adverse_event]]
file = "harm"
patient_id = "id"
day = { date = "day" }
code = "term"
grade = "grade"
"""
DONE = """
[[procedure]]
file = "done"
patient_id = "id"
day = { date = "day" }
code = "code"
"""
TESTS = """
[[test]]
file = "tests"
patient_id = "id"
genes = { column = "gene" }
day = { date = "day" }
"""
RETURN = """
[endpoints]
back = { kind = "binary", source = "readmission", within_days = 30, planned = ["Z51*"], missing = "exclude" }
[[analyses]]
kind = "proportion"
endpoint = "back"
budget = 1.0
"""


@pytest.fixture
def people(desk: Desk) -> Desk:
    desk.write(patients="id,start\na,2025-01-10\nb,2025-02-01\nc,2025-03-01\nd,2026-05-05")
    return desk


def with_variable(desk: Desk, text: str) -> Frozen:
    return desk.build(f"[variables]\nx = {text}\n{RETURN}")


def test_different_days_with_a_record_are_counted_inside_the_window(people: Desk) -> None:
    # a: two on one day and one on the 90th day; b: one of another code; c: one on day 91; d: nothing
    people.write(
        done="id,day,code\na,2025-01-10,T1\na,2025-01-10,T2\na,2025-04-10,T1\nb,2025-02-02,U1\nc,2025-05-31,T1",
        stays="id,came,went,diagnosis\na,2025-01-11,2025-01-12,C34",
    )
    people.load(PATIENTS + DONE + STAYS)
    found = with_variable(
        people,
        '{ count = { of = "procedure", codes = ["T*"], within = "0d..90d" }, clip = [0, 9], unit = "tests" }',
    )
    assert found.cohort.numbers["x"].tolist() == [2.0, 0.0, 0.0, 0.0]


def test_the_first_day_of_a_record_is_known_from_the_index_day_on_and_nan_without_one(people: Desk) -> None:
    # a: days 5 and 2; b: the day before only; c: another code; d: the very day
    people.write(
        done="id,day,code\na,2025-01-15,T1\na,2025-01-12,T2\nb,2025-01-31,T1\nc,2025-03-05,U1\nd,2026-05-05,T1",
        stays="id,came,went,diagnosis\na,2025-01-11,2025-01-12,C34",
    )
    people.load(PATIENTS + DONE + STAYS)
    found = with_variable(
        people,
        '{ first_day = { of = "procedure", codes = ["T*"], within = "0d..9d" }, clip = [0, 9], unit="days" }',
    )
    days = found.cohort.numbers["x"].tolist()
    assert [days[0], days[3]] == [2.0, 0.0]
    assert math.isnan(days[1])
    assert math.isnan(days[2])


def test_tests_without_a_known_day_make_the_count_unknown(people: Desk) -> None:
    people.write(
        tests="id,gene,day\na,EGFR,2025-01-11\na,EGFR,2025-01-20\nb,EGFR,\nc,KRAS,2025-03-02",
        stays="id,came,went,diagnosis\na,2025-01-11,2025-01-12,C34",
    )
    variable = '{ count = { of = "test", gene = "EGFR", within = "0d..90d" }, clip = [0, 9], unit = "tests" }'
    people.load(PATIENTS + TESTS + STAYS)
    # b's report has no day: it was never made, and is left out on loading
    assert with_variable(people, variable).cohort.numbers["x"].tolist() == [2.0, 0.0, 0.0, 0.0]
    people.load(PATIENTS + TESTS.replace('day = { date = "day" }\n', "") + STAYS)
    counts = with_variable(people, variable).cohort.numbers["x"].tolist()
    assert [math.isnan(count) for count in counts] == [True, True, False, False]


def test_the_worst_grade_counts_and_an_unknown_one_makes_it_unknown(people: Desk) -> None:
    people.write(
        harm="id,day,term,grade\na,2025-01-11,rash,2\na,2025-01-12,fever,4\na,2025-09-01,death,5\n"
        "b,2025-02-02,rash,severe\nc,2025-03-02,rash,9",
        stays="id,came,went,diagnosis\na,2025-01-11,2025-01-12,C34",
    )
    report = people.load(PATIENTS + HARM + STAYS)
    assert {item.reason for item in table_of(report, "adverse_event[0]").blanked} == {
        "not a finite number", "no grade",
    }  # fmt: skip
    grades = '["none", "1", "2", "3", "4", "5"]'
    found = with_variable(people, f'{{ grade = {{ within = "0d..90d" }}, levels = {grades} }}')
    assert found.cohort.categories["x"].tolist() == [4, -1, -1, 0]


def test_the_calendar_day_is_known_between_the_two_days_and_nowhere_else(people: Desk) -> None:
    people.write(stays="id,came,went,diagnosis\na,2025-01-11,2025-01-12,C34")
    people.load(PATIENTS + STAYS)
    found = with_variable(people, '{ calendar = "index", between = [2025-01-10, 2025-02-28] }')
    days = found.cohort.numbers["x"].tolist()
    assert days[:2] == [20098.0, 20120.0]  # 2025-01-10 is day 20,098 since 1970-01-01
    assert all(math.isnan(day) for day in days[2:])


@pytest.mark.parametrize(
    ("stays", "expected"),
    [
        # unplanned, 30 days after discharge, and one on the 31st
        ("a,2025-01-10,2025-01-12,C34\na,2025-02-11,2025-02-12,J18", 1),
        ("a,2025-01-10,2025-01-12,C34\na,2025-02-12,2025-02-13,J18", 0),
        # a chemotherapy cycle does not count, and does not hide what comes after it
        ("a,2025-01-10,2025-01-12,C34\na,2025-01-20,2025-01-21,Z51.1", 0),
        ("a,2025-01-10,2025-01-12,C34\na,2025-01-20,2025-01-21,Z51.1\na,2025-02-01,2025-02-03,J18", 1),
        # a transfer on the day of discharge is the same stay, and moves its discharge
        ("a,2025-01-10,2025-01-12,C34\na,2025-01-12,2025-02-01,C34", 0),
        ("a,2025-01-10,2025-01-12,C34\na,2025-01-12,2025-02-01,C34\na,2025-03-01,2025-03-02,J18", 1),
        # a stay inside another one
        ("a,2025-01-10,2025-02-10,C34\na,2025-01-20,2025-01-21,J18", 0),
        # before the index day nothing counts
        ("a,2024-12-10,2024-12-12,C34", -1),
    ],
)
def test_a_return_to_hospital_is_unplanned_and_soon(people: Desk, stays: str, expected: int) -> None:
    people.write(stays=f"id,came,went,diagnosis\n{stays}\nb,2025-02-01,2025-02-03,C34")
    people.load(PATIENTS + STAYS)
    assert people.build(RETURN).cohort.binary["back"].status.tolist() == [expected, 0, -1, -1]


def test_a_discharge_before_the_admission_is_left_out_and_counted(people: Desk) -> None:
    people.write(stays="id,came,went,diagnosis\na,2025-01-12,2025-01-10,C34\nb,2025-02-01,2025-02-01,C34")
    report = people.load(PATIENTS + STAYS)
    assert reasons(report, "admission[0]") == {"discharge before admission": (1, (2,))}


def test_a_study_that_counts_what_the_mapping_does_not_fill_is_refused(people: Desk) -> None:
    people.load(PATIENTS)
    with pytest.raises(SourceMissing, match="'admission'"):
        people.build(RETURN)


def test_the_first_named_variant_counts_and_a_gene_that_was_not_looked_at_is_said(people: Desk) -> None:
    # a has both; b the second one; c was looked at in both genes; d in one gene only
    people.write(
        calls="id,gene,change\na,EGFR,p.L858R\na,KRAS,p.G12C\nb,KRAS,p.G12C",
        tests="id,gene,day\na,EGFR,2025-01-11\na,KRAS,2025-01-11\nb,EGFR,2025-02-02\nb,KRAS,2025-02-02\n"
        "c,EGFR,2025-03-02\nc,KRAS,2025-03-02\nd,EGFR,2026-05-06",
        stays="id,came,went,diagnosis\na,2025-01-11,2025-01-12,C34",
    )
    variants = '[[variant]]\nfile = "calls"\npatient_id = "id"\ngene = "gene"\nprotein_change = "change"\n'
    people.load(PATIENTS + TESTS + STAYS + variants)
    found = with_variable(
        people,
        '{ variants = [{ level = "EGFR L858R", gene = "EGFR", classes = ["L858R"] }, '
        '{ level = "KRAS G12C", gene = "KRAS", classes = ["G12C"] }], '
        'levels = ["EGFR L858R", "KRAS G12C", "other", "not tested"] }',
    )
    assert found.cohort.categories["x"].tolist() == [0, 1, 2, 3]
