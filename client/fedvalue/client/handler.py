"""What a site does with a message: one function from records to records, and nothing else gets out.

Order of a release: is it approved, unchanged, in force? is the question in the plan, byte for byte? is
there budget? then the ledger is debited and synced, then the rows are touched, then noise is added, then
the reply is stored, then it leaves. A retransmission gets the stored bytes. Every refusal is a code that
cannot depend on patients; the reason in words stays in the site's own audit log.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import RecordDict

from fedvalue.client.governance.approvals import ApprovedStudy, approved, in_force
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.entries import Debit
from fedvalue.client.home import SiteHome
from fedvalue.errors import (
    FedValueError,
    LedgerError,
    MessageInvalid,
    OutputError,
    PolicyForbids,
    PrivacyError,
    Refusal,
    ReleaseUnknown,
    RosterMismatch,
    SiteFault,
    SpareAttemptsSpent,
)
from fedvalue.evidence import statements
from fedvalue.planning.plan import PlannedRelease
from fedvalue.privacy import accounting
from fedvalue.privacy.randomness import NoiseSource, SystemNoise, require_production
from fedvalue.strategies.secure_aggregation.clear_sum import share
from fedvalue.strategies.secure_aggregation.messages import (
    NONCE,
    EnrolReply,
    EnrolRequest,
    Refused,
    ReleaseReply,
    ReleaseRequest,
    Wire,
    signed_content,
)
from fedvalue.study import signature
from fedvalue.study.approval import CLEAR_SUM


@dataclass(frozen=True, slots=True)
class SiteHandler:
    """Answers the coordinator for one site.

    Attributes:
      home: The site's folder.
      noise: Source of privacy noise.
    """

    home: SiteHome
    noise: NoiseSource = field(default_factory=SystemNoise)

    def answer(self, message_type: str, content: RecordDict) -> RecordDict:
        """Answer one message; never raises for what a message or the site's data hold."""
        audit = AuditLog(self.home.audit_file, self.home.clock)
        reply: EnrolReply | ReleaseReply | Refused
        try:
            request = Wire.request(message_type, content)
            reply = self._enrol(request) if isinstance(request, EnrolRequest) else self._release(request)
            audit.write("answered", message=message_type, study=request.study_hash)
        except (Refusal, LedgerError) as error:
            reply = self._refuse(audit, message_type, error)
        except Exception as error:
            # The text of a foreign error may hold a patient: only its kind is kept, and only here.
            reply = self._refuse(audit, message_type, SiteFault(type(error).__name__))
        return Wire.pack(reply)

    def _refuse(self, audit: AuditLog, message_type: str, error: FedValueError) -> Refused:
        try:
            audit.write("refused", message=message_type[:40], code=error.code, reason=error.what[:200])
        except OutputError:
            return Refused(SiteFault.code)
        return Refused(error.code)

    def _enrol(self, request: EnrolRequest) -> EnrolReply:
        found = self._approved(request.study_hash, request.roster_hash)
        if NONCE.fullmatch(request.nonce) is None:
            raise MessageInvalid("a nonce has 32 hexadecimal digits")
        site = self.home.policy.site
        statement = statements.enrolment(
            nonce=request.nonce,
            study_hash=found.plan.study_hash,
            roster_hash=found.plan.roster_hash,
            site=site,
        )
        signed = signature.sign(statement, self.home.site_key(), "site")
        return EnrolReply(site, found.approval.model_dump_json(), signed.model_dump_json())

    def _approved(self, study_hash: str, roster_hash: str) -> ApprovedStudy:
        found = approved(self.home, study_hash)
        if found.plan.roster_hash != roster_hash:
            raise RosterMismatch("the coordinator names another roster than the approved one")
        in_force(found.study, self.home)
        return found

    def _release(self, request: ReleaseRequest) -> ReleaseReply:
        with self.home.locked():  # a retransmission waits for the answer it repeats; so does a withdrawal
            return self._one_release(request)

    def _one_release(self, request: ReleaseRequest) -> ReleaseReply:
        found = self._approved(request.study_hash, request.roster_hash)
        release = found.plan.release(request.release)
        if request.specification != found.plan.specification(release):
            raise ReleaseUnknown("the coordinator's specification is not what this site computes")
        if not 1 <= request.attempt <= 1 + found.study.privacy.spare_attempts:
            raise SpareAttemptsSpent("the study plans no such attempt")
        if CLEAR_SUM not in found.approval.unsafe:
            raise PolicyForbids("the officer did not approve that the sum travels in clear")
        policy = self.home.policy
        repeatable = policy.simulation and "seeded_noise" in policy.unsafe
        if not repeatable:
            try:
                require_production(self.noise)
            except PrivacyError as error:
                raise PolicyForbids("the noise can be repeated by whoever knows its seed") from error
        site = self.home.policy.site
        with self.home.ledger() as ledger:
            debit = self._debit(found, release, request.attempt)
            receipt = ledger.debit(debit)
            vector = ledger.reply_for(receipt)
            if vector is None:
                if not receipt.fresh:
                    raise SpareAttemptsSpent(
                        "the attempt was charged and its answer was lost; it is not made again"
                    )
                vector = share(release, found.cohort(self.home), self.noise)
                ledger.store_reply(receipt, vector)
        key = self.home.site_key()
        salt = _salt(key, request)
        signed = signature.sign(signed_content(request, site, salt, vector), key, "site")
        return ReleaseReply(site, vector, salt, signed.model_dump_json())

    def _debit(self, found: ApprovedStudy, release: PlannedRelease, attempt: int) -> Debit:
        """The entry for one attempt: charged at the site's own share, because the sum travels in clear."""
        own = 0 if release.exact else release.scales.rho_units(1)
        limits = found.plan.thresholds
        return Debit(
            study_hash=found.plan.study_hash,
            analyses=tuple(part.analysis.label for part in release.parts),
            release=release.label,
            attempt=attempt,
            specification=found.plan.specification(release),
            price=accounting.Price.plain(own),
            bound_squared=release.scales.charged_bound_squared,
            gammas=tuple(str(gamma) for gamma in release.scales.gammas),
            answers=limits.answers,
            colluding=limits.colluding,
            shares_charged=1,
            shares_promised=limits.honest_shares,
            dimension=release.dimension,
            unsafe_exact=release.exact,
        )


def _salt(key: Ed25519PrivateKey, request: ReleaseRequest) -> bytes:
    """A salt that only this site can make, the same for a retransmission: Ed25519 is deterministic."""
    question = f"fedvalue salt {request.specification} {request.attempt}".encode()
    return hashlib.sha256(key.sign(question)).digest()
