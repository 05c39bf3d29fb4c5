"""What a release costs that patients enter by chance: against dp-accounting, by hand, and at the edges."""

from __future__ import annotations

from fractions import Fraction
from math import comb, exp, log

import pytest
from dp_accounting.dp_event import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.rdp import RdpAccountant

from fedvalue.errors import PrivacyError
from fedvalue.privacy import accounting, sampled
from fedvalue.privacy.accounting import ORDERS, UNITS_PER_RHO, Price
from fedvalue.privacy.release import Block, patient_bound_squared, scales


@pytest.mark.parametrize("rate", ["1/1000", "1/100", "1/10", "9/10"])
@pytest.mark.parametrize("multiplier", ["1/2", "1", "3"])
def test_the_curve_is_that_of_dp_accounting_and_never_below_it(rate: str, multiplier: str) -> None:
    q, z = Fraction(rate), Fraction(multiplier)
    oracle = RdpAccountant(orders=list(ORDERS))
    oracle.compose(PoissonSampledDpEvent(float(q), GaussianDpEvent(float(z))))
    ours = sampled.curve(z**2, q)
    for unit, theirs in zip(ours.units, oracle._rdp, strict=True):
        assert unit >= theirs * UNITS_PER_RHO * (1 - 1e-9)
        assert unit == pytest.approx(theirs * UNITS_PER_RHO, rel=1e-7, abs=3)


def test_order_two_by_hand() -> None:
    # E[(P/Q)^2] = (1-q)^2 + 2 q (1-q) + q^2 e^(1/z^2) = 1 + q^2 (e^(1/z^2) - 1); q = .1, z = 1: ln 1.0171828
    by_hand = log(1 + 0.01 * (exp(1) - 1))
    assert sampled.divergence_units(Fraction(1), Fraction(1, 10), 2) / UNITS_PER_RHO == pytest.approx(by_hand)


def test_order_four_by_the_formula() -> None:
    q, z = 0.3, 2.0
    moment = sum(comb(4, j) * (1 - q) ** (4 - j) * q**j * exp(j * (j - 1) / (2 * z**2)) for j in range(5))
    found = sampled.divergence_units(Fraction(4), Fraction(3, 10), 4) / UNITS_PER_RHO
    assert found == pytest.approx(log(moment) / 3)


def test_where_everybody_is_drawn_the_price_is_the_plain_one() -> None:
    assert sampled.curve(Fraction(1, 2), Fraction(1)) == Price.plain(UNITS_PER_RHO)  # rho = 1 / (2 z^2) = 1


def test_a_person_at_two_sites_is_drawn_somewhere_with_one_minus_the_square_of_the_rest() -> None:
    assert sampled.rate_over_sites(Fraction(1, 10), 2) == Fraction(19, 100)


@pytest.mark.parametrize(("rate", "releases"), [("1/20", 100), ("1/2", 7), ("1/1000", 1000)])
def test_the_least_noise_fits_and_a_step_less_does_not(rate: str, releases: int) -> None:
    limits = accounting.order_limits(2.0, 1e-6)
    found = sampled.least_multiplier(Fraction(rate), releases, limits)
    assert found is not None
    z, order = found
    place = ORDERS.index(order)

    def cost(multiplier: Fraction) -> int:
        return sampled.curve(multiplier**2, Fraction(rate)).units[place] * releases

    assert cost(z) <= limits[place] < cost(z - Fraction(1, sampled.GRAIN))
    whole = sampled.times(sampled.curve(z**2, Fraction(rate)), releases)
    assert accounting.epsilon_of(whole, 1e-6) <= 2.0


def test_no_noise_is_enough_for_no_budget() -> None:
    assert sampled.least_multiplier(Fraction(1, 10), 10, (0,) * len(ORDERS)) is None


@pytest.mark.parametrize(("z2", "rate"), [(0, "1/2"), (1, "0"), (1, "3/2"), (-1, "1/2")])
def test_what_is_no_sampled_release_has_no_price(z2: int, rate: str) -> None:
    with pytest.raises(PrivacyError):
        sampled.divergence_units(Fraction(z2), Fraction(rate), 2)


def test_noise_that_is_too_coarse_for_so_many_rounds_is_refused() -> None:
    sampled.require_smooth(releases=1000, dimension=10**6, epsilon=8.0, honest_shares=1)
    with pytest.raises(PrivacyError, match="too many for the accounting"):
        sampled.require_smooth(releases=1000, dimension=10**6, epsilon=8.0, honest_shares=1, log2_scale=10)


def test_a_plain_price_has_the_epsilon_it_always_had_and_a_curve_a_little_less_delta() -> None:
    assert accounting.epsilon_of(Price.plain(2**38), 1e-6) == accounting.epsilon(2**38, 1e-6)
    oracle = RdpAccountant(orders=list(ORDERS))
    oracle.compose(PoissonSampledDpEvent(0.1, GaussianDpEvent(1.0)), 20)
    found = accounting.epsilon_of(sampled.times(sampled.curve(Fraction(1), Fraction(1, 10)), 20), 1e-6)
    assert found == pytest.approx(oracle.get_epsilon(1e-6 - 1e-12), rel=1e-6)


def test_the_covering_rho_of_a_curve_costs_at_least_as_much_at_every_order() -> None:
    price = sampled.curve(Fraction(1), Fraction(1, 4))
    rho = price.covering_rho_units
    assert all(a >= b for a, b in zip(Price.plain(rho).units, price.units, strict=True))
    assert Price.plain(7).covering_rho_units == 7


def test_a_summed_block_s_bound_has_room_for_both_roundings() -> None:
    block = Block("gradient", 16, Fraction(1), counting=False, rho_units=2**38, summed=True)
    planned = scales((block,), honest_shares=2, sites_per_patient=1)
    (gamma,) = planned.gammas
    # D_1 = gamma c (1 + 2^-20) + 2 sqrt(16)
    reach = float(gamma) * (1 + 2**-20) + 8
    assert planned.patient_bound_squared == pytest.approx(reach**2, rel=1e-9)
    assert planned.rho_units() <= 2**38 < planned.rho_units() * (1 + 1e-4)


def test_a_summed_block_needs_a_rational_bound() -> None:
    block = Block("gradient", 4, Fraction(2), counting=False, rho_units=2**38, summed=True)
    with pytest.raises(PrivacyError, match="no rational number"):
        patient_bound_squared(block, Fraction(1000))
