"""The coefficient engine on the whole CMS-HCC table, and beside the package that made the golden scores."""

from __future__ import annotations

import csv
import importlib
import json
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fedvalue.payment.mechanisms.hcc import CoefficientModel, Interaction, score

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "cms_hcc.json").read_text())
CASES: list[dict[str, Any]] = GOLDEN["cases"]


def model(shared_data: Path, version: str) -> CoefficientModel:
    """The whole community, non-dual, aged table."""
    with (shared_data / "payment" / "cms_hcc_cna_coefficients_v24_v28.csv").open(newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["model_version"] == f"C{version[1:]}"]
    shape = GOLDEN["models"][version]
    return CoefficientModel(
        name=version,
        coefficients={r["coefficient"].removeprefix("CNA_"): Decimal(r["value"]) for r in rows},
        hierarchies={c: frozenset(covered) for c, covered in shape["hierarchies"].items()},
        interactions=tuple(
            Interaction(i["name"], tuple(frozenset(part) for part in i["sets"]))
            for i in shape["interactions"]
        ),
        source="cms_hcc_cna_coefficients_v24_v28.csv",
    )


def score_of(shared_data: Path, case: dict[str, Any]) -> Decimal:
    version = case["model"][-3:]
    found = [GOLDEN["categories"][version][code] for code in case["dx"]]
    return score(
        model(shared_data, version), age=case["age"], sex=case["sex"], categories=[c for c in found if c]
    ).raw


def test_the_eighteen_scores_come_from_the_whole_table(shared_data: Path) -> None:
    expected = json.loads((shared_data / "payment" / "cms_hcc_expected_scores.json").read_text())["cases"]
    assert expected == CASES
    assert len(CASES) == 18
    for case in CASES:
        assert score_of(shared_data, case) == Decimal(str(case["risk_score"])), case


def test_the_engine_agrees_with_hccinfhir(shared_data: Path) -> None:
    for version in ("V24", "V28"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # hccinfhir finds its data files through a deprecated function
            hccinfhir = importlib.import_module("hccinfhir")
            processor = hccinfhir.HCCInFHIR(model_name=f"CMS-HCC Model {version}")
            for case in (c for c in CASES if c["model"].endswith(version)):
                theirs = processor.calculate_from_diagnosis(
                    case["dx"], age=case["age"], sex=case["sex"], dual_elgbl_cd="NA"
                )
                ours = score_of(shared_data, case)
                assert float(ours) == pytest.approx(float(theirs.risk_score), abs=1e-3), case
