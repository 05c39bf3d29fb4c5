"""The laws for survival curves, and agreement with lifelines 0.30 (MIT) on pooled patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from lifelines import KaplanMeierFitter
from lifelines.datasets import load_lung

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome, pool
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from tests.laws.conftest import draw_cohort
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

MONTH = 365.25 / 12
MONTHLY = tuple(MONTH * i for i in range(25))
DAILY = tuple(float(day) for day in range(1100))
EGFR = Groups(("egfr",), (("mutated", "wild type", "not tested"),))
EVERYBODY = Groups((), ())


class TestKaplanMeierLaws(AnalysisLaws):
    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [
            KaplanMeierByGroup("pfs", EGFR, MONTHLY, entry_at_zero=True),
            KaplanMeierByGroup("pfs", EGFR, MONTHLY, entry_at_zero=False),
            KaplanMeierByGroup("pfs", EVERYBODY, DAILY[:100], entry_at_zero=False),
            KaplanMeierByGroup("pfs", EVERYBODY, (0.0, 365.0), entry_at_zero=True),
        ]


def survivors(entry: Sequence[float], stop: Sequence[float], event: Sequence[int]) -> Cohort:
    outcome = SurvivalOutcome(np.array(entry), np.array(stop), np.array(event))
    return Cohort(len(stop), survival={"pfs": outcome})


def test_hand_worked_product_limit() -> None:
    # day 2: 1 of 4 dies -> 3/4; day 3: one is censored; day 5: 1 of 2 dies -> 3/8; day 9: censored
    cohort = survivors([0] * 4, [2, 3, 5, 9], [1, 0, 1, 0])
    analysis = KaplanMeierByGroup("pfs", EVERYBODY, DAILY[:11], entry_at_zero=True, at=(4.0, 5.0))
    stratum = without_noise(analysis, [cohort]).strata[0]
    assert stratum.estimates["survival at day 4"].value == pytest.approx(0.75)
    assert stratum.estimates["survival at day 5"].value == pytest.approx(0.375)
    assert stratum.estimates["median"].value == 5.0
    # area: 2 days at 1, 3 days at 3/4, 5 days at 3/8
    assert stratum.estimates["restricted mean"].value == pytest.approx(2 + 2.25 + 1.875)


def test_hand_worked_left_truncation() -> None:
    # B enters on day 3, so on day 2 one of two dies (1/2), on day 5 one of two (1/4)
    cohort = survivors([0, 3, 0], [2, 5, 9], [1, 1, 0])
    analysis = KaplanMeierByGroup("pfs", EVERYBODY, DAILY[:11], entry_at_zero=False, at=(2.0, 5.0))
    stratum = without_noise(analysis, [cohort]).strata[0]
    assert stratum.estimates["survival at day 2"].value == pytest.approx(1 / 2)
    assert stratum.estimates["survival at day 5"].value == pytest.approx(1 / 4)


def test_hand_worked_actuarial_interval() -> None:
    # One interval of a year, 10 people, 2 censored inside, 3 die: 3 of (10 - 2/2) -> S = 6/9
    cohort = survivors([0] * 10, [100, 200] + [50, 150, 250] + [400] * 5, [0, 0, 1, 1, 1] + [0] * 5)
    analysis = KaplanMeierByGroup("pfs", EVERYBODY, (0.0, 365.0), entry_at_zero=True, at=(365.0,))
    assert without_noise(analysis, [cohort]).strata[0].estimates[
        "survival at day 365"
    ].value == pytest.approx(6 / 9)


@pytest.mark.parametrize("entry_at_zero", [True, False])
def test_without_noise_lung_over_its_institutions_equals_lifelines(entry_at_zero: bool) -> None:
    table = load_lung()
    stop, event = table["time"].to_numpy(float), table["status"].to_numpy(int)
    site = table["inst"].fillna(-1).to_numpy()
    sex = table["sex"].to_numpy(int) - 1
    cohorts = []
    for name in np.unique(site):
        here = site == name
        outcome = SurvivalOutcome(np.zeros(here.sum()), stop[here], event[here])
        cohorts.append(Cohort(int(here.sum()), {"sex": sex[here]}, survival={"pfs": outcome}))
    groups = Groups(("sex",), (("male", "female"),))
    found = without_noise(KaplanMeierByGroup("pfs", groups, DAILY, entry_at_zero, (365.0,)), cohorts)
    for name, mine in (("all", sex >= 0), ("sex=male", sex == 0), ("sex=female", sex == 1)):
        fitted = KaplanMeierFitter().fit(stop[mine], event[mine])
        stratum = found.stratum(name)
        assert stratum.curve is not None
        expected = fitted.survival_function_at_times(stratum.curve.days).to_numpy()
        np.testing.assert_allclose(stratum.curve.survival, expected, rtol=1e-9, atol=1e-12)
        assert stratum.estimates["median"].value == fitted.median_survival_time_
    # R survival: median 310, 95 % log-log interval 284-361
    median = found.stratum("all").estimates["median"]
    assert (median.value, median.lower, median.upper) == (310.0, 284.0, 361.0)
    assert found.stratum("all").estimates["survival at day 365"].value == pytest.approx(0.409242, abs=1e-6)


def test_without_noise_delayed_entry_equals_lifelines_on_whole_days(rng: np.random.Generator) -> None:
    cohorts = [draw_cohort(rng, 150, 0.0) for _ in range(3)]
    outcome = pool(cohorts).survival["pfs"]
    entry, stop, event = np.rint(outcome.entry), np.rint(outcome.exit), outcome.event
    stop = np.where((stop == 0) & (event > 0), 1.0, stop)
    seen = stop > entry
    rounded = Cohort(len(stop), survival={"pfs": SurvivalOutcome(entry, stop, event)})
    found = without_noise(KaplanMeierByGroup("pfs", EVERYBODY, DAILY, entry_at_zero=False), [rounded])
    curve = found.strata[0].curve
    assert curve is not None
    fitted = KaplanMeierFitter().fit(stop[seen], event[seen] > 0, entry=entry[seen])
    expected = fitted.survival_function_at_times(curve.days).to_numpy()
    np.testing.assert_allclose(curve.survival, np.minimum.accumulate(expected), rtol=1e-9, atol=1e-12)


def test_a_death_on_day_zero_counts_and_a_censoring_on_day_zero_does_not() -> None:
    cohort = survivors([0, 0, 0], [0, 0, 9], [1, 0, 0])
    analysis = KaplanMeierByGroup("pfs", EVERYBODY, DAILY[:11], entry_at_zero=True, at=(1.0,))
    assert without_noise(analysis, [cohort]).strata[0].estimates["survival at day 1"].value == pytest.approx(
        0.5
    )


@pytest.mark.parametrize(
    ("patients", "epsilon", "delayed"),
    [(1000, 1.0, False), (1000, 1.0, True), (5000, 0.5, True), (200, 8.0, False)],
)
def test_with_noise_intervals_cover_the_planted_curve(
    rng: np.random.Generator, patients: int, epsilon: float, delayed: bool
) -> None:
    # Exponential survival, mean 500 days. 300 runs; a true coverage of .93 gives fewer than 263 with
    # probability 1e-3 (binomial). Survival at a year, and the median.
    analysis = KaplanMeierByGroup("pfs", EVERYBODY, MONTHLY, entry_at_zero=not delayed, at=(MONTHLY[12],))
    truth = {f"survival at day {MONTHLY[12]:g}": np.exp(-MONTHLY[12] / 500), "median": 500 * np.log(2)}
    covered = dict.fromkeys(truth, 0)
    for _ in range(300):
        death, censored = rng.exponential(500.0, patients), rng.uniform(200.0, 1200.0, patients)
        entry = np.where(rng.random(patients) < 0.5, 0.0, rng.exponential(60.0, patients)) * delayed
        outcome = SurvivalOutcome(entry, np.minimum(death, censored), (death <= censored).astype(np.int64))
        stratum = with_noise(analysis, Cohort(patients, survival={"pfs": outcome}), epsilon, rng).strata[0]
        for name, value in truth.items():
            estimate = stratum.estimates[name]
            low = -np.inf if estimate.lower is None else estimate.lower
            high = np.inf if estimate.upper is None else estimate.upper
            covered[name] += low <= value <= high
    assert min(covered.values()) >= 263, covered


def test_where_noise_exceeds_a_third_of_the_number_at_risk_the_curve_ends(rng: np.random.Generator) -> None:
    stop, event = rng.exponential(200.0, 400), np.ones(400, dtype=np.int64)
    cohort = Cohort(400, survival={"pfs": SurvivalOutcome(np.zeros(400), stop, event)})
    analysis = KaplanMeierByGroup("pfs", EVERYBODY, MONTHLY, entry_at_zero=True)
    ended = with_noise(analysis, cohort, 1.0, rng).strata[0]
    assert ended.curve is not None
    assert ended.curve.ends is not None
    assert ended.curve.ends < MONTHLY[-1]
    assert len(ended.curve.days) == round(ended.curve.ends / MONTH)
    refused = with_noise(analysis, cohort, 0.2, rng).strata[0]
    assert refused.status == "not_estimable"
    assert refused.curve is None
    assert refused.remedy is not None
    assert refused.remedy.epsilon is not None
    assert 0.2 < refused.remedy.epsilon <= 20
    assert refused.remedy.patients is not None
    assert refused.remedy.patients > 400


def test_ignoring_the_noise_would_not_cover(rng: np.random.Generator) -> None:
    # The same curves with the privacy variance left out: coverage falls below what the interval promises.
    analysis = KaplanMeierByGroup("pfs", EVERYBODY, MONTHLY, entry_at_zero=True, at=(MONTHLY[12],))
    name, truth, covered = f"survival at day {MONTHLY[12]:g}", np.exp(-MONTHLY[12] / 500), 0
    for _ in range(200):
        death = rng.exponential(500.0, 600)
        outcome = SurvivalOutcome(np.zeros(600), np.minimum(death, 900.0), (death < 900).astype(np.int64))
        estimate = (
            with_noise(analysis, Cohort(600, survival={"pfs": outcome}), 1.0, rng).strata[0].estimates[name]
        )
        half = 1.96 * estimate.sampling_variance**0.5
        covered += abs(estimate.value - truth) <= half
    assert covered < 200 * 0.88
