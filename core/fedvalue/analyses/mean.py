"""Mean, variance and coefficient of variation of a number with a public clip, by group.

The estimand is the mean of the clipped value in the population that the patients are drawn from. What the
clip does to the mean is not in the interval; how many patients lie at either end of it is released beside.
A patient fills one cell of group x {known, missing}, one of group x {at an end of the clip}, and one
coordinate of each block of `moments`; every block has the bound 1. Catalogue statistic FS2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.hierarchy import Hierarchy
from fedvalue.analyses.moments import Sums, chebyshev
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.score import Noise, Sampling, ratio, refused, share
from fedvalue.privacy.release import Block

WEIGHTS = {
    "patients": Fraction(25, 100), "first": Fraction(30, 100), "second": Fraction(20, 100),
    "third": Fraction(8, 100), "fourth": Fraction(7, 100), "ends": Fraction(10, 100),
}  # fmt: skip
"""Shares of the budget: most for what the mean rests on."""

POWERS = ("first", "second", "third", "fourth")
CLIPPED = "Values are clipped to a public range; what that does to the mean is not in the interval."


@dataclass(frozen=True, slots=True)
class MeanByGroup:
    """The analysis ``kind = "mean"``.

    Attributes:
      quantity: What is averaged.
      groups: Public groups.
      hierarchy: Along which small groups join.
    """

    quantity: Quantity
    groups: Groups
    hierarchy: Hierarchy = field(default_factory=Hierarchy)

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("mean", self.quantity.name, *self.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release of six blocks."""
        count = len(self.groups.names)
        width = {"patients": 2, "ends": 2}
        blocks = tuple(
            Block(name, count * width.get(name, 1), Fraction(1), counting=name in width) for name in WEIGHTS
        )
        return (Ask("moments", blocks, tuple(WEIGHTS.values())),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients and add up the polynomials of their values."""
        del ask
        count, group = len(self.groups.names), self.groups.index(cohort)
        values = self.quantity.values(cohort)
        known = np.isfinite(values)
        y, at = self.quantity.scaled(values), np.where(known, group, -1)
        low, high = values <= self.quantity.low, values >= self.quantity.high
        found = {
            "patients": tally.counts(group * 2 + ~known, count * 2, scaling["patients"]),
            "ends": tally.counts(np.where(low | high, group * 2 + high, -1), count * 2, scaling["ends"]),
        }
        for k, name in enumerate(POWERS, start=1):
            found[name] = tally.sums(chebyshev(y, k), at, count, scaling[name])
        return found

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy sums into means and spreads with intervals, group by group, and for everybody."""
        released = sum_of(self.rounds()[0])
        count = len(self.groups.names)
        least = 1.0 if terms.exact else float(terms.min_patients)
        known = released["patients"].values.reshape(-1, 2)[:, 0].tolist()
        together = self.hierarchy.joined(self.groups, known, least)
        strata = [self._stratum(one.name, released, list(one.members), terms) for one in together]
        if self.groups.by:
            strata.append(self._stratum(EVERYBODY, released, list(range(count)), terms))
        return Conclusion(
            label=self.label, kind="mean", endpoint=self.quantity.name, by=self.groups.by,
            strata=tuple(strata), notes=(CLIPPED,),
        )  # fmt: skip

    def _stratum(self, name: str, released: NoisySum, members: list[int], terms: Terms) -> Stratum:
        cells = released["patients"].values.reshape(-1, 2)[members].sum(axis=0)
        many = len(members)
        variance = released["patients"].variance * many
        n, missing = (Released(value=float(v), noise_variance=variance) for v in cells)
        stated = {"patients": n, "missing": missing}
        if (refusal := refused(name, n, terms, stated)) is not None:
            return refusal
        sums = Sums(
            n.value, variance,
            tuple(float(released[p].values[members].sum()) for p in POWERS),
            tuple(released[p].variance * many for p in POWERS),
        )  # fmt: skip
        q = self.quantity
        estimates = {"mean": sums.mean_in(q.middle, q.half, q.unit)}
        estimates |= sums.spread_in(q.middle, q.half, q.unit)
        ends = released["ends"].values.reshape(-1, 2)[members].sum(axis=0)
        noise = Noise(released["ends"].variance * many, variance)
        for word, at in zip(("lower", "upper"), ends.tolist(), strict=True):
            estimates[f"at the {word} end of the clip"] = ratio(
                at, n.value, noise, Sampling(linear=n.value, square=-n.value),
                unit="probability", least=0.0, most=1.0,
            )  # fmt: skip
        whole = n.value + missing.value
        if whole > 0:
            estimates["missing"] = share(missing.value, whole, variance, inside=1, cells=2)
        return Stratum(name=name, status="estimated", released=stated, estimates=estimates)
