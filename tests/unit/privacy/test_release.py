"""Scales of a planned release: hand-worked, and never dearer than planned."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import PrivacyError
from fedvalue.privacy.release import LOG2_SCALE, Block, Scales, cost_units, require_exact_sum, scales

CALM = settings(deadline=None)
"""A shared machine may stall for longer than any deadline."""


def block(rho_units: int, *, bound_squared: Fraction = Fraction(1), counting: bool = True) -> Block:
    return Block("b", 3, bound_squared, counting, rho_units)


def test_rho_of_one_half_on_one_share_gives_the_scale_of_the_noise() -> None:
    # gamma = 2^20 sqrt(2 x 1 x 1/2) / 1 = 2^20; D^2 = 2^40; price 2^40 / (2 x 2^40) = 1/2 = 2^39 units.
    planned = scales((block(2**39),), honest_shares=1, sites_per_patient=1)
    assert planned == Scales((Fraction(2**20),), 2**40, 2**40, 1)
    assert planned.rho_units() == 2**39


def test_two_shares_and_two_sites_per_patient() -> None:
    # gamma = 2^20 sqrt(2 x 2 x 1/2) / 2 = 2^20 / sqrt 2 = 741455.2 -> 741455 for counts.
    # D_1^2 = 741455^2 = 549755517025; D^2 = 4 D_1^2; price at m = 2: 4 D_1^2 / (4 x 2^40) x 2^40 = D_1^2
    # units; a share alone costs twice that.
    planned = scales((block(2**39),), honest_shares=2, sites_per_patient=2)
    assert planned.gammas == (Fraction(741_455),)
    assert planned.patient_bound_squared == 549_755_517_025
    assert planned.charged_bound_squared == 4 * 549_755_517_025
    assert planned.rho_units() == 549_755_517_025 < 2**39
    assert planned.rho_units(1) == 2 * 549_755_517_025


def test_measured_blocks_have_a_finer_grain_and_blocks_add() -> None:
    # Block 1: c^2 = 2, rho 1/4: gamma = 2^20 sqrt(2 x 1/4 / 2) = 2^19, (gamma c)^2 = 2^38 x 2 = 2^39.
    # Block 2: c^2 = 1, rho 1/4, no count: 2^20 / sqrt 2 x 2^16 = 48592007999.617 -> 48592007999. Its square
    # is short of 2^39 by 2 x 741455.2 x .617 / 2^16 = 13.96, rounded down: 14.
    planned = scales(
        (block(2**38, bound_squared=Fraction(2)), block(2**38, counting=False)),
        honest_shares=1,
        sites_per_patient=1,
    )
    assert planned.gammas[0] == 2**19
    assert planned.gammas[1] == Fraction(48_592_007_999, 2**16)
    assert planned.patient_bound_squared == 2**39 + (2**39 - 14)


BLOCKS = st.lists(
    st.builds(
        Block,
        name=st.just("b"),
        dimension=st.integers(1, 100),
        bound_squared=st.fractions(min_value=Fraction(1, 50), max_value=100, max_denominator=50),
        counting=st.booleans(),
        rho_units=st.integers(2**14, 2**43),
    ),
    min_size=1,
    max_size=5,
).map(tuple)


@CALM
@given(blocks=BLOCKS, m=st.integers(1, 200), k=st.integers(1, 4))
def test_a_release_never_costs_more_than_its_blocks_were_given(
    blocks: tuple[Block, ...], m: int, k: int
) -> None:
    planned = scales(blocks, honest_shares=m, sites_per_patient=k)
    assert planned.rho_units() <= sum(each.rho_units for each in blocks)


@CALM
@given(rho_units=st.integers(2**20, 2**43), m=st.integers(1, 200), k=st.integers(1, 4))
def test_the_next_larger_scale_would_cost_more_than_planned(rho_units: int, m: int, k: int) -> None:
    gamma = scales((block(rho_units),), honest_shares=m, sites_per_patient=k).gammas[0]
    assert Fraction(k**2 * int(gamma + 1) ** 2, 2 * m * 4**LOG2_SCALE) > Fraction(rho_units, 2**40)


@CALM
@given(bound=st.integers(0, 2**60), m=st.integers(1, 500))
def test_prices_round_against_the_asker_and_fewer_shares_cost_more(bound: int, m: int) -> None:
    units = cost_units(bound, honest_shares=m)
    assert 0 <= units - Fraction(bound * 2**40, 2 * m * 4**LOG2_SCALE) < 1
    assert units <= cost_units(bound, honest_shares=1)


def test_a_block_without_budget_bound_or_shares_is_refused() -> None:
    with pytest.raises(PrivacyError, match="a budget and a bound"):
        scales((block(0),), honest_shares=1, sites_per_patient=1)
    with pytest.raises(PrivacyError, match="a budget and a bound"):
        scales((block(1, bound_squared=Fraction(0)),), honest_shares=1, sites_per_patient=1)
    with pytest.raises(PrivacyError, match="scale vanishes"):
        scales((block(1, bound_squared=Fraction(100)),), honest_shares=1, sites_per_patient=1)
    for shares, sites in ((0, 1), (1, 0)):
        with pytest.raises(PrivacyError, match="at least 1"):
            scales((block(2**39),), honest_shares=shares, sites_per_patient=sites)


@pytest.mark.parametrize("shares", [0, -1])
def test_no_price_counts_on_less_than_one_share(shares: int) -> None:
    planned = scales((block(2**39),), honest_shares=1, sites_per_patient=1)
    with pytest.raises(PrivacyError, match="at least one share"):
        planned.rho_units(shares)


def test_the_room_for_the_order_of_a_float64_sum_is_half_a_unit_at_the_public_cap() -> None:
    # c = 2, N = 528,000 patients in 1,000 blocks of 528: gamma x 2 x 528,000 x (528 + 1000) <= 2^52
    most = Fraction(2**52, 2 * 528_000 * 1528)
    added = Block("gradient", 10, Fraction(4), counting=False, summed=True)
    require_exact_sum(added, most, 528_000)
    with pytest.raises(PrivacyError, match="half a unit") as refused:
        require_exact_sum(added, most, 528_001)
    assert (refused.value.where, "patient_cap" in str(refused.value)) == ("gradient", True)
    # rows that are rounded one by one are added as integers, which lose nothing
    require_exact_sum(block(1, counting=False), most, 10**9)
