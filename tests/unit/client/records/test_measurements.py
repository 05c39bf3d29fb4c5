"""Measurements: units, times of the day, what is left out; values of a window, and limits of them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.client.records.migrations import migrate
from fedvalue.client.records.store import FORMAT
from fedvalue.errors import MappingInvalid, SourceMissing, StudyInvalid
from fedvalue.study.quantities import QUANTITIES
from tests.records_desk import Desk, reasons, table_of

PEOPLE = """
[patient]
file = "people"
patient_id = "id"
origin = { date = "start" }
[[event]]
file = "people"
patient_id = "id"
day = { date = "died" }
kind = { constant = "death" }
"""
LABS = (
    PEOPLE
    + """
[[measurement]]
file = "labs"
patient_id = "pid"
day = { date = "when" }
code = "test"
value = "result"
unit = "unit"
words = { Low = 39, High = 401 }
"""
)
CONTROL = """
[endpoints.control]
kind = "binary"
source = "targets"
missing = "exclude"
targets = [%s]
[[analyses]]
kind = "proportion"
endpoint = "control"
budget = 1.0
[diagnostics]
share = 0
"""
HBA1C = '{ measurement = { code = "hba1c", within = "150d..210d", unit = "%" }, below = 7.0 }'


def labs(desk: Desk, *rows: str) -> None:
    people = sorted({row[0] for row in rows})
    desk.write(
        people="\n".join(["id,start,died", *(f"{who},2025-01-01," for who in people)]),
        labs="\n".join(["pid,when,test,result,unit", *rows]),
    )
    desk.load(LABS)


def status(desk: Desk, targets: str) -> list[int]:
    return [int(one) for one in desk.build(CONTROL % targets).cohort.binary["control"].status]


def test_every_quantity_is_kept_in_one_unit_rounded_as_instruments_print_it(desk: Desk) -> None:
    labs(
        desk,
        "a,2025-01-10 06:00,4548-4,7.2,%",
        "a,2025-01-11,59261-8,53,mmol/mol",  # 0.09148 x 53 + 2.152 = 7.00044: 7.0
        "a,2025-01-12,2345-7,10.0,mmol/L",  # 180.156: 180
        "a,2025-01-13,99504-3,Low,mg/dL",
        "a,2025-01-14,8480-6,18.7,k Pa",  # 140.26: 140
        "a,2025-01-14,8462-4,90,mm[Hg]",
        "a,2025-01-15,hba1c,> 14.0,%",
        "a,2025-01-16,potassium,4.1,mmol/L",  # no quantity that is known: as it is
    )
    assert desk.rows("FROM measurement ORDER BY day, code") == [
        ("a", 20098.25, "hba1c", 7.2, "%"),  # six o'clock is a quarter of the day
        ("a", 20099.0, "hba1c", 7.0, "%"),
        ("a", 20100.0, "glucose", 180.0, "mg/dL"),
        ("a", 20101.0, "glucose_cgm", 39.0, "mg/dL"),
        ("a", 20102.0, "diastolic", 90.0, "mmHg"),
        ("a", 20102.0, "systolic", 140.0, "mmHg"),
        ("a", 20103.0, "hba1c", 14.0, "%"),
        ("a", 20104.0, "potassium", 4.1, "mmol/L"),
    ]


def test_limits_that_people_state_in_two_units_are_one_limit() -> None:
    # the consensus has 3.9-10.0 mmol/L for 70-180 mg/dL and 3.0 for 54; 53 mmol/mol for 7.0 %, 48 for 6.5 %
    glucose, hba1c, systolic = (QUANTITIES[name] for name in ("glucose_cgm", "hba1c", "systolic"))
    pairs = ((3.0, 54), (3.9, 70), (10.0, 180), (13.9, 250))
    assert [glucose.kept(moles, "mmol/l") for moles, _ in pairs] == [mass for _, mass in pairs]
    assert [glucose.stated(mass, "mmol/L") for _, mass in pairs] == [moles for moles, _ in pairs]
    # master equation of the NGSP: 42, 48, 53, 64, 75 mmol/mol
    assert [hba1c.kept(ifcc, "mmol/mol") for ifcc in (42, 48, 53, 64, 75)] == [6.0, 6.5, 7.0, 8.0, 9.0]
    assert systolic.kept(18.7, "kPa") == 140
    with pytest.raises(ValueError, match="its units are %, mmol/mol"):
        hba1c.kept(7.0, "mg/dL")


def test_what_is_no_value_is_left_out_with_its_line_and_reason(desk: Desk) -> None:
    desk.write(
        people="id,start,died\na,2025-01-01,",
        labs="""
        pid,when,test,result,unit
        a,2025-01-12,4548-4,7.0,%
        a,2025-01-12,4548-4,7.0,%
        a,2025-01-12,4548-4,53,furlong
        a,2025-01-12,4548-4,53,
        a,2025-01-12,4548-4,,%
        a,2025-01-12,4548-4,53,%
        a,2025-01-12,4548-4,-1e308,%
        a,2025-01-12,4548-4,"=1+1",%
        a,2025-02-30,4548-4,7.1,%
        z,2025-01-12,4548-4,7.1,%
        a,2025-01-12,,7.1,%
        a,,4548-4,7.1,%
        """,
    )
    report = desk.load(LABS)
    assert reasons(report, "measurement[0]") == {
        "duplicate row": (1, (3,)),
        "unknown unit": (1, (4,)),
        "missing unit": (1, (5,)),
        "no value": (1, (6,)),
        "value that cannot be": (1, (7,)),  # 53 with the sign of percent is 53 mmol/mol
        "number out of range": (1, (8,)),
        "not a finite number": (1, (9,)),
        "unparseable date": (1, (10,)),
        "patient not in the patients table": (1, (11,)),
        "missing code": (1, (12,)),
        "missing day": (1, (13,)),
    }
    assert table_of(report, "measurement[0]").kept == 1


def test_hba1c_is_controlled_if_the_last_value_of_the_window_is_below_the_limit(desk: Desk) -> None:
    # day 180 is 2025-06-30; 210 is 07-30, of which the evening counts, and 211 does not
    labs(
        desk,
        "a,2025-06-30,hba1c,6.9,%",
        "b,2025-06-30,hba1c,7.0,%",  # below, not at
        "c,2025-06-30,hba1c,6.9,%", "c,2025-07-30 22:00,hba1c,7.4,%",
        "d,2025-06-30,hba1c,6.9,%", "d,2025-07-31,hba1c,7.4,%",
        "e,2025-05-30,hba1c,6.9,%",  # day 149
        "f,2025-06-30,hba1c,53,mmol/mol",  # 7.0 %
        "g,2025-06-30,hba1c,52,mmol/mol",  # 6.9 %
    )  # fmt: skip
    assert status(desk, HBA1C) == [1, 0, 0, 1, -1, 0, 1]
    # the same limit in the other unit: the same answers
    assert status(desk, HBA1C.replace('"%"', '"mmol/mol"').replace("7.0", "53")) == [1, 0, 0, 1, -1, 0, 1]


def test_death_without_a_value_is_a_failure_and_before_day_zero_unknown(desk: Desk) -> None:
    early, late = "2025-01-02,hba1c,6,%", "2025-06-30,hba1c,6,%"
    desk.write(
        people="id,start,died\na,2025-01-01,2025-07-30\nb,2025-01-01,2025-07-31\nc,2025-01-01,2025-07-30\n"
        "d,2025-01-01,2024-12-31",
        labs=f"pid,when,test,result,unit\na,{early}\nb,{early}\nc,{late}\nd,{late}",
    )
    # deaths before a patient's origin are left out of events: d's day zero is a diagnosis
    desk.write(found="id,day,code\na,2025-01-01,E11\nb,2025-01-01,E11\nc,2025-01-01,E11\nd,2025-01-01,E11")
    desk.load(
        LABS.replace('origin = { date = "start" }', "")
        + '[[condition]]\nfile = "found"\npatient_id = "id"\nday = { date = "day" }\ncode = "code"\n'
    )
    cohort = '[cohort]\nindex = { first = "condition", codes = ["E11"] }\n'
    found = desk.build(cohort + CONTROL % HBA1C).cohort.binary["control"].status.tolist()
    assert found == [0, -1, 1, -1]


def test_blood_pressure_is_controlled_where_both_pressures_are(desk: Desk) -> None:
    both = ", ".join(
        f'{{ measurement = {{ code = "{name}", within = "0d..90d", unit = "mmHg" }}, below = {limit} }}'
        for name, limit in (("systolic", 140), ("diastolic", 90))
    )
    day = "2025-02-01"
    labs(
        desk,
        f"a,{day},systolic,139,mmHg", f"a,{day},diastolic,89,mmHg",
        f"b,{day},systolic,139,mmHg", f"b,{day},diastolic,12.0,kPa",  # 90
        f"c,{day},systolic,150,mmHg",  # one that fails decides
        f"d,{day},systolic,130,mmHg",
        # several readings of the last day are one: (130 + 148) / 2 = 139
        f"e,{day} 08:00,systolic,130,mmHg", f"e,{day} 20:00,systolic,148,mmHg", f"e,{day},diastolic,80,mmHg",
    )  # fmt: skip
    assert status(desk, both) == [1, 0, 0, -1, 1]


def test_a_value_is_the_last_first_mean_lowest_or_highest_of_its_window(desk: Desk) -> None:
    labs(
        desk, "a,2025-01-05 08:00,systolic,150,mmHg", "a,2025-01-05 09:00,systolic,140,mmHg",
        "a,2025-01-20,systolic,130,mmHg", "a,2025-03-01,systolic,90,mmHg",
    )  # fmt: skip

    def values(*sources: str) -> list[float]:
        lines = [
            f'x{at} = {{ measurement = {{ code = "systolic", within = "0d..30d", {more} }}, clip = [0, 300], '
            f"unit = {more.rpartition('= ')[2]} }}"
            for at, more in enumerate(sources)
        ]
        found = desk.build("\n".join(["[variables]", *lines, CONTROL % HBA1C])).cohort.numbers
        return [float(found[f"x{at}"][0]) for at in range(len(sources))]

    # (150 + 140) / 2 of the first day; 420 / 3 of all; 140 / 7.50062 = 18.665 kPa
    takes = {"last": 130.0, "first": 145.0, "mean": 140.0, "lowest": 130.0, "highest": 150.0}
    found = values(
        *(f'take = "{take}", unit = "mmHg"' for take in takes),
        'take = "mean", unit = "kPa"',
        'take = "mean", days = 2, unit = "mmHg"',
        'take = "mean", days = 3, unit = "mmHg"',
    )
    assert found[:-1] == [*takes.values(), 18.7, 140.0]
    assert math.isnan(found[-1])


def test_a_code_that_is_no_quantity_counts_in_its_own_unit_only(desk: Desk) -> None:
    labs(desk, "a,2025-01-05,ldl,3.1,mmol/L", "a,2025-01-06,ldl,120,mg/dL")
    target = '{ measurement = { code = "ldl", within = "0d..30d", unit = "%s" }, below = 3.4 }'
    assert status(desk, target % "mmol/L") == [1]
    assert status(desk, target % "g/L") == [-1]


def test_a_study_that_could_not_be_read_is_refused(desk: Desk) -> None:
    for target, said in (
        (HBA1C.replace('"hba1c"', '"4548-4"'), "known as 'hba1c'"),
        (HBA1C.replace('"%"', '"mmHg"'), "its units are %, mmol/mol"),
        (HBA1C.replace(", below = 7.0", ""), "a target has a limit"),
        (HBA1C.replace("below", "at_least = 8, below"), "at_least lies below"),
        ("{ below = 7 }", "exactly one of measurement, sensor"),
    ):
        with pytest.raises(StudyInvalid, match=said):
            desk.study(CONTROL % target)
    read = '{ sensor = { what = "in range", within = "0d..13d" }, clip = [0, 100], unit = "share" }'
    with pytest.raises(StudyInvalid, match="takes a clip and unit = '%'"):
        desk.study(f"[variables]\nx = {read}\n{CONTROL % HBA1C}")
    desk.write(people="id,start,died\na,2025-01-01,")
    desk.load(PEOPLE)
    with pytest.raises(SourceMissing, match="reads the table 'measurement'"):
        status(desk, HBA1C)


def test_a_mapping_that_could_not_be_meant_is_refused(desk: Desk) -> None:
    desk.write(people="id,start,died\na,2025-01-01,", labs="pid,when,test,result,unit\n")
    for old, new, said in (
        ('code = "test"', 'code = { constant = "hba1c" }\n', None),
        ('unit = "unit"', 'unit = { constant = "mmHg" }', "hba1c is not measured in 'mmHg'"),
        ('value = "result"', 'value = { constant = "7" }', "value is a column of numbers"),
        ("High = 401", "low = 401", "each word once"),
    ):
        text = LABS.replace('code = "test"', 'code = { constant = "4548-4" }').replace(old, new)
        if said is not None:
            with pytest.raises(MappingInvalid, match=said):
                desk.mapping(text)
    with pytest.raises(MappingInvalid, match="the time of the day counts for measurements only"):
        desk.mapping(PEOPLE.replace('date = "died"', 'date = "died", time = "x"'))


def test_layout_3_goes_back_to_2_and_on_and_the_next_load_reads_the_measurements_again(desk: Desk) -> None:
    labs(desk, "a,2025-01-05,hba1c,7.0,%")
    rows = desk.rows("FROM measurement")
    assert migrate(desk.database, to=2) == FORMAT == 3
    assert not desk.rows("SELECT 1 FROM information_schema.tables WHERE table_name = 'measurement'")
    assert migrate(desk.database) == 2
    assert desk.rows("FROM measurement") == []
    assert desk.load(LABS).unchanged == ()  # the layout before knew nothing of them: everybody reads again
    assert desk.rows("FROM measurement") == rows
    assert desk.load(LABS).unchanged == ("labs.csv", "people.csv")


def test_overlapping_exports_of_a_device_are_read_once(desk: Desk) -> None:
    labs(desk, "a,2025-01-05 08:00,glucose_cgm,100,mg/dL")
    more = LABS.replace(
        "[patient]", '[files.people]\npath = "people.csv"\n[files.labs]\npath = "labs*.csv"\n[patient]', 1
    )
    first, second = (f"a,2025-01-05 08:0{minute},glucose_cgm,100,mg/dL" for minute in (0, 5))
    desk.write(labs2=f"pid,when,test,result,unit\n{first}\n{second}")
    report = desk.load(more)
    assert reasons(report, "measurement[0]") == {"duplicate row": (1, (2,))}
    assert len(desk.rows("FROM measurement")) == 2


FHIR = """
[files.people]
path = "people.ndjson"
format = "fhir"
[files.observations]
path = "observations.ndjson"
format = "fhir"
resource = "Observation"
[patient]
file = "people"
patient_id = "id"
[[measurement]]
file = "observations"
patient_id = "subject.reference:id"
day = { date = "effectiveDateTime:time" }
code = { column = "code.coding.code", separator = ";" }
value = "valueQuantity.value"
unit = "valueQuantity.code|valueQuantity.unit"
[[measurement]]
file = "observations"
patient_id = "subject.reference:id"
day = { date = "effectiveDateTime:time" }
code = { constant = "systolic" }
value = "component[code.coding.code=8480-6].valueQuantity.value"
unit = "component[code.coding.code=8480-6].valueQuantity.code"
"""


def test_fhir_observations_give_values_and_both_halves_of_a_blood_pressure(desk: Desk) -> None:
    def quantity(code: str, value: float, unit: str) -> dict[str, object]:
        return {"code": {"coding": [{"code": code}]}, "valueQuantity": {"value": value, "code": unit}}

    common = {"resourceType": "Observation", "subject": {"reference": "Patient/p"}}
    observations = [
        common | quantity("4548-4", 6.8, "%") | {"effectiveDateTime": "2025-03-01T18:00:00+08:00"},
        common
        | {"effectiveDateTime": "2025-03-02", "code": {"coding": [{"code": "85354-9"}]}}
        | {"component": [quantity("8462-4", 81, "mm[Hg]"), quantity("8480-6", 131, "mm[Hg]")]},
        common
        | quantity("4548-4", 7.7, "%")
        | {"status": "entered-in-error", "effectiveDateTime": "2025-03-03"},
    ]
    (desk.folder / "people.ndjson").write_text('{"resourceType": "Patient", "id": "p"}\n')
    (desk.folder / "observations.ndjson").write_text("\n".join(map(json.dumps, observations)))
    report = desk.load(FHIR)
    # the place's own time, 18:00
    assert desk.rows("FROM measurement ORDER BY day") == [
        ("p", 20148.75, "hba1c", 6.8, "%"),
        ("p", 20149.0, "systolic", 131.0, "mmHg"),
    ]
    assert reasons(report, "measurement[0]") == {"no value": (1, (2,))}


@settings(max_examples=3, deadline=None, derandomize=True)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["2025-06-30", "2025-06-30 25:00", "", "NaT", "9999-12-31", "2025-06-30 12:00"]),
            st.sampled_from(["hba1c", "4548-4", "systolic", "x", "", "'; DROP TABLE patient; --"]),
            st.one_of(
                st.floats(allow_nan=True).map(str),
                st.sampled_from(["", "Low", ">", "1e999", "0x1F", "７.０"]),
            ),
            st.sampled_from(["%", "mmol/mol", "", "mmHg", "%%", "']["]),
        ),
        min_size=10,
        max_size=40,
    )
)
def test_no_row_stops_a_load_or_a_cohort_and_what_is_kept_can_be(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "h").mkdir()
    desk = Desk(folder / "h", folder / "home" / "records.duckdb")
    sound = "a,2025-06-30,hba1c,6.5,%"
    labs(desk, sound, *(",".join([who, *row]) for row in rows for who in "ab"))
    for _, _, code, value, unit in desk.rows("FROM measurement"):
        assert isinstance(value, float)
        assert math.isfinite(value)
        known = QUANTITIES.get(str(code))
        assert known is None or (known.lowest <= value <= known.highest and unit == known.unit)
    assert status(desk, HBA1C)[0] in (0, 1)
