"""Predictions, treatments, hospitals and diagnostics, from one table to the report, without noise."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fedvalue.analyses.estimate import Conclusion
from fedvalue.errors import UnsafeWarning
from fedvalue.simulation import PooledTable, run
from tests.study_head import head

PATIENTS = 300
MAPPING = """
mapping = 1
[files.t]
path = "table.csv"
[patient]
file = "t"
patient_id = "id"
origin = { date = "start" }
[patient.attributes]
arm = "arm"
response = "response"
age = { column = "age", type = "number" }
risk = { column = "risk", type = "number" }
[[condition]]
file = "t"
patient_id = "id"
day = { date = "start" }
code = { column = "diagnosis" }
"""
STUDY = (
    head("effects", title="Effects", cap=1000, released=5)
    + """require = [{ condition = ["C34*"], within = "-30d..30d" }]
[variables]
arm = { person = "arm", levels = ["new", "old"] }
age = { person = "age", clip = [18, 95], unit = "years" }
risk = { person = "risk", clip = [0, 1], unit = "probability" }
[endpoints]
response = { kind = "binary", source = "person", column = "response" }
[[analyses]]
kind = "calibration"
outcome = "response"
score = "risk"
by = ["arm"]
budget = 0.3
[[analyses]]
kind = "treatment_effect"
outcome = "response"
treatment = "arm"
treated = "new"
control = "old"
covariates = ["age"]
trial = { eligibility = "adults with lung cancer" }
budget = 0.4
[[analyses]]
kind = "by_site"
variable = "age"
budget = 0.3
"""
)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    risk = rng.beta(2, 2, PATIENTS)
    return pd.DataFrame(
        {
            "id": np.arange(PATIENTS), "site": np.arange(PATIENTS) % 3, "start": "2025-03-01",
            "arm": rng.choice(["new", "old"], PATIENTS), "age": rng.integers(40, 80, PATIENTS),
            "risk": risk.round(3), "response": (rng.random(PATIENTS) < risk).astype(int),
            "diagnosis": np.where(np.arange(PATIENTS) % 5 == 0, "J18", "C34.1"),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Conclusion]:
    folder = tmp_path_factory.mktemp("effects")
    table.to_csv(folder / "table.csv", index=False)
    (folder / "mapping.toml").write_text(MAPPING)
    (folder / "study.toml").write_text(STUDY)
    pooled = PooledTable(folder / "table.csv", folder / "mapping.toml", site_column="site")
    with warnings.catch_warnings():
        # that there is no noise is the point of this test
        warnings.simplefilter("ignore", UnsafeWarning)
        result = run(folder / "study.toml", pooled, out=folder / "out", unsafe_no_noise=True)
    assert "Diagnostics of the data" in (folder / "out" / "report.html").read_text("utf-8")
    return lambda kind: next(c for c in result.evidence.conclusions if c.kind == kind)


def test_diagnostics_say_how_many_the_selection_leaves(found: Callable[[str], Conclusion]) -> None:
    estimates = found("diagnostics").stratum("all").estimates
    # one in five has another diagnosis
    assert estimates["left after: with condition C34* within -30d..30d"].value == pytest.approx(0.8)
    assert estimates["missing: response"].value == pytest.approx(0, abs=1e-9)
    assert "difference in age" in found("diagnostics").stratum("arm=old").estimates


def test_each_hospital_has_its_own_mean(found: Callable[[str], Conclusion], table: pd.DataFrame) -> None:
    kept = table[table["diagnosis"] == "C34.1"]
    means = sorted(kept.groupby("site")["age"].mean())
    sites = [s for s in found("by_site").strata if s.name != "all"]
    assert sorted(s.estimates["mean"].value for s in sites) == pytest.approx(means)


def test_effect_and_calibration_are_of_those_who_were_selected(
    found: Callable[[str], Conclusion], table: pd.DataFrame
) -> None:
    kept = table[table["diagnosis"] == "C34.1"]
    predicted = found("calibration").stratum("all").estimates["observed less predicted"].value
    assert predicted == pytest.approx(float((kept["response"] - kept["risk"]).mean()), abs=1e-6)
    effect = found("treatment_effect").stratum("all")
    assert effect.released["patients"].value == pytest.approx(len(kept))
    arms = kept.groupby("arm")["response"].mean()
    assert effect.estimates["effect"].value == pytest.approx(float(arms["new"] - arms["old"]), abs=0.05)
