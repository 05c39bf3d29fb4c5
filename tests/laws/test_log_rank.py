"""The laws for the log-rank test, and agreement with lifelines 0.30 (MIT) on pooled patients."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines.datasets import load_lung
from lifelines.statistics import multivariate_logrank_test

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.log_rank import LogRankByGroup
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

MONTH = 365.25 / 12
MONTHLY = tuple(MONTH * i for i in range(25))
DAILY = tuple(float(day) for day in range(1100))
EGFR = Groups(("egfr",), (("mutated", "wild type", "not tested"),))
ARM = Groups(("arm",), (("a", "b"),))


def log_rank(groups: Groups, edges: tuple[float, ...], *, entry_at_zero: bool = True) -> LogRankByGroup:
    return LogRankByGroup(KaplanMeierByGroup("pfs", groups, edges, entry_at_zero))


def two_arms(stop: list[float], event: list[int], arm: list[int], entry: list[float] | None = None) -> Cohort:
    outcome = SurvivalOutcome(np.array(entry or [0.0] * len(stop)), np.array(stop), np.array(event))
    return Cohort(len(stop), {"arm": np.array(arm)}, survival={"pfs": outcome})


class TestLogRankLaws(AnalysisLaws):
    PAIRS = 300

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [log_rank(EGFR, MONTHLY, entry_at_zero=False)]


def test_hand_worked_two_arms() -> None:
    # day 2: 1 of 4 dies, in a (2 of 4): expected 1/2, variance 1/2 x 1/2 x 3/3 = 1/4
    # day 4: 1 of 3 dies, in b (2 of 3): expected in a 1/3, variance 1/3 x 2/3 = 2/9
    # day 6: 1 of 2 dies, in a (1 of 2): expected 1/2, variance 1/4
    # a: observed 2, expected 4/3, variance 13/18; chi-square (2/3)^2 / (13/18) = 8/13
    cohort = two_arms([2, 6, 4, 8], [1, 1, 1, 0], [0, 0, 1, 1])
    found = without_noise(log_rank(ARM, DAILY[:11]), [cohort])
    a = found.stratum("arm=a").estimates
    assert a["events"].value == 2
    assert a["events above expected"].value == pytest.approx(2 / 3)
    assert a["events above expected"].sampling_variance == pytest.approx(13 / 18)
    assert found.stratum("all").estimates["chi-square"].value == pytest.approx(8 / 13)
    # one step: log hazard ratio of b against a = -(2/3) / (13/18) = -12/13
    assert found.stratum("arm=b").estimates["hazard ratio"].value == pytest.approx(np.exp(-12 / 13))


def test_hand_worked_delayed_entry() -> None:
    # as above, but the second of b enters on day 5: day 2: 2 of 3 in a; day 4: 1 of 2 in a; day 6: 1 of 2
    # a: observed 2, expected 2/3 + 1/2 + 1/2 = 5/3
    cohort = two_arms([2, 6, 4, 8], [1, 1, 1, 0], [0, 0, 1, 1], [0.0, 0.0, 0.0, 5.0])
    found = without_noise(log_rank(ARM, DAILY[:11], entry_at_zero=False), [cohort])
    assert found.stratum("arm=a").estimates["events above expected"].value == pytest.approx(1 / 3)


@pytest.mark.parametrize("column", ["sex", "ph.ecog"])
def test_without_noise_lung_over_its_institutions_equals_lifelines(column: str) -> None:
    table = load_lung().dropna(subset=[column])
    stop, event = table["time"].to_numpy(float), table["status"].to_numpy(int)
    levels = np.unique(table[column])
    group = np.searchsorted(levels, table[column])
    site = table["inst"].fillna(-1).to_numpy()
    cohorts = []
    for name in np.unique(site):
        here = site == name
        outcome = SurvivalOutcome(np.zeros(here.sum()), stop[here], event[here])
        cohorts.append(Cohort(int(here.sum()), {"g": group[here]}, survival={"pfs": outcome}))
    groups = Groups(("g",), (tuple(str(level) for level in levels),))
    found = without_noise(log_rank(groups, DAILY), cohorts)
    expected = multivariate_logrank_test(stop, group, event)
    tests = found.stratum("all").estimates
    assert tests["chi-square"].value == pytest.approx(expected.test_statistic, rel=1e-9)
    assert tests["p-value"].value == pytest.approx(expected.p_value, rel=1e-6)
    curves = without_noise(KaplanMeierByGroup("pfs", groups, DAILY, True, compare=True), cohorts)
    assert curves.stratum("all").estimates["p-value"] == tests["p-value"]
    assert "median" in curves.stratum("all").estimates


@pytest.mark.parametrize(
    ("patients", "epsilon", "ratio"), [(800, 1.0, 1.0), (3000, 0.5, 1.0), (3000, 1.0, 1.4)]
)
def test_with_noise_the_test_keeps_its_level_and_the_hazard_ratio_covers(
    rng: np.random.Generator, patients: int, epsilon: float, ratio: float
) -> None:
    # 300 runs. A true level of .05 gives more than 28 rejections, and a true coverage of .95 fewer than 272
    # intervals that cover, with probability 1e-3 (binomial).
    analysis = log_rank(ARM, MONTHLY, entry_at_zero=False)
    rejected, covered = 0, 0
    for _ in range(300):
        arm = (rng.random(patients) < 0.3).astype(np.int64)
        death, censored = rng.exponential(500.0, patients) / ratio**arm, rng.uniform(200.0, 1200.0, patients)
        outcome = SurvivalOutcome(
            np.zeros(patients), np.minimum(death, censored), (death <= censored).astype(np.int64)
        )
        cohort = Cohort(patients, {"arm": arm}, survival={"pfs": outcome})
        found = with_noise(analysis, cohort, epsilon, rng)
        rejected += found.stratum("all").estimates["p-value"].value < 0.05
        estimate = found.stratum("arm=b").estimates["hazard ratio"]
        assert estimate.lower is not None
        assert estimate.upper is not None
        covered += estimate.lower <= ratio <= estimate.upper
    if ratio == 1.0:
        assert rejected <= 28
    assert covered >= 272


def test_groups_that_noise_drowns_are_not_compared(rng: np.random.Generator) -> None:
    cohort = two_arms([100.0] * 40, [1] * 40, [0] * 38 + [1] * 2)
    found = with_noise(log_rank(ARM, MONTHLY), cohort, 1.0, rng)
    assert found.stratum("arm=b").status in ("below_minimum", "not_estimable")
    assert found.stratum("all").status == "not_estimable"


def test_empty_sites_and_sites_where_all_are_censored_give_no_test() -> None:
    nobody = Cohort(0)
    assert without_noise(log_rank(ARM, MONTHLY), [nobody]).stratum("all").status == "not_estimable"
    censored = two_arms([400.0] * 9, [0] * 9, [0, 1, 1] * 3)
    assert without_noise(log_rank(ARM, MONTHLY), [censored]).stratum("all").status == "not_estimable"


def test_the_events_told_are_those_of_the_whole_horizon_where_noise_ends_the_comparison(
    rng: np.random.Generator,
) -> None:
    # at epsilon 1 the number at risk is lost in the noise long before month 24; the 300 events are not.
    # The noise of a total is known: five of them are within 5 standard deviations but for 3 seeds in 10^6.
    n = 300
    outcome = SurvivalOutcome(np.zeros(n), rng.exponential(150.0, n).clip(1, 700), np.ones(n, dtype=np.int64))
    cohort = Cohort(n, {"arm": np.zeros(n, dtype=np.int64)}, survival={"pfs": outcome})
    for _ in range(5):
        found = with_noise(log_rank(ARM, MONTHLY), cohort, 1.0, rng).stratum("arm=a").estimates["events"]
        assert abs(found.value - n) < 5 * found.privacy_variance**0.5
