"""Prices and budgets: known numbers, laws, and agreement with dp_accounting and OpenDP."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from math import inf, log, nan, nextafter, sqrt

import numpy as np
import opendp.prelude as dp
import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import PrivacyError
from fedvalue.privacy import accounting
from fedvalue.privacy.accounting import (
    NOTHING,
    ORDERS,
    UNITS_PER_RHO,
    Budget,
    Price,
    epsilon,
    rho_units_for,
)

DELTA = 1e-6
CALM = settings(deadline=None, max_examples=50)
"""A shared machine may stall for longer than any deadline."""

EPSILONS = st.floats(1e-3, 50)
DELTAS = st.floats(1e-12, 1e-2)


@pytest.mark.parametrize(("wanted", "rho"), [(0.5, ".00664"), (1, ".02436"), (3, ".18507"), (8, "1.05236")])
def test_rho_of_the_usual_epsilons(wanted: float, rho: str) -> None:
    # At delta 1e-6. By hand for epsilon 1, where the best order is near 22 (.024356 x 21^2 = 10.74 against
    # ln(1e6 / 22) = 10.72): 22 x .024356 + 10.7244 / 21 + ln(21/22) = .53583 + .51068 - .04652 = .99999.
    assert f"{rho_units_for(wanted, DELTA) / UNITS_PER_RHO:.5f}".removeprefix("0") == rho


@CALM
@given(wanted=EPSILONS, delta=DELTAS)
def test_what_an_epsilon_buys_costs_at_most_that_epsilon_and_one_unit_more_costs_more(
    wanted: float, delta: float
) -> None:
    units = rho_units_for(wanted, delta)
    assert epsilon(units, delta) <= wanted
    assert epsilon(units + 1, delta) > wanted


@CALM
@given(units=st.integers(1, 2**43), delta=DELTAS)
def test_epsilon_is_no_order_s_worse(units: int, delta: float) -> None:
    rho = units / UNITS_PER_RHO
    best = min(a * rho - log(a * delta) / (a - 1) + log(1 - 1 / a) for a in 1 + np.geomspace(1e-2, 1e8, 400))
    assert epsilon(units, delta) <= max(0.0, best) + 1e-12


@CALM
@given(units=st.integers(0, 2**43), more=st.integers(1, 2**43), delta=DELTAS)
def test_epsilon_grows_with_rho_and_falls_with_delta(units: int, more: int, delta: float) -> None:
    assert epsilon(units, delta) <= epsilon(units + more, delta)
    assert epsilon(units, 2 * delta) <= epsilon(units, delta)


def test_an_epsilon_that_no_float_equals_is_reported_from_above() -> None:
    # The float nearest to .3 is .29999999999999998890; the one nearest to .1 is .1000000000000000055.
    assert accounting._float_up(Decimal("0.3")) == nextafter(0.3, 1)
    assert accounting._float_up(Decimal("0.1")) == 0.1


def test_nothing_costs_nothing() -> None:
    assert epsilon(0, DELTA) == 0.0
    assert Budget(1, DELTA).epsilon_of(NOTHING) == 0.0
    assert Budget(1, DELTA, admits_sampled=True).epsilon_of(NOTHING) == 0.0


@pytest.mark.parametrize("scale", [0.7, 1.0, 4.0, 12.0])
def test_epsilon_agrees_with_opendp(scale: float) -> None:
    dp.enable_features("contrib")
    gaussian = dp.m.make_gaussian(
        dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="i64"), scale=scale
    )
    profile = dp.c.make_zCDP_to_approxDP(gaussian).map(1)  # type: ignore[no-untyped-call]  # OpenDP has no types here
    theirs = profile.epsilon(DELTA)
    units = round(UNITS_PER_RHO / (2 * scale**2))  # rho = 1 / (2 scale^2), to a unit
    assert epsilon(units, DELTA) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("noise_multiplier", [0.6, 1.0, 5.0, 20.0])
def test_epsilon_agrees_with_dp_accounting_on_a_fine_grid_of_orders(noise_multiplier: float) -> None:
    accountant = RdpAccountant(orders=list(1 + np.geomspace(0.05, 2000, 4000)))
    accountant.compose(GaussianDpEvent(noise_multiplier))
    units = round(UNITS_PER_RHO / (2 * noise_multiplier**2))
    assert epsilon(units, DELTA) == pytest.approx(accountant.get_epsilon(DELTA), rel=1e-6)


def test_the_union_filter_s_epsilon_agrees_with_dp_accounting_order_by_order() -> None:
    budget = Budget(4, DELTA, admits_sampled=True)
    spent = Price.plain(2**36)  # rho 1/16, noise multiplier sqrt 8
    each = []
    for order, weight in zip(ORDERS, budget.weights, strict=True):
        accountant = RdpAccountant(orders=[order])
        accountant.compose(GaussianDpEvent(sqrt(8)))
        # sampled releases pay 1e-12 of delta for the discreteness of the noise
        each.append(accountant.get_epsilon((DELTA - 1e-12) * float(weight)))
    assert budget.epsilon_of(spent) == pytest.approx(min(each), rel=1e-9)


def sampled(steps: int) -> Price:
    """Price of Poisson-sampled Gaussian steps from dp_accounting: q = .01, noise multiplier 1."""
    accountant = RdpAccountant(orders=list(ORDERS))
    accountant.compose(SelfComposedDpEvent(PoissonSampledDpEvent(0.01, GaussianDpEvent(1.0)), steps))
    return Price(tuple(int(np.ceil(value * UNITS_PER_RHO)) for value in accountant._rdp))


def test_the_union_filter_admits_sampled_steps_until_some_order_is_full_and_no_further() -> None:
    budget = Budget(3, DELTA, admits_sampled=True)
    step, spent, steps = sampled(25), NOTHING, 0
    while budget.passes(spent, NOTHING, step):
        spent, steps = spent + step, steps + 25
    # What was let through is covered, and one more portion would not be.
    assert budget.epsilon_of(spent) <= 3 < budget.epsilon_of(spent + step)
    # dp_accounting may choose its order afterwards, because nothing was adaptive: the weights cost the rest,
    # ln 24 / (a - 1) = .4 at order 9.
    accountant = RdpAccountant(orders=list(ORDERS))
    accountant.compose(SelfComposedDpEvent(PoissonSampledDpEvent(0.01, GaussianDpEvent(1.0)), steps))
    assert 2.4 < accountant.get_epsilon(DELTA) < 3


def test_the_plain_filter_agrees_with_opendp_s_on_adaptive_releases() -> None:
    dp.enable_features("contrib", "honest-but-curious")
    space = dp.atom_domain(T="i64"), dp.absolute_distance(T="i64")
    budget = Budget(2, DELTA)
    rng = np.random.default_rng(8)
    for _ in range(5):
        odometer = dp.c.make_fully_adaptive_composition(*space, dp.zero_concentrated_divergence())
        theirs = dp.c.make_privacy_filter(odometer, d_in=1, d_out=budget.rho_units / UNITS_PER_RHO)(0)
        spent, passed = NOTHING, True
        while passed:
            scale = float(rng.uniform(4, 20))
            ask = Price.plain(int(np.ceil(UNITS_PER_RHO / (2 * scale**2))))
            passed = budget.passes(spent, NOTHING, ask)
            if passed:
                theirs(dp.m.make_gaussian(*space, scale=scale))
                spent = spent + ask
            else:
                with pytest.raises(dp.OpenDPException, match="exhausted"):
                    theirs(dp.m.make_gaussian(*space, scale=scale))


def test_a_price_is_its_rho_at_every_order_and_prices_add() -> None:
    assert Price.plain(10).units == tuple(10 * a for a in (2, 3, 4, 5, 6, 8, 9, 12, 16, 22, 32, 40, 64))
    assert Price.plain(10) + Price.plain(7) == Price.plain(17)
    assert (Price.plain(10) + Price.plain(7)).rho_units == 17
    assert Price.plain(10) + NOTHING == Price.plain(10)


def test_the_price_of_a_sampled_release_has_no_rho() -> None:
    assert sampled(1).rho_units is None
    assert Price((21, *Price.plain(10).units[1:])).rho_units is None


@pytest.mark.parametrize("units", [(1,), (0,) * 14, (-1, *(0,) * 12)])
def test_a_vector_that_is_no_price_is_refused(units: tuple[int, ...]) -> None:
    with pytest.raises(PrivacyError, match="none of them negative"):
        Price(units)


def test_a_study_of_epsilon_two_fits_a_budget_of_two_to_the_last_unit() -> None:
    budget = Budget(2, DELTA)
    whole = rho_units_for(2, DELTA)
    assert budget.passes(NOTHING, NOTHING, Price.plain(whole))
    assert budget.passes(Price.plain(whole - 5), Price.plain(3), Price.plain(2))
    assert not budget.passes(Price.plain(whole - 5), Price.plain(3), Price.plain(3))
    assert not budget.passes(NOTHING, NOTHING, Price.plain(whole + 1))
    assert budget.remaining_units(Price.plain(whole - 5), Price.plain(3)) == 2
    assert budget.remaining_units(Price.plain(whole)) == 0


def test_a_population_of_plain_releases_refuses_a_sampled_one() -> None:
    budget = Budget(2, DELTA)
    for ask in ((NOTHING, NOTHING, sampled(1)), (sampled(1), NOTHING, NOTHING)):
        with pytest.raises(PrivacyError, match="admits no sampled release"):
            budget.passes(*ask)


def test_the_limits_are_the_formula_by_hand() -> None:
    budget = Budget(2, DELTA, admits_sampled=True)
    # rho_B = .08815, so 1 + sqrt(ln(1e6) / .08815) = 13.52: nearest order 12, weight 1/2, the others 1/24.
    assert budget.weights == tuple(Fraction(1, 2) if a == 12 else Fraction(1, 24) for a in ORDERS)
    for order, weight, limit in zip(ORDERS, budget.weights, budget.limits, strict=True):
        by_hand = 2 - log(1 / (order * float(weight) * (DELTA - 1e-12))) / (order - 1) - log(1 - 1 / order)
        assert limit == pytest.approx(by_hand * UNITS_PER_RHO, abs=1)
    # B(12) = 2 - ln(1e6 / 6) / 11 - ln(11/12) = 2 - 1.09307 + .08701 = .99394; as rho: / 12 = .08283, which
    # is 6 % below rho_B, the price of admitting sampled releases.
    assert budget.limits[7] / UNITS_PER_RHO == pytest.approx(0.99394, abs=1e-5)
    assert budget.remaining_units(NOTHING) == budget.limits[7] // 12
    assert 0.93 < budget.remaining_units(NOTHING) / budget.rho_units < 0.95


@settings(CALM, max_examples=40)
@given(
    asks=st.lists(st.integers(1, 2**36), min_size=1, max_size=30),
    wanted=st.floats(0.1, 10),
    sampling=st.booleans(),
)
def test_whatever_is_asked_what_passed_stays_within_the_budget(
    asks: list[int], wanted: float, sampling: bool
) -> None:
    budget = Budget(wanted, DELTA, admits_sampled=sampling)
    spent = NOTHING
    for ask in asks:
        left = budget.remaining_units(spent)
        passes = budget.passes(spent, NOTHING, Price.plain(ask))
        assert passes == (ask <= left)
        spent = spent + Price.plain(ask) if passes else spent
        assert budget.epsilon_of(spent) <= wanted


def test_admitting_sampled_releases_never_makes_plain_ones_cheaper() -> None:
    for wanted in (0.5, 1, 3, 8):
        plain, union = Budget(wanted, DELTA), Budget(wanted, DELTA, admits_sampled=True)
        assert union.remaining_units(NOTHING) < plain.remaining_units(NOTHING)


def test_reserving_and_spending_weigh_the_same() -> None:
    budget = Budget(1, DELTA, admits_sampled=True)
    parts = [Price.plain(x) for x in (2**30, 2**31, 2**33)]
    total = list(accumulate(parts, Price.__add__))[-1]
    assert budget.passes(parts[0], parts[1], parts[2]) == budget.passes(NOTHING, NOTHING, total)


def test_a_budget_is_what_its_numbers_say() -> None:
    assert Budget(1, DELTA) == Budget(1, DELTA, weights=Budget(1, DELTA).weights)
    assert Budget(1, DELTA) != Budget(nextafter(1, 2), DELTA)


@pytest.mark.parametrize("bad", [0.0, -1.0, inf, nan])
def test_an_epsilon_outside_its_range_is_refused(bad: float) -> None:
    with pytest.raises(PrivacyError, match="epsilon"):
        rho_units_for(bad, DELTA)


@pytest.mark.parametrize("bad", [0.0, -1e-9, 1.0, nan])
def test_a_delta_outside_its_range_is_refused(bad: float) -> None:
    with pytest.raises(PrivacyError, match="delta"):
        epsilon(1, bad)
    with pytest.raises(PrivacyError, match="delta"):
        Budget(1, bad)


def test_a_negative_rho_and_weights_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(PrivacyError, match="negative"):
        epsilon(-1, DELTA)
    thirteenth = Fraction(1, 13)
    for weights in (
        (thirteenth,) * 12,
        (thirteenth,) * 12 + (Fraction(2, 13),),
        (Fraction(0), Fraction(2, 13)) + (thirteenth,) * 11,
    ):
        with pytest.raises(PrivacyError, match="weights"):
            Budget(1, DELTA, weights=weights)
