"""Tested beside untested patients, weighted by the inverse probability of being tested.

Testing is not drawn by lot: who is young or treated at a university hospital is tested more often, and who
dies early never is. Within strata of public variables each patient's time is split at the report: before it
the patient is *not (yet) tested* and followed from day zero, after it *tested*, entering on that day. If
testing depends on the strata alone, the curve of either arm in a stratum stands for everybody of the stratum,
and adding the strata up by the number of all their patients weights each arm by the inverse of its
probability (a saturated model; see `standardised`). Nobody is immortal until tested, and no weight grows past
a bound: a stratum in which an arm cannot be told from noise is left out, and its share is stated.

A patient's squared bound is that of two survival curves and one count.

Robins, J. M., Finkelstein, D. M. Correcting for noncompliance and dependent censoring in an AIDS clinical
trial with inverse probability of censoring weighted log-rank tests. Biometrics 56 (2000) 779-788.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import life_table, tally
from fedvalue.analyses.analysis import NoisySum, Scaling, Terms
from fedvalue.analyses.cohort import UNKNOWN, Cohort, SurvivalOutcome
from fedvalue.analyses.effect_terms import normal
from fedvalue.analyses.estimate import Estimate, Released, Stratum
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup, remedy_half_way
from fedvalue.analyses.life_table import SurvivalEstimate
from fedvalue.analyses.score import Z95, inside, refused, share
from fedvalue.analyses.standardised import Part, standardised, survival_at, whole_curve
from fedvalue.privacy.release import Block

Array = NDArray[np.float64]
ARMS = ("tested", "waiting")
WEIGHTED = "weighted by testing"
SPLIT = (
    "Weighted by the inverse probability of being tested in each group of the weights; until their report "
    "patients count as not tested. What the weights do not name is not adjusted for."
)


@dataclass(frozen=True, slots=True)
class TestingWeights:
    """Strata of `DelayedEntryTest` by which testing is weighted.

    Attributes:
      curves: Endpoint, grid, days and strata.
      tested: Name of a variant variable.
      untested_level: Index of its level ``not tested``.
    """

    __test__ = False  # a name that begins so is a test to pytest

    curves: KaplanMeierByGroup
    tested: str
    untested_level: int

    def _of(self, arm: str) -> KaplanMeierByGroup:
        """The curves of an arm: who waits has entered at day zero."""
        return replace(self.curves, entry_at_zero=arm == "waiting")

    def blocks(self) -> tuple[tuple[Block, Fraction], ...]:
        """Two curves a stratum, and its size by arm, with their shares of the budget."""
        found = [
            (replace(block, name=f"{arm} {block.name}"), weight * Fraction(9, 20))
            for arm in ARMS
            for ask in self._of(arm).rounds()
            for block, weight in zip(ask.blocks, ask.weights, strict=True)
        ]
        sizes = Block("sizes", 2 * len(self.curves.groups.names), Fraction(1), counting=True)
        return (*found, (sizes, Fraction(1, 10)))

    def contribution(self, cohort: Cohort, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Split each patient's time at the report, and count each arm as survival curves do."""
        nothing = np.zeros(cohort.patients)
        outcome = cohort.survival.get(
            self.curves.endpoint, SurvivalOutcome(nothing, nothing, np.full(cohort.patients, UNKNOWN))
        )
        code = cohort.categories.get(self.tested, np.full(cohort.patients, UNKNOWN))
        with np.errstate(invalid="ignore"):
            tested = (code >= 0) & (code < self.untested_level)
            tested &= np.isfinite(outcome.entry) & (outcome.entry >= 0)
            known = tested | (code == self.untested_level)
            report = np.where(tested, outcome.entry, np.inf)
            first = tested & (report < outcome.exit)
        arms = {
            "tested": SurvivalOutcome(outcome.entry, outcome.exit, np.where(tested, outcome.event, UNKNOWN)),
            "waiting": SurvivalOutcome(
                nothing,
                np.where(first, report, outcome.exit),
                np.where(known, np.where(first & (outcome.event >= 0), 0, outcome.event), UNKNOWN),
            ),
        }
        found: dict[str, NDArray[np.int64]] = {}
        for arm, mine in arms.items():
            curves = self._of(arm)
            (plain,) = curves.rounds()
            sums = curves.contribution(
                Cohort(cohort.patients, cohort.categories, survival={self.curves.endpoint: mine}), plain,
                {block.name: scaling[f"{arm} {block.name}"] for block in plain.blocks},
            )  # fmt: skip
            found |= {f"{arm} {name}": values for name, values in sums.items()}
        counts = known & np.isfinite(outcome.exit) & (outcome.exit >= 0) & (outcome.event >= 0)
        cell = np.where(counts, 2 * self.curves.groups.index(cohort) + tested, -1)
        found["sizes"] = tally.counts(cell, 2 * len(self.curves.groups.names), scaling["sizes"])
        return found

    def strata(self, released: NoisySum, terms: Terms) -> tuple[Stratum, ...]:
        """Return the weighted comparison, then who is tested in each stratum."""
        names, block = self.curves.groups.names, released["sizes"]
        sizes = block.values.reshape(-1, 2)
        patients = [Released(value=float(row.sum()), noise_variance=2 * block.variance) for row in sizes]
        known = range(len(names) - 1)
        groups = []
        for g in known:
            stated = {"patients": patients[g]}
            if (refusal := refused(names[g], patients[g], terms, stated)) is not None:
                groups.append(refusal)
                continue
            told = {"tested": share(float(sizes[g, 1]), patients[g].value, block.variance, inside=1, cells=2)}
            groups.append(Stratum(name=names[g], status="estimated", released=stated, estimates=told))
        usable = [g for g in known if groups[g].status == "estimated"]
        return (self._weighted(released, patients, usable, terms), *groups)

    def _weighted(
        self, released: NoisySum, patients: list[Released], usable: list[int], terms: Terms
    ) -> Stratum:
        everybody = float(sum(one.value for one in patients[:-1]))
        noise = patients[0].noise_variance
        whole = Released(value=everybody, noise_variance=noise * (len(patients) - 1))
        stated = {"patients": whole, "left out": patients[-1]}
        if (refusal := refused(WEIGHTED, whole, terms, stated)) is not None:
            return refusal
        tables = {arm: self._of(arm).tables(_part(released, arm), terms.exact) for arm in ARMS}
        curves = {
            arm: [whole_curve(table, exact=terms.exact) for table in found] for arm, found in tables.items()
        }
        kept = [g for g in usable if all(curves[arm][g] is not None for arm in ARMS)]
        if not kept:
            largest = max(range(len(patients) - 1), key=lambda g: patients[g].value)
            remedy = remedy_half_way(tables["tested"][largest], terms)
            return Stratum(
                name=WEIGHTED, status="not_estimable", reason="privacy", remedy=remedy, released=stated
            )
        size = np.array([patients[g].value for g in kept])
        many, spread = 1 / float(size.sum()), noise / float(size.sum()) ** 2
        both = [[found for g in kept if (found := curves[arm][g]) is not None] for arm in ARMS]

        def told(of: Callable[[SurvivalEstimate], Part], what: str, unit: str) -> dict[str, Estimate]:
            tested, waiting = (np.array([of(curve) for curve in arm]) for arm in both)
            apart = tested * [1, 1, 1] + waiting * [-1, 1, 1]
            weight = size / size.sum()
            difference = "difference of probabilities" if unit == "probability" else unit
            return {
                f"{what} if tested, weighted": _inside(
                    standardised(weight, tested, many, spread), unit, self.curves.edges[-1]
                ),
                f"{what} if not tested, weighted": _inside(
                    standardised(weight, waiting, many, spread), unit, self.curves.edges[-1]
                ),
                f"difference of {what}, weighted": normal(
                    *standardised(weight, apart, many, spread), difference
                ),
            }

        estimates = told(life_table.restricted_mean, "restricted mean", "days")
        for day in self.curves.at:
            estimates |= told(partial(survival_at, day=day), f"survival at day {day:g}", "probability")
        estimates["left out of the weights"] = share(
            everybody - float(size.sum()), everybody, noise, inside=len(patients) - 1 - len(kept),
            cells=len(patients) - 1,
        )  # fmt: skip
        return Stratum(name=WEIGHTED, status="estimated", released=stated, estimates=estimates)


def _part(released: NoisySum, arm: str) -> NoisySum:
    return {
        name.removeprefix(f"{arm} "): block for name, block in released.items() if name.startswith(f"{arm} ")
    }


def _inside(part: Part, unit: str, horizon: float) -> Estimate:
    """A normal interval kept in the range of survival or of a restricted mean."""
    value, sampling, privacy = part
    half = Z95 * math.sqrt(sampling + privacy)
    value, lower, upper = inside(value, half, 0.0, 1.0 if unit == "probability" else horizon)
    return Estimate(
        value=value, unit=unit, lower=lower, upper=upper, sampling_variance=sampling, privacy_variance=privacy
    )
