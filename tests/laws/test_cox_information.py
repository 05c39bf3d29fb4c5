"""A Cox model's curvature under noise, its drifts, its baselines, and refusals that say what would do."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fedvalue.analyses import hazard, newton
from fedvalue.analyses.analysis import NoisyBlock
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.cox import CoxModel
from fedvalue.analyses.cox_baseline import hazards_of
from fedvalue.analyses.cox_information import Curvature
from fedvalue.analyses.design import Covariate, Design
from fedvalue.analyses.follow_up import FollowUp
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.hazard import HATS, Baseline, Followed
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.life_table import RiskTable
from tests.laws.suite import with_noise

KNOTS = np.linspace(0.0, 10.0, HATS)
BASELINE = Baseline.of(np.full(10, 0.1), KNOTS)


def followed_for(stop: np.ndarray, event: np.ndarray, x: np.ndarray, beta: float) -> list[hazard.Spell]:
    time = FollowUp(np.zeros(len(stop)), stop, event, np.ones(len(stop), dtype=bool))
    return hazard.spells(BASELINE, Followed(time, None, x), np.array([beta]), 3.0)


def test_where_the_model_holds_observed_and_predicted_curvature_have_one_mean(
    rng: np.random.Generator,
) -> None:
    # sums of 40,000: z-scores of all 15 numbers are below 4.5 but for 1 seed in 10,000
    n, beta = 40_000, 0.5
    x = rng.choice([-1.0, 0.5, 1.0], n)[:, None]
    time = rng.exponential(1.0, n) * 10 / np.exp(beta * x[:, 0])
    stop = np.minimum(time, 10.0)
    event = np.where(time < 10, np.floor(stop), -1).astype(np.int64)
    parts = followed_for(stop, event, x, beta)
    apart = hazard.observed_rows(BASELINE, event, parts) - hazard.curvature_rows(parts)
    # hats that never meet are 0 in both
    z = apart.sum(axis=0) / np.sqrt((apart**2).sum(axis=0) + 1e-12)
    assert np.abs(z).max() < 4.5


def test_an_observed_row_is_at_most_as_long_as_its_bound_says(rng: np.random.Generator) -> None:
    x = rng.uniform(-1, 1, (500, 1))
    event = rng.integers(0, 10, 500)
    rows = hazard.observed_rows(BASELINE, event, followed_for(event + 1.0, event, x, -2.0))
    assert (np.linalg.norm(rows, axis=1) <= 1 + x[:, 0] ** 2 + 1e-9).all()


def known_of(events: np.ndarray) -> Curvature:
    return Curvature.of(BASELINE.hats, events, columns=1, weighted=False)


def test_drifts_shrink_to_a_shared_level_and_slope_as_noise_grows() -> None:
    known = known_of(np.full((2, 10), 100.0))
    # 1,000 events a stratum over 4 hats: about 100 along the least known of their curves
    assert known.drift(0.0)[0].shape == (8, 8)
    assert known.drift(1.0)[0].shape == (8, 8)
    shared, unsteady = known.drift(100.0**2)
    assert shared.shape == (8, 2)
    np.testing.assert_allclose(shared[:4], shared[4:])
    np.testing.assert_allclose(shared.T @ shared, np.eye(2), atol=1e-12)
    # twice the noise is twice as unsteady, and no events are not steady at all
    assert known.drift(200.0**2)[1] == pytest.approx(2 * unsteady)
    assert known_of(np.zeros((2, 10))).drift(1.0)[1] == np.inf


def test_observed_curvatures_of_rounds_are_averaged_by_their_precision() -> None:
    own, shared = hazard.curvature_size(1)

    def block(value: float, variance: float) -> NoisyBlock:
        return NoisyBlock(np.full(own + shared, int(value)), Fraction(1), variance)

    known = known_of(np.full((1, 10), 5.0))
    known, _, _ = known.told({"curvature": block(0, 1.0), "observed": block(10, 1.0)}, exact=False)
    known, matrix, variance = known.told(
        {"curvature": block(0, 1.0), "observed": block(30, 3.0)}, exact=False
    )
    # (10 / 1 + 30 / 3) / (1 / 1 + 1 / 3) = 15, with the variance 3/4
    assert matrix[-1, -1] == pytest.approx(15.0)
    assert variance == pytest.approx(0.75)
    # hats add to 1 in every interval: their own part comes from the 50 events of the table
    assert matrix[:HATS, :HATS].sum() == pytest.approx(50.0)


def test_under_noise_a_baseline_is_the_events_of_a_stretch_over_its_time_at_risk() -> None:
    small = np.full((10, 1), 1e-6)
    table = RiskTable(
        np.arange(11.0), np.full(11, 100.0), np.full(10, 2.0), np.full((11, 1), 1e-6), small, half=False
    )
    np.testing.assert_allclose(hazards_of(table, exact=False), 0.02)
    # noise of 3 events in 10 intervals, of which each stretch has as much: only one stretch is told apart
    events = np.array([0.0, 4, 0, 4, 0, 4, 0, 4, 0, 4])
    noisy = RiskTable(table.edges, table.at_risk, events, table.at_risk_noise, 1.0 * np.eye(10), half=False)
    assert len(np.unique(hazards_of(noisy, exact=False).round(12))) <= 2


def test_an_averaged_search_asks_at_the_mean_of_the_rounds_after_the_second() -> None:
    # the curvature is 1: a round at b with the score g says b + g
    search = newton.begin(np.zeros(1), np.eye(1), 0.0)
    for score in (5.0, -3.0, 1.0):
        search = newton.step(search, newton.Told(np.array([score]), 1.0), averaged=True)
    # rounds say 5, then 5 - 3 = 2, at which the third is asked and says 3: the mean of 2 and 3
    assert search.at == pytest.approx([2.5])


def test_few_patients_at_a_small_budget_have_no_hazard_ratio_but_what_would_do(
    rng: np.random.Generator,
) -> None:
    curves = KaplanMeierByGroup("os", Groups((), ()), tuple(30.0 * i for i in range(25)), True)
    analysis = CoxModel(curves, Design((Covariate("arm", None, ("a", "b")),), intercept=False))
    n = 800
    time = rng.exponential(500.0, n)
    cohort = Cohort(
        n, {"arm": rng.integers(0, 2, n)},
        survival={"os": SurvivalOutcome(np.zeros(n), time, np.ones(n, dtype=np.int64))},
    )  # fmt: skip
    for _ in range(5):
        found = with_noise(analysis, cohort, 0.5, rng, shared=True).strata[0]
        assert found.status == "not_estimable"
        assert not found.estimates
        assert found.reason == "privacy"
    assert with_noise(analysis, cohort, 8.0, rng, shared=True).strata[0].status == "estimated"
