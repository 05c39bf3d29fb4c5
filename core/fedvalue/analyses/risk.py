"""A predicted probability for each patient: a score in the records, or a published model on the variables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort

Array = NDArray[np.float64]
_FAR = 500.0


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a published logistic model.

    Attributes:
      variable: A numeric variable or one with levels; empty for the intercept.
      coefficient: Log odds, of one unit or of the level.
      clip: Public range of a numeric variable.
      levels: Levels of the other kind.
      level: The one that has the coefficient.
    """

    variable: str
    coefficient: float
    clip: tuple[float, float] | None = None
    levels: tuple[str, ...] = ()
    level: str = ""


@dataclass(frozen=True, slots=True)
class Risk:
    """What predicts.

    Attributes:
      score: Numeric variable with the probability; empty for a model.
      terms: Of the model.
    """

    score: str
    terms: tuple[Term, ...] = ()

    @property
    def name(self) -> str:
        """Short name."""
        return self.score or "model"

    def values(self, cohort: Cohort) -> Array:
        """Return each patient's predicted probability, NaN where it is unknown, shape ``(n,)``."""
        unknown = np.full(cohort.patients, np.nan)
        if self.score:
            found = np.asarray(cohort.numbers.get(self.score, unknown), dtype=np.float64)
            return np.where(np.isfinite(found), np.clip(found, 0.0, 1.0), np.nan)
        eta = np.zeros(cohort.patients)
        for term in self.terms:
            eta = eta + term.coefficient * _factor(term, cohort)
        return 1 / (1 + np.exp(-np.clip(eta, -_FAR, _FAR)))


def _factor(term: Term, cohort: Cohort) -> Array:
    """What the coefficient multiplies, NaN where it is unknown."""
    if not term.variable:
        return np.ones(cohort.patients)
    if term.clip is not None:
        values = cohort.numbers.get(term.variable, np.full(cohort.patients, np.nan))
        return np.where(np.isfinite(values), np.clip(values, *term.clip), np.nan)
    code = cohort.categories.get(term.variable, np.full(cohort.patients, -1))
    known = (code >= 0) & (code < len(term.levels))
    return np.where(known, 1.0 * (code == term.levels.index(term.level)), np.nan)
