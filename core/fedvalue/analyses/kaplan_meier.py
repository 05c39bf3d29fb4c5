"""Kaplan-Meier survival by group, from entry and exit cells on a public grid.

A patient enters the risk set at an edge of the grid and leaves it in an interval; both go through the
square-root factor of `prefix`, so the number at risk carries nearly the same noise on every day. Events
travel the same way in a block of their own. Entry cells make left truncation right from the first day:
a patient known by a genomic report counts from the day of the report on. Where the study declares that
everybody enters at time zero, one cell a patient is enough and the bound falls by the square root of two.

Two blocks, so a patient's squared bound is 2 S (at risk; S with entry at zero) and S (events), whatever
the data; see `prefix` for S.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import life_table, prefix
from fedvalue.analyses.analysis import Ask, NoisyBlock, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.estimate import Conclusion, Curve, Estimate, Released, Remedy, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.life_table import RiskTable, SurvivalEstimate
from fedvalue.analyses.rank_test import compared
from fedvalue.analyses.score import Z95, inside
from fedvalue.privacy.release import Block

EVERYBODY_AT_ZERO = "Everybody is followed from day zero."
DELAYED_ENTRY = "Patients count from the later of day zero and their genomic report (left truncation)."


@dataclass(frozen=True, slots=True)
class KaplanMeierByGroup:
    """The analysis ``kind = "kaplan_meier"``.

    Attributes:
      endpoint: Name of a time-to-event endpoint.
      groups: Public groups.
      edges: Grid in days from the origin, k + 1 of them, from 0 to the horizon.
      entry_at_zero: True where everybody is followed from day zero.
      at: Days at which survival is stated.
      compare: True to test from the same release whether the groups survive alike; see `rank_test`.
    """

    endpoint: str
    groups: Groups
    edges: tuple[float, ...]
    entry_at_zero: bool
    at: tuple[float, ...] = ()
    compare: bool = False

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("kaplan_meier", self.endpoint, *self.groups.by))

    @property
    def half(self) -> bool:
        """True on grids wider than a day: people inside an interval count for half of it."""
        return self.edges[1] - self.edges[0] > 1.0 + 1e-9

    def rounds(self) -> tuple[Ask, ...]:
        """One release: numbers at risk at k + 1 edges and events in k intervals, for each group."""
        k, count = len(self.edges) - 1, len(self.groups.names)
        risk = prefix.bound_squared(k + 1) * (1 if self.entry_at_zero else 2)
        blocks = (
            Block("at_risk", count * (k + 1), risk, counting=False),
            Block("events", count * k, prefix.bound_squared(k), counting=False),
        )
        return (Ask("risk_table", blocks, (Fraction(1, 2), Fraction(1, 2))),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients by entry and exit cell and encode: the sum of their integer vectors.

        A patient with an unknown time, or observed for no time at all, contributes the zero vector.
        """
        del ask
        k, count = len(self.edges) - 1, len(self.groups.names)
        nothing = np.zeros(cohort.patients)
        outcome = cohort.survival.get(self.endpoint)
        if outcome is None:
            outcome = SurvivalOutcome(nothing, nothing, np.full(cohort.patients, -1))
        entered, left, event, counts = self.cells(outcome)
        group = self.groups.index(cohort)
        at_risk, events = np.zeros((count, k + 1), dtype=np.int64), np.zeros((count, k), dtype=np.int64)
        for g in range(count):
            mine = counts & (group == g)
            at_risk[g] = self.encode_risk(entered[mine], left[mine], scaling["at_risk"])
            dying = mine & event & (left < k)
            events[g] = prefix.encode(
                np.bincount(left[dying], minlength=k).astype(np.int64), scaling["events"]
            )
        return {"at_risk": at_risk.ravel(), "events": events.ravel()}

    def encode_risk(
        self, entered: NDArray[np.int64], left: NDArray[np.int64], gamma: Fraction
    ) -> NDArray[np.int64]:
        """Return the integer sum for the number at risk of patients with these cells, shape ``(k + 1,)``."""
        k = len(self.edges) - 1
        exits = np.bincount(left, minlength=k + 1)
        if self.entry_at_zero:
            steps = exits[::-1]
        else:
            steps = np.bincount(entered, minlength=k + 2)[: k + 1] - np.roll(exits, 1) * (
                np.arange(k + 1) > 0
            )
        return prefix.encode(steps.astype(np.int64), gamma)

    def cells(
        self, outcome: SurvivalOutcome
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return entry edge, exit interval (k past the horizon), event flag and whether a patient counts."""
        edges, k = np.asarray(self.edges), len(self.edges) - 1
        start = np.zeros_like(outcome.exit) if self.entry_at_zero else outcome.entry
        event = outcome.event > 0
        with np.errstate(invalid="ignore"):
            # an event on day zero belongs to the first interval; nobody is observed for no time
            stop = np.where((outcome.exit == 0) & event, min(0.5, edges[1] / 2), outcome.exit)
            counts = (
                np.isfinite(start) & np.isfinite(stop) & (outcome.event >= 0) & (start >= 0) & (start < stop)
            )
            entered = np.searchsorted(edges, np.where(counts, start, 0.0), side="left")
            left = np.clip(np.searchsorted(edges, np.where(counts, stop, 1.0), side="left") - 1, 0, k)
        counts &= entered <= (left + 1 if self.half else left)
        return entered.astype(np.int64), left.astype(np.int64), event, counts & (entered <= k)

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy risk tables into curves, medians and restricted means, group by group and together."""
        released = sum_of(self.rounds()[0])
        tables = self.tables(released, terms.exact)
        strata = [
            self.stratum(name, table, terms) for name, table in zip(self.groups.names, tables, strict=True)
        ]
        if self.groups.by:
            strata.append(self.stratum(EVERYBODY, together(tables), terms))
        notes = [EVERYBODY_AT_ZERO if self.entry_at_zero else DELAYED_ENTRY]
        if self.compare:
            tests, said = compared(tables, self.groups, terms)
            added = {test.name: test.estimates for test in tests}
            strata = [
                s.model_copy(update={"estimates": {**s.estimates, **added.get(s.name, {})}})
                if s.status == "estimated" else s
                for s in strata
            ]  # fmt: skip
            notes += said
        if self.half:
            notes.append(
                "People who enter or leave inside an interval count for half of it (actuarial estimate)."
            )
        return Conclusion(
            label=self.label, kind="kaplan_meier", endpoint=self.endpoint, by=self.groups.by,
            strata=tuple(strata), notes=tuple(notes),
        )  # fmt: skip

    def tables(self, released: NoisySum, exact: bool, groups: int | None = None) -> list[RiskTable]:
        """Decode a release into one risk table a group, of the first ``groups`` if not of all."""
        k, count = len(self.edges) - 1, len(self.groups.names) if groups is None else groups
        events = released["events"]
        noise = np.zeros((k, 0)) if exact else prefix.noise_to_cells(k) * math.sqrt(events.variance)
        tables = []
        for g, table in enumerate(self.risk_only(released["at_risk"], exact, count)):
            happened = prefix.decode(events.total.reshape(count, k)[g], events.gamma)
            if exact:
                happened = np.rint(happened)
            tables.append(replace(table, events=happened, events_noise=noise))
        return tables

    def risk_only(self, risk: NoisyBlock, exact: bool, count: int) -> list[RiskTable]:
        """Decode the numbers at risk of ``count`` groups into one table each, without its events."""
        k = len(self.edges) - 1
        noise = np.zeros((k + 1, 0))
        if not exact:
            to_steps = prefix.noise_to_cells(k + 1) * math.sqrt(risk.variance)
            noise = np.cumsum(to_steps, axis=0)[:: -1 if self.entry_at_zero else 1]
        tables = []
        for g in range(count):
            steps = prefix.decode(risk.total.reshape(count, k + 1)[g], risk.gamma)
            at_risk = np.cumsum(steps)[:: -1 if self.entry_at_zero else 1]
            if exact:
                at_risk = np.rint(at_risk)
            tables.append(
                RiskTable(np.asarray(self.edges), at_risk, np.zeros(k), noise, np.zeros((k, 0)), self.half)
            )
        return tables

    def stratum(self, name: str, table: RiskTable, terms: Terms) -> Stratum:
        """Return the curve and numbers of one group, or why there are none."""
        k = len(self.edges) - 1
        peak = float(table.at_risk.max())
        noise = float((table.at_risk_noise**2).sum(axis=1).max(initial=0.0))
        released = {"patients": Released(value=peak, noise_variance=noise)}
        used = k if terms.exact else life_table.reach(table)
        if self.edges[used] < self.edges[-1] / 2:
            return Stratum(
                name=name, status="not_estimable", reason="privacy",
                remedy=remedy_half_way(table, terms), released=released,
            )  # fmt: skip
        if not terms.exact and peak < terms.min_patients:
            return Stratum(name=name, status="below_minimum", reason="sampling", released=released)
        if terms.exact and peak <= 0:
            return Stratum(name=name, status="below_minimum", reason="sampling", released=released)
        curve = life_table.estimate(table, used)
        return Stratum(
            name=name, status="estimated", released=released, estimates=self._estimates(curve, used == k),
            curve=_displayed(curve, table, None if used == k else float(self.edges[used])),
        )  # fmt: skip

    def _estimates(self, curve: SurvivalEstimate, whole: bool) -> dict[str, Estimate]:
        estimates: dict[str, Estimate] = {}
        lower, upper = curve.band(Z95)
        noise = np.diag(curve.noise)
        for day in self.at:
            if day > curve.days[-1] + 1e-9:
                continue
            i = int(np.searchsorted(curve.days, day + 1e-9, side="right")) - 1
            value, low, high = (
                (1.0, 1.0, 1.0) if i < 0 else (float(x[i]) for x in (curve.survival, lower, upper))
            )
            estimates[f"survival at day {day:g}"] = Estimate(
                value=value, unit="probability", lower=min(low, value), upper=max(high, value),
                sampling_variance=0.0 if i < 0 else float(value**2 * curve.sampling[i]),
                privacy_variance=0.0 if i < 0 else float(value**2 * noise[i]),
            )  # fmt: skip
        if (middle := life_table.median(curve, Z95)) is not None:
            estimates["median"] = _median_estimate(curve, middle)
        if whole:
            area, sampling, privacy = life_table.restricted_mean(curve)
            last = float(curve.days[-1])
            area, low, high = inside(area, Z95 * math.sqrt(sampling + privacy), 0.0, last)
            estimates["restricted mean"] = Estimate(
                value=area, unit="days", lower=low, upper=high,
                sampling_variance=sampling, privacy_variance=privacy,
            )  # fmt: skip
        return estimates


def _median_estimate(curve: SurvivalEstimate, middle: tuple[float, float | None, float | None]) -> Estimate:
    """The median's variances: those of S there over the squared slope, taken from the interval's width."""
    value, low, high = middle
    i = min(int(np.searchsorted(curve.days, value - 1e-9)), len(curve.days) - 1)
    sampling, privacy = 0.25 * float(curve.sampling[i]), 0.25 * float(curve.noise[i, i])
    total = sampling + privacy
    per_unit = 0.0
    if low is not None and high is not None and total > 0:
        per_unit = ((high - low) / (2 * Z95)) ** 2 / total
    return Estimate(
        value=value, unit="days", lower=low, upper=high,
        sampling_variance=sampling * per_unit, privacy_variance=privacy * per_unit,
    )  # fmt: skip


def _displayed(curve: SurvivalEstimate, table: RiskTable, ends: float | None) -> Curve:
    lower, upper = curve.band(Z95)
    s = curve.survival
    return Curve(
        days=tuple(curve.days.tolist()), survival=tuple(s.tolist()),
        lower=tuple(np.minimum(lower, s).tolist()), upper=tuple(np.maximum(upper, s).tolist()),
        at_risk=tuple(table.at_risk[: len(s)].tolist()),
        sampling_variance=tuple((s**2 * curve.sampling).tolist()),
        privacy_variance=tuple((s**2 * np.diag(curve.noise)).tolist()), ends=ends,
    )  # fmt: skip


def together(tables: list[RiskTable]) -> RiskTable:
    """Return the table of everybody: counts add, and so do the independent noises of the groups."""
    first, root = tables[0], math.sqrt(len(tables))
    return RiskTable(
        first.edges, sum((t.at_risk for t in tables[1:]), start=first.at_risk),
        sum((t.events for t in tables[1:]), start=first.events),
        first.at_risk_noise * root, first.events_noise * root, first.half,
    )  # fmt: skip


def remedy_half_way(table: RiskTable, terms: Terms) -> Remedy:
    """Say what would bring the noise of the number at risk half-way to a third of it.

    Where even the estimate there is not above its noise, half of the largest number at risk stands in. Where
    nobody can be told from noise at all, there is no remedy to name: the group may be empty.
    """
    half_way = max(i for i, edge in enumerate(table.edges[:-1]) if edge < table.edges[-1] / 2)
    risk, events = (part[half_way] for part in table.exposed_noise)
    sd = math.sqrt(float((risk**2).sum() + (events**2).sum()))
    peak = float(table.at_risk.max())
    noise = math.sqrt(float((table.at_risk_noise**2).sum(axis=1).max()))
    if peak < 3 * noise:  # the largest of many noisy numbers: twice the noise is nothing unusual
        return Remedy(epsilon=None, patients=None)
    count = float(table.exposed[half_way])
    if count < sd:
        count = peak / 2
    return terms.remedy(sd / count if count > 0 else math.inf, peak)
