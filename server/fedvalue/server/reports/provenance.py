"""Where every number comes from: identities, signatures, sites, releases, dates and code."""

from __future__ import annotations

import math

from fedvalue.evidence.package import EvidencePackage, ReleaseRecord
from fedvalue.payment.decision import Decision
from fedvalue.server.reports.budget import in_clear
from fedvalue.server.reports.drawing import Table
from fedvalue.server.reports.formats import day, number
from fedvalue.server.reports.wording import Voice, Words, joined
from fedvalue.study.signature import Signature, fingerprint


def summary(package: EvidencePackage, decisions: tuple[Decision, ...], voice: Voice) -> Table:
    """Return identities, dates and code, one a row."""
    federation = package.federation
    answered = {site for release in package.releases for site in release.answered}
    rows: list[tuple[Words, ...]] = [
        (voice("provenance.study"), package.study_id),
        (voice("provenance.study_hash"), package.study_hash),
        (voice("provenance.study_signatures"), _signatures(package.study_signatures, voice)),
        (voice("provenance.evidence_id"), package.evidence_id),
        (voice("provenance.evidence_signatures"), _signatures(package.signatures, voice)),
        (voice("provenance.supersedes"), package.supersedes or "\u2013"),
    ]
    for decision in decisions:
        rows += [
            (voice("provenance.decision"), decision.decision_id),
            (voice("provenance.decision_signatures"), _signatures(decision.signatures, voice)),
            (voice("provenance.decided_on"), day(decision.decided_on)),
            (voice("provenance.standard"), decision.standard),
            (voice("provenance.parameters"), decision.parameters_version),
        ]
    rows += [
        (voice("provenance.roster_hash"), package.roster_hash),
        (
            voice("provenance.sites"),
            voice("provenance.sites_value", n=str(federation.n), answered=str(len(answered))),
        ),
        (
            voice("provenance.thresholds"),
            ", ".join(f"{name} = {getattr(federation, name)}" for name in ("n", "t", "f", "c", "m")),
        ),
        (voice("provenance.sums"), _sums(package, voice)),
        (voice("provenance.approvals"), str(len(package.approvals))),
        (voice("provenance.created"), package.created.isoformat(timespec="seconds")),
        (
            voice("provenance.valid"),
            voice("provenance.from_to", start=day(package.valid_from), end=day(package.valid_to)),
        ),
        (voice("provenance.vocabulary"), package.data_vocabulary_version),
        (voice("provenance.code"), package.code.version),
        (voice("provenance.code_digest"), package.code.digest),
    ]
    return Table(
        voice("provenance.title"), (voice("table.what"), voice("table.value")), tuple(rows), frozenset({1})
    )


def _sums(package: EvidencePackage, voice: Voice) -> Words:
    suites = sorted({r.transcript.suite for r in package.releases if r.transcript is not None})
    if not suites:
        return voice("provenance.sums_clear") if in_clear(package) else "\u2013"
    return voice("provenance.sums_private", suite=", ".join(suites))


def _signatures(signatures: tuple[Signature, ...], voice: Voice) -> Words:
    if not signatures:
        return voice("provenance.unsigned")
    return joined(
        [
            voice.either(f"role.{s.role}", s.role)
            + voice("provenance.key", fingerprint=fingerprint(s.public_key))
            for s in signatures
        ],
        "; ",
    )


def sites(package: EvidencePackage, voice: Voice) -> Table:
    """Return the roster: each site's keys, when its officer approved, how many releases it answered."""
    approved = {
        approval.site: approval.day for approval in package.approvals if approval.signature is not None
    }
    rows = tuple(
        (
            site.id,
            site.entity,
            fingerprint(site.public_key),
            fingerprint(site.officer_key),
            day(approved.get(site.id)),
            f"{sum(site.id in release.answered for release in package.releases)} / {len(package.releases)}",
        )
        for site in package.roster.site
    )
    head = tuple(
        voice(f"table.{key}") for key in ("site", "entity", "site_key", "officer_key", "approved", "answered")
    )
    return Table(voice("provenance.roster"), head, rows, frozenset({1, 2, 3, 4}))


def releases(package: EvidencePackage, voice: Voice) -> Table:
    """Return every sum that was opened, block by block, with bound, noise, round and digest."""
    rows = tuple(row for release in package.releases for row in _blocks(release))
    head = tuple(
        voice(f"table.{key}")
        for key in ("release", "block", "numbers", "bound", "noise_sd", "answered", "round", "digest")
    )
    return Table(voice("provenance.releases"), head, rows, frozenset({1}))


def _blocks(release: ReleaseRecord) -> list[tuple[Words, ...]]:
    opened = release.transcript
    return [
        (
            f"{release.label} #{release.attempt}",
            block.name,
            str(block.dimension),
            block.bound_squared,
            number(math.sqrt(block.noise_variance), 3),
            str(len(release.answered)),
            "\u2013" if opened is None else f"{opened.epoch[:8]} / {opened.number}",
            release.total_digest[:16],
        )
        for block in release.blocks
    ]
