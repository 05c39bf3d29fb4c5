"""What a rule will answer: its critical counts, its power, and the assurance of a planned study.

Deciding between theta above and below tau rests on the contrast (1 - tau) successes - tau others, whose
noise variance is (1 - tau)^2 v_success + tau^2 v_other. With n known and noise of that variance on the
successes the contrast is the same, so planning uses that simpler case (our derivation; the decision itself
never does).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from fedvalue.analyses.estimate import Released
from fedvalue.payment.outcome_linked import Counts, Floats, Posterior, Prior, posterior_of_known_total
from fedvalue.payment.rules import DecisionRule, Direction, read

_SEARCH = 32
"""Halvings of the search for a critical count: to a thousandth of a patient or better."""

_THETAS = 41
"""Equally probable values of theta that an assurance averages over."""


@dataclass(frozen=True, slots=True)
class Rulebook:
    """A rule at work on one threshold.

    Attributes:
      rule: The rule.
      threshold: tau, between 0 and 1.
      direction: On which side of it the standard is met.
      prior: Prior of theta.
    """

    rule: DecisionRule
    threshold: float
    direction: Direction
    prior: Prior

    def noise_variance(self, counts: Counts) -> float:
        """Return the noise variance of the contrast that decides, in patients squared."""
        tau = self.threshold
        return (1 - tau) ** 2 * counts.success.noise_variance + tau**2 * counts.other.noise_variance


@dataclass(frozen=True, slots=True)
class Critical:
    """Where the answer turns, in released successes.

    Attributes:
      high: At and above it the answer is the one of a high theta, or None if no count gives it.
      low: At and below it the answer is the one of a low theta, or None if no count gives it.
    """

    high: float | None
    low: float | None


def critical(book: Rulebook, patients: int, noise_variance: float) -> Critical:
    """Find the released successes among ``patients`` at which the answer turns.

    Args:
      book: The rule at work.
      patients: n, at least 1.
      noise_variance: Of the released successes, in patients squared.
    """
    reach = 8 * math.sqrt(noise_variance) + 1

    def answers_high(released: float, *, high: bool) -> bool:
        posterior = posterior_of_known_total(
            Released(value=released, noise_variance=noise_variance), patients, book.prior
        )
        outcome = book.rule.answer(read(posterior, book.threshold, book.direction))
        return outcome == ("met" if high == (book.direction == "at_least") else "not_met")

    def turn(*, high: bool) -> float | None:
        inside, outside = (patients + reach, -reach) if high else (-reach, patients + reach)
        if not answers_high(inside, high=high):
            return None
        for _ in range(_SEARCH):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if answers_high(middle, high=high) else (inside, middle)
        return inside

    return Critical(turn(high=True), turn(high=False))


def answer_probabilities(
    found: Critical, theta: float, patients: int, noise_variance: float
) -> tuple[float, float]:
    """Return the probabilities of the high and of the low answer when theta is the truth.

    Args:
      found: From `critical`, at the same patients and noise.
      theta: Between 0 and 1.
      patients: n.
      noise_variance: Of the released successes.
    """
    spread = 9 * math.sqrt(patients * theta * (1 - theta)) + 1
    low = max(0, math.floor(patients * theta - spread))
    true = np.arange(low, min(patients, math.ceil(patients * theta + spread)) + 1, dtype=np.float64)
    weight = _binomial(true, patients, theta)

    def beyond(distance: Floats) -> float:
        if noise_variance == 0:
            # A released count without noise is a whole number; the turn lies half-way between two.
            return float(weight @ (distance >= 0))
        return float(weight @ special.ndtr(distance / math.sqrt(noise_variance)))

    high = 0.0 if found.high is None else beyond(true - found.high)
    low_answer = 0.0 if found.low is None else beyond(found.low - true)
    return min(high, 1.0), min(low_answer, 1.0)


def _binomial(successes: Floats, patients: int, theta: float) -> Floats:
    """Return P(successes) among ``patients``; scipy.stats has it too and takes half a second to import."""
    others = patients - successes
    choose = special.gammaln(patients + 1) - special.gammaln(successes + 1) - special.gammaln(others + 1)
    return np.exp(choose + special.xlogy(successes, theta) + special.xlog1py(others, -theta))


def probability_met(book: Rulebook, theta: float, patients: int, noise_variance: float) -> float:
    """Return the probability of "met" when theta is the truth, between 0 and 1."""
    high, low = answer_probabilities(
        critical(book, patients, noise_variance), theta, patients, noise_variance
    )
    return high if book.direction == "at_least" else low


def assurance(book: Rulebook, believed: Posterior, patients: int, noise_variance: float) -> float:
    """Return the probability, over what is believed of theta, that a study answers met or not met.

    The belief is taken as the Beta distribution with the posterior's mean and variance.

    Args:
      book: The rule at work.
      believed: What is known of theta today.
      patients: n of the planned study.
      noise_variance: Of its released successes, see `Rulebook.noise_variance`.
    """
    mean = believed.mean
    variance = believed.sampling_variance + believed.privacy_variance
    size = max(mean * (1 - mean) / variance - 1, 1e-3)
    at = (np.arange(_THETAS) + 0.5) / _THETAS
    thetas = np.clip(special.betaincinv(mean * size, (1 - mean) * size, at), 1e-9, 1 - 1e-9)
    found = critical(book, patients, noise_variance)
    return float(
        np.mean([sum(answer_probabilities(found, float(t), patients, noise_variance)) for t in thetas])
    )


def patients_needed(
    book: Rulebook,
    believed: Posterior,
    *,
    from_patients: int,
    noise_variance: float,
    wanted: float,
    at_most: int,
) -> tuple[int, float] | None:
    """Return the smallest number of patients with an assurance of at least ``wanted``, and that assurance.

    Args:
      book: The rule at work.
      believed: What is known of theta today.
      from_patients: Patients today; fewer are not looked at.
      noise_variance: Of the released successes.
      wanted: Assurance asked for, between 0 and 1.
      at_most: Largest number looked at; None is returned past it.
    """
    few = max(from_patients, 1)
    if (reached := assurance(book, believed, few, noise_variance)) >= wanted:
        return few, reached
    many = few
    while reached < wanted:
        if many >= at_most:
            return None
        few, many = many, min(2 * many, at_most)
        reached = assurance(book, believed, many, noise_variance)
    while many - few > max(1, few // 100):
        middle = (few + many) // 2
        now = assurance(book, believed, middle, noise_variance)
        few, many, reached = (few, middle, now) if now >= wanted else (middle, many, reached)
    return many, reached
