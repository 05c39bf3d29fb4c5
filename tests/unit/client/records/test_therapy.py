"""Time to discontinuation and to the next treatment, told by starts of drugs and worked by hand."""

from __future__ import annotations

import pytest

from fedvalue.errors import SourceMissing, StudyInvalid
from tests.records_desk import Desk

PEOPLE = """
[patient]
file = "people"
patient_id = "id"
[[follow_up]]
file = "people"
patient_id = "id"
day = { day = "seen" }
[[event]]
file = "people"
patient_id = "id"
day = { day = "died" }
kind = { constant = "death" }
"""
MAPPING = (
    PEOPLE
    + """
[[drug]]
file = "drugs"
patient_id = "id"
day = { day = "day" }
code = "code"
[[event]]
file = "told"
patient_id = "id"
day = { day = "day" }
kind = "kind"
"""
)
STUDY = """
[cohort]
index = { first = "drug", codes = ["A*"] }
[endpoints.time]
kind = "time_to_event"
entry = "origin"
events = [%s]
therapy = { codes = ["A*", "B"], combine = "28 days", gap = "90 days" }
until = "24 months"
grid = "1 month"
[[analyses]]
kind = "kaplan_meier"
endpoint = "time"
budget = 1.0
"""


def times(desk: Desk, *events: str) -> dict[str, tuple[float, int]]:
    found = desk.build(STUDY % ", ".join(f'"{event}"' for event in events))
    outcome = found.cohort.survival["time"]
    ends = zip(outcome.exit.tolist(), outcome.event.tolist(), strict=True)
    return dict(zip(found.patient_ids.tolist(), ends, strict=True))


@pytest.fixture
def treated(desk: Desk) -> Desk:
    """Index day 10 for everybody; follow-up and death as days of the hospital's scale."""
    desk.write(
        people="""
        id,seen,died
        a,300,
        b,150,
        c,150,180
        d,400,
        e,400,
        f,,
        g,300,320
        h,400,
        """,
        drugs="""
        id,day,code
        a,10,A1
        a,40,A1
        a,100,A1
        b,10,A1
        b,100,A1
        c,10,A1
        c,100,A1
        d,10,A1
        d,70,B
        d,100,A1
        e,10,A1
        e,20,B
        e,200,A1
        f,10,A1
        g,10,A1
        h,10,A1
        h,101,A1
        h,40,C
        """,
        told="""
        id,day,kind
        a,50,discontinuation
        a,60,progression
        b,120,progression
        """,
    )
    desk.load(MAPPING)
    return desk


def test_a_line_is_discontinued_on_its_last_drug_once_the_gap_has_passed(treated: Desk) -> None:
    assert times(treated, "discontinuation") == {
        "a": (90.0, 1),  # last drug 100, seen to 300: 200 days without
        "b": (90.0, 0),  # seen to 150: who can tell
        "c": (170.0, 0),  # died at 180, 80 days after the last drug: treated until then
        "d": (0.0, 1),  # B at 70 is a new drug after 28 days: the line's last drug is that of day 10
        "e": (10.0, 1),  # B at 20 joins the line; the next drug came 180 days later
        "f": (0.0, -1),  # never followed
        "g": (0.0, 1),  # died 310 days after the only drug
        "h": (0.0, 1),  # 91 days between two drugs; C is no drug of these lines
    }


def test_the_next_treatment_begins_with_a_new_drug_or_after_the_gap(treated: Desk) -> None:
    assert times(treated, "new_treatment") == {
        "a": (290.0, 0), "b": (140.0, 0), "c": (170.0, 0), "d": (60.0, 1), "e": (190.0, 1), "f": (0.0, -1),
        "g": (310.0, 0), "h": (91.0, 1),
    }  # fmt: skip


def test_death_and_recorded_events_stand_beside_those_of_therapy(treated: Desk) -> None:
    found = times(treated, "death", "new_treatment")
    assert (found["c"], found["d"], found["g"]) == ((170.0, 1), (60.0, 2), (310.0, 1))
    # the hospital's own word for discontinuation is not asked; its progression is, up to the last known drug
    found = times(treated, "progression", "discontinuation")
    assert (found["a"], found["b"], found["e"]) == ((50.0, 1), (90.0, 0), (10.0, 2))


def test_who_begins_no_such_line_on_the_index_day_is_unknown(treated: Desk) -> None:
    other = STUDY.replace('codes = ["A*", "B"]', 'codes = ["B"]')
    found = treated.build(other % '"discontinuation"').cohort.survival["time"]
    assert set(found.event.tolist()) == {-1}


def test_without_therapy_the_recorded_events_count_as_before(treated: Desk) -> None:
    plain = "\n".join(line for line in STUDY.splitlines() if not line.startswith("therapy"))
    found = treated.build(plain % '"discontinuation"').cohort.survival["time"]
    assert found.event.tolist() == [1, 0, 0, 0, 0, -1, 0, 0]
    assert found.exit.tolist()[:3] == [40.0, 140.0, 170.0]


def test_therapy_that_could_not_be_meant_is_refused(desk: Desk) -> None:
    with pytest.raises(StudyInvalid, match="name one of them in events"):
        desk.study(STUDY % '"death"')
    with pytest.raises(StudyInvalid, match="has to begin on the index day"):
        desk.study((STUDY % '"new_treatment"').replace('first = "drug"', 'first = "condition"'))
    desk.write(
        people="id,seen,died\na,1,\n", drugs="id,day,code\na,1,A1\n", told="id,day,kind\na,1,progression\n"
    )
    desk.load(MAPPING)
    assert times(desk, "new_treatment") == {"a": (0.0, 0)}
    desk.load(PEOPLE)
    with pytest.raises(SourceMissing, match="reads the table 'drug'"):
        times(desk, "new_treatment")
