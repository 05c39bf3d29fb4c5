"""Cost and effect, jointly: moments with sampling and privacy covariance apart, or draws.

An increment is (dC, dE): mean cost and effect of the new option less those of the current one, per
patient. Federated evidence gives it as moments with two covariance matrices, which stay apart until a
decision is made: what patients would resolve and what privacy budget would resolve are not the same
remedy. A model (Markov, partitioned survival) gives it as draws of several options.

All money here is binary floating point, because it is a distribution; an amount that is paid is a
`Decimal` elsewhere. Cost and effect are correlated, and dropping the correlation misstates INB:

    Var INB(k) = k^2 Var(dE) + Var(dC) - 2 k Cov(dC, dE).

Claxton, K. The irrelevance of inference. J. Health Economics 18 (1999) 341-364; Stinnett, Mullahy. Net
health benefits. Medical Decision Making 18 (1998) S68-S80.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.errors import PaymentError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Covariance:
    """Covariance of (dC, dE).

    Attributes:
      cost: Variance of dC, in money squared, at least 0.
      effect: Variance of dE, in effect squared, at least 0.
      cross: Covariance of the two, in money times effect.
    """

    cost: float
    effect: float
    cross: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.cost, self.effect, self.cross))):
            raise PaymentError("a covariance of cost and effect is not finite")
        if self.cost < 0 or self.effect < 0:
            raise PaymentError("a variance of cost or effect is below 0")
        if self.cross**2 > self.cost * self.effect * (1 + 1e-9):
            raise PaymentError(
                "cost and effect would correlate by more than 1",
                do="give cross = correlation * SD of cost * SD of effect",
            )

    def __add__(self, other: Covariance) -> Covariance:
        """Return the covariance of the sum of two independent errors."""
        return Covariance(self.cost + other.cost, self.effect + other.effect, self.cross + other.cross)

    def of_net_benefit(self, k: float) -> float:
        """Return the variance of k dE - dC, in money squared."""
        return max(k * k * self.effect + self.cost - 2 * k * self.cross, 0.0)

    @classmethod
    def from_sd(cls, cost: float, effect: float, correlation: float = 0.0) -> Covariance:
        """Return the covariance with these standard deviations and this correlation, -1 to 1."""
        return cls(cost**2, effect**2, correlation * cost * effect)


NONE = Covariance(0.0, 0.0)
"""No error: payer-held exact figures have no privacy covariance."""


@dataclass(frozen=True, slots=True)
class Increment:
    """Mean incremental cost and effect per patient, and how uncertain they are.

    Attributes:
      cost: dC, in money per patient; negative where the new option is cheaper.
      effect: dE, in QALY (or another unit of effect) per patient.
      sampling: What more patients would reduce.
      privacy: What more privacy budget would reduce; `NONE` for exact figures.
    """

    cost: float
    effect: float
    sampling: Covariance
    privacy: Covariance = NONE

    def __post_init__(self) -> None:
        if not (math.isfinite(self.cost) and math.isfinite(self.effect)):
            raise PaymentError("an incremental cost or effect is not finite")

    @property
    def covariance(self) -> Covariance:
        """Sampling and privacy together, for the step that decides."""
        return self.sampling + self.privacy

    def draw(self, rng: np.random.Generator, size: int) -> Draws:
        """Return joint normal draws of the two options ``current`` (all zero) and ``new``.

        Args:
          rng: Where randomness comes from.
          size: Number of draws, at least 1.
        """
        whole = self.covariance
        first, second = rng.standard_normal((2, size))
        sd = math.sqrt(whole.cost)
        slope = whole.cross / sd if sd > 0 else 0.0
        rest = math.sqrt(max(whole.effect - slope**2, 0.0))
        zero = np.zeros(size)
        return Draws(
            ("current", "new"),
            np.column_stack([zero, self.cost + sd * first]),
            np.column_stack([zero, self.effect + slope * first + rest * second]),
        )


@dataclass(frozen=True, slots=True)
class Draws:
    """Joint draws of several options; row i of both arrays is one state of the world.

    Attributes:
      options: Names, unique, at least two.
      cost: Money per patient, shape ``(n, options)``.
      effect: Effect per patient, shape ``(n, options)``.
    """

    options: tuple[str, ...]
    cost: Floats
    effect: Floats

    def __post_init__(self) -> None:
        if len(set(self.options)) != len(self.options) or len(self.options) < 2:
            raise PaymentError("draws compare at least two options, each with its own name")
        if self.cost.shape != self.effect.shape or self.cost.ndim != 2:
            raise PaymentError("costs and effects are not drawn together: their shapes differ")
        if self.cost.shape[1] != len(self.options) or not self.cost.shape[0]:
            raise PaymentError(f"draws have shape {self.cost.shape} for {len(self.options)} options")
        if not (np.isfinite(self.cost).all() and np.isfinite(self.effect).all()):
            raise PaymentError("a drawn cost or effect is not finite")

    def net_benefit(self, k: float) -> Floats:
        """Return k E - C per draw and option, in money, shape ``(n, options)``."""
        return k * self.effect - self.cost

    def increment(self, new: str, current: str) -> Increment:
        """Return ``new`` less ``current`` as moments; draws cannot tell privacy from sampling.

        Raises:
          PaymentError: no such option, or a single draw.
        """
        dc, de = (
            values[:, self.index(new)] - values[:, self.index(current)] for values in (self.cost, self.effect)
        )
        if len(dc) < 2:
            raise PaymentError("one draw has no covariance", do="draw more")
        (cost, cross), (_, effect) = np.cov(dc, de).tolist()
        cross = math.copysign(min(abs(cross), math.sqrt(cost * effect)), cross)
        return Increment(float(dc.mean()), float(de.mean()), Covariance(cost, effect, cross))

    def index(self, option: str) -> int:
        """Return the column of an option.

        Raises:
          PaymentError: no such option.
        """
        if option not in self.options:
            raise PaymentError(f"there is no option {option!r}", do=f"the options are {list(self.options)}")
        return self.options.index(option)
