"""The one shape of every analysis: what a patient contributes, what the noisy sum concludes.

The laws in ``tests/laws`` hold for each: pooled contributions equal the contribution of the pooled
patients; one patient moves the integer sum by at most the declared bound, hostile rows too; without
noise the conclusion equals the reference; with noise the interval covers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Remedy
from fedvalue.privacy.accounting import epsilon
from fedvalue.privacy.release import Block

MAX_EPSILON = 20.0
"""The schema's largest study epsilon; a remedy past it is none."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """That each patient enters a question by chance only, secretly and with a public probability.

    Attributes:
      rate: q, above 0 and at most 1; at 1 everybody enters and nothing is drawn.
      steps: 0 for one sum with the noise of all sites. Above it, so many steps that a site takes by itself,
        each on a sample of its own and with the site's own noise alone; what is summed is where they led.
    """

    rate: Fraction
    steps: int = 0

    @property
    def local(self) -> bool:
        """True where a site takes steps by itself."""
        return self.steps > 0


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to the federation.

    Attributes:
      label: Unique in its analysis.
      blocks: What is asked, with bounds; prices are the plan's business.
      weights: Share of the analysis' budget for each block, summing to 1.
      public_size: How many public numbers travel with the question; 0 where it is fixed in advance.
      public: Those numbers, shape ``(public_size,)``: what earlier releases said, such as the coefficients
        of a Newton step. The bound holds for any finite ones, because the coordinator chooses them.
      drawn: How patients enter by chance; None where everybody does, and for such a question alone its blocks
        travel with those of other analyses.
      share: Share of the analysis' budget; None for as much as each other ask has.
    """

    label: str
    blocks: tuple[Block, ...]
    weights: tuple[Fraction, ...]
    public_size: int = 0
    public: tuple[float, ...] = ()
    drawn: Drawn | None = None
    share: Fraction | None = None

    def given(self, values: Iterable[float]) -> Self:
        """Return the question with its public numbers.

        Raises:
          ValueError: there are more or fewer than ``public_size``.
        """
        public = tuple(float(value) for value in values)
        if len(public) != self.public_size:
            raise ValueError(f"{self.label} takes {self.public_size} public numbers, not {len(public)}")
        return replace(self, public=public)


@dataclass(frozen=True, slots=True)
class NoisyBlock:
    """The released sum of one block, still in integers of the ring.

    Attributes:
      total: Sum over patients of the quantised contributions plus all noise shares, shape ``(dimension,)``.
      gamma: The block's scale.
      noise_variance: Variance of the noise in ``total``, in squared ring units: shares x 4^s, 0 if exact.
      shares: How many sites' contributions are in it; 0 where that is not told.
    """

    total: NDArray[np.int64]
    gamma: Fraction
    noise_variance: float
    shares: int = 0

    @property
    def values(self) -> NDArray[np.float64]:
        """``total / gamma``: sums in the quantity's own unit, shape ``(dimension,)``."""
        return self.total.astype(np.float64) / float(self.gamma)

    @property
    def variance(self) -> float:
        """Noise variance of each of ``values``."""
        return self.noise_variance / float(self.gamma) ** 2


NoisySum = Mapping[str, NoisyBlock]
"""Block name to its released sum."""

SumOf = Callable[[Ask], NoisySum]
"""Asks the federation; each call is one private sum.

An analysis asks its rounds in order, each at most once, and may stop early. It must be a pure function of
what it is told: it is called again from the start whenever one more of its rounds has been opened.
"""

Scaling = Mapping[str, Fraction]
"""Block name to gamma."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the study promised, for conclusions that refuse and say what would do.

    Attributes:
      min_patients: Smallest released count for which a stratum is reported.
      rho_units: Price of the whole study, in 2^-40 zCDP.
      delta: Of the study.
      exact: True without noise (the `Unsafe` switch): no minimum, no end of a curve.
    """

    min_patients: int
    rho_units: int
    delta: float
    exact: bool = False

    def remedy(self, noise_ratio: float, patients: float) -> Remedy:
        """Say what would bring the noise of a count down to a third of it.

        Args:
          noise_ratio: Noise SD of the count over its estimate, above 1/3; infinite where the estimate is
            not above 0.
          patients: Released patients of the stratum.
        """
        if not math.isfinite(noise_ratio) or noise_ratio <= 0:
            return Remedy(epsilon=None, patients=None)
        factor = (3 * noise_ratio) ** 2
        needed = epsilon(math.ceil(self.rho_units * factor), self.delta)
        return Remedy(
            epsilon=needed if needed <= MAX_EPSILON else None, patients=max(patients, 0.0) * 3 * noise_ratio
        )


class Learner(Protocol):
    """The site half of a training: what needs a network, and secret randomness, and so is no part of core."""

    def contribution(
        self, analysis: Analysis, cohort: Cohort, ask: Ask, scaling: Scaling, step_gamma: Fraction | None
    ) -> dict[str, NDArray[np.int64]]:
        """Return for each block the site's integer sum over those patients that were drawn.

        Args:
          analysis: The training that asks.
          cohort: The site's frozen rows.
          ask: Its ask, public numbers filled in.
          scaling: Scale of each block.
          step_gamma: Scale of one local step, where the site takes steps by itself.
        """


class Analysis(Protocol):
    """One analysis on one page."""

    @property
    def label(self) -> str:
        """Unique in the study."""

    def rounds(self) -> tuple[Ask, ...]:
        """What will be asked at most, in order."""

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Site half: for each block the clipped integer sum over the patients, shape ``(dimension,)``.

        ``ask.public`` holds the question's public numbers, any finite ones.
        """

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Coordinator half: what the noisy sums say."""
