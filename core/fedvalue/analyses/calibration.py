"""Calibration, discrimination and net benefit of a predicted risk, by group, from counts by bin.

A patient with a prediction and an outcome fills one cell of group x bin x {event, none}, and one coordinate
of group x bin with the prediction's place in its bin, between -1 and 1; others fill the group's cell of left
out. Each block has the bound 1. `binned` has the other half. A group below the study's minimum is not
assessed, which is said and never taken for fairness.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import binned, tally
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.binned import Bins
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.risk import Risk
from fedvalue.analyses.score import refused
from fedvalue.privacy.release import Block

NOT_ASSESSED = "A group without estimates was not assessed; that is no sign of fairness."
BINNED = "Risks are compared by bin: ranks within a bin count as ties."


@dataclass(frozen=True, slots=True)
class CalibrationByGroup:
    """The analysis ``kind = "calibration"``.

    Attributes:
      outcome: Name of a binary endpoint.
      missing: What a missing outcome counts as.
      risk: The prediction.
      groups: Public groups.
      bins: How many bins.
    """

    outcome: str
    missing: Literal["non_response", "exclude"]
    risk: Risk
    groups: Groups
    bins: int

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("calibration", self.outcome, self.risk.name, *self.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release."""
        count = len(self.groups.names)
        cells = Block("cells", count * (2 * self.bins + 1), Fraction(1), counting=True)
        offsets = Block("offsets", count * self.bins, Fraction(1), counting=False)
        return (Ask("bins", (cells, offsets), (Fraction(9, 10), Fraction(1, 10))),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients by bin and outcome."""
        del ask
        count, group = len(self.groups.names), self.groups.index(cohort)
        risk = self.risk.values(cohort)
        outcome = cohort.binary.get(self.outcome)
        status = np.full(cohort.patients, -1) if outcome is None else outcome.status
        known = np.isfinite(risk)
        if self.missing == "exclude":
            known &= (status == 0) | (status == 1)
        place = np.where(known, risk, 0.0) * self.bins
        number = np.clip(np.floor(place), 0, self.bins - 1).astype(np.int64)
        cell = np.where(known, 2 * number + (status != 1), 2 * self.bins)
        offset = np.clip(2 * (place - number) - 1, -1.0, 1.0)
        width = 2 * self.bins + 1
        return {
            "cells": tally.counts(group * width + cell, count * width, scaling["cells"]),
            "offsets": tally.sums(
                offset, np.where(known, group * self.bins + number, -1), count * self.bins, scaling["offsets"]
            ),
        }

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy counts by bin into calibration, discrimination and net benefit."""
        released = sum_of(self.rounds()[0])
        names = self.groups.names
        strata = [self._stratum(name, released, [g], terms) for g, name in enumerate(names)]
        if self.groups.by:
            strata.append(self._stratum(EVERYBODY, released, list(range(len(names))), terms))
        return Conclusion(
            label=self.label, kind="calibration", endpoint=self.outcome, by=self.groups.by,
            strata=tuple(strata), notes=(BINNED, NOT_ASSESSED) if self.groups.by else (BINNED,),
        )  # fmt: skip

    def _stratum(self, name: str, released: NoisySum, members: list[int], terms: Terms) -> Stratum:
        many, count = len(members), len(self.groups.names)
        cells = released["cells"].values.reshape(count, -1)[members].sum(axis=0)
        found = Bins(
            cells[: 2 * self.bins : 2], cells[1 : 2 * self.bins : 2],
            released["offsets"].values.reshape(count, -1)[members].sum(axis=0),
            released["cells"].variance * many, released["offsets"].variance * many,
        )  # fmt: skip
        n = Released(value=found.patients, noise_variance=2 * self.bins * found.noise)
        stated = {
            "patients": n,
            "with the outcome": Released(
                value=float(found.events.sum()), noise_variance=self.bins * found.noise
            ),
            "left out": Released(value=float(cells[-1]), noise_variance=found.noise),
        }
        if (refusal := refused(name, n, terms, stated)) is not None:
            return refusal
        maybe: dict[str, Estimate | None] = {
            "area under the ROC curve": binned.area(found),
            "observed less predicted": binned.in_the_large(found),
            "observed over predicted": binned.observed_over_expected(found),
        }
        line = binned.calibration_line(found, 1.0 if terms.exact else float(terms.min_patients))
        acting, everybody = binned.decision_curve(found)
        series = {"net benefit": acting, "net benefit of treating everybody": everybody}
        return Stratum(
            name=name, status="estimated", released=stated,
            estimates={key: value for key, value in maybe.items() if value is not None},
            series=series if line is None else {"observed by predicted risk": line, **series},
        )  # fmt: skip
