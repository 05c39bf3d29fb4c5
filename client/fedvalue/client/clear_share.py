"""The site's share of a release in clear: at simulated sites only, for comparisons and tests."""

from __future__ import annotations

import hashlib

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.client.charge import debit_of, note_release, require_attempt, require_noise
from fedvalue.client.governance.approvals import ApprovedStudy
from fedvalue.client.home import SiteHome
from fedvalue.errors import PolicyForbids, ReleaseUnknown, SpareAttemptsSpent
from fedvalue.privacy.randomness import NoiseSource
from fedvalue.secure_sum.specification import query_with
from fedvalue.strategies.secure_aggregation.clear_sum import noised
from fedvalue.strategies.secure_aggregation.messages import (
    WORD,
    ReleaseReply,
    ReleaseRequest,
    signed_content,
)
from fedvalue.study import signature
from fedvalue.study.approval import CLEAR_SUM


def clear_share(
    home: SiteHome, found: ApprovedStudy, request: ReleaseRequest, noise: NoiseSource
) -> ReleaseReply:
    """Debit the ledger, compute and sign a share; the caller holds the home's lock.

    A retransmission gets the stored bytes.

    Raises:
      PolicyForbids: the officer did not approve it.
      ReleaseUnknown: the coordinator asks otherwise than this site computes.
      SpareAttemptsSpent: no such attempt, or it was charged and its answer lost.
      LedgerError: the debit cannot be written.
      OutputError: the audit log cannot be written.
    """
    if CLEAR_SUM not in found.approval.unsafe:
        raise PolicyForbids("the officer did not approve that the sum travels in clear")
    release = found.plan.release(request.release)
    if request.specification != query_with(found.plan.specification(release), request.public):
        raise ReleaseUnknown("the coordinator's specification is not what this site computes")
    release.require_public(request.public)
    require_attempt(found, request.attempt)
    require_noise(home.policy, noise)
    with home.ledger() as ledger:
        receipt = ledger.debit(debit_of(found, release, request.attempt), reserve=True)
        vector = ledger.reply_for(receipt)
        if vector is None:
            if not receipt.fresh:
                raise SpareAttemptsSpent(
                    "the attempt was charged and its answer was lost; it is not made again"
                )
            share = noised(release, found.cohort(home), noise, request.public)
            vector = np.ascontiguousarray(share, dtype=WORD).tobytes()
            ledger.store_reply(receipt, vector)
    note_release(home, found, release, request.attempt)
    key = home.site_key()
    salt = _salt(key, request)
    site = home.policy.site
    signed = signature.sign(signed_content(request, site, salt, vector), key, "site")
    return ReleaseReply(site, vector, salt, signed.model_dump_json())


def _salt(key: Ed25519PrivateKey, request: ReleaseRequest) -> bytes:
    """A salt that only this site can make, the same for a retransmission: Ed25519 is deterministic."""
    question = f"fedvalue salt {request.specification} {request.attempt}".encode()
    return hashlib.sha256(key.sign(question)).digest()
