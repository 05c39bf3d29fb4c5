"""Blocks with scales of their own in one release: one bound for all; each keeps its unit and noise."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fedvalue.privacy import gaussian
from fedvalue.privacy.quantise import patient_bound_squared, quantise
from fedvalue.privacy.randomness import UnsafeSeededNoise
from fedvalue.privacy.release import LOG2_SCALE, Block, scales
from tests.unit.privacy.test_quantise import HOSTILE, norms

MakeSeeded = Callable[[int], UnsafeSeededNoise]
CALM = settings(deadline=None)
"""A shared machine may stall for longer than any deadline."""

BOUNDS = st.fractions(min_value=Fraction(1, 64), max_value=64, max_denominator=64)


@st.composite
def releases(draw: st.DrawFn) -> tuple[Block, ...]:
    return tuple(
        Block(
            str(i),
            draw(st.integers(1, 6)),
            draw(BOUNDS),
            draw(st.booleans()),
            draw(st.integers(2**20, 2**42)),
        )
        for i in range(draw(st.integers(2, 4)))
    )


@CALM
@given(blocks=releases(), m=st.integers(2, 50), k=st.integers(1, 4), data=st.data())
def test_a_patient_s_whole_vector_is_inside_the_one_bound_whatever_each_block_holds(
    blocks: tuple[Block, ...], m: int, k: int, data: st.DataObject
) -> None:
    found = scales(blocks, honest_shares=m, sites_per_patient=k)
    whole = 0
    for block, gamma in zip(blocks, found.gammas, strict=True):
        row = data.draw(hnp.arrays(np.float64, (1, block.dimension), elements=HOSTILE))
        (squared,) = norms(quantise(row, gamma=gamma, bound_squared=block.bound_squared))
        assert squared <= patient_bound_squared(gamma, block.bound_squared)
        whole += squared
    assert whole <= found.patient_bound_squared
    # at k sites, each vector as long as it may be and all of them in one direction
    assert k**2 * whole <= found.charged_bound_squared


@CALM
@given(blocks=releases(), m=st.integers(2, 50), more=st.integers(2, 9))
def test_a_block_s_scale_is_its_own(blocks: tuple[Block, ...], m: int, more: int) -> None:
    # a larger share for the first block leaves the scales of the others as they were
    first = blocks[0]
    dearer = Block(first.name, first.dimension, first.bound_squared, first.counting, first.rho_units * more)
    before = scales(blocks, honest_shares=m, sites_per_patient=1).gammas
    after = scales((dearer, *blocks[1:]), honest_shares=m, sites_per_patient=1).gammas
    assert after[1:] == before[1:]
    assert after[0] > before[0]


@CALM
@given(
    direction=hnp.arrays(np.float64, st.integers(1, 64), elements=st.floats(-1, 1, width=64)),
    steps=st.integers(-8, 8),
    gamma=st.fractions(min_value=1, max_value=2**26, max_denominator=2**16),
    bound_squared=BOUNDS,
)
def test_a_row_on_its_bound_or_a_step_beside_it_stays_inside_and_loses_next_to_nothing(
    direction: NDArray[np.float64], steps: int, gamma: Fraction, bound_squared: Fraction
) -> None:
    length, bound = float(np.linalg.norm(direction)), float(bound_squared) ** 0.5
    if length < 1e-6:
        return
    row = direction / length * bound
    for _ in range(abs(steps)):
        row = np.nextafter(row, np.copysign(np.inf, row) if steps > 0 else 0.0)
    out = quantise(row[None, :], gamma=gamma, bound_squared=bound_squared)
    limit = patient_bound_squared(gamma, bound_squared)
    (squared,) = norms(out)
    assert squared <= limit
    # truncation takes less than a unit of each coordinate, the last correction few of the largest
    assert float(np.abs(out[0] - row * float(gamma)).max()) < 3
    assert squared**0.5 >= limit**0.5 - 2 * len(row) ** 0.5 - 3


@CALM
@given(size=st.integers(1, 200), gamma=st.integers(1, 2**26))
def test_one_hot_on_its_bound_is_kept_whole_in_every_coordinate(size: int, gamma: int) -> None:
    signed = np.eye(size) * [[1.0], *[[-1.0]] * (size - 1)]
    out = quantise(signed, gamma=Fraction(gamma), bound_squared=Fraction(1))
    assert set(np.abs(out).sum(axis=1).tolist()) == {gamma}


def test_in_one_vector_each_block_keeps_its_unit_and_its_own_noise(seeded: MakeSeeded) -> None:
    # One share of noise of scale 2^20 on both blocks: in the blocks' own units its SD is 2^20 / gamma, here
    # 64 times as large in the second. Standard error of an SD on 40,000 draws: 1 / sqrt(8e4) = .35 %; 2 % is
    # more than 5 of them (another seed fails once in a million).
    blocks = (
        Block("counts", 40_000, Fraction(1), True, 2**39),
        Block("amounts", 40_000, Fraction(4096), False, 2**39),
    )
    found = scales(blocks, honest_shares=1, sites_per_patient=1)
    assert found.gammas == (Fraction(2**20), Fraction(2**14))
    noise = gaussian.sample(seeded(77), 80_000)
    for part, gamma, wanted in zip(np.split(noise, 2), found.gammas, (1.0, 64.0), strict=True):
        values = part / float(gamma)
        assert float(values.std()) == pytest.approx(wanted, rel=0.02)
        assert wanted == 2.0**LOG2_SCALE / float(gamma)
    # the price is that of both blocks together: 1/2 + 1/2
    assert found.rho_units() == 2**40
