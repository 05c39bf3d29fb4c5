"""The frozen rows of one site, as arrays: all that the site half of an analysis may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class BinaryOutcome:
    """A binary endpoint.

    Attributes:
      status: 1 success, 0 failure, -1 missing, shape ``(n,)``.
    """

    status: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SurvivalOutcome:
    """A time-to-event endpoint.

    Attributes:
      entry: Day from which a patient is observed, in days from the origin, shape ``(n,)``.
      exit: Day of the event or of censoring, in days from the origin, shape ``(n,)``.
      event: 0 censored, k the k-th event kind of the endpoint, -1 unknown, shape ``(n,)``.
    """

    entry: NDArray[np.float64]
    exit: NDArray[np.float64]
    event: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cohort:
    """One row per patient.

    Attributes:
      patients: Number of rows, n.
      categories: Variable name to the index of its level, -1 where unknown, shape ``(n,)``.
      numbers: Variable name to its value, NaN where unknown, shape ``(n,)``.
      binary: Endpoint name to outcome.
      survival: Endpoint name to outcome.
      lost: The step of the selection that left out each patient of the site who is not in, counted from 0 as
        the study lists them (the index, then what is required, then what is excluded), shape ``(lost,)``.
      site: Place of the site of each row in the roster's order, shape ``(n,)``; empty where it is not told.
    """

    patients: int
    categories: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    numbers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    binary: Mapping[str, BinaryOutcome] = field(default_factory=dict)
    survival: Mapping[str, SurvivalOutcome] = field(default_factory=dict)
    lost: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    site: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def places(self) -> NDArray[np.int64]:
        """`site`, with -1 for every row where it is not told, shape ``(n,)``."""
        if len(self.site) == self.patients:
            return self.site
        return np.full(self.patients, UNKNOWN, dtype=np.int64)


def pool(cohorts: list[Cohort]) -> Cohort:
    """Return the cohort of all patients of some sites (tests and simulations only: it joins patients)."""
    first = cohorts[0]
    return Cohort(
        sum(c.patients for c in cohorts),
        {k: np.concatenate([c.categories[k] for c in cohorts]) for k in first.categories},
        {k: np.concatenate([c.numbers[k] for c in cohorts]) for k in first.numbers},
        {k: BinaryOutcome(np.concatenate([c.binary[k].status for c in cohorts])) for k in first.binary},
        {
            k: SurvivalOutcome(
                np.concatenate([c.survival[k].entry for c in cohorts]),
                np.concatenate([c.survival[k].exit for c in cohorts]),
                np.concatenate([c.survival[k].event for c in cohorts]),
            )
            for k in first.survival
        },
        np.concatenate([c.lost for c in cohorts]),
        np.concatenate([c.places for c in cohorts]),
    )
