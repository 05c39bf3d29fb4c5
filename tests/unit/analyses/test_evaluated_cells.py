"""Cells of a model's evaluation where noise is larger than what is counted."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from fedvalue.analyses.analysis import NoisyBlock, Terms
from fedvalue.analyses.evaluated_cells import cells

ONE = Fraction(1)


def test_squares_that_noise_made_too_small_leave_the_noise_of_the_spread_in_the_interval() -> None:
    # 100 patients, mean 2 p - 1 of 0, squares so low that its spread would be negative: it is taken for its
    # noise, the root of 16 / (4 x 100^2) by squares, 2 x (1.2 / 2 / 100)^2 by patients and 2 x (9 / 100^2)^2
    # by the mean: .02177; a quarter of it is that of p
    counts = NoisyBlock(np.array([50, 50, 0, 50, 50, 0, 0, 0, 0]), ONE, 1.0)
    predicted = NoisyBlock(np.array([0, 0, 0]), ONE, 9.0)
    squares = NoisyBlock(np.array([-120, -80, 0]), ONE, 16.0)
    released = {"cells_counts": counts, "cells_predicted": predicted, "cells_squares": squares}
    found = cells(released, ("a", "b", "unknown"), Terms(10, 1, 1e-6))
    told = found[0].estimates["mean prediction"]
    assert told.value == pytest.approx(0.5)
    assert told.sampling_variance == pytest.approx(0.02177 / 4 / 100, rel=1e-3)
    assert told.privacy_variance == pytest.approx(9 / 4 / 100**2)
    assert (told.upper or 0) - (told.lower or 0) == pytest.approx(
        2 * 1.959964 * math.sqrt(told.sampling_variance + told.privacy_variance), rel=1e-6
    )
