"""D5: several looks at growing evidence, with one error rate over all of them.

Asking the same question of growing data at .90 each time answers *met* by chance far more often than in a
tenth of cases. Here the looks are registered before the first one: their days, and the information that the
last is planned to have. At information fraction t the O'Brien-Fleming spending function has used

    alpha(t) = 2 [1 - Phi(z_{alpha/2} / sqrt t)]

of the error, and the bound b_k of look k is the one with which Pr(first crossing at look k | theta = tau)
is what was newly spent. The answer is *met* at z_k >= b_k, *not met* at z_k <= -b_k; each side has error
alpha. The last registered look spends what is left; after it there is no other.

Each look reads NEW patients with their own noise, and the looks are combined by information 1 / (V_s +
V_dp), so the scores have independent increments, on which the bounds rest. A second release of old patients
would not: it would count their sampling error twice. Every look spends privacy budget.

O'Brien, Fleming. A multiple testing procedure for clinical trials. Biometrics 35 (1979) 549-556; Lan, DeMets.
Discrete sequential boundaries for clinical trials. Biometrika 70 (1983) 659-663; the recursion: Armitage,
McPherson, Rowe. Repeated significance tests on accumulating data. J. R. Statist. Soc. A 132 (1969) 235-244.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy import optimize, special

from fedvalue.errors import PaymentError
from fedvalue.payment.decision import Outcome
from fedvalue.payment.outcome_linked import Counts, Floats
from fedvalue.payment.rules import DIGITS, Direction

_POINTS = 401
"""Grid points between the two bounds; odd, for Simpson's rule."""

_LARGEST = 8.0
"""Bound that stands for "never": beyond it lies less than 1e-15."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found in its own, new patients.

    Attributes:
      day: When.
      estimate: theta in the new patients, noise left as it is.
      sampling_variance: V_s of it, above 0, evaluated at the threshold, so that the amount of information
        does not depend on the outcome.
      privacy_variance: V_dp of it, at least 0.
    """

    day: date
    estimate: float
    sampling_variance: float
    privacy_variance: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.estimate) and self.sampling_variance > 0 and self.privacy_variance >= 0):
            raise PaymentError("a look has a finite estimate, V_s above 0 and V_dp at or above 0")

    @property
    def information(self) -> float:
        """1 / (V_s + V_dp)."""
        return 1 / (self.sampling_variance + self.privacy_variance)


def look_of_counts(day: date, counts: Counts, threshold: float) -> Look:
    """Return a look from the released counts of its new patients.

    With c = (1 - tau) r - tau u and n = r + u, the estimate is tau + c / n, V_s = tau (1 - tau) / n and
    V_dp = Var(noise of c) / n^2.

    Raises:
      PaymentError: the released number of patients is not above 0.
    """
    patients = counts.total.value
    if not patients > 0:
        raise PaymentError(
            f"a look on {day} released {patients:.1f} patients", do="wait until the look has patients"
        )
    contrast = (1 - threshold) * counts.success.value - threshold * counts.other.value
    noise = (1 - threshold) ** 2 * counts.success.noise_variance + threshold**2 * counts.other.noise_variance
    return Look(
        day, threshold + contrast / patients, threshold * (1 - threshold) / patients, noise / patients**2
    )


@dataclass(frozen=True, slots=True)
class SequentialAnswer:
    """The answer at the latest look.

    Attributes:
      outcome: What is shown so far.
      z: Standardized distance from the threshold, positive towards *met*.
      bound: b_k.
      fraction: Information fraction t, above 0, at most 1.
      spent: Error used so far on each side.
      looks_left: Registered looks that are still to come.
    """

    outcome: Outcome
    z: float
    bound: float
    fraction: float
    spent: float
    looks_left: int


@dataclass(frozen=True, slots=True)
class SequentialRule:
    """D5 as it was registered before the first look.

    Attributes:
      threshold: tau.
      direction: On which side of it the standard is met.
      alpha: Error on each side over all looks, between 0 and 1/2.
      days: First day of each look, increasing.
      planned_information: Information 1 / V that the last look is planned to reach, above 0.
    """

    threshold: float
    direction: Direction
    alpha: float
    days: tuple[date, ...]
    planned_information: float
    name: Literal["D5"] = "D5"

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5 or not 0 < self.planned_information < math.inf:
            raise PaymentError("a sequential rule has an error below one half and a planned information")
        if not self.days or any(later <= earlier for earlier, later in pairwise(self.days)):
            raise PaymentError("the looks are registered by their days, in order, at least one")

    def answer(self, looks: Sequence[Look]) -> SequentialAnswer:
        """Return the answer at the latest of the looks so far.

        Args:
          looks: All looks so far, oldest first, each with its own patients.

        Raises:
          PaymentError: no look, more looks than registered, one before its day, or one after the answer.
        """
        self._registered(looks)
        information = np.cumsum([look.information for look in looks])
        spent = self._spent(information)
        limits = bounds(information.tolist(), spent)
        outcome: Outcome = "insufficient_evidence"
        z = 0.0
        for k in range(len(looks)):
            if outcome != "insufficient_evidence":
                raise PaymentError(
                    f"the look on {looks[k - 1].day} already answered {outcome.replace('_', ' ')}",
                    do="a sequential rule ends with its answer; register a new one",
                )
            z = self._z(looks[: k + 1], float(information[k]))
            if abs(z) >= limits[k]:
                outcome = "met" if z > 0 else "not_met"
        return SequentialAnswer(
            outcome=outcome,
            z=round(z, DIGITS),
            bound=limits[-1],
            fraction=min(float(information[-1]) / self.planned_information, 1.0),
            spent=spent[-1],
            looks_left=len(self.days) - len(looks),
        )

    def _registered(self, looks: Sequence[Look]) -> None:
        if not 0 < len(looks) <= len(self.days):
            raise PaymentError(f"{len(looks)} looks where {len(self.days)} are registered")
        limits = [*self.days[1:], date.max]
        for look, first, following in zip(looks, self.days, limits, strict=False):
            if not first <= look.day < following:
                raise PaymentError(
                    f"a look on {look.day} is not registered; one is due from {first}",
                    do="looks that were not registered have no error left to spend",
                )

    def _spent(self, information: Floats) -> list[float]:
        shares = [min(float(i) / self.planned_information, 1.0) for i in information]
        spent = [spending(self.alpha, t) for t in shares]
        if len(shares) == len(self.days):
            spent[-1] = self.alpha
        return spent

    def _z(self, looks: Sequence[Look], information: float) -> float:
        score = math.fsum((look.estimate - self.threshold) * look.information for look in looks)
        return (score if self.direction == "at_least" else -score) / math.sqrt(information)


def spending(alpha: float, fraction: float) -> float:
    """Return the error that may be used up to an information fraction, at most ``alpha``.

    Args:
      alpha: One-sided error over all looks.
      fraction: t, above 0, at most 1.
    """
    return float(2 * special.ndtr(special.ndtri(alpha / 2) / math.sqrt(fraction)))


def bounds(information: Sequence[float], spent: Sequence[float]) -> tuple[float, ...]:
    """Return the bound on |z| at each look, under independent increments of information.

    Args:
      information: Cumulative, above 0, increasing.
      spent: One-sided error used up to each look, not decreasing.

    Raises:
      PaymentError: information that does not increase.
    """
    found: list[float] = []
    before, used = 0.0, 0.0
    points, density = np.zeros(1), np.ones(1)
    for now, total in zip(information, spent, strict=True):
        step = now - before
        if not step > 0:
            raise PaymentError("a look that adds no information is none")
        new = total - used
        found.append(_bound(points, density, math.sqrt(step), math.sqrt(now), new))
        edge = found[-1] * math.sqrt(now)
        grid = np.linspace(-edge, edge, _POINTS)
        kernel = np.exp(-((grid[:, None] - points[None, :]) ** 2) / (2 * step)) / math.sqrt(
            2 * math.pi * step
        )
        points, density = grid, (kernel @ density) * _simpson(edge)
        before, used = now, total
    return tuple(found)


def _bound(points: Floats, density: Floats, step: float, scale: float, new: float) -> float:
    """Return the z at which the upper tail of score + increment is ``new``; weights are in ``density``."""

    def left(z: float) -> float:
        return float(density @ special.ndtr((points - z * scale) / step)) - new

    if new <= 0 or left(_LARGEST) > 0:
        return _LARGEST
    return float(optimize.brentq(left, -_LARGEST, _LARGEST, xtol=1e-10))


def _simpson(edge: float) -> Floats:
    weights = np.full(_POINTS, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return weights * (2 * edge / (_POINTS - 1)) / 3
