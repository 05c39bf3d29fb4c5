"""Quantiles of a number with intervals, by group, from a dyadic histogram on a public grid.

A patient fills one node in each level of the tree of `dyadic`, or the cell of the missing: its squared bound
is the number of levels. Catalogue statistic FS3; intervals as in `distribution`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import dyadic
from fedvalue.analyses.analysis import Ask, NoisyBlock, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.distribution import Distribution, cells_of, grid
from fedvalue.analyses.estimate import Conclusion, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.score import refused, share
from fedvalue.privacy.release import Block

GRID = "Quantiles are read off a public grid; their intervals end on its edges."


@dataclass(frozen=True, slots=True)
class Histogram:
    """A number's public grid, by group: what both quantiles and trimming ask first.

    Attributes:
      quantity: The number.
      groups: Public groups.
      cells: Cells of the grid, a power of two.
      growing: True where cells widen with their number.
    """

    quantity: Quantity
    groups: Groups
    cells: int
    growing: bool

    @property
    def block(self) -> Block:
        """For each group the missing, then the nodes."""
        width = 1 + dyadic.nodes(self.cells)
        bound = Fraction(dyadic.levels(self.cells))
        return Block("histogram", len(self.groups.names) * width, bound, counting=True)

    @property
    def edges(self) -> NDArray[np.float64]:
        """The grid, shape ``(cells + 1,)``."""
        return grid(self.quantity.low, self.quantity.high, self.cells, growing=self.growing)

    def contribution(self, cohort: Cohort, gamma: Fraction) -> NDArray[np.int64]:
        """Count the site's patients at every node."""
        width = self.cells + 1
        cell = cells_of(self.quantity.values(cohort), self.edges) + 1  # 0: missing
        flat = self.groups.index(cohort) * width + cell
        counted = np.bincount(flat, minlength=len(self.groups.names) * width).reshape(-1, width)
        table = np.concatenate([counted[:, :1], dyadic.climbed(counted[:, 1:])], axis=1)
        return table.astype(np.int64).ravel() * int(gamma)

    def read(self, block: NoisyBlock, members: list[int]) -> tuple[Distribution, Released]:
        """Return the distribution of some groups together, and how many lack a value."""
        table = block.values.reshape(len(self.groups.names), -1)[members].sum(axis=0)
        noise = block.variance * len(members)
        found = Distribution(self.edges, dyadic.agreed(table[1:], self.cells), noise)
        return found, Released(value=float(table[0]), noise_variance=noise)


@dataclass(frozen=True, slots=True)
class QuantilesByGroup:
    """The analysis ``kind = "quantiles"``.

    Attributes:
      histogram: What is asked.
      at: Shares at which quantiles are stated, in (0, 1).
    """

    histogram: Histogram
    at: tuple[float, ...]

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("quantiles", self.histogram.quantity.name, *self.histogram.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release of the trees."""
        return (Ask("distribution", (self.histogram.block,), (Fraction(1),)),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients at every node of every group's tree."""
        del ask
        return {"histogram": self.histogram.contribution(cohort, scaling["histogram"])}

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy trees into quantiles, group by group, and for everybody."""
        block = sum_of(self.rounds()[0])["histogram"]
        groups = self.histogram.groups
        strata = [self._stratum(name, block, [g], terms) for g, name in enumerate(groups.names)]
        if groups.by:
            strata.append(self._stratum(EVERYBODY, block, list(range(len(groups.names))), terms))
        return Conclusion(
            label=self.label, kind="quantiles", endpoint=self.histogram.quantity.name, by=groups.by,
            strata=tuple(strata), notes=(GRID,),
        )  # fmt: skip

    def _stratum(self, name: str, block: NoisyBlock, members: list[int], terms: Terms) -> Stratum:
        found, missing = self.histogram.read(block, members)
        n, unit = found.n, self.histogram.quantity.unit
        stated = {"patients": n, "missing": missing}
        if (refusal := refused(name, n, terms, stated)) is not None:
            return refusal
        estimates = {"median" if q == 0.5 else f"quantile {q:g}": found.quantile(q, unit) for q in self.at}
        whole = n.value + missing.value
        if whole > 0:
            # the root, its tree and the missing have one noise variance or less each
            estimates["missing"] = share(missing.value, whole, missing.noise_variance, inside=1, cells=2)
        return Stratum(
            name=name, status="estimated", released=stated, estimates=estimates,
            series={"cumulative share": found.shares_below(unit)},
        )  # fmt: skip
