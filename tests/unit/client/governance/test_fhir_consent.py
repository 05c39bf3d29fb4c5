"""FHIR Consent resources as words of patients: nobody is taken to have agreed who did not."""

from __future__ import annotations

import gzip
import json
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.client.governance.consent import Word
from fedvalue.client.governance.fhir_consent import read_consents
from fedvalue.errors import RecordsError, SourceMissing, SourceUnreadable

TODAY = date(2026, 3, 1)
SCOPE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research"}]}


def consent(**changes: Any) -> dict[str, Any]:
    whole = {
        "resourceType": "Consent", "status": "active", "scope": SCOPE,
        "dateTime": "2026-02-01T09:00:00+08:00",
        "patient": {"reference": "Patient/7"}, "provision": {"type": "permit"},
    }  # fmt: skip
    return {**whole, **changes}


def written(path: Path, *resources: Any) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in resources), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "consents"),
        ({"provision": {"type": "deny"}}, "objects"),
        ({"status": "rejected"}, "objects"),
        ({"status": "inactive"}, "withdraws"),
        ({"provision": {}}, None),
        ({"provision": None}, None),
        ({"status": "draft"}, None),
        ({"status": "entered-in-error"}, None),
        ({"scope": {"coding": [{"code": "treatment"}]}}, None),
        ({"scope": {}}, None),
        ({"patient": {}}, None),
        ({"patient": {"reference": "Patient/"}}, None),
        ({"dateTime": "2026-02-30"}, None),
        ({"dateTime": None}, None),
    ],
)
def test_a_resource_says_yes_no_or_nothing(changes: dict[str, Any], said: str | None, tmp_path: Path) -> None:
    found = read_consents(written(tmp_path / "c.ndjson", consent(**changes)), TODAY)
    expected = () if said is None else (Word("7", said, "research", date(2026, 2, 1)),)
    assert found.words == expected
    assert sum(found.skipped.values()) == (said is None)


@pytest.mark.parametrize(
    "reference", ["Patient/7", "urn:uuid:7", "https://example.org/fhir/Patient/7", "Patient/7/_history/2"]
)
def test_references_of_every_form_name_the_patient(reference: str, tmp_path: Path) -> None:
    path = tmp_path / "c.ndjson.gz"
    line = json.dumps(consent(patient={"reference": reference}))
    path.write_bytes(gzip.compress(f"{line}\n\n{json.dumps({'resourceType': 'Patient'})}\n".encode()))
    assert [word.patient_id for word in read_consents(path, TODAY).words] == ["7"]


def test_a_file_that_is_damaged_or_of_tomorrow_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "c.ndjson"
    for text, where in (
        ('{"resourceType":', ":1"),
        ("[1]", ":1"),
        (json.dumps(consent(dateTime="2026-03-02")), ":1"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(SourceUnreadable) as refused:
            read_consents(path, TODAY)
        assert refused.value.where.endswith(where)
    packed = tmp_path / "c.ndjson.gz"
    packed.write_bytes(gzip.compress(json.dumps(consent()).encode())[:-9])
    with pytest.raises(SourceUnreadable):
        read_consents(packed, TODAY)
    with pytest.raises(SourceMissing):
        read_consents(tmp_path / "none.ndjson", TODAY)


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["coding", "code", "reference", "type"]), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    st.sampled_from(["scope", "patient", "provision", "dateTime", "status"]),
)
def test_whatever_stands_in_a_field_is_a_word_or_is_skipped_or_refused(value: Any, field: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "c.ndjson", consent(**{field: value}))
        try:
            found = read_consents(path, TODAY)
        except RecordsError:
            return
        assert len(found.words) + sum(found.skipped.values()) == 1
