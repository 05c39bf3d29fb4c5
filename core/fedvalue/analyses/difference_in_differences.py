"""Difference in differences: how much more a number changed where a policy applied than where it did not.

Patients are counted by group (where it applies, where it does not) and by time (early before, late before,
after the change), each in one cell; means and variances of the cells give the difference of the differences
and a placebo of the same kind within the time before, which should be nothing if both groups would have moved
alike. The estimand is the effect on those it applies to, under parallel trends.

Card, Krueger. Minimum wages and employment. American Economic Review 84 (1994) 772-793. The saturated model
has the cell means as coefficients, and its robust variance (White 1980) is the sum of theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.moments import Sums, chebyshev
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.score import Z95, refused
from fedvalue.privacy.release import Block

WEIGHTS = {"patients": Fraction(35, 100), "first": Fraction(45, 100), "second": Fraction(20, 100)}
TIMES = ("early before", "late before", "after")
PARALLEL = "It is an effect only if both groups would have moved alike; the placebo should be near nothing."


@dataclass(frozen=True, slots=True)
class DifferenceInDifferences:
    """The analysis ``kind = "difference_in_differences"``.

    Attributes:
      quantity: What is compared.
      groups: Groups by one variable.
      applies: Position of the level where the policy applies.
      compared: Position of the level that it is compared with.
      calendar: Variable with the calendar day of the index day.
      edges: Calendar days: first, middle of the time before, change, last; the last one included.
    """

    quantity: Quantity
    groups: Groups
    applies: int
    compared: int
    calendar: str
    edges: tuple[float, float, float, float]

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("difference_in_differences", self.quantity.name, *self.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release of counts and moments in six cells."""
        blocks = tuple(
            Block(name, 2 * len(TIMES), Fraction(1), counting=name == "patients") for name in WEIGHTS
        )
        return (Ask("cells", blocks, tuple(WEIGHTS.values())),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients and add up their values, cell by cell."""
        del ask
        days = cohort.numbers.get(self.calendar, np.full(cohort.patients, np.nan))
        values, group = self.quantity.values(cohort), self.groups.index(cohort)
        first, middle, change, last = self.edges
        with np.errstate(invalid="ignore"):
            counted = (days >= first) & (days <= last) & np.isfinite(values)
            time = np.select([days >= change, days >= middle], [2, 1], default=0)
        side = np.select([group == self.applies, group == self.compared], [0, 1], default=-1)
        cell = np.where(counted & (side >= 0), side * len(TIMES) + time, -1)
        y, size = self.quantity.scaled(values), 2 * len(TIMES)
        return {
            "patients": tally.counts(cell, size, scaling["patients"]),
            "first": tally.sums(chebyshev(y, 1), cell, size, scaling["first"]),
            "second": tally.sums(chebyshev(y, 2), cell, size, scaling["second"]),
        }

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy cells into the difference of the differences and its placebo."""
        released = sum_of(self.rounds()[0])
        return Conclusion(
            label=self.label, kind="difference_in_differences", endpoint=self.quantity.name,
            by=self.groups.by, strata=(self._stratum(released, terms),), notes=(PARALLEL,),
        )  # fmt: skip

    def _stratum(self, released: NoisySum, terms: Terms) -> Stratum:
        counts = released["patients"].values.reshape(2, len(TIMES))
        v = released["patients"].variance
        stated = {
            f"{name}, {time}": Released(value=float(counts[s, t]), noise_variance=v)
            for s, name in enumerate(self._names)
            for t, time in enumerate(TIMES)
        }
        for s in range(2):
            for columns in ([0, 1], [2]):
                n = Released(value=float(counts[s, columns].sum()), noise_variance=v * len(columns))
                if (refusal := refused(EVERYBODY, n, terms, stated)) is not None:
                    return refusal
        applies, compared = (
            (self._sums(released, s, [0, 1]), self._sums(released, s, [2])) for s in range(2)
        )
        estimates = {
            "difference in differences": self._contrast((*applies, *compared)),
            f"mean before, {self._names[0]}": self._mean(applies[0]),
            f"mean after, {self._names[0]}": self._mean(applies[1]),
            f"mean before, {self._names[1]}": self._mean(compared[0]),
            f"mean after, {self._names[1]}": self._mean(compared[1]),
        }
        early = [Released(value=float(counts[s, t]), noise_variance=v) for s in range(2) for t in range(2)]
        if all(refused(EVERYBODY, n, terms, {}) is None for n in early):
            cells = tuple(self._sums(released, s, [t]) for s in range(2) for t in range(2))
            estimates["placebo before the change"] = self._contrast(cells)
        return Stratum(name=EVERYBODY, status="estimated", released=stated, estimates=estimates)

    @property
    def _names(self) -> tuple[str, str]:
        return self.groups.names[self.applies], self.groups.names[self.compared]

    def _sums(self, released: NoisySum, side: int, times: list[int]) -> Sums:
        at = [side * len(TIMES) + time for time in times]
        many = len(times)
        return Sums(
            float(released["patients"].values[at].sum()), released["patients"].variance * many,
            tuple(float(released[p].values[at].sum()) for p in ("first", "second")),
            tuple(released[p].variance * many for p in ("first", "second")),
        )  # fmt: skip

    def _mean(self, sums: Sums) -> Estimate:
        return sums.mean_in(self.quantity.middle, self.quantity.half, self.quantity.unit)

    def _contrast(self, cells: tuple[Sums, ...]) -> Estimate:
        """Return (second - first) - (fourth - third) of four cell means."""
        half = self.quantity.half
        first, second, third, fourth = (cell.mean for cell in cells)
        value = half * ((second - first) - (fourth - third))
        sampling = half**2 * sum(cell.believed_variance / cell.n for cell in cells)
        privacy = half**2 * sum(cell.mean_noise for cell in cells)
        reach = Z95 * math.sqrt(sampling + privacy)
        return Estimate(
            value=value, unit=self.quantity.unit, lower=value - reach, upper=value + reach,
            sampling_variance=sampling, privacy_variance=privacy,
        )  # fmt: skip
