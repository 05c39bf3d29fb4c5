"""Whom a treatment effect compares and what it measures on them: arms, outcome on a public range, covariates.

The outcome of a patient is a number on a public range: 0 or 1 for a binary endpoint, the place in the clip
for a number, and for a time the pseudo-value of `pseudo`. A patient counts who is in one of the two arms and
has the outcome and every covariate; the others are counted as left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.design import Design
from fedvalue.analyses.outcome import Outcome
from fedvalue.analyses.pseudo import HIGHEST, LOWEST, PseudoValues

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Arms:
    """The two arms.

    Attributes:
      variable: Whose levels they are.
      levels: Its public levels.
      treated: Position of the level of interest.
      control: Position of the other.
    """

    variable: str
    levels: tuple[str, ...]
    treated: int
    control: int

    def of(self, cohort: Cohort, part: slice) -> tuple[Array, Flags]:
        """Return 1 for treated, 0 for control, and who is in either arm, each shape ``(n,)``."""
        n = len(range(*part.indices(cohort.patients)))
        found = cohort.categories.get(self.variable)
        code = np.full(n, -1) if found is None else found[part]
        return (code == self.treated).astype(np.float64), (code == self.treated) | (code == self.control)


@dataclass(frozen=True, slots=True)
class Response:
    """The outcome.

    Attributes:
      plain: A binary endpoint or a number; None for a time.
      time: Pseudo-values of a time; None for the others.
    """

    plain: Outcome | None
    time: PseudoValues | None = None

    @property
    def name(self) -> str:
        """Of the endpoint or variable."""
        return self.plain.name if self.plain else self.time.curves.endpoint if self.time else ""

    @property
    def low(self) -> float:
        """What 0 on the public range stands for, in the outcome's unit."""
        return self.plain.clip[0] if self.plain and self.plain.clip else 0.0

    @property
    def span(self) -> float:
        """What 1 on the public range stands for, less `low`."""
        if self.time:
            return self.time.curves.edges[-1]
        return self.plain.clip[1] - self.plain.clip[0] if self.plain and self.plain.clip else 1.0

    @property
    def unit(self) -> str:
        """Of the outcome."""
        if self.time:
            return "days"
        return self.plain.unit if self.plain and self.plain.clip else "probability"

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value that a patient has."""
        return (LOWEST, HIGHEST) if self.time else (0.0, 1.0)

    @property
    def public_size(self) -> int:
        """How many public numbers the values depend on."""
        return self.time.public_size if self.time else 0

    def values(self, cohort: Cohort, part: slice, treated: Array, public: Array) -> tuple[Array, Flags]:
        """Return outcomes on the public range and who has one, each shape ``(n,)``."""
        if self.plain is not None:
            found, known = self.plain.values(cohort, part)
            return np.clip((found - self.low) / self.span, 0.0, 1.0), known
        n = len(treated)
        if self.time is None or (outcome := cohort.survival.get(self.name)) is None:
            return np.zeros(n), np.zeros(n, dtype=bool)
        some = SurvivalOutcome(outcome.entry[part], outcome.exit[part], outcome.event[part])
        return self.time.values(some, treated, public)


@dataclass(frozen=True, slots=True)
class Compared:
    """Some patients, ready to be summed; who does not count has zeros everywhere.

    Attributes:
      rows: Model rows, shape ``(n, p)``.
      treated: 1 or 0, shape ``(n,)``.
      outcome: On the public range, shape ``(n,)``.
      counts: Who counts, shape ``(n,)``.
    """

    rows: Array
    treated: Array
    outcome: Array
    counts: Flags


def compared(
    arms: Arms, response: Response, design: Design, cohort: Cohort, part: slice, public: Array
) -> Compared:
    """Return some patients of a comparison; ``public`` are the numbers that the outcome depends on."""
    rows, _, known = design.rows(cohort, part)
    treated, inside = arms.of(cohort, part)
    outcome, has = response.values(cohort, part, treated, public)
    counts = known & inside & has
    return Compared(rows * counts[:, None], treated * counts, outcome * counts, counts)
