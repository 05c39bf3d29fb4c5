"""What one attempt at a release costs this site, and what must hold before a row is touched."""

from __future__ import annotations

from fractions import Fraction

from fedvalue.client.governance.approvals import ApprovedStudy, price_of
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.entries import Debit
from fedvalue.client.governance.policy import Policy
from fedvalue.client.home import SiteHome
from fedvalue.errors import PolicyForbids, PrivacyError, SpareAttemptsSpent
from fedvalue.planning.plan import PlannedRelease
from fedvalue.privacy.randomness import NoiseSource, require_production
from fedvalue.secure_sum.specification import RoundSpecification


def require_attempt(found: ApprovedStudy, attempt: int) -> None:
    """Refuse an attempt that the study does not plan.

    Raises:
      SpareAttemptsSpent: it does not.
    """
    if not 1 <= attempt <= 1 + found.study.privacy.spare_attempts:
        raise SpareAttemptsSpent("the study plans no such attempt")


def require_noise(policy: Policy, noise: NoiseSource) -> None:
    """Refuse noise that somebody could repeat, but at a simulated site that allows it by name.

    Raises:
      PolicyForbids: the source can be repeated.
    """
    if policy.simulation and "seeded_noise" in policy.unsafe:
        return
    try:
        require_production(noise)
    except PrivacyError as error:
        raise PolicyForbids("the noise can be repeated by whoever knows its seed") from error


def note_release(home: SiteHome, found: ApprovedStudy, release: PlannedRelease, attempt: int) -> None:
    """Write a release into the audit log, before it leaves: the study, which release, which attempt.

    Raises:
      OutputError: the log cannot be written; nothing may leave.
    """
    AuditLog(home.audit_file, home.clock).write(
        "released", study=found.plan.study_hash, release=release.label, attempt=attempt
    )


def debit_of(
    found: ApprovedStudy,
    release: PlannedRelease,
    attempt: int,
    *,
    asked: RoundSpecification | None = None,
    h: bytes = b"",
) -> Debit:
    """Return the ledger's entry for one attempt.

    Args:
      found: The approved study.
      release: A release of its plan.
      attempt: From 1.
      asked: The round of the private sum; None where the sum travels in clear.
      h: Hash of the round's question.
    """
    limits = found.plan.thresholds
    return Debit(
        study_hash=found.plan.study_hash,
        analyses=tuple(part.analysis.label for part in release.parts),
        release=release.label,
        attempt=attempt,
        specification=found.plan.specification(release),
        price=price_of(release, clear_sum=asked is None),
        bound_squared=release.scales.charged_bound_squared,
        gammas=tuple(str(gamma) for gamma in release.scales.gammas),
        answers=limits.answers,
        colluding=limits.colluding,
        shares_charged=1 if asked is None else limits.honest_shares,
        shares_promised=limits.honest_shares,
        dimension=release.dimension,
        epoch="" if asked is None else asked.settings.epoch,
        round=0 if asked is None else asked.number,
        h=h.hex(),
        unsafe_exact=release.exact,
        rate=Fraction(1) if release.drawn is None else release.drawn.rate,
        steps=0 if release.drawn is None else release.drawn.steps,
        sites_per_patient=release.sites_per_patient,
    )
