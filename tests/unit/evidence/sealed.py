"""Sealed evidence of three made-up sites whose released counts are chosen, everything else computed."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.analyses.analysis import Ask, NoisyBlock, NoisySum
from fedvalue.analyses.estimate import Conclusion
from fedvalue.evidence import records, sealing, statements
from fedvalue.evidence.bias import bias_checklist
from fedvalue.evidence.package import (
    Code,
    EvidenceBody,
    EvidencePackage,
    Federation,
    ReleaseRecord,
    SignedReply,
    SiteSpending,
)
from fedvalue.planning.plan import Plan, lowered, make_plan
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.study import file as study_file
from fedvalue.study.approval import SIMULATION, Approval
from fedvalue.study.roster import Roster, Site
from fedvalue.study.schema import Study
from fedvalue.study.signature import public_hex, sign
from tests.unit.evidence.rounds import transcript_of

SITES = ("alpha", "beta", "gamma")
STUDY = """
[study]
id = "egfr-response"
title = { en = "EGFR-guided therapy" }
question = { en = "Does guided therapy keep its six-month response?" }
principal_investigator = "A. Researcher"
valid = { from = 2026-01-01, until = 2027-12-31 }
[privacy]
unit = "patient"
epsilon = EPSILON
delta = 1e-6
patient_cap = 100000
max_sites_per_patient = { value = 1, basis = "declared disjoint" }
[federation]
min_sites = 3
tolerated_dropouts = 0
min_released_patients = 20
[governance]
profile = "none"
[cohort]
index = { first = "drug", codes = ["L01EB*"] }
[variables.egfr]
variant = { gene = "EGFR", classes = ["L858R", "ex19del"] }
levels = ["mutated", "wild type", "not tested"]
[endpoints.response_6m]
kind = "binary"
method = "METHOD"
what = "best by day DAY"
missing = "MISSING"
[diagnostics]
share = 0

[[analyses]]
kind = "proportion"
endpoint = "response_6m"
by = ["egfr"]
budget = 1.0
[[payments]]
standard = "STANDARD"
mechanism = "outcome_linked_cohort"
purpose = "set"
uses = "response_6m | egfr=mutated"
"""


def key(name: str) -> Ed25519PrivateKey:
    """A throwaway key that is the same in every run."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def site_key(site: str) -> Ed25519PrivateKey:
    """The identity key of a site."""
    return key(f"{site} site")


def study(
    *,
    epsilon: float = 8.0,
    day: int = 183,
    method: str = "recist",
    missing: str = "non_response",
    standard: str = "lung/egfr_tki_outcome_linked",
) -> Study:
    """The study, some of its lines changed."""
    text = STUDY.replace("EPSILON", str(epsilon)).replace("DAY", str(day)).replace("METHOD", method)
    text = text.replace("MISSING", missing).replace("STANDARD", standard)
    return study_file.parse(text.encode(), where="study.toml")


def roster() -> Roster:
    """Three sites with keys of their own."""
    return Roster(
        site=tuple(
            Site(
                id=name,
                entity=f"Hospital {name}",
                operator="its own IT",
                public_key=public_hex(key(f"{name} site")),
                officer_key=public_hex(key(f"{name} officer")),
            )
            for name in SITES
        )
    )


def package(
    counts: tuple[float, float, float] = (60.0, 70.0, 10.0),
    *,
    of: Study | None = None,
    exact: bool = False,
    clear_sum: bool = False,
    simulation: bool = False,
    valid: tuple[date, date] = (date(2026, 1, 1), date(2027, 12, 31)),
    coordinator: str = "coordinator",
    approved: tuple[str, ...] = SITES,
    **changes: Any,
) -> EvidencePackage:
    """Seal a package whose mutated group released ``counts`` of success, failure and missing.

    With ``clear_sum`` it is a simulation, because nothing else may be.
    """
    asked = of or study()
    plan = make_plan(asked, roster(), unsafe_exact=exact)
    total = _total(plan, counts)
    simulation = simulation or clear_sum
    if clear_sum:
        replies = tuple(_reply(plan, name) for name in SITES)
        record = records.release_record(plan, plan.releases[0], total=total, replies=replies)
    else:
        signed = transcript_of(plan, plan.releases[0], total, SITES, site_key)
        record = records.release_record(plan, plan.releases[0], total=total, transcript=signed)
    unsafe = tuple(sorted(lowered(plan, clear_sum=clear_sum)))
    allowed = (*unsafe, SIMULATION) if simulation else unsafe
    fields: dict[str, Any] = {
        "simulation": simulation,
        "unsafe": unsafe,
        "approvals": tuple(_approval(plan, name, allowed) for name in approved),
        "valid_from": valid[0],
        "valid_to": valid[1],
    }
    conclusions = _conclusions(plan, total)
    return package_of(asked, plan, (record,), conclusions, coordinator=coordinator, **(fields | changes))


def package_of(
    asked: Study,
    plan: Plan,
    releases: tuple[ReleaseRecord, ...],
    conclusions: tuple[Conclusion, ...],
    /,
    *,
    coordinator: str = "coordinator",
    **changes: Any,
) -> EvidencePackage:
    """Seal a package of these releases and conclusions, every site debited what they cost."""
    cost = sum(record.attempt * record.charged_rho_units for record in releases)
    spent = tuple(SiteSpending(site=s, rho_units=cost, releases=len(releases)) for s in SITES)
    fields: dict[str, Any] = {
        "simulation": False,
        "unsafe": (),
        "study_id": asked.study.id,
        "study_hash": plan.study_hash,
        "study": asked.model_dump(mode="json", by_alias=True),
        "study_signatures": (sign(statements.study_statement(plan.study_hash), key("author"), "study"),),
        "roster": roster(),
        "roster_hash": plan.roster_hash,
        "federation": Federation.of(plan.thresholds),
        "approvals": tuple(_approval(plan, name, ()) for name in SITES),
        "releases": releases,
        "privacy": records.privacy_statement(plan, asked, releases, spent),
        "conclusions": conclusions,
        "bias": bias_checklist(asked),
        "code": Code(version="0.1.0", digest="c" * 64),
        "data_vocabulary_version": "1",
        "created": datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
        "valid_from": date(2026, 1, 1),
        "valid_to": date(2027, 12, 31),
    }
    return sealing.seal(EvidenceBody(**(fields | changes)), key(coordinator))


def resealed(original: EvidencePackage, **changes: Any) -> EvidencePackage:
    """The package with some fields changed and sealed anew: what a dishonest coordinator could do."""
    fields = {name: getattr(original, name) for name in EvidenceBody.model_fields}
    return sealing.seal(EvidenceBody(**(fields | changes)), key("coordinator"))


def _total(plan: Plan, counts: tuple[float, float, float]) -> np.ndarray[Any, np.dtype[np.int64]]:
    gamma = plan.releases[0].scales.gammas[0]
    cells = (*counts, 200.0, 300.0, 20.0, 30.0, 40.0, 5.0, 1.0, 2.0, 0.0)
    return np.array([round(Fraction(cell) * gamma) for cell in cells], dtype=np.int64)


def _conclusions(plan: Plan, total: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[Conclusion, ...]:
    release, analysis = plan.releases[0], plan.analyses[0]

    def sum_of(ask: Ask) -> NoisySum:
        noise = 0.0 if plan.exact else len(SITES) * 4.0**LOG2_SCALE
        return {ask.blocks[0].name: NoisyBlock(total, release.scales.gammas[0], noise)}

    return (analysis.conclude(sum_of, plan.terms),)


def _approval(plan: Plan, site: str, unsafe: tuple[str, ...]) -> Approval:
    limits = plan.thresholds
    return Approval(
        site=site,
        study_hash=plan.study_hash,
        roster_hash=plan.roster_hash,
        sites=limits.sites,
        answers=limits.answers,
        colluding=limits.colluding,
        policy_hash="a" * 64,
        unsafe=unsafe,
        day=date(2026, 11, 1),
    ).signed(key(f"{site} officer"))


def _reply(plan: Plan, site: str) -> SignedReply:
    digest = hashlib.sha256(site.encode()).hexdigest()
    said = statements.reply(
        specification=plan.specification(plan.releases[0]), attempt=1, site=site, vector_digest=digest
    )
    return SignedReply(site=site, vector_digest=digest, signature=sign(said, key(f"{site} site"), "site"))
