"""Intervals of noisy sums: inside their range, never of no width, and the same one by one and at once."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedvalue.analyses.between_sites import between_sites
from fedvalue.analyses.binned import Bins, decision_curve
from fedvalue.analyses.counts import count
from fedvalue.analyses.life_table import RiskTable, estimate, reach, restricted_mean
from fedvalue.analyses.proportion import proportion
from fedvalue.analyses.score import Z95, Noise, Sampling, inside, ratio, shares_of


def test_a_value_far_past_the_end_of_its_range_keeps_one_standard_error_of_its_interval() -> None:
    # SE 10: at -50 it is believed to be at -9.6, from where 19.6 reach to 10
    assert inside(-50.0, Z95 * 10, 0.0, math.inf) == pytest.approx((0.0, 0.0, 10.0))
    assert inside(150.0, Z95 * 10, 0.0, 100.0) == pytest.approx((100.0, 90.0, 100.0))


def test_a_value_near_the_end_of_its_range_has_the_usual_interval() -> None:
    assert inside(-5.0, Z95 * 10, 0.0, math.inf) == pytest.approx((0.0, 0.0, Z95 * 10 - 5))
    assert inside(50.0, Z95 * 10, 0.0, 100.0) == pytest.approx((50.0, 50 - Z95 * 10, 50 + Z95 * 10))


def test_a_count_that_noise_made_negative_may_still_be_as_large_as_the_noise() -> None:
    found = count(-50.0, 100.0)
    assert (found.value, found.lower) == (0.0, 0.0)
    assert found.upper == pytest.approx(10.0)


@pytest.mark.parametrize("successes", [-60.0, 0.0, 100.0, 190.0])
def test_a_share_has_an_interval_with_a_width_however_far_noise_carried_it(successes: float) -> None:
    noise = Noise(100.0, 300.0, 100.0)
    found = ratio(successes, 100.0, noise, Sampling(linear=100, square=-100), unit="", least=0.0, most=1.0)
    whole = proportion(successes, 100.0, 100.0, 3)
    for one in (found, whole):
        assert one.lower is not None
        assert one.upper is not None
        assert 0 <= one.lower <= one.value <= one.upper <= 1
        assert one.upper - one.lower > 0.05


def test_many_shares_at_once_are_those_of_one_at_a_time(rng: np.random.Generator) -> None:
    tops, noises, n, of_n = rng.normal(40, 60, 50), rng.uniform(1, 400, 50), 120.0, 300.0
    both = rng.uniform(0, 1, 50) * np.minimum(noises, of_n)
    lower, upper, sampling, privacy = shares_of(tops, n, noises, of_n, both)
    for i in range(50):
        one = ratio(
            float(tops[i]), n, Noise(noises[i], of_n, both[i]), Sampling(linear=n, square=-n),
            unit="probability", least=0.0, most=1.0,
        )  # fmt: skip
        told = (one.lower, one.upper, one.sampling_variance, one.privacy_variance)
        assert told == pytest.approx((lower[i], upper[i], sampling[i], privacy[i]))


def test_hospitals_that_are_more_alike_than_chance_makes_them_may_still_differ() -> None:
    # four values that all but agree: Q is .002, far below the 2.5 % point of its distribution on 3 degrees
    found = between_sites(np.array([1.0, 1.01, 0.99, 1.0]), np.full(4, 0.1))
    assert found is not None
    assert found.between == found.between_low == 0.0
    assert found.between_high > 0.0


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261122)


def noisy_table(events: np.ndarray, at_risk: float, noise: float) -> RiskTable:
    k = len(events)
    return RiskTable(
        np.arange(k + 1.0), np.full(k + 1, at_risk), events, np.zeros((k + 1, 0)), np.eye(k) * noise,
        half=False,
    )  # fmt: skip


def test_a_curve_that_noise_pushed_past_one_still_has_a_band() -> None:
    table = noisy_table(np.array([-40.0, -2.0, 3.0]), 400.0, 5.0)
    lower, upper = estimate(table, 3).band(Z95)
    assert (upper == 1.0).all()
    assert (lower < 1.0).all()


def test_noise_in_daily_events_is_no_sampling_variance_of_the_restricted_mean(
    rng: np.random.Generator,
) -> None:
    # 120 days of a hazard of 1 in 400 among 400: one event a day, with a noise of 8 a day
    exact = restricted_mean(estimate(noisy_table(np.ones(120), 400.0, 0.0), 120))[1]
    noisy = []
    for _ in range(200):
        table = noisy_table(1.0 + 8.0 * rng.standard_normal(120), 400.0, 8.0)
        noisy.append(restricted_mean(estimate(table, reach(table)))[1])
    # the mean of 200 has a relative SE of about .05; each day's part, taken for 0 at least, gave far more
    assert float(np.mean(noisy)) == pytest.approx(exact, rel=0.3)


def test_noise_goes_into_a_survival_band_by_the_same_length_on_both_sides() -> None:
    # H = .2 hardly varies by sampling (10,000 at risk), and noise has a standard deviation of 100 events
    table = noisy_table(np.array([1_812.7]), 10_000.0, 100.0)
    lower, upper = (float(end[0]) for end in estimate(table, 1).band(Z95))
    up, down = -math.log(lower) - 0.2, 0.2 + math.log(upper)
    assert up == pytest.approx(down, rel=0.05)


def test_a_net_benefit_at_a_high_threshold_has_the_interval_of_its_two_shares() -> None:
    # of 100 patients nobody is above .9: no true and no false positive, and up to 3.7 % may be either
    events, others = np.array([10.0] * 4 + [0.0]), np.array([15.0] * 4 + [0.0])
    bins = Bins(events, others, np.zeros(5), 0.0, 0.0, (0.2, 0.4, 0.6, 0.9))
    acting, everybody = decision_curve(bins)
    assert acting.values[-1] == 0.0
    assert acting.upper[-1] == pytest.approx(0.037, abs=1e-3)
    assert acting.lower[-1] == pytest.approx(-9 * 0.037, abs=1e-2)
    # treating everybody: Wilson's interval of .4 ends at .498, and that of .6, half a patient less, at .497
    assert everybody.values[1] == pytest.approx(0.4 - 0.6 * 0.4 / 0.6)
    assert everybody.upper[1] == pytest.approx(0.098 + 0.103 * 0.4 / 0.6, abs=1e-3)
