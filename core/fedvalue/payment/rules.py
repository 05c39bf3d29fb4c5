"""Decision rules: from what is known of theta to met, not met, or insufficient evidence.

D1 asks how probable it is that theta meets the threshold. D2 asks whether the threshold lies outside a
guard band around the estimate. Both read sampling and privacy variance together, and neither has a
default answer: what is not shown either way is insufficient evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist
from typing import Literal, Protocol

from fedvalue.errors import PaymentError
from fedvalue.payment.decision import Outcome, RuleName
from fedvalue.payment.outcome_linked import Posterior

Direction = Literal["at_least", "at_most"]

DIGITS = 9
"""Decimals that a decision keeps of a probability: last bits differ between machines, answers must not."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a rule reads.

    Attributes:
      probability: P(theta meets the threshold), between 0 and 1.
      estimate: Posterior mean of theta.
      sampling_variance: V_s.
      privacy_variance: V_dp.
      threshold: tau, in the unit of theta.
      direction: On which side of it the standard is met.
      shortfall: Expected distance by which theta misses the threshold, in its unit; D4 reads it.
      excess: Expected distance by which it passes it.
    """

    probability: float
    estimate: float
    sampling_variance: float
    privacy_variance: float
    threshold: float
    direction: Direction
    shortfall: float = 0.0
    excess: float = 0.0


def read(posterior: Posterior, threshold: float, direction: Direction) -> Reading:
    """Return what rules read of a posterior."""
    above = posterior.at_least(threshold)
    over = max(posterior.expected_excess(threshold), 0.0)
    under = max(over - (posterior.mean - threshold), 0.0)
    shortfall, excess = (under, over) if direction == "at_least" else (over, under)
    return Reading(
        probability=rounded(above if direction == "at_least" else 1 - above),
        estimate=rounded(posterior.mean),
        sampling_variance=posterior.sampling_variance,
        privacy_variance=posterior.privacy_variance,
        threshold=threshold,
        direction=direction,
        shortfall=round(shortfall, DIGITS),
        excess=round(excess, DIGITS),
    )


def rounded(value: float) -> float:
    """Return a value between 0 and 1 as decisions keep it, to `DIGITS` decimals."""
    return round(min(max(value, 0.0), 1.0), DIGITS)


def guard_band(level: float, variance: float) -> float:
    """Return g = z sqrt(variance), z the one-sided normal quantile of ``level``."""
    return NormalDist().inv_cdf(level) * math.sqrt(variance)


class DecisionRule(Protocol):
    """A frozen rule with its levels."""

    @property
    def name(self) -> RuleName:
        """Its name in a standard."""

    def answer(self, reading: Reading) -> Outcome:
        """Return what the reading shows."""


@dataclass(frozen=True, slots=True)
class ProbabilityRule:
    """D1: met at a probability of at least ``p_met``, not met at one of at most ``p_not``."""

    p_met: float
    p_not: float
    name: RuleName = "D1"

    def answer(self, reading: Reading) -> Outcome:
        """Return what the probability shows."""
        if reading.probability >= self.p_met:
            return "met"
        return "not_met" if reading.probability <= self.p_not else "insufficient_evidence"


@dataclass(frozen=True, slots=True)
class GuardBandRule:
    """D2: met when the estimate is a guard band beyond the threshold, not met when it is one short of it."""

    level: float
    name: RuleName = "D2"

    def answer(self, reading: Reading) -> Outcome:
        """Return what the guard band shows."""
        beyond = reading.estimate - reading.threshold
        if reading.direction == "at_most":
            beyond = -beyond
        band = guard_band(self.level, reading.sampling_variance + reading.privacy_variance)
        if beyond >= band:
            return "met"
        return "not_met" if beyond < -band else "insufficient_evidence"


def rule_called(name: RuleName, *, p_met: Decimal, p_not: Decimal) -> DecisionRule:
    """Return the rule of that name; D3, D4 and D5 read more than two levels, see `rules_named.rule_of`.

    Args:
      name: ``D1`` or ``D2``.
      p_met: Above 1/2, below 1.
      p_not: Below 1/2, above 0; D2 does not read it.

    Raises:
      PaymentError: levels outside their range, or a rule that reads more.
    """
    check_levels(p_met, p_not)
    if name not in ("D1", "D2"):
        raise PaymentError(
            f"{name} reads more than two levels",
            where=name,
            do="name the rule in a standard, with its parameters",
        )
    return ProbabilityRule(float(p_met), float(p_not)) if name == "D1" else GuardBandRule(float(p_met))


def check_levels(p_met: Decimal, p_not: Decimal) -> None:
    """Refuse levels between which no insufficient evidence lies.

    Raises:
      PaymentError: not 0 < p_not < 0.5 < p_met < 1.
    """
    if not Decimal(0) < p_not < Decimal("0.5") < p_met < 1:
        raise PaymentError(
            f"p_met = {p_met} and p_not = {p_not} are no levels of a decision",
            do="0 < p_not < 0.5 < p_met < 1: between them lies insufficient evidence",
        )
