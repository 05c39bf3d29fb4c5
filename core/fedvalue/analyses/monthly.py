"""A monthly series by group: patients, cumulative patients, and the mean of a number, out of one release.

Intervals of counts hold privacy noise only: they are of the patients in the data. A month whose mean the
noise would drown is left out of that line, and said so. See `months` for the trees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.counts import count
from fedvalue.analyses.estimate import Conclusion, Released, Series, Stratum
from fedvalue.analyses.months import Line, MonthlyTrees
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.score import Noise, Sampling, ratio, refused

LEFT_OUT = "A month with too few released patients has no mean; it is left out of the line."
CHARGED = "One charge covers every month of the horizon."


@dataclass(frozen=True, slots=True)
class MonthlyByGroup:
    """The analysis ``kind = "monthly"``.

    Attributes:
      trees: What is asked.
    """

    trees: MonthlyTrees

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("monthly", self.trees.of, *self.trees.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release of the trees."""
        return self.trees.asks()

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Climb the trees with the site's patients."""
        del ask
        return self.trees.contribution(cohort, scaling)

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy trees into lines with intervals, group by group and for everybody."""
        released = sum_of(self.rounds()[0])
        strata = self.trees.strata(lambda name, members: self._stratum(name, released, members, terms))
        return Conclusion(
            label=self.label, kind="monthly", endpoint=self.trees.of,
            by=self.trees.groups.by, strata=strata,
            notes=(CHARGED,) if self.trees.quantity is None else (CHARGED, LEFT_OUT),
        )  # fmt: skip

    def _stratum(self, name: str, released: NoisySum, members: list[int], terms: Terms) -> Stratum:
        line = self.trees.read(released, members)
        noise = float(line.patients_noise.sum())
        n = Released(value=float(line.patients.sum()), noise_variance=noise)
        stated = {"patients": n}
        if (refusal := refused(name, n, terms, stated)) is not None:
            return refusal
        axis = self.trees.calendar.axis
        months = np.arange(len(line.patients))
        running = line.patients_noise.cumsum(axis=0).cumsum(axis=1)
        series = {
            "patients by month": _counted(months, axis, line.patients, np.diag(line.patients_noise)),
            "cumulative patients": _counted(months, axis, np.cumsum(line.patients), np.diag(running)),
        }
        quantity = self.trees.quantity
        if quantity is not None:
            series[f"{quantity.name} by month"] = mean_line(line, quantity, axis, terms)
        return Stratum(
            name=name, status="estimated", released=stated,
            estimates={"patients": count(n.value, noise)}, series=series,
        )  # fmt: skip


def _counted(
    x: NDArray[np.int64], axis: str, values: NDArray[np.float64], noise: NDArray[np.float64]
) -> Series:
    found = [count(v, w) for v, w in zip(values.tolist(), noise.tolist(), strict=True)]
    return Series(
        x=tuple(x.astype(float).tolist()), x_unit=axis, values=tuple(e.value for e in found), unit="patients",
        lower=tuple(e.lower or 0.0 for e in found), upper=tuple(e.upper or 0.0 for e in found),
        sampling_variance=tuple(0.0 for _ in found),
        privacy_variance=tuple(e.privacy_variance for e in found),
    )  # fmt: skip


def mean_line(line: Line, quantity: Quantity, axis: str, terms: Terms) -> Series:
    """Return the mean of every month that has enough released patients, with Fieller intervals."""
    kept = usable(line, terms)
    found = [
        ratio(
            float(line.sums[t]), float(line.patients[t]),
            Noise(float(line.sums_noise[t, t]), float(line.patients_noise[t, t])),
            Sampling(constant=float(line.patients[t]) * line.spread), unit=quantity.unit,
            least=-1.0, most=1.0,
        )
        for t in kept
    ]  # fmt: skip
    middle, half = quantity.middle, quantity.half
    return Series(
        x=tuple(float(t) for t in kept), x_unit=axis, unit=quantity.unit,
        values=tuple(middle + half * e.value for e in found),
        lower=tuple(middle + half * (-1.0 if e.lower is None else e.lower) for e in found),
        upper=tuple(middle + half * (1.0 if e.upper is None else e.upper) for e in found),
        sampling_variance=tuple(half**2 * e.sampling_variance for e in found),
        privacy_variance=tuple(half**2 * e.privacy_variance for e in found),
    )  # fmt: skip


def usable(line: Line, terms: Terms) -> list[int]:
    """Return the months whose released patients carry a mean: somebody, and above three times their noise."""
    return [
        t
        for t, n in enumerate(line.patients.tolist())
        if n > 0.5 and (terms.exact or n > 3 * math.sqrt(float(line.patients_noise[t, t])))
    ]
