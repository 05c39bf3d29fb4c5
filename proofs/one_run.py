"""A lower bound on epsilon from a single training: how many canaries an attacker tells from absent ones.

Each of m made-up patients (canaries) is in the training with probability one half, all drawn apart. The
attacker sees what the training releases, names some of them as in and some as out, and abstains on the rest.
A training that is (epsilon, delta)-private cannot be found out often: so many guesses right or more happen
at most as often as `p_value` says. The largest epsilon for which that is below 5 % is refuted, and with it
everything smaller: a lower bound at 95 % confidence, with no assumption on training or attack.

Steinke, T., Nasr, M., Jagielski, M. Privacy auditing with one (1) training run. NeurIPS 2023, theorem 5.2
with the program of its appendix D. The largest bound that r guesses can give at all, `ceiling`, is where all
are right: ``q^r = .05`` with ``q = e^epsilon / (1 + e^epsilon)``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
MOST = 30.0
"""Beyond this epsilon no bound is looked for."""

Array = NDArray[np.float64]


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Return an upper bound on the probability of so many right guesses or more, 0 to 1.

    ``P[B >= v] + 2 m delta max_i P[v > B >= v - i] / i`` with B binomial of r guesses, each right with
    probability ``e^epsilon / (1 + e^epsilon)``.

    Args:
      canaries: m, in and out together.
      guesses: r, how many were not abstained on, at most m.
      right: v, at most r.
      epsilon: That is to be refuted, at least 0.
      delta: Of it.

    Raises:
      ValueError: more right than guessed, or more guessed than there are.
    """
    if not 0 <= right <= guesses <= canaries:
        raise ValueError(f"{right} right of {guesses} guesses of {canaries} canaries cannot be")
    q = 1 / (1 + math.exp(-epsilon))
    tail = float(stats.binom.sf(right - 1, guesses, q))
    if not right:
        return 1.0
    steps = np.arange(1, right + 1)
    below = np.cumsum(stats.binom.pmf(right - steps, guesses, q))
    return min(1.0, tail + 2 * canaries * delta * float((below / steps).max()))


def lower_bound(
    canaries: int, guesses: int, right: int, delta: float, confidence: float = CONFIDENCE
) -> float:
    """Return the largest epsilon that the guesses refute; 0 where they refute none.

    Args:
      canaries: m.
      guesses: r.
      right: v.
      delta: Of the promise.
      confidence: Of the bound, 0 to 1.

    Raises:
      ValueError: as in `p_value`.
    """
    level = 1 - confidence
    if p_value(canaries, guesses, right, 0.0, delta) > level:
        return 0.0
    low, high = 0.0, MOST
    for _ in range(40):
        middle = (low + high) / 2
        if p_value(canaries, guesses, right, middle, delta) > level:
            high = middle
        else:
            low = middle
    return low


def ceiling(canaries: int, guesses: int, delta: float) -> float:
    """Return the bound where every guess is right: no audit of so many guesses can show more."""
    return lower_bound(canaries, guesses, guesses, delta)


def right_guesses(scores: Array, present: NDArray[np.bool_], each: int) -> int:
    """Name the ``each`` highest scores as in and the ``each`` lowest as out; return how many are right.

    Args:
      scores: Of the canaries, the higher the more likely in, shape ``(m,)``.
      present: Who was in, shape ``(m,)``.
      each: How many to name on each side, at most m / 2.
    """
    order = np.argsort(scores, kind="stable")
    return int(present[order[len(order) - each :]].sum()) + int((~present[order[:each]]).sum())


def advantage_allowed(epsilon: float, delta: float) -> float:
    """Return the largest right-in less wrong-in rate of any test against a promise, 0 to 1.

    ``(e^epsilon - 1 + 2 delta) / (e^epsilon + 1)`` (Kairouz, Oh, Viswanath, The composition theorem for
    differential privacy, ICML 2015, section 3).
    """
    return min(1.0, math.tanh(epsilon / 2) + 2 * delta / (1 + math.exp(epsilon)))


def separation(members: Array, strangers: Array) -> tuple[float, float, float]:
    """Return the AUC of losses as a test of membership, and its 95 % interval.

    Args:
      members: Losses of patients of the training, shape ``(n,)``; smaller ones speak for membership.
      strangers: Losses of fresh patients, shape ``(k,)``.

    Returns:
      AUC, lower end, upper end: Hanley, McNeil, Radiology 143 (1982) 29-36.
    """
    n, k = len(members), len(strangers)
    ranks = stats.rankdata(np.concatenate([-members, -strangers]))
    area = (float(ranks[:n].sum()) - n * (n + 1) / 2) / (n * k)
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (n - 1) * (one - area**2) + (k - 1) * (two - area**2)) / (n * k)
    reach = 1.959964 * math.sqrt(max(variance, 0.0))
    return area, area - reach, area + reach
