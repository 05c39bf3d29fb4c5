"""Made-up decisions on the packages of `samples`, one for every answer that a report can give."""

from __future__ import annotations

import hashlib
import math
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from fedvalue.analyses.estimate import Released
from fedvalue.evidence import sealing
from fedvalue.evidence.display import banded
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment.decision import (
    CashFlow,
    Decision,
    DecisionBody,
    Finding,
    InForce,
    Insufficient,
    Outcome,
    PatientsRemedy,
    PrivacyRemedy,
    Question,
    ReferenceCheck,
    Rule,
    RuleName,
)
from fedvalue.study.schema import Text
from tests.unit.server.reports.samples import QUESTION, SCORES, Story, key, share


def finding(story: Story, probability: float, noise: float) -> Finding:
    """What the evidence says of the deciding group."""
    successes, total = SCORES[story]
    raw = share(successes, total, noise)
    deviation = math.sqrt(raw.sampling_variance + raw.privacy_variance)
    whole = raw.sampling_variance + raw.privacy_variance
    return Finding(
        success=Released(value=successes, noise_variance=noise),
        total=Released(value=total, noise_variance=3 * noise),
        patients_banded=banded(total),
        estimate=raw.value,
        lower=raw.lower or 0.0,
        upper=raw.upper or 1.0,
        probability=probability,
        sampling_variance=raw.sampling_variance,
        privacy_variance=raw.privacy_variance,
        privacy_share=raw.privacy_variance / whole,
        guard_band=1.2816 * deviation,
    )


def decision(
    of: EvidencePackage, story: Story = "met", *, rule: RuleName = "D1", signed: bool = True, **changes: Any
) -> Decision:
    """A sealed decision that tells ``story`` on the package ``of``."""
    outcome: Outcome = {"met": "met", "exact": "met", "not_met": "not_met"}.get(
        story, "insufficient_evidence"
    )  # type: ignore[assignment] # a dict of literals widens to str
    known = story in SCORES
    probability = {"met": 0.99996, "exact": 0.99999, "not_met": 0.0142, "insufficient": 0.870036}.get(
        story, 0.0
    )
    noise = 0.0 if story == "exact" else 42.0
    source = "Policy paper on paying through health management"
    standing = {
        "reimbursement_share": InForce(
            amount=Decimal("1.00"), unit="share", starts=date(2021, 1, 1), source=source
        ),
        "bonus": InForce(amount=Decimal(0), unit="CNY per patient", starts=date(2021, 1, 1), source=source),
        "charity_share": InForce(
            amount=Decimal("0.00"), unit="share", starts=date(2021, 1, 1), source=source
        ),
    }
    start = date(2027, 1, 20)
    proposed = None
    if outcome != "insufficient_evidence":
        share_after, bonus, charity = ("1.00", 10_000, "0.00") if outcome == "met" else ("0.00", 0, "1.00")
        amounts = {
            "reimbursement_share": Decimal(share_after),
            "bonus": Decimal(bonus),
            "charity_share": Decimal(charity),
        }
        proposed = {
            name: standing[name].model_copy(update={"amount": amount, "starts": start})
            for name, amount in amounts.items()
        }
    flows = {
        "met": (
            ("reimbursement", "health insurance fund", 120_000, 120_000),
            ("bonus", "health insurance fund", 0, 10_000),
        ),
        "not_met": (
            ("reimbursement", "health insurance fund", 120_000, 0),
            ("charity", "aid programme of the manufacturer", 0, 120_000),
        ),
        "insufficient_evidence": (),
    }[outcome]
    reason: Literal["privacy", "sampling"] = "sampling" if story == "below_minimum" else "privacy"
    lacking = Insufficient(
        reason=reason,
        text="The noise is larger than the difference from the threshold.",
        more_patients=PatientsRemedy(
            patients=680 if known else 118,
            more=378 if known else 84,
            assurance=0.8,
            text="680 patients would do.",
        ),
        more_privacy=PrivacyRemedy(
            sigma=None if story == "below_minimum" else 3.1,
            epsilon=None if story == "below_minimum" else 4.7,
            text="Study epsilon 4.7 would do.",
        ),
        review_on=date(2027, 5, 23),
        sunset=date(2028, 11, 20),
    )
    fields: dict[str, Any] = {
        "decided_on": date(2026, 11, 21),
        "simulation": of.simulation,
        "unsafe": of.unsafe,
        "study_id": of.study_id,
        "evidence_id": of.evidence_id,
        "evidence_digest": hashlib.sha256(b"package").hexdigest(),
        "standard": "lung/egfr_tki_outcome_linked",
        "standard_status": "unverified",
        "parameters_version": hashlib.sha256(b"standard").hexdigest(),
        "mechanism": "outcome_linked_cohort",
        "question": Question(
            text=Text(en=QUESTION),
            endpoint="response_6m",
            stratum="egfr=mutated",
            direction="at_least",
            threshold=Decimal("0.30"),
            missing="non_response",
        ),
        "rule": Rule(name=rule, p_met=Decimal("0.90"), p_not=Decimal("0.10")),
        "outcome": outcome,
        "finding": finding(story, probability, noise) if known else None,
        "reference": ReferenceCheck(
            value=Decimal("0.65"), margin=Decimal("0.35"), probability_met=0.9999, source=source
        )
        if known
        else None,
        "warnings": ("The threshold cannot bite: at the declared reference this rule says met.",)
        if known
        else (),
        "action": {"met": "keep_full_reimbursement_and_pay_bonus", "not_met": "exit_to_charity_route"}.get(
            outcome, "keep_current_standard"
        ),
        "standard_before": standing,
        "standard_after": proposed,
        "effective_from": start if proposed else None,
        "appeal_until": date(2026, 12, 21) if proposed else None,
        "money": tuple(
            CashFlow(
                name=name,
                bearer=bearer,
                payee="hospital",
                currency="CNY",
                before=Decimal(before),
                after=Decimal(after),
                change=Decimal(after - before),
                change_per_100=Decimal(100 * (after - before)),
            )
            for name, bearer, before, after in flows
        ),
        "insufficient": lacking if outcome == "insufficient_evidence" else None,
        "what_would_change": ("A response rate of 34% or less at the next review would end this answer.",)
        if outcome != "insufficient_evidence"
        else (),
        "heterogeneity": "not computed",
        "bias": of.bias,
    } | changes
    body = DecisionBody(**fields)
    return Decision(**fields, **sealing.sealed_fields(body, key("payer") if signed else None))
