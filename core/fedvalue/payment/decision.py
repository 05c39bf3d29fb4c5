"""The payment decision: question, answer, probability, money, and what would change the answer.

A decision never changes a standard. It holds all that was read to make it, so that it can be made
again, bit for bit, from the evidence package and the version of the standard that it names.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from fedvalue.analyses.estimate import Reason, Released, Value
from fedvalue.errors import PaymentError
from fedvalue.evidence import documents, sealing
from fedvalue.evidence.fields import Digest
from fedvalue.evidence.package import BiasChecklist
from fedvalue.payment.decision_findings import (
    CriterionFinding,
    ExpectedMoney,
    Growing,
    HeldBack,
    Refused,
    Result,
    Sequence,
    Worth,
)
from fedvalue.study.mechanisms import MechanismName
from fedvalue.study.schema import Text
from fedvalue.study.signature import Signature

Outcome = Literal["met", "not_met", "insufficient_evidence"]
RuleName = Literal["D1", "D2", "D3", "D4", "D5"]


class Question(Value):
    """What the decision answers.

    Attributes:
      text: The study's question.
      endpoint: The endpoint; of the first quantity, where a standard reads several.
      stratum: ``egfr=mutated``, or ``all``.
      statistic: What is compared with the threshold: ``proportion``, or the quantity of the first criterion.
      direction: ``at_least``: the standard is met at or above the threshold; ``at_most``: at or below.
      threshold: tau, a probability for a proportion, else in the quantity's unit.
      missing: How a missing outcome counts; ``exclude`` where the analysis knows no missing ones.
    """

    text: Text
    endpoint: str
    stratum: str
    statistic: str = "proportion"
    direction: Literal["at_least", "at_most"]
    threshold: Decimal
    missing: Literal["non_response", "exclude"]


class Rule(Growing):
    """The decision rule and its levels, as in force on the day.

    Attributes:
      name: ``D1``: probability of meeting the threshold; ``D2``: guard band; ``D3``: expected net benefit;
        ``D4``: asymmetric losses; ``D5``: registered looks.
      p_met: D1: met at or above this probability. D2: its confidence level.
      p_not: D1: not met at or below this probability.
      levels: What D3, D4, D5 and the brakes read besides, by parameter.
      looks: D5: registered days.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"levels", "looks"})

    name: RuleName
    p_met: Decimal
    p_not: Decimal
    levels: dict[str, Decimal] = {}
    looks: tuple[date, ...] = ()


class Finding(Value):
    """What the evidence says of theta, the outcome's underlying probability.

    Attributes:
      success: Released successes.
      total: Released patients that count, by the missing-outcome policy.
      patients_banded: That number as reports show it.
      estimate: Posterior mean of theta.
      lower: Lower end of the 95 % credible interval, privacy noise included.
      upper: Upper end.
      probability: P(theta meets the threshold), privacy noise included.
      sampling_variance: V_s of the estimate.
      privacy_variance: V_dp of the estimate.
      privacy_share: V_dp / (V_s + V_dp), between 0 and 1.
      guard_band: g = z sqrt(V_s + V_dp), z the one-sided quantile of ``p_met``.
    """

    success: Released
    total: Released
    patients_banded: str
    estimate: float
    lower: float
    upper: float
    probability: float = Field(ge=0, le=1)
    sampling_variance: float = Field(ge=0)
    privacy_variance: float = Field(ge=0)
    privacy_share: float = Field(ge=0, le=1)
    guard_band: float = Field(ge=0)


class ReferenceCheck(Value):
    """Whether the threshold can bite.

    Attributes:
      value: The declared reference, a probability.
      margin: Distance from the threshold to the reference, positive where the reference meets it.
      probability_met: Probability that this rule answers "met" when theta is the reference.
      source: Where the reference comes from.
    """

    value: Decimal
    margin: Decimal
    probability_met: float = Field(ge=0, le=1)
    source: str


class PatientsRemedy(Value):
    """More patients at today's noise.

    Attributes:
      patients: Smallest number that would be conclusive with the assurance asked for, or None past the limit.
      more: How many more than today, at least.
      assurance: Probability, over what is now believed of theta, of a conclusive answer at that number.
      text: The same in words.
    """

    patients: int | None
    more: int | None
    assurance: float | None
    text: str


class PrivacyRemedy(Value):
    """Less noise with today's patients.

    Attributes:
      sigma: Noise SD of the success count at which V_dp is a quarter of V_s, in patients.
      epsilon: Study epsilon that it costs with the same shares of budget; None if above 20 or not known.
      assurance: Probability of a conclusive answer with it and today's number of patients.
      text: The same in words. Only the sites' data officers can grant it; it cannot be bought.
    """

    sigma: float | None
    epsilon: float | None
    assurance: float | None = None
    text: str


class Insufficient(Value):
    """What follows when the evidence decides nothing.

    Attributes:
      reason: The largest obstacle.
      text: Why, in a sentence.
      more_patients: First remedy.
      more_privacy: Second remedy.
      review_on: Day on which the question is asked again.
      sunset: Day from which the current standard may no longer be kept for lack of evidence.
    """

    reason: Reason
    text: str
    more_patients: PatientsRemedy
    more_privacy: PrivacyRemedy
    review_on: date
    sunset: date


class InForce(Value):
    """One value of the standard on one day.

    Attributes:
      amount: The value.
      unit: Its unit.
      starts: First day in force.
      source: Title of its source.
    """

    amount: Decimal
    unit: str
    starts: date
    source: str


class CashFlow(Growing):
    """What the decision would change for one flow of money, against the standard in force.

    Attributes:
      name: ``reimbursement``, ``bonus``.
      bearer: Who pays.
      payee: Who receives.
      currency: ISO 4217 code.
      before: Per patient, at most, today.
      after: Per patient, at most, as proposed.
      change: ``after - before``, per patient.
      change_per_100: The same for 100 patients.
      per: What one unit is: a patient, or what the amount is paid for.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"per"})

    name: str
    bearer: str
    payee: str
    currency: str
    before: Decimal
    after: Decimal
    change: Decimal
    change_per_100: Decimal
    per: str = "patient"


class DecisionBody(Growing):
    """A decision without its identity and signatures; see `fedvalue.payment.deciding.decide`.

    Attributes:
      format: Version of this layout.
      decided_on: The day whose values of the standard were used.
      simulation: The evidence is a simulation; its decision proposes nothing for real.
      unsafe: What lowered the protection behind the evidence.
      study_id: The study.
      evidence_id: The evidence package.
      evidence_digest: SHA-256 of the package with its signatures.
      standard: Path of the standard, such as ``lung/egfr_tki_outcome_linked``.
      standard_status: Whether the standard is official.
      parameters_version: SHA-256 of the standard's file as it was read.
      mechanism: The payment mechanism.
      purpose: ``set``; settling never rests on an estimate.
      question: What is asked.
      rule: How it is answered.
      outcome: The answer.
      finding: Numbers behind it; None where the stratum was not estimated.
      reference: Whether the threshold can bite; None without a finding.
      warnings: What a reader must know before acting.
      action: What the standard says follows.
      standard_before: Payment values in force on the day, by name.
      standard_after: Payment values proposed, by name; None where the current standard is kept.
      effective_from: First day of the proposed values.
      appeal_until: Last day of appeal against the proposal.
      money: Effect by flow.
      insufficient: What follows from insufficient evidence.
      what_would_change: Sentences.
      heterogeneity: As the package states it.
      bias: As the package states it.
      criteria: Every criterion with its numbers; empty for ``outcome_linked_cohort``, which has a finding.
      joint_probability: P(all criteria are met), over joint draws.
      results: What the mechanism computed on the way.
      expected: Money that is expected per patient.
      worth: D3: the paths.
      sequence: D5: the looks.
      held_back: What the brakes did.
      refused: Why the mechanism cannot be used as asked for.
      held_digest: SHA-256 of the payer-held statement that was read.
      held_name: Its name.
      needs: Roles that must sign a proposal before it can be approved.
    """

    LATER: ClassVar[frozenset[str]] = frozenset(
        {
            "criteria", "joint_probability", "results", "expected", "worth", "sequence", "held_back",
            "refused", "held_digest", "held_name", "needs",
        }
    )  # fmt: skip

    format: Literal["fedvalue.decision/1"] = "fedvalue.decision/1"
    decided_on: date
    simulation: bool
    unsafe: tuple[str, ...]
    study_id: str
    evidence_id: str
    evidence_digest: Digest
    standard: str
    standard_status: Literal["official", "example", "unverified"]
    parameters_version: Digest
    mechanism: MechanismName
    purpose: Literal["set"] = "set"
    question: Question
    rule: Rule
    outcome: Outcome
    finding: Finding | None
    reference: ReferenceCheck | None
    warnings: tuple[str, ...]
    action: str
    standard_before: dict[str, InForce]
    standard_after: dict[str, InForce] | None
    effective_from: date | None
    appeal_until: date | None
    money: tuple[CashFlow, ...]
    insufficient: Insufficient | None
    what_would_change: tuple[str, ...]
    heterogeneity: str
    bias: BiasChecklist
    criteria: tuple[CriterionFinding, ...] = ()
    joint_probability: float | None = None
    results: tuple[Result, ...] = ()
    expected: tuple[ExpectedMoney, ...] = ()
    worth: Worth | None = None
    sequence: Sequence | None = None
    held_back: tuple[HeldBack, ...] = ()
    refused: Refused | None = None
    held_digest: Digest | None = None
    held_name: str | None = None
    needs: tuple[str, ...] = ()


class Decision(DecisionBody):
    """A sealed decision.

    Attributes:
      decision_id: ``de-`` and the first 32 hexadecimal digits of the SHA-256 of the body.
      signatures: Who signed it; empty for a decision that is only looked at.
    """

    decision_id: Annotated[str, StringConstraints(pattern=r"^de-[0-9a-f]{32}$")]
    signatures: tuple[Signature, ...] = ()


def load_decision(path: Path) -> Decision:
    """Read a decision and check its identity and signatures; an unsigned one proves nothing.

    Raises:
      PaymentError: unreadable or not a decision.
      EvidenceError: its identity is not that of its content, or it is not signed.
      SignatureInvalid: a signature does not match.
    """
    decision = documents.parse(
        Decision, documents.read_bytes(path, PaymentError), where=str(path), error=PaymentError
    )
    sealing.check_sealed(documents.content(decision), where=str(path))
    return decision
