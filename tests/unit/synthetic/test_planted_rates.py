"""Plain counting finds the planted rates again.

Each comparison allows four standard errors of the count: one fails by chance with probability below
6.4e-5, all of the about 25 comparisons here together below .2 %. Seeds are fixed, so a failure is a change.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fedvalue.synthetic.expected import (
    planted_median,
    planted_response,
    planted_survival,
    recorded_response,
    recorded_shares,
)
from fedvalue.synthetic.people import NOT_TESTED, People
from fedvalue.synthetic.sample import cohort_of, sample_cohort
from fedvalue.synthetic.world import LEVELS, Hospital, World

FOUR = 4.0


def near(share: float, planted: float, n: int) -> bool:
    return abs(share - planted) <= FOUR * math.sqrt(planted * (1 - planted) / n)


@pytest.mark.parametrize("level", LEVELS)
def test_responders_among_those_not_lost_are_the_planted_share(
    world: World, crowd: People, level: str
) -> None:
    # drop-out is independent of everything else, so those not lost before day 45 are a fair sample
    here = (crowd.planted == LEVELS.index(level)) & (crowd.last >= 45)
    responds = (crowd.responds & (crowd.left > crowd.assessment))[here]
    assert near(float(responds.mean()), planted_response(world, level), int(here.sum()))


@pytest.mark.parametrize("level", LEVELS)
def test_the_recorded_rate_counts_what_the_files_show(world: World, crowd: People, level: str) -> None:
    cohort = cohort_of(crowd)
    here = cohort.categories["egfr"] == LEVELS.index(level)
    share = float((cohort.binary["response_6m"].status[here] == 1).mean())
    assert near(share, recorded_response(world, level), int(here.sum()))
    assert near(float(here.mean()), float(recorded_shares(world)[LEVELS.index(level)]), len(crowd))


@pytest.mark.parametrize("level", LEVELS)
def test_recorded_rates_hold_where_most_reports_are_late_and_many_are_lost(world: World, level: str) -> None:
    hard = replace(world, late_reports=0.9, mean_delay=60.0, drop_out=0.002)
    cohort = sample_cohort(hard, 120_000, np.random.default_rng(3))
    here = cohort.categories["egfr"] == LEVELS.index(level)
    share = float((cohort.binary["response_6m"].status[here] == 1).mean())
    assert near(share, recorded_response(hard, level), int(here.sum()))


def test_time_without_progression_has_the_planted_survival_on_every_day(world: World, crowd: People) -> None:
    days = np.array([1.0, 30.0, 183.0, 365.0, 730.0])
    for index, level in enumerate(LEVELS):
        left = crowd.left[crowd.planted == index]
        observed = (left[:, None] > days[None, :]).mean(axis=0)
        for seen, planted in zip(observed, planted_survival(world, level, days), strict=True):
            assert near(float(seen), float(planted), len(left))


def test_hand_worked_survival_and_median_at_one_hospital(world: World) -> None:
    # one hospital, no shift: hazard .00188 + .00020 = .00208 a day; S(100) = exp(-.208) = .812207
    # median: ln 2 / .00208 = 333.2, so the first whole day at or below one half is 334
    single = replace(world, hospitals=(Hospital("only", 10),))
    assert planted_survival(single, "mutated", np.array([0.0, 100.0, 100.7])) == pytest.approx(
        [1.0, 0.812207, 0.812207], abs=1e-6
    )
    assert planted_median(single, "mutated") == 334.0


def test_hand_worked_mixture_of_two_hospitals(world: World) -> None:
    # 30 patients at .67 + .02 and 10 at .67 - .02: (30 x .69 + 10 x .65) / 40 = .68
    two = replace(
        world, hospitals=(Hospital("a", 30, response_shift=0.02), Hospital("b", 10, response_shift=-0.02))
    )
    assert planted_response(two, "mutated") == pytest.approx(0.68)


def test_without_late_reports_only_drop_out_moves_the_recorded_rate(world: World) -> None:
    # nobody is misfiled; a response is lost if the patient drops out before day 39 ... 45:
    # the mean of exp(-.0002 d) over these seven days is .991636
    early = replace(world, late_reports=0.0)
    for level in LEVELS:
        assert recorded_response(early, level) == pytest.approx(
            planted_response(early, level) * 0.991636, rel=1e-6
        )
    assert recorded_shares(early) == pytest.approx(early.group_shares)


def test_who_dies_or_is_lost_before_a_late_report_is_filed_as_not_tested(crowd: People) -> None:
    misfiled = crowd.ordered & (crowd.recorded == NOT_TESTED)
    assert misfiled.any()
    assert (crowd.report[misfiled] > 0).all()
    gone = (crowd.death <= crowd.report) | (crowd.last < crowd.report)
    assert gone[misfiled].all()
    assert not gone[crowd.reported & (crowd.report > 0)].any()


def test_the_sampled_cohort_names_what_the_demonstration_asks(world: World) -> None:
    cohort = sample_cohort(world, 50, np.random.default_rng(1))
    assert cohort.patients == 50
    assert set(cohort.categories) == {"egfr"}
    assert set(cohort.binary) == {"response_6m"}
    assert set(cohort.survival) == {"pfs"}
    assert sample_cohort(world, 0, np.random.default_rng(1)).patients == 0


def test_one_seed_gives_one_cohort(world: World) -> None:
    one, two = (sample_cohort(world, 500, np.random.default_rng(11)) for _ in range(2))
    other = sample_cohort(world, 500, np.random.default_rng(12))
    np.testing.assert_array_equal(one.survival["pfs"].exit, two.survival["pfs"].exit)
    np.testing.assert_array_equal(one.binary["response_6m"].status, two.binary["response_6m"].status)
    assert not np.array_equal(one.survival["pfs"].exit, other.survival["pfs"].exit)
