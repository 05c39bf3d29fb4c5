"""Cost and effect together, by group: both means, how their errors go together, and cost per effect.

A patient with both values known, x and y scaled to [-1, 1], contributes ``x, y, T_2(x), T_2(y)`` and ``x y``,
each a block with the bound 1. The covariance of the two means goes with the estimates, because a decision on
net benefit needs it; the ratio of the means has Fieller's interval. Catalogue statistic FS6.

Willan, O'Brien. Confidence intervals for cost-effectiveness ratios: an application of Fieller's theorem.
Health Economics 5 (1996) 297-305, eq. (5).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally, two_arms
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Estimate, Joint, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.moments import Sums, chebyshev
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.score import Noise, Sampling, ratio, refused
from fedvalue.privacy.release import Block

WEIGHTS = {
    "patients": Fraction(20, 100), "cost": Fraction(25, 100), "effect": Fraction(25, 100),
    "cost_squared": Fraction(10, 100), "effect_squared": Fraction(10, 100), "product": Fraction(10, 100),
}  # fmt: skip
COMPLETE = "Only patients with both values count."


@dataclass(frozen=True, slots=True)
class CrossMomentsByGroup:
    """The analysis ``kind = "cross_moments"``.

    Attributes:
      cost: A number.
      effect: A number, or a binary endpoint.
      groups: Public groups.
      compare: Whether the first group is compared with the second; see `two_arms`.
    """

    cost: Quantity
    effect: Quantity
    groups: Groups
    compare: bool = False

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("cross_moments", self.cost.name, self.effect.name, *self.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release of six blocks."""
        count = len(self.groups.names)
        blocks = tuple(
            Block(name, count * (2 if name == "patients" else 1), Fraction(1), counting=name == "patients")
            for name in WEIGHTS
        )
        return (Ask("moments", blocks, tuple(WEIGHTS.values())),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients and add up powers and products of their values."""
        del ask
        count, group = len(self.groups.names), self.groups.index(cohort)
        x = self.cost.scaled(self.cost.values(cohort))
        y = self.effect.scaled(self.effect.values(cohort))
        known = np.isfinite(x) & np.isfinite(y)
        at = np.where(known, group, -1)
        values = {
            "cost": x, "effect": y, "cost_squared": chebyshev(x, 2), "effect_squared": chebyshev(y, 2),
            "product": x * y,
        }  # fmt: skip
        found = {name: tally.sums(value, at, count, scaling[name]) for name, value in values.items()}
        return {"patients": tally.counts(group * 2 + ~known, count * 2, scaling["patients"]), **found}

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy sums into means, their joint errors and their ratio, group by group and together."""
        released = sum_of(self.rounds()[0])
        names = self.groups.names
        strata = [self._stratum(name, released, [g], terms) for g, name in enumerate(names)]
        if self.groups.by:
            strata.append(self._stratum(EVERYBODY, released, list(range(len(names))), terms))
        notes: tuple[str, ...] = (COMPLETE,)
        if self.compare:
            means = (f"mean {self.cost.name}", f"mean {self.effect.name}")
            strata.append(two_arms.difference(strata[0], strata[1], *means))
            notes = (COMPLETE, two_arms.UNADJUSTED)
        return Conclusion(
            label=self.label, kind="cross_moments", endpoint=self.cost.name, by=self.groups.by,
            strata=tuple(strata), notes=notes,
        )  # fmt: skip

    def _stratum(self, name: str, released: NoisySum, members: list[int], terms: Terms) -> Stratum:
        cells = released["patients"].values.reshape(-1, 2)[members].sum(axis=0)
        v0 = released["patients"].variance * len(members)
        n, left_out = (Released(value=float(v), noise_variance=v0) for v in cells)
        stated = {"patients": n, "missing": left_out}
        if (refusal := refused(name, n, terms, stated)) is not None:
            return refusal
        total = {p: float(released[p].values[members].sum()) for p in WEIGHTS if p != "patients"}
        noise = {p: released[p].variance * len(members) for p in total}
        x, y = (
            Sums(n.value, v0, (total[p], total[f"{p}_squared"]), (noise[p], noise[f"{p}_squared"]))
            for p in ("cost", "effect")
        )
        cost = x.mean_in(self.cost.middle, self.cost.half, self.cost.unit)
        effect = y.mean_in(self.effect.middle, self.effect.half, self.effect.unit)
        # n is in both means: its noise moves them together
        together = x.mean * y.mean * v0 / n.value**2
        covariance = total["product"] / n.value - x.mean * y.mean + together
        limit = (x.believed_variance * y.believed_variance) ** 0.5
        covariance = min(max(covariance, -limit), limit)
        area = self.cost.half * self.effect.half
        shared, drawn = area * together, area * covariance / n.value
        names = (f"mean {self.cost.name}", f"mean {self.effect.name}")
        estimates = {names[0]: cost, names[1]: effect}
        if (per := self._ratio(x, y, covariance)) is not None:
            estimates[f"{self.cost.name} per {self.effect.name}"] = per
        joint = Joint(
            names=names,
            sampling=((cost.sampling_variance, drawn), (drawn, effect.sampling_variance)),
            privacy=((cost.privacy_variance, shared), (shared, effect.privacy_variance)),
        )
        return Stratum(name=name, status="estimated", released=stated, estimates=estimates, joint=joint)

    def _ratio(self, x: Sums, y: Sums, covariance: float) -> Estimate | None:
        """Mean cost over mean effect; None where the effect is not above 0 for certain."""
        (a, b), (c, d) = (self.cost.middle, self.cost.half), (self.effect.middle, self.effect.half)
        n, v0 = x.n, x.n_noise
        top, bottom = a * n + b * x.t[0], c * n + d * y.t[0]
        noise = Noise(a * a * v0 + b * b * x.t_noise[0], c * c * v0 + d * d * y.t_noise[0], a * c * v0)
        sampling = Sampling(
            n * b * b * x.believed_variance, -2 * n * b * d * covariance, n * d * d * y.believed_variance
        )
        if bottom <= 3 * (noise.bottom + sampling.square) ** 0.5:
            return None
        unit = f"{self.cost.unit} per {self.effect.unit}"
        return ratio(top, bottom, noise, sampling, unit=unit)
