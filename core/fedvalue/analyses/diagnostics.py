"""What every study checks about its own data: attrition, missing values, follow-up, balance, in one release.

A patient of the site who is not selected fills the one cell of the step that left the patient out. A selected
patient fills the last of these cells, one cell for each value that is missing, one of
quarter of the follow-up x {event, censored} for each time, and for balance one cell of its group, of each
variable's level within the group, and ``y`` and ``2 y^2 - 1`` of each number y scaled to [-1, 1]. Bounds: 1
for attrition and groups, the number of things that can be missing, of times, of variables with levels and of
numbers for the others, twice that for the powers. `checks` has the other half.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.checks import Scaled, apart, part_of, standardised
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.moments import chebyshev
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.score import refused, share
from fedvalue.privacy.release import Block

LABEL = "diagnostics"
QUARTERS = 4
WEIGHTS = {
    "attrition": 2, "missing": 3, "follow_up": 2, "groups": 1, "levels": 3, "known": 1, "moments": 3,
}  # fmt: skip
"""Shares of the budget of the blocks that a study has, in proportion."""


@dataclass(frozen=True, slots=True)
class DiagnosticsOfStudy:
    """The analysis that every study has besides its own.

    Attributes:
      steps: What each step of the selection demands, in words; the first is the index.
      categories: Variables with levels, and these.
      numbers: Numeric variables.
      outcomes: Binary endpoints.
      times: Time-to-event endpoints and their horizon in days.
      balance: Groups that are compared, by one variable; by none where nothing is.
    """

    steps: tuple[str, ...]
    categories: tuple[tuple[str, tuple[str, ...]], ...]
    numbers: tuple[Quantity, ...]
    outcomes: tuple[str, ...]
    times: tuple[tuple[str, float], ...]
    balance: Groups

    @property
    def label(self) -> str:
        """Unique in the study."""
        return LABEL

    @property
    def items(self) -> tuple[str, ...]:
        """What can be missing."""
        named = [name for name, _ in self.categories] + [number.name for number in self.numbers]
        return (*named, *self.outcomes, *(name for name, _ in self.times))

    @property
    def compared(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Variables with levels whose balance is looked at."""
        return tuple(item for item in self.categories if item[0] not in self.balance.by)

    def rounds(self) -> tuple[Ask, ...]:
        """One release."""
        count, numbers = len(self.balance.names), len(self.numbers)
        levels = sum(len(levels) for _, levels in self.compared)
        sizes = {"attrition": (len(self.steps) + 1, 1), "missing": (len(self.items), len(self.items))}
        sizes["follow_up"] = (len(self.times) * QUARTERS * 2, len(self.times))
        if self.balance.by and (self.numbers or self.compared):
            sizes |= {
                "groups": (count, 1), "levels": (count * levels, len(self.compared)),
                "known": (count * numbers, numbers), "moments": (count * numbers * 2, 2 * numbers),
            }  # fmt: skip
        sizes = {name: size for name, size in sizes.items() if size[0]}
        blocks = tuple(
            Block(name, dimension, Fraction(bound), counting=name != "moments")
            for name, (dimension, bound) in sizes.items()
        )
        whole = sum(WEIGHTS[name] for name in sizes)
        return (Ask("checks", blocks, tuple(Fraction(WEIGHTS[name], whole) for name in sizes)),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients, those who were not selected too."""
        n, asked = cohort.patients, {block.name: block.dimension for block in ask.blocks}
        last = len(self.steps)
        out = np.where((cohort.lost >= 0) & (cohort.lost < last), cohort.lost, -1)
        reached = np.concatenate([out, np.full(n, last)])
        found = {"attrition": tally.counts(reached, last + 1, scaling["attrition"])}
        if "missing" in asked:
            counts = np.array([np.count_nonzero(self._missing(cohort, item)) for item in self.items])
            found["missing"] = counts.astype(np.int64) * int(scaling["missing"])
        if "follow_up" in asked:
            cells = [
                tally.counts(self._quarter(cohort, name, horizon), QUARTERS * 2, scaling["follow_up"])
                for name, horizon in self.times
            ]
            found["follow_up"] = np.concatenate(cells)
        return found | self._balance(cohort, asked, scaling)

    def _balance(
        self, cohort: Cohort, asked: dict[str, int], scaling: Scaling
    ) -> dict[str, NDArray[np.int64]]:
        found: dict[str, NDArray[np.int64]] = {}
        group = self.balance.index(cohort)
        count, numbers = len(self.balance.names), len(self.numbers)
        if "groups" in asked:
            found["groups"] = tally.counts(group, count, scaling["groups"])
        if "levels" in asked:
            parts = []
            for name, levels in self.compared:
                code = cohort.categories.get(name, np.full(cohort.patients, -1))
                known = (code >= 0) & (code < len(levels))
                cell = np.where(known, group * len(levels) + np.where(known, code, 0), -1)
                parts.append(tally.counts(cell, count * len(levels), scaling["levels"]))
            found["levels"] = np.concatenate(parts)
        if "known" in asked:
            values = [number.scaled(number.values(cohort)) for number in self.numbers]
            at = [np.where(np.isfinite(y), group * numbers + i, -1) for i, y in enumerate(values)]
            size = count * numbers
            found["known"] = tally.counts(np.concatenate(at), size, scaling["known"])
            found["moments"] = np.concatenate(
                [
                    np.sum(
                        [tally.sums(chebyshev(y, k), cell, size, scaling["moments"])
                         for y, cell in zip(values, at, strict=True)], axis=0,
                    )
                    for k in (1, 2)
                ]
            )  # fmt: skip
        return found

    def _missing(self, cohort: Cohort, item: str) -> NDArray[np.bool_]:
        """Tell of whom a value is missing; of everybody where the site lacks it."""
        everybody = np.ones(cohort.patients, dtype=bool)
        levels = dict(self.categories).get(item)
        if levels is not None:
            code = cohort.categories.get(item)
            return everybody if code is None else (code < 0) | (code >= len(levels))
        if item in self.outcomes:
            outcome = cohort.binary.get(item)
            return everybody if outcome is None else (outcome.status != 0) & (outcome.status != 1)
        if item in dict(self.times):
            time = cohort.survival.get(item)
            return everybody if time is None else ~(np.isfinite(time.exit) & (time.event >= 0))
        values = cohort.numbers.get(item)
        return everybody if values is None else ~np.isfinite(values)

    def _quarter(self, cohort: Cohort, name: str, horizon: float) -> NDArray[np.int64]:
        """Cell of quarter x {censored, event}, -1 past the horizon or unknown."""
        time = cohort.survival.get(name)
        if time is None:
            return np.full(cohort.patients, -1)
        inside = np.isfinite(time.exit) & (time.event >= 0) & (time.exit < horizon) & (time.exit >= 0)
        quarter = np.floor(np.where(inside, time.exit, 0.0) / horizon * QUARTERS).clip(0, QUARTERS - 1)
        return np.where(inside, quarter.astype(np.int64) * 2 + (time.event > 0), -1)

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Say what was lost, what is missing, how long people were followed and how groups differ."""
        released = sum_of(self.rounds()[0])
        return Conclusion(
            label=LABEL, kind=LABEL, endpoint="cohort", by=self.balance.by,
            strata=(self._everybody(released, terms), *self._groups(released, terms)),
            notes=("Checks on the data, from the standing share of the study's budget.",),
        )  # fmt: skip

    def _everybody(self, released: NoisySum, terms: Terms) -> Stratum:
        cells, noise = released["attrition"].values, released["attrition"].variance
        selected = Released(value=float(cells[-1]), noise_variance=noise)
        stated = {"patients": selected}
        stated |= {
            f"left out: {step}": Released(value=float(v), noise_variance=noise)
            for step, v in zip(self.steps, cells, strict=False)
        }
        if (refusal := refused(EVERYBODY, selected, terms, stated)) is not None:
            return refusal
        estimates: dict[str, Estimate] = {}
        whole = float(cells.sum())
        for i, step in enumerate(self.steps, start=1):
            if whole > 0:
                left = float(cells[i:].sum())
                estimates[f"left after: {step}"] = share(
                    left, whole, noise, inside=len(cells) - i, cells=len(cells)
                )
        if "missing" in released:
            block = released["missing"]
            for item, value in zip(self.items, block.values.tolist(), strict=True):
                estimates[f"missing: {item}"] = part_of(value, selected.value, block.variance, noise)
        if "follow_up" in released:
            estimates |= self._followed(released, selected)
        return Stratum(name=EVERYBODY, status="estimated", released=stated, estimates=estimates)

    def _followed(self, released: NoisySum, selected: Released) -> dict[str, Estimate]:
        """Share not lost to follow-up before each quarter of the horizon."""
        block, found = released["follow_up"], {}
        for (name, horizon), cells in zip(
            self.times, block.values.reshape(len(self.times), QUARTERS, 2), strict=True
        ):
            for quarter in range(1, QUARTERS + 1):
                lost = part_of(
                    float(cells[:quarter, 0].sum()), selected.value, quarter * block.variance,
                    selected.noise_variance,
                )  # fmt: skip
                found[f"followed to day {horizon * quarter / QUARTERS:g} or an event: {name}"] = Estimate(
                    value=1 - lost.value, unit=lost.unit,
                    lower=None if lost.upper is None else 1 - lost.upper,
                    upper=None if lost.lower is None else 1 - lost.lower,
                    sampling_variance=lost.sampling_variance, privacy_variance=lost.privacy_variance,
                )  # fmt: skip
        return found

    def _groups(self, released: NoisySum, terms: Terms) -> list[Stratum]:
        if "groups" not in released:
            return []
        block = released["groups"]
        sizes = [Released(value=float(v), noise_variance=block.variance) for v in block.values]
        strata = []
        for g, name in enumerate(self.balance.names[:-1]):
            stated = {"patients": sizes[g]}
            refusal = refused(name, sizes[g], terms, stated)
            if refusal is None and g and refused(name, sizes[0], terms, stated) is None:
                estimates = self._differences(released, g)
                strata.append(Stratum(name=name, status="estimated", released=stated, estimates=estimates))
            else:
                strata.append(refusal or Stratum(name=name, status="estimated", released=stated))
        return strata

    def _differences(self, released: NoisySum, g: int) -> dict[str, Estimate]:
        """Group g against the first: standardised differences of numbers, differences of shares."""
        found: dict[str, Estimate] = {}
        count, numbers = len(self.balance.names), len(self.numbers)
        if numbers:
            known = released["known"].values.reshape(count, numbers)
            sums = released["moments"].values.reshape(2, count, numbers)
            noise = (released["known"].variance, released["moments"].variance)
            for i, number in enumerate(self.numbers):
                pair = [
                    Scaled(float(known[h, i]), float(sums[0, h, i]), float(sums[1, h, i]), *noise)
                    for h in (g, 0)
                ]
                if (value := standardised(*pair)) is not None:
                    found[f"difference in {number.name}"] = value
        at = 0
        for name, levels in self.compared:
            block, width = released["levels"], len(levels)
            table = block.values[at : at + count * width].reshape(count, width)
            at += count * width
            if min(table[g].sum(), table[0].sum()) <= 0:
                continue
            for i, level in enumerate(levels):
                one, other = (
                    share(float(table[h, i]), float(table[h].sum()), block.variance, inside=1, cells=width)
                    for h in (g, 0)
                )
                found[f"difference in {name}={level}"] = apart(one, other)
        return found
