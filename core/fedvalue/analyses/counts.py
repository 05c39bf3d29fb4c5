"""Patients by group, and a cross-table of groups by another variable, from one-hot counts.

A patient fills one cell of group x {levels, unknown}; one patient moves one count by one. Counts are facts of
the patients in the data: their intervals hold privacy noise and no sampling error. Shares within a group are
estimates of the population and hold both. Small groups join by `hierarchy`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally
from fedvalue.analyses.analysis import Ask, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.hierarchy import Hierarchy
from fedvalue.analyses.score import Z95, inside, refused, share
from fedvalue.privacy.release import Block

FACTS = "Counts are of the patients in the data: their intervals hold privacy noise and no sampling error."


def count(value: float, noise_variance: float, unit: str = "patients") -> Estimate:
    """Return a released count as an estimate of the count in the data, 0 at least."""
    value, lower, upper = inside(value, Z95 * math.sqrt(noise_variance), 0.0, math.inf)
    return Estimate(
        value=value, unit=unit, lower=lower, upper=upper,
        sampling_variance=0.0, privacy_variance=noise_variance,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CountsByGroup:
    """The analysis ``kind = "counts"``.

    Attributes:
      groups: Rows.
      columns: One variable whose levels are columns; by nothing, for counts alone.
      hierarchy: Along which small rows join.
    """

    groups: Groups
    columns: Groups = field(default_factory=lambda: Groups((), ()))
    hierarchy: Hierarchy = field(default_factory=Hierarchy)

    @property
    def label(self) -> str:
        """Unique in the study."""
        across = ("across", *self.columns.by) if self.columns.by else ()
        return ":".join(("counts", *self.groups.by, *across))

    def rounds(self) -> tuple[Ask, ...]:
        """One release of rows x columns counts."""
        cells = Block("cells", len(self.groups.names) * len(self.columns.names), Fraction(1), counting=True)
        return (Ask("counts", (cells,), (Fraction(1),)),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients in each cell."""
        flat = self.groups.index(cohort) * len(self.columns.names) + self.columns.index(cohort)
        return {"cells": tally.counts(flat, ask.blocks[0].dimension, scaling["cells"])}

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy counts into counts and shares with intervals, joined along the hierarchy."""
        block = sum_of(self.rounds()[0])["cells"]
        table = block.values.reshape(len(self.groups.names), -1)
        least = 1.0 if terms.exact else float(terms.min_patients)
        together = self.hierarchy.joined(self.groups, table.sum(axis=1).tolist(), least)
        strata = [
            self._stratum(one.name, table[list(one.members)].sum(axis=0), block.variance * len(one.members),
                          terms)
            for one in together
        ]  # fmt: skip
        if self.groups.by:
            strata.append(self._stratum(EVERYBODY, table.sum(axis=0), block.variance * len(table), terms))
        return Conclusion(
            label=self.label, kind="counts", endpoint=":".join(self.columns.by), by=self.groups.by,
            strata=tuple(strata), notes=(FACTS,),
        )  # fmt: skip

    def _stratum(self, name: str, row: NDArray[np.float64], variance: float, terms: Terms) -> Stratum:
        width = len(row)
        n = Released(value=float(row.sum()), noise_variance=variance * width)
        stated = {"patients": n}
        if self.columns.by:
            stated |= {
                column: Released(value=float(v), noise_variance=variance)
                for column, v in zip(self.columns.names, row, strict=True)
            }
        if (refusal := refused(name, n, terms, stated)) is not None:
            return refusal
        estimates = {"patients": count(n.value, n.noise_variance)}
        if self.columns.by:
            known = float(row[:-1].sum())
            told = known > (0.0 if terms.exact else 3 * math.sqrt(variance * (width - 1)))
            for column, v in zip(self.columns.names[:-1], row[:-1].tolist(), strict=True):
                estimates[f"patients with {column}"] = count(v, variance)
                if told:  # else the shares would be shares of noise
                    estimates[column] = share(v, known, variance, inside=1, cells=width - 1)
            estimates["missing"] = share(float(row[-1]), n.value, variance, inside=1, cells=width)
        return Stratum(name=name, status="estimated", released=stated, estimates=estimates)
