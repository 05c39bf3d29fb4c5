"""The laws for utilisation, spending and adverse events, worked by hand and counted plainly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fedvalue.analyses.adverse_events import AdverseEventsByGroup
from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.spend import SpendByGroup
from fedvalue.analyses.utilisation import UtilisationByGroup
from tests.laws.conftest import draw_cohort
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

EGFR = Groups(("egfr",), (("mutated", "wild type", "not tested"),))
EVERYBODY = Groups((), ())
VISITS = Quantity("visits", 0.0, 6.0, "visits")
REASONS = Quantity("reasons", 0.0, 3.0, "diagnoses")
COST = Quantity("cost", 0.0, 2_000.0, "CNY")


class TestUtilisationLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [
            UtilisationByGroup(VISITS, EGFR),
            UtilisationByGroup(VISITS, EVERYBODY, Quantity("age", 0.0, 100.0, "years")),
        ]


class TestSpendLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [SpendByGroup(COST, EGFR, 1e6)]


class TestAdverseEventsLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [AdverseEventsByGroup("grade", EGFR), AdverseEventsByGroup("grade", EVERYBODY)]


def test_hand_worked_tests_per_patient_repeats_and_indication_match() -> None:
    # 0 1 1 2 9 times (9 counts as 6), and one unknown: mean 10/5, any 4/5, repeated 2 of 4;
    # indicated are the patients with 1, 2 and 0 times: match 2 of 4, with any 2 of the 3 indicated
    cohort = Cohort(
        6,
        numbers={
            "visits": np.array([0.0, 1.0, 1.0, 2.0, 9.0, np.nan]),
            "reasons": np.array([1.0, 2.0, 0.0, 1.0, 0.0, 1.0]),
        },
    )
    found = without_noise(UtilisationByGroup(VISITS, EVERYBODY, REASONS), [cohort]).strata[0].estimates
    assert found["times per patient"].value == pytest.approx(10 / 5)
    assert found["times per patient"].unit == "visits per patient"
    assert found["with any"].value == pytest.approx(4 / 5)
    assert found["repeated, of those with any"].value == pytest.approx(2 / 4)
    assert found["indication match"].value == pytest.approx(2 / 4)
    assert found["with any, of the indicated"].value == pytest.approx(2 / 3)
    assert found["missing"].value == pytest.approx(1 / 6)
    # the sample variance of 0 1 1 2 6 is (4 + 1 + 1 + 0 + 16) / 4 = 5.5
    assert found["times per patient"].sampling_variance == pytest.approx(5.5 / 5)


def test_without_noise_the_interval_of_times_per_patient_is_that_of_scipy(rng: np.random.Generator) -> None:
    cohort = draw_cohort(rng, 400, 0.0)
    found = without_noise(UtilisationByGroup(VISITS, EVERYBODY), [cohort]).strata[0]
    times = np.minimum(cohort.numbers["visits"], 6)
    low, high = stats.norm.interval(0.95, times.mean(), stats.sem(times))
    mean = found.estimates["times per patient"]
    assert (mean.value, mean.lower, mean.upper) == pytest.approx((times.mean(), low, high))


@pytest.mark.parametrize(("patients", "epsilon"), [(300, 3.0), (2000, 0.5)])
def test_with_noise_times_per_patient_and_the_match_cover(
    rng: np.random.Generator, patients: int, epsilon: float
) -> None:
    # Three times of Bernoulli(.5): 1.5 a patient, any 7/8; indicated: four in ten, whatever was done.
    # 300 runs; a true coverage of .93 gives fewer than 264 with probability 1e-3 (binomial).
    analysis = UtilisationByGroup(Quantity("visits", 0.0, 3.0, "visits"), EVERYBODY, REASONS)
    truth = {"times per patient": 1.5, "with any": 7 / 8, "indication match": 0.4}
    covered = dict.fromkeys(truth, 0)
    for _ in range(300):
        cohort = Cohort(
            patients,
            numbers={
                "visits": rng.binomial(3, 0.5, patients).astype(float),
                "reasons": rng.binomial(1, 0.4, patients).astype(float),
            },
        )
        estimates = with_noise(analysis, cohort, epsilon, rng).strata[0].estimates
        for name, planted in truth.items():
            found = estimates[name]
            assert found.lower is not None
            assert found.upper is not None
            covered[name] += found.lower <= planted <= found.upper
    assert min(covered.values()) >= 264


def test_spending_is_a_fact_and_its_share_of_the_budget_too(rng: np.random.Generator) -> None:
    # 300 releases of one cohort; true coverage .95, fewer than 270 has probability 1e-3 (binomial).
    cohort = draw_cohort(rng, 600, 0.0)
    spent = float(np.clip(cohort.numbers["cost"], 0, 2_000).sum())
    exact = without_noise(SpendByGroup(COST, EVERYBODY, 1e6), [cohort]).strata[0].estimates
    assert exact["spent"].value == pytest.approx(spent)
    assert exact["share of the budget"].value == pytest.approx(spent / 1e6)
    assert exact["spent"].lower == exact["spent"].upper
    covered = 0
    for _ in range(300):
        found = with_noise(SpendByGroup(COST, EVERYBODY, 1e6), cohort, 1.0, rng).strata[0].estimates["spent"]
        assert found.lower is not None
        assert found.upper is not None
        covered += found.lower <= spent <= found.upper
    assert covered >= 270


def test_hand_worked_grades() -> None:
    # worst grades none none 1 3 5 and one unknown: any 3/5, severe 2/5, exactly 1 in 1/5
    cohort = Cohort(6, {"grade": np.array([0, 0, 1, 3, 5, -1])})
    stratum = without_noise(AdverseEventsByGroup("grade", EVERYBODY), [cohort]).strata[0]
    found = stratum.estimates
    assert found["any grade"].value == pytest.approx(3 / 5)
    assert found["grade 3 or higher"].value == pytest.approx(2 / 5)
    assert found["worst grade 1"].value == pytest.approx(1 / 5)
    assert found["missing"].value == pytest.approx(1 / 6)
    assert stratum.series["this grade or higher"].values == pytest.approx((3 / 5, 2 / 5, 2 / 5, 1 / 5, 1 / 5))


def test_a_site_without_grades_counts_as_unknown_and_nothing_is_estimated() -> None:
    found = without_noise(AdverseEventsByGroup("grade", EVERYBODY), [Cohort(9)]).strata[0]
    assert found.status == "below_minimum"
    assert found.released["missing"].value == 9
