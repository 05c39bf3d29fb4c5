"""The outcome of a regression: a binary endpoint or a number between the ends of its public clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is modelled.

    Attributes:
      name: A binary endpoint or a numeric variable.
      clip: Public range of a numeric variable; None for a binary endpoint.
      missing_fails: True where a missing binary outcome counts as failure.
      unit: Of a numeric variable.
    """

    name: str
    clip: tuple[float, float] | None
    missing_fails: bool = False
    unit: str = ""

    @property
    def largest(self) -> float:
        """Upper end of the clip; 1 for a binary endpoint."""
        return self.clip[1] if self.clip else 1.0

    def values(self, cohort: Cohort, part: slice) -> tuple[Array, NDArray[np.bool_]]:
        """Return outcomes in their own unit, inside the clip, and who has one, each shape ``(n,)``."""
        n = len(range(*part.indices(cohort.patients)))
        if self.clip is None:
            found = cohort.binary.get(self.name)
            status = np.full(n, -1) if found is None else found.status[part]
            known = np.ones(n, dtype=bool) if self.missing_fails else (status == 0) | (status == 1)
            return (status == 1).astype(np.float64), known
        numbers = cohort.numbers.get(self.name)
        raw = np.full(n, np.nan) if numbers is None else numbers[part]
        known = np.isfinite(raw)
        return np.clip(np.where(known, raw, self.clip[0]), *self.clip), known


def counts_of(values: Array, counted: NDArray[np.bool_]) -> Array:
    """Return each patient's one cell of (counted with a value of 0, counted above 0, left out)."""
    above = counted & (values > 0)
    return np.column_stack((counted & ~above, above, ~counted)).astype(np.float64)


COUNTS = ("with a value of 0", "with a value above 0", "left out")
"""Names of the cells of `counts_of` in a conclusion."""
