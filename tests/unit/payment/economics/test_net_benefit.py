"""Joint moments and draws, ratio with quadrant, net benefit, acceptability, value of information."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.icer import icer
from fedvalue.payment.economics.information import (
    evpi,
    evpi_of_draws,
    evsi,
    expected_above,
    population_value,
    resolving,
    value_of_information,
)
from fedvalue.payment.economics.joint import NONE, Covariance, Draws, Increment
from fedvalue.payment.economics.net_benefit import acceptability, net_benefits
from fedvalue.payment.economics.partial_information import evppi

reals = st.floats(-1e5, 1e5)


def increment(cost: float, effect: float, sd: tuple[float, float] = (1.0, 0.001)) -> Increment:
    return Increment(cost, effect, Covariance.from_sd(*sd))


@pytest.mark.parametrize(
    ("cost", "effect", "quadrant", "printed"),
    [
        (80_000, 0.5, "north_east", "160,000.00"),
        (-80_000, 0.5, "south_east", "-160,000.00"),
        (-80_000, -0.5, "south_west", "160,000.00"),
        (80_000, -0.5, "north_west", "-160,000.00"),
    ],
)
def test_a_ratio_is_printed_with_its_quadrant(
    cost: float, effect: float, quadrant: str, printed: str
) -> None:
    ratio = icer(increment(cost, effect))
    assert (ratio.quadrant, ratio.printed, ratio.defined) == (quadrant, printed, True)


def test_a_ratio_says_what_it_means_in_english_and_chinese() -> None:
    ratio = icer(increment(-5, -1))
    assert "per unit lost" in ratio.label("en")
    assert "节省" in ratio.label("zh")


def test_a_ratio_cannot_be_compared_with_a_threshold() -> None:
    with pytest.raises(TypeError):
        _ = icer(increment(5, 1)) < 268_074  # type: ignore[operator]  # the refusal is what is tested


@pytest.mark.parametrize("case", [increment(5, 0), increment(100, 0.001, (1000, 1)), increment(0, 0)])
def test_a_ratio_without_a_difference_is_undefined_and_net_benefit_is_not(case: Increment) -> None:
    ratio = icer(case)
    assert not ratio.defined
    assert ratio.printed.startswith("undefined")
    assert math.isfinite(net_benefits(case, [1000.0])[0].mean)


def test_the_confidence_region_is_the_ellipse_of_both_and_not_of_each() -> None:
    # Each is 2 SDs from 0: distance 4 with correlation 1/2 gives (4 + 4 - 4) / (3/4) = 5.33 < 5.99 = chi2(2),
    # and without correlation 8 > 5.99.
    assert not icer(Increment(2, 2, Covariance.from_sd(1, 1, 0.5))).defined
    assert icer(Increment(2, 2, Covariance.from_sd(1, 1, 0.0))).defined


def test_sampling_and_privacy_stay_apart_up_to_net_benefit() -> None:
    # k = 10: 100 * .04 + 9 - 2 * 10 * .3 = 7 from sampling; 100 * .01 + 16 = 17 from privacy
    found = net_benefits(
        Increment(1.0, 2.0, Covariance(9, 0.04, 0.3), Covariance(16, 0.01)), [10.0], extra_privacy_sd=2.0
    )[0]
    assert (found.mean, found.sampling_variance, found.privacy_variance) == pytest.approx((19, 7, 21))
    assert found.sd == pytest.approx(math.sqrt(28))


def test_without_uncertainty_the_probability_is_zero_half_or_one() -> None:
    exact = [net_benefits(Increment(c, 1.0, NONE), [10.0])[0].probability for c in (5, 10, 15)]
    assert exact == [1.0, 0.5, 0.0]


@given(reals, st.floats(0.01, 1e5), st.floats(-1e5, 1e5))
@settings(deadline=None, max_examples=60)
def test_expectations_above_a_floor_are_those_of_the_integral(mean: float, sd: float, floor: float) -> None:
    law = stats.norm(mean, sd)
    z = (floor - mean) / sd
    if abs(z) > 8:
        return
    above = integrate.quad(lambda x: (mean + sd * x) * stats.norm.pdf(x), z, max(z, 0) + 12, epsrel=1e-10)[0]
    slow = above + floor * law.cdf(floor)
    assert expected_above(mean, sd, floor) == pytest.approx(slow, rel=1e-6, abs=1e-6 * sd)
    assert value_of_information(mean, sd) == pytest.approx(
        expected_above(mean, sd) - max(mean, 0), rel=1e-6, abs=1e-9 * (sd + abs(mean))
    )


def test_perfect_information_by_draws_is_the_closed_form() -> None:
    # 200,000 draws: the SE of the mean of max(INB, 0) is about 21,000 / sqrt(200,000) = 48; five of them.
    case = Increment(80_000, 0.30, Covariance.from_sd(9_000, 0.08, 0.2), Covariance.from_sd(3_000, 0.02))
    draws = case.draw(np.random.default_rng(5), 200_000)
    assert evpi_of_draws(draws, 268_074) == pytest.approx(evpi(net_benefits(case, [268_074])[0]), abs=240)


def test_moments_survive_the_way_through_draws() -> None:
    case = Increment(
        80_000, 0.45, Covariance.from_sd(9_000, 0.08, 0.2), Covariance.from_sd(3_000, 0.02, -0.1)
    )
    back = case.draw(np.random.default_rng(6), 400_000).increment("new", "current")
    assert back.cost == pytest.approx(case.cost, rel=2e-3)
    assert back.effect == pytest.approx(case.effect, rel=2e-3)
    for name in ("cost", "effect", "cross"):
        assert getattr(back.sampling, name) == pytest.approx(getattr(case.covariance, name), rel=0.05)


def test_information_that_changes_no_decision_is_worth_nothing() -> None:
    draws = Draws(("a", "b"), np.array([[0.0, 9.0], [0.0, 8.0]]), np.array([[1.0, 1.0], [2.0, 2.0]]))
    assert evpi_of_draws(draws, 100.0) == 0.0


def test_sample_information_lies_between_nothing_and_everything() -> None:
    case = net_benefits(Increment(10, 1, Covariance(16, 0), Covariance(9, 0)), [10.0])[0]
    # 25 today, 5 after: data move the mean by an SD of sqrt(20); at a mean of 0 EVSI is it / sqrt(2 pi).
    assert evsi(case, sampling_variance=4, privacy_variance=1) == pytest.approx(math.sqrt(20 / (2 * math.pi)))
    assert evsi(case, sampling_variance=16, privacy_variance=9) == 0
    assert evsi(case, sampling_variance=0, privacy_variance=0) == pytest.approx(evpi(case))
    parts = resolving(case)
    assert parts["sampling"] == pytest.approx(4 / math.sqrt(2 * math.pi))
    assert parts["privacy"] == pytest.approx(3 / math.sqrt(2 * math.pi))
    with pytest.raises(PaymentError, match="would leave a variance of 26"):
        evsi(case, sampling_variance=17, privacy_variance=9)


def test_a_population_counts_this_year_whole_and_later_years_discounted() -> None:
    # 2 * (100 + 105 / 1.05 + 0) = 400
    assert population_value(2.0, [100, 105], discount=0.05) == pytest.approx(400.0)
    with pytest.raises(PaymentError, match="discount"):
        population_value(2.0, [100], discount=5)


def test_ties_are_shared_and_the_frontier_follows_expected_net_benefit() -> None:
    # b wins two draws of three by 1 and loses the third by 9: CEAC 2/3, but a has the higher expectation.
    effect = np.array([[0.0, 1.0], [0.0, 1.0], [9.0, 0.0]])
    found = acceptability(Draws(("a", "b"), np.zeros((3, 2)), effect), [1.0, 2.0])
    assert found.ceac[0] == pytest.approx([1 / 3, 2 / 3])
    assert found.best == ("a", "a")
    assert found.ceaf == pytest.approx([1 / 3, 1 / 3])
    tied = acceptability(Draws(("a", "b"), np.zeros((1, 2)), np.ones((1, 2))), [1.0])
    assert tied.ceac[0] == pytest.approx([0.5, 0.5])


def test_partial_information_of_everything_is_perfect_information_and_of_nothing_is_none() -> None:
    rng = np.random.default_rng(9)
    x, other = rng.normal(size=(2, 20_000))
    draws = Draws(("a", "b"), np.zeros((20_000, 2)), np.column_stack([np.zeros(20_000), x]))
    # E max(x, 0) of a standard normal x is 1 / sqrt(2 pi) = .3989
    assert evppi(draws, x, 1.0) == pytest.approx(evpi_of_draws(draws, 1.0), abs=1e-6)
    assert evppi(draws, x, 1.0) == pytest.approx(1 / math.sqrt(2 * math.pi), abs=0.02)
    assert evppi(draws, other, 1.0) < 0.01
    assert evppi(draws, np.ones(20_000), 1.0) == pytest.approx(0.0, abs=1e-12)


def test_partial_information_never_exceeds_perfect_information_by_more_than_its_own_error() -> None:
    rng = np.random.default_rng(10)
    x = rng.normal(size=(5000, 2))
    effect = np.column_stack([np.zeros(5000), x[:, 0] * x[:, 1] + rng.normal(size=5000)])
    draws = Draws(("a", "b"), np.zeros((5000, 2)), effect)
    alone, both = evppi(draws, x[:, 0], 1.0), evppi(draws, x, 1.0)
    # Neither parameter says anything alone; the product of both does: the pairwise terms must find it.
    # E max(xy, 0) for independent standard normals is E|xy| / 2 = 1 / pi = .318
    assert alone < 0.05
    assert both == pytest.approx(1 / math.pi, abs=0.05)
    assert both <= evpi_of_draws(draws, 1.0) + 0.02


def test_a_regression_with_too_few_draws_is_refused() -> None:
    draws = Draws(("a", "b"), np.zeros((30, 2)), np.random.default_rng(1).normal(size=(30, 2)))
    with pytest.raises(PaymentError, match="too few for a regression"):
        evppi(draws, np.arange(30.0), 1.0)
    with pytest.raises(PaymentError, match="29 draws of parameters for 30"):
        evppi(draws, np.arange(29.0), 1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Covariance(-1.0, 1.0), "below 0"),
        (lambda: Covariance(1.0, 1.0, 1.1), "correlate by more than 1"),
        (lambda: Covariance(math.nan, 1.0), "not finite"),
        (lambda: Increment(math.inf, 1.0, NONE), "not finite"),
        (lambda: Draws(("a", "a"), np.zeros((2, 2)), np.zeros((2, 2))), "own name"),
        (lambda: Draws(("a", "b"), np.zeros((2, 2)), np.zeros((3, 2))), "not drawn together"),
        (lambda: Draws(("a", "b"), np.zeros((2, 3)), np.zeros((2, 3))), "2 options"),
        (lambda: Draws(("a", "b"), np.full((2, 2), np.nan), np.zeros((2, 2))), "not finite"),
        (lambda: Draws(("a", "b"), np.zeros((2, 2)), np.zeros((2, 2))).index("c"), "no option 'c'"),
        (lambda: net_benefits(Increment(1, 1, NONE), []), "grid"),
        (lambda: net_benefits(Increment(1, 1, NONE), [2.0, 1.0]), "increase"),
        (lambda: net_benefits(Increment(1, 1, NONE), [0.0]), "above 0"),
    ],
)
def test_what_is_no_cost_and_effect_is_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(PaymentError, match=message):
        make()
