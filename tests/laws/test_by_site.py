"""By site: the laws, random effects by hand, noise that is not taken for a difference, a new hospital."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.between_sites import between_sites
from fedvalue.analyses.by_site import MeansBySite
from fedvalue.analyses.cohort import Cohort, pool
from fedvalue.analyses.quantity import Quantity
from tests.laws.conftest import draw_cohort
from tests.laws.suite import AnalysisLaws, planned, with_noise, without_noise

SITES = ("a", "b", "c", "d", "e")
COST = MeansBySite(Quantity("cost", 0.0, 2000.0, "CNY"), SITES)


class TestMeansBySite(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [COST]

    def test_one_patient_at_some_place_moves_the_sum_by_at_most_the_bound(
        self, rng: np.random.Generator
    ) -> None:
        (ask,) = COST.rounds()
        scaling, found, _ = planned(ask, 1.0, honest_shares=3)
        for _ in range(200):
            cohort = replace(draw_cohort(rng, 4, 0.5), site=rng.integers(-3, 9, 4))
            keep = np.arange(3)
            less = Cohort(3, numbers={"cost": cohort.numbers["cost"][keep]}, site=cohort.site[keep])
            sums = COST.contribution(cohort, ask, scaling), COST.contribution(less, ask, scaling)
            moved = sum(int(v) ** 2 for name in sums[0] for v in sums[0][name] - sums[1][name])
            assert moved <= found.patient_bound_squared


def hospitals(rng: np.random.Generator, means: list[float], n: int = 400) -> list[Cohort]:
    return [
        Cohort(n, numbers={"cost": rng.normal(mean, 100, n)}, site=np.full(n, place))
        for place, mean in enumerate(means)
    ]


def test_random_effects_by_hand() -> None:
    # equal variances v: the between-site variance is the sample variance less v
    values = np.array([1.0, 2.0, 3.0, 6.0])
    found = between_sites(values, np.full(4, 0.5))
    assert found is not None
    assert found.mean == pytest.approx(3.0)
    assert found.between**2 == pytest.approx(np.var(values, ddof=1) - 0.5)
    # t with 3 degrees of freedom 3.182, standard error the root of (14/3)/4
    assert found.half == pytest.approx(3.1824463 * (14 / 3 / 4) ** 0.5)
    # 14 over the variance has a chi-square distribution on 3 degrees of freedom, so a new site's distance
    # is t with 3 degrees, 3.182, times the root of (14/3) (1 + 1/4), if the sites' own errors are nothing;
    # fifty points stand for the distribution and cut its tail
    exact = between_sites(values, np.full(4, 1e-6))
    assert exact is not None
    assert exact.prediction == pytest.approx(3.1824463 * (14 / 3 * 1.25) ** 0.5, rel=0.02)
    assert 0.9 * exact.prediction < found.prediction < exact.prediction
    assert found.between_low < found.between < found.between_high
    assert between_sites(values[:2], np.ones(2)) is None


def test_without_noise_each_site_has_its_own_mean(rng: np.random.Generator) -> None:
    cohorts = hospitals(rng, [800.0, 900.0, 1000.0, 1100.0, 1200.0])
    found = without_noise(COST, cohorts)
    for name, cohort in zip(SITES, cohorts, strict=True):
        mean = found.stratum(name).estimates["mean"]
        assert mean.value == pytest.approx(cohort.numbers["cost"].mean(), rel=1e-6)
        others = [float(c.numbers["cost"].mean()) for c in cohorts if c is not cohort]
        # sites of one size and spread, far apart: nearly the plain mean of the others
        assert found.stratum(name).estimates["mean over the other hospitals"].value == pytest.approx(
            np.mean(others), rel=1e-3
        )
    whole = found.stratum("all").estimates
    assert whole["standard deviation between hospitals"].value == pytest.approx(158, rel=0.1)
    new = whole["prediction for a new hospital"]
    assert (new.upper or 0) - (new.lower or 0) > 2 * 158


def test_alike_hospitals_stay_alike_under_noise(rng: np.random.Generator) -> None:
    # 60 draws; a test of level 5 % finds a difference in 3, and more than 9 in less than 1 of 1,000
    apart = 0
    for _ in range(60):
        found = with_noise(COST, pool(hospitals(rng, [1000.0] * 5)), 1.0, rng)
        between = found.stratum("all").estimates["standard deviation between hospitals"]
        apart += (between.lower or 0.0) > 0
    assert apart <= 9


def test_a_new_hospital_lies_in_its_interval(rng: np.random.Generator) -> None:
    # 120 draws of 5 hospitals and a sixth: 114 inside on average, below 105 in less than 1 of 1,000
    inside = 0
    for _ in range(120):
        means = rng.normal(1000, 120, 6)
        found = with_noise(COST, pool(hospitals(rng, means[:5].tolist(), 200)), 2.0, rng)
        new = found.stratum("all").estimates["prediction for a new hospital"]
        inside += (new.lower or 0) <= means[5] <= (new.upper or 0)
    assert inside >= 105


def test_rows_of_no_place_count_nowhere_and_few_sites_say_nothing(rng: np.random.Generator) -> None:
    nowhere = Cohort(50, numbers={"cost": np.full(50, 900.0)})
    found = without_noise(COST, [nowhere, *hospitals(rng, [900.0, 950.0])])
    assert found.stratum("all").status == "not_estimable"
    assert [found.stratum(name).status for name in SITES] == ["estimated"] * 2 + ["below_minimum"] * 3


def test_the_mean_holds_where_one_hospital_is_far_noisier_than_the_others(rng: np.random.Generator) -> None:
    """1,000 draws, 92 % or more: SE .007 at .95. Hartung and Knapp alone hold in 90.6 %."""
    variances = 0.64 / np.array([228, 102, 60, 36, 24]) + 600 / np.array([228, 102, 60, 36, 24]) ** 2
    held = 0
    for _ in range(1_000):
        values = rng.normal(0.3, np.sqrt(0.16 + variances))
        found = between_sites(values, variances)
        assert found is not None
        held += abs(found.mean - 0.3) <= found.half
    assert held >= 925
