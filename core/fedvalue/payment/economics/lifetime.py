"""From state occupancy over cycles to discounted lifetime cost and effect.

People change state within a cycle and a model looks only at its edges, so a total is a quadrature over
the edges 0, 1, ..., n. The rule is chosen by name and never by default:

* ``start`` and ``end``: everybody spends a cycle where they began or ended it (left and right Riemann sum);
* ``half``: the half-cycle correction, 1/2, 1, ..., 1, 1/2 (trapezoid);
* ``simpson``: 1/3 at both ends, and between them 4/3 and 2/3 in turn, from the last edge backwards. For an
  even number of cycles that is Simpson's rule; for an odd one it is what the DARTH tutorials print.

Elbasha, Chhatwal. Theoretical foundations and practical applications of within-cycle correction methods.
Medical Decision Making 36 (2016) 115-131.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.joint import Floats

WithinCycle = Literal["start", "end", "half", "simpson"]


@dataclass(frozen=True, slots=True)
class Accrual:
    """How states become cost and effect.

    Attributes:
      within_cycle: Quadrature over the edges.
      cycle_years: Length of a cycle in years, above 0.
      discount_cost: Yearly discount rate of cost, at least 0, below 1.
      discount_effect: Yearly discount rate of effect, likewise.
    """

    within_cycle: WithinCycle
    cycle_years: float
    discount_cost: float
    discount_effect: float

    def __post_init__(self) -> None:
        if not self.cycle_years > 0:
            raise PaymentError(f"a cycle of {self.cycle_years} years has no length")
        for rate in (self.discount_cost, self.discount_effect):
            if not 0 <= rate < 1:
                raise PaymentError(f"{rate} is no yearly discount rate", do="0.05 is five per cent")


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Discounted totals per person over the horizon.

    Attributes:
      cost: Money.
      effect: QALY, or another unit of effect.
    """

    cost: float
    effect: float


def weights(rule: WithinCycle, cycles: int) -> Floats:
    """Return the weight of each edge in cycles, shape ``(cycles + 1,)``, summing to about ``cycles``.

    Raises:
      PaymentError: no cycle, or fewer than two for ``simpson``.
    """
    if cycles < (2 if rule == "simpson" else 1):
        raise PaymentError(f"{cycles} cycles are too few for the rule {rule!r}")
    found = np.ones(cycles + 1)
    if rule == "start":
        found[-1] = 0.0
    elif rule == "end":
        found[0] = 0.0
    elif rule == "half":
        found[[0, -1]] = 0.5
    else:
        found[::-1][1::2], found[::-1][2::2] = 4 / 3, 2 / 3
        found[[0, -1]] = 1 / 3
    return found


def discounting(rate: float, cycles: int, cycle_years: float) -> Floats:
    """Return the present value of one unit at each edge, shape ``(cycles + 1,)``."""
    return np.asarray((1.0 + rate) ** -(np.arange(cycles + 1) * cycle_years), dtype=np.float64)


def accrue(occupancy: Floats, cost: Floats, effect: Floats, accrual: Accrual) -> Lifetime:
    """Return discounted lifetime cost and effect per person.

    Args:
      occupancy: Share of people in each state at each edge, shape ``(cycles + 1, states)``, rows sum to 1.
      cost: Money per cycle in each state, shape ``(states,)`` or, where it changes, ``(cycles + 1, states)``.
      effect: Effect per cycle in each state (utility times the length of a cycle), shaped likewise.
      accrual: Quadrature and discounting.

    Raises:
      PaymentError: shapes that do not fit, rows that do not sum to 1, or a value that is not finite.
    """
    checked_occupancy(occupancy)
    cycles = occupancy.shape[0] - 1
    weight = weights(accrual.within_cycle, cycles)

    def total(values: Floats, rate: float) -> float:
        if values.shape not in (occupancy.shape, occupancy.shape[1:]) or not np.isfinite(values).all():
            raise PaymentError(
                f"values of shape {values.shape} for an occupancy of shape {occupancy.shape}",
                do="give one finite value per state, or one per edge and state",
            )
        flow = (occupancy * values).sum(axis=1)
        return float((flow * weight * discounting(rate, cycles, accrual.cycle_years)).sum())

    return Lifetime(total(cost, accrual.discount_cost), total(effect, accrual.discount_effect))


def checked_occupancy(occupancy: Floats) -> None:
    """Refuse an occupancy that is no share of people.

    Raises:
      PaymentError: not two-dimensional, a share outside 0 to 1, or a row that does not sum to 1.
    """
    if occupancy.ndim != 2 or occupancy.shape[0] < 2:
        raise PaymentError("an occupancy has edges as rows and states as columns, and at least one cycle")
    if not ((occupancy > -1e-9) & (occupancy < 1 + 1e-9)).all():
        raise PaymentError("a share of people lies outside 0 to 1")
    if not np.allclose(occupancy.sum(axis=1), 1.0, rtol=0, atol=1e-9):
        raise PaymentError("the shares of people at an edge do not sum to 1")
