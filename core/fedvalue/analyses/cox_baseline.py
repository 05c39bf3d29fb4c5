"""The public baseline hazards of a Cox model, from the risk tables of its first release.

Under noise a baseline is constant over stretches of time between which equal shares of the events fall, as
many as noise lets be told apart: sums over a stretch are hardly noisy, and their quotient is not drawn
towards anything. What is left of it between stretches is fitted as the drift of `cox_information`. Without
noise every interval has its own hazard, taken anew from time at risk weighted by risk.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import hazard, prefix
from fedvalue.analyses.analysis import NoisyBlock
from fedvalue.analyses.hazard import HATS
from fedvalue.analyses.life_table import RiskTable

Array = NDArray[np.float64]
PIECES = 12
"""Most stretches of time with one baseline hazard each, under noise."""
FIRM = 1 / 5
"""Noise of a stretch's events, or of its time at risk, over what it is."""


def levels_of(gamma: Fraction) -> tuple[int, Fraction]:
    """Split a scale into levels of a patient's weight, with two thirds of its bits, and the scale of one."""
    levels = 1 << (2 * int(gamma).bit_length() // 3)
    return levels, gamma / levels * Fraction(hazard.MOST_RISK)


def unsure(tables: list[RiskTable]) -> float:
    """Return the largest noise of the events of a stratum over the events, infinite where there are none.

    Past `FIRM` not even one hazard for all time is told of that stratum, and what its baseline is taken for
    wrongly would move the coefficients by more than their intervals say.
    """
    return max(
        math.sqrt(float((table.events_noise.sum(axis=0) ** 2).sum())) / events if events > 0 else math.inf
        for table, events in ((table, float(table.events.sum())) for table in tables)
    )


def drift_covariance(table: RiskTable, hazards: Array, shapes: Array) -> Array:
    """Return the noise covariance of a stratum's drift, the logarithm of its true hazards over those taken.

    Args:
      table: What they were taken from.
      hazards: By interval, shape ``(k,)``.
      shapes: Of the drift, by interval, shape ``(k, m)``: its level, its slope.

    Returns:
      Shape ``(m, m)``; of the first shape alone where the events do not tell the others from nothing.
    """
    by_risk, by_events = table.exposed_noise
    of_events = shapes.T @ (table.events_noise - hazards[:, None] * by_events)
    of_risk = shapes.T @ (hazards[:, None] * by_risk)
    errors = of_events @ of_events.T + of_risk @ of_risk.T
    known = shapes.T @ (shapes * table.events[:, None])
    found = np.zeros_like(known)
    many = len(known) if float(np.linalg.eigvalsh(known)[0]) > 0 else 1
    inverse = np.linalg.pinv(known[:many, :many])
    found[:many, :many] = inverse @ errors[:many, :many] @ inverse.T
    return found


def refreshed(block: NoisyBlock, tables: list[RiskTable]) -> Array:
    """Hazards from the numbers at risk weighted by risk, without noise."""
    levels, gamma = levels_of(block.gamma)
    weighted = []
    for row in block.total.reshape(len(tables), -1):
        steps = prefix.decode(row, gamma) * hazard.MOST_RISK / levels
        weighted.append(np.cumsum(steps)[:-1])
    return np.array([hazards_of(t, exact=True, exposed=row) for t, row in zip(tables, weighted, strict=True)])


def hazards_of(table: RiskTable, *, exact: bool, exposed: Array | None = None) -> Array:
    """Hazards by interval; under noise those of `PIECES` or fewer stretches of time, each told from noise."""
    exposed = table.exposed if exposed is None else exposed
    working = exposed > (0 if exact else max(1.0, 0.02 * float(exposed.max(initial=0.0))))
    hazards = np.where(working, table.events / np.where(working, exposed, 1.0), 0.0)
    if exact:
        return np.maximum(hazards, 0.0)
    from scipy.optimize import isotonic_regression  # every process of a site would pay for its import

    rising = np.diff(isotonic_regression(hazards.cumsum()).x, prepend=0.0)
    expected = (np.maximum(rising, 0.0) * np.maximum(exposed, 0.0)).cumsum()
    told = np.zeros(len(exposed))
    for pieces in range(PIECES, 0, -1):
        inner = np.searchsorted(expected, expected[-1] * np.arange(1, pieces) / pieces)
        ends = np.unique(np.concatenate([[0], inner + 1, [len(expected)]]))
        happened, at_risk = (np.add.reduceat(v, ends[:-1]) for v in (table.events, exposed))
        if pieces == 1 or _firm(table, ends, happened, at_risk):
            told = np.repeat(np.maximum(happened, 0.0) / np.maximum(at_risk, 1.0), np.diff(ends))
            break
    return told


def _firm(table: RiskTable, ends: NDArray[np.intp], happened: Array, at_risk: Array) -> bool:
    """Tell whether no stretch's events or time at risk are known worse than `FIRM`."""
    by_risk, by_events = table.exposed_noise
    of_events = np.add.reduceat(table.events_noise, ends[:-1])
    of_risk = np.concatenate([np.add.reduceat(v, ends[:-1]) for v in (by_risk, by_events)], axis=1)
    return bool(
        (np.sqrt((of_events**2).sum(axis=1)) <= FIRM * happened).all()
        and (np.sqrt((of_risk**2).sum(axis=1)) <= FIRM * at_risk).all()
    )


def knots_of(hazards: Array, tables: list[RiskTable]) -> Array:
    """Positions between which equal shares of the expected events fall."""
    exposed = np.maximum([table.exposed for table in tables], 0.0)
    expected = (hazards * exposed).sum(axis=0).cumsum()
    k = len(expected)
    if expected[-1] <= 0:
        return np.linspace(0.0, k, HATS)
    shares = np.concatenate([[0.0], expected]) / expected[-1]
    return np.interp(np.linspace(0.0, 1.0, HATS), shares, np.arange(k + 1, dtype=np.float64))
