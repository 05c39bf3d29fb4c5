"""Brakes on a changing standard: hysteresis, a least interval, a cap per period, and partial change.

Noise moves estimates from one period to the next; a standard that followed each of them would swing. Four
frozen rules, each with what it reads:

* `Hysteresis` reads the probability that a change is warranted and the last change: .90 to change, .95 to
  reverse a change within twelve months;
* `MinimumInterval` reads the last change and the day;
* `ChangeCap` reads the amount at the beginning of the period and the amount wanted;
* `Credibility` reads the variance of the evidence: new = old + Z (evidence - old), Z = V_prior / (V_prior +
  V), with V = V_s + V_dp, so that more noise moves a standard less and never the other way.

`restrain` applies them in this order and keeps what each did. Amounts are `Decimal` and rounded to a
hundredth, half away from zero; Z is a ratio of variances and stays a float until it meets an amount.

Buhlmann, H. Experience rating and credibility. ASTIN Bulletin 4 (1967) 199-207.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from fedvalue.errors import PaymentError
from fedvalue.payment.money import FEN

Way = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class LastChange:
    """The last change of an amount.

    Attributes:
      on: First day of the new amount.
      way: Whether it rose or fell.
    """

    on: date
    way: Way


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """How probable a change must be.

    Attributes:
      p_change: Probability needed to change, above 1/2, below 1.
      p_reverse: Probability needed to go back within ``window``, at least ``p_change``, below 1.
      window: Days after a change during which going back is a reversal, above 0.
    """

    p_change: float = 0.90
    p_reverse: float = 0.95
    window: int = 365

    def __post_init__(self) -> None:
        if not 0.5 < self.p_change <= self.p_reverse < 1 or self.window < 1:
            raise PaymentError(
                f"p_change = {self.p_change} and p_reverse = {self.p_reverse} are no hysteresis",
                do="0.5 < p_change <= p_reverse < 1",
            )

    def needed(self, way: Way, last: LastChange | None, on: date) -> float:
        """Return the probability needed for a change in this way on this day."""
        recent = last is not None and 0 <= (on - last.on).days < self.window
        return self.p_reverse if last is not None and recent and last.way != way else self.p_change

    def allows(self, probability: float, way: Way, last: LastChange | None, on: date) -> bool:
        """Tell whether a change is warranted.

        Args:
          probability: That the change is warranted, noise included, between 0 and 1.
          way: Of the change.
          last: The last change; None if there was none.
          on: First day of the change.
        """
        return probability >= self.needed(way, last, on)


@dataclass(frozen=True, slots=True)
class MinimumInterval:
    """Days that must lie between two changes, at least 1."""

    days: int = 183

    def __post_init__(self) -> None:
        if self.days < 1:
            raise PaymentError("a least interval between changes is at least one day")

    def earliest(self, last: LastChange | None) -> date | None:
        """Return the first day on which the next change may start; None: any day."""
        return None if last is None else last.on + timedelta(days=self.days)

    def allows(self, last: LastChange | None, on: date) -> bool:
        """Tell whether a change may start on this day."""
        earliest = self.earliest(last)
        return earliest is None or on >= earliest


@dataclass(frozen=True, slots=True)
class ChangeCap:
    """The most that an amount may move in a period.

    Attributes:
      share: Of the amount at the beginning of the period, above 0, below 1; such as ``0.10``.
    """

    share: Decimal = Decimal("0.10")

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise PaymentError(f"a change cap of {self.share} is no share between 0 and 1")

    def capped(self, base: Decimal, wanted: Decimal, quantum: Decimal = FEN) -> Decimal:
        """Return the amount nearest to the one wanted that the cap allows, rounded inwards to ``quantum``.

        Args:
          base: The amount at the beginning of the period, at least 0; earlier changes of the same period
            have used part of the cap.
          wanted: The amount wanted, at least 0.
          quantum: Least step of the amount.
        """
        reach = (base * self.share).quantize(quantum, rounding="ROUND_DOWN")
        return min(max(wanted, base - reach), base + reach)


@dataclass(frozen=True, slots=True)
class Credibility:
    """Partial change by the weight of the evidence.

    Attributes:
      prior_variance: V_prior, how far the underlying value is believed to lie from the standard, above 0.
    """

    prior_variance: float

    def __post_init__(self) -> None:
        if not 0 < self.prior_variance < math.inf:
            raise PaymentError("the prior variance of a credibility weight is above 0")

    def weight(self, sampling_variance: float, privacy_variance: float) -> float:
        """Return Z, between 0 and 1: 1 for exact evidence."""
        if not (sampling_variance >= 0 and privacy_variance >= 0):
            raise PaymentError("a variance of the evidence is below 0")
        return self.prior_variance / (self.prior_variance + sampling_variance + privacy_variance)

    def partial(self, old: Decimal, evidence: Decimal, weight: float, quantum: Decimal = FEN) -> Decimal:
        """Return old + Z (evidence - old), to ``quantum``, half away from zero."""
        moved = old + Decimal(repr(round(weight, 12))) * (evidence - old)
        return moved.quantize(quantum, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Brakes:
    """The four rules together; None leaves one out."""

    hysteresis: Hysteresis | None
    interval: MinimumInterval | None
    cap: ChangeCap | None
    credibility: Credibility | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that evidence asks for.

    Attributes:
      old: The amount in force, at least 0.
      base: The amount at the beginning of the period, for the cap.
      evidence: The amount that the evidence alone would give, at least 0.
      probability: That a change in this way is warranted, noise included.
      sampling_variance: V_s of the evidence, in money squared.
      privacy_variance: V_dp.
      last: The last change.
      on: First day of the change.
      quantum: Least step of the amount: a hundredth of money, finer for weights.
    """

    old: Decimal
    base: Decimal
    evidence: Decimal
    probability: float
    sampling_variance: float
    privacy_variance: float
    last: LastChange | None
    on: date
    quantum: Decimal = FEN

    def __post_init__(self) -> None:
        if min(self.old, self.base, self.evidence) < 0 or not 0 <= self.probability <= 1:
            raise PaymentError("a change is between amounts at or above 0, with a probability")


@dataclass(frozen=True, slots=True)
class Restrained:
    """What is left of a change.

    Attributes:
      amount: The new amount; the old one where the change is not allowed.
      because: What held it back, of ``interval``, ``hysteresis``, ``credibility``, ``cap``, in this order.
      needed: Probability that was needed.
      weight: Z that was used, 1 without credibility.
    """

    amount: Decimal
    because: tuple[Literal["interval", "hysteresis", "credibility", "cap"], ...]
    needed: float
    weight: float


def restrain(proposal: Proposal, brakes: Brakes) -> Restrained:
    """Apply the brakes to a change."""
    way: Way = "up" if proposal.evidence > proposal.old else "down"
    needed = 0.0 if brakes.hysteresis is None else brakes.hysteresis.needed(way, proposal.last, proposal.on)
    if brakes.interval is not None and not brakes.interval.allows(proposal.last, proposal.on):
        return Restrained(proposal.old, ("interval",), needed, 0.0)
    if proposal.probability < needed:
        return Restrained(proposal.old, ("hysteresis",), needed, 0.0)
    because: list[Literal["interval", "hysteresis", "credibility", "cap"]] = []
    amount, weight = proposal.evidence, 1.0
    if brakes.credibility is not None:
        weight = brakes.credibility.weight(proposal.sampling_variance, proposal.privacy_variance)
        amount = brakes.credibility.partial(proposal.old, amount, weight, proposal.quantum)
        if amount != proposal.evidence:
            because.append("credibility")
    capped = amount if brakes.cap is None else brakes.cap.capped(proposal.base, amount, proposal.quantum)
    if capped != amount:
        because.append("cap")
    return Restrained(capped, tuple(because), needed, weight)
