"""Day zero: washout, insurance before, lines of therapy, ties, month ends and leap days."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedvalue.client.records.day_zero import lines_of_therapy
from fedvalue.errors import SourceMissing
from fedvalue.study.cohort import Cohort
from fedvalue.study.index import Index, Lines
from tests.records_desk import Desk

MAPPING = """
[patient]
file = "people"
patient_id = "id"
origin = { date = "origin" }
[[event]]
file = "people"
patient_id = "id"
day = { date = "died" }
kind = { constant = "death" }
[[follow_up]]
file = "people"
patient_id = "id"
day = { date = "seen" }
[[drug]]
file = "drugs"
patient_id = "id"
day = { date = "day" }
code = "code"
line = "line"
[[enrolment]]
file = "insured"
patient_id = "id"
day = { date = "begins" }
until = { date = "ends" }
"""


@pytest.fixture
def hospital(desk: Desk) -> Desk:
    desk.write(
        people="""
            id,origin,died,seen
            a,2023-01-01,2025-06-01,2025-01-01
            b,2023-01-01,,2025-01-01
            c,2023-01-01,,2025-01-01
            d,2023-01-01,,2025-01-01
        """,
        drugs="""
            id,day,code,line
            a,2023-02-28,X1,1
            a,2024-02-28,X1,2
            b,2023-02-28,X1,1
            b,2024-02-29,X2,1
            b,2024-02-29,X1,1
            c,2024-03-31,X1,1
            c,2024-04-30,Y1,2
            d,2024-01-01,Y1,1
        """,
        insured="""
            id,begins,ends
            a,2022-01-01,2023-12-31
            a,2024-01-01,
            b,2023-06-01,2023-12-31
            b,2024-01-02,2024-12-31
            c,2023-03-31,2024-03-31
            d,2024-01-01,2024-12-31
        """,
    )
    desk.load(MAPPING)
    return desk


def zero(desk: Desk, cohort: str) -> dict[str, float]:
    """Patient to day zero; 2024-01-01 is day 19,723."""
    desk.build(cohort)
    from fedvalue.client.records.store import MODEST
    from fedvalue.client.records.stores import choosing

    with choosing(desk.database, desk.study(cohort).cohort, (), limits=MODEST) as chosen:
        found = chosen.connection.execute("SELECT patient_id, index_day FROM chosen").fetchall()
    return {str(patient): float(day) for patient, day in found}


def test_without_washout_the_first_record_ever_counts_and_ties_count_once(hospital: Desk) -> None:
    found = zero(hospital, '[cohort]\nindex = { first = "drug", codes = ["X*"] }\n')
    # 2023-02-28 is 19,416; 2024-03-31 is 19,813
    assert found == {"a": 19416.0, "b": 19416.0, "c": 19813.0}


def test_washout_takes_the_first_record_after_so_long_without_one(hospital: Desk) -> None:
    def washed(washout: str) -> dict[str, float]:
        index = f'index = {{ first = "drug", codes = ["X*"], washout = "{washout}" }}'
        return zero(hospital, f'[cohort]\nobservable = "1 day"\n{index}\n')

    # a: 365 days lie between its records, b: 366 across the leap day. A record within 365 days before ends
    # the washout, and both first records stand where nothing is known before: insurance tells them apart
    # (b was not insured in February 2023).
    assert washed("365 days") == {"a": 19416.0, "b": 19782.0, "c": 19813.0}
    assert washed("366 days") == {"a": 19416.0, "c": 19813.0}


def test_insurance_has_to_last_without_a_break_up_to_day_zero(hospital: Desk) -> None:
    def insured(observable: str) -> set[str]:
        return set(
            zero(
                hospital,
                f'[cohort]\nindex = {{ first = "drug", codes = ["X*"] }}\nobservable = "{observable}"\n',
            )
        )

    # a is insured from 2022-01-01 over the new year without a break: 423 days before 2023-02-28
    # b was not insured on its first day, and no other day is its first
    assert insured("1 day") == {"a", "c"}
    assert insured("366 days") == {"a", "c"}
    assert insured("367 days") == {"a"}, "c from 2023-03-31 to 2024-03-31: 366 days, a leap year"
    assert insured("423 days") == {"a"}
    assert insured("424 days") == set()


def test_a_gap_of_one_day_in_insurance_is_a_break(hospital: Desk) -> None:
    # b: insured until 2023-12-31 and from 2024-01-02; the record on 2024-02-29 has 58 days before it
    index = 'index = { first = "drug", codes = ["X2"] }'
    assert set(zero(hospital, f'[cohort]\n{index}\nobservable = "58 days"\n')) == {"b"}
    assert set(zero(hospital, f'[cohort]\n{index}\nobservable = "59 days"\n')) == set()


def test_recorded_lines_are_taken_where_the_study_names_no_rule(hospital: Desk) -> None:
    assert zero(hospital, '[cohort]\nindex = { first = "line", number = 2, codes = ["Y*"] }\n') == {
        "c": 19843.0
    }
    assert set(zero(hospital, '[cohort]\nindex = { first = "line", number = 1 }\n')) == {"a", "b", "c", "d"}


def test_lines_by_rule_read_every_start(hospital: Desk) -> None:
    rule = '[cohort.lines]\ncodes = ["X*", "Y*"]\n'
    second = '[cohort]\nindex = { first = "line", number = 2 }\n'
    # a and b start again after more than 90 days; c adds Y1 30 days after X1, later than 28
    assert zero(hospital, second + rule) == {"a": 19781.0, "b": 19782.0, "c": 19843.0}
    wider = rule + 'combine = "30 days"\ngap = "2 years"\n'
    assert zero(hospital, second + wider) == {"b": 19782.0}, "X2 is new to b, a year after its line began"
    carried = wider + 'maintenance = ["X2"]\n'
    assert zero(hospital, second + carried) == {}


LINES = Lines(codes=("A", "B", "C"), combine="28 days", gap="90 days", maintenance=("C",))


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ([], []),
        ([(0, "A"), (28, "B")], [(0, "AB")]),
        ([(0, "A"), (29, "B")], [(0, "A"), (29, "B")]),
        ([(0, "A"), (29, "A"), (29, "B")], [(0, "A"), (29, "AB")]),
        ([(0, "A"), (0, "B"), (60, "A")], [(0, "AB")]),
        ([(0, "A"), (60, "C"), (120, "C")], [(0, "AC")]),
        ([(0, "A"), (90, "A"), (181, "A")], [(0, "A"), (181, "A")]),
        ([(0, "C"), (200, "C")], [(0, "C"), (200, "C")]),
    ],
)
def test_lines_of_therapy_worked_by_hand(
    starts: list[tuple[float, str]], expected: list[tuple[float, str]]
) -> None:
    found = [(day, "".join(sorted(codes))) for day, codes in lines_of_therapy(starts, LINES)]
    assert found == expected


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from("ABC")), max_size=12))
def test_lines_begin_on_a_start_in_order_and_the_first_with_the_first(starts: list[tuple[int, str]]) -> None:
    rows = sorted((float(day), code) for day, code in starts)
    found = lines_of_therapy(rows, LINES)
    days = [day for day, _ in found]
    assert days == sorted(set(days))
    assert days[:1] == [row[0] for row in rows[:1]]
    assert set(days) <= {row[0] for row in rows}
    assert {code for _, codes in found for code in codes} == {code for _, code in rows}


def test_insurance_that_the_site_does_not_have_is_named(desk: Desk) -> None:
    desk.write(people="id,origin,died,seen\na,2024-01-01,,2024-02-01\n")
    mapping = MAPPING[: MAPPING.index("[[drug]]")]
    desk.load(mapping)
    with pytest.raises(SourceMissing, match="enrolment"):
        desk.build('[cohort]\nindex = { first = "patient" }\nobservable = "1 year"\n')


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"first": "drug"}, "codes are required"),
        ({"first": "line"}, "takes a number"),
        ({"first": "drug", "codes": ["A"], "number": 1}, "takes a number"),
        ({"first": "patient", "washout": "1 year"}, "washout is for"),
        ({"first": "drug", "codes": ["A"], "washout": "soon"}, "duration"),
    ],
)
def test_an_index_that_says_nothing_certain_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Index.model_validate(given)
    with pytest.raises(ValidationError, match="lines are read"):
        Cohort.model_validate({"index": {"first": "patient"}, "lines": {"codes": ["A"]}})


def test_old_studies_keep_their_canonical_form() -> None:
    cohort = Cohort.model_validate({"index": {"first": "drug", "codes": ["A"]}})
    dumped = cohort.model_dump(mode="json")
    assert set(dumped) == {"index", "require", "exclude"}
    assert set(dumped["index"]) == {"first", "codes"}
