"""How often an interval holds the truth: studies of planted patients, released with noise and counted.

A world is a question, how its patients are drawn, and what is true of them. In each replication patients are
drawn once and contribute once; Gaussian noise of the planned standard deviation stands in for the discrete
one, for every epsilon, and the analysis concludes. An analysis that asks adaptively contributes again at the
public numbers it sends. No transport is involved: contributions of unequal sites add up to that of all
patients, exactly. Beside it the same noisy sums are concluded as if they had no noise.

Every interval that a conclusion prints is counted: of estimates, of curves and of lines, point by point. One
without a truth is named, and fails the proof.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Analysis, Ask, NoisyBlock, NoisySum, Terms
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.estimate import Conclusion, Estimate, Remedy, Stratum
from fedvalue.planning.plan import Plan, plan_on
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.study.file import parse
from fedvalue.study.schema import Study

Array = NDArray[np.float64]
Truth = float | Callable[[Array], Array]
"""What is true: of an estimate a number, of a line its values at x."""

SITES = 6
MANY = 1_000_000
"""Patients whose estimate without noise is the truth where none was planted."""

SCALE = Fraction(2**20)
"""Scale of the exact sums: a patient's number is rounded to a millionth of its bound."""

UNCOUNTED = 1e-12
"""Factor of the noise variance that a conclusion is told when the privacy term is left out."""

CURVE = "survival curve"
NEAR = 1e-9
LOOK = 40
"""Studies after which a process gives up a setting that has printed no interval at all: it is refused."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One replication's patients, and what was planted in them alone.

    Attributes:
      cohort: The patients of all sites.
      truths: By stratum and name, where the truth is drawn anew each time.
    """

    cohort: Cohort
    truths: Mapping[tuple[str, str], float] = field(default_factory=dict)


def nothing(stratum: Stratum, name: str) -> Truth | None:
    """Nothing was planted."""
    del stratum, name
    return None


@dataclass(frozen=True, slots=True)
class World:
    """A question, its patients and what is true of them.

    Attributes:
      kind: Of the analysis; ``diagnostics`` for the checks of every study.
      name: What is special, in words.
      question: In the syntax of a study file, without kind and budget.
      measured: The study file's variables, endpoints and the rest.
      draw: Draws the patients of all sites.
      planted: What is true of an estimate or line of a stratum; None where the truth is in the data or is the
        estimate of `MANY` patients.
      facts: Beginnings of names that are about the patients in the data: the truth is the exact number.
      totals: Beginnings of names that grow with the patients.
      worked: What is true of an estimate given all that a conclusion says, by stratum and name; None where
        that does not matter.
      sizes: Patients of all sites together, small and large.
      events: Share of patients in the rarest outcome that the estimates rest on.
      replications: Of each setting.
      epsilons: Of the study.
      many: Patients whose estimate without noise is the truth where none was planted.
    """

    kind: str
    name: str
    question: str
    measured: str
    draw: Callable[[np.random.Generator, int], Drawn]
    planted: Callable[[Stratum, str], Truth | None] = nothing
    facts: tuple[str, ...] = ()
    totals: tuple[str, ...] = ()
    worked: Callable[[Conclusion, str, str], float | None] | None = None
    sizes: tuple[int, ...] = (200, 2_000)
    events: float = 1.0
    replications: int = 1_000
    epsilons: tuple[float, ...] = (0.5, 1.0, 3.0, 8.0)
    many: int = MANY

    def study(self, epsilon: float) -> Study:
        """Return the study at a budget."""
        asked = f'[[analyses]]\nkind = "{self.kind}"\n{self.question}\nbudget = 1.0\n'
        share = "0.0"
        if self.kind == "diagnostics":
            asked, share = f"[[analyses]]\n{self.question}\nbudget = 1.0\n", "0.5"
        text = self.measured.replace("EPSILON", repr(epsilon)).replace("DIAGNOSTICS", share)
        return parse(f"{text}\n{asked}".encode(), where=f"{self.kind}, {self.name}")

    def plan(self, epsilon: float) -> Plan:
        """Return its plan on six sites."""
        return plan_on(self.study(epsilon), thresholds(SITES), "0" * 64)

    @property
    def label(self) -> str:
        """Kind and name."""
        return f"{self.kind}: {self.name}" if self.name else self.kind


def asked_of(plan: Plan, kind: str) -> Analysis:
    """Return the analysis that a world is about."""
    return plan.analyses[-1 if kind == "diagnostics" else 0]


@dataclass(slots=True)
class Counted:
    """One interval, or the points of one line: how often it was printed, and held the truth.

    Attributes:
      printed: Shape ``(points,)``.
      held: Shape ``(points,)``.
      one_sided: How often an end was open, shape ``(points,)``.
    """

    printed: NDArray[np.int64]
    held: NDArray[np.int64]
    one_sided: NDArray[np.int64]

    @classmethod
    def of(cls, points: int) -> Counted:
        """Nothing counted yet."""
        return cls(*(np.zeros(points, dtype=np.int64) for _ in range(3)))

    def add(self, at: NDArray[np.int64], held: NDArray[np.bool_], one_sided: bool = False) -> None:
        """Count some points once."""
        np.add.at(self.printed, at, 1)
        np.add.at(self.held, at, held)
        np.add.at(self.one_sided, at, int(one_sided))

    def joined(self, other: Counted) -> Counted:
        """Return both together."""
        return Counted(self.printed + other.printed, self.held + other.held, self.one_sided + other.one_sided)


Tally = dict[tuple[str, str], Counted]


@dataclass(frozen=True, slots=True)
class Lines:
    """What is true, and where lines have their points.

    Attributes:
      world: The world.
      many: The conclusion of many patients without noise.
    """

    world: World
    many: Conclusion

    @classmethod
    def of(cls, world: World, seed: int, patients: int | None = None) -> Lines:
        """Draw so many patients, or as many as the world says, and conclude without noise."""
        drawn = world.draw(np.random.default_rng(seed), patients or world.many)
        analysis = asked_of(world.plan(1.0), world.kind)
        return cls(world, exactly(analysis, drawn.cohort))

    def x(self, stratum: str, name: str) -> Array:
        """Return where a line has its points."""
        found = self.many.stratum(stratum)
        if name == CURVE:
            return np.array(found.curve.days if found.curve else ())
        return np.array(found.series[name].x)

    def nobody(self, stratum: str) -> bool:
        """Tell whether nobody is in a group."""
        try:
            return self.many.stratum(stratum).status == "below_minimum"
        except KeyError:
            return False

    def estimate(self, stratum: str, name: str) -> Estimate | None:
        """Return what many patients say without noise."""
        try:
            return self.many.stratum(stratum).estimates.get(name)
        except KeyError:
            return None

    def share_of(self, stratum: str) -> float:
        """Return the share of patients in a stratum; 1 where that is not said."""
        try:
            released = self.many.stratum(stratum).released
        except KeyError:
            return 1.0
        if "patients" in released:
            return released["patients"].value / self.world.many
        cells = [released[word].value for word in ("success", "failure", "missing") if word in released]
        due = [value.value for name, value in released.items() if name.startswith(("passed", "failed"))]
        return (sum(cells) or sum(due[:2]) or self.world.many) / self.world.many

    def expected(self, patients: int, stratum: str, name: str) -> Array:
        """Return the smallest expected count behind an estimate, or behind each point of a line."""
        whole = patients * self.share_of(stratum) * self.world.events
        found = self.many.stratum(stratum)
        if name == CURVE:
            values, unit = np.array(found.curve.survival if found.curve else ()), "probability"
        elif name in found.series:
            values, unit = np.array(found.series[name].values), found.series[name].unit
        else:
            told = found.estimates.get(name)
            values, unit = np.array([told.value if told else 1.0]), told.unit if told else ""
        if unit == "probability":
            return np.asarray(whole * np.minimum(values, 1 - values), dtype=np.float64)
        if unit == "patients":
            return np.asarray(values * patients / self.world.many, dtype=np.float64)
        return np.full(len(values), whole)


def exactly(analysis: Analysis, cohort: Cohort) -> Conclusion:
    """Conclude from the exact sum."""

    def sum_of(ask: Ask) -> NoisySum:
        found = analysis.contribution(cohort, ask, {b.name: SCALE for b in ask.blocks})
        return {name: NoisyBlock(total, SCALE, 0.0) for name, total in found.items()}

    return analysis.conclude(sum_of, Terms(1, 1, 1e-6, exact=True))


@dataclass(frozen=True, slots=True)
class Brief(Terms):
    """A study's terms, without working out what would do where there is no estimate: it is slow."""

    def remedy(self, noise_ratio: float, patients: float) -> Remedy:
        """Name none."""
        del noise_ratio, patients
        return Remedy(epsilon=None, patients=None)


@dataclass(frozen=True, slots=True)
class Sums:
    """Patients' exact sums, to which noise is added at any budget.

    Attributes:
      analysis: The analysis.
      cohort: The patients.
      kept: Exact sums of asks without public numbers, by label.
    """

    analysis: Analysis
    cohort: Cohort
    kept: dict[str, dict[str, NDArray[np.int64]]] = field(default_factory=dict)

    def exact(self, ask: Ask) -> dict[str, NDArray[np.int64]]:
        """Return the exact sum at `SCALE`."""
        scaling = {block.name: SCALE for block in ask.blocks}
        if ask.public_size:
            return self.analysis.contribution(self.cohort, ask, scaling)
        if ask.label not in self.kept:
            self.kept[ask.label] = self.analysis.contribution(self.cohort, ask, scaling)
        return self.kept[ask.label]

    def concluded(self, plan: Plan, rng: np.random.Generator, *, counted: bool = True) -> Conclusion:
        """Conclude at a plan's budget.

        Args:
          plan: The plan.
          rng: Of the noise.
          counted: False to conclude as if there were no noise.
        """
        step = 0

        def sum_of(ask: Ask) -> NoisySum:
            nonlocal step
            release = plan.releases[step]
            step += 1
            told = {name.rsplit("/", 1)[1]: gamma for name, (_, gamma) in release.slices().items()
                    if name.startswith(f"{self.analysis.label}/")}  # fmt: skip
            found = {}
            for name, total in self.exact(ask).items():
                ring = math.sqrt(plan.thresholds.sites) * 2.0**LOG2_SCALE * float(SCALE / told[name])
                noise = np.rint(rng.normal(0.0, ring, len(total))).astype(np.int64)
                variance = ring**2 * (1.0 if counted else UNCOUNTED)
                found[name] = NoisyBlock(total + noise, SCALE, variance)
            return found

        return self.analysis.conclude(
            sum_of, Brief(plan.terms.min_patients, plan.terms.rho_units, plan.terms.delta)
        )


@dataclass(frozen=True, slots=True)
class Judge:
    """Counts the intervals of conclusions.

    Attributes:
      lines: What is true.
      tally: Counts so far.
      untold: Intervals without a truth.
      empty: How often a group in which nobody is was given estimates, by its name.
      points: Intervals that were once printed without any width, which noise allows nobody.
    """

    lines: Lines
    tally: Tally = field(default_factory=dict)
    untold: set[str] = field(default_factory=set)
    empty: dict[str, int] = field(default_factory=dict)
    points: set[str] = field(default_factory=set)

    def count(self, found: Conclusion, drawn: Drawn, facts: Conclusion | None) -> None:
        """Count every interval of a conclusion."""
        for stratum in found.strata:
            if stratum.status != "estimated":
                continue
            if self.lines.nobody(stratum.name):
                self.empty[stratum.name] = self.empty.get(stratum.name, 0) + 1
                continue
            for name, estimate in stratum.estimates.items():
                if estimate.lower is not None or estimate.upper is not None:
                    told = self.lines.world.worked
                    worked = None if told is None else told(found, stratum.name, name)
                    self._estimate(stratum, name, estimate, drawn, facts, worked)
            if stratum.curve is not None:
                c = stratum.curve
                self._line(stratum, CURVE, c.days, (c.lower, c.upper), drawn, facts)
            for name, line in stratum.series.items():
                if line.lower:
                    self._line(stratum, name, line.x, (line.lower, line.upper), drawn, facts)

    def _estimate(
        self, stratum: Stratum, name: str, estimate: Estimate, drawn: Drawn, facts: Conclusion | None,
        worked: float | None = None,
    ) -> None:  # fmt: skip
        key = (stratum.name, name)
        truth = drawn.truths.get(key, worked)
        if truth is None:
            planted = self.lines.world.planted(stratum, name)
            truth = planted if isinstance(planted, float | int) else None
        grown = name.startswith(self.lines.world.totals or ("\0",))
        if truth is None and not grown and name.startswith(self.lines.world.facts or ("\0",)):
            known = facts.stratum(stratum.name).estimates if facts else {}
            truth = known[name].value if name in known else None
        if truth is None:
            many = self.lines.estimate(*key)
            truth = (
                None
                if many is None
                else many.value * (drawn.cohort.patients / self.lines.world.many if grown else 1.0)
            )
        if truth is None:
            self.untold.add(f"{self.lines.world.label}: {stratum.name}, {name}")
            return
        slack = NEAR * max(abs(truth), abs(estimate.value), 1e-12)
        held = (estimate.lower is None or estimate.lower <= truth + slack) and (
            estimate.upper is None or truth - slack <= estimate.upper
        )
        one_sided = estimate.lower is None or estimate.upper is None
        if not one_sided and estimate.lower == estimate.upper:
            self.points.add(f"{self.lines.world.label}: {stratum.name}, {name}")
        self.tally.setdefault(key, Counted.of(1)).add(
            np.zeros(1, dtype=np.int64), np.array([held]), one_sided
        )

    def _line(
        self, stratum: Stratum, name: str, x: tuple[float, ...],
        band: tuple[tuple[float, ...], tuple[float, ...]], drawn: Drawn, facts: Conclusion | None,
    ) -> None:  # fmt: skip
        key, days = (stratum.name, name), np.array(x)
        try:
            all_x = self.lines.x(*key)
        except KeyError:
            self.untold.add(f"{self.lines.world.label}: {stratum.name}, {name}")
            return
        at = np.searchsorted((all_x[1:] + all_x[:-1]) / 2, days)
        planted = self.lines.world.planted(stratum, name)
        if callable(planted):
            truth = planted(days)
        else:
            known = facts if facts and name.startswith(self.lines.world.facts or ("\0",)) else self.lines.many
            group = known.stratum(stratum.name)
            values = group.curve.survival if name == CURVE and group.curve else group.series[name].values
            truth = np.array(values)[at]
            if name.startswith(self.lines.world.totals or ("\0",)):
                truth = truth * drawn.cohort.patients / self.lines.world.many
        lower, upper = (np.array(end) for end in band)
        if (lower == upper).any():
            self.points.add(f"{self.lines.world.label}: {stratum.name}, {name}")
        slack = NEAR * np.maximum(np.abs(truth), 1e-12)
        held = (lower <= truth + slack) & (truth - slack <= upper)
        self.tally.setdefault(key, Counted.of(len(all_x))).add(at, held)


def replicate(
    lines: Lines, patients: int, epsilons: Iterable[float], replications: int, seed: int, *,
    counted: bool = True,
) -> tuple[dict[float, Tally], set[str]]:  # fmt: skip
    """Run replications of one world at one size.

    Args:
      lines: The world and what is true.
      patients: Of all sites together.
      epsilons: Of the study.
      replications: How many.
      seed: Of draws and noise.
      counted: False to conclude as if there were no noise.

    Returns:
      For each epsilon what was counted; and what is wrong with intervals, in words: no truth, no width.
    """
    world, rng = lines.world, np.random.default_rng(seed)
    plans = {epsilon: world.plan(epsilon) for epsilon in epsilons}
    judges = {epsilon: Judge(lines) for epsilon in plans}
    analysis = asked_of(next(iter(plans.values())), world.kind)
    for done in range(replications):
        if done == LOOK:
            plans = {epsilon: plan for epsilon, plan in plans.items() if judges[epsilon].tally}
        drawn = world.draw(rng, patients)
        sums = Sums(analysis, drawn.cohort)
        facts = exactly(analysis, drawn.cohort) if world.facts else None
        for epsilon, plan in plans.items():
            judges[epsilon].count(sums.concluded(plan, rng, counted=counted), drawn, facts)
    untold = {f"{each} has no truth" for judge in judges.values() for each in judge.untold}
    if counted:
        untold |= {f"{each} was printed without any width" for j in judges.values() for each in j.points}
    return {epsilon: judge.tally for epsilon, judge in judges.items()}, untold


def joined(tallies: Iterable[Tally]) -> Tally:
    """Return several tallies together."""
    whole: Tally = {}
    for tally in tallies:
        for key, counted in tally.items():
            whole[key] = whole[key].joined(counted) if key in whole else counted
    return whole
