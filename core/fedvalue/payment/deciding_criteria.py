"""The answer of a standard with quantities and criteria: what every mechanism but one shares.

Evidence and the payer's figures are read as quantities with joint draws, the mechanism derives others, each
criterion is a bar on one of them, and the decision rule answers. Several bars are met jointly: D1 reads
P(all), over draws, never a product of their probabilities; D2 needs each beyond its guard band. Nothing
here reads a package: the same function answers for a sealed package and for released sums of a simulation.

Draws come from a seed made of the evidence and the standard's version, so an answer is made again bit for
bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from fedvalue.errors import EvidenceOfTooFewSites, PaymentError
from fedvalue.payment import held as held_figures
from fedvalue.payment import model_gate
from fedvalue.payment import wording_criteria as wording
from fedvalue.payment.bars import Bars, bar_of, bars_of, nearest, unit_of
from fedvalue.payment.decision import InForce, Insufficient, Outcome, Rule
from fedvalue.payment.decision_findings import (
    CriterionFinding,
    ExpectedMoney,
    HeldBack,
    LookRecord,
    Refused,
    Result,
    Worth,
)
from fedvalue.payment.decision_findings import (
    Sequence as Looks,
)
from fedvalue.payment.insufficient import Budgeted, Clock, not_estimable, too_few
from fedvalue.payment.insufficient_normal import undecided_normal
from fedvalue.payment.kinds.case import Case, Kind, kept
from fedvalue.payment.kinds.registry import KINDS
from fedvalue.payment.kinds.value import after_years
from fedvalue.payment.known import Known, KnownNormal
from fedvalue.payment.mechanisms.underlying import Draws
from fedvalue.payment.outcome_linked import CELLS
from fedvalue.payment.readings import Readings, Sources, patients_of, read
from fedvalue.payment.restraint import Warrant, restrained
from fedvalue.payment.rules import rounded
from fedvalue.payment.rules_named import rule_record
from fedvalue.payment.standard import Standard
from fedvalue.payment.standard_file import StandardFile


@dataclass(frozen=True, slots=True)
class Answer:
    """All that a decision says beyond who asked.

    Attributes:
      outcome: The answer.
      rule: As it was read.
      criteria: Every criterion; empty where a quantity has no estimate.
      joint_probability: P(all criteria are met).
      results: What the mechanism computed.
      expected: Money expected per patient.
      worth: D3's paths.
      sequence: D5's looks.
      refused: Why the mechanism cannot be used.
      insufficient: What follows from insufficient evidence.
      before: Payment values in force.
      after: Payment values as proposed; None where the standard is kept.
      action: What follows.
      held_back: What the brakes did.
      what_would_change: Sentences.
      warnings: What a reader must know of the rule and the mechanism.
      needs: Roles that must sign a proposal.
    """

    outcome: Outcome
    rule: Rule
    criteria: tuple[CriterionFinding, ...]
    joint_probability: float | None
    results: tuple[Result, ...]
    expected: tuple[ExpectedMoney, ...]
    worth: Worth | None
    sequence: Looks | None
    refused: Refused | None
    insufficient: Insufficient | None
    before: dict[str, InForce]
    after: dict[str, InForce] | None
    action: str
    held_back: tuple[HeldBack, ...]
    what_would_change: tuple[str, ...]
    warnings: tuple[str, ...]
    needs: tuple[str, ...]


def answer(
    file: StandardFile,
    sources: Sources,
    on: date,
    *,
    budget: Budgeted,
    minimum: int,
    looks: Sequence[LookRecord] = (),
    study_id: str = "",
) -> Answer:
    """Answer a standard's question. Nothing is changed by it.

    Args:
      file: The standard, of any mechanism but ``outcome_linked_cohort``.
      sources: Evidence and the payer's statement.
      on: The day whose values of the standard are used.
      budget: What the study had, for remedies.
      minimum: Smallest released number of patients that the study reports.
      looks: D5: the looks before this one.
      study_id: D5: the study of this look.

    Raises:
      EvidenceOfAnother: a quantity that the evidence does not hold, or holds otherwise.
      EvidenceOfTooFewSites: fewer sites than the standard demands.
      ParameterNotInForce: the standard has no value on that day.
      PaymentError: a contract that leaves something open, or figures that do not fit.
    """
    standard, kind = file.standard, KINDS[file.standard.mechanism]
    require_sites(standard, sources.sites, on)
    if sources.held is not None:
        held_figures.check_for(sources.held, standard.name, on)
    seed = int(hashlib.sha256(f"{sources.evidence_id} {file.version}".encode()).hexdigest()[:12], 16)
    contract = _contract(standard, on, sources, seed)
    kind.check(contract)
    refused = kind.refuse(contract)
    found = read(standard, on, sources, seed=seed, months=kind.months(contract))
    before = standard.in_force(on)
    if refused is not None:
        waiting = wording.refused_remedies(refused, _clock(standard, on))
        return _without_estimate(standard, on, before, refused, waiting)
    gated = model_gate.closed(
        standard, sources.uses, sources.conclusions, sources.evidence_id, on, _clock(standard, on)
    )
    if gated is not None:
        return _without_estimate(standard, on, before, None, gated)
    few = _few(standard, on, found, minimum)
    if found.lacking or few is not None:
        return _without_estimate(standard, on, before, None, _no_estimate(standard, on, found, minimum, few))
    case = Case(standard, on, found.known, found.draws, sources.held, seed, found.together)
    known = {**found.known, **kind.derive(case)}
    bars = bars_of(case, known, found, looks=looks, evidence_id=sources.evidence_id, study_id=study_id)
    outcome = after_years(case, bars.outcome) if standard.mechanism == "suspension" else bars.outcome
    after, held_back = _proposed(case, kind, before, outcome, bars)
    lacking = None
    if outcome == "insufficient_evidence":
        lacking = _undecided(case, known, found, bars, budget)
    waits = bool(held_back) and after is None
    consequence = getattr(standard.consequences, "insufficient_evidence" if waits else outcome)
    return Answer(
        outcome=outcome,
        rule=rule_record(standard, on),
        criteria=bars.findings,
        joint_probability=bars.probability,
        results=kind.results(case),
        expected=_expected(case, kind, after),
        worth=bars.worth,
        sequence=bars.sequence,
        refused=None,
        insufficient=lacking,
        before=before,
        after=after,
        action=consequence.action,
        held_back=held_back,
        what_would_change=_turning(case, known, bars),
        warnings=wording.of_criteria(standard, bars.findings, held_back, waits=waits),
        needs=needs_of(standard),
    )


def needs_of(standard: Standard) -> tuple[str, ...]:
    """Return the roles that must sign a proposal; for sub-groups the clinical committee among them."""
    also = ("clinical_committee",) if standard.mechanism == "drg_subgroups" else ()
    return tuple(dict.fromkeys((*standard.needs, *also)))


def require_sites(standard: Standard, sites: int, on: date) -> None:
    """Refuse evidence behind which fewer sites stand than the standard demands.

    Raises:
      EvidenceOfTooFewSites: fewer.
    """
    if "minimum_sites" not in standard.rule:
        return
    wanted = int(standard.amount("minimum_sites", on))
    if sites < wanted:
        raise EvidenceOfTooFewSites(
            f"{sites} sites answered, the standard demands {wanted}", where=standard.name,
            do="use evidence of a larger federation",
        )  # fmt: skip


def _contract(standard: Standard, on: date, sources: Sources, seed: int) -> Case:
    """The case before any evidence is read."""
    nothing = Draws((), np.zeros(0), np.zeros((2, 0)), np.zeros((2, 0)), sources.evidence_id)
    return Case(standard, on, {}, nothing, sources.held, seed)


def _few(standard: Standard, on: date, found: Readings, minimum: int) -> float | None:
    """Return the smallest released number of patients where it is below what standard and study ask for."""
    least = max(int(standard.amount("minimum_patients", on)), minimum)
    counts = [n for n in map(patients_of, found.strata.values()) if n is not None]
    few = min(counts, default=float(least))
    return few if few < least else None


def _clock(standard: Standard, on: date) -> Clock:
    return Clock(
        review_on=on + timedelta(days=int(standard.amount("review_after", on))),
        sunset=on + timedelta(days=int(standard.amount("sunset_after", on))),
    )


def _no_estimate(
    standard: Standard, on: date, found: Readings, minimum: int, few: float | None
) -> Insufficient:
    clock, least = _clock(standard, on), max(int(standard.amount("minimum_patients", on)), minimum)
    if not found.lacking:
        return too_few(minimum=least, released=few, clock=clock)
    stratum = found.lacking[0].stratum
    released = patients_of(stratum)
    if stratum.status == "not_estimable":
        return not_estimable(stratum, minimum=least, released=released, clock=clock)
    return too_few(minimum=least, released=released, clock=clock)


def _without_estimate(
    standard: Standard,
    on: date,
    before: dict[str, InForce],
    refused: Refused | None,
    lacking: Insufficient,
) -> Answer:
    return Answer(
        outcome="insufficient_evidence",
        rule=rule_record(standard, on),
        criteria=(),
        joint_probability=None,
        results=(),
        expected=(),
        worth=None,
        sequence=None,
        refused=refused,
        insufficient=lacking,
        before=before,
        after=None,
        action=standard.consequences.insufficient_evidence.action,
        held_back=(),
        what_would_change=(),
        warnings=(),
        needs=needs_of(standard),
    )


def _undecided(
    case: Case, known: Mapping[str, Known], found: Readings, bars: Bars, budget: Budgeted
) -> Insufficient:
    i = nearest(bars)
    now, name = bars.readings[i], case.standard.criteria[i].of
    stratum = found.strata.get(name)
    if stratum is None and found.strata:
        stratum = min(found.strata.values(), key=lambda group: patients_of(group) or 0.0)
    patients = None if stratum is None else patients_of(stratum)
    missing = 0.0
    quantity = case.standard.quantities.get(name)
    if quantity is not None and quantity.missing == "non_response" and stratum is not None and patients:
        missing = stratum.released[CELLS[2]].value / max(patients, 1.0)
    one = known[name]
    between = one.between_variance if isinstance(one, KnownNormal) else 0.0
    normal = KnownNormal(one.value, now.sampling_variance, now.privacy_variance, between)
    return undecided_normal(
        bar_of(case, now), normal, patients=patients, missing_share=missing, budget=budget,
        clock=_clock(case.standard, case.on),
    )  # fmt: skip


def _turning(case: Case, known: Mapping[str, Known], bars: Bars) -> tuple[str, ...]:
    del known
    if bars.sequence is not None:
        return wording.next_look(case.standard, bars.sequence)
    sentences: list[str] = []
    for criterion, now in zip(case.standard.criteria, bars.readings, strict=True):
        if now.sampling_variance + now.privacy_variance <= 0:
            continue
        met, not_met = bar_of(case, now).turns(now.sampling_variance, now.privacy_variance)
        sentences += wording.turning(criterion, unit_of(case, criterion.threshold), met, not_met)
    return tuple(sentences)


def _proposed(
    case: Case, kind: Kind, before: Mapping[str, InForce], outcome: Outcome, bars: Bars
) -> tuple[dict[str, InForce] | None, tuple[HeldBack, ...]]:
    standard = case.standard
    consequence = getattr(standard.consequences, outcome)
    if not consequence.values:
        return None, ()
    starts = case.on + timedelta(days=int(case.amount("effective_after")))
    computed = kind.compute(case, outcome)
    after = dict(before)
    for name, term in consequence.values.items():
        after[name] = InForce(
            amount=_set(standard, term, computed, case.on), unit=before[name].unit, starts=starts,
            source=f"computed by {standard.mechanism} from {case.draws.evidence_id}"
            if term in computed
            else standard.history(term).on(case.on, f"{standard.name}: {term}").source.title,
        )  # fmt: skip
    first = bars.readings[0]
    warranted = bars.probability if outcome == "met" else 1 - bars.probability
    warrant = Warrant(rounded(warranted), first.sampling_variance, first.privacy_variance)
    return restrained(standard, before, after, warrant, on=case.on, starts=starts)


def _set(standard: Standard, term: str, computed: Mapping[str, Decimal], on: date) -> Decimal:
    if term in computed:
        return computed[term]
    if term not in standard.amounts:
        raise PaymentError(
            f"the mechanism computes no {term} from these figures", where=standard.name,
            do=f"it computes {sorted(computed)}",
        )  # fmt: skip
    return standard.amount(term, on)


def _expected(case: Case, kind: Kind, after: Mapping[str, InForce] | None) -> tuple[ExpectedMoney, ...]:
    proposed = {} if after is None else {name: value.amount for name, value in after.items()}
    now = kind.expect(case)
    then = kind.expect(case.as_proposed(proposed)) if proposed else now
    return tuple(
        ExpectedMoney(
            name=one.name,
            bearer=one.bearer,
            payee=one.payee,
            currency=case.currency,
            before=kept(one.amount.value),
            after=kept(other.amount.value),
            sampling_variance=kept(other.amount.sampling_variance),
            privacy_variance=kept(other.amount.privacy_variance),
        )
        for one, other in zip(now, then, strict=True)
    )
