"""What is known of one quantity, in three forms that a decision rule reads alike.

A share has its noise-aware posterior (`outcome_linked`), an estimate two variances, a derived quantity its
draws. Each gives P(it meets a bar), an interval, and the expected distance by which it misses or passes the
bar. Both variances stay apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fedvalue.payment.decision_findings import Direction
from fedvalue.payment.mechanisms.underlying import Derived
from fedvalue.payment.outcome_linked import Counts, Posterior
from fedvalue.payment.rules import DIGITS, Reading, rounded
from fedvalue.payment.rules_loss import LossReading, read_losses, read_normal_losses

Z95 = 1.959963984540054


class Known(Protocol):
    """What is known of one quantity."""

    @property
    def value(self) -> float:
        """The estimate, in the quantity's unit."""

    @property
    def sampling_variance(self) -> float:
        """V_s."""

    @property
    def privacy_variance(self) -> float:
        """V_dp."""

    def probability(self, threshold: float, direction: Direction) -> float:
        """Return P(the bar is met), between 0 and 1."""

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval."""

    def losses(self, threshold: float, direction: Direction) -> LossReading:
        """Return the expected distances from the bar."""


@dataclass(frozen=True, slots=True)
class KnownShare:
    """A share whose counts were released.

    Attributes:
      posterior: Of the share.
      counts: The released figures.
    """

    posterior: Posterior
    counts: Counts

    @property
    def value(self) -> float:
        """Posterior mean."""
        return self.posterior.mean

    @property
    def sampling_variance(self) -> float:
        """V_s."""
        return self.posterior.sampling_variance

    @property
    def privacy_variance(self) -> float:
        """V_dp."""
        return self.posterior.privacy_variance

    def probability(self, threshold: float, direction: Direction) -> float:
        """Return P(the bar is met) by the mixture of Betas."""
        above = self.posterior.at_least(threshold)
        return rounded(above if direction == "at_least" else 1 - above)

    def interval(self) -> tuple[float, float]:
        """Return the equal-tailed credible interval."""
        return self.posterior.interval()

    def losses(self, threshold: float, direction: Direction) -> LossReading:
        """Return the expected distances under the mixture of Betas."""
        return read_losses(self.posterior, threshold, direction)


@dataclass(frozen=True, slots=True)
class KnownNormal:
    """An estimate with two variances, taken as normal; both 0 for an exact figure.

    Attributes:
      value: The estimate.
      sampling_variance: V_s.
      privacy_variance: V_dp.
      between_variance: The part of V_s that is how far hospitals differ (tau^2), for what a new hospital may
        expect; no number of patients makes it smaller.
    """

    value: float
    sampling_variance: float
    privacy_variance: float
    between_variance: float = 0.0

    @property
    def sd(self) -> float:
        """sqrt(V_s + V_dp)."""
        return math.sqrt(self.sampling_variance + self.privacy_variance)

    def probability(self, threshold: float, direction: Direction) -> float:
        """Return P(the bar is met); 0 or 1 for an exact figure, which meets a bar that it equals."""
        distance = self.value - threshold if direction == "at_least" else threshold - self.value
        if self.sd == 0:
            return float(distance >= 0)
        return rounded(float(special.ndtr(distance / self.sd)))

    def interval(self) -> tuple[float, float]:
        """Return value -+ 1.96 SD."""
        return self.value - Z95 * self.sd, self.value + Z95 * self.sd

    def losses(self, threshold: float, direction: Direction) -> LossReading:
        """Return the expected distances of a normal quantity."""
        return read_normal_losses(self.value, self.sd, threshold, direction)


@dataclass(frozen=True, slots=True)
class KnownDraws:
    """A quantity that a mechanism derived from joint draws.

    Attributes:
      derived: The quantity.
    """

    derived: Derived

    @property
    def value(self) -> float:
        """At the estimates."""
        return self.derived.value

    @property
    def sampling_variance(self) -> float:
        """V_s."""
        return self.derived.sampling_variance

    @property
    def privacy_variance(self) -> float:
        """V_dp."""
        return self.derived.privacy_variance

    def probability(self, threshold: float, direction: Direction) -> float:
        """Return the share of draws that meet the bar."""
        return float(np.mean(holds(self.derived.draws, threshold, direction)))

    def interval(self) -> tuple[float, float]:
        """Return the equal-tailed interval of the draws."""
        return self.derived.interval()

    def losses(self, threshold: float, direction: Direction) -> LossReading:
        """Return the mean distances over the draws."""
        beyond = self.derived.draws - threshold if direction == "at_least" else threshold - self.derived.draws
        shortfall, excess = (float(np.mean(np.maximum(side, 0.0))) for side in (-beyond, beyond))
        return LossReading(round(shortfall, DIGITS), round(excess, DIGITS))


def holds(draws: NDArray[np.float64], threshold: float, direction: Direction) -> NDArray[np.bool_]:
    """Return where a bar is met; draws that equal it to the twelfth digit meet it."""
    slack = 1e-12 * max(abs(threshold), 1e-300)
    return np.asarray(draws >= threshold - slack if direction == "at_least" else draws <= threshold + slack)


def reading(known: Known, threshold: float, direction: Direction) -> Reading:
    """Return what the rules read of one criterion."""
    losses = known.losses(threshold, direction)
    return Reading(
        probability=known.probability(threshold, direction),
        estimate=round(known.value, DIGITS),
        sampling_variance=known.sampling_variance,
        privacy_variance=known.privacy_variance,
        threshold=threshold,
        direction=direction,
        shortfall=losses.shortfall,
        excess=losses.excess,
    )
