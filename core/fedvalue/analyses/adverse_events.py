"""Adverse events by worst grade, by group, from one-hot counts.

A patient fills one cell of group x {no event, grade 1 .. 5, unknown}; one patient moves one count by one.
Shares are of the patients whose worst grade is known, after CTCAE 5.0 (US National Cancer Institute, 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally
from fedvalue.analyses.analysis import Ask, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Released, Series, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.score import refused, share
from fedvalue.privacy.release import Block
from fedvalue.study.sources import GRADES

SEVERE = 3
"""Grade from which an event is severe."""
WORST = "Each patient counts once, with the worst grade; no causal relation to a treatment is claimed."


@dataclass(frozen=True, slots=True)
class AdverseEventsByGroup:
    """The analysis ``kind = "adverse_events"``.

    Attributes:
      variable: Worst grade of a patient.
      groups: Public groups.
    """

    variable: str
    groups: Groups

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("adverse_events", self.variable, *self.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release of one-hot counts."""
        size = len(self.groups.names) * (len(GRADES) + 1)
        return (Ask("grades", (Block("cells", size, Fraction(1), counting=True),), (Fraction(1),)),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients by grade."""
        codes = cohort.categories.get(self.variable, np.full(cohort.patients, -1))
        cell = np.where((codes >= 0) & (codes < len(GRADES)), codes, len(GRADES))
        flat = self.groups.index(cohort) * (len(GRADES) + 1) + cell
        return {"cells": tally.counts(flat, ask.blocks[0].dimension, scaling["cells"])}

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy counts into shares by grade, group by group and for everybody."""
        block = sum_of(self.rounds()[0])["cells"]
        table = block.values.reshape(len(self.groups.names), -1)
        strata = [
            _stratum(name, row, block.variance, terms)
            for name, row in zip(self.groups.names, table, strict=True)
        ]
        if self.groups.by:
            strata.append(_stratum(EVERYBODY, table.sum(axis=0), block.variance * len(table), terms))
        return Conclusion(
            label=self.label, kind="adverse_events", endpoint=self.variable, by=self.groups.by,
            strata=tuple(strata), notes=(WORST,),
        )  # fmt: skip


def _stratum(name: str, row: NDArray[np.float64], v: float, terms: Terms) -> Stratum:
    known, missing = row[:-1], float(row[-1])
    cells = len(known)
    n = Released(value=float(known.sum()), noise_variance=cells * v)
    stated = {"patients": n, "missing": Released(value=missing, noise_variance=v)}
    if (refusal := refused(name, n, terms, stated)) is not None:
        return refusal
    at_least = [
        share(float(known[grade:].sum()), n.value, v, inside=cells - grade, cells=cells)
        for grade in range(1, cells)
    ]
    estimates = {"any grade": at_least[0], f"grade {SEVERE} or higher": at_least[SEVERE - 1]}
    for grade in range(1, cells):
        estimates[f"worst grade {grade}"] = share(float(known[grade]), n.value, v, inside=1, cells=cells)
    whole = n.value + missing
    if whole > 0:
        estimates["missing"] = share(missing, whole, v, inside=1, cells=cells + 1)
    line = Series(
        x=tuple(float(grade) for grade in range(1, cells)), x_unit="grade",
        values=tuple(e.value for e in at_least), unit="probability",
        lower=tuple(e.lower or 0.0 for e in at_least),
        upper=tuple(1.0 if e.upper is None else e.upper for e in at_least),
        sampling_variance=tuple(e.sampling_variance for e in at_least),
        privacy_variance=tuple(e.privacy_variance for e in at_least),
    )  # fmt: skip
    return Stratum(
        name=name, status="estimated", released=stated, estimates=estimates,
        series={"this grade or higher": line},
    )  # fmt: skip
