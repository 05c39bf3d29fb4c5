"""What a Cox model's noisy releases tell about its curvature, put together for the search.

Without noise it is the predicted curvature of the last round. Under noise the observed one of `hazard` is
used, which is several times less noisy and the same in every round, so that rounds are averaged; its part
that belongs to the hats alone follows from the events of the first release, whose noise is smaller still.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import hazard
from fedvalue.analyses.analysis import NoisySum
from fedvalue.analyses.design import unpacked
from fedvalue.analyses.hazard import HATS

Array = NDArray[np.float64]
FIRM = 1 / 4
"""Noise of one round over what is known of a drift, up to which it is estimated."""


@dataclass(frozen=True, slots=True)
class Curvature:
    """The curvature as known after some rounds.

    Attributes:
      events: ``sum d phi phi'`` of each stratum's released events, shape ``(groups, HATS, HATS)``.
      weighted: True where long rows count with less weight, and fewer events than those.
      columns: p.
      observed: Mean of the observed ones so far, packed.
      variance: Noise variance of each of its numbers; infinite before the first.
    """

    events: Array
    weighted: bool
    columns: int
    observed: Array
    variance: float = math.inf

    @classmethod
    def of(cls, hats: Array, events: Array, *, columns: int, weighted: bool) -> Curvature:
        """Return what the first release tells.

        Args:
          hats: phi by interval, shape ``(k, HATS)``.
          events: Released events by stratum and interval, shape ``(groups, k)``.
          columns: p.
          weighted: See the class.
        """
        own, shared = hazard.curvature_size(columns)
        by_hat = np.einsum("gk,ki,kj->gij", events, hats, hats)
        return cls(by_hat, weighted, columns, np.zeros(len(events) * own + shared))

    def drift(self, variance: float) -> tuple[Array, float]:
        """Return the drifts of the baselines that are estimated, and how large the noise along them is.

        Of the hats the polynomials up to a degree. Always a level and a slope that all strata share: an
        exposure that becomes more frequent with time would else be taken for a slope of the baseline. A level
        and a slope of each stratum, and then its curves, where one round's noise is at most `FIRM` of what is
        known of them. Without noise everything.

        Args:
          variance: Noise variance of each number of a round's score.

        Returns:
          Orthonormal columns, shape ``(groups HATS, m)``; noise of one round along the shared level and slope
          over what is known of them.
        """
        groups = len(self.events)
        if variance == 0:
            return np.eye(groups * HATS), 0.0
        polynomials = np.linalg.qr(np.vander(np.arange(HATS) - (HATS - 1) / 2, increasing=True))[0]

        def unsure(many: int, curvatures: Array) -> float:
            basis = polynomials[:, :many]
            least = min(float(np.linalg.eigvalsh(basis.T @ each @ basis)[0]) for each in curvatures)
            return math.sqrt(variance) / least if least > 0 else math.inf

        kept = max((many for many in range(2, HATS + 1) if unsure(many, self.events) <= FIRM), default=0)
        shared = unsure(2, self.events.sum(axis=0)[None]) * math.sqrt(groups)
        own = np.eye(groups) if kept else np.full((groups, 1), 1 / math.sqrt(groups))
        result: Array = np.kron(own, polynomials[:, : max(kept, 2)])
        return result, shared

    def told(self, released: NoisySum, *, exact: bool) -> tuple[Curvature, Array, float]:
        """Return what is known after one more round, the curvature to use, and its noise variance.

        Args:
          released: Blocks ``curvature`` (predicted) and ``observed``.
          exact: True without noise.
        """
        predicted, seen = released["curvature"], released["observed"]
        groups = len(self.events)
        if exact:
            return self, assembled(predicted.values, groups, self.columns), 0.0
        before = 0.0 if math.isinf(self.variance) else 1 / self.variance
        precision = before + 1 / seen.variance
        mean = (before * self.observed + seen.values / seen.variance) / precision
        known = Curvature(self.events, self.weighted, self.columns, mean, 1 / precision)
        matrix = assembled(mean, groups, self.columns)
        # hats add to 1, so that all of their part together is the number of weighted events
        hats, whole = matrix[: groups * HATS, : groups * HATS], float(self.events.sum())
        share = float(np.clip(hats.sum() / whole, 0.1, 1.0)) if self.weighted and whole > 0 else 1.0
        for g, own in enumerate(self.events):
            at = slice(g * HATS, (g + 1) * HATS)
            hats[at, at] = share * own
        return known, matrix, known.variance


def assembled(values: Array, groups: int, columns: int) -> Array:
    """Return the matrix that a released curvature stands for.

    Args:
      values: Each stratum's own numbers, then the shared ones: see `hazard.curvature_size`.
      groups: Strata.
      columns: p.

    Returns:
      Hats stratum by stratum, then covariates, shape ``(groups HATS + p, groups HATS + p)``.
    """
    own, _ = hazard.curvature_size(columns)
    size, hats = groups * HATS + columns, own - HATS * columns
    matrix = np.zeros((size, size))
    for g in range(groups):
        mine, at = values[g * own : (g + 1) * own], slice(g * HATS, (g + 1) * HATS)
        matrix[at, at] = unpacked(mine[:hats], HATS)
        matrix[at, groups * HATS :] = mine[hats:].reshape(HATS, columns) / math.sqrt(2.0)
        matrix[groups * HATS :, at] = matrix[at, groups * HATS :].T
    matrix[groups * HATS :, groups * HATS :] = unpacked(values[groups * own :], columns)
    return matrix
