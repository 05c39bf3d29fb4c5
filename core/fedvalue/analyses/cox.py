"""Cox regression in discrete time, in 8 releases: hazard ratios with both variances.

The first release is a risk table by stratum, which gives the public baseline hazards of `cox_baseline`. Seven
more give score and curvature of the hazard model of `hazard` at the coefficients so far; `newton` solves for
covariates and for the baselines' drift together, and the drift is profiled out. Under noise the curvature is
that of `cox_information`, and there is no table where it, or a drift, is not told from noise; nor where the
events of the smallest of several strata are not, which the first release shows: no more is asked then.

Estimand: the log hazard ratios of proportional hazards on the endpoint's grid. On a daily grid and without
noise they are Breslow's to 1e-3, their standard errors to 1 % (the curvature lets the baseline drift as hats
do, not day by day); on a wider grid they are those of a hazard constant inside each interval. A baseline of
each stratum makes them stratified estimates. A patient exposed from some day on is unexposed before it, which
leaves no immortal time. Delayed entry is left truncation, as in `kaplan_meier`.

Cox, D. R. Regression models and life-tables. JRSS B 34 (1972) 187-220. Suissa, S. Immortal time bias in
pharmacoepidemiology. American Journal of Epidemiology 167 (2008) 492-499. See `hazard` for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import hazard, newton, prefix
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.coefficients import TOO_NOISY, Model, stratum
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.cox_baseline import (
    FIRM,
    drift_covariance,
    hazards_of,
    knots_of,
    levels_of,
    refreshed,
    unsure,
)  # fmt: skip
from fedvalue.analyses.cox_information import Curvature
from fedvalue.analyses.design import Design
from fedvalue.analyses.estimate import Conclusion, Released
from fedvalue.analyses.follow_up import FollowUp, exposed_from, follow_up
from fedvalue.analyses.groups import EVERYBODY, UNKNOWN_GROUP
from fedvalue.analyses.hazard import HATS, Baseline, Followed
from fedvalue.analyses.kaplan_meier import DELAYED_ENTRY, EVERYBODY_AT_ZERO, KaplanMeierByGroup
from fedvalue.analyses.life_table import RiskTable
from fedvalue.analyses.newton import Told
from fedvalue.analyses.row_sums import row_sums
from fedvalue.privacy.release import Block

Array = NDArray[np.float64]
ROUNDS = 8
CURVED: Mapping[int, Fraction] = {
    2: Fraction(2, 3), 3: Fraction(1, 3), 4: Fraction(1, 3), 8: Fraction(1, 6)
}  # fmt: skip
"""Rounds with a curvature, and the share of their budget for the observed one: most of it soon."""
WITHOUT_NOISE = Fraction(1, 40)
"""Share for what is only used without noise: the predicted curvature and the weighted number at risk."""
KEPT_FROM = 3
REFRESHED = frozenset({5, 7})
"""Rounds that also release the number at risk weighted by risk: from it the baseline is taken anew."""
UNSTEADY = 3 / 4
"""Largest noise of one round along the level or slope of a baseline, over what is known of it."""


@dataclass(frozen=True, slots=True)
class CoxModel:
    """The analysis ``kind = "cox"``.

    Attributes:
      curves: Endpoint, grid and strata; the group of unknown strata is left out.
      design: Covariates, without an intercept.
      exposure: Numeric variable with the day from which a patient is exposed, or None.
      largest_hazard: K, see `hazard`.
    """

    curves: KaplanMeierByGroup
    design: Design
    exposure: str | None = None
    largest_hazard: float = 3.0

    @property
    def label(self) -> str:
        """Unique in the study."""
        names = [covariate.name for covariate in self.design.covariates]
        strata = ("by", *self.curves.groups.by) if self.curves.groups.by else ()
        return ":".join(("cox", self.curves.endpoint, *names, *filter(None, [self.exposure]), *strata))

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the model."""
        return (*self.design.names, self.exposure) if self.exposure else self.design.names

    @property
    def _strata(self) -> tuple[str, ...]:
        return tuple(name for name in self.curves.groups.names if name != UNKNOWN_GROUP)

    @property
    def _sizes(self) -> tuple[int, int, int]:
        """Strata, columns, intervals."""
        return len(self._strata), len(self.names), len(self.curves.edges) - 1

    def rounds(self) -> tuple[Ask, ...]:
        """Risk tables, then seven scores at public baselines and coefficients, four with curvatures."""
        groups, p, k = self._sizes
        (table,) = self.curves.rounds()
        tables = tuple(
            Block(
                b.name, b.dimension // len(self.curves.groups.names) * groups, b.bound_squared, counting=False
            )
            for b in table.blocks
        )
        counts = Block("counts", 2, Fraction(1), counting=True)
        first = Ask("risk_table", (*tables, counts), (Fraction(9, 20), Fraction(9, 20), Fraction(1, 10)))
        limit, longest = Fraction(self.largest_hazard), self.design.longest + int(self.exposure is not None)
        own, shared = hazard.curvature_size(p)
        score = Block("score", groups * HATS + p, 1 + limit**2 * (1 + longest), counting=False)
        curvature = Block("curvature", groups * own + shared, (limit * (1 + longest)) ** 2, counting=False)
        observed = Block("observed", groups * own + shared, (1 + longest) ** 2, counting=False)
        public = HATS + groups * k + p
        most = Fraction(hazard.MOST_RISK) ** 2
        weighted = Block("weighted", groups * (k + 1), 2 * prefix.bound_squared(k + 1) * most, counting=False)
        shares: dict[int, tuple[tuple[Block, Fraction], ...]]
        shares = dict.fromkeys(range(2, ROUNDS + 1), ((score, Fraction(1)),))
        shares |= {
            n: ((score, 1 - WITHOUT_NOISE - part), (curvature, WITHOUT_NOISE), (observed, part))
            for n, part in CURVED.items()
        }
        shares |= dict.fromkeys(REFRESHED, ((score, 1 - WITHOUT_NOISE), (weighted, WITHOUT_NOISE)))
        later = (
            Ask(f"round_{n}", tuple(b for b, _ in parts), tuple(w for _, w in parts), public)
            for n, parts in shares.items()
        )
        return (first, *later)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count entries and exits, or sum the rows of `hazard`; who lacks a value adds to a count only."""
        if ask.label == "risk_table":
            return self._risk_table(cohort, ask, scaling)
        groups, p, k = self._sizes
        public = np.array(ask.public)
        knots, hazards = public[:HATS], public[HATS : HATS + groups * k].reshape(groups, k)
        beta = public[HATS + groups * k :]
        baselines = [Baseline.of(by_interval, knots) for by_interval in hazards]
        own, _ = hazard.curvature_size(p)
        summed = replace(ask, blocks=tuple(b for b in ask.blocks if b.name != "weighted"))
        levels, gamma = levels_of(scaling.get("weighted", Fraction(1)))
        steps = np.zeros((groups, k + 1), dtype=np.int64)

        def rows(part: slice) -> dict[str, Array]:
            matrix, weights, counted, group, time = self._patients(cohort, part)
            exposed = self._exposed(cohort, part)
            found = {block.name: np.zeros((len(group), block.dimension)) for block in summed.blocks}
            for g in np.unique(group[counted]):
                baseline, at = baselines[g], np.flatnonzero(counted & (group == g))
                mine = FollowUp(time.start[at], time.stop[at], time.event[at], time.counts[at])
                who = Followed(mine, None if exposed is None else exposed[at], matrix[at])
                spells = hazard.spells(baseline, who, beta, self.largest_hazard)
                score = hazard.score_rows(baseline, mine.event, spells) * weights[at, None]
                found["score"][at, g * HATS : (g + 1) * HATS] = score[:, :HATS]
                found["score"][at, groups * HATS :] = score[:, HATS:]
                if "curvature" in found:
                    for name, curvature in (
                        ("curvature", hazard.curvature_rows(spells)),
                        ("observed", hazard.observed_rows(baseline, mine.event, spells)),
                    ):
                        curvature *= weights[at, None]
                        found[name][at, g * own : (g + 1) * own] = curvature[:, :own]
                        found[name][at, groups * own :] = curvature[:, own:]
                if len(summed.blocks) < len(ask.blocks):
                    steps[g] += hazard.weighted_steps(spells, weights[at], k, levels)
            return found

        found = row_sums(cohort.patients, rows, summed, scaling)
        if len(summed.blocks) < len(ask.blocks):
            found["weighted"] = np.concatenate([prefix.encode(row, gamma) for row in steps])
        return found

    def _patients(
        self, cohort: Cohort, part: slice
    ) -> tuple[Array, Array, NDArray[np.bool_], NDArray[np.int64], FollowUp]:
        """Covariates, weights, who counts, stratum and follow-up of some patients."""
        matrix, weights, known = self.design.rows(cohort, part)
        time = follow_up(self.curves, cohort, part)
        strata = {
            name: codes[part] for name, codes in cohort.categories.items() if name in self.curves.groups.by
        }
        group = self.curves.groups.index(Cohort(len(known), strata))
        return matrix, weights, known & time.counts & (group < len(self._strata)), group, time

    def _exposed(self, cohort: Cohort, part: slice) -> Array | None:
        if self.exposure is None:
            return None
        days = cohort.numbers.get(self.exposure)
        n = len(range(*part.indices(cohort.patients)))
        return exposed_from(np.full(n, np.nan) if days is None else days[part], self.curves)

    def _risk_table(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        _, _, counted, _, _ = self._patients(cohort, slice(0, cohort.patients))
        table = KaplanMeierByGroup.contribution(
            self.curves, _only(cohort, counted, self.curves), ask, scaling
        )
        groups = len(self._strata)
        whole = len(self.curves.groups.names)
        cells = np.array([counted.sum(), cohort.patients - counted.sum()], dtype=np.int64)
        found = {name: values.reshape(whole, -1)[:groups].ravel() for name, values in table.items()}
        return {**found, "counts": cells * int(scaling["counts"])}

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Search for the coefficients, round by round, and say what they are."""
        _, p, _ = self._sizes
        first = sum_of(self.rounds()[0])
        tables = self._tables(first, terms)
        events = sum(float(table.events.sum()) for table in tables)
        counts = first["counts"]
        fitted, weakest = None, 0.0 if terms.exact or len(tables) == 1 else unsure(tables)
        if events > 0 and weakest <= FIRM:  # what is not asked costs nothing
            search, unsteady, alike = self._search(sum_of, tables, terms)
            nuisance = len(search.at) - p
            fitted = newton.finish(
                search, exact=terms.exact, kept_from=KEPT_FROM, nuisance=nuisance, alike=alike
            )
            fitted = replace(fitted, noise_ratio=max(fitted.noise_ratio, TOO_NOISY / UNSTEADY * unsteady))
        found = stratum(self._model(fitted, counts.values[0], counts.variance), terms)
        if weakest > FIRM and found.reason == "privacy" and found.remedy is None:
            remedy = terms.remedy(weakest * TOO_NOISY / FIRM, float(counts.values[0]))
            found = found.model_copy(update={"remedy": remedy})
        released = {
            **found.released,
            "events": Released(
                value=events,
                noise_variance=sum(float((t.events_noise.sum(axis=0) ** 2).sum()) for t in tables),
            ),
            "left out": Released(value=float(counts.values[1]), noise_variance=counts.variance),
        }
        return Conclusion(
            label=self.label, kind="cox", endpoint=self.curves.endpoint, by=(),
            strata=(found.model_copy(update={"released": released}),), notes=self._notes(),
        )  # fmt: skip

    def _search(
        self, sum_of: SumOf, tables: list[RiskTable], terms: Terms
    ) -> tuple[newton.Search, float, Array]:
        """Go through the seven rounds after the first.

        Returns:
          The search; how unsteady the drift is; covariance of what wrong levels and slopes of the baselines
          add to every score alike, which drifts of single strata absorb where they are estimated.
        """
        asks, (groups, p, _) = self.rounds()[1:], self._sizes
        hazards = np.array([hazards_of(table, exact=terms.exact) for table in tables])
        knots = knots_of(hazards, tables)
        hats = Baseline.of(hazards[0], knots).hats
        events = np.array([table.events for table in tables])
        known = Curvature.of(hats, events, columns=p, weighted=self.design.row_bound is not None)
        drift, unsteady, alike = np.eye(groups * HATS), 0.0, np.zeros((groups * HATS + p,) * 2)
        shapes = np.linalg.qr(np.vander(np.arange(HATS) - (HATS - 1) / 2, 2, increasing=True))[0]
        drifts = [drift_covariance(t, h, hats @ shapes) for t, h in zip(tables, hazards, strict=True)]
        search, anew = newton.begin(np.zeros(groups * HATS + p), np.eye(groups * HATS + p), 0.0), False
        for ask in asks:
            own = len(drift.T)
            moved = np.exp(np.clip((drift @ search.at[:own]).reshape(groups, HATS) @ hats.T, -20, 20))
            released = sum_of(ask.given((*knots, *(hazards * moved).ravel(), *search.at[own:])))
            score = released["score"]
            if ask is asks[0]:
                drift, unsteady = known.drift(score.variance)
                own = len(drift.T)
                search = newton.begin(np.zeros(own + p), np.eye(own + p), 0.0)
            values = score.values
            told = Told(
                np.concatenate([drift.T @ values[: len(drift)], values[len(drift) :]]), score.variance
            )
            if "curvature" in released:
                known, matrix, variance = known.told(released, exact=terms.exact)
                told = replace(told, curvature=_within(matrix, drift), curvature_variance=variance)
                by_shape = matrix[:, : groups * HATS].reshape(len(matrix), groups, HATS) @ shapes
                by_drift = np.tensordot(drift.T, by_shape[: len(drift)], 1)
                shifts = np.concatenate([by_drift, by_shape[len(drift) :]])
                alike = np.einsum("igs,gst,jgt->ij", shifts, np.array(drifts), shifts)
            search = newton.step(search, told, sharpen=not anew, averaged=not terms.exact)
            anew = False
            if "weighted" in released and terms.exact:
                hazards, anew = refreshed(released["weighted"], tables), True
                search = replace(search, at=np.concatenate([np.zeros(own), search.at[own:]]))
        return search, unsteady, alike

    def _tables(self, first: NoisySum, terms: Terms) -> list[RiskTable]:
        """One risk table a stratum."""
        return self.curves.tables(
            {n: first[n] for n in ("at_risk", "events")}, terms.exact, len(self._strata)
        )

    def _model(self, fitted: newton.Fitted | None, patients: float, variance: float) -> Model:
        carry = np.eye(len(self.names))
        carry[: len(self.design.names), : len(self.design.names)] = self.design.to_units()
        return Model(
            name=EVERYBODY, columns=self.names, fitted=fitted, patients=float(patients),
            patients_variance=variance, to_units=carry, unit="log hazard", ratio="hazard ratio",
        )  # fmt: skip

    def _notes(self) -> tuple[str, ...]:
        notes = [EVERYBODY_AT_ZERO if self.curves.entry_at_zero else DELAYED_ENTRY]
        if self.exposure:
            notes.append("Time before the day of exposure counts as unexposed.")
        if self.curves.groups.by:
            notes.append(f"Each group by {' and '.join(self.curves.groups.by)} has its own baseline hazard.")
        if self.design.row_bound is not None:
            notes.append("Rows of the model longer than the study's row_bound count with less weight.")
        return (*notes, "Patients with an unknown value are left out.")


def _only(cohort: Cohort, counted: NDArray[np.bool_], curves: KaplanMeierByGroup) -> Cohort:
    """The endpoint and strata of the patients who count."""
    at = np.flatnonzero(counted)
    outcome = cohort.survival.get(curves.endpoint)
    survival = {}
    if outcome is not None:
        survival[curves.endpoint] = type(outcome)(outcome.entry[at], outcome.exit[at], outcome.event[at])
    categories = {name: cohort.categories[name][at] for name in curves.groups.by if name in cohort.categories}
    return Cohort(len(at), categories, survival=survival)


def _within(curvature: Array, drift: Array) -> Array:
    """The curvature in coordinates of the drifts that are estimated."""
    size, own = len(curvature), len(drift.T)
    carry = np.zeros((size, size - len(drift) + own))
    carry[: len(drift), :own] = drift
    carry[len(drift) :, own:] = np.eye(size - len(drift))
    result: Array = carry.T @ curvature @ carry
    return result
