"""The discrete Gaussian against its own probabilities, another sampler, and its moments.

Seeds are fixed, so these tests do not fail by chance; each states how often another seed would fail.
"""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import combinations
from math import exp

import numpy as np
import opendp.prelude as dp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fedvalue.errors import PrivacyError
from fedvalue.privacy import gaussian
from fedvalue.privacy.gaussian import MAX_LOG2_SCALE, sample
from fedvalue.privacy.randomness import SystemNoise, UnsafeSeededNoise

MakeSeeded = Callable[[int], UnsafeSeededNoise]
CALM = settings(deadline=None)
"""A shared machine may stall for longer than any deadline."""

RARE = 1e-6
"""A correct sampler with another seed fails one such test in a million."""


class Scripted:
    """Gives the words it was told to, in order."""

    production = False

    def __init__(self, words: Sequence[int]) -> None:
        self.left = list(words)

    def words(self, count: int) -> NDArray[np.uint64]:
        now, self.left = self.left[:count], self.left[count:]
        return np.array(now, dtype=np.uint64)


def goodness(drawn: NDArray[np.int64], log2_scale: int) -> float:
    """p-value of Pearson's chi-square against the exact probabilities, tails pooled to 10 expected."""
    reach = 12 * 2**log2_scale
    support = np.arange(-reach, reach + 1)
    weight = np.exp(-(support.astype(float) ** 2) / (2 * 4.0**log2_scale))
    expected = weight / weight.sum() * len(drawn)
    inside = np.flatnonzero(expected >= 10)
    low, high = support[inside[0]], support[inside[-1]]
    seen = np.bincount(np.clip(drawn, low, high) - low, minlength=high - low + 1)
    cells = expected[inside].copy()
    cells[0] += expected[: inside[0]].sum()
    cells[-1] += expected[inside[-1] + 1 :].sum()
    return float(stats.chisquare(seen, cells).pvalue)


@pytest.mark.parametrize("log2_scale", [1, 2, 3, 4])
def test_frequencies_follow_the_exact_probabilities(seeded: MakeSeeded, log2_scale: int) -> None:
    assert goodness(sample(seeded(log2_scale), 400_000, log2_scale=log2_scale), log2_scale) > RARE


def test_the_frequency_test_would_catch_a_rounded_continuous_gaussian() -> None:
    rounded = np.rint(np.random.default_rng(1).normal(0, 2, 400_000)).astype(np.int64)
    assert goodness(rounded, 1) < RARE


def test_the_frequency_test_would_catch_a_zero_that_is_proposed_twice(seeded: MakeSeeded) -> None:
    drawn = sample(seeded(9), 400_000, log2_scale=2)
    # Without the rule on minus zero, zero would come up twice as often.
    assert goodness(np.concatenate([drawn, drawn[drawn == 0]]), 2) < RARE


def test_our_frequencies_agree_with_opendp(seeded: MakeSeeded) -> None:
    # OpenDP has no seed: a correct pair of samplers fails once in a million runs.
    dp.enable_features("contrib")
    measurement = dp.m.make_gaussian(
        dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="i64"), scale=4.0
    )
    theirs = np.clip(np.array(measurement([0] * 30_000)), -14, 14)
    ours = np.clip(sample(seeded(21), 100_000, log2_scale=2), -14, 14)
    table = np.array([np.bincount(each + 14, minlength=29) for each in (theirs, ours)])
    assert stats.chi2_contingency(table).pvalue > RARE


def test_at_scale_20_ours_and_opendps_draws_are_of_one_law(seeded: MakeSeeded) -> None:
    # Two-sample Kolmogorov-Smirnov, and the ratio of the variances: standard error sqrt(2/2e4 + 2/2e5) =
    # .0105 on 20,000 against 200,000 draws; .06 is more than 5 of them. OpenDP has no seed: a correct pair
    # of samplers fails once in a million runs.
    dp.enable_features("contrib")
    measurement = dp.m.make_gaussian(
        dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="i64"), scale=2.0**20
    )
    theirs = np.array(measurement([0] * 20_000))
    ours = sample(seeded(41), 200_000)
    assert stats.ks_2samp(theirs, ours).pvalue > RARE
    assert abs(theirs.var() / ours.var() - 1) < 0.06


def test_a_forked_child_and_its_parent_draw_different_noise() -> None:
    sample(SystemNoise(), 100)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, sample(SystemNoise(), 1000).tobytes())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        theirs = np.frombuffer(pipe.read(), dtype=np.int64)
    assert os.waitpid(child, 0)[1] == 0
    mine = sample(SystemNoise(), 1000)
    # Two independent draws of scale 2^20 are equal with probability 1 / (2 sqrt(pi) 2^20) = 2.7e-7: of 1000
    # pairs two or more are equal once in 3e7 runs; one seed would make all of them equal.
    assert np.count_nonzero(theirs == mine) < 2
    # Correlation has a standard error of .032; a shared stream, shifted or not, would show in it.
    assert abs(np.corrcoef(theirs, mine)[0, 1]) < 5 / 1000**0.5


def test_threads_draw_noise_of_their_own_and_of_the_right_law() -> None:
    source = SystemNoise()
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda _: sample(source, 5_000), range(16)))
    # 120 pairs of 5,000: a pair is equal in one place with probability 1.3e-3, in three with 4e-10.
    assert max(np.count_nonzero(a == b) for a, b in combinations(drawn, 2)) < 3
    assert stats.kstest(np.concatenate(drawn) / 2.0**20, "norm").pvalue > RARE


def test_at_scale_20_variance_symmetry_and_shape_are_those_of_the_gaussian(seeded: MakeSeeded) -> None:
    z = sample(seeded(20), 1_000_000) / 2.0**20
    # Standard errors on 1e6 draws: mean .001, variance sqrt(2e-6) = .0014, third moment sqrt(15e-6) = .0039,
    # fourth sqrt(96e-6) = .0098. Each bound is 4.5 of them or more: 1e-5 for another seed.
    assert abs(z.mean()) < 0.0045
    assert abs((z**2).mean() - 1) < 0.006
    assert abs((z**3).mean()) < 0.018
    assert abs((z**4).mean() - 3) < 0.045
    assert abs((z > 0).mean() - 0.5) < 0.0023
    # Kolmogorov-Smirnov: integers of spacing 2^-20 cannot be told from the continuous law at this size.
    assert stats.kstest(z, "norm").pvalue > RARE


def test_at_scale_20_the_low_bits_are_uniform(seeded: MakeSeeded) -> None:
    # Residues modulo 256 of a Gaussian of scale 2^20 are uniform to within exp(-2 pi^2 2^24).
    drawn = sample(seeded(22), 400_000)
    assert stats.chisquare(np.bincount(drawn % 256, minlength=256)).pvalue > RARE


def test_neighbouring_draws_are_not_correlated(seeded: MakeSeeded) -> None:
    z = sample(seeded(23), 400_000) / 2.0**20
    for lag in (1, 2, 7):
        # Standard error 1/sqrt(4e5) = .0016; .0079 is 5 of them.
        assert abs((z[lag:] * z[:-lag]).mean()) < 0.0079


@pytest.mark.parametrize("eighths", range(9))
def test_the_coin_of_probability_exp_minus_g_has_that_probability(seeded: MakeSeeded, eighths: int) -> None:
    heads = gaussian._exp_minus(np.full(200_000, eighths, dtype=np.uint64), 3, seeded(100 + eighths))
    p = exp(-eighths / 8)
    # Five standard errors: another seed fails once in 1.7 million.
    assert abs(heads.mean() - p) <= 5 * (p * (1 - p) / 200_000) ** 0.5


def test_a_coin_with_a_whole_part_multiplies_the_parts(seeded: MakeSeeded) -> None:
    whole, rest = np.full(400_000, 2), np.full(400_000, 3)
    heads = gaussian._survives(whole, rest, 2, seeded(31))
    p = exp(-2.75)
    assert abs(heads.mean() - p) <= 5 * (p * (1 - p) / 400_000) ** 0.5


@CALM
@given(
    s=st.integers(1, MAX_LOG2_SCALE),
    high=st.integers(0, 2**20),
    low_bits=st.integers(0, 2**MAX_LOG2_SCALE - 1),
)
def test_the_exponent_is_exact_at_every_scale(s: int, high: int, low_bits: int) -> None:
    low = low_bits % 2**s
    whole, rest = gaussian._exponent(np.array([low]), np.array([high]), s)
    y = (high << s) + low
    assert int(whole[0]) + Fraction(int(rest[0]), 2 ** (2 * s + 1)) == Fraction((y - 2**s) ** 2, 2 * 4**s)
    assert 0 <= rest[0] < 2 ** (2 * s + 1)


def test_a_probability_of_three_eighths_is_decided_by_the_top_three_bits() -> None:
    words = Scripted([(top << 61) | noise for top in range(8) for noise in (0, 2**61 - 1)])
    below = gaussian._below(np.full(16, 3, dtype=np.uint64), 3, words)
    assert below.tolist() == [True] * 6 + [False] * 10


def test_one_in_three_throws_a_word_above_the_last_multiple_away() -> None:
    third = 2**64 // 3
    # 2^64 = 3 x third + 1: the last word belongs to no third and must be drawn again.
    words = Scripted([third - 1, third, 3 * third - 1, 2**64 - 1, third - 1])
    assert gaussian._one_in(3, 4, words).tolist() == [True, False, False, True]
    assert words.left == []


def test_one_in_a_power_of_two_needs_no_second_draw() -> None:
    words = Scripted([2**62 - 1, 2**62, 2**64 - 1])
    assert gaussian._one_in(4, 3, words).tolist() == [True, False, False]


def test_the_same_seed_gives_the_same_noise_and_the_system_never_does(seeded: MakeSeeded) -> None:
    np.testing.assert_array_equal(sample(seeded(7), 500), sample(seeded(7), 500))
    assert not np.array_equal(sample(SystemNoise(), 500), sample(SystemNoise(), 500))


@pytest.mark.parametrize("size", [0, 1, 2, 65_537])
def test_any_size_comes_as_one_vector_of_int64(size: int) -> None:
    drawn = sample(SystemNoise(), size)
    assert drawn.shape == (size,)
    assert drawn.dtype == np.int64


def test_memory_stays_bounded_beside_the_result() -> None:
    tracemalloc.start()
    drawn = sample(SystemNoise(), 500_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < drawn.nbytes + 8_000_000


@pytest.mark.parametrize(("size", "log2_scale"), [(-1, 20), (1, 0), (1, MAX_LOG2_SCALE + 1)])
def test_sizes_and_scales_outside_the_range_are_refused(size: int, log2_scale: int) -> None:
    with pytest.raises(PrivacyError, match="cannot be drawn"):
        sample(SystemNoise(), size, log2_scale=log2_scale)
