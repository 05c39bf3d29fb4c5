"""The answer of ``outcome_linked_cohort``: one share of patients, by its exact noise-aware posterior.

The other mechanisms read several quantities (`deciding_criteria`). Here the released counts themselves
decide, and remedies and turning points are exact for counts (`operating`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from fedvalue.analyses.estimate import Stratum
from fedvalue.analyses.groups import EVERYBODY
from fedvalue.errors import EvidenceOfAnother
from fedvalue.evidence.display import banded
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment import wording, wording_criteria
from fedvalue.payment.decision import (
    Finding,
    InForce,
    Insufficient,
    Outcome,
    Question,
    ReferenceCheck,
    Rule,
)
from fedvalue.payment.decision_findings import HeldBack, LookRecord, Worth
from fedvalue.payment.decision_findings import Sequence as Looks
from fedvalue.payment.insufficient import Budgeted, Clock, not_estimable, too_few, undecided
from fedvalue.payment.kinds.case import kept
from fedvalue.payment.money import proposed_values
from fedvalue.payment.operating import Rulebook, probability_met
from fedvalue.payment.outcome_linked import Counts, Posterior, Prior, counts_of, posterior
from fedvalue.payment.restraint import Warrant, restrained
from fedvalue.payment.rules import DecisionRule, Reading, guard_band, read, rounded
from fedvalue.payment.rules_named import LookSettings, benefit_of, planning_rule, rule_of, rule_record
from fedvalue.payment.rules_sequential import Look, look_of_counts
from fedvalue.payment.standard import Metric, Standard
from fedvalue.payment.standard_file import StandardFile
from fedvalue.study.endpoints import Binary
from fedvalue.study.payments import Payment
from fedvalue.study.schema import Study


@dataclass(frozen=True, slots=True)
class ShareCase:
    """Everything that the answer is made from.

    Attributes:
      package: The evidence.
      study: The study that it holds.
      payment: What the study moves.
      file: The standard.
      on: The day whose values are used.
      looks: D5: the looks before this one.
    """

    package: EvidencePackage
    study: Study
    payment: Payment
    file: StandardFile
    on: date
    looks: tuple[LookRecord, ...] = ()

    @property
    def standard(self) -> Standard:
        """The standard."""
        return self.file.standard

    @property
    def metric(self) -> Metric:
        """What the standard measures.

        Raises:
          EvidenceOfAnother: the standard reads quantities instead.
        """
        if self.standard.metric is None:
            raise EvidenceOfAnother("the standard reads no single share", where=self.standard.name)
        return self.standard.metric

    def amount(self, name: str) -> Decimal:
        """Return a parameter in force on the day."""
        return self.standard.amount(name, self.on)

    def days(self, name: str) -> date:
        """Return the day that lies a parameter's days after the decision."""
        return self.on + timedelta(days=int(self.amount(name)))


@dataclass(frozen=True, slots=True)
class ShareAnswer:
    """All that a decision says of one share; see `fedvalue.payment.decision.DecisionBody` for the fields."""

    question: Question
    rule: Rule
    outcome: Outcome
    finding: Finding | None
    reference: ReferenceCheck | None
    insufficient: Insufficient | None
    before: dict[str, InForce]
    after: dict[str, InForce] | None
    action: str
    worth: Worth | None
    sequence: Looks | None
    held_back: tuple[HeldBack, ...]
    warnings: tuple[str, ...]
    what_would_change: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    outcome: Outcome
    finding: Finding | None
    reference: ReferenceCheck | None
    insufficient: Insufficient | None
    reading: Reading | None = None
    worth: Worth | None = None
    sequence: Looks | None = None


def answer_share(case: ShareCase) -> ShareAnswer:
    """Answer the question of one share. Nothing is changed by it.

    Raises:
      EvidenceOfAnother: the evidence is of another endpoint or group, or counts otherwise.
      ParameterNotInForce: the standard has no value on that day.
      PaymentError: levels or losses outside their range, or looks that were not registered.
    """
    endpoint = case.study.endpoints.get(case.payment.endpoint)
    if not isinstance(endpoint, Binary):
        raise EvidenceOfAnother(f"{case.payment.endpoint!r} is no binary endpoint", where=case.standard.name)
    _same_measure(endpoint, case)
    stratum = _stratum(case)
    counts = counts_of(stratum, case.metric.missing) if stratum.released else None
    rule = _rule(case, counts)
    book = Rulebook(
        planning_rule(rule),
        float(case.amount("threshold")),
        case.metric.direction,
        Prior(float(case.amount("prior_success")), float(case.amount("prior_failure"))),
    )
    found = _found(case, stratum, book, rule, counts)
    before = case.standard.in_force(case.on)
    after, held_back = _proposed(case, found, before)
    waits = bool(held_back) and after is None
    consequence = getattr(case.standard.consequences, "insufficient_evidence" if waits else found.outcome)
    used = counts if found.finding else None
    said = wording.warnings(case.package, case.standard, found.reference, method=endpoint.method, counts=used)
    change = () if used is None else wording.what_would_change(book, used, found.outcome)
    if found.sequence is not None:
        change = wording_criteria.next_look(case.standard, found.sequence)
    return ShareAnswer(
        question=_question(case, stratum),
        rule=rule_record(case.standard, case.on),
        outcome=found.outcome,
        finding=found.finding,
        reference=found.reference,
        insufficient=found.insufficient,
        before=before,
        after=after,
        action=consequence.action,
        worth=found.worth,
        sequence=found.sequence,
        held_back=held_back,
        warnings=(*said, *wording_criteria.of_criteria(case.standard, (), held_back, waits=waits)),
        what_would_change=change,
    )


def _question(case: ShareCase, stratum: Stratum) -> Question:
    return Question(
        text=case.study.study.question,
        endpoint=case.payment.endpoint,
        stratum=stratum.name,
        direction=case.metric.direction,
        threshold=case.amount("threshold"),
        missing=case.metric.missing,
    )


def _same_measure(endpoint: Binary, case: ShareCase) -> None:
    """Refuse evidence that counts, assesses or looks otherwise than the standard says."""
    metric, where, do = case.metric, case.standard.name, "evidence and standard must ask the same question"
    if endpoint.missing != metric.missing:
        raise EvidenceOfAnother(
            f"the study counts missing outcomes as {endpoint.missing}, the standard as {metric.missing}",
            where=where, do=do,
        )  # fmt: skip
    if endpoint.method is None:
        return
    if endpoint.method not in metric.methods:
        raise EvidenceOfAnother(
            f"the outcome was assessed by {endpoint.method}; the standard accepts {list(metric.methods)}",
            where=where, do=do,
        )  # fmt: skip
    first, last = endpoint.window
    day, window = last if endpoint.takes_best else (first + last) // 2, int(case.amount("window"))
    if day != window:
        raise EvidenceOfAnother(
            f"the study looks at day {day}, the standard at day {window}", where=where, do=do
        )


def _stratum(case: ShareCase) -> Stratum:
    payment, wanted = case.payment, case.payment.stratum
    for conclusion in case.package.conclusions:
        same = conclusion.kind == "proportion" and conclusion.endpoint == payment.endpoint
        if same and set(conclusion.by) == set(wanted):
            name = ", ".join(f"{v}={wanted[v]}" for v in conclusion.by) or EVERYBODY
            for stratum in conclusion.strata:
                if stratum.name == name:
                    return stratum
    raise EvidenceOfAnother(
        f"the evidence holds no proportion of {payment.uses!r}",
        where=case.package.evidence_id,
        do="use evidence of the group that the study's [[payments]] names",
    )


def _looks(case: ShareCase, counts: Counts | None) -> tuple[LookRecord, ...]:
    """Return the looks so far, this one last; none without counts or under another rule than D5."""
    if not case.standard.looks or counts is None:
        return ()
    if any(look.study_id == case.package.study_id for look in case.looks):
        raise EvidenceOfAnother(
            "a look at the study of an earlier look counts its patients twice", where=case.standard.name,
            do="each look reads new patients, of a study of their own",
        )  # fmt: skip
    now = look_of_counts(case.on, counts, float(case.amount("threshold")))
    record = LookRecord(
        day=case.on, evidence_id=case.package.evidence_id, study_id=case.package.study_id,
        estimate=kept(now.estimate), sampling_variance=kept(now.sampling_variance),
        privacy_variance=kept(now.privacy_variance),
    )  # fmt: skip
    return (*case.looks, record)


def _rule(case: ShareCase, counts: Counts | None) -> DecisionRule:
    usable = None if counts is None or counts.total.value <= 0 else counts
    looks = tuple(
        Look(x.day, x.estimate, x.sampling_variance, x.privacy_variance) for x in _looks(case, usable)
    )
    return rule_of(case.standard, case.on, looks=looks, threshold=float(case.amount("threshold")))


def _found(
    case: ShareCase, stratum: Stratum, book: Rulebook, rule: DecisionRule, counts: Counts | None
) -> _Found:
    clock = Clock(review_on=case.days("review_after"), sunset=case.days("sunset_after"))
    minimum = int(case.amount("minimum_patients"))
    released = None if counts is None else counts.total.value
    if stratum.status == "below_minimum":
        asked = max(minimum, case.study.federation.min_released_patients)
        few = too_few(minimum=asked, released=released, clock=clock)
        return _Found("insufficient_evidence", None, None, few)
    if counts is None or stratum.status == "not_estimable":
        noisy = not_estimable(stratum, minimum=minimum, released=released, clock=clock)
        return _Found("insufficient_evidence", None, None, noisy)
    if counts.total.value < minimum:
        few = too_few(minimum=minimum, released=released, clock=clock)
        return _Found("insufficient_evidence", None, None, few)
    believed = posterior(counts, book.prior)
    now = read(believed, book.threshold, book.direction)
    outcome = rule.answer(now)
    insufficient = None
    if outcome == "insufficient_evidence":
        privacy = case.study.privacy
        insufficient = undecided(
            book,
            counts,
            believed,
            missing_share=_missing_share(case, stratum, counts),
            budget=Budgeted(privacy.epsilon, privacy.delta, privacy.patient_cap),
            clock=clock,
        )
    return _Found(
        outcome,
        _finding(case, book, counts, believed),
        _reference(case, book, counts),
        insufficient,
        now,
        _worth(case, now),
        _sequence(case, rule, counts),
    )


def _worth(case: ShareCase, now: Reading) -> Worth | None:
    if case.standard.reversible is None:
        return None
    found = benefit_of(case.standard, case.on).paths(now)
    worth = {name: kept(value) for name, value in found.worth.items()}
    return Worth(path=found.path, worth=worth, value_of_data=kept(found.value_of_data))


def _sequence(case: ShareCase, rule: DecisionRule, counts: Counts) -> Looks | None:
    if not isinstance(rule, LookSettings):
        return None
    stand = rule.stand()
    return Looks(
        looks=_looks(case, counts), z=stand.z, bound=kept(stand.bound), fraction=kept(stand.fraction),
        spent=kept(stand.spent), looks_left=stand.looks_left,
    )  # fmt: skip


def _finding(case: ShareCase, book: Rulebook, counts: Counts, believed: Posterior) -> Finding:
    now = read(believed, book.threshold, book.direction)
    lower, upper = believed.interval()
    sampling, privacy = (kept(v) for v in (now.sampling_variance, now.privacy_variance))
    return Finding(
        success=counts.success,
        total=counts.total,
        patients_banded=banded(counts.total.value),
        estimate=now.estimate,
        lower=round(lower, 6),
        upper=round(upper, 6),
        probability=now.probability,
        sampling_variance=sampling,
        privacy_variance=privacy,
        privacy_share=rounded(privacy / (sampling + privacy)),
        guard_band=kept(guard_band(float(case.amount("p_met")), sampling + privacy)),
    )


def _reference(case: ShareCase, book: Rulebook, counts: Counts) -> ReferenceCheck:
    value, threshold = case.amount("reference"), case.amount("threshold")
    patients = max(round(counts.total.value), 1)
    met = probability_met(book, float(value), patients, book.noise_variance(counts))
    source = case.standard.history("reference").on(case.on, "reference").source
    return ReferenceCheck(
        value=value,
        margin=value - threshold if book.direction == "at_least" else threshold - value,
        probability_met=round(met, 6),
        source=source.title,
    )


def _missing_share(case: ShareCase, stratum: Stratum, counts: Counts) -> float:
    if case.metric.missing != "non_response":
        return 0.0
    return stratum.released["missing"].value / max(counts.total.value, 1.0)


def _proposed(
    case: ShareCase, found: _Found, before: dict[str, InForce]
) -> tuple[dict[str, InForce] | None, tuple[HeldBack, ...]]:
    starts = case.days("effective_after")
    consequence = getattr(case.standard.consequences, found.outcome)
    after = proposed_values(case.standard, consequence, before, on=case.on, starts=starts)
    if after is None or found.reading is None:
        return after, ()
    probability = found.reading.probability
    warrant = Warrant(
        probability if found.outcome == "met" else rounded(1 - probability),
        found.reading.sampling_variance,
        found.reading.privacy_variance,
    )
    return restrained(case.standard, before, after, warrant, on=case.on, starts=starts)
