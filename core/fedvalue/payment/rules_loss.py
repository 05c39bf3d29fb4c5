"""D4: the answer with the smaller expected loss, where wasting money and denying patients weigh differently.

With L_over the loss per unit by which theta falls short of the threshold when the answer is *met* (fund
waste), and L_under the loss per unit by which theta exceeds it when the answer is *not met* (patients
denied), the answer is *met* where

    L_over E (tau - theta)+  <=  L_under E (theta - tau)+ .

For a normal posterior only z = (mean - tau) / s matters: *met* from z >= c with

    L_over [phi(c) - c Phi(-c)] = L_under [phi(c) + c Phi(c)],

so at theta = tau the answer is *met* with probability Phi(-c), whatever the noise: that is the promise, and
it follows from the ratio of the losses alone. Equal losses give one half. A tolerable loss turns what would
be the lesser of two large losses into insufficient evidence.

Berger, J. O. Statistical Decision Theory and Bayesian Analysis, 2nd ed. (1985), section 4.4; the mixture of
Betas and c are our derivation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import optimize, special

from fedvalue.errors import PaymentError
from fedvalue.payment.decision import Outcome
from fedvalue.payment.outcome_linked import Posterior
from fedvalue.payment.rules import DIGITS, Direction


@dataclass(frozen=True, slots=True)
class LossReading:
    """What D4 reads.

    Attributes:
      shortfall: Expected distance by which theta misses the standard, in the unit of theta, at least 0.
      excess: Expected distance by which it exceeds it, likewise.
    """

    shortfall: float
    excess: float

    def __post_init__(self) -> None:
        if not (0 <= self.shortfall < math.inf and 0 <= self.excess < math.inf):
            raise PaymentError("an expected distance from the threshold is finite and at least 0")


def read_losses(posterior: Posterior, threshold: float, direction: Direction) -> LossReading:
    """Return what D4 reads of a posterior of a proportion, privacy noise included."""
    over = max(posterior.expected_excess(threshold), 0.0)
    return _directed(over, posterior.mean - threshold, direction)


def read_normal_losses(mean: float, sd: float, threshold: float, direction: Direction) -> LossReading:
    """Return what D4 reads of a normal posterior, such as that of a net benefit.

    Args:
      mean: Of theta.
      sd: sqrt(V_s + V_dp), at least 0.
      threshold: tau.
      direction: On which side of it the standard is met.
    """
    distance = mean - threshold
    return _directed(_gain(distance / sd) * sd if sd > 0 else max(distance, 0.0), distance, direction)


def _directed(above: float, distance: float, direction: Direction) -> LossReading:
    above = round(above, DIGITS)
    below = round(max(above - distance, 0.0), DIGITS)
    return LossReading(below, above) if direction == "at_least" else LossReading(above, below)


@dataclass(frozen=True, slots=True)
class LossRule:
    """D4 with its losses, in money (or another common unit) per unit of theta.

    Attributes:
      over: L_over, above 0.
      under: L_under, above 0.
      tolerable: Largest expected loss that an answer may carry; None where one of the two always stands.
    """

    over: float
    under: float
    tolerable: float | None = None
    name: Literal["D4"] = "D4"

    def __post_init__(self) -> None:
        if not (0 < self.over < math.inf and 0 < self.under < math.inf):
            raise PaymentError("both losses of a loss-asymmetric rule are above 0")
        if self.tolerable is not None and not self.tolerable > 0:
            raise PaymentError("a tolerable loss is above 0, or there is none")

    def answer(self, reading: LossReading) -> Outcome:
        """Return the answer with the smaller expected loss; a tie keeps the standard unchanged."""
        if_met, if_not = self.over * reading.shortfall, self.under * reading.excess
        if self.tolerable is not None and min(if_met, if_not) > self.tolerable:
            return "insufficient_evidence"
        return "met" if if_met < if_not else "not_met"

    def turn(self) -> float:
        """Return c: standard errors beyond the threshold from which a normal posterior answers *met*."""
        return float(
            optimize.brentq(lambda c: self.over * _gain(-c) - self.under * _gain(c), -30.0, 30.0, xtol=1e-12)
        )

    def promise(self) -> float:
        """Return Phi(-c), the probability of *met* when theta is the threshold, between 0 and 1."""
        return float(special.ndtr(-self.turn()))


def _gain(z: float) -> float:
    """Return E (Z + z)+ of a standard normal Z."""
    return max(math.exp(-z * z / 2) / math.sqrt(2 * math.pi) + z * float(special.ndtr(z)), 0.0)
