"""Share of patients with a binary outcome, by group, from one-hot counts.

A patient fills one cell of group x {success, failure, missing}; adding or removing one patient moves one
count by one. The interval is Wilson's score interval with the privacy noise of every cell in its
variance, so it needs no plug-in variance and stays inside its nominal coverage for small counts.

Wilson, E. B. Probable inference, the law of succession, and statistical inference. Journal of the
American Statistical Association 22 (1927) 209-212. The privacy term is our derivation: with
``n = sum of k cells`` of noise variance v, ``var(r/n) = v ((1-p)^2 + (k-1) p^2) / n^2`` to first order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Ask, NoisyBlock, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.hierarchy import Hierarchy
from fedvalue.analyses.score import FARTHEST, Z95
from fedvalue.privacy.release import Block

CELLS = ("success", "failure", "missing")


@dataclass(frozen=True, slots=True)
class ProportionByGroup:
    """The analysis ``kind = "proportion"``.

    Attributes:
      endpoint: Name of a binary endpoint.
      groups: Public groups.
      missing: What a missing outcome counts as.
      hierarchy: Along which small groups join.
    """

    endpoint: str
    groups: Groups
    missing: Literal["non_response", "exclude"]
    hierarchy: Hierarchy = field(default_factory=Hierarchy)

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("proportion", self.endpoint, *self.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release of group x 3 counts."""
        cells = Block("cells", len(self.groups.names) * len(CELLS), Fraction(1), counting=True)
        return (Ask("counts", (cells,), (Fraction(1),)),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients in each cell and scale: the sum of their one-hot vectors times gamma."""
        outcome = cohort.binary.get(self.endpoint, BinaryOutcome(np.full(cohort.patients, -1)))
        cell = np.select([outcome.status == 1, outcome.status == 0], [0, 1], default=2)
        flat = self.groups.index(cohort) * len(CELLS) + cell
        counts = np.bincount(flat, minlength=ask.blocks[0].dimension).astype(np.int64)
        return {"cells": counts * int(scaling["cells"])}

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy counts into proportions with intervals, group by group, and for everybody."""
        block = sum_of(self.rounds()[0])["cells"]
        table = block.values.reshape(len(self.groups.names), len(CELLS))
        counted = table if self.missing == "non_response" else table[:, :2]
        least = 1.0 if terms.exact else float(terms.min_patients)
        strata = [
            self._stratum(
                one.name, table[list(one.members)].sum(axis=0), block.variance * len(one.members), terms
            )
            for one in self.hierarchy.joined(self.groups, counted.sum(axis=1).tolist(), least)
        ]
        if self.groups.by:
            pooled = table.sum(axis=0)
            strata.append(self._stratum(EVERYBODY, pooled, block.variance * len(table), terms))
        note = (
            "A missing outcome counts as failure."
            if self.missing == "non_response"
            else "Missing outcomes are left out."
        )
        return Conclusion(
            label=self.label, kind="proportion", endpoint=self.endpoint, by=self.groups.by,
            strata=tuple(strata), notes=(note,),
        )  # fmt: skip

    def _stratum(self, name: str, cells: NDArray[np.float64], variance: float, terms: Terms) -> Stratum:
        success, failure, missing = (float(x) for x in cells)
        released = {
            c: Released(value=v, noise_variance=variance) for c, v in zip(CELLS, cells.tolist(), strict=True)
        }
        counted = len(CELLS) if self.missing == "non_response" else 2
        n = success + failure + (missing if counted == len(CELLS) else 0.0)
        noise_sd = math.sqrt(counted * variance)
        if not terms.exact and noise_sd > n / 3:
            ratio = noise_sd / n if n > 2 * noise_sd else math.inf  # below, the group may be empty
            return Stratum(
                name=name,
                status="not_estimable",
                reason="privacy",
                remedy=terms.remedy(ratio, n),
                released=released,
            )
        if n <= 0 or (not terms.exact and n < terms.min_patients):
            return Stratum(name=name, status="below_minimum", reason="sampling", released=released)
        estimates = {"proportion": proportion(success, n, variance, counted)}
        whole = success + failure + missing
        if whole > 0:
            estimates["missing"] = proportion(missing, whole, variance, len(CELLS))
        return Stratum(name=name, status="estimated", released=released, estimates=estimates)


def proportion(successes: float, n: float, noise_variance: float, cells: int) -> Estimate:
    """Return the share ``successes / n`` with a score interval that carries the privacy noise.

    Args:
      successes: Noisy count, may be below 0 or above ``n``.
      n: Noisy denominator, above 0: the sum of ``cells`` independent cells, ``successes`` one of them.
      noise_variance: Noise variance of one cell.
      cells: How many cells make up ``n``.
    """
    share = successes / n
    inside = min(max(share, 0.0), 1.0)
    s = noise_variance / n**2
    far = FARTHEST * math.sqrt(s), FARTHEST * math.sqrt(s * max(cells - 1, 0))  # at 0 and at 1
    share = min(max(share, -far[0]), 1 + far[1])
    # (share - p)^2 = z^2 (p (1 - p) / n + s (1 - 2 p + cells p^2)), a quadratic in p
    a = 1 + Z95**2 / n - Z95**2 * s * cells
    b = -2 * share - Z95**2 / n + 2 * Z95**2 * s
    c = share**2 - Z95**2 * s
    lower, upper = 0.0, 1.0
    if a > 0:
        root = math.sqrt(max(b * b - 4 * a * c, 0.0))
        lower, upper = max(0.0, (-b - root) / (2 * a)), min(1.0, (-b + root) / (2 * a))
        lower, upper = min(lower, inside), max(upper, inside)
    return Estimate(
        value=inside, unit="probability", lower=lower, upper=upper,
        sampling_variance=inside * (1 - inside) / n,
        privacy_variance=s * ((1 - inside) ** 2 + (cells - 1) * inside**2),
    )  # fmt: skip


__all__ = ["CELLS", "NoisyBlock", "ProportionByGroup", "proportion"]
