"""What to expect of a study before it is asked: widths, power, the best split, what stays unanswered.

Everything follows from the study file and public assumptions, so anybody can compute it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedvalue.errors import PrivacyError
from fedvalue.planning.assumptions import Assumptions, draw
from fedvalue.planning.expected import Expected, expected
from fedvalue.planning.plan import Plan, plan_on, shares_of
from fedvalue.planning.programme import Reviews, reviews
from fedvalue.planning.split import Need, Split, best_split, needs
from fedvalue.planning.trainings import TrainingProspect, trainings_of
from fedvalue.privacy.accounting import rho_units_for
from fedvalue.secure_sum.thresholds import Thresholds
from fedvalue.study.schema import Study

EPSILONS = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0)
"""Looked at besides the study's own."""

EPOCH_TRIPS = 3
"""Round trips to open an epoch of the private sum: keys, shares, members."""

RELEASE_TRIPS = 3
"""Round trips of a release: masked vectors, who delivered, unmasking."""

NOWHERE = hashlib.sha256(b"preview").hexdigest()
"""Stands for the roster that a preview has not."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A group that the study's epsilon does not answer.

    Attributes:
      analysis: Label of the analysis.
      group: Name of the group.
      answered: Share of the draws in which there was an answer all the same.
      epsilon: Smallest epsilon that was tried and answers at least nine draws in ten; None if none does.
      never: True where there is no answer even without noise: the assumed patients are too few.
    """

    analysis: str
    group: str
    answered: float
    epsilon: float | None
    never: bool


@dataclass(frozen=True, slots=True)
class Prospect:
    """What to expect.

    Attributes:
      study: The study's id.
      epsilon: Its own.
      sites: n.
      patients: Assumed, of all sites together.
      difference: What the power is for.
      releases: How many there are at most.
      trips: Round trips between coordinator and hospitals, the opening of the epoch included.
      shares: Label of each analysis to its share of the study's rho.
      at: Epsilon to what is expected at it, the study's own among them, increasing.
      unanswered: What the study's epsilon does not answer.
      split: The best split; None where there is nothing to split.
      reviews: The programme of yearly reviews; None if it was not asked for.
      trainings: Noise and price of each training.
    """

    study: str
    epsilon: float
    sites: int
    patients: int
    difference: float
    releases: int
    trips: int
    shares: Mapping[str, float]
    at: Mapping[float, tuple[Expected, ...]]
    unanswered: tuple[Unanswered, ...]
    split: Split | None
    reviews: Reviews | None
    trainings: tuple[TrainingProspect, ...] = ()

    @property
    def own(self) -> tuple[Expected, ...]:
        """What is expected at the study's own epsilon."""
        return self.at[self.epsilon]


def prospect(
    study: Study, limits: Thresholds, assumed: Assumptions, *, draws: int = 5, seed: int = 1,
    years: int | None = None, partition_epsilon: float = 10.0,
) -> Prospect:  # fmt: skip
    """Look ahead.

    Args:
      study: The study.
      limits: Of the federation it is planned for.
      assumed: Public assumptions.
      draws: How often noise is drawn for each epsilon.
      seed: Of made-up patients and noise.
      years: Years of a programme that repeats the study each year; None for none.
      partition_epsilon: Budget of a partition for life in that programme.

    Raises:
      StudyInvalid: the assumptions do not fit the study.
      PrivacyError: the study's own budget is too small for what it asks.
    """
    assumed.require_fits(study)
    patients = assumed.patients_of(study, limits.sites)
    cohort = draw(study, assumed, patients, np.random.default_rng([seed, 0]))
    cohort = replace(cohort, site=np.arange(patients) % limits.sites)
    own, exact = plan_on(study, limits, NOWHERE), plan_on(study, limits, NOWHERE, unsafe_exact=True)
    at: dict[float, tuple[Expected, ...]] = {}
    for number, epsilon in enumerate(sorted({*EPSILONS, study.privacy.epsilon})):
        plan = own if epsilon == study.privacy.epsilon else _planned(study, limits, epsilon)
        if plan is not None:
            at[epsilon] = expected(plan, exact, cohort, draws, np.random.default_rng([seed, 1 + number]))
    shares = {
        analysis.label: float(share) for analysis, share in zip(own.analyses, shares_of(study), strict=True)
    }
    return Prospect(
        study.study.id, study.privacy.epsilon, limits.sites, patients, assumed.difference, len(own.releases),
        EPOCH_TRIPS + RELEASE_TRIPS * len(own.releases), shares, at, _unanswered(study, at),
        _split(study, shares, at, own),
        None if years is None else reviews(own.rho_units, study.privacy.delta, partition_epsilon, years),
        trainings_of(own, patients),
    )  # fmt: skip


def _planned(study: Study, limits: Thresholds, epsilon: float) -> Plan | None:
    """The plan of the study with another epsilon; None where it is too small to ask anything."""
    privacy = study.privacy.model_copy(update={"epsilon": epsilon})
    try:
        return plan_on(study.model_copy(update={"privacy": privacy}), limits, NOWHERE)
    except PrivacyError:
        return None


def _unanswered(study: Study, at: Mapping[float, tuple[Expected, ...]]) -> tuple[Unanswered, ...]:
    found = []
    for row in at[study.privacy.epsilon]:
        if row.answered >= 0.9:
            continue
        enough = next(
            (
                epsilon
                for epsilon, rows in at.items()
                if epsilon > study.privacy.epsilon
                and any(
                    (o.analysis, o.group) == (row.analysis, row.group) and o.answered >= 0.9 for o in rows
                )
            ),
            None,
        )
        found.append(Unanswered(row.analysis, row.group, row.answered, enough, not row.estimate))
    return tuple(found)


def _split(
    study: Study, shares: Mapping[str, float], at: Mapping[float, tuple[Expected, ...]], own: Plan
) -> Split | None:
    """Split what the analyses have; the shares of trainings and diagnostics stay what they are."""
    asked = [
        analysis.label
        for analysis, question in zip(own.analyses, study.analyses, strict=False)
        if question.kind != "training"
    ]
    whole = sum(shares[label] for label in asked) or 1.0
    parts = {label: shares[label] / whole for label in asked}
    rho = rho_units_for(study.privacy.epsilon, study.privacy.delta)
    found: dict[tuple[str, str], Need] = {}
    # the study's own epsilon first; a group that it does not answer is judged by the next that does
    order = sorted(at, key=lambda epsilon: (epsilon != study.privacy.epsilon, epsilon))
    for epsilon in order:
        ratio = rho_units_for(epsilon, study.privacy.delta) / rho
        for row in at[epsilon]:
            if row.answered >= 0.5 and (row.analysis, row.group) not in found:
                for need in needs([row], parts, ratio):
                    found[row.analysis, row.group] = need
    before = max(
        (row.relative or 0.0 for row in at[study.privacy.epsilon] if row.analysis in parts), default=0.0
    )
    return best_split(list(found.values()), list(parts), before)


def widest(rows: Sequence[Expected], analysis: str) -> Expected | None:
    """Return the group of an analysis whose interval is relatively widest; None where none has an answer."""
    found = [row for row in rows if row.analysis == analysis and row.relative is not None]
    return max(found, key=lambda row: row.relative or 0.0, default=None)
