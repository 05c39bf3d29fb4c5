"""Made-up packages and decisions with plausible figures, one for every answer that a report can give."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, date, datetime
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.analyses.estimate import Conclusion, Curve, Estimate, Released, Remedy, Stratum
from fedvalue.evidence import sealing
from fedvalue.evidence.package import (
    BiasChecklist,
    BiasItem,
    BlockRecord,
    Code,
    EvidenceBody,
    EvidencePackage,
    Federation,
    PrivacyStatement,
    ReleaseRecord,
    SignedReply,
    SiteSpending,
)
from fedvalue.evidence.transcript import InputRecord, SurvivorSignature, TranscriptRecord
from fedvalue.privacy.accounting import epsilon, rho_units_for
from fedvalue.study import file as study_file
from fedvalue.study.approval import Approval
from fedvalue.study.roster import Roster, Site
from fedvalue.study.schema import Study
from fedvalue.study.signature import public_hex, sign

Story = Literal["met", "not_met", "insufficient", "below_minimum", "not_estimable", "exact"]
STORIES: tuple[Story, ...] = ("met", "not_met", "insufficient", "below_minimum", "not_estimable", "exact")

QUESTION = (
    "Does EGFR-guided first-line therapy keep its six-month response, so that it stays fully reimbursed?"
)
DELTA = 1e-6
MONTH = 365.25 / 12
SCORES: dict[Story, tuple[float, float]] = {
    "met": (214.6, 341.2),
    "not_met": (51.3, 243.8),
    "insufficient": (100.2, 301.7),
    "exact": (214.0, 341.0),
}
"""Released successes and patients of the deciding group."""


def key(name: str) -> Ed25519PrivateKey:
    """A throwaway key that is the same in every run."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def study(**changes: Any) -> Study:
    """The study of the demo, in short."""
    charter = {
        "id": "egfr-first-line-2026",
        "title": {"en": "EGFR-guided first-line therapy in lung cancer", "zh": "EGFR 检测指导的肺癌一线治疗"},
        "question": {"en": QUESTION, "zh": "EGFR 检测指导的一线治疗能否保持六个月缓解率，从而继续全额报销？"},
        "principal_investigator": "Prof. Lin Wei, Thoracic Oncology",
        "valid": {"from": date(2026, 1, 1), "until": date(2027, 12, 31)},
    } | changes
    return Study.model_validate(
        {
            "study": charter,
            "privacy": {"unit": "patient", "epsilon": 2.0, "delta": DELTA, "patient_cap": 100_000},
            "federation": {"min_sites": 5, "colluding_sites": 1, "tolerated_dropouts": 1},
            "governance": {"profile": "none"},
            "cohort": {"index": {"first": "drug", "codes": ["L01EB*"]}},
            "variables": {
                "egfr": {"variant": {"gene": "EGFR"}, "levels": ["mutated", "wild type", "not tested"]}
            },
            "endpoints": {
                "response_6m": {"kind": "binary", "method": "clinician", "what": "best by day 183"},
                "pfs": {
                    "kind": "time_to_event",
                    "events": ["progression", "death"],
                    "until": "24 months",
                    "grid": "1 month",
                },
            },
            "analyses": [
                {"kind": "proportion", "endpoint": "response_6m", "by": ["egfr"], "budget": 0.5},
                {
                    "kind": "kaplan_meier",
                    "endpoint": "pfs",
                    "by": ["egfr"],
                    "at": ["6 months"],
                    "budget": 0.5,
                },
            ],
            "payments": [
                {
                    "standard": "lung/egfr_tki_outcome_linked",
                    "mechanism": "outcome_linked_cohort",
                    "purpose": "set",
                    "uses": "response_6m | egfr=mutated",
                }
            ],
        }
    )


def share(successes: float, total: float, noise: float) -> Estimate:
    """A proportion with Wald's interval, noise in its variance."""
    p = successes / total
    sampling, privacy = p * (1 - p) / total, noise * ((1 - p) ** 2 + 2 * p**2) / total**2
    spread = 1.96 * math.sqrt(sampling + privacy)
    return Estimate(
        value=p,
        unit="probability",
        lower=max(0.0, p - spread),
        upper=min(1.0, p + spread),
        sampling_variance=sampling,
        privacy_variance=privacy,
    )


def curve(median: float, patients: float, noise_sd: float, ends: float | None = None) -> Curve:
    """An exponential curve on a monthly grid of 24 months."""
    count = 24 if ends is None else round(ends / MONTH)
    days = [MONTH * (i + 1) for i in range(count)]
    survival = [0.5 ** (day / median) * (1 - 0.004 * (i % 3)) for i, day in enumerate(days)]
    at_risk = [patients * 0.985**i * (1.0 if i == 0 else survival[i - 1]) for i in range(count)]
    sampling = [s * (1 - s) / max(n, 1.0) for s, n in zip(survival, at_risk, strict=True)]
    privacy = [(s * noise_sd / max(n, 1.0)) ** 2 for s, n in zip(survival, at_risk, strict=True)]
    spread = [1.96 * math.sqrt(a + b) for a, b in zip(sampling, privacy, strict=True)]
    low = [max(0.0, s - d) for s, d in zip(survival, spread, strict=True)]
    high = [min(1.0, s + d) for s, d in zip(survival, spread, strict=True)]
    return Curve(
        days=tuple(days),
        survival=tuple(survival),
        lower=tuple(low),
        upper=tuple(high),
        at_risk=tuple(at_risk),
        sampling_variance=tuple(sampling),
        privacy_variance=tuple(privacy),
        ends=ends,
    )


def survival_stratum(
    name: str, median: float, patients: float, noise_sd: float, ends: float | None = None
) -> Stratum:
    """A group with a curve, a median and survival at six months."""
    drawn = curve(median, patients, noise_sd, ends)
    estimates = {
        "survival at day 182.625": Estimate(
            value=drawn.survival[5],
            unit="probability",
            lower=drawn.lower[5],
            upper=drawn.upper[5],
            sampling_variance=drawn.sampling_variance[5],
            privacy_variance=drawn.privacy_variance[5],
        )
    }
    if median < drawn.days[-1]:
        estimates["median"] = Estimate(
            value=median,
            unit="days",
            lower=median * 0.88,
            upper=median * 1.16 if median < 500 else None,
            sampling_variance=(median * 0.06) ** 2,
            privacy_variance=(median * 0.03) ** 2 if noise_sd else 0.0,
        )
    released = {"patients": Released(value=patients, noise_variance=noise_sd**2)}
    return Stratum(name=name, status="estimated", released=released, estimates=estimates, curve=drawn)


def conclusions(story: Story) -> tuple[Conclusion, ...]:
    """A proportion and a Kaplan-Meier estimate by EGFR status."""
    noise = 0.0 if story == "exact" else 42.0
    sd = math.sqrt(noise)
    others = [
        Stratum(
            name="egfr=wild type", status="estimated", estimates={"proportion": share(152.8, 611.9, noise)}
        ),
        Stratum(
            name="egfr=not tested", status="estimated", estimates={"proportion": share(61.4, 190.3, noise)}
        ),
    ]
    if story in ("below_minimum", "not_estimable"):
        status = story
        remedy = Remedy(epsilon=4.7, patients=118.0) if story == "not_estimable" else None
        reason: Literal["privacy", "sampling"] = "privacy" if story == "not_estimable" else "sampling"
        cells = {
            "success": Released(value=14.2, noise_variance=noise),
            "failure": Released(value=19.8, noise_variance=noise),
            "missing": Released(value=0.0, noise_variance=noise),
        }
        first = Stratum(name="egfr=mutated", status=status, reason=reason, remedy=remedy, released=cells)
        first_curve = first.model_copy(
            update={"released": {"patients": Released(value=34.0, noise_variance=noise)}}
        )
    else:
        successes, total = SCORES[story]
        cells = {
            "success": Released(value=successes, noise_variance=noise),
            "failure": Released(value=total - successes, noise_variance=noise),
            "missing": Released(value=0.0, noise_variance=noise),
        }
        first = Stratum(
            name="egfr=mutated",
            status="estimated",
            released=cells,
            estimates={"proportion": share(successes, total, noise)},
        )
        first_curve = survival_stratum("egfr=mutated", 412.0, total, sd)
    unknown = Stratum(name="unknown", status="below_minimum", reason="sampling")
    everybody = Stratum(
        name="all", status="estimated", estimates={"proportion": share(430.0, 1143.0, 4 * noise)}
    )
    return (
        Conclusion(
            label="proportion:response_6m:egfr",
            kind="proportion",
            endpoint="response_6m",
            by=("egfr",),
            strata=(first, *others, unknown, everybody),
            notes=("A missing outcome counts as failure.",),
        ),
        Conclusion(
            label="kaplan_meier:pfs:egfr",
            kind="kaplan_meier",
            endpoint="pfs",
            by=("egfr",),
            strata=(
                first_curve,
                survival_stratum("egfr=wild type", 187.0, 611.9, sd),
                survival_stratum(
                    "egfr=not tested", 243.0, 190.3, sd, None if story == "exact" else 19 * MONTH
                ),
                unknown,
                survival_stratum("all", 261.0, 1143.0, 2 * sd),
            ),
            notes=("Patients count from the later of day zero and their genomic report (left truncation).",),
        ),
    )


def replies(answered: tuple[str, ...], digest: str) -> tuple[SignedReply, ...]:
    """What sites sign in a clear sum."""
    return tuple(
        SignedReply(site=n, vector_digest=digest, signature=sign({"reply": n}, key(f"site {n}"), "site"))
        for n in answered
    )


def transcript(answered: tuple[str, ...], members: tuple[str, ...], digest: str) -> TranscriptRecord:
    """The form of a private sum's transcript; a report shows its names and checks no signature."""
    return TranscriptRecord(
        suite="intl-1",
        epoch="5e" * 16,
        rounds=4,
        number=2,
        attempt=1,
        members=members,
        key_list_hash=digest,
        last_hash="0" * 64,
        question=digest,
        inputs=tuple(
            InputRecord(site=n, vector_hash=digest, ledger_counter=7, ledger_head=digest, signature="ab" * 64)
            for n in answered
        ),
        signatures=tuple(SurvivorSignature(site=n, signature="cd" * 64) for n in answered),
        total_hash=digest,
    )


def package(
    story: Story = "met",
    *,
    sites: int = 6,
    clear_sum: bool = False,
    of: Study | None = None,
    simulation: bool = True,
    unsafe: tuple[str, ...] | None = None,
    found: tuple[Conclusion, ...] | None = None,
    uneven: bool = False,
) -> EvidencePackage:
    """A sealed package that tells ``story``."""
    chosen = of or study()
    exact = story == "exact"
    names = [f"hospital-{i + 1:02d}" for i in range(sites)]
    roster = Roster(
        site=tuple(
            Site(
                id=n,
                entity=f"Entity of {n}",
                operator="City hospital group",
                public_key=public_hex(key(f"site {n}")),
                officer_key=public_hex(key(f"officer {n}")),
            )
            for n in names
        )
    )
    approvals = tuple(
        Approval(
            site=n,
            study_hash=study_file.digest(chosen),
            roster_hash=roster.digest(),
            sites=sites,
            answers=sites - 1,
            colluding=1,
            policy_hash=hashlib.sha256(b"policy").hexdigest(),
            unsafe=("clear_sum",) if clear_sum else (),
            day=date(2026, 11, 20),
        ).signed(key(f"officer {n}"))
        for n in names
    )
    m = sites - 2
    promised = rho_units_for(2.0, DELTA)
    digest = hashlib.sha256(b"vector").hexdigest()
    answered = tuple(names[:-1]) if uneven else tuple(names)
    charged = promised * m if clear_sum else promised
    release = ReleaseRecord(
        label="release-1",
        attempt=1,
        specification=digest,
        answered=answered,
        blocks=(
            BlockRecord(
                name="proportion:response_6m:egfr/counts/cells",
                dimension=12,
                bound_squared="1",
                gamma="61234",
                rho_units=promised // 2,
                noise_variance=0.0 if exact else 42.0,
            ),
            BlockRecord(
                name="kaplan_meier:pfs:egfr/risk_table/at_risk",
                dimension=100,
                bound_squared="829/200",
                gamma="8191/2",
                rho_units=promised // 2,
                noise_variance=0.0 if exact else 38.0,
            ),
        ),
        charged_rho_units=charged,
        promised_rho_units=promised,
        total_digest=digest,
        transcript=None if clear_sum else transcript(answered, tuple(names), digest),
        replies=replies(answered, digest) if clear_sum else (),
    )
    items = {
        "confounding": BiasItem(status="open", text="Groups are not randomized and not weighted."),
        "immortal_time": BiasItem(
            status="addressed", text="Patients count from the later of day zero and their genomic report."
        ),
        "informative_censoring": BiasItem(
            status="open", text="Censoring is assumed independent of the outcome."
        ),
        "test_access": BiasItem(status="open", text="A mutation is known only of patients who were tested."),
        "site_selection": BiasItem(
            status="not applicable", text="Every hospital of the pilot region takes part."
        ),
    }
    switches = (*(("clear_sum",) if clear_sum else ()), *(("no_noise",) if exact else ()))
    spent = tuple(
        SiteSpending(site=n, rho_units=charged // (2 if uneven and n == names[-1] else 1), releases=1)
        for n in names
    )
    body = EvidenceBody(
        simulation=simulation,
        unsafe=switches if unsafe is None else unsafe,
        study_id=chosen.study.id,
        study_hash=study_file.digest(chosen),
        study=json.loads(study_file.canonical(chosen)),
        study_signatures=(sign({"study": chosen.study.id}, key("investigator"), "study"),),
        roster=roster,
        roster_hash=roster.digest(),
        federation=Federation(n=sites, t=sites - 1, c=1, f=1, m=m),
        approvals=approvals,
        releases=(release,),
        privacy=PrivacyStatement(
            delta=DELTA,
            rho_units=promised,
            epsilon_promised=None if exact else epsilon(promised, DELTA),
            epsilon_own_share=None if exact else epsilon(promised * m, DELTA),
            epsilon_no_collusion=None if exact else epsilon(promised * m // (m + 1), DELTA),
            sites_per_patient=3,
            sites_per_patient_basis="assumed",
            spent=spent,
        ),
        conclusions=conclusions(story) if found is None else found,
        bias=BiasChecklist(**items),
        code=Code(version="0.1.0", digest=hashlib.sha256(b"code").hexdigest()),
        data_vocabulary_version="fedvalue-tables/1",
        created=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
        valid_from=date(2026, 11, 21),
        valid_to=date(2027, 12, 31),
    )
    return sealing.seal(body, key("coordinator"))
