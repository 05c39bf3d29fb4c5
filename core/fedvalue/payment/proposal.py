"""From a decision to a new dated value: software proposes, people approve.

A proposal is a signed document and changes nothing. An approval appends the proposed values at the end of
the standard's file, with the evidence as their source and the approver's signature; what stood there
before stays, byte for byte. Appending needs the file to be in the state that the decision read.
"""

from __future__ import annotations

import fcntl
import os
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import StringConstraints

from fedvalue.errors import OutputError, PaymentError, SignatureInvalid
from fedvalue.evidence import documents, sealing
from fedvalue.evidence.fields import Digest
from fedvalue.evidence.package import BiasChecklist
from fedvalue.payment import standard_file
from fedvalue.payment.decision import CashFlow, Decision, InForce, Rule
from fedvalue.payment.decision_findings import ExpectedMoney, Growing
from fedvalue.payment.standard import Approved, StandardName
from fedvalue.payment.standard_file import StandardFile
from fedvalue.study.signature import Signature, sign, verify

APPROVER = "approver"
"""Role of the signature under an approval."""


class ProposalBody(Growing):
    """A proposal without its identity and signatures.

    Attributes:
      format: Version of this layout.
      standard: Path of the standard.
      parameters_version: SHA-256 of the standard's file that the decision read.
      decision_id: The decision.
      decision_digest: SHA-256 of the decision with its signatures.
      evidence_id: The evidence behind it.
      simulation: The evidence is a simulation.
      action: What the standard says follows.
      proposed_on: Day of the decision.
      effective_from: First day of the proposed values.
      appeal_until: Last day of appeal.
      values: Payment value to proposed amount.
      units: Payment value to unit.
      before: Payment values in force on the day of the decision.
      rule: How the question was answered.
      probability: That the standard's question is met, noise included.
      money: Effect by flow, per unit.
      expected: Money that is expected per patient, before and after.
      bias: What noise does not show.
      held_digest: SHA-256 of the payer-held statement behind it.
      needs: Roles that must sign this proposal before it can be approved.
    """

    LATER: ClassVar[frozenset[str]] = frozenset(
        {"before", "rule", "probability", "money", "expected", "bias", "held_digest", "needs"}
    )

    format: Literal["fedvalue.proposal/1"] = "fedvalue.proposal/1"
    standard: StandardName
    parameters_version: Digest
    decision_id: str
    decision_digest: Digest
    evidence_id: str
    simulation: bool
    action: str
    proposed_on: date
    effective_from: date
    appeal_until: date
    values: dict[str, Decimal]
    units: dict[str, str]
    before: dict[str, InForce] = {}
    rule: Rule | None = None
    probability: float | None = None
    money: tuple[CashFlow, ...] = ()
    expected: tuple[ExpectedMoney, ...] = ()
    bias: BiasChecklist | None = None
    held_digest: Digest | None = None
    needs: tuple[str, ...] = ()


class Proposal(ProposalBody):
    """A sealed proposal.

    Attributes:
      proposal_id: ``pr-`` and the first 32 hexadecimal digits of the SHA-256 of the body.
      signatures: The payer's.
    """

    proposal_id: Annotated[str, StringConstraints(pattern=r"^pr-[0-9a-f]{32}$")]
    signatures: tuple[Signature, ...] = ()


def propose(decision: Decision, key: Ed25519PrivateKey) -> Proposal | None:
    """Return the signed proposal of a decision, or None where the current standard is kept.

    Raises:
      PaymentError: the decision is not signed.
    """
    if decision.standard_after is None or decision.effective_from is None or decision.appeal_until is None:
        return None
    if not decision.signatures:
        raise PaymentError(
            "an unsigned decision proposes nothing", where=decision.decision_id, do="decide with a key"
        )
    body = ProposalBody(
        standard=decision.standard,
        parameters_version=decision.parameters_version,
        decision_id=decision.decision_id,
        decision_digest=documents.digest(decision),
        evidence_id=decision.evidence_id,
        simulation=decision.simulation,
        action=decision.action,
        proposed_on=decision.decided_on,
        effective_from=decision.effective_from,
        appeal_until=decision.appeal_until,
        values={name: value.amount for name, value in decision.standard_after.items()},
        units={name: value.unit for name, value in decision.standard_after.items()},
        before=decision.standard_before,
        rule=decision.rule,
        probability=_probability(decision),
        money=decision.money,
        expected=decision.expected,
        bias=decision.bias,
        held_digest=decision.held_digest,
        needs=decision.needs,
    )
    fields = {name: getattr(body, name) for name in ProposalBody.model_fields}
    return Proposal(**fields, **sealing.sealed_fields(body, key))


def _probability(decision: Decision) -> float | None:
    return decision.joint_probability if decision.finding is None else decision.finding.probability


def countersign(proposal: Proposal, key: Ed25519PrivateKey, role: str) -> Proposal:
    """Return the proposal with one more signature, of a role that it needs.

    Raises:
      PaymentError: it does not need that role, or the role has signed.
      EvidenceError: the proposal is not what it says it is.
      SignatureInvalid: a signature on it does not match.
    """
    sealing.check_sealed(documents.content(proposal), where=proposal.proposal_id)
    if role not in proposal.needs:
        raise PaymentError(
            f"the proposal needs {list(proposal.needs)}, no {role}", where=proposal.proposal_id,
            do="sign in a role that it names",
        )  # fmt: skip
    if role in {signature.role for signature in proposal.signatures}:
        raise PaymentError(f"{role} has signed already", where=proposal.proposal_id)
    signed = sign(documents.content(proposal, without=sealing.SIGNATURES), key, role)
    return proposal.model_copy(update={"signatures": (*proposal.signatures, signed)})


def load_proposal(path: Path) -> Proposal:
    """Read a proposal and check its identity and signatures.

    Raises:
      PaymentError: unreadable or not a proposal.
      EvidenceError: its identity is not that of its content, or it is not signed.
      SignatureInvalid: a signature does not match.
    """
    raw = documents.read_bytes(path, PaymentError)
    proposal = documents.parse(Proposal, raw, where=str(path), error=PaymentError)
    sealing.check_sealed(documents.content(proposal), where=str(path))
    return proposal


def approve(
    proposal: Proposal,
    standards: Path,
    key: Ed25519PrivateKey,
    *,
    on: date,
    unsafe_simulation: bool = False,
) -> Approved:
    """Append a proposal's values to the standard's file.

    A standard that is not yet in the folder starts there as a copy of the one that comes with FedValue, if
    that is the one the decision read.

    Args:
      proposal: The proposal.
      standards: Folder of standards.
      key: The approver's key.
      on: Day of the approval.
      unsafe_simulation: Accept values that rest on simulated evidence; they are marked as such for good.

    Raises:
      PaymentError: simulated evidence, a standard that changed since the decision, or values of the past.
      EvidenceError: the proposal is not what it says it is.
      SignatureInvalid: a signature on the proposal does not match.
      OutputError: the folder cannot be written.
    """
    sealing.check_sealed(documents.content(proposal), where=proposal.proposal_id)
    if proposal.simulation and not unsafe_simulation:
        raise PaymentError(
            "the proposal rests on simulated evidence",
            where=proposal.proposal_id,
            do="run the study for real; to try this out on a copy, allow simulations expressly",
        )
    if missing := set(proposal.needs) - {signature.role for signature in proposal.signatures}:
        raise PaymentError(
            f"not signed by: {', '.join(sorted(missing))}", where=proposal.proposal_id,
            do="have them sign it with `fedvalue payment propose PROPOSAL --as ROLE --key KEY`",
        )  # fmt: skip
    if proposal.effective_from < on:
        raise PaymentError(
            f"its values would start on {proposal.effective_from}, which is past",
            where=proposal.proposal_id,
            do="decide again: a standard never changes its past",
        )
    target = standards / f"{proposal.standard}.yaml"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(target.parent, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", where=str(target)) from error
    try:
        # The folder is locked, not the file: the file is replaced as a whole.
        fcntl.flock(folder, fcntl.LOCK_EX)
        current = standard_file.read(proposal.standard, standards if target.exists() else None)
        approved = _approved(proposal, current, key, on)
        _replace(target, _appended(current, approved))
    finally:
        os.close(folder)
    return approved


def check_approvals(file: StandardFile, *, trusted: frozenset[str] | None = None) -> None:
    """Check the signature under every approved value of a standard.

    Args:
      file: The standard.
      trusted: Public keys of the people who may approve; None accepts any.

    Raises:
      SignatureInvalid: a value was changed after it was approved, or approved by somebody else.
    """
    for approved in file.standard.approved:
        where = f"{file.standard.name}: {approved.proposal_id}"
        if approved.signature.role != APPROVER:
            raise SignatureInvalid("not signed as an approval", where=where)
        if trusted is not None and approved.signature.public_key not in trusted:
            raise SignatureInvalid("approved by a key that is not trusted", where=where)
        verify(approved.content(file.standard.name), approved.signature, where=where)


def _approved(proposal: Proposal, current: StandardFile, key: Ed25519PrivateKey, on: date) -> Approved:
    if current.version != proposal.parameters_version:
        known = any(a.proposal_id == proposal.proposal_id for a in current.standard.approved)
        raise PaymentError(
            "the proposal is approved already" if known else "the standard changed since the decision",
            where=proposal.standard,
            do="see `fedvalue payment history`" if known else "decide again with the standard as it is",
        )
    check_approvals(current)
    fields: dict[str, Any] = {
        "proposal_id": proposal.proposal_id,
        "decision_id": proposal.decision_id,
        "decision_digest": proposal.decision_digest,
        "evidence_id": proposal.evidence_id,
        "simulation": proposal.simulation,
        "approved_on": on,
        "starts": proposal.effective_from,
        "values": proposal.values,
        "previous": current.version,
    }
    unsigned = Approved(**fields, signature=Signature(role=APPROVER, public_key="0" * 64, value=""))
    return Approved(**fields, signature=sign(unsigned.content(proposal.standard), key, APPROVER))


def _appended(current: StandardFile, approved: Approved) -> bytes:
    entry = approved.model_dump()
    entry["values"] = {name: str(amount) for name, amount in approved.values.items()}
    text = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, default_flow_style=False, width=200)
    if not current.standard.approved:
        text = "approved:  # on evidence; appended by `fedvalue payment approve`, never edited\n" + text
    if not current.raw.endswith(b"\n"):
        text = "\n" + text
    raw = current.raw + text.encode()
    after = standard_file.parse(raw, where=current.standard.name)
    check_approvals(after)
    return raw


def _replace(target: Path, raw: bytes) -> None:
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cannot be written: {error.strerror}", where=str(target)) from error
