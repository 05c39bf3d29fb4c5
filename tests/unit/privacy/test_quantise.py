"""Whatever a row holds, its integers stay inside the bound that is charged."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fedvalue.errors import PrivacyError
from fedvalue.privacy import quantise as module
from fedvalue.privacy.quantise import patient_bound_squared, quantise, ring_fits

CALM = settings(deadline=None)
"""A shared machine may stall for longer than any deadline."""

DENORMAL = 5e-324
HOSTILE = st.one_of(
    st.floats(width=64),
    st.sampled_from([np.inf, -np.inf, np.nan, 1e300, -1.7976931348623157e308, DENORMAL, -0.0, 1e-200]),
)


def norms(rows: NDArray[np.int64]) -> list[int]:
    return [sum(int(v) ** 2 for v in row) for row in rows]


@CALM
@given(
    rows=hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=HOSTILE),
    gamma=st.fractions(min_value=Fraction(1, 2**16), max_value=2**26, max_denominator=2**16),
    bound_squared=st.fractions(min_value=Fraction(1, 64), max_value=64, max_denominator=64),
)
def test_no_row_exceeds_the_bound_whatever_it_holds(
    rows: NDArray[np.float64], gamma: Fraction, bound_squared: Fraction
) -> None:
    out = quantise(rows, gamma=gamma, bound_squared=bound_squared)
    assert out.shape == rows.shape
    assert out.dtype == np.int64
    assert max(norms(out), default=0) <= gamma**2 * bound_squared
    for row, values in zip(out, rows, strict=True):
        if not np.isfinite(values).all():
            assert not row.any()
        assert (np.sign(row) * np.sign(np.nan_to_num(values)) >= 0).all()


@CALM
@given(
    rows=hnp.arrays(np.float64, (4, 5), elements=HOSTILE),
    gamma=st.integers(2**50, 2**61),
)
def test_the_bound_holds_where_squares_do_not_fit_an_int64(rows: NDArray[np.float64], gamma: int) -> None:
    out = quantise(rows, gamma=Fraction(gamma), bound_squared=Fraction(3, 2))
    assert max(norms(out)) <= patient_bound_squared(Fraction(gamma), Fraction(3, 2))


@CALM
@given(
    rows=hnp.arrays(np.float64, (3, 4), elements=st.floats(-0.5, 0.5)),
    gamma=st.integers(10, 2**24),
)
def test_a_row_well_inside_its_bound_is_rounded_to_the_nearest_integers(
    rows: NDArray[np.float64], gamma: int
) -> None:
    # c = 2 and the norm is at most 1, so that neither clip nor correction acts.
    out = quantise(rows, gamma=Fraction(gamma), bound_squared=Fraction(4))
    np.testing.assert_array_equal(out, np.rint(rows * gamma).astype(np.int64))


def test_hand_worked_rows() -> None:
    # gamma 10, c 1, so D_1^2 = 100.
    # (.3, .04) -> (3, .4) -> (3, 0). (3, 4) has norm 5 -> (.6, .8) -> (6, 8), norm^2 exactly 100.
    # (0, 2) -> (0, 10). (.05, .25) -> (.5, 2.5) -> half to even (0, 2).
    rows = [[0.3, 0.04], [3.0, 4.0], [0.0, 2.0], [0.05, 0.25]]
    out = quantise(rows, gamma=Fraction(10), bound_squared=Fraction(1))
    assert out.tolist() == [[3, 0], [6, 8], [0, 10], [0, 2]]


def test_rounding_that_leaves_the_bound_is_taken_toward_zero() -> None:
    # gamma 3, c 1, D_1^2 = 9; (.87, .49) is inside the clip (norm .9985) and scales to (2.61, 1.47).
    # Nearest: (3, 1), norm^2 10 > 9. Toward zero: (2, 1), norm^2 5. The same with signs.
    rows = [[0.87, 0.49], [-0.87, -0.49]]
    assert quantise(rows, gamma=Fraction(3), bound_squared=Fraction(1)).tolist() == [[2, 1], [-2, -1]]


def test_a_row_still_too_long_after_truncation_moves_inward_by_its_largest_coordinate() -> None:
    # Float error stands in for a clip that let (7.0, 2.0) through where D_1^2 = 40:
    # 49 + 4 = 53 -> (6, 2): 40. Signs are kept.
    assert module._within(np.array([[7.0, -2.0], [-7.0, 2.0]]), 40).tolist() == [[6, -2], [-6, 2]]


def test_a_row_with_one_value_that_is_not_finite_counts_nothing() -> None:
    out = quantise([[1.0, np.nan], [np.inf, 0.0], [1.0, 0.0]], gamma=Fraction(8), bound_squared=Fraction(1))
    assert out.tolist() == [[0, 0], [0, 0], [8, 0]]


def test_one_hot_counts_stay_exact() -> None:
    # One-hot rows in c = 1, and two-hot rows in c = sqrt 2: gamma per one, for any integer gamma.
    for gamma in (1, 741_455, 2**26 - 1):
        one = quantise(np.eye(3), gamma=Fraction(gamma), bound_squared=Fraction(1))
        np.testing.assert_array_equal(one, gamma * np.eye(3, dtype=np.int64))
        two = quantise([[1.0, 0.0, 1.0]], gamma=Fraction(gamma), bound_squared=Fraction(2))
        assert two.tolist() == [[gamma, 0, gamma]]


def test_huge_and_tiny_rows_keep_their_direction() -> None:
    out = quantise(
        [[1e308, 1e308], [DENORMAL, 0.0], [1e-160, 1e300]], gamma=Fraction(1000), bound_squared=Fraction(1)
    )
    # 1000/sqrt(2) = 707.1 both ways; a denormal is nothing; 1e-160 beside 1e300 is nothing.
    assert out.tolist() == [[707, 707], [0, 0], [0, 1000]]


def test_rounding_does_not_bias_the_sum() -> None:
    # Rounding errors are about uniform on +-1/2, standard error sqrt(1/12/4e5) = .00046; five of them.
    rows = np.random.default_rng(4).uniform(-0.2, 0.2, (100_000, 4))
    out = quantise(rows, gamma=Fraction(1001, 16), bound_squared=Fraction(1))
    assert abs((out - rows * (1001 / 16)).mean()) < 0.0023


def test_a_scale_below_one_bound_leaves_only_zeros() -> None:
    # gamma c = 1/2: no integer but zero fits.
    assert not quantise([[9.0, 9.0]], gamma=Fraction(1, 2), bound_squared=Fraction(1)).any()


def test_no_rows_and_no_columns_are_fine() -> None:
    assert quantise(np.zeros((0, 3)), gamma=Fraction(1), bound_squared=Fraction(1)).shape == (0, 3)
    assert quantise(np.zeros((3, 0)), gamma=Fraction(1), bound_squared=Fraction(1)).shape == (3, 0)


def test_what_is_not_a_matrix_or_has_no_bound_is_refused() -> None:
    with pytest.raises(PrivacyError, match="one row of numbers per patient"):
        quantise([1.0, 2.0], gamma=Fraction(1), bound_squared=Fraction(1))
    with pytest.raises(PrivacyError, match="positive"):
        quantise([[1.0]], gamma=Fraction(0), bound_squared=Fraction(1))
    with pytest.raises(PrivacyError, match="positive"):
        quantise([[1.0]], gamma=Fraction(1), bound_squared=Fraction(-1))
    with pytest.raises(PrivacyError, match="could move the sum"):
        quantise([[1.0]], gamma=Fraction(2**62), bound_squared=Fraction(1))


def test_the_ring_refuses_the_first_patient_too_many() -> None:
    # D = 2^20, n = 4, s = 20: noise 40 x 2^20 x 2 = 80 x 2^20, so N + 80 < 2^63 / 2^20 = 2^43.
    fits = 2**43 - 81
    ring_fits(patient_cap=fits, bound_squared=2**40, sites=4)
    with pytest.raises(PrivacyError, match="could wrap around the 64-bit ring"):
        ring_fits(patient_cap=fits + 1, bound_squared=2**40, sites=4)


@CALM
@given(
    patient_cap=st.integers(1, 2**40),
    bound_squared=st.integers(1, 2**90),
    sites=st.integers(1, 10_000),
    s=st.integers(1, 30),
)
def test_the_ring_check_never_passes_what_would_wrap(
    patient_cap: int, bound_squared: int, sites: int, s: int
) -> None:
    try:
        ring_fits(patient_cap=patient_cap, bound_squared=bound_squared, sites=sites, log2_scale=s)
    except PrivacyError:
        return
    # Rounded down, both terms together still leave room.
    assert isqrt(patient_cap**2 * bound_squared) + isqrt(1600 * 4**s * sites) < 2**63
