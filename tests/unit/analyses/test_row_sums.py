"""Rows summed in chunks are the sum of the rows that `quantise` gives, hostile ones too."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fedvalue.analyses.analysis import Ask
from fedvalue.analyses.row_sums import NUMBERS, row_sums
from fedvalue.privacy.quantise import quantise
from fedvalue.privacy.release import Block


@pytest.mark.parametrize("gamma", [Fraction(12345, 7), Fraction(2**30)])
def test_sums_equal_those_of_the_quantised_rows(gamma: Fraction) -> None:
    rng = np.random.default_rng(3)
    count = NUMBERS // 3 + 17
    table = rng.normal(size=(count, 3)) * rng.choice([0.1, 1.0, 50.0], (count, 1))
    table[:5] = [[np.nan, 0, 0], [np.inf, 1, 1], [1e300, -1e300, 0], [5e-324, 0, 0], [-np.inf, 0, 0]]
    ask = Ask("rows", (Block("rows", 3, Fraction(2), counting=False),), (Fraction(1),))
    found = row_sums(count, lambda part: {"rows": table[part]}, ask, {"rows": gamma})
    expected = quantise(table, gamma=gamma, bound_squared=Fraction(2)).sum(axis=0)
    np.testing.assert_array_equal(found["rows"], expected)
    assert found["rows"].dtype == np.int64


def test_no_patients_sum_to_zeros() -> None:
    ask = Ask("rows", (Block("rows", 4, Fraction(1), counting=False),), (Fraction(1),))
    found = row_sums(0, lambda part: {"rows": np.zeros((0, 4))[part]}, ask, {"rows": Fraction(9)})
    np.testing.assert_array_equal(found["rows"], np.zeros(4))
