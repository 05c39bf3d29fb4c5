"""Follow a payment standard back to the releases it rests on, and check every link.

study -> its signature -> roster -> approvals -> plan -> releases -> conclusions -> evidence -> decision
-> proposal -> standard. The plan and the conclusions are not believed: they are computed again from the
embedded study, the roster and the released sums. The first link that does not hold is named.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedvalue.analyses.analysis import NoisyBlock, NoisySum
from fedvalue.errors import EvidenceError, FedValueError, TooFewSites
from fedvalue.evidence import documents, opened, records, sealing, statements
from fedvalue.evidence.bias import bias_checklist
from fedvalue.evidence.package import EvidencePackage, Federation
from fedvalue.planning.concluding import conclude_all
from fedvalue.planning.plan import Plan, PlannedRelease, lowered, make_plan
from fedvalue.study import file as study_file
from fedvalue.study.approval import NO_NOISE, SIMULATION
from fedvalue.study.schema import Study
from fedvalue.study.signature import verify


@dataclass(frozen=True, slots=True)
class Link:
    """One link that holds.

    Attributes:
      name: ``study``, ``approvals``, ...
      text: What was checked, in words.
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Following:
    """What was made of the evidence; anything left out is not checked.

    Attributes:
      decisions: Decisions as JSON values.
      proposals: Proposals as JSON values.
      standards: Files of standards.
    """

    decisions: tuple[dict[str, Any], ...] = ()
    proposals: tuple[dict[str, Any], ...] = ()
    standards: tuple[bytes, ...] = ()


def verify_chain(
    package: EvidencePackage,
    *,
    study: Study | None = None,
    following: Following | None = None,
    coordinator_key: str | None = None,
) -> tuple[Link, ...]:
    """Check every link from the study to whatever was made of the evidence.

    Args:
      package: The evidence.
      study: The study file, if it is at hand beside the embedded one.
      following: Decision, proposal and standard.
      coordinator_key: The key that must have signed the evidence, if it is known.

    Returns:
      The links that were checked, in order.

    Raises:
      EvidenceError: a link is broken; ``where`` begins with its name.
      SignatureInvalid: a signature does not match; ``where`` begins with the link's name.
    """
    return tuple(_links(package, study, following or Following(), coordinator_key))


def _links(
    package: EvidencePackage, study: Study | None, following: Following, coordinator_key: str | None
) -> Iterator[Link]:
    embedded = sealing.embedded_study(package)
    if study is not None and study_file.digest(study) != package.study_hash:
        raise EvidenceError("the study file is not the one that was run", where="study")
    yield Link("study", f"{package.study_id}, hash {package.study_hash[:16]}")
    yield _study_signature(package)
    if package.roster.digest() != package.roster_hash:
        raise EvidenceError("the roster has another hash than the package says", where="roster")
    yield Link("roster", f"{package.federation.n} sites, hash {package.roster_hash[:16]}")
    yield _approvals(package)
    plan = _plan(package, embedded)
    yield Link("plan", f"computed again: {len(plan.releases)} releases, t = {plan.thresholds.answers}")
    yield Link("releases", opened.check_releases(package, plan))
    yield Link("budget", opened.check_spending(package, plan, embedded))
    yield _conclusions(package, plan)
    yield _dates(package, embedded)
    sealing.check_sealed(documents.content(package), where="evidence", public_key=coordinator_key)
    yield Link("evidence", f"{package.evidence_id}, signed by {_signers(documents.content(package))}")
    yield from _following(package, following)


def _study_signature(package: EvidencePackage) -> Link:
    signatures = [s for s in package.study_signatures if s.role == "study"]
    if not signatures:
        raise EvidenceError("nobody signed the study", where="study signature", do="sign it before it is run")
    for signature in signatures:
        verify(statements.study_statement(package.study_hash), signature, where="study signature")
    return Link("study signature", f"{len(signatures)} valid")


def _approvals(package: EvidencePackage) -> Link:
    numbers, approved = package.federation, set()
    for approval in package.approvals:
        where = f"approvals: {approval.site}"
        site = package.roster.get(approval.site)
        if site is None:
            raise EvidenceError("approved by a site that is not on the roster", where=where)
        approval.verify(where=where, officer_key=site.officer_key)
        bound = (
            approval.study_hash,
            approval.roster_hash,
            approval.sites,
            approval.answers,
            approval.colluding,
        )
        if bound != (package.study_hash, package.roster_hash, numbers.n, numbers.t, numbers.c):
            raise EvidenceError("the approval is of another study, roster or thresholds", where=where)
        if missing := sorted(set(package.unsafe) - set(approval.unsafe)):
            raise EvidenceError(f"the officer did not approve {', '.join(missing)}", where=where)
        if (SIMULATION in approval.unsafe) != package.simulation:
            raise EvidenceError("a simulation passes for real, or the other way round", where=where)
        if approval.day > package.valid_to or package.created.date() < approval.day:
            raise EvidenceError("the evidence is older than its approval", where=where)
        approved.add(approval.site)
    answered = {site for release in package.releases for site in release.answered}
    if missing := sorted(answered - approved):
        raise EvidenceError(
            "a site answered without its officer's approval", where=f"approvals: {missing[0]}"
        )
    return Link("approvals", f"{len(approved)} of {package.federation.n} officers")


def _plan(package: EvidencePackage, study: Study) -> Plan:
    try:
        plan = make_plan(study, package.roster, unsafe_exact=NO_NOISE in package.unsafe)
    except FedValueError as error:
        raise EvidenceError(
            f"the study cannot be planned on this roster: {error.what}", where="plan"
        ) from error
    clear_sum = opened.in_clear(package)
    if clear_sum and not package.simulation:
        raise EvidenceError(
            "the sums traveled in clear, as only a simulation's may",
            where="plan",
            do="run the study again with the private sum",
        )
    did = lowered(plan, clear_sum=clear_sum)
    if set(package.unsafe) != did:
        raise EvidenceError(
            f"the package says that {sorted(package.unsafe)} lowered the protection; {sorted(did)} did",
            where="plan",
        )
    if Federation.of(plan.thresholds) != package.federation:
        raise EvidenceError("n, t, c, f or m is not what study and roster give", where="plan")
    return plan


def _dates(package: EvidencePackage, study: Study) -> Link:
    valid, created = study.study.valid, package.created.date()
    if not valid.start <= created <= valid.until:
        raise EvidenceError("made outside the study's dates", where="dates")
    if package.valid_from < valid.start or package.valid_to > valid.until:
        raise EvidenceError("said to hold before the study began, or longer than it", where="dates")
    if package.bias != bias_checklist(study):
        raise EvidenceError("the bias checklist is not what the study's design says", where="bias")
    return Link("dates and bias", f"{package.valid_from} to {package.valid_to}; as the study's design says")


def _conclusions(package: EvidencePackage, plan: Plan) -> Link:
    labels = [conclusion.label for conclusion in package.conclusions]
    if sorted(labels) != sorted(analysis.label for analysis in plan.analyses):
        raise EvidenceError("the conclusions are not those of the study's analyses", where="conclusions")
    if any(record.total is None for record in package.releases):
        return Link(
            "conclusions", f"{len(labels)}; a released sum is not carried, so they are not drawn again"
        )
    told = {record.label: record for record in package.releases}

    def released(release: PlannedRelease, public: bytes) -> NoisySum:
        record = told.pop(release.label, None)
        if record is None and release.drawn is not None:
            raise TooFewSites("the training ended before this round", where=release.label)
        total = None if record is None else records.released_sum(record)
        if record is None or total is None:
            raise EvidenceError("a release behind it is missing", where=release.label)
        if not _same(_numbers(public), _numbers(opened.public_numbers(record))):
            raise EvidenceError("it was asked with other public numbers", where=release.label)
        shares = len(record.answered)
        noise = release.noise_variance(shares)
        return {
            name: NoisyBlock(total[where], gamma, noise, shares)
            for name, (where, gamma) in release.slices().items()
        }

    try:
        again = {conclusion.label: conclusion for conclusion in conclude_all(plan, released)}
    except FedValueError as error:
        raise EvidenceError(error.what, where=f"conclusions: {error.where}", do=error.do) from error
    if told:
        raise EvidenceError("no analysis asked for it", where=f"conclusions: {min(told)}")
    for stated in package.conclusions:
        if not _same(documents.content(again[stated.label]), documents.content(stated)):
            raise EvidenceError(
                "the released sums give another conclusion",
                where=f"conclusions: {stated.label}",
                do="the conclusion was changed, or drawn by another version of the code",
            )
    return Link("conclusions", f"{len(labels)}, drawn again from the released sums")


def _numbers(public: bytes) -> list[float]:
    return [float(value) for value in np.frombuffer(public, dtype="<f8")]


def _same(one: Any, other: Any) -> bool:
    """Compare JSON values, numbers to nine digits: another machine may round the last one otherwise."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return type(one) is type(other) and bool(one == other)


def _following(package: EvidencePackage, following: Following) -> Iterator[Link]:
    evidence = (package.evidence_id, documents.digest(package))
    for decision in following.decisions:
        sealing.check_sealed(decision, where="decision")
        if (decision.get("evidence_id"), decision.get("evidence_digest")) != evidence:
            raise EvidenceError("the decision rests on other evidence", where="decision")
        yield Link("decision", f"{decision['decision_id']}, signed by {_signers(decision)}")
    decided = {documents.plain_digest(decision) for decision in following.decisions}
    for proposal in following.proposals:
        sealing.check_sealed(proposal, where="proposal")
        if proposal.get("evidence_id") != package.evidence_id:
            raise EvidenceError("the proposal rests on other evidence", where="proposal")
        if decided and proposal.get("decision_digest") not in decided:
            raise EvidenceError("the proposal is of another decision", where="proposal")
        yield Link("proposal", f"{proposal['proposal_id']}, signed by {_signers(proposal)}")
    versions = {str(d.get("parameters_version")) for d in (*following.decisions, *following.proposals)}
    for standard in following.standards:
        yield _standard(standard, versions)


def _standard(standard: bytes, versions: set[str]) -> Link:
    used = [v for v in sorted(versions) if documents.prefix_with_digest(standard, v) is not None]
    if not used:
        raise EvidenceError(
            "no decision was made with this standard, nor with an earlier state of it",
            where="standard",
            do="give the decision too" if not versions else "find the file that the decision was made with",
        )
    now = hashlib.sha256(standard).hexdigest()
    later = "unchanged since" if now in used else "values were added since"
    return Link("standard", f"version {used[0][:16]}, {later}")


def _signers(document: dict[str, Any]) -> str:
    return ", ".join(f"{s['role']} {s['public_key'][:16]}" for s in document["signatures"])
