"""Sums over patients by public cell, in the integers of the ring and in bounded memory."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.privacy.quantise import quantise

ROWS = 65_536
"""Patients that are quantised at a time."""


def counts(cells: NDArray[np.int64], size: int, gamma: Fraction) -> NDArray[np.int64]:
    """Return gamma times the number of patients in each cell, shape ``(size,)``.

    Args:
      cells: Each patient's cell, -1 for none, shape ``(n,)``.
      size: Number of cells.
      gamma: Scale of a counting block, an integer.
    """
    return np.bincount(cells[cells >= 0], minlength=size).astype(np.int64) * int(gamma)


def sums(
    values: NDArray[np.float64], cells: NDArray[np.int64], size: int, gamma: Fraction
) -> NDArray[np.int64]:
    """Return the quantised sum of the values in each cell, shape ``(size,)``; one value has the bound 1.

    Args:
      values: One value a patient, shape ``(n,)``, in [-1, 1]; what is not finite counts as 0.
      cells: Each patient's cell, -1 for none, shape ``(n,)``.
      size: Number of cells.
      gamma: Scale of the block.
    """
    total = np.zeros(size, dtype=np.int64)
    for start in range(0, len(values), ROWS):
        part = slice(start, start + ROWS)
        counted = cells[part] >= 0
        rows = quantise(values[part][counted, None], gamma=gamma, bound_squared=Fraction(1))
        np.add.at(total, cells[part][counted], rows[:, 0])
    return total
