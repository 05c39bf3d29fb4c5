"""Golden cases of case groups: DRG weights and splits, regional points, DIP, CMS criteria and C values."""

from __future__ import annotations

import csv
import json
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from fedvalue.payment.mechanisms.case_costs import GroupCosts, PayerHeld
from fedvalue.payment.mechanisms.case_points import (
    CasePointTerms,
    CoefficientTerms,
    case_points,
    hospital_coefficient,
)
from fedvalue.payment.mechanisms.dip import (
    OutlierTerms,
    outlier,
    over_years,
    relative_score,
    settlement_point_value,
    total_score,
)
from fedvalue.payment.mechanisms.severity_levels import Severity, c_value
from fedvalue.payment.mechanisms.split import SplitCriteria, conditions, cv, moments, pooled_cv, riv
from fedvalue.payment.mechanisms.weight_error import weight_estimates
from fedvalue.payment.mechanisms.weights import base_points, relative_weights

D = Decimal
FOLDER = Path(__file__).parent
CASES: dict[str, Any] = json.loads((FOLDER / "payment_mechanisms.json").read_text())["cases"]
TABLES: dict[str, Any] = json.loads((FOLDER / "cms_tables.json").read_text())
DRG = CASES["drg_subgroups"]
NAMES = list(DRG["inputs"])


def costs() -> PayerHeld:
    """A payer's books with the golden moments: squares = (n - 1) SD^2 + n mean^2."""
    groups = []
    for name, g in DRG["inputs"].items():
        n, mean, sd = g["n"], D(str(g["mean"])), D(str(g["sd"]))
        groups.append(GroupCosts(name, n, n * mean, (n - 1) * sd**2 + n * mean**2))
    total = sum((g.total for g in groups), D(0))
    return PayerHeld(2024, "CNY", "CHS-DRG 2.0", "2025", tuple(groups), 0, D(0), D(0), 0, D(0), 1000, total)


def test_weights_points_and_mean_are_those_of_the_golden_file() -> None:
    held = costs()
    weights = relative_weights(held)
    assert float(held.mean) == DRG["pooled_mean"]
    for name in NAMES:
        assert float(weights.of(name)) == pytest.approx(DRG["weights"][name], abs=1e-6)
        assert float(base_points(weights)[name]) == pytest.approx(DRG["zj_points_x100"][name], abs=1e-4)
    mean = sum(n * w for n, w in zip(weights.cases, weights.values, strict=True)) / 1000
    assert mean == DRG["case_weighted_mean_weight"]


def test_standard_errors_of_weights_are_those_of_the_golden_file() -> None:
    for name, estimate in weight_estimates(costs()).items():
        assert math.sqrt(estimate.sampling_variance) == pytest.approx(DRG["se_weight_delta"][name], abs=1e-6)
        assert estimate.privacy_variance == 0.0


def test_cv_and_riv_are_those_of_the_golden_file() -> None:
    groups = [moments(g) for g in costs().groups]
    assert [cv(g) for g in groups] == pytest.approx([DRG["cv"][n] for n in NAMES], abs=1e-6)
    assert pooled_cv(groups) == pytest.approx(DRG["pooled_cv"], abs=1e-6)
    assert float(riv(groups)) == pytest.approx(DRG["RIV"], abs=1e-6)


def test_the_split_fails_the_cases_and_passes_the_other_criteria_of_cms() -> None:
    # 400, 120 and 480 cases of 500 asked; adjacent differences 40 % and 25 %, 6,000 and 3,000 in money.
    rows = {row["criterion"]: row["three_way_123"] for row in TABLES["split_criteria"]}

    def number(name: str) -> D:
        return D(rows[name].split()[0].rstrip("%"))

    criteria = SplitCriteria(
        int(number("min_cases")),
        number("min_share") / 100,
        number("min_relative_cost_difference") / 100,
        number("min_absolute_cost_difference_usd"),
        number("min_R2_percent") / 100,
        None,
        "USD",
    )
    golden = DRG["cms_five_criteria_adjacent"]
    assert conditions([moments(g) for g in costs().groups], criteria) == {
        "minimum_cases": golden["min_n_500_all"],
        "minimum_share": golden["min_share_5pct_all"],
        "relative_difference": all(x >= 0.2 for x in golden["diff_20pct_all"]),
        "absolute_difference": True,
        "minimum_riv": golden["R2_ge_3pct"],
    }


@pytest.mark.parametrize("row", TABLES["cc_interpolation"], ids=lambda r: r["subclass"])
def test_c_values_are_the_published_ones(row: dict[str, str]) -> None:
    severity: Severity = {"NonCC": "none", "CC": "cc", "MCC": "mcc"}[row["subclass"]]  # type: ignore[assignment]  # a literal from a table
    found = c_value(severity, D(row["actual_avg_cost"]), low=D(row["bound_low"]), high=D(row["bound_high"]))
    assert float(found) == pytest.approx(float(row["C_published"]), abs=0.005)


@pytest.mark.parametrize("case", CASES["zj2025_case_points"], ids=str)
def test_case_points_of_zhejiang_2025(case: dict[str, Any]) -> None:
    terms = CasePointTerms(D("0.4"), D("0.8"), D("0.2"))
    points = case_points(terms, Fraction(str(case["multiple"])), Fraction(case["base_points"]))
    assert points == Fraction(str(case["points"]))


@pytest.mark.parametrize("case", CASES["shaoxing2020_diffcoef"], ids=str)
def test_the_hospital_coefficient_of_shaoxing_2020(case: dict[str, Any]) -> None:
    terms = CoefficientTerms(D("0.2"), D("0.3902"), D("1.6279"), 5)
    found = hospital_coefficient(
        terms, level=D(str(case["level"])), hospital=D(str(case["hospital"])), cases=case["n"]
    )
    assert found == Fraction(str(case["coef"]))


def test_the_dip_score_is_that_of_the_golden_file() -> None:
    golden = CASES["dip_score"]
    group, everybody = (D(9000), D(9600), D(10000)), (D(8000), D(8200), D(8400))
    assert over_years(group, (1, 2, 7)) == golden["group_mean_1_2_7"]
    assert over_years(everybody, (1, 2, 7)) == golden["all_mean_1_2_7"]
    score = relative_score(group, everybody, (1, 2, 7))
    assert float(score) == pytest.approx(golden["RW"], abs=1e-6)
    assert float(1000 * score) == pytest.approx(golden["RW_x1000"], abs=1e-4)


@pytest.mark.parametrize("case", CASES["dip_outlier_coef"], ids=str)
def test_dip_outliers_are_those_of_the_golden_file(case: dict[str, Any]) -> None:
    found = outlier(OutlierTerms(D("0.5"), D("2.0"), D("5.0")), D(str(case["multiple"])))
    assert found.kind == {"extreme_expert_review": "expert_review"}.get(case["cls"], case["cls"])
    assert found.coefficient == (None if case["coef"] is None else Fraction(str(case["coef"])))


def test_the_settlement_point_value_is_that_of_the_golden_file() -> None:
    golden = CASES["dip_point_value"]
    # 1,200 x 1.1782 + 5,000 x .85 + 800 x 2.4 = 7,583.84; 90 m / .75 / 7,583.84 = 15,823.118631
    scores = {"a": Fraction("1.1782"), "b": Fraction("0.85"), "c": Fraction("2.4")}
    score = total_score(scores, {"a": 1200, "b": 5000, "c": 800})
    assert score == Fraction(str(golden["total_score"]))
    value = settlement_point_value(D(golden["fund"]), D(str(golden["reimb_rate"])), score)
    assert float(value) == pytest.approx(golden["settlement_point_value"], abs=1e-6)


def test_the_copied_tables_are_those_of_the_shared_data(shared_data: Path) -> None:
    for name, file in (
        ("split_criteria", "cms_msdrg_split_criteria.csv"),
        ("cc_interpolation", "cms_cc_interpolation_example.csv"),
        ("msr_one_sided", "mssp_msr_one_sided.csv"),
    ):
        with (shared_data / "payment" / file).open(newline="") as handle:
            assert list(csv.DictReader(handle)) == TABLES[name]
