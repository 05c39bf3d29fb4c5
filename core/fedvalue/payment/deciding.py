"""From evidence and a standard to a decision: which question, which answer, what money, what next.

Nothing is read but the package, the standard, the payer's statement where the standard reads one, the looks
before this one under D5, and the day: a decision can be made again bit for bit. The answer is made from
rounded figures, because the last bits of a sum differ between machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.analyses.groups import EVERYBODY
from fedvalue.errors import EvidenceExpired, EvidenceOfAnother, PaymentError
from fedvalue.evidence import documents, sealing
from fedvalue.evidence.chain import verify_chain
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment import model_gate, wording
from fedvalue.payment.deciding_criteria import answer, needs_of, require_sites
from fedvalue.payment.deciding_share import ShareCase, answer_share
from fedvalue.payment.decision import Decision, DecisionBody, Question
from fedvalue.payment.decision_findings import LookRecord
from fedvalue.payment.held import Held
from fedvalue.payment.insufficient import Budgeted
from fedvalue.payment.money import cash_flows
from fedvalue.payment.readings import Sources
from fedvalue.payment.standard import Standard
from fedvalue.payment.standard_file import StandardFile
from fedvalue.study.payments import Payment, Use
from fedvalue.study.schema import Study


def decide(
    package: EvidencePackage,
    standard: StandardFile,
    on: date,
    *,
    key: Ed25519PrivateKey | None = None,
    coordinator_key: str | None = None,
    held: Held | None = None,
    looks: Sequence[LookRecord] = (),
) -> Decision:
    """Answer a standard's question from a study's evidence. Nothing is changed by it.

    Args:
      package: The evidence.
      standard: The standard as it is on file.
      on: The day whose values of the standard are used.
      key: The payer's key; None leaves the decision unsigned, to be looked at only.
      coordinator_key: Public key that must have signed the evidence, if it is known.
      held: The payer's own exact figures, for a standard that reads them.
      looks: D5: the looks before this one, from the decision before; `looks_of`.

    Raises:
      EvidenceError: a link from the study to the evidence does not hold.
      EvidenceExpired: ``on`` is outside the evidence's dates.
      EvidenceOfAnother: the evidence is of another standard, endpoint or group, or counts otherwise.
      EvidenceOfTooFewSites: fewer sites stand behind it than the standard demands.
      SignatureInvalid: a signature on the package does not match.
      ParameterNotInForce: the standard has no value on that day.
      PaymentError: a contract that leaves something open, or figures that do not fit.
    """
    verify_chain(package, coordinator_key=coordinator_key)
    if not package.valid_from <= on <= package.valid_to:
        raise EvidenceExpired(
            f"the evidence holds from {package.valid_from} to {package.valid_to}, not on {on}",
            where=package.evidence_id,
            do="run the study again, or decide on a day within its dates",
        )
    study = sealing.embedded_study(package)
    payment = _payment(study, standard.standard)
    require_sites(standard.standard, sites_behind(package), on)
    body = (
        _share_body(ShareCase(package, study, payment, standard, on, tuple(looks)))
        if standard.standard.mechanism == "outcome_linked_cohort"
        else _criteria_body(package, study, payment, standard, on, held, tuple(looks))
    )
    fields = {name: getattr(body, name) for name in DecisionBody.model_fields}
    return Decision(**fields, **sealing.sealed_fields(body, key))


def looks_of(earlier: Decision, standard: StandardFile) -> tuple[LookRecord, ...]:
    """Return the looks that an earlier decision of this standard has taken.

    Raises:
      PaymentError: it is of another standard, took no look, or answered already.
    """
    if earlier.standard != standard.standard.name or earlier.sequence is None:
        raise PaymentError(
            "the earlier decision took no look at this standard", where=earlier.decision_id,
            do="give the decision of the look before this one",
        )  # fmt: skip
    if earlier.outcome != "insufficient_evidence":
        raise PaymentError(
            f"the look before already answered {earlier.outcome.replace('_', ' ')}",
            where=earlier.decision_id,
            do="a sequential rule ends with its answer; register a new one",
        )
    return earlier.sequence.looks


def sites_behind(package: EvidencePackage) -> int:
    """Return how many sites answered the release that fewest answered; 0 without a release."""
    return min((len(release.answered) for release in package.releases), default=0)


def _payment(study: Study, standard: Standard) -> Payment:
    payment = next((p for p in study.payments if p.standard == standard.name), None)
    if payment is None:
        raise EvidenceOfAnother(
            f"the study moves {[p.standard for p in study.payments]}, not this standard",
            where=standard.name,
            do="use evidence of a study whose [[payments]] names this standard",
        )
    if payment.mechanism != standard.mechanism:
        raise EvidenceOfAnother(
            f"the study moves a standard of {payment.mechanism}, this one is {standard.mechanism}",
            where=standard.name,
            do="evidence and standard must ask the same question",
        )
    return payment


def _share_body(case: ShareCase) -> DecisionBody:
    package, standard, found = case.package, case.standard, answer_share(case)
    starts = case.days("effective_after")
    return DecisionBody(
        decided_on=case.on,
        simulation=package.simulation,
        unsafe=package.unsafe,
        study_id=package.study_id,
        evidence_id=package.evidence_id,
        evidence_digest=documents.digest(package),
        standard=standard.name,
        standard_status=standard.status,
        parameters_version=case.file.version,
        mechanism=standard.mechanism,
        question=found.question,
        rule=found.rule,
        outcome=found.outcome,
        finding=found.finding,
        reference=found.reference,
        warnings=found.warnings,
        action=found.action,
        standard_before=found.before,
        standard_after=found.after,
        effective_from=starts if found.after else None,
        appeal_until=case.days("appeal_within") if found.after else None,
        money=cash_flows(standard, found.after, on=case.on) if found.after else (),
        insufficient=found.insufficient,
        what_would_change=found.what_would_change,
        heterogeneity=package.heterogeneity,
        bias=package.bias,
        worth=found.worth,
        sequence=found.sequence,
        held_back=found.held_back,
        needs=needs_of(standard),
    )


def uses_of(payment: Payment, standard: Standard) -> dict[str, Use]:
    """Return what each quantity of a standard is in the evidence of a study.

    Raises:
      EvidenceOfAnother: the study names a quantity that the standard has not.
    """
    read = [name for name, quantity in standard.quantities.items() if quantity.statistic != "held"]
    used = payment.used
    if list(used) == [""]:
        used = dict.fromkeys(read, used[""])
    if stray := sorted(used.keys() - set(read)):
        raise EvidenceOfAnother(
            f"the study names {stray[0]}, the standard reads {read}", where=standard.name,
            do="evidence and standard must ask the same question",
        )  # fmt: skip
    return used


def _criteria_body(
    package: EvidencePackage, study: Study, payment: Payment, file: StandardFile, on: date, held: Held | None,
    looks: tuple[LookRecord, ...],
) -> DecisionBody:  # fmt: skip
    standard, uses = file.standard, uses_of(payment, file.standard)
    sources = Sources(package.conclusions, uses, package.evidence_id, sites_behind(package), held)
    model_gate.require_genes_justified(standard, study, uses, package.conclusions)
    privacy = study.privacy
    found = answer(
        file, sources, on, budget=Budgeted(privacy.epsilon, privacy.delta, privacy.patient_cap),
        minimum=study.federation.min_released_patients, looks=looks, study_id=package.study_id,
    )  # fmt: skip
    starts, appeal = (
        on + timedelta(days=int(standard.amount(n, on))) for n in ("effective_after", "appeal_within")
    )
    said = wording.warnings(package, standard, None, method="recist", counts=None)
    return DecisionBody(
        decided_on=on,
        simulation=package.simulation,
        unsafe=package.unsafe,
        study_id=package.study_id,
        evidence_id=package.evidence_id,
        evidence_digest=documents.digest(package),
        standard=standard.name,
        standard_status=standard.status,
        parameters_version=file.version,
        mechanism=standard.mechanism,
        question=_question(study, standard, uses, on),
        rule=found.rule,
        outcome=found.outcome,
        finding=None,
        reference=None,
        warnings=(*said, *found.warnings),
        action=found.action,
        standard_before=found.before,
        standard_after=found.after,
        effective_from=starts if found.after else None,
        appeal_until=appeal if found.after else None,
        money=cash_flows(standard, found.after, on=on) if found.after else (),
        insufficient=found.insufficient,
        what_would_change=found.what_would_change,
        heterogeneity=package.heterogeneity,
        bias=package.bias,
        criteria=found.criteria,
        joint_probability=found.joint_probability,
        results=found.results,
        expected=found.expected,
        worth=found.worth,
        sequence=found.sequence,
        held_back=found.held_back,
        refused=found.refused,
        held_digest=None if held is None else held.digest,
        held_name=None if held is None else held.statement.name,
        needs=found.needs,
    )


def _question(study: Study, standard: Standard, uses: dict[str, Use], on: date) -> Question:
    first = standard.criteria[0]
    use = uses.get(first.of) or next(iter(uses.values()), None)
    quantity = standard.quantities.get(first.of)
    return Question(
        text=study.study.question,
        endpoint="" if use is None else use.endpoint,
        stratum=EVERYBODY
        if use is None or not use.levels
        else ", ".join(f"{v}={x}" for v, x in use.levels.items()),
        statistic=first.of,
        direction=first.direction,
        threshold=standard.amount(first.threshold, on),
        missing=(quantity.missing if quantity is not None else None) or "exclude",
    )
