"""One made-up study of five hospitals for the rows that ask what privacy costs an answer.

5 sites, 2,000 patients each. Noise is that of a private sum: at five sites one may collude and one may fail,
so the price counts on 3 honest shares, and all 5 answer. "Noise at each site" is what a Flower user gets from
differential privacy without secure aggregation: every site's noise protects its patients alone, so the price
counts on 1. One person is a patient of one site (declared disjoint).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Analysis, Ask, NoisyBlock, NoisySum, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion
from fedvalue.planning.plan import EXACT_GAMMA
from fedvalue.privacy.accounting import rho_units_for
from fedvalue.privacy.release import LOG2_SCALE, Block, scales

SITES = 5
PATIENTS = 2_000
HONEST = 3
DELTA = 1e-6
MIN_PATIENTS = 50


def concluded(
    analysis: Analysis,
    sites: list[Cohort],
    epsilon: float | None,
    honest_shares: int,
    rng: np.random.Generator,
) -> Conclusion:
    """Conclude an analysis that has the whole budget, its rounds in equal parts.

    Args:
      analysis: The analysis.
      sites: Their patients.
      epsilon: Of the study at `DELTA`; None for no noise.
      honest_shares: Noise shares that the price counts on: `HONEST`, or 1 for noise at each site.
      rng: Draws rounded Gaussian noise; the discrete one has tests of its own.
    """
    whole = rho_units_for(epsilon or 1.0, DELTA)
    rounds = len(analysis.rounds())

    def sum_of(ask: Ask) -> NoisySum:
        if epsilon is None:
            scaling = {block.name: EXACT_GAMMA for block in ask.blocks}
        else:
            priced = tuple(
                Block(b.name, b.dimension, b.bound_squared, b.counting, int(whole * weight / rounds))
                for b, weight in zip(ask.blocks, ask.weights, strict=True)
            )
            found = scales(priced, honest_shares=honest_shares, sites_per_patient=1)
            scaling = dict(zip((b.name for b in priced), found.gammas, strict=True))
        parts = [analysis.contribution(site, ask, scaling) for site in sites]
        variance = 0.0 if epsilon is None else len(sites) * 4.0**LOG2_SCALE
        return {
            b.name: NoisyBlock(
                np.sum([part[b.name] for part in parts], axis=0) + _noise(b.dimension, variance, rng),
                scaling[b.name],
                variance,
            )
            for b in ask.blocks
        }

    return analysis.conclude(sum_of, Terms(MIN_PATIENTS, whole, DELTA, exact=epsilon is None))


def _noise(dimension: int, variance: float, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.rint(rng.normal(0.0, variance**0.5, dimension)).astype(np.int64)
