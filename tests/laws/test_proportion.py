"""The laws for proportions, and agreement with plain counting."""

from __future__ import annotations

import numpy as np
import pytest

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import BinaryOutcome, Cohort, pool
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.proportion import ProportionByGroup, proportion
from tests.laws.conftest import draw_cohort
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

EGFR = Groups(("egfr",), (("mutated", "wild type", "not tested"),))


class TestProportionLaws(AnalysisLaws):
    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [
            ProportionByGroup("response", EGFR, "non_response"),
            ProportionByGroup("response", Groups((), ()), "exclude"),
        ]


def test_hand_worked_counts_by_group() -> None:
    # mutated: success, success, failure -> 2/3; wild type: failure, missing -> 0/2 and 0/1 without missing
    cohort = Cohort(
        5, {"egfr": np.array([0, 0, 0, 1, 1])}, binary={"response": BinaryOutcome(np.array([1, 1, 0, 0, -1]))}
    )
    strict = without_noise(ProportionByGroup("response", EGFR, "non_response"), [cohort])
    assert strict.stratum("egfr=mutated").estimates["proportion"].value == pytest.approx(2 / 3)
    assert strict.stratum("egfr=wild type").released["missing"].value == 1
    assert strict.stratum("all").estimates["proportion"].value == pytest.approx(2 / 5)
    lenient = without_noise(ProportionByGroup("response", EGFR, "exclude"), [cohort])
    assert lenient.stratum("all").estimates["proportion"].value == pytest.approx(2 / 4)
    assert lenient.stratum("unknown").status == "below_minimum"


def test_without_noise_the_share_is_that_of_the_pooled_patients(rng: np.random.Generator) -> None:
    cohorts = [draw_cohort(rng, 100, 0.0) for _ in range(3)]
    whole = pool(cohorts)
    found = without_noise(ProportionByGroup("response", EGFR, "non_response"), cohorts)
    for level, name in enumerate(EGFR.levels[0]):
        status = whole.binary["response"].status[whole.categories["egfr"] == level]
        assert found.stratum(f"egfr={name}").estimates["proportion"].value == pytest.approx(
            (status == 1).mean()
        )


def test_without_noise_the_interval_is_wilsons() -> None:
    # Golden: Wilson 95 % for 36 of 100 is (.272712, .457646), from the golden payment cases.
    found = proportion(36.0, 100.0, 0.0, 3)
    assert found.lower == pytest.approx(0.272712, abs=1e-6)
    assert found.upper == pytest.approx(0.457646, abs=1e-6)


@pytest.mark.parametrize(("patients", "epsilon"), [(60, 3.0), (400, 0.5), (400, 1.0), (2000, 1.0)])
def test_with_noise_the_interval_covers_the_planted_share(
    rng: np.random.Generator, patients: int, epsilon: float
) -> None:
    # 600 runs; a true coverage of .93 gives fewer than 541 with probability 1e-3 (binomial).
    analysis = ProportionByGroup("response", Groups((), ()), "non_response")
    covered = refused = 0
    for _ in range(600):
        status = (rng.random(patients) < 0.4).astype(np.int64)
        cohort = Cohort(patients, binary={"response": BinaryOutcome(status)})
        stratum = with_noise(analysis, cohort, epsilon, rng).strata[0]
        if stratum.status != "estimated":
            refused += 1
            continue
        estimate = stratum.estimates["proportion"]
        assert estimate.lower is not None
        assert estimate.upper is not None
        covered += estimate.lower <= 0.4 <= estimate.upper
    assert refused < 60
    assert covered >= 541 * (600 - refused) / 600


def test_a_small_released_count_is_not_reported_and_a_noisy_one_says_what_would_do(
    rng: np.random.Generator,
) -> None:
    analysis = ProportionByGroup("response", Groups((), ()), "non_response")
    few = Cohort(10, binary={"response": BinaryOutcome(np.ones(10, dtype=np.int64))})
    assert with_noise(analysis, few, 8.0, rng).strata[0].status == "below_minimum"
    noisy = with_noise(analysis, few, 0.05, rng).strata[0]
    assert noisy.status == "not_estimable"
    assert noisy.reason == "privacy"
    assert noisy.estimates == {}
