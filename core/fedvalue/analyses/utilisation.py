"""How often something was done, by group: times per patient, who had it at all, repeats, indication match.

A patient fills one cell of group x {0, 1, .., K times} x {indicated, not}, or the group's unknown cell, so
one patient moves one count by one and every figure is a ratio of sums of cells. What lies past K, the end of
the public clip, counts as K. Catalogue statistic FS8.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally
from fedvalue.analyses.analysis import Ask, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.score import Noise, Sampling, ratio, refused, share
from fedvalue.privacy.release import Block

CAPPED = "Who had it more often than the public limit counts as often as the limit."


@dataclass(frozen=True, slots=True)
class UtilisationByGroup:
    """The analysis ``kind = "utilisation"``.

    Attributes:
      times: How often, a whole number from 0 to its upper end K.
      groups: Public groups.
      indication: Number that is 1 or more where it was indicated; None where nobody asks.
    """

    times: Quantity
    groups: Groups
    indication: Quantity | None = None

    @property
    def label(self) -> str:
        """Unique in the study."""
        asked = () if self.indication is None else ("indication", self.indication.name)
        return ":".join(("utilisation", self.times.name, *self.groups.by, *asked))

    @property
    def _most(self) -> int:
        return int(self.times.high)

    @property
    def _width(self) -> int:
        """Cells of one group: times x indicated or not, then the unknown."""
        return (self._most + 1) * (1 if self.indication is None else 2) + 1

    def rounds(self) -> tuple[Ask, ...]:
        """One release of one-hot counts."""
        cells = Block("cells", len(self.groups.names) * self._width, Fraction(1), counting=True)
        return (Ask("counts", (cells,), (Fraction(1),)),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients in each cell."""
        times = self.times.values(cohort)
        known = np.isfinite(times)
        cell = np.floor(np.where(known, times, 0.0)).astype(np.int64)
        if self.indication is not None:
            reasons = self.indication.values(cohort)
            known &= np.isfinite(reasons)
            cell = cell * 2 + (np.where(known, reasons, 0.0) >= 1)
        flat = self.groups.index(cohort) * self._width + np.where(known, cell, self._width - 1)
        return {"cells": tally.counts(flat, ask.blocks[0].dimension, scaling["cells"])}

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy counts into times per patient and shares, group by group and for everybody."""
        block = sum_of(self.rounds()[0])["cells"]
        table = block.values.reshape(len(self.groups.names), self._width)
        strata = [
            self._stratum(name, row, block.variance, terms)
            for name, row in zip(self.groups.names, table, strict=True)
        ]
        if self.groups.by:
            strata.append(self._stratum(EVERYBODY, table.sum(axis=0), block.variance * len(table), terms))
        return Conclusion(
            label=self.label, kind="utilisation", endpoint=self.times.name, by=self.groups.by,
            strata=tuple(strata), notes=(CAPPED,),
        )  # fmt: skip

    def _stratum(self, name: str, row: NDArray[np.float64], v: float, terms: Terms) -> Stratum:
        cells = row[:-1].reshape(self._most + 1, -1)
        per, missing = cells.shape[1], float(row[-1])
        n = Released(value=float(cells.sum()), noise_variance=cells.size * v)
        stated = {"patients": n, "missing": Released(value=missing, noise_variance=v)}
        if (refusal := refused(name, n, terms, stated)) is not None:
            return refusal
        by_times = cells.sum(axis=1)
        estimates = {
            "times per patient": self._mean(by_times, per * v),
            "with any": share(float(by_times[1:].sum()), n.value, v, inside=self._most * per,
                              cells=cells.size),
        }  # fmt: skip
        tested = Released(value=float(by_times[1:].sum()), noise_variance=self._most * per * v)
        if self._most > 1 and _above_noise(tested):
            estimates["repeated, of those with any"] = share(
                float(by_times[2:].sum()), tested.value, v,
                inside=(self._most - 1) * per, cells=self._most * per,
            )  # fmt: skip
        if self.indication is not None:
            estimates |= _matches(cells, tested, v)
        whole = n.value + missing
        if whole > 0:
            estimates["missing"] = share(missing, whole, v, inside=1, cells=cells.size + 1)
        return Stratum(name=name, status="estimated", released=stated, estimates=estimates)

    def _mean(self, by_times: NDArray[np.float64], v: float) -> Estimate:
        """Times per patient, from counts whose noise variance is ``v`` each."""
        k, n = np.arange(len(by_times), dtype=np.float64), float(by_times.sum())
        top = float(k @ by_times)
        noise = Noise(v * float(k @ k), v * len(k), v * float(k.sum()))
        away = k - top / n
        spread = float(away**2 @ by_times) / n
        believed = max(spread, float((v * (away**4).sum()) ** 0.5) / n) * n / max(n - 1, 1.0)
        return ratio(
            top, n, noise, Sampling(constant=n * believed), unit=f"{self.times.unit} per patient",
            least=0.0, most=float(self._most),
        )  # fmt: skip


def _above_noise(count: Released) -> bool:
    return count.value > 0 and count.noise_variance <= (count.value / 3) ** 2


def _matches(cells: NDArray[np.float64], tested: Released, v: float) -> dict[str, Estimate]:
    """Who was indicated among those who had it, and who had it among the indicated."""
    found, most = {}, len(cells) - 1
    both = float(cells[1:, 1].sum())
    indicated = Released(value=float(cells[:, 1].sum()), noise_variance=(most + 1) * v)
    if _above_noise(tested):
        found["indication match"] = share(both, tested.value, v, inside=most, cells=2 * most)
    if _above_noise(indicated):
        found["with any, of the indicated"] = share(both, indicated.value, v, inside=most, cells=most + 1)
    return found
