"""Who counts in a training, and how its numeric features are scaled: from securely summed moments.

A hospital that scaled by its own mean and spread would tell the model about itself instead of the patient,
and loses accuracy where hospitals differ. The moments are one release: for each numeric feature, over the
patients with a known outcome, whether it is known, its value between -1 and 1 over the public clip, and its
square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import NoisySum
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.study.architectures import Inputs

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

COUNTS = ("with an outcome", "left out")
"""Names of the released counts."""

FEWEST = 10.0
"""Released patients with a value, below which a feature is scaled by its public clip."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """How numeric features are scaled.

    Attributes:
      centers: Mean of each, in its unit, length p.
      spreads: Standard deviation of each, in its unit, length p.
    """

    centers: tuple[float, ...]
    spreads: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """The outcome that a training is for.

    Attributes:
      name: A binary endpoint, a time-to-event endpoint, or a numeric variable.
      kind: Which of them.
      missing_fails: True where a missing binary outcome counts as failure.
      curves: The public grid of a time, and when a patient's time begins; None for other outcomes.
    """

    name: str
    kind: Literal["binary", "time", "number"]
    missing_fails: bool = False
    curves: KaplanMeierByGroup | None = None

    def values(self, cohort: Cohort) -> Array:
        """Return 1, 0 or -1 (missing), or numbers that are not finite where missing, shape ``(n,)``."""
        if self.kind == "number":
            numbers = cohort.numbers.get(self.name)
            return np.full(cohort.patients, np.nan) if numbers is None else numbers
        outcome = cohort.binary.get(self.name)
        status = np.full(cohort.patients, -1) if outcome is None else outcome.status
        known = (status == 0) | (status == 1)
        return np.where(known, status, 0 if self.missing_fails else -1).astype(np.float64)

    def intervals(self, cohort: Cohort) -> tuple[Codes, Codes, Codes]:
        """Return first and last interval at risk, -1 where missing, and whether the event fell in the last.

        A patient who leaves inside an interval without the event was not seen through it, who leaves on its
        last day was; on a daily grid the day itself counts, as in `kaplan_meier`.
        """
        none = np.full(cohort.patients, -1, dtype=np.int64)
        found = cohort.survival.get(self.name)
        if found is None or self.curves is None:
            return none, none, none
        k = len(self.curves.edges) - 1
        entered, left, event, counts = self.curves.cells(
            SurvivalOutcome(found.entry, found.exit, found.event)
        )
        happened = event & (left < k)
        ends = np.asarray(self.curves.edges)[np.minimum(left + 1, k)]
        through = (left < k) & ((found.exit >= ends) | (not self.curves.half))
        seen = np.where(happened | through, left, np.minimum(left, k) - 1)
        last = np.where(counts & (entered <= seen), seen, -1).astype(np.int64)
        return entered.astype(np.int64), last, np.where(last >= 0, happened, -1).astype(np.int64)

    def known(self, cohort: Cohort) -> NDArray[np.bool_]:
        """Return who has an outcome and so enters a training, shape ``(n,)``."""
        if self.kind == "time":
            return self.intervals(cohort)[1] >= 0
        values = self.values(cohort)
        found: NDArray[np.bool_] = np.isfinite(values) & ((values >= 0) | (self.kind == "number"))
        return found


def moments(inputs: Inputs, cohort: Cohort, part: slice, known: NDArray[np.bool_]) -> Array:
    """Return each patient's row of the moments release: known, x, x squared of each feature, ``(n, 3 p)``."""
    columns = []
    for column in inputs.numeric:
        low, high = column.clip
        values = cohort.numbers.get(column.name)
        raw = np.full(len(known), np.nan) if values is None else values[part]
        there = known & np.isfinite(raw)
        inside = np.clip(np.where(there, raw, low), low, high)
        x = np.where(there, np.clip((inside - low) / (high - low) * 2 - 1, -1.0, 1.0), 0.0)
        columns += [there.astype(np.float64), x, x * x]
    return np.column_stack(columns)


def scaled_of(inputs: Inputs, released: NoisySum | None) -> Scaled:
    """Return centers and spreads from a released sum; by public clips where there is none, or too little."""
    centers, spreads = [], []
    for place, column in enumerate(inputs.numeric):
        low, high = column.clip
        middle, half = (low + high) / 2, (high - low) / 2
        center, spread = middle, half
        if released is not None:
            count, first, second = (float(v) for v in released["moments"].values[3 * place : 3 * place + 3])
            if count >= FEWEST:
                mean = float(np.clip(first / count, -1.0, 1.0))
                variance = float(np.clip(second / count - mean**2, 1e-6, 1.0))
                center, spread = middle + half * mean, half * variance**0.5
        # nine digits are plenty, and the same on every machine
        centers.append(float(f"{center:.9g}"))
        spreads.append(float(f"{spread:.9g}"))
    return Scaled(tuple(centers), tuple(spreads))
