"""The laws for means and spreads, and agreement with numpy and scipy on pooled patients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import Cohort, pool
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.mean import MeanByGroup
from fedvalue.analyses.quantity import Quantity
from tests.laws.conftest import draw_cohort
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

EGFR = Groups(("egfr",), (("mutated", "wild type", "not tested"),))
EVERYBODY = Groups((), ())
COST = Quantity("cost", 0.0, 60_000.0, "CNY")
SMALL = Quantity("cost", 0.0, 2_000.0, "CNY")


class TestMeanLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [MeanByGroup(COST, EGFR), MeanByGroup(Quantity("age", -3.0, 55.5, "years"), EVERYBODY)]


def test_hand_worked_mean_variance_and_coefficient_of_variation() -> None:
    # four times 10, 20, 60, and four unknown: mean 30, sample variance 4 (400 + 100 + 900) / 11 = 5600 / 11
    cohort = Cohort(16, numbers={"cost": np.array([10.0, 20.0, 60.0, np.nan] * 4)})
    stratum = without_noise(MeanByGroup(Quantity("cost", 0.0, 60.0, "CNY"), EVERYBODY), [cohort]).strata[0]
    found = stratum.estimates
    assert found["mean"].value == pytest.approx(30.0)
    assert found["mean"].unit == "CNY"
    assert found["variance"].value == pytest.approx(5600 / 11)
    assert found["variance"].unit == "CNY^2"
    assert found["standard deviation"].value == pytest.approx((5600 / 11) ** 0.5)
    assert found["coefficient of variation"].value == pytest.approx((5600 / 11) ** 0.5 / 30)
    assert found["at the upper end of the clip"].value == pytest.approx(1 / 3)
    assert found["at the lower end of the clip"].value == 0.0
    assert found["missing"].value == pytest.approx(1 / 4)
    assert stratum.released["patients"].value == 12


def test_without_noise_mean_and_spread_are_those_of_numpy_and_the_interval_is_that_of_scipy(
    rng: np.random.Generator,
) -> None:
    cohorts = [draw_cohort(rng, n, 0.0) for n in (300, 20, 180)]
    whole = pool(cohorts)
    found = without_noise(MeanByGroup(SMALL, EGFR), cohorts)
    for level, name in enumerate(EGFR.levels[0]):
        cost = np.clip(whole.numbers["cost"][whole.categories["egfr"] == level], 0, 2_000)
        estimates = found.stratum(f"egfr={name}").estimates
        mean = estimates["mean"]
        assert mean.value == pytest.approx(cost.mean(), rel=1e-6)
        assert mean.sampling_variance == pytest.approx(stats.sem(cost) ** 2, rel=1e-6)
        assert mean.privacy_variance == 0.0
        low, high = stats.norm.interval(0.95, cost.mean(), stats.sem(cost))
        assert (mean.lower, mean.upper) == pytest.approx((low, high), rel=1e-6)
        assert estimates["variance"].value == pytest.approx(cost.var(ddof=1), rel=1e-6)
        found_cv = estimates["coefficient of variation"]
        assert found_cv.value == pytest.approx(stats.variation(cost, ddof=1), rel=1e-6)
    everybody = np.clip(whole.numbers["cost"], 0, 2_000)
    assert found.stratum("all").estimates["mean"].value == pytest.approx(everybody.mean(), rel=1e-6)


@pytest.mark.parametrize(("patients", "epsilon"), [(120, 3.0), (400, 1.0), (2000, 0.5)])
def test_with_noise_intervals_cover_what_was_planted(
    rng: np.random.Generator, patients: int, epsilon: float
) -> None:
    # Gamma(2, 5000): mean 10,000, SD sqrt(2) 5,000, CV sqrt(1/2); the clip at 60,000 leaves 8e-5 out.
    # 300 runs; a true coverage of .92 gives fewer than 261 with probability 1e-3 (binomial).
    analysis = MeanByGroup(COST, EVERYBODY)
    truth = {"mean": 10_000, "standard deviation": 50**0.5 * 1000, "coefficient of variation": 0.5**0.5}
    covered = dict.fromkeys(truth, 0)
    for _ in range(300):
        cohort = Cohort(patients, numbers={"cost": rng.gamma(2.0, 5000.0, patients)})
        estimates = with_noise(analysis, cohort, epsilon, rng).strata[0].estimates
        for name, planted in truth.items():
            interval = estimates.get(name)
            lower = 0.0 if interval is None else interval.lower or 0.0
            upper = None if interval is None else interval.upper
            covered[name] += lower <= planted and (upper is None or planted <= upper)
    assert min(covered.values()) >= 261


def test_the_interval_without_its_privacy_part_would_not_cover(rng: np.random.Generator) -> None:
    # The noise is most of the error at epsilon .5: sampling alone covers far less than nine in ten.
    analysis, covered = MeanByGroup(COST, EVERYBODY), 0
    for _ in range(200):
        cohort = Cohort(400, numbers={"cost": rng.gamma(2.0, 5000.0, 400)})
        mean = with_noise(analysis, cohort, 0.5, rng).strata[0].estimates["mean"]
        assert mean.privacy_variance > mean.sampling_variance
        covered += abs(mean.value - 10_000) <= 1.96 * (5000 * 2**0.5) / 20
    assert covered < 140


def test_nobody_with_a_value_gives_a_refusal_and_one_value_no_spread() -> None:
    nobody = without_noise(MeanByGroup(COST, EVERYBODY), [Cohort(3, numbers={"cost": np.full(3, np.nan)})])
    assert nobody.strata[0].status == "below_minimum"
    one = without_noise(MeanByGroup(COST, EVERYBODY), [Cohort(1, numbers={"cost": np.array([5.0])})])
    assert one.strata[0].estimates["mean"].value == pytest.approx(5.0, abs=1e-3)


def test_a_few_patients_under_noise_are_not_estimable_and_a_remedy_is_named(rng: np.random.Generator) -> None:
    stratum = with_noise(MeanByGroup(COST, EVERYBODY), draw_cohort(rng, 40, 0.0), 0.3, rng).strata[0]
    assert stratum.status == "not_estimable"
    assert stratum.reason == "privacy"
    assert stratum.remedy is not None


def test_a_constant_has_no_variance_and_no_silent_number() -> None:
    constant = Cohort(50, numbers={"cost": np.full(50, 12_345.0)})
    estimates = without_noise(MeanByGroup(COST, EVERYBODY), [constant]).strata[0].estimates
    assert estimates["mean"].value == pytest.approx(12_345.0)
    assert estimates["standard deviation"].value == pytest.approx(0.0, abs=5.0)
