"""From a plan and what sites answered to the records of an evidence package.

What happened is given; what it cost is computed here from the plan, in exact arithmetic.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.errors import EvidenceError
from fedvalue.evidence.package import (
    BlockRecord,
    PrivacyStatement,
    ReleaseRecord,
    SampledRecord,
    SignedReply,
    SiteSpending,
)
from fedvalue.evidence.statements import vector_digest
from fedvalue.evidence.transcript import TranscriptRecord
from fedvalue.planning.plan import Plan, PlannedRelease
from fedvalue.privacy import accounting
from fedvalue.privacy.accounting import Price
from fedvalue.privacy.sampled import times
from fedvalue.secure_sum.record import Transcript
from fedvalue.secure_sum.specification import query_with
from fedvalue.study.schema import Study

CARRIED_COORDINATES = 200_000
"""Longest released sum that a package carries whole, in coordinates (1.6 MB); longer ones by digest only."""


def release_record(
    plan: Plan,
    release: PlannedRelease,
    *,
    total: NDArray[np.int64],
    replies: tuple[SignedReply, ...] = (),
    transcript: Transcript | None = None,
    attempt: int = 1,
    public: bytes = b"",
) -> ReleaseRecord:
    """Record one opened sum.

    Args:
      plan: The study's plan.
      release: The release of the plan that was asked.
      total: The released sum in ring units, noise and all, shape ``(release.dimension,)``.
      replies: The answering sites' signatures, of a clear sum.
      transcript: Who delivered what, of a private sum; exactly one of the two is given.
      attempt: How often it was asked, this time included.
      public: The public numbers that a clear sum was asked with; a transcript holds its own.

    Raises:
      EvidenceError: the sum has another length than planned, or it is not said who answered.
    """
    if total.shape != (release.dimension,):
        raise EvidenceError(
            f"the sum has {total.size} coordinates, the plan {release.dimension}", where=release.label
        )
    if (transcript is None) == (not replies):
        raise EvidenceError("a release has a transcript, or the replies of a clear sum", where=release.label)
    carried = None if transcript is None else TranscriptRecord.of(transcript)
    answered = tuple(reply.site for reply in replies) if carried is None else carried.survivors
    asked_with = public if transcript is None else transcript.specification.public
    raw = total.astype("<i8").tobytes()
    return ReleaseRecord(
        label=release.label,
        attempt=attempt,
        specification=query_with(plan.specification(release), asked_with),
        public=b64encode(asked_with).decode(),
        answered=answered,
        blocks=block_records(release, len(answered)),
        charged_rho_units=release.charged_units(clear_sum=carried is None),
        promised_rho_units=release.charged_units(clear_sum=False),
        sampled=sampled_record(release, clear_sum=carried is None),
        total_digest=vector_digest(total),
        total=b64encode(raw).decode() if total.size <= CARRIED_COORDINATES else None,
        transcript=carried,
        replies=replies,
    )


def sampled_record(release: PlannedRelease, *, clear_sum: bool) -> SampledRecord | None:
    """Describe how patients were drawn for a release and what that costs; None where everybody entered."""
    if release.drawn is None or not release.sampled:
        return None
    return SampledRecord(
        rate=str(release.drawn.rate),
        steps=release.drawn.steps,
        charged_units=release.price(1 if clear_sum else None).units,
        promised_units=release.price().units,
    )


def block_records(release: PlannedRelease, shares: int) -> tuple[BlockRecord, ...]:
    """Describe the blocks of a release of which ``shares`` sites answered, each with its share of noise."""
    return tuple(
        BlockRecord(
            name=block.name,
            dimension=block.dimension,
            bound_squared=str(block.bound_squared),
            gamma=str(gamma),
            rho_units=0 if release.exact else block.rho_units,
            noise_variance=float(Fraction(release.noise_variance(shares)) / gamma**2),
        )
        for block, gamma in zip(release.blocks, release.scales.gammas, strict=True)
    )


def released_sum(record: ReleaseRecord) -> NDArray[np.int64] | None:
    """Return the sum that a record carries, shape ``(d,)``, or None where it carries its digest only.

    Raises:
      EvidenceError: the bytes are not a vector, or not the one that the digest names.
    """
    if record.total is None:
        return None
    try:
        raw = b64decode(record.total, validate=True)
        total = np.frombuffer(raw, dtype="<i8").astype(np.int64)
    except (Base64Error, ValueError) as error:
        raise EvidenceError("the released sum is not a vector", where=record.label) from error
    if vector_digest(total) != record.total_digest or total.size != sum(b.dimension for b in record.blocks):
        raise EvidenceError("the released sum is not the one its digest names", where=record.label)
    return total


def privacy_statement(
    plan: Plan, study: Study, releases: tuple[ReleaseRecord, ...], spent: tuple[SiteSpending, ...]
) -> PrivacyStatement:
    """Return what the releases cost; an attempt that failed counts in full, like the one that was opened.

    A debit that no opened release explains, as of a round at which a training ended, counts at the highest
    price of any release of the plan.

    The three epsilons of a release whose noise counts on m, 1 and t honest shares. Where a ledger was
    debited more than the releases cost, as for an attempt at a sum that never opened, the difference counts
    in all three: rho debited at m shares is at most m times as much for one share alone, and no more at t.

    Args:
      plan: The study's plan.
      study: The study.
      releases: Every opened sum.
      spent: What each site's ledger was debited.
    """
    k, delta = study.privacy.max_sites_per_patient, study.privacy.delta
    limits, clear_sum = plan.thresholds, any(record.transcript is None for record in releases)

    if plan.sampled:
        return _sampled_statement(plan, study, releases, spent, clear_sum=clear_sum)

    def rho(shares: int | None) -> int:
        return sum(r.attempt * plan.release(r.label).scales.rho_units(shares) for r in releases)

    def epsilon(rho_units: int) -> float | None:
        return None if plan.exact else accounting.epsilon(rho_units, delta)

    charged = rho(1 if clear_sum else None)
    more = max([0, *(site.rho_units - charged for site in spent)])
    # What is debited in a clear sum is the price of the own share, so the other two prices stay below it.
    promised = 0 if plan.exact else rho(None) + more
    return PrivacyStatement(
        delta=delta,
        rho_units=promised,
        epsilon_promised=epsilon(promised),
        epsilon_own_share=epsilon(rho(1) + (1 if clear_sum else limits.honest_shares) * more),
        epsilon_no_collusion=epsilon(rho(limits.answers) + more),
        sites_per_patient=k.value,
        sites_per_patient_basis=k.basis,
        spent=spent,
    )


def _sampled_statement(
    plan: Plan, study: Study, releases: tuple[ReleaseRecord, ...], spent: tuple[SiteSpending, ...], *,
    clear_sum: bool,
) -> PrivacyStatement:  # fmt: skip
    """The same where some releases are sampled: prices are curves, and epsilon is their best order's."""
    k, delta = study.privacy.max_sites_per_patient, study.privacy.delta
    explained = {site.site: sum(r.attempt for r in releases if site.site in r.answered) for site in spent}
    more = max([0, *(site.releases - explained[site.site] for site in spent)])

    def total(shares: int | None) -> Price:
        opened = [times(plan.release(r.label).price(shares), r.attempt) for r in releases]
        dearest = [
            max(units) for units in zip(*(one.price(shares).units for one in plan.releases), strict=True)
        ]
        return sum(opened, times(Price(tuple(dearest)), more))

    def epsilon(price: Price) -> float | None:
        return None if plan.exact else accounting.epsilon_of(price, delta)

    plain = sum(r.attempt * (r.charged_rho_units if clear_sum else r.promised_rho_units) for r in releases)
    return PrivacyStatement(
        delta=delta,
        rho_units=plain,
        epsilon_promised=epsilon(total(None)),
        epsilon_own_share=epsilon(total(1)),
        epsilon_no_collusion=epsilon(total(plan.thresholds.answers)),
        sites_per_patient=k.value,
        sites_per_patient_basis=k.basis,
        spent=spent,
    )
