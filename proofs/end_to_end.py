"""Five studies with planted truth, from made-up patients at eight hospitals to a payment decision.

Every repetition draws patients from a known truth, deals them to hospitals, and goes the study's own way: its
plan with its budget and scales, each hospital's clipped integer sum, noise of every hospital, the analyses'
conclusions, the standard's rule. Only the transport is left out: noise is drawn as a rounded Gaussian of the
exact variance, and sums are added in this process. The same patients also go through the front door once, in
`proofs.front_door`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import NoisyBlock, NoisySum
from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.analyses.estimate import Conclusion
from fedvalue.payment import held as held_figures
from fedvalue.payment import standard_file
from fedvalue.payment.deciding import uses_of
from fedvalue.payment.deciding_criteria import answer
from fedvalue.payment.decision import Outcome
from fedvalue.payment.held import Held
from fedvalue.payment.insufficient import Budgeted
from fedvalue.payment.outcome_linked import Prior, counts_of, posterior
from fedvalue.payment.readings import Sources
from fedvalue.payment.rules import read, rule_called
from fedvalue.payment.standard_file import StandardFile
from fedvalue.planning.concluding import conclude_all
from fedvalue.planning.plan import Plan, PlannedRelease, plan_on
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.study import file as study_file
from fedvalue.study.endpoints import Binary
from fedvalue.study.schema import Study

SITES = 8
DAY = date(2026, 11, 22)
FOLDER = Path(__file__).parent / "studies"

Columns = dict[str, NDArray[np.float64] | NDArray[np.str_]]
"""One entry per patient and column: text for a level, a number, 0 or 1 for an outcome."""

Right = Outcome
Draw = Callable[[np.random.Generator, Mapping[str, float]], Columns]


@dataclass(frozen=True, slots=True)
class Truth:
    """What is planted.

    Attributes:
      name: ``meets``, ``at the bar`` or ``fails``.
      right: The answer that is right; at the bar no answer is, and insufficient evidence is the honest one.
      planted: Parameters of the generator.
      text: The truth in words.
    """

    name: str
    right: Right
    planted: Mapping[str, float]
    text: str


@dataclass(frozen=True, slots=True)
class World:
    """One of the five studies.

    Attributes:
      name: Also the study's file.
      title: For the page.
      truths: Three of them.
      draw: Patients of a truth.
      held: The payer's statement, YAML; empty where the standard reads none.
    """

    name: str
    title: str
    truths: tuple[Truth, ...]
    draw: Draw
    held: Callable[[Mapping[str, float]], str] | None = None

    @property
    def study(self) -> Study:
        """Its study file, validated."""
        return _study(self.name)

    def statement(self, truth: Truth) -> Held | None:
        """The payer's statement under a truth."""
        return None if self.held is None else _statement(self.held(truth.planted), self.name)


@cache
def _study(name: str) -> Study:
    return study_file.load(FOLDER / f"{name}.toml")


@cache
def _statement(text: str, name: str) -> Held:
    return held_figures.parse(text.encode(), where=f"{name}: payer held")


@cache
def _standard(name: str) -> StandardFile:
    return standard_file.read(name)


@cache
def _plan(name: str) -> Plan:
    study = _study(name)
    limits = thresholds(
        SITES, colluding=study.federation.colluding_sites, dropouts=study.federation.tolerated_dropouts
    )
    return plan_on(study, limits, hashlib.sha256(name.encode()).hexdigest())


def cohort_of(study: Study, columns: Columns) -> Cohort:
    """Return patients as a site would have frozen them; no value is outside its levels here."""
    any_column = next(iter(columns.values()))
    categories, numbers = {}, {}
    for name, variable in study.variables.items():
        column = columns[variable.person or name]
        if variable.categorical:
            order = {level: i for i, level in enumerate(variable.levels)}
            categories[name] = np.array([order[str(value)] for value in column], dtype=np.int64)
        else:
            numbers[name] = np.asarray(column, dtype=np.float64)
    binary, survival = {}, {}
    for name, endpoint in study.endpoints.items():
        if isinstance(endpoint, Binary):
            binary[name] = BinaryOutcome(np.asarray(columns[endpoint.column or name], dtype=np.int64))
        else:
            time = np.asarray(columns["time"], dtype=np.float64)
            event = np.asarray(columns["event"], dtype=np.int64)
            survival[name] = SurvivalOutcome(np.zeros(len(time)), time, event)
    return Cohort(len(any_column), categories, numbers, binary, survival)


def rows_of(columns: Columns, keep: NDArray[np.bool_]) -> Columns:
    """Return some of the patients."""
    return {name: column[keep] for name, column in columns.items()}


def conclude(world: World, columns: Columns, rng: np.random.Generator) -> tuple[Conclusion, ...]:
    """Return what the study concludes from these patients: its own plan, sums and noise.

    Args:
      world: The study.
      columns: Patients.
      rng: Deals them to hospitals, and draws the noise.
    """
    study, plan = world.study, _plan(world.name)
    site = rng.integers(0, SITES, len(next(iter(columns.values()))))
    cohorts = [cohort_of(study, rows_of(columns, site == k)) for k in range(SITES)]
    variance = SITES * 4.0**LOG2_SCALE

    def opened(release: PlannedRelease, public: bytes) -> NoisySum:
        total = np.sum([release.contribution(cohort, public) for cohort in cohorts], axis=0)
        noisy = total + np.rint(rng.normal(0.0, variance**0.5, release.dimension)).astype(np.int64)
        return {
            name: NoisyBlock(noisy[where], gamma, variance)
            for name, (where, gamma) in release.slices().items()
        }

    return conclude_all(plan, opened)


def decided(world: World, truth: Truth, rng: np.random.Generator, evidence_id: str) -> Outcome:
    """Return one repetition's answer.

    Args:
      world: The study.
      truth: What is planted.
      rng: Of patients, hospitals and noise.
      evidence_id: Unique to the repetition; the engine's own draws follow from it.
    """
    study = world.study
    conclusions = conclude(world, world.draw(rng, truth.planted), rng)
    payment = study.payments[0]
    file = _standard(payment.standard)
    if file.standard.metric is not None:
        return _share(world, conclusions)
    sources = Sources(
        conclusions, uses_of(payment, file.standard), evidence_id, SITES, world.statement(truth)
    )
    privacy = study.privacy
    return answer(
        file, sources, DAY, budget=Budgeted(privacy.epsilon, privacy.delta, privacy.patient_cap),
        minimum=study.federation.min_released_patients,
    ).outcome  # fmt: skip


def _share(world: World, conclusions: tuple[Conclusion, ...]) -> Outcome:
    """The answer on one share: rule D1 on its noise-aware posterior, and the standard's least patients."""
    study = world.study
    payment = study.payments[0]
    standard = _standard(payment.standard).standard
    metric = standard.metric
    name = ", ".join(f"{variable}={level}" for variable, level in payment.stratum.items())
    found = next(c for c in conclusions if c.endpoint == payment.endpoint)
    stratum = found.stratum(name)
    if metric is None or stratum.status != "estimated":
        return "insufficient_evidence"
    counts = counts_of(stratum, metric.missing)
    if counts.total.value < float(standard.amount("minimum_patients", DAY)):
        return "insufficient_evidence"
    prior = Prior(*(float(standard.amount(key, DAY)) for key in ("prior_success", "prior_failure")))
    rule = rule_called(
        standard.decision_rule,
        p_met=standard.amount("p_met", DAY),
        p_not=standard.amount("p_not", DAY),
    )
    tau = float(standard.amount("threshold", DAY))
    return rule.answer(read(posterior(counts, prior), tau, metric.direction))
