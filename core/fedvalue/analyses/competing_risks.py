"""Cumulative incidence of each kind of event by group, where the first event rules out the others.

A patient enters and leaves the risk set as in `kaplan_meier`; an event fills one cell of kind x interval, so
a patient's squared bound is 2 S (at risk; S with entry at zero) and S (events, one kind), see `prefix`.
``1 - S`` of one kind with the others censored would count people who can no longer have the event; the
Aalen-Johansen estimate of `incidence` does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import life_table, prefix
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Series, Stratum
from fedvalue.analyses.groups import EVERYBODY
from fedvalue.analyses.incidence import Incidence, incidence
from fedvalue.analyses.kaplan_meier import (
    DELAYED_ENTRY,
    EVERYBODY_AT_ZERO,
    KaplanMeierByGroup,
    remedy_half_way,
)
from fedvalue.analyses.life_table import RiskTable
from fedvalue.analyses.score import Z95, inside
from fedvalue.privacy.release import Block

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CompetingRisksByGroup:
    """The analysis ``kind = "competing_risks"``.

    Attributes:
      curves: The groups on their grid.
      kinds: Event kinds, in the order of the endpoint.
      at: Days at which the incidence is stated.
    """

    curves: KaplanMeierByGroup
    kinds: tuple[str, ...]
    at: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("competing_risks", self.curves.endpoint, *self.curves.groups.by))

    @property
    def _shape(self) -> tuple[int, int, int]:
        """Groups, kinds, intervals."""
        return len(self.curves.groups.names), len(self.kinds), len(self.curves.edges) - 1

    def rounds(self) -> tuple[Ask, ...]:
        """One release: numbers at risk at k + 1 edges, and events by kind in k intervals, for each group."""
        (ask,) = self.curves.rounds()
        groups, kinds, k = self._shape
        events = Block("events", groups * kinds * k, prefix.bound_squared(k), counting=False)
        return (Ask("risk_table", (ask.blocks[0], events), (Fraction(1, 2), Fraction(1, 2))),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients by entry, exit and kind of event, and encode.

        A kind that the endpoint does not have makes the patient's outcome unknown: the zero vector.
        """
        del ask
        groups, kinds, k = self._shape
        nothing = np.zeros(cohort.patients)
        outcome = cohort.survival.get(self.curves.endpoint)
        if outcome is None:
            outcome = SurvivalOutcome(nothing, nothing, np.full(cohort.patients, -1))
        entered, left, event, counts = self.curves.cells(outcome)
        counts &= outcome.event <= kinds
        group = self.curves.groups.index(cohort)
        at_risk = np.zeros((groups, k + 1), dtype=np.int64)
        events = np.zeros((groups, kinds, k), dtype=np.int64)
        for g in range(groups):
            mine = counts & (group == g)
            at_risk[g] = self.curves.encode_risk(entered[mine], left[mine], scaling["at_risk"])
            for kind in range(kinds):
                dying = mine & event & (left < k) & (outcome.event == kind + 1)
                cells = np.bincount(left[dying], minlength=k).astype(np.int64)
                events[g, kind] = prefix.encode(cells, scaling["events"])
        return {"at_risk": at_risk.ravel(), "events": events.ravel()}

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy counts into cumulative incidences, group by group and together."""
        released = sum_of(self.rounds()[0])
        tables = self._tables(released, terms.exact)
        names = self.curves.groups.names
        strata = [self._stratum(name, *table, terms) for name, table in zip(names, tables, strict=True)]
        if self.curves.groups.by:
            strata.append(self._stratum(EVERYBODY, *_together(tables), terms))
        notes = (
            EVERYBODY_AT_ZERO if self.curves.entry_at_zero else DELAYED_ENTRY,
            "Incidences are Aalen-Johansen estimates: who had another event first cannot have this one.",
        )
        return Conclusion(
            label=self.label, kind="competing_risks", endpoint=self.curves.endpoint, by=self.curves.groups.by,
            strata=tuple(strata), notes=notes,
        )  # fmt: skip

    def _tables(self, released: NoisySum, exact: bool) -> list[tuple[RiskTable, Array]]:
        """For each group the table of all kinds together, and events by kind, shape ``(kinds, k)``."""
        groups, kinds, k = self._shape
        total = released["events"].total.reshape(groups, kinds, k)
        gamma, variance = released["events"].gamma, released["events"].variance
        noise = np.zeros((k, 0))
        if not exact:
            noise = np.tile(prefix.noise_to_cells(k) * math.sqrt(variance), (1, kinds))
        found = []
        for g, table in enumerate(self.curves.risk_only(released["at_risk"], exact, groups)):
            by_kind = np.array([prefix.decode(total[g, kind], gamma) for kind in range(kinds)])
            if exact:
                by_kind = np.rint(by_kind)
            whole = RiskTable(
                table.edges, table.at_risk, by_kind.sum(axis=0), table.at_risk_noise, noise, table.half
            )
            found.append((whole, by_kind))
        return found

    def _stratum(self, name: str, table: RiskTable, by_kind: Array, terms: Terms) -> Stratum:
        edges, k = self.curves.edges, len(self.curves.edges) - 1
        peak = float(table.at_risk.max())
        noise = float((table.at_risk_noise**2).sum(axis=1).max(initial=0.0))
        released = {"patients": Released(value=peak, noise_variance=noise)}
        used = k if terms.exact else life_table.reach(table)
        if edges[used] < edges[-1] / 2:
            remedy = remedy_half_way(table, terms)
            return Stratum(
                name=name, status="not_estimable", reason="privacy", remedy=remedy, released=released
            )
        if peak <= 0 or (not terms.exact and peak < terms.min_patients):
            return Stratum(name=name, status="below_minimum", reason="sampling", released=released)
        estimates: dict[str, Estimate] = {}
        series: dict[str, Series] = {}
        for kind, word in enumerate(self.kinds):
            found = incidence(table, by_kind, kind, used)
            series[f"incidence of {word}"] = _series(found)
            estimates |= self._estimates(found, word, whole=used == k)
        return Stratum(name=name, status="estimated", released=released, estimates=estimates, series=series)

    def _estimates(self, found: Incidence, word: str, *, whole: bool) -> dict[str, Estimate]:
        estimates = {}
        lower, upper = found.band(Z95)
        shown = found.displayed
        for day in self.at:
            i = int(np.searchsorted(found.days, day + 1e-9, side="right")) - 1
            if i < 0 or day > found.days[-1] + 1e-9:
                continue
            value = float(shown[i])
            estimates[f"incidence of {word} at day {day:g}"] = Estimate(
                value=value, unit="probability", lower=min(float(lower[i]), value),
                upper=max(float(upper[i]), value), sampling_variance=float(found.sampling[i]),
                privacy_variance=float(found.privacy[i]),
            )  # fmt: skip
        if whole:
            spread = Z95 * math.sqrt(found.area_sampling + found.area_privacy)
            area, low, high = inside(found.area, spread, 0.0, float(found.days[-1]))
            estimates[f"days lost to {word}"] = Estimate(
                value=area, unit="days", lower=low, upper=high, sampling_variance=found.area_sampling,
                privacy_variance=found.area_privacy,
            )  # fmt: skip
        return estimates


def _series(found: Incidence) -> Series:
    lower, upper = found.band(Z95)
    shown = found.displayed
    return Series(
        x=tuple(found.days.tolist()), x_unit="days", values=tuple(shown.tolist()), unit="probability",
        lower=tuple(np.minimum(lower, shown).tolist()), upper=tuple(np.maximum(upper, shown).tolist()),
        sampling_variance=tuple(found.sampling.tolist()), privacy_variance=tuple(found.privacy.tolist()),
    )  # fmt: skip


def _together(tables: list[tuple[RiskTable, Array]]) -> tuple[RiskTable, Array]:
    """Everybody: counts add, and so do the independent noises of the groups."""
    first, root = tables[0][0], math.sqrt(len(tables))
    table = RiskTable(
        first.edges, np.sum([t.at_risk for t, _ in tables], axis=0),
        np.sum([t.events for t, _ in tables], axis=0),
        first.at_risk_noise * root, first.events_noise * root, first.half,
    )  # fmt: skip
    return table, np.sum([by_kind for _, by_kind in tables], axis=0)
