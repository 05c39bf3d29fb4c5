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
from functools import partial
from typing import Any

from fedvalue.analyses.analysis import Ask, NoisyBlock, NoisySum
from fedvalue.errors import EvidenceError, FedValueError
from fedvalue.evidence import documents, records, sealing, statements
from fedvalue.evidence.bias import bias_checklist
from fedvalue.evidence.package import EvidencePackage, Federation, ReleaseRecord
from fedvalue.planning.plan import Plan, lowered, make_plan
from fedvalue.privacy.release import LOG2_SCALE
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
    yield _releases(package, plan)
    yield _spending(package, plan, embedded)
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
    if set(package.unsafe) != lowered(plan):
        raise EvidenceError(
            f"the package says that {sorted(package.unsafe)} lowered the protection; "
            f"{sorted(lowered(plan))} did",
            where="plan",
        )
    if Federation.of(plan.thresholds) != package.federation:
        raise EvidenceError("n, t, c, f or m is not what study and roster give", where="plan")
    return plan


def _releases(package: EvidencePackage, plan: Plan) -> Link:
    if len({record.label for record in package.releases}) != len(package.releases):
        raise EvidenceError("a release was opened twice", where="releases", do="one question has one answer")
    for record in package.releases:
        where = f"releases: {record.label}"
        try:
            planned = plan.release(record.label)
        except FedValueError as error:
            raise EvidenceError("the plan has no such release", where=where) from error
        if len(record.answered) < plan.thresholds.answers:
            raise EvidenceError(f"{len(record.answered)} sites answered, fewer than t", where=where)
        prices = (record.charged_rho_units, record.promised_rho_units)
        expected = (0, 0) if plan.exact else (planned.scales.rho_units(1), planned.scales.rho_units())
        if (
            record.specification != plan.specification(planned)
            or record.blocks != records.block_records(planned, len(record.answered))
            or prices != expected
        ):
            raise EvidenceError("blocks, scales, noise or price are not those of the plan", where=where)
        for reply in record.replies:
            _reply(package, record, reply.site, where)
        if records.released_sum(record) is None and planned.dimension <= records.CARRIED_COORDINATES:
            raise EvidenceError("the released sum is left out", where=where)
    text = f"{len(package.releases)} of {len(plan.releases)}, every answer signed by its site"
    return Link("releases", f"{text}; that the sum is theirs is the coordinator's word")


def _reply(package: EvidencePackage, record: ReleaseRecord, site_id: str, where: str) -> None:
    site = package.roster.get(site_id)
    if site is None:
        raise EvidenceError(f"answered by {site_id}, which is not on the roster", where=where)
    reply = next(r for r in record.replies if r.site == site_id)
    said = statements.reply(
        specification=record.specification,
        attempt=record.attempt,
        site=site_id,
        vector_digest=reply.vector_digest,
    )
    if reply.signature.role != "site":
        raise EvidenceError(f"the answer of {site_id} is not signed as a site's", where=where)
    verify(said, reply.signature, where=f"{where}, {site_id}", public_key=site.public_key)


def _spending(package: EvidencePackage, plan: Plan, study: Study) -> Link:
    spent = {entry.site: entry.rho_units for entry in package.privacy.spent}
    for record in package.releases:
        for site in record.answered:
            spent[site] = spent.get(site, 0) - record.attempt * record.charged_rho_units
    if short := sorted(site for site, left in spent.items() if left < 0):
        raise EvidenceError(
            "a site's ledger was debited less than its answers cost", where=f"budget: {short[0]}"
        )
    for entry in package.privacy.spent:
        if entry.releases < sum(entry.site in record.answered for record in package.releases):
            raise EvidenceError(
                "a site answered more often than it was debited", where=f"budget: {entry.site}"
            )
    stated = package.privacy
    if records.privacy_statement(plan, study, package.releases, stated.spent) != stated:
        raise EvidenceError(
            "the epsilons, or what they rest on, are not those of the releases", where="budget"
        )
    return Link("budget", "every answer was debited, and the three epsilons were computed again")


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
    sums = _sums(package, plan)
    for analysis in plan.analyses:
        stated = next(c for c in package.conclusions if c.label == analysis.label)
        try:
            again = analysis.conclude(partial(_sum_of, sums, analysis.label), plan.terms)
        except KeyError as error:
            raise EvidenceError(
                "a release behind it is missing", where=f"conclusions: {analysis.label}"
            ) from error
        if not _same(documents.content(again), documents.content(stated)):
            raise EvidenceError(
                "the released sums give another conclusion",
                where=f"conclusions: {analysis.label}",
                do="the conclusion was changed, or drawn by another version of the code",
            )
    return Link("conclusions", f"{len(labels)}, drawn again from the released sums")


def _sums(package: EvidencePackage, plan: Plan) -> dict[str, NoisyBlock]:
    found = {}
    for record in package.releases:
        total = records.released_sum(record)
        if total is None:
            continue
        for name, (where, gamma) in plan.release(record.label).slices().items():
            noise = 0.0 if plan.exact else float(len(record.answered) * 4**LOG2_SCALE)
            found[name] = NoisyBlock(total[where], gamma, noise)
    return found


def _sum_of(sums: dict[str, NoisyBlock], analysis: str, ask: Ask) -> NoisySum:
    return {block.name: sums[f"{analysis}/{ask.label}/{block.name}"] for block in ask.blocks}


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
