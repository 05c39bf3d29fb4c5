"""Calibration: the laws, hand-worked bins, scipy without noise, honest intervals with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.calibration import NOT_ASSESSED, CalibrationByGroup
from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.risk import Risk, Term
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

LEVELS = ("mutated", "wild type", "not tested")
BY_EGFR = Groups(("egfr",), (LEVELS,))
ONE = CalibrationByGroup("response", "exclude", Risk("risk"), Groups((), ()), 10)
MODEL = Risk(
    "", (Term("", -3.0), Term("age", 0.04, (18.0, 95.0)), Term("egfr", 0.7, None, LEVELS, "mutated"))
)


class TestCalibration(AnalysisLaws):
    PAIRS = 300

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        by_model = CalibrationByGroup("response", "non_response", MODEL, BY_EGFR, 5)
        return [by_model, replace(ONE, risk=Risk("cost"), groups=BY_EGFR)]


def cohort(risk: np.ndarray, status: np.ndarray, egfr: np.ndarray | None = None) -> Cohort:
    level = np.zeros(len(risk), dtype=np.int64) if egfr is None else egfr
    return Cohort(len(risk), {"egfr": level}, {"risk": risk}, {"response": BinaryOutcome(status)})


def test_four_patients_by_hand() -> None:
    # risks .1 (no), .3 (yes), .6 (no), .8 (yes), and one with no outcome, in two bins
    found = without_noise(
        replace(ONE, bins=2),
        [cohort(np.array([0.1, 0.3, 0.6, 0.8, 0.5]), np.array([0, 1, 0, 1, -1]))],
    ).stratum("all")
    # pairs: .3 ties .1 (1/2), .3 below .6 (0), .8 above .1 (1), .8 ties .6 (1/2): 2 of 4
    assert found.estimates["area under the ROC curve"].value == pytest.approx(0.5)
    # 2/4 observed, (.1 + .3 + .6 + .8) / 4 = .45 predicted
    assert found.estimates["observed less predicted"].value == pytest.approx(0.05)
    assert found.estimates["observed over predicted"].value == pytest.approx(2 / 1.8)
    line = found.series["observed by predicted risk"]
    assert line.x == pytest.approx((0.2, 0.7))
    assert line.values == pytest.approx((0.5, 0.5))
    # threshold .5: one true and one false positive of four: 1/4 - 1/4 x 1; treating all: 2/4 - 2/4
    assert found.series["net benefit"].values == pytest.approx((0.0,), abs=1e-9)
    assert found.released["left out"].value == 1


def test_the_area_is_that_of_scipy_s_rank_test_on_binned_scores(rng: np.random.Generator) -> None:
    risk = rng.beta(2, 3, 900)
    status = (rng.random(900) < risk).astype(np.int64)
    found = without_noise(ONE, [cohort(risk[i::3], status[i::3]) for i in range(3)]).stratum("all")
    binned = np.floor(risk * 10)
    # U counts pairs in the right order, ties one half
    pairs = mannwhitneyu(binned[status == 1], binned[status == 0]).statistic
    expected = pairs / ((status == 1).sum() * (status == 0).sum())
    assert found.estimates["area under the ROC curve"].value == pytest.approx(expected, rel=1e-6)


def test_a_published_model_predicts_what_its_formula_says() -> None:
    people = Cohort(
        4,
        {"egfr": np.array([0, 1, 2, -1])},
        {"age": np.array([50.0, 50.0, 200.0, 50.0])},
    )
    # -3 + .04 x 50 + .7 = -.3; -1; the age is clipped to 95: .8; an unknown level has no prediction
    expected = 1 / (1 + np.exp([0.3, 1.0, -0.8]))
    assert MODEL.values(people)[:3] == pytest.approx(expected)
    assert np.isnan(MODEL.values(people)[3])


def test_a_small_group_is_not_assessed_and_never_called_fair(rng: np.random.Generator) -> None:
    n = 4000
    risk, egfr = rng.beta(2, 3, n), np.where(np.arange(n) < 30, 1, 0)
    status = (rng.random(n) < risk).astype(np.int64)
    found = with_noise(replace(ONE, groups=BY_EGFR), cohort(risk, status, egfr), 1.0, rng)
    assert found.stratum("egfr=wild type").status != "estimated"
    assert found.stratum("egfr=wild type").estimates == {}
    assert found.stratum("egfr=mutated").status == "estimated"
    assert NOT_ASSESSED in found.notes


def test_all_alike_has_no_area(rng: np.random.Generator) -> None:
    found = without_noise(ONE, [cohort(rng.random(200), np.ones(200, dtype=np.int64))]).stratum("all")
    assert "area under the ROC curve" not in found.estimates


def test_intervals_hold_the_truth_under_noise(rng: np.random.Generator) -> None:
    # 120 draws of 1,500 patients at epsilon 1; risks are a fifth too low: truth by a sample of a million.
    # 480 intervals of 95 %: the chance of less than 92.5 % is below 1 in 1,000 where they are independent
    big = rng.beta(2, 3, 1_000_000)
    truth_status = (rng.random(len(big)) < big).astype(np.int64)
    whole = without_noise(ONE, [cohort(big * 0.8, truth_status)]).stratum("all")
    inside, asked = 0, 0
    for _ in range(120):
        risk = rng.beta(2, 3, 1500)
        status = (rng.random(1500) < risk).astype(np.int64)
        found = with_noise(ONE, cohort(risk * 0.8, status), 1.0, rng).stratum("all")
        for name, truth in whole.estimates.items():
            estimate = found.estimates[name]
            asked += 1
            inside += (estimate.lower or -9) <= truth.value <= (estimate.upper or 9)
        benefit, exact = found.series["net benefit"], whole.series["net benefit"]
        asked += 1
        inside += benefit.lower[2] <= exact.values[2] <= benefit.upper[2]
    assert inside >= 0.925 * asked
