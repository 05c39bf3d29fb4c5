"""The criteria of a standard at work: what each reads, what the rule answers, and where a bar turns.

Several bars are met jointly: D1 reads P(all), over draws and never as a product of their probabilities; D2
needs each beyond its guard band. They are not met when one of them fails by itself, at its share of the
error: P(all) is small already where every bar is just reached, so it can show that all hold and not that one
fails.
D3, D4 and D5 weigh one bar.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedvalue.errors import EvidenceOfAnother, PaymentError
from fedvalue.evidence.display import banded
from fedvalue.payment.decision import Outcome
from fedvalue.payment.decision_findings import (
    CriterionFinding,
    LookRecord,
    Worth,
)
from fedvalue.payment.decision_findings import (
    Sequence as Looks,
)
from fedvalue.payment.insufficient_normal import Bar
from fedvalue.payment.kinds.case import Case, kept
from fedvalue.payment.known import Known, KnownDraws, KnownShare, holds, reading
from fedvalue.payment.mechanisms.underlying import Floats
from fedvalue.payment.readings import Readings, patients_of
from fedvalue.payment.rules import GuardBandRule, ProbabilityRule, Reading, guard_band, rounded
from fedvalue.payment.rules_named import LookSettings, benefit_of, planning_rule, rule_of
from fedvalue.payment.rules_sequential import Look, look_of_counts


@dataclass(frozen=True, slots=True)
class Bars:
    """The criteria at work.

    Attributes:
      outcome: What the rule answers.
      probability: P(all criteria are met).
      findings: For the decision.
      readings: What the rule read of each.
      worth: D3's paths.
      sequence: D5's looks.
    """

    outcome: Outcome
    probability: float
    findings: tuple[CriterionFinding, ...]
    readings: tuple[Reading, ...]
    worth: Worth | None
    sequence: Looks | None


def bars_of(
    case: Case,
    known: Mapping[str, Known],
    found: Readings,
    *,
    looks: Sequence[LookRecord],
    evidence_id: str,
    study_id: str,
) -> Bars:
    """Answer the criteria of a standard.

    Args:
      case: The decision as its mechanism reads it.
      known: Quantities and what the mechanism derived.
      found: The quantities' groups.
      looks: D5: the looks before this one.
      evidence_id: D5: the evidence of this look.
      study_id: D5: its study.

    Raises:
      EvidenceOfAnother: a look at the study of an earlier look.
      PaymentError: a criterion on what was not derived, or a rule that weighs one criterion with several.
    """
    standard = case.standard
    readings, held = [], []
    for criterion in standard.criteria:
        if criterion.of not in known:
            raise PaymentError(
                f"the mechanism derives no {criterion.of} from these quantities", where=standard.name,
                do="name the quantities that it is derived from",
            )  # fmt: skip
        threshold = case.number(criterion.threshold)
        readings.append(reading(known[criterion.of], threshold, criterion.direction))
        held.append(holds(_draws(case, known[criterion.of], criterion.of), threshold, criterion.direction))
    first = standard.criteria[0]
    now = _look(case, known[first.of], first.of, evidence_id, study_id) if standard.looks else None
    every = (*looks, now) if now is not None else ()
    if now is not None and any(now.study_id == look.study_id for look in looks):
        raise EvidenceOfAnother(
            "a look at the study of an earlier look counts its patients twice", where=standard.name,
            do="each look reads new patients, of a study of their own",
        )  # fmt: skip
    rule = rule_of(
        standard, case.on, threshold=case.number(first.threshold),
        looks=tuple(Look(x.day, x.estimate, x.sampling_variance, x.privacy_variance) for x in every),
    )  # fmt: skip
    if len(readings) == 1:
        probability = readings[0].probability
        outcome = rule.answer(readings[0])
    else:
        runs = min(len(draws) for draws in held)
        probability = rounded(float(np.mean(np.logical_and.reduce([draws[:runs] for draws in held]))))
        outcome = _joint(rule, readings, probability)
    sequence = worth = None
    if isinstance(rule, LookSettings):
        stand = rule.stand()
        sequence = Looks(
            looks=every,
            z=stand.z,
            bound=kept(stand.bound),
            fraction=kept(stand.fraction),
            spent=kept(stand.spent),
            looks_left=stand.looks_left,
        )
    if standard.reversible is not None and len(readings) == 1:
        paths = benefit_of(standard, case.on).paths(readings[0])
        worth = Worth(
            path=paths.path, worth={name: kept(x) for name, x in paths.worth.items()},
            value_of_data=kept(paths.value_of_data),
        )  # fmt: skip
    findings = tuple(
        _finding(case, known[criterion.of], read_now, i, found)
        for i, (criterion, read_now) in enumerate(zip(standard.criteria, readings, strict=True))
    )
    return Bars(outcome, probability, findings, tuple(readings), worth, sequence)


def _joint(rule: object, readings: Sequence[Reading], probability: float) -> Outcome:
    if isinstance(rule, GuardBandRule):
        if all(rule.answer(one) == "met" for one in readings):
            return "met"
        stricter = GuardBandRule(1 - (1 - rule.level) / len(readings))
        failing = any(stricter.answer(one) == "not_met" for one in readings)
        return "not_met" if failing else "insufficient_evidence"
    if isinstance(rule, ProbabilityRule):
        if probability >= rule.p_met:
            return "met"
        failing = min(one.probability for one in readings) <= rule.p_not / len(readings)
        return "not_met" if failing else "insufficient_evidence"
    raise PaymentError("joint criteria take D1 or D2", where="decision_rule")


def _draws(case: Case, known: Known, name: str) -> Floats:
    if isinstance(known, KnownDraws):
        return known.derived.draws
    if name in case.draws.names:
        return case.draws.column(name)
    # a derived quantity with two variances and no draws of its own, such as the net benefit
    rng = np.random.default_rng(
        [case.seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")]
    )
    sd = math.sqrt(known.sampling_variance + known.privacy_variance)
    return np.asarray(known.value + sd * rng.standard_normal(len(case.draws.total)), dtype=np.float64)


def _look(case: Case, known: Known, name: str, evidence_id: str, study_id: str) -> LookRecord:
    """This look; a share has V_s at the threshold, so that information does not depend on the outcome."""
    criterion = case.standard.criteria[0]
    if isinstance(known, KnownShare):
        look = look_of_counts(case.on, known.counts, case.number(criterion.threshold))
        estimate, sampling, privacy = look.estimate, look.sampling_variance, look.privacy_variance
    else:
        estimate, sampling, privacy = known.value, known.sampling_variance, known.privacy_variance
    if not sampling > 0:
        raise PaymentError(f"{name} has no sampling variance: there is nothing to look at again", where=name)
    return LookRecord(
        day=case.on,
        evidence_id=evidence_id,
        study_id=study_id,
        estimate=kept(estimate),
        sampling_variance=kept(sampling),
        privacy_variance=kept(privacy),
    )


def _finding(case: Case, known: Known, now: Reading, position: int, found: Readings) -> CriterionFinding:
    criterion = case.standard.criteria[position]
    lower, upper = known.interval()
    whole = now.sampling_variance + now.privacy_variance
    reference = None if criterion.reference is None else case.amount(criterion.reference)
    stratum = found.strata.get(criterion.of)
    patients = None if stratum is None else patients_of(stratum)
    return CriterionFinding(
        of=criterion.of,
        unit=unit_of(case, criterion.threshold),
        direction=criterion.direction,
        threshold=case.amount(criterion.threshold),
        estimate=kept(known.value),
        lower=kept(lower),
        upper=kept(upper),
        probability=now.probability,
        sampling_variance=kept(now.sampling_variance),
        privacy_variance=kept(now.privacy_variance),
        privacy_share=rounded(now.privacy_variance / whole) if whole > 0 else 0.0,
        guard_band=kept(guard_band(case.number("p_met"), whole)),
        patients_banded=None if patients is None else banded(patients),
        reference=reference,
        met_at_reference=None if reference is None else _bite(case, now, float(reference)),
    )


def unit_of(case: Case, name: str) -> str:
    """Return the unit of a parameter of the standard."""
    return case.standard.history(name).unit


def _bite(case: Case, now: Reading, reference: float) -> float | None:
    bar = bar_of(case, now)
    if now.sampling_variance + now.privacy_variance <= 0:
        return None
    return rounded(bar.probability_met(reference, now.sampling_variance, now.privacy_variance))


def bar_of(case: Case, now: Reading) -> Bar:
    """Return the standard's rule at work on one bar, as remedies and turning points are planned with it."""
    standard = case.standard
    if standard.looks:
        rule = planning_rule(rule_of(standard, case.on, threshold=now.threshold, looks=()))
    else:
        rule = rule_of(standard, case.on, threshold=now.threshold)
    return Bar(rule, now.threshold, now.direction)


def nearest(bars: Bars) -> int:
    """Return the criterion that stands in the way: the one with the smallest probability."""
    return min(range(len(bars.readings)), key=lambda i: bars.readings[i].probability)
