"""Events per person-year by group, from counts and summed time.

A patient observed from entry to exit within the horizon fills one cell of group x {event, no event, unknown}
and adds its time, centred on half the horizon, to one coordinate. The rate has the Poisson score interval,
with the noise of events and of person-time in it: ``(d - r P)^2 <= z^2 (r P + noise(r))``.

Garwood's exact limits (Biometrika 28 (1936) 437-442) need a noiseless count; the score interval is that of
Rao (Proceedings of the Cambridge Philosophical Society 44 (1948) 50-57). The estimand is the number of first
events per time at risk before them, within the horizon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses import tally
from fedvalue.analyses.analysis import Ask, NoisySum, Scaling, SumOf, Terms
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.counts import count
from fedvalue.analyses.estimate import Conclusion, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, Groups
from fedvalue.analyses.hierarchy import Hierarchy
from fedvalue.analyses.score import Noise, Sampling, ratio, refused, share
from fedvalue.privacy.release import Block
from fedvalue.study.model import DAYS_PER

AT_ZERO = "Everybody is followed from day zero."
DELAYED = "Patients count from the later of day zero and their genomic report (left truncation)."
FIRST_DAY = 0.5
"""Time of who has the event on day zero, in days, at most half the horizon."""


@dataclass(frozen=True, slots=True)
class RateByGroup:
    """The analysis ``kind = "rate"``.

    Attributes:
      endpoint: Name of a time-to-event endpoint.
      groups: Public groups.
      horizon: Days that are looked at.
      entry_at_zero: True where everybody is followed from day zero.
      per: Person-years that the rate is stated for.
      hierarchy: Along which small groups join.
    """

    endpoint: str
    groups: Groups
    horizon: float
    entry_at_zero: bool
    per: int = 100
    hierarchy: Hierarchy = field(default_factory=Hierarchy)

    @property
    def label(self) -> str:
        """Unique in the study."""
        return ":".join(("rate", self.endpoint, *self.groups.by))

    def rounds(self) -> tuple[Ask, ...]:
        """One release of counts and of time."""
        size = len(self.groups.names)
        blocks = (
            Block("patients", size * 3, Fraction(1), counting=True),
            Block("time", size, Fraction(1), counting=False),
        )
        return (Ask("events_and_time", blocks, (Fraction(1, 2), Fraction(1, 2))),)

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Count the site's patients and add up their time."""
        del ask
        size, group = len(self.groups.names), self.groups.index(cohort)
        none = np.zeros(cohort.patients)
        outcome = cohort.survival.get(self.endpoint)
        if outcome is None:
            outcome = SurvivalOutcome(none, none, np.full(cohort.patients, -1))
        start = none if self.entry_at_zero else outcome.entry
        event = outcome.event > 0
        with np.errstate(invalid="ignore"):
            stop = np.where((outcome.exit == 0) & event, min(FIRST_DAY, self.horizon / 2), outcome.exit)
            stop_inside = np.minimum(stop, self.horizon)
            counted = np.isfinite(start) & np.isfinite(stop) & (outcome.event >= 0)
            counted &= (start >= 0) & (start < stop_inside)
            happened = event & (stop <= self.horizon)
            time = np.where(counted, stop_inside - np.where(counted, start, 0.0), 0.0)
        half = self.horizon / 2
        cell = np.select([counted & happened, counted], [0, 1], default=2)
        return {
            "patients": tally.counts(group * 3 + cell, size * 3, scaling["patients"]),
            "time": tally.sums(
                np.clip((time - half) / half, -1.0, 1.0), np.where(counted, group, -1), size, scaling["time"]
            ),
        }

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Turn noisy counts and times into rates with intervals, joined along the hierarchy."""
        released = sum_of(self.rounds()[0])
        table = released["patients"].values.reshape(-1, 3)
        least = 1.0 if terms.exact else float(terms.min_patients)
        together = self.hierarchy.joined(self.groups, table[:, :2].sum(axis=1).tolist(), least)
        strata = [self._stratum(one.name, released, list(one.members), terms) for one in together]
        if self.groups.by:
            strata.append(self._stratum(EVERYBODY, released, list(range(len(table))), terms))
        return Conclusion(
            label=self.label, kind="rate", endpoint=self.endpoint, by=self.groups.by,
            strata=tuple(strata), notes=(AT_ZERO if self.entry_at_zero else DELAYED,),
        )  # fmt: skip

    def _stratum(self, name: str, released: NoisySum, members: list[int], terms: Terms) -> Stratum:
        v = released["patients"].variance * len(members)
        cells = released["patients"].values.reshape(-1, 3)[members].sum(axis=0)
        events, without, unknown = (float(x) for x in cells)
        n = Released(value=events + without, noise_variance=2 * v)
        half = self.horizon / 2
        v_time = released["time"].variance * len(members)
        time = half * (float(released["time"].values[members].sum()) + n.value)
        time_noise = half**2 * (v_time + 2 * v)
        stated = {
            "patients": n,
            "events": Released(value=events, noise_variance=v),
            "missing": Released(value=unknown, noise_variance=v),
            "person-days": Released(value=time, noise_variance=time_noise),
        }
        if (refusal := refused(name, n, terms, stated)) is not None:
            return refusal
        if time <= 3 * time_noise**0.5:
            relative = time_noise**0.5 / time if time > 0 else math.inf
            return Stratum(
                name=name, status="not_estimable", reason="privacy",
                remedy=terms.remedy(relative, n.value), released=stated,
            )  # fmt: skip
        year = DAYS_PER["year"] * self.per
        estimates = {
            "rate": ratio(
                events, time / year, Noise(v, time_noise / year**2, half * v / year),
                Sampling(linear=time / year), unit=f"events per {self.per} person-years", least=0.0,
            ),
            "person-years": count(time / DAYS_PER["year"], time_noise / DAYS_PER["year"] ** 2, "years"),
        }  # fmt: skip
        whole = n.value + unknown
        if whole > 0:
            estimates["missing"] = share(unknown, whole, v, inside=1, cells=3)
        return Stratum(name=name, status="estimated", released=stated, estimates=estimates)
