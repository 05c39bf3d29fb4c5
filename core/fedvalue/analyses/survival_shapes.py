"""Shapes of a cumulative hazard: exponential, Weibull, and constant between breaks.

Parameters are logarithms, so every real vector is a model. ``H(t)`` and its derivatives are all that fitting
and extrapolation need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Shape(Protocol):
    """A family of cumulative hazards."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what `shown` returns, length q."""

    @property
    def units(self) -> tuple[str, ...]:
        """Units of them."""

    def start(self, rate: float) -> Array:
        """Return the parameters of a constant hazard of ``rate`` a day, shape ``(q,)``."""

    def cumulative(self, theta: Array, days: Array) -> Array:
        """Return H at days of 0 or more, shape ``(n,)``."""

    def slopes(self, theta: Array, days: Array) -> Array:
        """Return the derivatives of H with respect to the parameters, shape ``(n, q)``."""

    def shown(self, theta: Array) -> Array:
        """Return the parameters as people read them: their exponentials, shape ``(q,)``."""


@dataclass(frozen=True, slots=True)
class PiecewiseConstant:
    """A hazard that is constant between breaks; without breaks it is the exponential model.

    Attributes:
      breaks: Days, increasing, above 0; the last piece has no end.
    """

    breaks: tuple[float, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """See `Shape`."""
        if not self.breaks:
            return ("hazard",)
        return tuple(f"hazard from day {day:g}" for day in (0.0, *self.breaks))

    @property
    def units(self) -> tuple[str, ...]:
        """See `Shape`."""
        return ("per day",) * len(self.names)

    def start(self, rate: float) -> Array:
        """See `Shape`."""
        return np.full(len(self.names), np.log(rate))

    def _time(self, days: Array) -> Array:
        """Days spent in each piece, shape ``(n, q)``."""
        first = np.array((0.0, *self.breaks))
        last = np.array((*self.breaks, np.inf))
        spent: Array = np.clip(days[:, None], first, last) - first
        return spent

    def cumulative(self, theta: Array, days: Array) -> Array:
        """See `Shape`."""
        total: Array = self._time(days) @ np.exp(theta)
        return total

    def slopes(self, theta: Array, days: Array) -> Array:
        """See `Shape`."""
        return self._time(days) * np.exp(theta)

    def shown(self, theta: Array) -> Array:
        """See `Shape`."""
        return np.exp(theta)


@dataclass(frozen=True, slots=True)
class Weibull:
    """``H(t) = (t / scale)^shape``; parameters are ``log H(middle)`` and ``log shape``.

    Attributes:
      middle: A day inside the follow-up, which keeps the two parameters apart.
    """

    middle: float
    names: tuple[str, ...] = ("scale", "shape")
    units: tuple[str, ...] = ("days", "")

    def start(self, rate: float) -> Array:
        """See `Shape`."""
        return np.array([np.log(rate * self.middle), 0.0])

    def cumulative(self, theta: Array, days: Array) -> Array:
        """See `Shape`."""
        return np.asarray(np.exp(theta[0]) * (days / self.middle) ** np.exp(theta[1]), dtype=np.float64)

    def slopes(self, theta: Array, days: Array) -> Array:
        """See `Shape`."""
        whole = self.cumulative(theta, days)
        log = np.log(np.where(days > 0, days / self.middle, 1.0))
        return np.column_stack((whole, whole * log * np.exp(theta[1])))

    def shown(self, theta: Array) -> Array:
        """See `Shape`."""
        shape = np.exp(theta[1])
        return np.array([self.middle * np.exp(-theta[0] / shape), shape])
