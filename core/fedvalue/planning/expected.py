"""How wide the intervals of a study will be, and what it will be able to tell, before anything is spent.

Made-up patients are drawn from public assumptions, every analysis of the study is concluded from their sums
without noise and a few times with the noise of the plan, and the widths are compared. So each analysis is
priced by its own interval and refuses by its own rules, whatever kind it is; no hospital is asked, and no
ledger is charged. Trainings have no interval: what is known of them in advance is in `trainings`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist, median

import numpy as np

from fedvalue.analyses.analysis import NoisyBlock, NoisySum
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Stratum
from fedvalue.errors import TooFewSites
from fedvalue.planning import heads
from fedvalue.planning.concluding import conclude_all
from fedvalue.planning.plan import Plan, PlannedRelease
from fedvalue.privacy.release import LOG2_SCALE

Z95 = 1.959963984540054
NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Expected:
    """What is to be expected of one group of an analysis.

    Attributes:
      analysis: Label of the analysis.
      group: Name of the group.
      estimate: The estimate that is looked at, see `heads`; empty where there is none.
      unit: Of it.
      value: Under the assumptions, without noise.
      without: Width of its 95 % interval without noise, in its unit.
      width: The same with the noise of the plan: the median of the draws; None where none has an answer.
      sampling: Variance by sampling.
      privacy: Variance by privacy noise; None like ``width``.
      answered: Share of the draws with an answer, between 0 and 1.
      size: What the width is compared with, where it is not the value's own size; see `heads`.
    """

    analysis: str
    group: str
    estimate: str
    unit: str
    value: float
    without: float
    width: float | None
    sampling: float
    privacy: float | None
    answered: float
    size: float | None = None

    @property
    def scale(self) -> float:
        """What the width is compared with: `size`, or 1 for a probability, else the value's own size."""
        if self.size is not None:
            return self.size
        return 1.0 if self.unit == "probability" else abs(self.value)

    @property
    def relative(self) -> float | None:
        """Width over `scale`; None without an answer, or where the value is 0."""
        return None if self.width is None or self.scale <= 0 else self.width / self.scale

    def power(self, difference: float) -> float:
        """Return the probability of telling a difference from a fixed bar, at 5 % on two sides.

        Args:
          difference: In a probability; of everything else the share of its value.
        """
        if self.width is None or not self.answered:
            return 0.0
        if self.width <= 0:
            return self.answered
        apart = difference * self.scale * 2 * Z95 / self.width
        return self.answered * (NORMAL.cdf(apart - Z95) + NORMAL.cdf(-apart - Z95))

    def detectable(self) -> float | None:
        """Return the difference that is told from a fixed bar with a power of 80 %, in the unit."""
        return None if self.width is None else (Z95 + NORMAL.inv_cdf(0.8)) * self.width / (2 * Z95)


def expected(
    plan: Plan, exact: Plan, cohort: Cohort, draws: int, rng: np.random.Generator
) -> tuple[Expected, ...]:
    """Return what is to be expected of every group of every analysis.

    Args:
      plan: Of the study.
      exact: The same study planned without noise.
      cohort: Made-up patients of all sites together.
      draws: How often noise is drawn.
      rng: Draws it; nothing that it protects is real.
    """
    without = concluded(exact, cohort, rng)
    noisy = [concluded(plan, cohort, rng) for _ in range(draws)]
    return tuple(
        _row(whole, stratum, [draw[number] for draw in noisy])
        for number, whole in enumerate(without)
        for stratum in whole.strata
        if whole.kind != "training"
        and stratum.name not in heads.ASIDE
        and (stratum.status != "estimated" or heads.head(whole.kind, stratum) is not None)
    )


def concluded(plan: Plan, cohort: Cohort, rng: np.random.Generator) -> tuple[Conclusion, ...]:
    """Conclude a plan over made-up patients, every site answering."""
    spread = 0.0 if plan.exact else plan.thresholds.sites * 4.0**LOG2_SCALE

    def opened(release: PlannedRelease, public: bytes) -> NoisySum:
        if release.drawn is not None:
            raise TooFewSites("made-up patients train no model", where=release.label)
        total = release.contribution(cohort, public)
        if spread:
            total = total + np.rint(rng.normal(0.0, math.sqrt(spread), len(total))).astype(np.int64)
        return {
            name: NoisyBlock(total[where], gamma, spread) for name, (where, gamma) in release.slices().items()
        }

    return conclude_all(plan, opened)


def _row(whole: Conclusion, stratum: Stratum, draws: list[Conclusion]) -> Expected:
    head = heads.head(whole.kind, stratum)
    if head is None:
        return Expected(whole.label, stratum.name, "", "", 0.0, 0.0, None, 0.0, None, 0.0)
    name, known = head
    found = [
        estimate
        for draw in draws
        for other in draw.strata
        if other.name == stratum.name
        and other.status == "estimated"
        and (estimate := other.estimates.get(name)) is not None
        and heads.width(estimate) is not None
    ]
    widths = [width for estimate in found if (width := heads.width(estimate)) is not None]
    return Expected(
        whole.label, stratum.name, name, known.unit, known.value, heads.width(known) or 0.0,
        median(widths) if widths else None, known.sampling_variance,
        median(estimate.privacy_variance for estimate in found) if found else None,
        len(found) / max(len(draws), 1), heads.size(whole, known),
    )  # fmt: skip
