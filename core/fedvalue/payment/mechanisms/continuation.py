"""Whether one patient's therapy goes on being paid: the patient unit, decided at the site on signed facts.

Default: no documented progression and no intolerance. CR, PR and SD in the window continue; PD,
intolerance, discontinuation and death stop. "CR or PR only" is another contract: it stops stable disease,
so the clinical role signs that very term. A patient whose status nobody could evaluate (NE, or no
assessment in the window) is held until the grace period ends; then the contract's policy applies.

The site counts due, passed, failed and missing by method of assessment, and only counts leave: clinicians
call more responses than measured RECIST does, so methods are never pooled without the share of each.

No uncertainty enters: these are one patient's facts. Source: payment.md 2.2 and points 1, 2 and 14; RECIST
1.1, Eisenhauer et al. European Journal of Cancer 45 (2009) 228-247 (the five statuses).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.exact import chosen, count
from fedvalue.payment.mechanisms.settle import Realised, settled
from fedvalue.study.signature import Signature, verify

Status = Literal["CR", "PR", "SD", "PD", "NE"]
Method = Literal["recist", "clinician", "report_text"]
Requirement = Literal["no_progression_no_intolerance", "response_only"]
Verdict = Literal["continue", "stop", "hold"]


@dataclass(frozen=True, slots=True)
class ContinuationTerms:
    """What is asked of the patient.

    Attributes:
      contract: Its name.
      due_day: Day of the assessment, counted from the start of therapy.
      window_days: An assessment this many days before or after it counts (28: four weeks).
      grace_days: Days after the window before ``unknown_policy`` applies.
      requirement: The default, or ``response_only``.
      unknown_policy: What an unknown status means after the grace period.
      methods: Who may assess.
      clinical_signature: By the role ``clinical`` over `response_only_term`; only for ``response_only``.
    """

    contract: str
    due_day: int
    window_days: int
    grace_days: int
    requirement: Requirement
    unknown_policy: Verdict
    methods: tuple[Method, ...]
    clinical_signature: Signature | None = None

    def __post_init__(self) -> None:
        for name in ("due_day", "window_days", "grace_days"):
            count(getattr(self, name), name)
        chosen(self.requirement, get_args(Requirement), "requirement")
        chosen(self.unknown_policy, get_args(Verdict), "unknown policy")
        if self.window_days >= self.due_day:
            raise PaymentError("the window reaches the start of therapy", where=self.contract)
        if self.requirement == "response_only":
            self._check_clinical()

    def _check_clinical(self) -> None:
        signature = self.clinical_signature
        if signature is None or signature.role != "clinical":
            raise PaymentError(
                "paying for CR and PR only stops stable disease, and the clinical role has not signed that",
                where=self.contract,
                do="have the clinical role sign the term, or use no_progression_no_intolerance",
            )
        verify(response_only_term(self.contract, self.due_day), signature, where=self.contract)


@dataclass(frozen=True, slots=True)
class Assessment:
    """One assessment.

    Attributes:
      day: Days since the start of therapy.
      status: RECIST status.
      method: Who assessed.
    """

    day: int
    status: Status
    method: Method

    def __post_init__(self) -> None:
        count(self.day, "day")
        chosen(self.status, get_args(Status), "status")
        chosen(self.method, get_args(Method), "method")


@dataclass(frozen=True, slots=True)
class Therapy:
    """One patient's facts at the site; days are counted from the start of therapy.

    Attributes:
      assessments: In any order.
      progression_day: Documented progression outside an assessment, or None.
      intolerance_day: Stopped because it was not tolerated, or None.
      death_day: Or None.
      followed_to: Last day known about.
    """

    assessments: tuple[Assessment, ...]
    progression_day: int | None
    intolerance_day: int | None
    death_day: int | None
    followed_to: int


@dataclass(frozen=True, slots=True)
class Continuation:
    """The verdict on one patient.

    Attributes:
      verdict: ``continue``, ``stop`` or ``hold``.
      reason: A word: ``progression``, ``intolerance``, ``death``, the status, ``unknown``, ``not_due``.
      method: Of the assessment that decided, or None.
    """

    verdict: Verdict
    reason: str
    method: Method | None


def response_only_term(contract: str, due_day: int) -> dict[str, object]:
    """Return what the clinical role signs before stable disease may stop a therapy."""
    return {
        "statement": "continuation",
        "contract": contract,
        "due_day": due_day,
        "requirement": "response_only",
    }


def continues(terms: ContinuationTerms, statement: Realised[Therapy], *, today: int) -> Continuation:
    """Return whether the therapy goes on being paid.

    Args:
      terms: The contract.
      statement: The site's signed facts of one patient.
      today: Days since the start of therapy; grace is counted to it.

    Raises:
      PurposeMixed: an estimate instead of facts.
    """
    facts = settled(statement, Therapy, contract=terms.contract)
    last = terms.due_day + terms.window_days
    seen = sorted((a for a in facts.assessments if a.method in terms.methods), key=lambda a: a.day)
    progressions = [a for a in seen if a.status == "PD" and a.day <= last]
    for reason, day in (
        ("death", facts.death_day),
        ("progression", facts.progression_day),
        ("intolerance", facts.intolerance_day),
    ):
        if day is not None and day <= last:
            return Continuation("stop", reason, None)
    if progressions:
        return Continuation("stop", "progression", progressions[0].method)
    evaluable = [a for a in seen if abs(a.day - terms.due_day) <= terms.window_days and a.status != "NE"]
    if evaluable:
        nearest = min(evaluable, key=lambda a: (abs(a.day - terms.due_day), a.day))
        good = ("CR", "PR") if terms.requirement == "response_only" else ("CR", "PR", "SD")
        verdict: Verdict = "continue" if nearest.status in good else "stop"
        return Continuation(verdict, nearest.status, nearest.method)
    if today <= last:
        return Continuation("hold", "not_due", None)
    if today <= last + terms.grace_days:
        return Continuation("hold", "unknown", None)
    return Continuation(terms.unknown_policy, "unknown", None)


@dataclass(frozen=True, slots=True)
class MilestoneCounts:
    """What leaves the site: counts of one milestone, by method where one decided.

    Attributes:
      due: Patients whose milestone is due.
      passed: Continued, by method.
      failed: Stopped, by method; ``none`` where an event and no assessment decided.
      missing: Unknown, held or after grace.
    """

    due: int
    passed: tuple[tuple[str, int], ...]
    failed: tuple[tuple[str, int], ...]
    missing: int


def milestone_counts(verdicts: Iterable[Continuation]) -> MilestoneCounts:
    """Count verdicts; patients who are not due yet are left out."""
    due = [v for v in verdicts if v.reason != "not_due"]
    known = [v for v in due if v.reason != "unknown"]
    counted = {
        verdict: Counter(v.method or "none" for v in known if v.verdict == verdict)
        for verdict in ("continue", "stop")
    }
    passed, failed = (tuple(sorted(counted[v].items())) for v in ("continue", "stop"))
    return MilestoneCounts(len(due), passed, failed, len(due) - len(known))
