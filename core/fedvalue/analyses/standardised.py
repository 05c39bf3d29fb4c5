"""Survival standardised over public strata: one life table a stratum, added up by the strata's sizes.

Where censoring or being observed depends on the strata alone, this is weighting by the inverse of its
probability with a saturated model (Robins, Rotnitzky, Zhao. JASA 90 (1995) 106-121; Hernan, Robins. Causal
Inference: What If. Chapman & Hall (2020), chapters 12 and 13), without weights that grow past any bound.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import life_table
from fedvalue.analyses.life_table import RiskTable, SurvivalEstimate

Array = NDArray[np.float64]
Part = tuple[float, float, float]
"""Value, sampling variance and privacy variance of one stratum."""


def whole_curve(table: RiskTable, *, exact: bool) -> SurvivalEstimate | None:
    """Return the curve of a stratum up to the horizon; None where it is empty or the noise ends it before."""
    k = len(table.edges) - 1
    if float(table.at_risk.max()) <= 0:
        return None
    if not exact and life_table.reach(table) < k:
        return None
    curve = life_table.estimate(table, k)
    alive = np.concatenate([[0.0], curve.log_survival[:-1]]) > -np.inf
    unseen = (table.exposed <= 0) & alive
    return None if exact and unseen.any() else curve


def survival_at(curve: SurvivalEstimate, day: float) -> Part:
    """Return survival at a day in [0, horizon] with its variances."""
    i = int(np.searchsorted(curve.days, day + 1e-9, side="right")) - 1
    if i < 0:
        return 1.0, 0.0, 0.0
    value = float(np.exp(curve.log_survival[i]))
    return value, value**2 * float(curve.sampling[i]), value**2 * float(curve.noise[i, i])


def standardised(weight: Array, parts: Array, many: float, spread: float) -> Part:
    """Return the mean over strata with its variances.

    Args:
      weight: Share of each stratum, shape ``(s,)``.
      parts: Value, sampling and privacy variance of each, shape ``(s, 3)``.
      many: One over the patients.
      spread: Noise variance of a stratum's size over the squared number of patients.
    """
    value = float(weight @ parts[:, 0])
    apart = parts[:, 0] - value
    sampling = float(weight**2 @ parts[:, 1]) + many * float(weight @ apart**2)
    privacy = float(weight**2 @ parts[:, 2]) + spread * float(apart @ apart)
    return value, max(sampling, 0.0), max(privacy, 0.0)
