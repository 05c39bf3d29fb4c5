"""FHIR bulk files: paths, what is left out and why, hostile lines."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.client.records.fhir_paths import parsed, text_at
from fedvalue.errors import MappingInvalid
from tests.records_desk import Desk, reasons, table_of

MAPPING = """
[files.people]
path = "Patient.ndjson"
resource = "Patient"
[files.conditions]
path = "Condition.ndjson.gz"
resource = "Condition"
[patient]
file = "people"
patient_id = "id"
[patient.attributes]
sex = "gender"
[[condition]]
file = "conditions"
patient_id = "subject.reference:id"
day = { date = "onsetDateTime:date|recordedDate:date" }
code = { column = "code.coding[system=http://hl7.org/fhir/sid/icd-10].code", separator = ";" }
"""
PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female"}
ICD = "http://hl7.org/fhir/sid/icd-10"


def condition(**changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/p1"},
        "code": {
            "coding": [{"system": ICD, "code": "C34.1"}, {"system": "http://snomed.info/sct", "code": "1"}]
        },
        "onsetDateTime": "2024-03-01T23:30:00-05:00",
    } | changes


def loaded(desk: Desk, *lines: object) -> Any:
    (desk.folder / "Patient.ndjson").write_text(json.dumps(PATIENT) + "\n", encoding="utf-8")
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n"
    (desk.folder / "Condition.ndjson.gz").write_bytes(gzip.compress(text.encode()))
    return desk.load(MAPPING)


def test_a_condition_is_taken_on_its_own_day_with_the_code_of_the_system_that_is_named(desk: Desk) -> None:
    loaded(desk, condition())
    # 2024-03-01 is day 19,783; the time of day and its zone do not move it
    assert desk.rows("SELECT patient_id, day, code FROM condition") == [("p1", 19783.0, "C34.1")]


def test_what_a_source_took_back_and_what_is_no_condition_is_left_out_by_reason(desk: Desk) -> None:
    wrong = {"coding": [{"code": "entered-in-error"}]}
    report = loaded(
        desk, condition(), condition(verificationStatus=wrong), {"resourceType": "Observation"}, "{", "[1]",
        "NaN", '{"resourceType": "Condition", "x": NaN}', "[" * 100_000,
    )  # fmt: skip
    file = next(file for file in report.files if file.file.startswith("Condition"))
    assert {item.reason: (item.rows, item.lines) for item in file.left_out} == {
        "entered in error": (1, (2,)),
        "another type of resource": (1, (3,)),
        "no JSON object": (5, (4, 5, 6, 7, 8)),
    }
    assert file.rows == 1


def test_a_path_that_no_resource_has_is_named(desk: Desk) -> None:
    mapping = MAPPING.replace("onsetDateTime:date|recordedDate:date", "onsetDatetime:date|recordedDate:date")
    loaded(desk, condition(recordedDate="2024-03-05"))
    report = desk.load(mapping.replace("gender", "gendre"))
    (named,) = next(file for file in report.files if file.file == "Patient.ndjson").left_out
    assert (named.reason, named.rows) == ("no resource has 'gendre'", 0)


def test_a_month_is_no_day_and_two_values_are_no_single_value(desk: Desk) -> None:
    report = loaded(
        desk,
        condition(),
        condition(onsetDateTime="2024-03"),
        condition(onsetDateTime=["2024-03-01", "2024-03-02"]),
    )
    assert table_of(report, "condition[0]").kept == 1
    assert sum(rows for rows, _ in reasons(report, "condition[0]").values()) == 2


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("id", "x"),
        ("name.family", "A;B"),
        ("name[use=official].family", "A"),
        ("active", "true"),
        ("total.value", "10.50"),
        ("part.reference:id", "7"),
        ("urn.reference:id", "abc"),
        ("nothing|id", "x"),
        ("nothing", None),
        ("name", None),
        ("extension[url=http://x|y].valueCode", "z"),
    ],
)
def test_a_path_goes_through_objects_lists_filters_and_alternatives(path: str, expected: str | None) -> None:
    resource = {
        "id": "x", "active": True, "name": [{"use": "official", "family": "A"}, {"family": "B"}],
        "total": {"value": "10.50"}, "part": {"reference": "https://h.example/fhir/Patient/7/_history/2"},
        "urn": {"reference": "urn:uuid:abc"}, "extension": [{"url": "http://x|y", "valueCode": "z"}],
    }  # fmt: skip
    assert text_at(resource, parsed(path)) == expected


@pytest.mark.parametrize("path", ["", ".", "a.", "a..b", "a[b]", "a[b=c", "1a", "a b", "a|", "a:name"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(MappingInvalid, match="no path"):
        parsed(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "url"]), below, max_size=3)
    ),
    max_leaves=12,
)


@given(resource=st.dictionaries(st.sampled_from(["a", "b", "url"]), JSON, max_size=3))
@settings(max_examples=150, deadline=None)
def test_any_json_gives_text_or_nothing(resource: dict[str, Any]) -> None:
    for path in ("a", "a.b:id", "a[url=x].b:date", "b.a.url|a"):
        found = text_at(resource, parsed(path))
        assert found is None or isinstance(found, str)
