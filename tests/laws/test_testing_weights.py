"""Weights for being tested: the laws, lifelines 0.30 stratum by stratum, and planted access to testing."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines import KaplanMeierFitter

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.delayed_entry import DelayedEntryTest
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.testing_weights import WEIGHTED, TestingWeights
from tests.laws.suite import AnalysisLaws, rows, with_noise, without_noise

MONTH = 365.25 / 12
MONTHLY = tuple(MONTH * i for i in range(25))
DAILY = tuple(float(day) for day in range(201))
CENTER = Groups(("center",), (("university", "other"),))


def entries(edges: tuple[float, ...], strata: Groups = CENTER, untested: int = 2) -> DelayedEntryTest:
    at = (edges[-1] / 2,)
    curves = KaplanMeierByGroup("pfs", strata, edges, entry_at_zero=False, at=at)
    return DelayedEntryTest(
        "pfs", edges, "egfr", untested, (30.0,), at, TestingWeights(curves, "egfr", untested)
    )


class TestTestingWeightsLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        strata = Groups(("grade",), (("0", "1", "2", "3", "4"),))
        return [entries(MONTHLY, strata), entries(DAILY, strata)]


def drawn(rng: np.random.Generator, patients: int) -> Cohort:
    """Where survival is twice as long, four of five are tested; elsewhere one of five. Whole days."""
    good = rng.random(patients) < 0.5
    wait = np.where(rng.random(patients) < 0.4, 0.0, np.ceil(rng.exponential(60.0, patients)))
    death = np.ceil(rng.exponential(np.where(good, 600.0, 300.0)))
    stop = np.minimum(death, np.ceil(rng.uniform(300.0, 1200.0, patients)))
    tested = (rng.random(patients) < np.where(good, 0.8, 0.2)) & (wait < stop)
    outcome = SurvivalOutcome(np.where(tested, wait, 0.0), stop, (death <= stop).astype(np.int64))
    code = np.where(tested, rng.integers(0, 2, patients), 2)
    return Cohort(patients, {"egfr": code, "center": (~good).astype(int)}, survival={"pfs": outcome})


def test_without_noise_each_arm_is_lifelines_by_stratum_weighted_by_everybody(
    rng: np.random.Generator,
) -> None:
    cohort = drawn(rng, 600)
    found = without_noise(entries(DAILY), [rows(cohort, np.arange(i, 600, 3)) for i in range(3)])
    outcome, tested = cohort.survival["pfs"], cohort.categories["egfr"] < 2
    expected = {"tested": 0.0, "not tested": 0.0}
    for level in (0, 1):
        mine = cohort.categories["center"] == level
        weight = mine.mean()
        some = mine & tested
        curve = KaplanMeierFitter().fit(outcome.exit[some], outcome.event[some], entry=outcome.entry[some])
        expected["tested"] += weight * float(curve.predict(100))
        # until the report everybody counts as not tested; whoever is tested on day zero never does
        stop = np.where(tested, outcome.entry, outcome.exit)
        waits = mine & (stop > 0)
        curve = KaplanMeierFitter().fit(stop[waits], (outcome.event * ~tested)[waits])
        expected["not tested"] += weight * float(curve.predict(100))
        name = f"center={('university', 'other')[level]}"
        share = found.stratum(name).estimates["tested"]
        assert share.value == pytest.approx(tested[mine].mean(), rel=1e-9)
    weighted = found.stratum(WEIGHTED).estimates
    for arm, value in expected.items():
        assert weighted[f"survival at day 100 if {arm}, weighted"].value == pytest.approx(value, rel=1e-6)
    apart = weighted["difference of survival at day 100, weighted"].value
    assert apart == pytest.approx(expected["tested"] - expected["not tested"], rel=1e-5)
    assert weighted["left out of the weights"].value == pytest.approx(0, abs=1e-9)


def test_weights_take_out_planted_access_to_testing_under_noise(rng: np.random.Generator) -> None:
    # 12 runs: an interval of true coverage .95 misses more than 3 of 12 with probability 2e-3 (binomial)
    hits, raw = 0, 0
    for _ in range(12):
        found = with_noise(entries(MONTHLY), drawn(rng, 6000), 3.0, rng)
        apart = found.stratum(WEIGHTED).estimates["difference of restricted mean, weighted"]
        assert apart.lower is not None
        assert apart.upper is not None
        hits += apart.lower <= 0 <= apart.upper
        ratio = found.stratum("tested").estimates["hazard ratio"]
        raw += ratio.value < 1
    assert hits >= 9
    assert raw == 12  # as they are, the tested seem to live longer


def test_a_group_in_which_nobody_is_tested_is_left_out_and_stated(rng: np.random.Generator) -> None:
    cohort = drawn(rng, 900)
    cohort.categories["egfr"][cohort.categories["center"] == 1] = 2
    weighted = without_noise(entries(MONTHLY), [cohort]).stratum(WEIGHTED)
    assert weighted.status == "estimated"
    share = weighted.estimates["left out of the weights"].value
    assert share == pytest.approx((cohort.categories["center"] == 1).mean(), rel=1e-6)


def test_where_an_arm_drowns_in_noise_everywhere_there_is_no_weighted_number(
    rng: np.random.Generator,
) -> None:
    weighted = with_noise(entries(MONTHLY), drawn(rng, 300), 0.5, rng).stratum(WEIGHTED)
    assert weighted.status == "not_estimable"
    assert weighted.estimates == {}
