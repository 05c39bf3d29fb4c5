"""What was spent in all, by group, and against a public budget.

A patient with a known cost fills one count and adds its clipped cost, centred, to one coordinate. The total
is a fact of the patients in the data: its interval holds privacy noise and no sampling error. Spending beyond
the clip is not in it; the share of patients at the clip says how much that matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.counts import count
from fedvalue.analyses.estimate import Conclusion, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.score import refused, share
from fedvalue.privacy.release import Block

SPENT = "Spending is of the patients in the data: its interval holds privacy noise and no sampling error."
CELLS = 3
"""Within the clip, at its upper end, unknown."""


@dataclass(frozen=True, slots=True)
class SpendByGroup:
    """The analysis ``kind = "spend"``.

    Attributes:
      cost: What was spent on a patient.
      groups: Public groups.
      limit: The budget for everybody, in the unit of ``cost``.
    """

    cost: Quantity
    groups: Groups
    limit: float

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("spend", self.cost.name, *self.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release of counts and of costs."""
        size = len(self.groups.names)
        blocks = (
            Block("patients", size * CELLS, Fraction(1), counting=True),
            Block("cost", size, Fraction(1), counting=False),
        )
        return (Ask("totals", blocks, (Fraction(1, 2), Fraction(1, 2))),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients and add up their costs."""
        del ask
        size, group, cost = len(self.groups.names), self.groups.index(cohort), self.cost.values(cohort)
        known = np.isfinite(cost)
        cell = np.select([known & (cost >= self.cost.high), known], [1, 0], default=2)
        return {
            "patients": tally.counts(group * CELLS + cell, size * CELLS, scaling["patients"]),
            "cost": tally.sums(self.cost.scaled(cost), np.where(known, group, -1), size, scaling["cost"]),
        }

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy sums into spending and its share of the budget, group by group and for everybody."""
        released = sum_of(self.rounds()[0])
        names = self.groups.names
        strata = [self._stratum(name, released, [g], terms) for g, name in enumerate(names)]
        if self.groups.by:
            strata.append(self._stratum(EVERYBODY, released, list(range(len(names))), terms))
        return Conclusion(
            label=self.label, kind="spend", endpoint=self.cost.name, by=self.groups.by,
            strata=tuple(strata), notes=(SPENT,),
        )  # fmt: skip

    def _stratum(self, name: str, released: NoisySum, members: list[int], terms: Terms) -> Stratum:
        v = released["patients"].variance * len(members)
        inside, above, missing = (
            float(x) for x in released["patients"].values.reshape(-1, CELLS)[members].sum(axis=0)
        )
        n = Released(value=inside + above, noise_variance=2 * v)
        stated = {"patients": n, "missing": Released(value=missing, noise_variance=v)}
        if (refusal := refused(name, n, terms, stated)) is not None:
            return refusal
        middle, half = self.cost.middle, self.cost.half
        total = middle * n.value + half * float(released["cost"].values[members].sum())
        noise = middle**2 * 2 * v + half**2 * released["cost"].variance * len(members)
        estimates = {
            "spent": count(total, noise, self.cost.unit),
            "share of the budget": count(total / self.limit, noise / self.limit**2, "ratio"),
            "at the upper end of the clip": share(above, n.value, v, inside=1, cells=2),
        }
        whole = n.value + missing
        if whole > 0:
            estimates["missing"] = share(missing, whole, v, inside=1, cells=CELLS)
        return Stratum(name=name, status="estimated", released=stated, estimates=estimates)
