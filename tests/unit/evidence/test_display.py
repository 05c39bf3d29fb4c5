"""Bands of counts, and the schema file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.evidence.display import banded, json_schema


@pytest.mark.parametrize(
    ("patients", "band"),
    [
        (-12.0, "<10"),
        (9.99, "<10"),
        (10, "10-19"),
        (19.9, "10-19"),
        (20, "20-49"),
        (50, "50-99"),
        (100, "100-199"),
        (999, "500-999"),
        (1000, "1,000-1,999"),
        (23456.7, "20,000-49,999"),
    ],
)
def test_counts_are_shown_in_bands(patients: float, band: str) -> None:
    assert banded(patients) == band


@given(st.floats(10, 1e12))
@settings(deadline=None)
def test_a_band_holds_its_count(patients: float) -> None:
    low, high = (int(end.replace(",", "")) for end in banded(patients).split("-"))
    assert low <= patients < high + 1
    assert high < 2.5 * low


def test_the_schema_file_is_in_step(repository: Path) -> None:
    # Write it again with: python -m fedvalue.evidence.display > docs/schema/evidence.schema.json
    on_file = json.loads(
        (repository / "docs" / "schema" / "evidence.schema.json").read_text(encoding="utf-8")
    )
    assert on_file == json.loads(json.dumps(json_schema()))


def test_the_schema_closes_every_object_and_requires_the_minimum_fields() -> None:
    schema = json_schema()
    required = {
        "evidence_id", "study_hash", "study", "roster", "federation", "approvals", "releases", "privacy",
        "conclusions", "bias", "code", "valid_from", "valid_to", "signatures", "simulation",
    }  # fmt: skip
    assert required <= set(schema["required"])
    assert all(
        part.get("additionalProperties") is False for part in schema["$defs"].values() if "properties" in part
    )
