"""Sum patients' real-valued rows in integers, a few thousand at a time: bounded memory for any site."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Ask, Scaling
from fedvalue.privacy.quantise import quantise

NUMBERS = 1 << 17
"""Numbers of a block that are worked on at a time: about a megabyte, which a processor keeps at hand."""
FEWEST = 256

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
            gamma = scaling[block.name]
            whole = quantise(found[block.name], gamma=gamma, bound_squared=block.bound_squared)
            totals[block.name] += whole.sum(axis=0)
    return totals
