"""One patient's part in a doubly robust effect: influence values, their slopes, and weights for balance.

``phi_1 = m_1 + A (y - m_1) / e`` and ``phi_0 = m_0 + (1 - A)(y - m_0) / (1 - e)`` with outcome models m
linear in the covariates and kept on the outcome's range, and a logistic propensity e kept in [0.1, 0.9].
Their means are the means if everybody had been treated, and if nobody had (augmented inverse probability
weighting: Robins, Rotnitzky, Zhao. JASA 89 (1994) 846-866; Glynn, Quinn. Political Analysis 18 (2010) 36-56,
eq. 3). The slopes by each nuisance coefficient carry the noise of the coefficients to the effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.arms import Compared
from fedvalue.analyses.families import predictor

Array = NDArray[np.float64]
LEAST = 0.1
"""Smallest propensity, and one less the largest."""

OVERLAP_BINS = 10


@dataclass(frozen=True, slots=True)
class Nuisance:
    """Coefficients that the coordinator sends; any finite ones.

    Attributes:
      propensity: Of the log odds of treatment, shape ``(p,)``.
      treated: Of the outcome among treated, shape ``(p,)``.
      control: Among controls.
    """

    propensity: Array
    treated: Array
    control: Array


@dataclass(frozen=True, slots=True)
class Influence:
    """Some patients' parts; zeros where a patient does not count.

    Attributes:
      values: phi_1 and phi_0, kept within K, shape ``(n, 2)``.
      clipped: Where either was beyond K, shape ``(n,)``.
      slopes: d phi_1 by propensity and treated model, d phi_0 by propensity and control model, ``(n, 4 p)``.
      weight: Smallest propensity over the patient's own: at most 1, shape ``(n,)``.
      bin: Tenth of the propensity, shape ``(n,)``.
    """

    values: Array
    clipped: NDArray[np.bool_]
    slopes: Array
    weight: Array
    bin: NDArray[np.int64]


def influence(some: Compared, nuisance: Nuisance, largest: float, ends: tuple[float, float]) -> Influence:
    """Return the parts of some patients.

    Args:
      some: The patients.
      nuisance: Coefficients.
      largest: K, on the outcome's public range.
      ends: Smallest and largest value that a patient has.
    """
    x, a, y, counts = some.rows, some.treated, some.outcome, some.counts
    raw = 1 / (1 + np.exp(-predictor(x, nuisance.propensity)))
    e = np.clip(raw, LEAST, 1 - LEAST)
    steep = np.where((raw > LEAST) & (raw < 1 - LEAST), e * (1 - e), 0.0)
    values, slopes, beyond = [], [], np.zeros(len(a), dtype=bool)
    for took, chance, turn, coefficients in (
        (a, e, 1.0, nuisance.treated), (1 - a, 1 - e, -1.0, nuisance.control),
    ):  # fmt: skip
        free = predictor(x, coefficients)
        model = np.clip(free, *ends)
        residual = took * (y - model) / chance
        phi = model + residual
        inside = np.abs(phi) <= largest
        beyond |= ~inside & counts
        values.append(np.clip(phi, -largest, largest) * counts)
        moves = inside & (free > ends[0]) & (free < ends[1])
        slopes.append(x * (inside * -turn * residual / chance * steep)[:, None])
        slopes.append(x * (moves * (1 - took / chance))[:, None])
    own = np.where(a > 0, e, 1 - e)
    return Influence(
        np.column_stack(values), beyond, np.column_stack(slopes), LEAST / own * counts,
        np.clip(np.floor(raw * OVERLAP_BINS), 0, OVERLAP_BINS - 1).astype(np.int64),
    )  # fmt: skip
