"""The effect of a treatment: what patients contribute, round by round.

1. ``pilot``, for a time only: numbers at risk and events by arm, for pseudo-values (`pseudo`).
2. ``start``: by arm ``x x'``, ``x y`` and ``2 y^2 - 1`` with y on a public range: the outcome models, balance
   before, and the first step of the propensity model.
3. ``step_2`` to ``step_4``: Newton steps of the propensity model (`newton`): score and curvature.
4. ``effect``: influence values, their squares and slopes (`influence`), weighted rows for balance after,
   propensities by tenth, and where the study asks for them effects by subgroup and negative controls.

A patient is in one arm and in one level of a subgroup. With R^2 the longest squared row (`design`), Y the
largest outcome and K the largest influence value the squared bounds are R^4, R^2 Y^2 and 1 (start), R^2 and
R^4 (steps), and for ``effect`` 2, 3, 1, 16 R^2 (longer slopes are shrunk), R^2 + 1, 1; subgroups 2 V and V
for V variables; controls L for L of them. `effect_terms` has the other half.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import newton
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.arms import Arms, Compared, Response, compared
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.design import Design, packed, packed_size, unpacked
from fedvalue.analyses.effect_terms import Fit, Found, concluded
from fedvalue.analyses.estimate import Conclusion
from fedvalue.analyses.families import predictor
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.influence import OVERLAP_BINS, Nuisance, influence
from fedvalue.analyses.newton import Search, Told
from fedvalue.analyses.row_sums import row_sums
from fedvalue.privacy.release import Block

Array = NDArray[np.float64]
STEPS = ("step_2", "step_3", "step_4")
LONGEST_SLOPE = 16
"""Squared bound of the slopes over that of a row."""

WEIGHTS = {
    "influence": 6, "squares": 2, "cells": 1, "overlap": 1, "slopes": 2, "weighted": 1, "by_subgroup": 3,
    "in_subgroup": 1, "subgroup_slopes": 1, "controls": 3,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TreatmentEffectAnalysis:
    """The analysis ``kind = "treatment_effect"`` without a grace period.

    Attributes:
      arms: Who is compared.
      response: What is measured.
      design: Covariates, with intercept.
      largest: K, on the public range of the outcome.
      subgroups: Groups by one variable each.
      together: True where all statements about subgroups err in 5 % together (Bonferroni).
      controls: Names of negative controls.
      protocol: Sentences about the target trial.
    """

    arms: Arms
    response: Response
    design: Design
    largest: float
    subgroups: tuple[Groups, ...] = ()
    together: bool = True
    controls: tuple[str, ...] = ()
    protocol: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Unique in the study."""
        arms = f"{self.arms.levels[self.arms.treated]} or {self.arms.levels[self.arms.control]}"
        return ":".join(("treatment_effect", self.response.name, f"{self.arms.variable} {arms}"))

    def rounds(self) -> tuple[Ask, ...]:
        """The pilot of a time; the start; three steps; the effect."""
        p, longest, pilot = len(self.design.names), self.design.longest, self.response.public_size
        highest = Fraction(max(abs(end) for end in self.response.range)) ** 2
        one, packing = Fraction(1), packed_size(p)
        asks = []
        if self.response.time is not None:
            (ask,) = self.response.time.curves.rounds()
            counted = Block("arms", 2, one, counting=True)
            asks.append(
                Ask(
                    "pilot",
                    (*ask.blocks, counted),
                    (*(w * Fraction(9, 10) for w in ask.weights), Fraction(1, 10)),
                )
            )
        start = (
            (Block("gram", 2 * packing, longest**2, counting=False), 4),
            (Block("outcome", 2 * p, longest * highest, counting=False), 4),
            (Block("spread", 2, one, counting=False), 1),
            (Block("counts", 3, one, counting=True), 1),
        )
        asks.append(_ask("start", start, pilot))
        for label in STEPS:
            blocks = (
                (Block("score", p, longest, counting=False), 1),
                (Block("curvature", packing, longest**2, counting=False), 1),
            )
            asks.append(_ask(label, blocks, pilot + p))
        asks.append(self._effect(p, longest, pilot))
        return tuple(asks)

    def _effect(self, p: int, longest: Fraction, pilot: int) -> Ask:
        one, levels = Fraction(1), sum(len(groups.names) for groups in self.subgroups)
        sizes = {
            "influence": (2, 2 * one, False), "squares": (3, 3 * one, False), "cells": (3, one, True),
            "overlap": (2 * OVERLAP_BINS, one, True), "slopes": (4 * p, LONGEST_SLOPE * longest, False),
            "weighted": (2 * (p + 1), longest + 1, False),
        }  # fmt: skip
        if levels:
            sizes["by_subgroup"] = (2 * levels, 2 * one * len(self.subgroups), False)
            sizes["in_subgroup"] = (levels, one * len(self.subgroups), True)
            sizes["subgroup_slopes"] = (4 * p * levels, LONGEST_SLOPE * longest * len(self.subgroups), False)
        if self.controls:
            sizes["controls"] = (2 * len(self.controls), one * len(self.controls), False)
        blocks = tuple(
            (Block(name, size, bound, counting=counting), WEIGHTS[name])
            for name, (size, bound, counting) in sizes.items()
        )
        return _ask("effect", blocks, pilot + 3 * p)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Sum the patients' rows; who is in neither arm or lacks a value adds to a count only."""
        if ask.label == "pilot" and self.response.time is not None:
            return self._pilot(cohort, ask, scaling)
        sent = np.array(ask.public)
        pilot, sent = sent[: self.response.public_size], sent[self.response.public_size :]

        def rows(part: slice) -> dict[str, Array]:
            some = compared(self.arms, self.response, self.design, cohort, part, pilot)
            if ask.label == "start":
                return self._start_rows(some)
            if ask.label == "effect":
                return self._effect_rows(some, cohort, part, sent.reshape(3, -1))
            chance = 1 / (1 + np.exp(-predictor(some.rows, sent)))
            return {
                "score": some.rows * (some.treated - chance)[:, None],
                "curvature": packed(some.rows, 4 * chance * (1 - chance)),
            }

        return row_sums(cohort.patients, rows, ask, scaling)

    def _pilot(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        if self.response.time is None:
            return {}
        curves = self.response.time.curves
        found = curves.contribution(cohort, ask, scaling)
        treated, inside = self.arms.of(cohort, slice(0, cohort.patients))
        outcome = cohort.survival.get(curves.endpoint)
        counts = inside & curves.cells(outcome)[3] if outcome is not None else np.zeros_like(inside)
        by_arm = [np.count_nonzero(counts & (treated == arm)) for arm in (0, 1)]
        return {**found, "arms": np.array(by_arm, dtype=np.int64) * int(scaling["arms"])}

    def _start_rows(self, some: Compared) -> dict[str, Array]:
        a, out = some.treated, ~some.counts
        gram = packed(some.rows, np.ones(len(a)))
        product, power = (
            some.rows * some.outcome[:, None],
            (2 * _unit(some, self.response) ** 2 - 1) * some.counts,
        )
        arms = [(some.counts & (a == arm)).astype(np.float64) for arm in (0, 1)]
        return {
            "gram": np.column_stack([gram * arm[:, None] for arm in arms]),
            "outcome": np.column_stack([product * arm[:, None] for arm in arms]),
            "spread": np.column_stack([power * arm for arm in arms]),
            "counts": np.column_stack([*arms, out]),
        }

    def _effect_rows(self, some: Compared, cohort: Cohort, part: slice, sent: Array) -> dict[str, Array]:
        k, counts, a = self.largest, some.counts.astype(np.float64), some.treated
        found = influence(some, Nuisance(*sent), k, self.response.range)
        one, other = found.values[:, 0] / k, found.values[:, 1] / k
        apart = (one - other) / 2
        arms = [(counts * (a == arm))[:, None] for arm in (0, 1)]
        weighted = np.column_stack([some.rows * found.weight[:, None], found.weight**2])
        tenth = np.equal.outer(found.bin, np.arange(OVERLAP_BINS)).astype(np.float64)
        rows = {
            "influence": np.column_stack([one, other]),
            "squares": (2 * np.column_stack([one, other, apart]) ** 2 - 1) * counts[:, None],
            "cells": np.column_stack([counts * ~found.clipped, counts * found.clipped, 1 - counts]),
            "overlap": np.column_stack([tenth * arm for arm in arms]),
            "slopes": found.slopes,
            "weighted": np.column_stack([weighted * arm for arm in arms]),
        }
        if self.subgroups:
            sums, sizes = [], []
            for groups in self.subgroups:
                member = (
                    np.equal.outer(_levels(groups, cohort, part), np.arange(len(groups.names)))
                    * counts[:, None]
                )
                sums += [member * apart[:, None], member * (2 * apart**2 - 1)[:, None]]
                sizes.append(member)
            members = np.column_stack(sizes)
            slopes = _shrunk(found.slopes, float(LONGEST_SLOPE * self.design.longest) ** 0.5)
            rows |= {
                "by_subgroup": np.column_stack(sums),
                "in_subgroup": members,
                "subgroup_slopes": (members[:, :, None] * slopes[:, None, :]).reshape(len(a), -1),
            }
        if self.controls:
            had = (
                np.column_stack([_had(name, cohort, part) for name in self.controls]) * found.weight[:, None]
            )
            rows["controls"] = np.column_stack([had * arm for arm in arms])
        return rows

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Fit outcome and propensity models, ask for the effect at them, and say what it is."""
        asks = list(self.rounds())
        pilot: tuple[float, ...] = ()
        if self.response.time is not None:
            pilot = self._pilot_numbers(sum_of(asks.pop(0)), terms)
        start = sum_of(asks.pop(0).given(pilot))
        fit = self._fit(start)
        search = fit.propensity
        for _ in STEPS:
            released = sum_of(asks.pop(0).given((*pilot, *search.at.tolist())))
            search = newton.step(search, self._told(released))
        fit = replace(fit, propensity=search)
        sent = (*pilot, *search.at.tolist(), *fit.treated.tolist(), *fit.control.tolist())
        return concluded(
            Found(
                label=self.label, response=self.response, design=self.design, largest=self.largest,
                groups=self.subgroups, together=self.together, controls=self.controls, arms=self.arms,
                protocol=self.protocol, start=start, effect=sum_of(asks.pop(0).given(sent)), fit=fit,
            ),
            terms,
        )  # fmt: skip

    def _pilot_numbers(self, released: NoisySum, terms: Terms) -> tuple[float, ...]:
        if self.response.time is None:
            return ()
        time = self.response.time
        tables = time.curves.tables(released, terms.exact)
        patients = released["arms"].values
        return time.public(
            (tables[self.arms.control], tables[self.arms.treated]), (float(patients[0]), float(patients[1]))
        )

    def _fit(self, start: NoisySum) -> Fit:
        """Outcome models by least squares in each arm, and the first step of the propensity model."""
        p = len(self.design.names)
        gram = start["gram"].values.reshape(2, -1)
        control, treated = (unpacked(packing, p) for packing in gram)
        products, variance = start["outcome"].values.reshape(2, p), start["gram"].variance
        models = [
            _solved(newton.lifted(matrix, variance), product)
            for matrix, product in zip((control, treated), products, strict=True)
        ]
        whole = control + treated
        # at coefficients of 0 the score is the sum of x (A - 1/2), and the curvature a quarter of x x'
        step = _solved(newton.lifted(whole / 4, variance / 8), treated[:, 0] - whole[:, 0] / 2)
        search = newton.begin(step, whole / 4, variance / 8)
        return Fit(search, models[1], models[0], treated, control)

    def _told(self, released: NoisySum) -> Told:
        score, curvature = released["score"], released["curvature"]
        matrix = unpacked(curvature.values, len(self.design.names)) / 4
        return Told(score.values, score.variance, matrix, curvature.variance / 16)


def _ask(label: str, blocks: tuple[tuple[Block, int], ...], public: int) -> Ask:
    whole = sum(weight for _, weight in blocks)
    weights = tuple(Fraction(weight, whole) for _, weight in blocks)
    return Ask(label, tuple(block for block, _ in blocks), weights, public)


def _solved(matrix: Array, right: Array) -> Array:
    return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)


def _unit(some: Compared, response: Response) -> Array:
    """The outcome between -1 and 1 over its public range."""
    low, high = response.range
    return np.clip((some.outcome - low) / (high - low) * 2 - 1, -1.0, 1.0)


def _shrunk(rows: Array, longest: float) -> Array:
    """Rows no longer than ``longest``, as quantising them would leave them."""
    length = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    shrunk: Array = rows * np.minimum(1.0, longest / np.maximum(length, 1e-300))
    return shrunk


def _levels(groups: Groups, cohort: Cohort, part: slice) -> NDArray[np.int64]:
    n = len(range(*part.indices(cohort.patients)))
    codes = {name: values[part] for name, values in cohort.categories.items() if name in groups.by}
    return groups.index(Cohort(n, codes))


def _had(name: str, cohort: Cohort, part: slice) -> Array:
    n = len(range(*part.indices(cohort.patients)))
    found = cohort.binary.get(name)
    return np.zeros(n) if found is None else (found.status[part] == 1).astype(np.float64)


__all__ = ["STEPS", "Search", "TreatmentEffectAnalysis"]
