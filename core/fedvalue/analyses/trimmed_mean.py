"""Mean without outliers in two passes: noisy quartiles make public fences, then the mean between them.

First release: the dyadic histogram of every group. Its quartiles give the fences ``Q1 - w IQR`` and
``Q3 + w IQR``, which travel with the second release as public numbers. Second release: patients and moments
between the fences, scaled to them, so that the noise shrinks with the range. Whatever the public numbers are,
a patient fills one cell and one coordinate of each block: the bound stays 1.

The estimand is the mean between the fences as they were published; it is conditional on them. Trimming by
quartiles is how DRG weights are made (Tukey, Exploratory Data Analysis, 1977, 2D).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.distribution import interquartile_bounds
from fedvalue.analyses.estimate import Conclusion, Released, Stratum
from fedvalue.analyses.moments import Sums, chebyshev
from fedvalue.analyses.quantiles import Histogram
from fedvalue.analyses.score import refused, share
from fedvalue.privacy.release import Block

WEIGHTS = {
    "patients": Fraction(35, 100), "first": Fraction(40, 100), "second": Fraction(25, 100),
}  # fmt: skip
FENCED = "The mean is of the patients between the published fences, which come from noisy quartiles."


@dataclass(frozen=True, slots=True)
class TrimmedMeanByGroup:
    """The analysis ``kind = "trimmed_mean"``.

    Attributes:
      histogram: What is asked first.
      whiskers: w, how many interquartile ranges the fences lie outside the quartiles.
    """

    histogram: Histogram
    whiskers: float

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("trimmed_mean", self.histogram.quantity.name, *self.histogram.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """Two releases; the second carries two fences for each group."""
        count = len(self.histogram.groups.names)
        blocks = tuple(
            Block(name, count * (3 if name == "patients" else 1), Fraction(1), counting=name == "patients")
            for name in WEIGHTS
        )
        return (
            Ask("distribution", (self.histogram.block,), (Fraction(1),)),
            Ask("between_fences", blocks, tuple(WEIGHTS.values()), public_size=2 * count),
        )

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients at the nodes, then add up those between the fences."""
        if ask.public_size == 0:
            return {"histogram": self.histogram.contribution(cohort, scaling["histogram"])}
        quantity, groups = self.histogram.quantity, self.histogram.groups
        count, group, values = len(groups.names), groups.index(cohort), quantity.values(cohort)
        low, high = self._fences(ask)
        low, high = low[group], high[group]
        half = (high - low) / 2
        with np.errstate(invalid="ignore", over="ignore"):
            inside = (values >= low) & (values <= high) & (half > 0)
            y = np.clip((values - (low + high) / 2) / np.where(half > 0, half, 1.0), -1.0, 1.0)
        cell = np.select([inside, np.isfinite(values)], [0, 1], default=2)
        at = np.where(inside, group, -1)
        return {
            "patients": tally.counts(group * 3 + cell, count * 3, scaling["patients"]),
            "first": tally.sums(chebyshev(y, 1), at, count, scaling["first"]),
            "second": tally.sums(chebyshev(y, 2), at, count, scaling["second"]),
        }

    def _fences(self, ask: Ask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper fence of each group, inside the public clip whatever was sent."""
        quantity = self.histogram.quantity
        public = np.clip(np.array(ask.public, dtype=np.float64), quantity.low, quantity.high)
        return public[0::2], public[1::2]

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Find the fences of every group that has enough patients, then the means between them."""
        first, second = self.rounds()
        block = sum_of(first)["histogram"]
        names = self.histogram.groups.names
        found = [self.histogram.read(block, [g]) for g in range(len(names))]
        refusals = [
            refused(name, distribution.n, terms, {"patients": distribution.n, "missing": missing})
            for name, (distribution, missing) in zip(names, found, strict=True)
        ]
        low, high = self.histogram.quantity.low, self.histogram.quantity.high
        fences: list[float] = []
        for (distribution, _), refusal in zip(found, refusals, strict=True):
            bounds = interquartile_bounds(distribution, self.whiskers) if refusal is None else (low, high)
            # fences that fall together would leave nobody: the whole range then
            fences += bounds if bounds[1] > bounds[0] else (low, high)
        ask = second.given(fences)
        released = sum_of(ask)
        strata = tuple(
            refusal if refusal is not None else self._stratum(g, name, released, ask, terms)
            for g, (name, refusal) in enumerate(zip(names, refusals, strict=True))
        )
        return Conclusion(
            label=self.label, kind="trimmed_mean", endpoint=self.histogram.quantity.name,
            by=self.histogram.groups.by, strata=strata, notes=(FENCED,),
        )  # fmt: skip

    def _stratum(self, g: int, name: str, released: NoisySum, ask: Ask, terms: Terms) -> Stratum:
        patients = released["patients"]
        inside, outside, missing = (float(v) for v in patients.values.reshape(-1, 3)[g])
        lows, highs = self._fences(ask)
        low, high = float(lows[g]), float(highs[g])
        stated = {
            "patients": Released(value=inside, noise_variance=patients.variance),
            "trimmed": Released(value=outside, noise_variance=patients.variance),
            "missing": Released(value=missing, noise_variance=patients.variance),
            "lower fence": Released(value=low, noise_variance=0.0),
            "upper fence": Released(value=high, noise_variance=0.0),
        }
        if (refusal := refused(name, stated["patients"], terms, stated)) is not None:
            return refusal
        sums = Sums(
            inside, patients.variance, tuple(float(released[p].values[g]) for p in ("first", "second")),
            tuple(released[p].variance for p in ("first", "second")),
        )  # fmt: skip
        unit = self.histogram.quantity.unit
        estimates = {"trimmed mean": sums.mean_in((low + high) / 2, (high - low) / 2, unit)}
        if inside + outside > 0:
            estimates["trimmed"] = share(outside, inside + outside, patients.variance, inside=1, cells=2)
        return Stratum(name=name, status="estimated", released=stated, estimates=estimates)
