"""What a patient adds to the score and the curvature of each regression model, scaled to at most 1.

Each family is three bounded functions of a patient's outcome and linear predictor; whatever coefficients the
coordinator sends, the residual and the weight stay within their bounds. Money and counts are divided by the
upper end of their public clip, so that numbers of every study have one size.

McCullagh, P., Nelder, J. A. Generalized linear models, 2nd edition (1989), chapters 2, 4, 6 and 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_FAR = 500.0


def predictor(rows: Array, coefficients: Array) -> Array:
    """Return the linear predictor, kept where its exponential is finite, shape ``(n,)``.

    A row's number does not depend on the rows beside it, to the last bit. A matrix product rounds a row by
    where it stands, and coefficients near 1e15 that cancel would make one patient's absence move others.
    """
    eta = np.zeros(len(rows))
    with np.errstate(over="ignore", invalid="ignore"):
        for column, coefficient in zip(rows.T, coefficients, strict=True):
            eta += column * coefficient
    return np.clip(np.nan_to_num(eta, nan=0.0, posinf=_FAR, neginf=-_FAR), -_FAR, _FAR)


class Family(Protocol):
    """One regression model with its canonical or log link."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def rounds(self) -> int:
        """How many releases a coefficient table takes."""

    @property
    def kept_from(self) -> int:
        """First round whose estimate counts under noise."""

    @property
    def curved(self) -> frozenset[int]:
        """Rounds after the first that release a curvature; the first always does."""

    @property
    def disperses(self) -> bool:
        """True where the variance has a factor to estimate."""

    @property
    def link(self) -> Literal["logit", "log"]:
        """The link."""

    @property
    def unit(self) -> str:
        """Unit of a coefficient."""

    @property
    def ratio(self) -> str:
        """What the exponential of a coefficient is."""

    @property
    def least_dispersion(self) -> float:
        """Smallest factor of the variance that is believed."""

    @property
    def start_residual(self) -> float:
        """Largest residual of the first round."""

    @property
    def largest(self) -> float:
        """What `residual` was divided by."""

    @property
    def start_weight(self) -> float:
        """What turns the sum of ``x x'`` into the curvature of the first round."""

    @property
    def largest_weight(self) -> float:
        """What `weight` was divided by."""

    def start(self, outcome: Array) -> Array:
        """What multiplies a row in the first round, shape ``(n,)``: at most `start_residual` in size."""

    def residual(self, outcome: Array, eta: Array) -> Array:
        """What multiplies a row in the score, divided by `largest`: between -1 and 1."""

    def weight(self, eta: Array) -> Array:
        """What multiplies ``x x'`` in the curvature, divided by `largest_weight`: between 0 and 1."""

    def pearson(self, outcome: Array, eta: Array) -> Array:
        """Squared Pearson residual, divided by `largest_pearson`: between 0 and 1."""

    @property
    def largest_pearson(self) -> float:
        """What `pearson` was divided by."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """Log odds of a binary outcome; the first round, at coefficients of 0, is the quadratic surrogate."""

    name: str = "logistic"
    rounds: int = 6
    kept_from: int = 3
    curved: frozenset[int] = frozenset({2, 3, 6})
    disperses: bool = False
    link: Literal["logit", "log"] = "logit"
    unit: str = "log odds"
    ratio: str = "odds ratio"
    least_dispersion: float = 1.0
    start_residual: float = 0.5
    largest: float = 1.0
    start_weight: float = 0.25
    largest_weight: float = 0.25
    largest_pearson: float = 1.0

    def start(self, outcome: Array) -> Array:
        """See `Family`."""
        return outcome - 0.5

    def residual(self, outcome: Array, eta: Array) -> Array:
        """See `Family`."""
        return outcome - 1 / (1 + np.exp(-eta))

    def weight(self, eta: Array) -> Array:
        """See `Family`."""
        p = 1 / (1 + np.exp(-eta))
        return np.asarray(4 * p * (1 - p), dtype=np.float64)

    def pearson(self, outcome: Array, eta: Array) -> Array:
        """Not used: a binary outcome has no dispersion."""
        del eta
        return np.zeros_like(outcome)


@dataclass(frozen=True, slots=True)
class Poisson:
    """Log mean of a count y between 0 and a public cap M; means above M count as M.

    Attributes:
      cap: M. Outcomes arrive as ``y / M``.
      largest_pearson: ``(y - mu)^2 / mu`` above that many times M counts as that.
    """

    cap: float
    largest_pearson: float
    name: str = "poisson"
    rounds: int = 8
    kept_from: int = 5
    curved: frozenset[int] = frozenset({2, 3, 4, 8})
    disperses: bool = True
    link: Literal["logit", "log"] = "log"
    unit: str = "log rate"
    ratio: str = "rate ratio"
    start_residual: float = 1.0
    largest: float = 1.0
    start_weight: float = 1.0
    largest_weight: float = 1.0

    @property
    def least_dispersion(self) -> float:
        """1 in counts: fewer than Poisson variation is not believed."""
        return 1 / self.cap

    def start(self, outcome: Array) -> Array:
        """See `Family`."""
        return outcome

    def residual(self, outcome: Array, eta: Array) -> Array:
        """See `Family`."""
        return outcome - np.minimum(np.exp(eta), 1.0)

    def weight(self, eta: Array) -> Array:
        """See `Family`."""
        return np.minimum(np.exp(eta), 1.0)

    def pearson(self, outcome: Array, eta: Array) -> Array:
        """See `Family`."""
        mean = np.clip(np.exp(eta), 1e-12, 1.0)
        squared = np.square(outcome - mean) / mean / self.largest_pearson
        return np.asarray(np.minimum(squared, 1.0), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Gamma:
    """Log mean of an amount of money; the curvature with a log link is ``x x'`` whatever the coefficients.

    Attributes:
      cap: Upper end of the clip. Outcomes arrive as ``y / cap``.
      largest: K: a ratio ``y / mu - 1`` above K counts as K.
    """

    cap: float
    largest: float
    name: str = "gamma"
    rounds: int = 8
    kept_from: int = 5
    curved: frozenset[int] = frozenset()
    disperses: bool = True
    link: Literal["logit", "log"] = "log"
    unit: str = "log cost"
    ratio: str = "cost ratio"
    least_dispersion: float = 0.0
    start_residual: float = 1.0
    start_weight: float = 1.0
    largest_weight: float = 1.0

    @property
    def largest_pearson(self) -> float:
        """K^2."""
        return self.largest**2

    def start(self, outcome: Array) -> Array:
        """See `Family`."""
        return outcome

    def residual(self, outcome: Array, eta: Array) -> Array:
        """See `Family`."""
        return np.clip(outcome * np.exp(-eta) - 1, -1.0, self.largest) / self.largest

    def weight(self, eta: Array) -> Array:
        """See `Family`."""
        return np.ones_like(eta)

    def pearson(self, outcome: Array, eta: Array) -> Array:
        """See `Family`."""
        return np.square(self.residual(outcome, eta))
