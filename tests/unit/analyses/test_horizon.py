"""Calibration of a survival model at its horizon: by hand, against lifelines, and honest about its errors."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines import KaplanMeierFitter

from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.concordance import Grid
from fedvalue.analyses.horizon import BY_RISK, OBSERVED, OVER, PREDICTED, SLOPE, LifeTable, at_horizon
from fedvalue.analyses.model_evaluation import EvaluationOfModel
from fedvalue.analyses.risk import Risk
from tests.laws.suite import with_noise, without_noise

MONTHS = tuple(30.0 * i for i in range(13))
"""A year."""

ASKED = EvaluationOfModel(
    Risk("risk"), "", "exclude", tuple(i / 10 for i in range(1, 10)),
    grid=Grid("os", MONTHS, delayed=False), horizon=True,
)  # fmt: skip


def table(*exits: tuple[float, float], predicted: float = 1.0, noise: float = 0.0) -> LifeTable:
    return LifeTable(np.array(exits), noise, predicted, noise)


def people(n: int, seed: int, *, off: float = 1.0, lost: float = 600.0) -> Cohort:
    """Patients whose risk within a year is ``off`` times what the model says, many of them lost before."""
    rng = np.random.default_rng(seed)
    risk = rng.uniform(0.05, 0.6, n)
    hazard = -np.log(1 - risk * off) / 360
    dies, leaves = rng.exponential(1 / hazard), rng.exponential(lost, n)
    outcome = SurvivalOutcome(np.zeros(n), np.minimum(dies, leaves), (dies <= leaves).astype(np.int64))
    return Cohort(n, {}, {"risk": risk}, survival={"os": outcome})


def test_a_life_table_by_hand() -> None:
    # 10 people: 2 die and 2 are lost in the first interval, 1 dies and 1 is lost in the second, 4 live on.
    # q1 = 2 / (10 - 1) = 2/9, q2 = 1 / (6 - 1/2) = 2/11; S = 7/9 x 9/11 = 7/11
    found = table((2, 2), (1, 1), (0, 4)).risk()
    assert found is not None
    assert found.value == pytest.approx(4 / 11)
    # Greenwood: S^2 (2 / (9 x 7) + 1 / (5.5 x 4.5))
    assert found.sampling_variance == pytest.approx((7 / 11) ** 2 * (2 / 63 + 1 / 24.75))
    assert found.privacy_variance == 0.0


def test_the_noise_of_a_risk_is_its_gradient_times_that_of_the_cells() -> None:
    exits, step = np.array([(200.0, 100.0), (150.0, 120.0), (0.0, 430.0)]), 1e-4
    found = LifeTable(exits, 2.0, 100.0, 1.0).risk()
    assert found is not None

    def risk(at: np.ndarray) -> float:
        told = LifeTable(at, 0.0, 100.0, 0.0).risk()
        assert told is not None
        return told.value

    squared = 0.0
    for place in np.ndindex(3, 2):
        moved = exits.copy()
        moved[place] += step
        squared += ((risk(moved) - risk(exits)) / step) ** 2
    assert found.privacy_variance == pytest.approx(2.0 * squared, rel=1e-3)


def test_without_noise_the_observed_risk_is_that_of_lifelines_and_predictions_are_exact() -> None:
    cohort = people(8000, 1, off=1.3)
    found = without_noise(ASKED, [cohort]).stratum("all")
    outcome = cohort.survival["os"]
    fitted = KaplanMeierFitter().fit(outcome.exit, outcome.event)
    assert found.estimates[OBSERVED].value == pytest.approx(1 - float(fitted.predict(360.0)), abs=2e-3)
    assert found.estimates[PREDICTED].value == pytest.approx(float(cohort.numbers["risk"].mean()), abs=1e-6)
    assert found.estimates[OVER].value == pytest.approx(1.3, abs=0.05)
    assert found.estimates[SLOPE].value == pytest.approx(1.3, abs=0.1)
    curve = found.series[BY_RISK]
    assert list(curve.x) == sorted(curve.x)
    assert "concordance index" in found.estimates


def test_who_is_lost_early_is_not_taken_for_a_survivor() -> None:
    # a hundred days of follow-up on average: counted as survivors, the lost would hide most of the deaths
    cohort = people(20_000, 2, lost=100.0)
    found = without_noise(ASKED, [cohort]).stratum("all").estimates
    assert found[OVER].value == pytest.approx(1.0, abs=0.06)
    naive = float((cohort.survival["os"].event == 1).mean()) / float(cohort.numbers["risk"].mean())
    assert naive < 0.5


def test_with_noise_the_intervals_cover_the_truth_and_say_how_much_of_them_is_privacy() -> None:
    rng = np.random.default_rng(7)
    # 95 % of 80 is 76 +- 2; fewer than 68 would happen once in 10^4 runs
    covered = {OBSERVED: 0, OVER: 0, SLOPE: 0}
    for number in range(80):
        cohort = people(3000, 100 + number)
        found = with_noise(ASKED, cohort, 3.0, rng).stratum("all").estimates
        truth = {OBSERVED: float(cohort.numbers["risk"].mean()), OVER: 1.0, SLOPE: 1.0}
        for name, value in truth.items():
            one = found[name]
            assert one.privacy_variance > 0
            covered[name] += (one.lower or 0.0) <= value <= (one.upper or 0.0)
    assert min(covered.values()) >= 68, covered


def test_where_those_at_risk_are_lost_in_the_noise_nothing_is_told() -> None:
    assert table((2, 2), (1, 1), (0, 4), noise=400.0).risk() is None
    assert table((5, 0), (0, 0)).risk() is None  # everybody died: no risk is left to tell apart
    assert at_horizon([table((2, 2), (1, 1), (0, 4), noise=400.0)], 1.0) == ({}, {})


def test_a_prediction_that_is_no_risk_by_the_horizon_has_no_place_in_its_bins_released() -> None:
    plain = EvaluationOfModel(Risk("risk"), "", "exclude", (0.5,), grid=Grid("os", MONTHS, delayed=False))
    assert "time_offsets" not in {block.name for block in plain.rounds()[0].blocks}
    assert "time_offsets" in {block.name for block in ASKED.rounds()[0].blocks}
