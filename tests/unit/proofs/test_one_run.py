"""The bound on epsilon from one run: hand-worked, against a randomized response, and where it must refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from proofs.one_run import advantage_allowed, ceiling, lower_bound, p_value, right_guesses, separation
from proofs.training_canary import best_guess


def test_without_delta_the_p_value_is_a_binomial_tail() -> None:
    # 3 of 4 right at epsilon 0 (a fair coin): (4 + 1) / 16
    assert p_value(10, 4, 3, 0.0, 0.0) == pytest.approx(5 / 16)
    # all 5 right at epsilon ln 3: (3/4)^5
    assert p_value(10, 5, 5, math.log(3), 0.0) == pytest.approx(0.75**5)


def test_delta_is_counted_as_in_the_theorem() -> None:
    # 2 of 2 right at epsilon 0: P[B = 1] = 1/2 within one step, P[0 <= B <= 1] = 3/4 within two;
    # the largest of 1/2 and 3/8 is 1/2, so 1/4 + 2 x 10 x .001 x 1/2
    assert p_value(10, 2, 2, 0.0, 0.001) == pytest.approx(0.25 + 0.01)


def test_all_right_gives_the_ceiling_and_a_coin_gives_nothing() -> None:
    # q^50 = .05 where q = e^eps / (1 + e^eps)
    q = 0.05 ** (1 / 50)
    assert ceiling(100, 50, 0.0) == pytest.approx(math.log(q / (1 - q)), abs=1e-6)
    assert lower_bound(100, 50, 25, 1e-6) == 0.0
    assert lower_bound(100, 50, 0, 1e-6) == 0.0
    assert lower_bound(100, 50, 45, 1e-6) < ceiling(100, 50, 1e-6)


def test_more_right_than_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be"):
        p_value(10, 4, 5, 1.0, 0.0)


def test_randomized_response_is_accused_as_seldom_as_the_level_says() -> None:
    # guesses are right with exactly e / (1 + e), independent: 2,000 audits; at most 5 %, and 3 SD of chance
    right = np.random.default_rng(1).binomial(80, math.e / (1 + math.e), 2_000)
    accused = {v: lower_bound(80, 80, v, 0.0) > 1.0 for v in sorted(set(right.tolist()))}
    rate = np.mean([accused[v] for v in right.tolist()])
    assert rate <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2_000)


def test_what_a_promise_allows_is_the_total_variation_of_randomized_response() -> None:
    # epsilon ln 3: 3/4 - 1/4
    assert advantage_allowed(math.log(3), 0.0) == pytest.approx(0.5)
    assert advantage_allowed(40.0, 1e-6) <= 1.0


def test_losses_tell_members_as_the_rank_test_does() -> None:
    rng = np.random.default_rng(2)
    members, strangers = rng.normal(0, 1, 300), rng.normal(0.5, 1, 500)
    area, low, high = separation(members, strangers)
    whole = stats.mannwhitneyu(strangers, members).statistic / (300 * 500)
    assert area == pytest.approx(whole)
    assert low < area < high


@pytest.mark.parametrize("noise", [1.0, 1e-5])
def test_the_attacker_reads_the_noise_off_what_is_released_and_finds_all_where_there_is_none(
    noise: float,
) -> None:
    rng = np.random.default_rng(3)
    directions, present = rng.normal(size=(60, 400)), rng.random(60) < 0.5
    seen = directions.T @ (present - 0.5) + rng.normal(0, 20 * noise, 400)
    scores = best_guess(directions @ directions.T, directions @ seen, float(seen @ seen), 400, 20.0)
    right = right_guesses(scores, present, 20)
    assert right == 40 if noise < 1 else 22 <= right <= 40
