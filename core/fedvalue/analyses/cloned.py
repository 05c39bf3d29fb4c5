"""Starting a treatment within a grace period against not starting: clone, censor, weight.

Until the grace period ends everybody belongs to both arms. Each patient is cloned into both; the clone that
should start is censored at the end of the period if it has not, the other when it starts. Within strata of
the covariates that censoring is independent of the outcome, so the life table of a stratum needs no weight,
and adding up strata by their size is weighting by the inverse of the probability of being uncensored, by a
saturated model. A patient's squared bound is that of two survival curves and one count.

Hernan, Robins. American Journal of Epidemiology 183 (2016) 758-764; Maringe and others. International
Journal of Epidemiology 49 (2020) 1719-1729. The interval takes the arms for independent; clones share their
first days, so it is on the wide side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import life_table, tally
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.effect_terms import normal
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.life_table import RiskTable
from fedvalue.analyses.score import Z95, inside, refused, share
from fedvalue.analyses.standardised import standardised, whole_curve
from fedvalue.privacy.release import Block

Array = NDArray[np.float64]
STARTS, WAITS = "starts", "waits"
CLONED = "Everybody is in both arms until the end of the grace period; clones are censored when they deviate."


@dataclass(frozen=True, slots=True)
class ClonedArms:
    """The analysis ``kind = "treatment_effect"`` with a grace period.

    Attributes:
      curves: Endpoint, grid and strata of the covariates.
      start: Numeric variable with the day of the start.
      within: End of the grace period, in days.
      protocol: Sentences about the target trial.
    """

    curves: KaplanMeierByGroup
    start: str
    within: float
    protocol: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(
            ("treatment_effect", self.curves.endpoint, f"{self.start} within {self.within:g} days")
        )

    def rounds(self) -> tuple[Ask, ...]:
        """One release: two curves a stratum, and its size."""
        (ask,) = self.curves.rounds()
        blocks = [
            replace(block, name=f"{arm} {block.name}") for arm in (STARTS, WAITS) for block in ask.blocks
        ]
        weights = [weight * Fraction(45, 100) for _ in (STARTS, WAITS) for weight in ask.weights]
        strata = Block("patients", len(self.curves.groups.names), Fraction(1), counting=True)
        return (Ask("clones", (*blocks, strata), (*weights, Fraction(1, 10))),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Clone the site's patients, and count each arm as survival curves do."""
        del ask
        (plain,) = self.curves.rounds()
        found: dict[str, NDArray[np.int64]] = {}
        outcome = cohort.survival.get(self.curves.endpoint)
        counts = np.zeros(cohort.patients, dtype=bool)
        if outcome is not None:
            counts = self.curves.cells(outcome)[3]
        for arm in (STARTS, WAITS):
            survival = {} if outcome is None else {self.curves.endpoint: self._clone(cohort, outcome, arm)}
            sums = self.curves.contribution(
                Cohort(cohort.patients, cohort.categories, survival=survival), plain,
                {block.name: scaling[f"{arm} {block.name}"] for block in plain.blocks},
            )  # fmt: skip
            found |= {f"{arm} {name}": values for name, values in sums.items()}
        group = np.where(counts, self.curves.groups.index(cohort), -1)
        found["patients"] = tally.counts(group, len(self.curves.groups.names), scaling["patients"])
        return found

    def _clone(self, cohort: Cohort, outcome: SurvivalOutcome, arm: str) -> SurvivalOutcome:
        """The outcome in one arm; who never starts has an unknown start."""
        raw = cohort.numbers.get(self.start, np.full(cohort.patients, np.nan))
        with np.errstate(invalid="ignore"):
            start = np.where(np.isfinite(raw) & (raw >= 0) & (raw <= outcome.exit), raw, np.inf)
            in_time = start <= self.within
            deviates = in_time if arm == WAITS else ~in_time & (outcome.exit > self.within)
        until = start if arm == WAITS else np.full(cohort.patients, self.within)
        unknown = outcome.event < 0
        return SurvivalOutcome(
            outcome.entry,
            np.where(deviates, until, outcome.exit),
            np.where(deviates & ~unknown, 0, outcome.event),
        )

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy tables into restricted means by arm, standardised over the strata."""
        released = sum_of(self.rounds()[0])
        return Conclusion(
            label=self.label, kind="treatment_effect", endpoint=self.curves.endpoint, by=(),
            strata=(self._everybody(released, terms),), notes=(*self.protocol, CLONED),
        )  # fmt: skip

    def _everybody(self, released: NoisySum, terms: Terms) -> Stratum:
        sizes, noise = released["patients"].values, released["patients"].variance
        known = len(sizes) - 1
        n = Released(value=float(sizes[:known].sum()), noise_variance=known * noise)
        stated = {"patients": n, "left out": Released(value=float(sizes[-1]), noise_variance=noise)}
        if (refusal := refused(EVERYBODY, n, terms, stated)) is not None:
            return refusal
        arms = {arm: self._arm(released, arm, terms) for arm in (STARTS, WAITS)}
        least = 1.0 if terms.exact else terms.min_patients
        kept = [
            s
            for s in range(known)
            if sizes[s] >= least and all(areas[s] is not None for areas in arms.values())
        ]
        if not kept:
            return Stratum(name=EVERYBODY, status="not_estimable", reason="privacy", released=stated)
        weight = sizes[kept] / sizes[kept].sum()
        horizon = float(self.curves.edges[-1])
        estimates: dict[str, Estimate] = {}
        by_arm = [[areas[s] or (0.0, 0.0, 0.0) for s in kept] for areas in arms.values()]
        spread = noise / float(sizes[kept].sum()) ** 2
        many = 1 / float(sizes[kept].sum())
        for name, areas in zip(
            ("restricted mean if started in time", "restricted mean if not"), by_arm, strict=True
        ):
            value, sampling, privacy = standardised(weight, np.array(areas), many, spread)
            value, lower, upper = inside(value, Z95 * math.sqrt(sampling + privacy), 0.0, horizon)
            estimates[name] = Estimate(
                value=value, unit="days", lower=lower, upper=upper, sampling_variance=sampling,
                privacy_variance=privacy,
            )  # fmt: skip
        apart = np.array(by_arm[0]) * [1, 1, 1] + np.array(by_arm[1]) * [-1, 1, 1]
        estimates = {"effect": normal(*standardised(weight, apart, many, spread), "days"), **estimates}
        estimates["left out of the standardization"] = share(
            n.value - float(sizes[kept].sum()), n.value, noise, inside=known - len(kept), cells=known
        )
        return Stratum(name=EVERYBODY, status="estimated", released=stated, estimates=estimates)

    def _arm(self, released: NoisySum, arm: str, terms: Terms) -> list[tuple[float, float, float] | None]:
        """Restricted mean of each stratum with its variances; None where the noise ends the curve early."""
        plain = {
            name.removeprefix(f"{arm} "): block for name, block in released.items() if name.startswith(arm)
        }
        return [_area(table, terms.exact) for table in self.curves.tables(plain, terms.exact)]


def _area(table: RiskTable, exact: bool) -> tuple[float, float, float] | None:
    curve = whole_curve(table, exact=exact)
    return None if curve is None else life_table.restricted_mean(curve)
