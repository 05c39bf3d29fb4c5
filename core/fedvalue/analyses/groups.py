"""Public groups: every combination of the levels of some variables, and one group of the unknown."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort
from fedvalue.study.cohort import Variable

EVERYBODY = "all"
UNKNOWN_GROUP = "unknown"


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups by some categorical variables.

    Attributes:
      by: Variable names; empty for one group of everybody.
      levels: Levels of each variable.
    """

    by: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, by: tuple[str, ...], variables: Mapping[str, Variable]) -> Groups:
        """Return the groups of a study's variables ``by``."""
        return cls(by, tuple(tuple(variables[name].levels) for name in by))

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the levels; the last one is ``unknown``, unless there is one group only."""
        if not self.by:
            return (EVERYBODY,)
        combinations = itertools.product(*self.levels)
        named = (", ".join(f"{v}={level}" for v, level in zip(self.by, c, strict=True)) for c in combinations)
        return (*named, UNKNOWN_GROUP)

    def index(self, cohort: Cohort) -> NDArray[np.int64]:
        """Return each patient's group, shape ``(n,)``, 0 to ``len(names) - 1``.

        A level outside the public ones, or a variable that the site lacks, puts the patient in ``unknown``.
        """
        group = np.zeros(cohort.patients, dtype=np.int64)
        known = np.ones(cohort.patients, dtype=bool)
        for name, levels in zip(self.by, self.levels, strict=True):
            codes = cohort.categories.get(name)
            if codes is None:
                known[:] = False
                continue
            known &= (codes >= 0) & (codes < len(levels))
            group = group * len(levels) + np.where(known, codes, 0)
        return np.where(known, group, len(self.names) - 1)
