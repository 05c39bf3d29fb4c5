"""The exact contents that signatures in the chain from study to decision are made over."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def study_statement(study_hash: str) -> dict[str, Any]:
    """What the signer of a study signs, with role ``study``."""
    return {"statement": "study", "study_hash": study_hash}


def enrolment(*, nonce: str, study_hash: str, roster_hash: str, site: str) -> dict[str, Any]:
    """What a site signs when it enrols, with role ``site``: that it is there now, not a copy of its approval.

    Args:
      nonce: What the coordinator drew for this question, hexadecimal.
      study_hash: SHA-256 of the study.
      roster_hash: SHA-256 of the roster.
      site: The site's id.
    """
    return {
        "statement": "enrolment",
        "nonce": nonce,
        "study_hash": study_hash,
        "roster_hash": roster_hash,
        "site": site,
    }


def session(*, nonce: str, study_hash: str, site: str) -> dict[str, Any]:
    """What a site signs to join a coordinator's session, with role ``site``.

    Args:
      nonce: The coordinator's, drawn for this connection, 64 hexadecimal digits.
      study_hash: SHA-256 of the study.
      site: The site's id.
    """
    return {"statement": "session", "nonce": nonce, "study_hash": study_hash, "site": site}


def session_certificate(
    *, nonce: str, study_hash: str, roster_hash: str, site: str, certificate: str
) -> dict[str, Any]:
    """What a site signs when it makes a TLS certificate for a session, with role ``site``.

    Args:
      nonce: What the coordinator drew for this question, 32 hexadecimal digits.
      study_hash: SHA-256 of the study.
      roster_hash: SHA-256 of the roster.
      site: The site's id.
      certificate: PEM of the certificate.
    """
    return {
        "statement": "session certificate",
        "nonce": nonce,
        "study_hash": study_hash,
        "roster_hash": roster_hash,
        "site": site,
        "certificate": hashlib.sha256(certificate.encode()).hexdigest(),
    }


def reply(*, specification: str, attempt: int, site: str, vector_digest: str) -> dict[str, Any]:
    """What a site signs with each answer, with role ``site``.

    Args:
      specification: `Plan.specification` of the release; it covers study, roster, label and scales.
      attempt: 1 for the first.
      site: The site's id.
      vector_digest: Salted digest of the vector that it sent.
    """
    return {
        "statement": "reply",
        "specification": specification,
        "attempt": attempt,
        "site": site,
        "vector_digest": vector_digest,
    }


def vector_digest(vector: NDArray[np.int64]) -> str:
    """Return the SHA-256 of a vector as little-endian 64-bit integers, shape ``(d,)``."""
    return hashlib.sha256(vector.astype("<i8").tobytes()).hexdigest()
