"""Exports: every number of a package once, exactly, and what has none says why."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedvalue.errors import OutputError
from fedvalue.evidence import documents, sealing, tables
from fedvalue.evidence.cli import app
from fedvalue.evidence.package import EvidencePackage
from tests.unit.evidence import sealed


@pytest.fixture
def package() -> EvidencePackage:
    return sealed.package()


def test_every_estimate_is_a_row_with_its_exact_numbers(package: EvidencePackage, tmp_path: Path) -> None:
    paths = tables.export(package, tmp_path / "out", "csv")
    assert [path.name for path in paths] == ["estimates.csv", "released.csv", "lines.csv"]
    with paths[0].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [
        (c.label, s.name, name, one)
        for c in package.conclusions
        for s in c.strata
        for name, one in s.estimates.items()
    ]
    told = [row for row in rows if row["estimate"]]
    assert len(told) == len(expected)
    for row, (label, group, name, one) in zip(told, expected, strict=True):
        assert (row["evidence"], row["analysis"]) == (package.evidence_id, label)
        assert (row["group"], row["estimate"], row["unit"]) == (group, name, one.unit)
        assert float(row["value"]) == one.value
        assert float(row["privacy_variance"]) == one.privacy_variance
        assert (row["lower"] == "") == (one.lower is None)


def test_a_group_without_estimates_has_one_row_that_says_why(package: EvidencePackage) -> None:
    silent = [(c.label, s) for c in package.conclusions for s in c.strata if not s.estimates]
    rows = [row for row in tables.tables(package)["estimates"] if row["estimate"] is None]
    assert [(row["analysis"], row["group"], row["status"]) for row in rows] == [
        (label, s.name, s.status) for label, s in silent
    ]


def test_curves_and_released_numbers_have_tables_of_their_own(package: EvidencePackage) -> None:
    found = tables.tables(package)
    points = sum(len(s.curve.days) for c in package.conclusions for s in c.strata if s.curve is not None)
    series = sum(len(line.x) for c in package.conclusions for s in c.strata for line in s.series.values())
    assert len(found["lines"]) == points + series
    assert len(found["released"]) == sum(len(s.released) for c in package.conclusions for s in c.strata)


def test_the_command_writes_json_that_reads_back(package: EvidencePackage, tmp_path: Path) -> None:
    documents.write(package, tmp_path / "evidence.json")
    out = tmp_path / "tables"
    done = CliRunner().invoke(
        app, ["export", str(tmp_path / "evidence.json"), "--out", str(out), "--format", "json"]
    )
    assert done.exit_code == 0, done.output
    # a package that is read has its estimates in the order of their names
    read = sealing.load(tmp_path / "evidence.json")
    assert json.loads((out / "evidence.json").read_text(encoding="utf-8")) == tables.tables(read)


def test_a_place_that_cannot_be_written_is_named(package: EvidencePackage, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        tables.export(package, tmp_path / "file", "csv")
