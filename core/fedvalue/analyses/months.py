"""Month by month over a public horizon, out of one release: patients, and the mean of a number.

A patient fills one node in each level of a tree over the months of the index day (`dyadic`), and adds its
scaled value to the same nodes of a second tree: one charge pays for every month, for every sum over months
and for the cumulative count. Nobody may be asked again month after month for that.

Dwork, Naor, Pitassi, Rothblum. Differential privacy under continual observation. STOC 2010; the trees are
made consistent as in `dyadic`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import dyadic, tally
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.moments import chebyshev
from fedvalue.analyses.quantity import Quantity
from fedvalue.privacy.release import Block

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calendar:
    """The months of a horizon.

    Attributes:
      variable: Calendar day of the index day, in days since 1970-01-01.
      first: First calendar day of the horizon.
      last: Last one.
    """

    variable: str
    first: float
    last: float

    @property
    def start(self) -> int:
        """The first month, as months since 1970-01."""
        return int(_months(np.array([self.first]))[0])

    @property
    def months(self) -> int:
        """How many months the horizon touches."""
        return int(_months(np.array([self.last]))[0]) - self.start + 1

    @property
    def axis(self) -> str:
        """Unit of the months on the axis of a line."""
        return f"months from {1970 + self.start // 12}-{self.start % 12 + 1:02d}"

    def month_of(self, day: float) -> int:
        """Return the position of a calendar day's month; outside the horizon it is negative or too large."""
        return int(_months(np.array([day]))[0]) - self.start

    def positions(self, cohort: Cohort) -> NDArray[np.int64]:
        """Return each patient's month, -1 outside the horizon or where the day is unknown, shape ``(n,)``."""
        days = cohort.numbers.get(self.variable, np.full(cohort.patients, np.nan))
        with np.errstate(invalid="ignore"):
            inside = (days >= self.first) & (days <= self.last)
        return np.where(inside, _months(np.where(inside, days, self.first)) - self.start, -1)


def _months(days: Array) -> NDArray[np.int64]:
    """Months since 1970-01 of days since 1970-01-01."""
    dates = np.floor(days).astype(np.int64).astype("datetime64[D]")
    return dates.astype("datetime64[M]").astype(np.int64)


@dataclass(frozen=True, slots=True)
class Line:
    """Released months of one group.

    Attributes:
      patients: Noisy count of each month, shape ``(m,)``.
      sums: Noisy sum of the scaled values, shape ``(m,)``; zeros where no number is asked for.
      patients_noise: Noise covariance of ``patients``, shape ``(m, m)``.
      sums_noise: That of ``sums``; the two are independent.
      spread: Variance of a scaled value within a month, as released.
    """

    patients: Array
    sums: Array
    patients_noise: Array
    sums_noise: Array
    spread: float

    def means(self) -> tuple[Array, Array, Array]:
        """Return the scaled mean of each month, its sampling variance, and the noise covariance.

        Shapes ``(m,)``, ``(m,)`` and ``(m, m)``; only where ``patients`` is above 0.
        """
        mean = self.sums / self.patients
        per = np.outer(self.patients, self.patients)
        noise = (self.sums_noise + np.outer(mean, mean) * self.patients_noise) / per
        return mean, self.spread / self.patients, noise


@dataclass(frozen=True, slots=True)
class MonthlyTrees:
    """What is asked of every group.

    Attributes:
      calendar: The horizon.
      groups: Public groups.
      quantity: The number whose mean is followed; None for patients alone.
    """

    calendar: Calendar
    groups: Groups
    quantity: Quantity | None

    @property
    def cells(self) -> int:
        """Leaves of a tree."""
        return dyadic.size_for(self.calendar.months)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Trees of patients and of values, and one sum of squares for each group."""
        size, bound = len(self.groups.names), Fraction(dyadic.levels(self.cells))
        nodes = size * dyadic.nodes(self.cells)
        patients = Block("patients", nodes, bound, counting=True)
        if self.quantity is None:
            return (patients,)
        return (
            patients,
            Block("values", nodes, bound, counting=False),
            Block("squares", size, Fraction(1), counting=False),
        )

    @property
    def weights(self) -> tuple[Fraction, ...]:
        """Shares of the budget of `blocks`."""
        if self.quantity is None:
            return (Fraction(1),)
        return (Fraction(45, 100), Fraction(45, 100), Fraction(10, 100))

    @property
    def of(self) -> str:
        """What is counted month by month: ``patients``, or the name of the number."""
        return "patients" if self.quantity is None else self.quantity.name

    def asks(self) -> tuple[Ask, ...]:
        """One release of the trees."""
        return (Ask("months", self.blocks, self.weights),)

    def strata(self, one: Callable[[str, list[int]], Stratum]) -> tuple[Stratum, ...]:
        """Conclude group by group, and for everybody where there are groups.

        Args:
          one: Concludes a name and the groups that belong to it.
        """
        names = self.groups.names
        found = [one(name, [g]) for g, name in enumerate(names)]
        if self.groups.by:
            found.append(one(EVERYBODY, list(range(len(names)))))
        return tuple(found)

    def contribution(self, cohort: Cohort, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Climb the trees with the site's patients; who has no value counts nowhere."""
        size, cells = len(self.groups.names), self.cells
        group, month = self.groups.index(cohort), self.calendar.positions(cohort)
        counted = month >= 0
        if self.quantity is None:
            leaf = np.where(counted, group * cells + month, -1)
            return {"patients": self._climbed(tally.counts(leaf, size * cells, scaling["patients"]))}
        values = self.quantity.values(cohort)
        counted &= np.isfinite(values)
        leaf = np.where(counted, group * cells + month, -1)
        y = self.quantity.scaled(values)
        return {
            "patients": self._climbed(tally.counts(leaf, size * cells, scaling["patients"])),
            "values": self._climbed(tally.sums(y, leaf, size * cells, scaling["values"])),
            "squares": tally.sums(chebyshev(y, 2), np.where(counted, group, -1), size, scaling["squares"]),
        }

    def _climbed(self, leaves: NDArray[np.int64]) -> NDArray[np.int64]:
        return dyadic.climbed(leaves.reshape(-1, self.cells)).ravel()

    def read(self, released: NoisySum, members: list[int]) -> Line:
        """Return the months of some groups together."""
        many, months = len(members), self.calendar.months
        per_unit = dyadic.covariance(self.cells)[:months, :months]

        def cells_of(name: str) -> tuple[Array, Array]:
            nodes = released[name].values.reshape(len(self.groups.names), -1)[members].sum(axis=0)
            return dyadic.agreed(nodes, self.cells)[:months], per_unit * released[name].variance * many

        patients, patients_noise = cells_of("patients")
        if self.quantity is None:
            return Line(patients, np.zeros(months), patients_noise, np.zeros_like(per_unit), 0.0)
        sums, sums_noise = cells_of("values")
        n = float(patients.sum())
        if n <= 0:
            return Line(patients, sums, patients_noise, sums_noise, 1.0)
        square = (float(released["squares"].values[members].sum()) / n + 1) / 2
        noise_sd = (released["squares"].variance * many) ** 0.5 / (2 * n)
        means = np.divide(sums, patients, out=np.zeros(months), where=patients > 0)
        within = square - float((patients * means**2).sum()) / n
        return Line(patients, sums, patients_noise, sums_noise, min(max(within, noise_sd, 1e-12), 1.0))
