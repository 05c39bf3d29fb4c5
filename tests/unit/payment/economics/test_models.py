"""Cohort and partitioned-survival models, value modifiers, savings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import PaymentError
from fedvalue.payment.economics import markov, partitioned_survival
from fedvalue.payment.economics.joint import Covariance, Increment
from fedvalue.payment.economics.lifetime import Accrual, WithinCycle, accrue, weights
from fedvalue.payment.economics.markov import Markov, from_counts, probability, trace, with_relative_risk
from fedvalue.payment.economics.modifiers import Modifier, modify
from fedvalue.payment.economics.partitioned_survival import observed_share, partition, with_constant_tail
from fedvalue.payment.economics.savings import Effect, Uncertain, savings
from fedvalue.payment.parameters import Source

PLAIN = Accrual("half", 1.0, 0.0, 0.0)


def dying(p: float, cycles: int) -> Markov:
    return Markov(("alive", "dead"), np.array([1.0, 0.0]), np.array([[1 - p, p], [0, 1]]), cycles)


@pytest.mark.parametrize(
    ("rule", "total"),
    [
        # Alive at edges 0, 1, 2: 1, .5, .25
        ("start", 1.5),
        ("end", 0.75),
        ("half", 0.5 + 0.5 + 0.125),
        ("simpson", 1 / 3 + 4 / 3 * 0.5 + 1 / 3 * 0.25),
    ],
)
def test_life_years_follow_the_rule_within_a_cycle(rule: WithinCycle, total: float) -> None:
    found = markov.lifetime(
        dying(0.5, 2), np.array([100.0, 0.0]), np.array([1.0, 0.0]), replace(PLAIN, within_cycle=rule)
    )
    assert found.effect == pytest.approx(total)
    assert found.cost == pytest.approx(100 * total)


def test_simpson_is_exact_for_a_cubic_where_cycles_are_even() -> None:
    # The integral of t^3 from 0 to 4 is 64.
    assert weights("simpson", 4) @ np.arange(5.0) ** 3 == pytest.approx(64)


def test_many_short_cycles_with_the_half_cycle_correction_reach_the_integral() -> None:
    # Constant hazard .3, discount 5 %: the integral of exp(-.3 t) 1.05^-t is 1 / (.3 + ln 1.05).
    steps = 12
    model = dying(probability(0.3, 1 / steps), 200 * steps)
    found = markov.lifetime(
        model, np.zeros(2), np.array([1 / steps, 0.0]), Accrual("half", 1 / steps, 0.0, 0.05)
    )
    assert found.effect == pytest.approx(1 / (0.3 + math.log(1.05)), abs=1e-3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
@settings(deadline=None, max_examples=30)
def test_nobody_is_lost_between_states(seed: int, cycles: int) -> None:
    rng = np.random.default_rng(seed)
    model = Markov(tuple("abc"), np.array([0.2, 0.3, 0.5]), rng.dirichlet(np.ones(3), (cycles, 3)), cycles)
    found = trace(model)
    slow = model.start
    for cycle in range(cycles):
        slow = np.array([sum(slow[i] * model.transitions[cycle, i, j] for i in range(3)) for j in range(3)])
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    np.testing.assert_allclose(found[-1], slow)


def test_a_relative_risk_slows_what_is_worse_and_leaves_what_is_better() -> None:
    p = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0, 0, 1.0]])
    # Row 1: .15 + .05 worse, .8 stay. Row 2: .15 worse, .2 better, .65 stay.
    expected = np.array([[0.8, 0.15, 0.05], [0.2, 0.65, 0.15], [0, 0, 1.0]])
    np.testing.assert_allclose(with_relative_risk(p, 0.5), expected)
    with pytest.raises(PaymentError, match="above 1"):
        with_relative_risk(p, 3.0)


def test_a_state_nobody_was_seen_in_is_refused() -> None:
    with pytest.raises(PaymentError, match="nobody was seen"):
        from_counts(np.array([[3.0, 1.0], [0.0, 0.0]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transitions": np.array([[0.5, 0.4], [0, 1]])}, "do not sum to 1"),
        ({"transitions": np.array([[1.5, -0.5], [0, 1]])}, "outside 0 to 1"),
        ({"transitions": np.eye(3)}, "2 states"),
        ({"start": np.array([0.5, 0.4])}, "start"),
        ({"cycles": 0}, "cycles"),
    ],
)
def test_what_is_no_cohort_model_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(PaymentError, match=message):
        replace(dying(0.5, 2), **change)  # type: ignore[arg-type]  # wrong values are the test


def test_a_rate_below_zero_and_a_discount_of_five_hundred_per_cent_are_refused() -> None:
    with pytest.raises(PaymentError, match="rate"):
        probability(-0.1)
    with pytest.raises(PaymentError, match="discount"):
        Accrual("half", 1.0, 5, 0.0)


OS = np.array([1.0, 0.8, 0.6, 0.5])
PFS = np.array([1.0, 0.5, 0.3, 0.2])


def test_partitioned_survival_by_hand() -> None:
    # Half-cycle: PFS .5 + .5 + .3 + .1 = 1.4; OS .5 + .8 + .6 + .25 = 2.15; progressed .75.
    found = partitioned_survival.lifetime(
        partition(PFS, OS, cap_crossing=False), np.array([100.0, 40, 0]), np.array([0.8, 0.5, 0]), PLAIN
    )
    assert found.cost == pytest.approx(140 + 30)
    assert found.effect == pytest.approx(0.8 * 1.4 + 0.5 * 0.75)


def test_crossing_curves_are_refused_or_capped_knowingly() -> None:
    crossing = np.array([1.0, 0.85, 0.3, 0.2])
    with pytest.raises(PaymentError, match=r"above OS by up to 0\.05"):
        partition(crossing, OS, cap_crossing=False)
    part = partition(crossing, OS, cap_crossing=True)
    assert part.crossed == pytest.approx(0.05)
    assert (part.occupancy >= 0).all()


def test_a_tail_keeps_the_hazard_of_the_last_cycles() -> None:
    # From .8 to .5 in two cycles: factor sqrt(5/8) per cycle.
    tail = with_constant_tail(OS, 5, from_last=2)
    assert tail[:4] == pytest.approx(OS)
    assert tail[4:] == pytest.approx([0.5 * math.sqrt(5 / 8), 0.5 * 5 / 8])
    with pytest.raises(PaymentError, match="never end"):
        with_constant_tail(np.array([1.0, 0.5, 0.5]), 9, from_last=1)


def test_the_share_that_was_seen_is_told() -> None:
    long = with_constant_tail(OS, 60, from_last=3)
    part = partition(long, long, cap_crossing=False)
    share = observed_share(part, np.array([1.0, 1, 0]), PLAIN, seen=3)
    whole = accrue(part.occupancy, np.zeros(3), np.array([1.0, 1, 0]), PLAIN).effect
    assert share == pytest.approx(2.15 / whole)


@pytest.mark.parametrize("curve", [np.array([0.9, 0.8]), np.array([1.0, 1.1]), np.array([1.0, -0.1])])
def test_what_is_no_survival_curve_is_refused(curve: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    with pytest.raises(PaymentError, match="no survival curve"):
        partition(curve, np.array([1.0, 1.0]), cap_crossing=True)


SOURCE = Source(title="Council of the region", place="minutes 4", status="chosen")


def weight(ground: str, target: str, factor: float, *, applies: bool = True) -> Modifier:
    return Modifier(ground, target, factor, "fewer than 5 in 10,000", applies, SOURCE)  # type: ignore[arg-type]  # literals


def test_modifiers_are_logged_also_where_they_do_not_apply_or_meet_the_ceiling() -> None:
    plain = Increment(80_000, 0.4, Covariance(9, 4, 2), Covariance(1, 1))
    found = modify(
        100_000,
        plain,
        [
            weight("rare_disease", "threshold", 1.5),
            weight("paediatric", "effect", 1.2),
            weight("severity", "threshold", 1.7, applies=False),
            weight("end_of_life", "threshold", 2.0),
        ],
        ceiling=2.0,
    )
    # Threshold: 1.5, then 1.5 * 2 = 3 is capped at 2. Effect: .4 * 1.2 = .48, variance 4 * 1.44.
    assert found.k == 200_000
    assert found.increment.effect == pytest.approx(0.48)
    scaled = found.increment.sampling
    assert (scaled.cost, scaled.effect, scaled.cross) == pytest.approx((9, 5.76, 2.4))
    assert (found.plain_k, found.plain_increment) == (100_000, plain)
    assert [(s.before, s.after, s.capped) for s in found.log] == [
        (1.0, 1.5, False), (1.0, 1.2, False), (1.5, 1.5, False), (1.5, 2.0, True)
    ]  # fmt: skip


def test_a_modifier_that_lowers_value_or_stands_twice_is_refused() -> None:
    with pytest.raises(PaymentError, match=r"multiplies by 0\.5"):
        weight("rare_disease", "effect", 0.5)
    twice = [weight("rare_disease", "effect", 1.1)] * 2
    with pytest.raises(PaymentError, match="twice"):
        modify(1.0, Increment(1, 1, Covariance(1, 1)), twice, ceiling=2.0)


def programme(**changes: object) -> Effect:
    base = Effect(Uncertain(0.1, 0.0004, 0.0001), Uncertain(20_000.0), 0.7, 0.5, 0.8, 300.0)
    return replace(base, **changes)  # type: ignore[arg-type]  # test data


def test_savings_accumulate_over_one_three_and_five_years() -> None:
    # People reached: 100, 80 + 50 = 130, 104, 83.2, 66.56; sums 100, 334, 483.76 person-years.
    # Per person-year .1 * 20,000 * .7 * .5 = 700, less 300 = 400.
    found = savings(programme(), [100, 50, 0, 0, 0])
    assert [s.years for s in found] == [1, 3, 5]
    assert [s.amount.mean for s in found] == pytest.approx([40_000, 133_600, 193_504])
    # One error for all years: SD of the rate times 20,000 * .35 * person-years.
    for saving, person_years in zip(found, (100, 334, 483.76), strict=True):
        unit = (7000 * person_years) ** 2
        assert saving.amount.sampling_variance == pytest.approx(0.0004 * unit)
        assert saving.amount.privacy_variance == pytest.approx(0.0001 * unit)


def test_the_product_of_two_uncertain_numbers_is_that_of_simulation() -> None:
    rng = np.random.default_rng(3)
    x, y = Uncertain(0.1, 0.0004, 0.0005), Uncertain(5.0, 1.0, 0.5)
    product = x.times(y)
    drawn = rng.normal(0.1, 0.03, 400_000) * rng.normal(5.0, math.sqrt(1.5), 400_000)
    assert product.sampling_variance + product.privacy_variance == pytest.approx(drawn.var(), rel=0.02)
    assert product.sampling_variance == pytest.approx(0.01 * 1 + 25 * 0.0004 + 0.0004)


def test_a_programme_that_only_costs_never_saves() -> None:
    found = savings(programme(events_avoided=Uncertain(0.0)), [10], [1])[0]
    assert (found.amount.mean, found.probability_saves, found.expected_shortfall) == (-3000, 0.0, 3000)


def test_horizons_beyond_what_is_known_are_refused() -> None:
    with pytest.raises(PaymentError, match="known for 3 years"):
        savings(programme(), [10, 10, 10])
