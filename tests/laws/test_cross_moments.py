"""The laws for cost and effect together, and agreement with numpy on pooled patients."""

from __future__ import annotations

import numpy as np
import pytest

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.analyses.cross_moments import CrossMomentsByGroup
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.quantity import Quantity
from tests.laws.conftest import draw_cohort
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

EGFR = Groups(("egfr",), (("mutated", "wild type", "not tested"),))
EVERYBODY = Groups((), ())
COST = Quantity("cost", 0.0, 3_000.0, "CNY")
AGE = Quantity("age", 0.0, 120.0, "years")
RESPONSE = Quantity("response", 0.0, 1.0, "probability", "exclude")


class TestCrossMomentsLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [CrossMomentsByGroup(COST, AGE, EGFR), CrossMomentsByGroup(COST, RESPONSE, EVERYBODY)]


def test_hand_worked_means_covariance_and_cost_per_effect() -> None:
    # costs 100 200 600, effects 1 0 1, one without a cost left out:
    # means 300 and 2/3, covariance (with divisor n) (100 + 0 + 600)/3 - 300 x 2/3 = 100/3, ratio 450
    cohort = Cohort(
        4, numbers={"cost": np.array([100.0, 200.0, 600.0, np.nan])},
        binary={"response": BinaryOutcome(np.array([1, 0, 1, 1]))},
    )  # fmt: skip
    stratum = without_noise(CrossMomentsByGroup(COST, RESPONSE, EVERYBODY), [cohort] * 6).strata[0]
    assert stratum.estimates["mean cost"].value == pytest.approx(300.0)
    assert stratum.estimates["mean response"].value == pytest.approx(2 / 3)
    assert stratum.estimates["cost per response"].value == pytest.approx(450.0)
    assert stratum.joint is not None
    assert stratum.joint.sampling[0][1] == pytest.approx(100 / 3 / 18)
    assert stratum.released["missing"].value == 6


def test_without_noise_the_errors_go_together_as_in_the_pooled_patients(rng: np.random.Generator) -> None:
    cohort = draw_cohort(rng, 500, 0.0)
    stratum = without_noise(CrossMomentsByGroup(COST, AGE, EVERYBODY), [cohort]).strata[0]
    x = np.clip(cohort.numbers["cost"], 0, 3_000)
    y = np.clip(cohort.numbers["age"], 0, 120)
    assert stratum.joint is not None
    expected = np.cov(x, y, ddof=1) / 500
    found = np.array(stratum.joint.sampling)
    np.testing.assert_allclose(np.diag(found), np.diag(expected), rtol=1e-6)
    assert found[0, 1] == pytest.approx(expected[0, 1] * 499 / 500, rel=1e-5)
    assert np.array(stratum.joint.privacy).tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(("patients", "epsilon"), [(300, 3.0), (2000, 0.5)])
def test_with_noise_means_and_their_ratio_cover(
    rng: np.random.Generator, patients: int, epsilon: float
) -> None:
    # Cost 1,000 and 600 more for the half that respond: means 1,300 and .5, ratio 2,600.
    # 300 runs; a true coverage of .93 gives fewer than 264 with probability 1e-3 (binomial).
    analysis = CrossMomentsByGroup(COST, RESPONSE, EVERYBODY)
    truth = {"mean cost": 1_300.0, "mean response": 0.5, "cost per response": 2_600.0}
    covered = dict.fromkeys(truth, 0)
    for _ in range(300):
        responds = (rng.random(patients) < 0.5).astype(np.int64)
        cost = 1_000 + 600 * responds + rng.normal(0.0, 200.0, patients)
        cohort = Cohort(patients, numbers={"cost": cost}, binary={"response": BinaryOutcome(responds)})
        stratum = with_noise(analysis, cohort, epsilon, rng).strata[0]
        for name, planted in truth.items():
            found = stratum.estimates[name]
            assert found.lower is not None
            covered[name] += found.lower <= planted and (found.upper is None or planted <= found.upper)
    assert min(covered.values()) >= 264


def test_the_privacy_covariance_of_the_means_is_that_of_the_noise(rng: np.random.Generator) -> None:
    # 700 releases of one cohort: an estimated variance is off by 5 % (one standard deviation)
    cohort = draw_cohort(rng, 400, 0.0)
    analysis = CrossMomentsByGroup(COST, AGE, EVERYBODY)
    runs = [with_noise(analysis, cohort, 2.0, rng).strata[0] for _ in range(700)]
    means = np.array([[run.estimates[n].value for n in ("mean cost", "mean age")] for run in runs])
    stated = np.mean([np.array(run.joint.privacy) for run in runs if run.joint is not None], axis=0)
    observed = np.cov(means.T)
    scale = np.sqrt(np.outer(np.diag(observed), np.diag(observed)))
    assert (np.abs(stated - observed) / scale).max() < 0.15


def test_no_cost_per_effect_is_given_where_the_effect_may_be_nothing() -> None:
    cohort = Cohort(
        20, numbers={"cost": np.full(20, 500.0)},
        binary={"response": BinaryOutcome(np.eye(20, dtype=np.int64)[0])},
    )  # fmt: skip
    stratum = without_noise(CrossMomentsByGroup(COST, RESPONSE, EVERYBODY), [cohort]).strata[0]
    assert "cost per response" not in stratum.estimates


def test_the_difference_of_two_arms_is_that_of_their_means_with_added_errors(
    rng: np.random.Generator,
) -> None:
    cohort = draw_cohort(rng, 900, 0.0)
    found = without_noise(CrossMomentsByGroup(COST, AGE, EGFR, compare=True), [cohort])
    first, second, apart = (
        found.stratum("egfr=mutated"),
        found.stratum("egfr=wild type"),
        found.stratum("difference"),
    )
    assert apart.estimates["cost"].value == pytest.approx(
        first.estimates["mean cost"].value - second.estimates["mean cost"].value
    )
    assert apart.estimates["effect"].sampling_variance == pytest.approx(
        first.estimates["mean age"].sampling_variance + second.estimates["mean age"].sampling_variance
    )
    assert apart.joint is not None
    assert first.joint is not None
    assert second.joint is not None
    assert apart.joint.sampling[0][1] == pytest.approx(
        first.joint.sampling[0][1] + second.joint.sampling[0][1]
    )
    assert any("only if chance assigned them" in note for note in found.notes)


def test_without_one_arm_there_is_no_difference(rng: np.random.Generator) -> None:
    cohort = draw_cohort(rng, 40, 0.0)
    found = with_noise(CrossMomentsByGroup(COST, AGE, EGFR, compare=True), cohort, 1.0, rng)
    apart = found.stratum("difference")
    assert apart.status != "estimated"
    assert not apart.estimates
