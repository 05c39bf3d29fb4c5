"""The square-root factor of prefix sums: exact without noise, its bound, its noise against dense algebra."""

from __future__ import annotations

from fractions import Fraction
from math import comb, log, pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.analyses import prefix

gammas = st.builds(Fraction, st.integers(2**16, 2**50), st.sampled_from([1, 2**16])).filter(
    lambda g: g >= 2**8
)


def exact_coefficients(cells: int) -> list[Fraction]:
    return [Fraction(comb(2 * k, k), 4**k) for k in range(cells)]


COEFFICIENTS = exact_coefficients(400)


def dense(cells: int) -> np.ndarray:
    """C as a matrix, from its definition."""
    c = [float(x) for x in COEFFICIENTS[:cells]]
    return np.array([[c[i - j] if i >= j else 0.0 for j in range(cells)] for i in range(cells)])


@pytest.mark.parametrize("cells", [1, 2, 3, 24, 200])
def test_the_factor_squared_is_the_matrix_of_prefix_sums(cells: int) -> None:
    # in exact fractions: sum_j c_j c_(k-j) = 1 for every k
    c = COEFFICIENTS[:cells]
    for k in range(cells):
        assert sum(c[j] * c[k - j] for j in range(k + 1)) == 1
    np.testing.assert_allclose(dense(cells) @ dense(cells), np.tril(np.ones((cells, cells))), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(0, 50), min_size=1, max_size=60), gamma=gammas)
def test_what_is_encoded_is_decoded(counts: list[int], gamma: Fraction) -> None:
    given_counts = np.array(counts, dtype=np.int64)
    found = prefix.decode(prefix.encode(given_counts, gamma), gamma)
    np.testing.assert_allclose(found, given_counts, atol=1e-6)
    assert np.array_equal(np.rint(found).astype(np.int64), given_counts)


def test_a_daily_grid_of_ten_years_decodes_exactly() -> None:
    counts = np.random.default_rng(7).integers(0, 5, 4000)
    gamma = Fraction(2**30)
    assert np.array_equal(np.rint(prefix.decode(prefix.encode(counts, gamma), gamma)), counts)


@settings(max_examples=60, deadline=None)
@given(
    one=st.lists(st.integers(-20, 20), min_size=5, max_size=5),
    other=st.lists(st.integers(-20, 20), min_size=5, max_size=5),
    gamma=gammas,
)
def test_contributions_add(one: list[int], other: list[int], gamma: Fraction) -> None:
    a, b = np.array(one), np.array(other)
    assert np.array_equal(prefix.encode(a + b, gamma), prefix.encode(a, gamma) + prefix.encode(b, gamma))


@settings(max_examples=60, deadline=None)
@given(cells=st.integers(1, 300), where=st.integers(0, 299), gamma=gammas)
def test_one_patient_moves_the_release_by_no_more_than_the_bound(
    cells: int, where: int, gamma: Fraction
) -> None:
    patient = np.zeros(cells, dtype=np.int64)
    patient[where % cells] = 1
    moved = sum(int(v) ** 2 for v in prefix.encode(patient, gamma))
    assert moved <= gamma**2 * prefix.bound_squared(cells)


@pytest.mark.parametrize(("cells", "squared"), [(1, 1.0), (2, 1.25), (3, 1.390625), (24, 2.07458)])
def test_the_bound_is_the_squared_norm_of_the_longest_column(cells: int, squared: float) -> None:
    # 1; 1 + 1/4; 1 + 1/4 + 9/64; and 24 months cost sqrt(2.07) instead of sqrt(24)
    assert float(prefix.bound_squared(cells)) == pytest.approx(squared, abs=1e-4)


@settings(deadline=None)
@given(cells=st.integers(1, 400))
def test_the_bound_covers_the_exact_columns_and_grows_like_a_logarithm(cells: int) -> None:
    # each coefficient is rounded up by at most k units of 2^-40, and is at most 1
    exact = sum(c * c for c in COEFFICIENTS[:cells])
    found = prefix.bound_squared(cells)
    assert exact <= found <= exact + Fraction(cells**2, 2**39)
    assert float(found) == pytest.approx(1.066 + log(cells) / pi, abs=0.08)


@pytest.mark.parametrize("cells", [1, 2, 5, 24, 100])
def test_the_noise_matrices_are_those_of_dense_algebra(cells: int) -> None:
    inverse = np.linalg.inv(dense(cells))
    np.testing.assert_allclose(prefix.noise_to_cells(cells), inverse, atol=1e-10)
    # prefix sums of the decoded counts carry C z: row i has variance c_0^2 + ... + c_i^2, at most S_J
    of_sums = np.tril(np.ones((cells, cells))) @ prefix.noise_to_cells(cells)
    np.testing.assert_allclose(of_sums, dense(cells), atol=1e-10)
    variances = (of_sums**2).sum(axis=1)
    c = [float(x) for x in COEFFICIENTS[:cells]]
    np.testing.assert_allclose(variances, np.cumsum(np.square(c)), atol=1e-10)
    assert variances[-1] == pytest.approx(float(prefix.bound_squared(cells)), abs=1e-6)


def test_noise_on_a_release_reaches_the_prefix_sums_with_the_variance_that_is_stated() -> None:
    # 4,000 draws: the relative error of a variance is sqrt(2 / 4,000) = 2.2 %; 5 SD is 11 %
    cells, gamma, scale, rng = 24, Fraction(2**16), 1000.0, np.random.default_rng(20261121)
    sums = np.array(
        [
            np.cumsum(
                prefix.decode(np.rint(rng.normal(0, scale * float(gamma), cells)).astype(np.int64), gamma)
            )
            for _ in range(4000)
        ]
    )
    expected = scale**2 * (dense(cells) ** 2).sum(axis=1)
    np.testing.assert_allclose(sums.var(axis=0), expected, rtol=0.11)


def test_what_is_kept_for_later_calls_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        prefix.column(5, Fraction(2**20))[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        prefix.noise_to_cells(5)[0, 0] = 0
