"""A Markov cohort model: where people are, cycle by cycle.

x_{t+1} = x_t P_t. The transition matrix may change from cycle to cycle (ageing, a treatment that ends);
memory longer than a cycle needs more states. Rates become probabilities over a cycle by p = 1 - exp(-r),
competing ones conditionally: who survives the cycle may then move. Costs and effects are accrued in
`lifetime`.

Briggs, Claxton, Sculpher. Decision Modelling for Health Economic Evaluation (2006), chapter 2;
Alarid-Escudero et al. An introductory tutorial on cohort state-transition models in R. Medical Decision
Making 43 (2023) 3-20 (acceptance test T1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.joint import Floats
from fedvalue.payment.economics.lifetime import Accrual, Lifetime, accrue


@dataclass(frozen=True, slots=True)
class Markov:
    """A cohort model.

    Attributes:
      states: Names, each once.
      start: Share of people in each state at the first edge, shape ``(states,)``, summing to 1.
      transitions: Probability of going from row to column in a cycle, shape ``(states, states)``, or
        ``(cycles, states, states)`` where it changes.
      cycles: Number of cycles, at least 1.
    """

    states: tuple[str, ...]
    start: Floats
    transitions: Floats
    cycles: int

    def __post_init__(self) -> None:
        s = len(self.states)
        if len(set(self.states)) != s or self.start.shape != (s,) or self.cycles < 1:
            raise PaymentError("a cohort model has named states, a share of people in each, and cycles")
        if self.transitions.shape not in ((s, s), (self.cycles, s, s)):
            raise PaymentError(
                f"transitions of shape {self.transitions.shape} for {s} states and {self.cycles} cycles"
            )
        if not ((self.transitions >= 0) & (self.transitions <= 1)).all():
            raise PaymentError("a transition probability lies outside 0 to 1")
        if not np.allclose(self.transitions.sum(axis=-1), 1.0, rtol=0, atol=1e-9):
            raise PaymentError(
                "the transition probabilities out of a state do not sum to 1",
                do="staying in a state is a transition too",
            )
        if (self.start < 0).any() or not math.isclose(float(self.start.sum()), 1.0, abs_tol=1e-9):
            raise PaymentError("the shares of people at the start do not sum to 1")


def trace(model: Markov) -> Floats:
    """Return the share of people in each state at each edge, shape ``(cycles + 1, states)``."""
    found = np.empty((model.cycles + 1, len(model.states)))
    found[0] = model.start
    for cycle in range(model.cycles):
        step = model.transitions if model.transitions.ndim == 2 else model.transitions[cycle]
        found[cycle + 1] = found[cycle] @ step
    return found


def lifetime(model: Markov, cost: Floats, effect: Floats, accrual: Accrual) -> Lifetime:
    """Return discounted lifetime cost and effect per person.

    Args:
      model: The cohort model.
      cost: Money per cycle in each state, shape ``(states,)`` or ``(cycles + 1, states)``.
      effect: Effect per cycle in each state, shaped likewise.
      accrual: Quadrature and discounting.

    Raises:
      PaymentError: as in `accrue`.
    """
    return accrue(trace(model), cost, effect, accrual)


def probability(rate: float, cycles: float = 1.0) -> float:
    """Return the probability of an event over ``cycles`` at a constant rate: 1 - exp(-rate cycles).

    Raises:
      PaymentError: a negative rate or time.
    """
    if not rate >= 0 or not cycles >= 0:
        raise PaymentError(f"a rate of {rate} over {cycles} cycles gives no probability")
    return -math.expm1(-rate * cycles)


def from_counts(counts: Floats) -> Floats:
    """Return transition probabilities from counts of moves, row by row, shape ``(states, states)``.

    Args:
      counts: Moves from row to column, at least 0. A row without any move is refused, not taken as staying.

    Raises:
      PaymentError: no square of counts, a negative one, or a state that nobody was seen in.
    """
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or (counts < 0).any():
        raise PaymentError("moves between states are a square of counts at or above 0")
    rows = counts.sum(axis=1, keepdims=True)
    if (rows == 0).any():
        raise PaymentError("nobody was seen in a state, so what follows from it is not known")
    return np.asarray(counts / rows, dtype=np.float64)


def with_relative_risk(transitions: Floats, relative_risk: float) -> Floats:
    """Return transitions whose moves to a worse (later) state are multiplied, the rest staying or improving.

    States stand from best to worst. Every probability right of the diagonal is multiplied and the diagonal
    takes what is left, as Chancellor et al. (1997) do for a drug that slows progression.

    Args:
      transitions: Shape ``(states, states)``.
      relative_risk: At least 0.

    Raises:
      PaymentError: a negative relative risk, or a row that would leave less than nothing to stay.
    """
    if not relative_risk >= 0:
        raise PaymentError(f"{relative_risk} is no relative risk")
    worse = np.triu(transitions, 1) * relative_risk
    better = np.tril(transitions, -1)
    stay = 1.0 - worse.sum(axis=1) - better.sum(axis=1)
    if (stay < -1e-12).any():
        raise PaymentError(f"a relative risk of {relative_risk} makes a probability above 1")
    return np.asarray(better + worse + np.diag(np.maximum(stay, 0.0)), dtype=np.float64)
