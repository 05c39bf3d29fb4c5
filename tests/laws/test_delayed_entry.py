"""The laws for delayed entry, hand-worked waiting times, and dependence that was planted."""

from __future__ import annotations

import numpy as np
import pytest

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.delayed_entry import AGAINST, DelayedEntryTest
from fedvalue.analyses.estimate import Conclusion
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

MONTH = 365.25 / 12
MONTHLY = tuple(MONTH * i for i in range(25))
DAILY = tuple(float(day) for day in range(101))


def entries(edges: tuple[float, ...], *split: float) -> DelayedEntryTest:
    return DelayedEntryTest("pfs", edges, "egfr", 2, split, (edges[-1] / 2,))


class TestDelayedEntryLaws(AnalysisLaws):
    PAIRS = 200

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [entries(MONTHLY, 30.0, 90.0), entries(DAILY, 10.0)]


def test_hand_worked_waiting_time() -> None:
    # three tested: in at 0, 20 and 60, out at 40, 50 and 100; one untested; one tested on an unknown day
    # waiting 80 of 40 + 50 + 100 = 190 days
    outcome = SurvivalOutcome(
        np.array([0.0, 20, 60, 0, np.nan]), np.array([40.0, 50, 100, 30, 80]), np.array([1, 1, 0, 1, 1])
    )
    cohort = Cohort(5, {"egfr": np.array([0, 1, 1, 2, 1])}, survival={"pfs": outcome})
    found = without_noise(entries(DAILY, 30.0), [cohort])
    share = found.stratum("all").estimates["share of time before entry"]
    assert share.value == pytest.approx(80 / 190)
    # residuals w - s u, in hundredths of the horizon: 0 - .421 x .4, .2 - .421 x .5, .6 - .421 x 1
    residuals = np.array([0, 0.2, 0.6]) - 80 / 190 * np.array([0.4, 0.5, 1.0])
    assert share.sampling_variance == pytest.approx((residuals**2).sum() / 1.9**2)
    assert found.stratum("entry=at day 0").released["patients"].value == 1
    assert found.stratum("entry=by day 30").released["patients"].value == 1
    assert found.stratum("entry=after day 30").released["patients"].value == 1
    assert found.stratum("not tested").released["patients"].value == 1
    assert found.stratum("tested").curve is not None


def drawn(rng: np.random.Generator, patients: int, dependence: float) -> Cohort:
    """Half wait for a test; who waits longer fares better by ``dependence``; who dies first is not tested."""
    wait = np.where(rng.random(patients) < 0.4, 0.0, rng.exponential(120.0, patients))
    death = rng.exponential(500.0 * np.exp(dependence * wait / 120.0))
    censored = rng.uniform(300.0, 1200.0, patients)
    stop = np.minimum(death, censored)
    tested = (wait < stop) & (rng.random(patients) < 0.8)
    code = np.where(tested, rng.integers(0, 2, patients), 2)
    outcome = SurvivalOutcome(np.where(tested, wait, 0.0), stop, (death <= censored).astype(np.int64))
    return Cohort(patients, {"egfr": code}, survival={"pfs": outcome})


def p_value(found: Conclusion) -> float:
    return found.stratum("all").estimates["p-value"].value


def test_the_test_keeps_its_level_and_finds_planted_dependence_under_noise(rng: np.random.Generator) -> None:
    # 60 runs: a true level of .05 gives more than 10 rejections with probability 5e-4 (binomial)
    analysis = entries(MONTHLY, 60.0)
    rejected = sum(p_value(with_noise(analysis, drawn(rng, 3000, 0.0), 1.0, rng)) < 0.05 for _ in range(60))
    assert rejected <= 10
    found = sum(p_value(with_noise(analysis, drawn(rng, 3000, 0.5), 1.0, rng)) < 0.05 for _ in range(15))
    assert found >= 12


def test_untested_patients_stand_beside_the_tested(rng: np.random.Generator) -> None:
    found = with_noise(entries(MONTHLY, 60.0), drawn(rng, 3000, 0.0), 2.0, rng)
    assert found.stratum("tested").curve is not None
    assert found.stratum("not tested").curve is not None
    # who dies before the test is untested: unadjusted, the tested seem to live longer
    ratio = found.stratum("tested").estimates["hazard ratio"]
    assert ratio.value < 1
    assert ratio.upper is None  # no interval: who is never tested depends on how long patients live
    assert found.stratum(AGAINST).estimates["p-value"].value < 0.01
    assert any("not adjusted" in note for note in found.notes)
