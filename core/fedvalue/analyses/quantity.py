"""A number that a patient has, inside a public range: a numeric variable, or a binary endpoint as 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort
from fedvalue.study.endpoints import Binary
from fedvalue.study.questions.question import Measured


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is averaged.

    Attributes:
      name: Of the variable or endpoint.
      low: Lower end of the public range.
      high: Upper end, above ``low``.
      unit: Of the values; ``probability`` for an endpoint.
      missing: For an endpoint, what a missing outcome counts as; None for a variable.
    """

    name: str
    low: float
    high: float
    unit: str
    missing: str | None = None

    @classmethod
    def of(cls, name: str, measured: Measured) -> Quantity:
        """Return the quantity that a validated question names."""
        endpoint = measured.endpoints.get(name)
        if isinstance(endpoint, Binary):
            return cls(name, 0.0, 1.0, "probability", endpoint.missing)
        low, high = measured.number(name)
        return cls(name, low, high, measured.variables[name].unit or "")

    @property
    def middle(self) -> float:
        """Of the range, in its unit."""
        return (self.low + self.high) / 2

    @property
    def half(self) -> float:
        """Half the width of the range, in its unit."""
        return (self.high - self.low) / 2

    def values(self, cohort: Cohort) -> NDArray[np.float64]:
        """Return each patient's value clipped to the range, NaN where unknown, shape ``(n,)``."""
        if self.missing is None:
            found = np.asarray(
                cohort.numbers.get(self.name, np.full(cohort.patients, np.nan)), dtype=np.float64
            )
            return np.where(np.isfinite(found), np.clip(found, self.low, self.high), np.nan)
        outcome = cohort.binary.get(self.name)
        status = np.full(cohort.patients, -1) if outcome is None else outcome.status
        unknown = 0.0 if self.missing == "non_response" else np.nan
        return np.select([status == 1, status == 0], [1.0, 0.0], default=unknown)

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of the range as numbers in [-1, 1], NaN where unknown."""
        return np.clip((values - self.middle) / self.half, -1.0, 1.0)
