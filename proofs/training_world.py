"""Made-up hospitals with planted truth, for training: 10,000 patients, 40 features, and shift between sites.

Ten hospitals of unequal size. 28 numbers, correlated, whose means and spreads differ between hospitals; 8
columns of levels, more frequent here and rarer there; 4 genes of two variants each. Two hospitals test no
genes, and numbers are unknown here and there. The outcome follows a logistic law with a linear part, a curve
in one number, a product of two, and an effect of a variant that depends on a level; each hospital has a rate
of its own that no feature explains. Fresh patients come from the same hospitals.

The law was first written with `FIRST` curves, and weakened to `WEAKER` ones while settings were sought: both
are drawn, from the same seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.strategies.training.models.network import Coded, Gene, Inputs, Numeric, Rows

HOSPITALS = 10
PATIENTS = 10_000
FRESH = 20_000
NUMBERS, LEVELS, GENES, VARIANTS = 28, (2, 2, 2, 3, 3, 4, 4, 5), 4, 2
CLIP = 4.0
UNKNOWN = 0.02
STRENGTH = 0.2

WEAKER, FIRST = (0.2, 0.2, 0.5), (0.35, 0.4, 0.8)
"""How strong the curve, the product and the effect by level are, on the scale of log odds."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Patients:
    """Some patients of all hospitals.

    Attributes:
      rows: Their columns and outcomes.
      site: Place of the hospital of each, shape ``(n,)``.
    """

    rows: Rows
    site: NDArray[np.int64]

    def sites(self) -> list[Rows]:
        """Return the rows of each hospital."""
        return [self.rows.take(self.site == place) for place in range(int(self.site.max()) + 1)]


@dataclass(frozen=True, slots=True)
class Law:
    """How features and outcome come about, the same for fresh patients.

    Attributes:
      seed: Draws the law itself.
      curves: What no linear model can follow: `WEAKER` or `FIRST`.
    """

    seed: int
    curves: tuple[float, float, float] = WEAKER

    def draw(self, count: int, rng: np.random.Generator) -> Patients:
        """Draw patients of all hospitals."""
        law = np.random.default_rng(self.seed)
        share = law.dirichlet(np.full(HOSPITALS, 5.0))
        means = law.normal(0, 0.4, (HOSPITALS, NUMBERS))
        spreads = law.uniform(0.8, 1.25, (HOSPITALS, NUMBERS))
        mixing = np.eye(NUMBERS) + law.normal(0, 0.15, (NUMBERS, NUMBERS))
        levels = [law.dirichlet(np.full(k, 3.0), HOSPITALS) for k in LEVELS]
        carriers = law.uniform(0.05, 0.35, (HOSPITALS, GENES * VARIANTS))
        slopes = law.normal(0, STRENGTH, NUMBERS)
        by_level = [law.normal(0, 0.4, k) for k in LEVELS]
        by_variant = law.normal(0, 0.5, GENES * VARIANTS)
        rates = law.normal(-0.6, 0.3, HOSPITALS)

        site = rng.choice(HOSPITALS, count, p=share)
        numbers = (rng.normal(size=(count, NUMBERS)) @ mixing) * spreads[site] / 1.2 + means[site]
        numbers = numbers.clip(-CLIP, CLIP)
        coded = np.column_stack(
            [(rng.random((count, 1)) > p[site].cumsum(axis=1)).sum(axis=1).clip(0, k - 1)
             for k, p in zip(LEVELS, levels, strict=True)]
        )  # fmt: skip
        variants = (rng.random((count, GENES * VARIANTS)) < carriers[site]).astype(np.int64)
        predictor = rates[site] + numbers @ slopes + variants @ by_variant
        predictor += sum(effect[coded[:, i]] for i, effect in enumerate(by_level))
        curve, product, by_level_too = self.curves
        predictor += curve * (numbers[:, 0] ** 2 - 1) + product * numbers[:, 1] * numbers[:, 2]
        predictor += by_level_too * variants[:, 0] * (coded[:, 0] == 1)
        outcome = (rng.random(count) < 1 / (1 + np.exp(-predictor))).astype(np.float64)
        numbers[rng.random(numbers.shape) < UNKNOWN] = np.nan
        variants[site < 2] = -1
        return Patients(Rows(numbers, coded.astype(np.int64), variants, outcome), site)


def inputs() -> Inputs:
    """Return what a model of these hospitals learns from."""
    return Inputs(
        tuple(Numeric(f"x{i}", (-CLIP, CLIP)) for i in range(NUMBERS)),
        tuple(Coded(f"c{i}", k) for i, k in enumerate(LEVELS)),
        tuple(Gene(f"G{i}", VARIANTS) for i in range(GENES)),
    )
