"""Sum patients' real-valued rows in integers, a few thousand at a time: bounded memory for any site."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Ask, Scaling
from fedvalue.privacy.quantise import patient_bound_squared, quantise

NUMBERS = 1 << 17
"""Numbers of a block that are worked on at a time: about a megabyte, which a processor keeps at hand."""
FEWEST = 256
EXACT = 2**50

Rows = Callable[[slice], Mapping[str, NDArray[np.float64]]]
"""``part`` of the patients to their rows by block name, each shape ``(n, dimension)``."""


def row_sums(patients: int, rows: Rows, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
    """Return for each block the sum of its patients' quantised rows.

    Args:
      patients: How many there are.
      rows: Gives the rows of some of them; what is not finite or too long is zeroed or shrunk here.
      ask: The blocks.
      scaling: Their scales.
    """
    totals = {block.name: np.zeros(block.dimension, dtype=np.int64) for block in ask.blocks}
    widest = max((block.dimension for block in ask.blocks), default=1)
    chunk = max(FEWEST, NUMBERS // widest)
    for start in range(0, patients, chunk):
        found = rows(slice(start, min(start + chunk, patients)))
        for block in ask.blocks:
            totals[block.name] += _summed(found[block.name], scaling[block.name], block.bound_squared)
    return totals


def _summed(rows: NDArray[np.float64], gamma: Fraction, bound_squared: Fraction) -> NDArray[np.int64]:
    """Sum of quantised rows; rows that round to within the bound, as nearly all do, skip `quantise`.

    Whole numbers whose squares add to less than 2^50 are exact in a float64, and so are their sums here.
    """
    if patient_bound_squared(gamma, bound_squared) >= EXACT:
        whole = quantise(rows, gamma=gamma, bound_squared=bound_squared)
        return np.asarray(whole.sum(axis=0), dtype=np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(rows * float(gamma))
        within = np.einsum("ij,ij->i", scaled, scaled) <= patient_bound_squared(gamma, bound_squared)
    if within.all():
        return np.asarray(scaled.sum(axis=0), dtype=np.int64)
    rest = quantise(rows[~within], gamma=gamma, bound_squared=bound_squared)
    return np.asarray(scaled[within].sum(axis=0).astype(np.int64) + rest.sum(axis=0), dtype=np.int64)
