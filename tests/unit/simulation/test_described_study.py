"""A study of every kind that describes a cohort, from one table of records to the report, without noise."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from fedvalue.analyses.estimate import Conclusion
from fedvalue.errors import UnsafeWarning
from fedvalue.simulation import PooledTable, run
from fedvalue.study.questions.described import Described
from tests.study_head import head

PATIENTS = 240
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
driver = "driver"
response = "response"
[[claim]]
file = "t"
patient_id = "id"
day = { date = "start" }
total_paid = "cost"
currency = "money"
[[procedure]]
file = "t"
patient_id = "id"
day = { date = "start" }
code = "scan"
[[condition]]
file = "t"
patient_id = "id"
day = { date = "start" }
code = "diagnosis"
[[admission]]
file = "t"
patient_id = "id"
day = { date = "came" }
discharge = { date = "went" }
code = "diagnosis"
[[adverse_event]]
file = "t"
patient_id = "id"
day = { date = "start" }
code = "diagnosis"
grade = "grade"
[[survival]]
file = "t"
patient_id = "id"
time = { duration = "days" }
event = { column = "event", codes = { "0" = "censored", "1" = "progression" } }
"""
STUDY = (
    head("all-described-kinds", title="Everything that describes a cohort", released=50)
    + """
[variables]
arm = { person = "arm", levels = ["new", "old"] }
cost = { claims = "total_paid", window = "0d..365d", clip = [0, 2000], unit = "CNY" }
scans = { count = { of = "procedure", codes = ["CT"], within = "0d..90d" }, clip = [0, 4], unit = "scans" }
harm = { grade = { within = "0d..90d" }, levels = ["none", "1", "2", "3", "4", "5"] }
started = { calendar = "index", between = [2025-01-01, 2025-12-31] }
[variables.driver]
person = "driver"
levels = ["L858R", "ex19del", "none"]
merge_into = { L858R = "EGFR", ex19del = "EGFR" }
[variables.reasons]
count = { of = "condition", codes = ["C34*"], within = "-30d..90d" }
clip = [0, 3]
unit = "diagnoses"
[endpoints]
response = { kind = "binary", source = "person", column = "response" }
back = { kind = "binary", source = "readmission", within_days = 30, missing = "exclude" }
pfs = { kind = "time_to_event", events = ["progression"], until = "12 months", grid = "1 month" }
"""
)
ASKED = {
    "mean": 'variable = "cost"\nby = ["arm"]',
    "quantiles": 'variable = "cost"\ncells = 16',
    "trimmed_mean": 'variable = "cost"\ncells = 16',
    "cross_moments": 'cost = "cost"\neffect = "response"',
    "counts": 'by = ["driver"]\nacross = "arm"',
    "rate": 'endpoint = "pfs"\nper = 1',
    "milestones": 'endpoint = "pfs"\nat = ["3 months"]\ncalendar = "started"\nas_of = 2025-12-31',
    "utilisation": 'variable = "scans"\nindication = "reasons"',
    "spend": 'variable = "cost"\nlimit = 1e6',
    "adverse_events": 'variable = "harm"',
    "monthly": 'calendar = "started"\nof = "cost"',
    "interrupted_time_series": 'calendar = "started"\nchange = 2025-07-01\nof = "cost"',
    "difference_in_differences": 'of = "cost"\ncalendar = "started"\nchange = 2025-07-01\n'
    'group = "arm"\napplies = "new"\ncompared = "old"',
    "proportion": 'endpoint = "back"',
}  # fmt: skip


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    start = pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 365, PATIENTS), unit="D")
    text = start.strftime("%Y-%m-%d")
    return pd.DataFrame(
        {
            "id": np.arange(PATIENTS), "site": np.arange(PATIENTS) % 3, "start": text,
            "arm": rng.choice(["new", "old"], PATIENTS), "money": "CNY",
            "driver": rng.choice(["L858R", "ex19del", "none"], PATIENTS),
            "response": rng.integers(0, 2, PATIENTS), "cost": rng.gamma(2.0, 200.0, PATIENTS).round(2),
            "scan": rng.choice(["CT", "US"], PATIENTS), "diagnosis": rng.choice(["C34.1", "J18"], PATIENTS),
            "came": text, "went": text, "grade": rng.integers(1, 5, PATIENTS),
            "days": rng.integers(1, 500, PATIENTS), "event": rng.integers(0, 2, PATIENTS),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Conclusion]:
    folder = tmp_path_factory.mktemp("described")
    table.to_csv(folder / "table.csv", index=False)
    (folder / "mapping.toml").write_text(MAPPING)
    parts = "".join(f'[[analyses]]\nkind = "{kind}"\n{keys}\nbudget = 0.07\n' for kind, keys in ASKED.items())
    (folder / "study.toml").write_text(STUDY + parts)
    pooled = PooledTable(folder / "table.csv", folder / "mapping.toml", site_column="site")
    with warnings.catch_warnings():
        # that there is no noise is the point of this test
        warnings.simplefilter("ignore", UnsafeWarning)
        result = run(folder / "study.toml", pooled, out=folder / "out", unsafe_no_noise=True)
    assert "Difference in differences: cost" in (folder / "out" / "report.html").read_text("utf-8")
    return lambda kind: next(c for c in result.evidence.conclusions if c.kind == kind)


def test_every_kind_that_describes_a_cohort_is_asked_here() -> None:
    kinds = {get_args(question.model_fields["kind"].annotation)[0] for question in get_args(Described)}
    assert kinds <= set(ASKED)


def test_the_federated_answers_are_those_of_the_table(
    table: pd.DataFrame, found: Callable[[str], Conclusion]
) -> None:
    cost = table["cost"].clip(upper=2_000)
    expected = {
        ("mean", "mean"): cost.mean(),
        ("cross_moments", "mean response"): table["response"].mean(),
        ("spend", "spent"): cost.sum(),
        ("utilisation", "times per patient"): (table["scan"] == "CT").mean(),
        ("utilisation", "indication match"): (
            (table["scan"] == "CT") & (table["diagnosis"] == "C34.1")
        ).sum() / (table["scan"] == "CT").sum(),
        ("adverse_events", "grade 3 or higher"): (table["grade"] >= 3).mean(),
        ("proportion", "proportion"): 0.0,
    }  # fmt: skip
    for (kind, name), value in expected.items():
        assert found(kind).stratum("all").estimates[name].value == pytest.approx(value, rel=1e-6), kind


def test_records_become_rates_milestones_and_months(
    table: pd.DataFrame, found: Callable[[str], Conclusion]
) -> None:
    year = 365.25
    inside = (table["event"] == 1) & (table["days"] <= year)
    rate = found("rate").stratum("all").estimates["rate"].value
    assert rate == pytest.approx(inside.sum() / (table["days"].clip(upper=year).sum() / year), rel=1e-6)
    due = pd.to_datetime(table["start"]) + pd.Timedelta(days=91.3125) <= pd.Timestamp("2025-12-31")
    milestones = found("milestones").stratum("all")
    assert milestones.estimates["due at day 91.3125"].value == due.sum()
    failed = due & (table["event"] == 1) & (table["days"] <= 91)
    assert milestones.estimates["failed at day 91.3125"].value == pytest.approx(failed.sum() / due.sum())
    months = pd.to_datetime(table["start"]).dt.month
    line = found("monthly").stratum("all").series["patients by month"]
    assert line.values == pytest.approx([(months == m).sum() for m in range(1, 13)])
    assert found("interrupted_time_series").stratum("all").status == "estimated"


def test_counts_and_differences_are_those_of_the_table(
    table: pd.DataFrame, found: Callable[[str], Conclusion]
) -> None:
    both = found("counts").stratum("driver=L858R").estimates["patients with arm=new"].value
    assert both == ((table["driver"] == "L858R") & (table["arm"] == "new")).sum()
    cost, after = (
        table["cost"].clip(upper=2_000),
        pd.to_datetime(table["start"]) >= pd.Timestamp("2025-07-01"),
    )
    mean = {
        (arm, late): cost[(table["arm"] == arm) & (after == late)].mean()
        for arm in ("new", "old")
        for late in (False, True)
    }
    expected = (mean["new", True] - mean["new", False]) - (mean["old", True] - mean["old", False])
    difference = found("difference_in_differences").stratum("all").estimates["difference in differences"]
    assert difference.value == pytest.approx(expected, rel=1e-6)
