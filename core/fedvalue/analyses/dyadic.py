"""A histogram over a binary tree: every sum of neighbouring cells is accurate under noise.

With 2^L cells a patient fills one node in each of the L + 1 levels, so its squared bound is L + 1. The nodes
say the same thing several times over; least squares makes them agree and gives each run of cells at the
precision of the few nodes that cover it. One charge pays for all of it, also where the cells are months.

Hay, Rastogi, Miklau, Suciu. Boosting the accuracy of differentially private histograms through consistency.
PVLDB 3 (2010) 1021-1032, section 4; Chan, Shi, Song. Private and continual release of statistics. ACM TISSEC
14 (2011) 26, for months.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SIZES = (8, 16, 32, 64, 128, 256)
"""Numbers of cells that a tree can have."""


def levels(cells: int) -> int:
    """Return L + 1, how many nodes a patient fills: its squared bound."""
    return cells.bit_length()


def nodes(cells: int) -> int:
    """Return the number of nodes of a tree."""
    return 2 * cells - 1


def size_for(cells: int) -> int:
    """Return the smallest size of `SIZES` that holds ``cells``, the largest where none does."""
    return next((size for size in SIZES if size >= cells), SIZES[-1])


def climbed(leaves: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all nodes, the root first and each level from left to right.

    Args:
      leaves: Sums by cell, shape ``(..., cells)``.

    Returns:
      Shape ``(..., 2 cells - 1)``.
    """
    found = [leaves]
    while found[0].shape[-1] > 1:
        found.insert(0, found[0][..., 0::2] + found[0][..., 1::2])
    return np.concatenate(found, axis=-1)


@lru_cache(maxsize=16)
def _tree(cells: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least-squares map from nodes to cells, and the covariance of the cells per unit noise."""
    sums = climbed(np.eye(cells, dtype=np.int64)).T.astype(np.float64)
    covariance = np.asarray(np.linalg.inv(sums.T @ sums), dtype=np.float64)
    estimate = covariance @ sums.T
    estimate.flags.writeable = covariance.flags.writeable = False
    return estimate, covariance


def agreed(released: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """Return the cells on which noisy nodes agree best, shape ``(..., cells)``."""
    return released @ _tree(cells)[0].T


def covariance(cells: int) -> NDArray[np.float64]:
    """Return the covariance of `agreed` for nodes with independent noise of variance 1."""
    return _tree(cells)[1]


@lru_cache(maxsize=16)
def cumulative_covariance(cells: int) -> NDArray[np.float64]:
    """Return the covariance of the counts below each of the ``cells + 1`` edges, per unit noise."""
    found = np.zeros((cells + 1, cells + 1))
    found[1:, 1:] = covariance(cells).cumsum(axis=0).cumsum(axis=1)
    found.flags.writeable = False
    return found
