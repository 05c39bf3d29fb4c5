"""The whole path on lifelines' lung table, a site for each performance status: one study, many models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from lifelines.datasets import load_lung
from lifelines.statistics import logrank_test
from statsmodels.duration.hazard_regression import PHReg

from fedvalue.planning.plan import plan_on
from fedvalue.secure_sum.thresholds import Thresholds
from fedvalue.simulation import PooledTable, run
from fedvalue.study.file import parse

QUESTIONS = """
[[analyses]]
kind = "kaplan_meier"
endpoint = "os"
by = ["sex"]
compare = true
budget = 0.1

[[analyses]]
kind = "cox"
endpoint = "os"
covariates = ["age", "sex"]
largest_hazard = 30.0
budget = 0.3

[[analyses]]
kind = "regression"
outcome = "age"
covariates = ["sex"]
budget = 0.1

[[analyses]]
kind = "parametric_survival"
endpoint = "os"
model = "weibull"
horizon = "5 years"
budget = 0.1
"""
AGE = 'age = { person = "age", clip = [18, 95], unit = "years" }\n\n[endpoints]'


def study(repository: Path, questions: str = QUESTIONS) -> bytes:
    text = (repository / "tests" / "real" / "studies" / "lung.toml").read_text(encoding="utf-8")
    head, _, _ = text.partition("[[analyses]]")
    return (head.replace("[endpoints]", AGE) + questions).encode()


def test_without_noise_the_federated_answers_are_the_pooled_ones(repository: Path, tmp_path: Path) -> None:
    table = load_lung()
    table.to_csv(tmp_path / "lung.csv", index=False)
    mapping = repository / "tests" / "data" / "mappings" / "lung_lifelines.toml"
    pooled = PooledTable(tmp_path / "lung.csv", mapping, site_column="ph.ecog")
    result = run(
        parse(study(repository), where="lung"), pooled, out=tmp_path / "out",
        unsafe_no_noise=True, unsafe_clear_sum=True,
    )  # fmt: skip
    found = {conclusion.kind: conclusion for conclusion in result.evidence.conclusions}
    curves, cox = found["kaplan_meier"], found["cox"]
    linear, weibull = found["regression"], found["parametric_survival"]
    male = table["sex"] == 1
    expected = logrank_test(
        table["time"][male], table["time"][~male], table["status"][male], table["status"][~male]
    )
    tests = curves.stratum("all").estimates
    assert tests["chi-square"].value == pytest.approx(expected.test_statistic, rel=1e-9)
    assert tests["median"].value == 310
    columns = table.assign(female=(table["sex"] == 2).astype(float))[["age", "female"]]
    hazards = PHReg(table["time"], columns, status=table["status"], ties="breslow").fit(disp=0)
    ratios = cox.stratum("all").estimates
    np.testing.assert_allclose([ratios["age"].value, ratios["sex=female"].value], hazards.params, rtol=1e-3)
    least = sm.OLS(table["age"], sm.add_constant(columns[["female"]])).fit()
    slopes = linear.stratum("all").estimates
    assert slopes["sex=female"].value == pytest.approx(least.params["female"], rel=1e-6)
    assert slopes["sex=female"].sampling_variance == pytest.approx(least.bse["female"] ** 2, rel=1e-6)
    assert weibull.stratum("all").estimates["shape"].value == pytest.approx(1.3168, rel=5e-3)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "hazard ratio" in page


ONE_RELEASE = """
[[analyses]]
kind = "kaplan_meier"
endpoint = "os"
by = ["sex"]
compare = true
budget = 0.2

[[analyses]]
kind = "log_rank"
endpoint = "os"
by = ["sex"]
budget = 0.2

[[analyses]]
kind = "proportion"
endpoint = "better"
by = ["sex"]
budget = 0.2

[[analyses]]
kind = "mean"
variable = "cost"
by = ["sex"]
budget = 0.2
"""
COST = """cost = { claims = "total_paid", window = "0d..365d", clip = [0, 400000], unit = "CNY" }

[endpoints]
better = { kind = "binary", source = "person", column = "better" }"""


def planned(repository: Path, questions: str) -> int:
    text = study(repository, questions).decode().replace("[endpoints]", COST)
    return len(plan_on(parse(text.encode(), where="lung"), Thresholds(5, 1, 1), "0" * 64).releases)


def test_survival_log_rank_proportions_and_costs_of_one_study_are_one_release(repository: Path) -> None:
    assert planned(repository, ONE_RELEASE) == 1


def test_a_cox_model_is_eight_releases_and_shares_them_with_everything_else(repository: Path) -> None:
    cox = '[[analyses]]\nkind = "cox"\nendpoint = "os"\ncovariates = ["age", "sex"]\nbudget = 0.2\n'
    assert planned(repository, ONE_RELEASE + cox) == 8
