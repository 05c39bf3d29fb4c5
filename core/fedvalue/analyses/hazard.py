"""One patient's part of a hazard model's score and curvature, along a public baseline hazard.

The baseline of each stratum is public: hazards by interval, from earlier releases. The model multiplies it by
``exp(x b)`` and by ``exp(phi(t) a)`` with hat functions phi over public knots, so an error in the baseline's
level or drift is estimated, not believed. For hats phi, covariates x and ``z = (phi, x)`` a patient adds
``z(event) - integral z exp(x b) dH0`` to the score and ``integral z z' exp(x b) dH0`` to the curvature: the
Poisson form of the proportional hazards likelihood. Maximized over a baseline that is free in each interval
it is Breslow's partial likelihood.

A patient is followed until the predicted cumulative hazard reaches K. The model knows that time before it
comes, so the score keeps its mean of 0, and its length is at most ``sqrt(1 + K^2 (1 + |x|^2))``: hats are
above 0 and add to 1.

Holford, T. R. The analysis of rates and of survivorship using log-linear models. Biometrics 36 (1980)
299-305. Breslow, N. Covariance analysis of censored survival data. Biometrics 30 (1974) 89-99. The hats and
the stop at K are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.design import packed, packed_size
from fedvalue.analyses.families import predictor
from fedvalue.analyses.follow_up import FollowUp

Array = NDArray[np.float64]
HATS = 4
MOST_RISK = 32.0
"""Largest ``exp(x b)`` that counts in a weighted number at risk."""
_FAR = 30.0
_STEEPEST = 1e4
"""Largest hazard of an interval; any released one is far below."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Public baseline of one stratum, ready to integrate.

    Attributes:
      hats: phi at the middle of each interval, shape ``(k, HATS)``.
      totals: Integrals from 0 to each edge of 1, of phi and of packed phi phi': shape ``(k + 1, ...)``.
    """

    hats: Array
    totals: Array

    @classmethod
    def of(cls, hazards: Array, knots: Array) -> Baseline:
        """Return the baseline for whatever finite numbers a coordinator sends.

        Args:
          hazards: By interval, shape ``(k,)``; brought between 0 and `_STEEPEST`.
          knots: Positions of the hats' peaks, shape ``(HATS,)``; brought into increasing order.
        """
        k = len(hazards)
        safe = np.clip(hazards, 0.0, _STEEPEST)
        peaks = np.maximum.accumulate(np.clip(knots, 0.0, k)) + 1e-6 * np.arange(HATS)
        middles = np.arange(k) + 0.5
        hats = np.column_stack([np.interp(middles, peaks, row) for row in np.eye(HATS)])
        rows = np.column_stack((np.ones(k), hats, packed(hats, np.ones(k)))) * safe[:, None]
        return cls(hats, np.concatenate([np.zeros((1, rows.shape[1])), rows.cumsum(axis=0)]))

    def until(self, position: Array) -> Array:
        """Return the integrals from 0 to some positions, shape ``(n, ...)``."""
        k = len(self.hats)
        whole = np.clip(np.floor(position), 0, k - 1).astype(np.int64)
        share = np.clip(position - whole, 0.0, 1.0)[:, None]
        below: Array = self.totals[whole]
        return below + share * (self.totals[whole + 1] - below)

    def reached(self, start: Array, hazard: Array) -> Array:
        """Return where the integral from ``start`` reaches ``hazard``; the horizon where it does not."""
        one = self.totals[:, 0]
        aim = self.until(start)[:, 0] + hazard
        found: Array = np.interp(aim, one, np.arange(len(one), dtype=np.float64))
        return np.where(aim >= one[-1], float(len(self.hats)), found)


def curvature_size(columns: int) -> tuple[int, int]:
    """Return how many numbers of the curvature are a stratum's own, and how many are shared."""
    return packed_size(HATS) + HATS * columns, packed_size(columns)


@dataclass(frozen=True, slots=True)
class Spell:
    """A stretch of patients' follow-up with constant covariates.

    Attributes:
      start: Positions, shape ``(n,)``.
      end: Positions, at least ``start``: the end of the stretch, or where K was reached.
      covariates: Shape ``(n, p)``.
      risk: ``exp(x b)``, shape ``(n,)``.
      sums: Integrals over the stretch, times ``risk``, as `Baseline.totals` has them.
      event: Whether the event fell in it, shape ``(n,)``.
    """

    start: Array
    end: Array
    covariates: Array
    risk: Array
    sums: Array
    event: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Followed:
    """Patients of one stratum who all count.

    Attributes:
      time: When they are followed.
      exposed: Position from which they are exposed, shape ``(n,)``; None where the model has no exposure.
      covariates: Without the exposure, shape ``(n, p)``.
    """

    time: FollowUp
    exposed: Array | None
    covariates: Array


def spells(baseline: Baseline, who: Followed, coefficients: Array, largest: float) -> list[Spell]:
    """Return the stretches before and after exposure, up to a predicted cumulative hazard of ``largest``."""
    time, n = who.time, len(who.time.start)
    left = np.full(n, largest)
    pieces = [(time.start, time.stop, who.covariates)]
    if who.exposed is not None:
        split = np.clip(who.exposed, time.start, time.stop)
        before, after = (np.column_stack((who.covariates, np.full(n, on))) for on in (0.0, 1.0))
        pieces = [(time.start, split, before), (split, time.stop, after)]
    found: list[Spell] = []
    for number, (start, stop, x) in enumerate(pieces):
        risk = np.exp(np.clip(predictor(x, coefficients), -_FAR, _FAR))
        end = np.maximum(np.minimum(stop, baseline.reached(start, left / risk)), start)
        sums = (baseline.until(end) - baseline.until(start)) * risk[:, None]
        left = np.maximum(left - sums[:, 0], 0.0)
        # the event belongs to the stretch in which follow-up ends, if K was not reached before
        holds = (stop > start) if number == len(pieces) - 1 else (stop >= time.stop)
        found.append(Spell(start, end, x, risk, sums, (time.event >= 0) & holds & (end >= stop)))
    return found


def score_rows(baseline: Baseline, event: NDArray[np.int64], parts: list[Spell]) -> Array:
    """Return the score ``(hats, covariates)`` of patients of one stratum, shape ``(n, HATS + p)``.

    Args:
      baseline: Of their stratum.
      event: Interval of the event, -1 for none, shape ``(n,)``.
      parts: Their spells.
    """
    hats = baseline.hats[np.maximum(event, 0)]
    score = np.zeros((len(event), HATS + parts[0].covariates.shape[1]))
    for part in parts:
        score[:, :HATS] += np.where(part.event[:, None], hats, 0.0) - part.sums[:, 1 : 1 + HATS]
        score[:, HATS:] += part.covariates * (part.event - part.sums[:, 0])[:, None]
    return score


def curvature_rows(parts: list[Spell]) -> Array:
    """Return packed hats, hats x covariates times the square root of 2, and packed covariates, by patient."""
    n, columns = parts[0].covariates.shape
    curvature = np.zeros((n, sum(curvature_size(columns))))
    for part in parts:
        x, by_hat = part.covariates, part.sums[:, 1 : 1 + HATS]
        cross = (by_hat[:, :, None] * x[:, None, :]).reshape(n, HATS * columns) * np.sqrt(2.0)
        curvature += np.column_stack((part.sums[:, 1 + HATS :], cross, packed(x, part.sums[:, 0])))
    return curvature


def observed_rows(baseline: Baseline, event: NDArray[np.int64], parts: list[Spell]) -> Array:
    """Return what `curvature_rows` does with ``z z'`` at the event in place of its integral, by patient.

    Where the model holds both have the same mean, at any coefficients: an event is expected as often as the
    integral says (the compensator of a counting process). This one is at most ``1 + |x|^2`` long, not K times
    that.

    Args:
      baseline: Of their stratum.
      event: Interval of the event, -1 for none, shape ``(n,)``.
      parts: Their spells.
    """
    hats = baseline.hats[np.maximum(event, 0)]
    n, columns = parts[0].covariates.shape
    observed = np.zeros((n, sum(curvature_size(columns))))
    for part in parts:
        x, one = part.covariates, part.event.astype(np.float64)
        cross = (hats[:, :, None] * x[:, None, :]).reshape(n, HATS * columns) * np.sqrt(2.0)
        observed += np.column_stack((packed(hats, one), cross * one[:, None], packed(x, one)))
    return observed


def weighted_steps(parts: list[Spell], weights: Array, intervals: int, levels: int) -> NDArray[np.int64]:
    """Return steps whose running sums are patients' time in each interval times their risk, in whole levels.

    Args:
      parts: Spells of patients of one stratum.
      weights: Between 0 and 1, shape ``(n,)``.
      intervals: k.
      levels: What `MOST_RISK` is worth; a patient's steps up add to at most that, and so do those down.

    Returns:
      Shape ``(k + 1,)``.
    """
    steps = np.zeros(intervals + 2, dtype=np.int64)
    for part in parts:
        whole = np.rint(np.minimum(part.risk * weights, MOST_RISK) / MOST_RISK * levels).astype(np.int64)
        for position, sign in ((part.start, 1), (part.end, -1)):
            at = np.clip(np.floor(position), 0, intervals).astype(np.int64)
            later = np.rint(whole * np.clip(position - at, 0.0, 1.0)).astype(np.int64)
            np.add.at(steps, at, sign * (whole - later))
            np.add.at(steps, at + 1, sign * later)
    return steps[: intervals + 1]
