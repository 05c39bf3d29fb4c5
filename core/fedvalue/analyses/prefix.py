"""Sums over time that stay accurate under noise: the square-root factor of the prefix-sum matrix.

Summing j independently noisy cells costs j times the noise of one. Let B be the lower-triangular matrix
of ones and B = C C with C Toeplitz, ``C[i, j] = c_{i-j}``, ``c_k = binom(2k, k) / 4^k``. Releasing
``C x + z`` and applying C once more gives every prefix sum of x with noise variance
``S_J = sum c_k^2`` (about 1.07 + ln(J)/pi) times that of z, for a patient's bound ``S_J`` instead of 1.

Fichtenberger, Henzinger, Upadhyay. Constant matters: fine-grained error bound on differentially private
continual observation. ICML 2023. The integer columns below are rounded down, and decoding uses the
rounded columns, so nothing is biased (our own).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_GRAIN = 40


@lru_cache(maxsize=64)
def _coefficients(cells: int) -> tuple[int, ...]:
    """c_0 .. c_{cells-1} in units of 2^-40, each rounded up."""
    units = [1 << _GRAIN]
    for k in range(1, cells):
        units.append(-(-units[-1] * (2 * k - 1) // (2 * k)))
    return tuple(units)


def bound_squared(cells: int) -> Fraction:
    """Return S_J, the squared norm of the longest column, exactly, for J = ``cells``."""
    return Fraction(sum(u * u for u in _coefficients(cells)), 1 << (2 * _GRAIN))


@lru_cache(maxsize=64)
def column(cells: int, gamma: Fraction) -> NDArray[np.int64]:
    """Return ``floor(gamma c_k)``, the integer column of a patient in cell 0, shape ``(cells,)``."""
    below = gamma.denominator << _GRAIN
    taps = np.array([gamma.numerator * u // below for u in _coefficients(cells)], dtype=np.int64)
    taps.flags.writeable = False
    return taps


def encode(counts: NDArray[np.int64], gamma: Fraction) -> NDArray[np.int64]:
    """Return the sum of the integer columns of patients counted by cell, shape ``(cells,)``."""
    cells = len(counts)
    return np.convolve(counts, column(cells, gamma))[:cells].astype(np.int64)


def decode(total: NDArray[np.int64], gamma: Fraction) -> NDArray[np.float64]:
    """Return the counts by cell that `encode` was given, noise and all, shape ``(cells,)``."""
    taps = column(len(total), gamma).astype(np.float64)
    counts = np.zeros(len(total))
    for i in range(len(total)):
        counts[i] = (total[i] - taps[1 : i + 1] @ counts[:i][::-1]) / taps[0]
    return counts


@lru_cache(maxsize=64)
def noise_to_cells(cells: int) -> NDArray[np.float64]:
    """Return C^-1, shape ``(cells, cells)``: it carries unit noise of the release to noise of the counts."""
    inverse = np.ones(cells)
    for k in range(1, cells):
        inverse[k] = inverse[k - 1] * (2 * k - 3) / (2 * k)
    rows = np.subtract.outer(np.arange(cells), np.arange(cells))
    matrix = np.where(rows >= 0, inverse[np.abs(rows)], 0.0)
    matrix.flags.writeable = False
    return matrix
