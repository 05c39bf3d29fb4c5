"""The exact contents that signatures in the chain from study to decision are made over."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def study_statement(study_hash: str) -> dict[str, Any]:
    """What the signer of a study signs, with role ``study``."""
    return {"statement": "study", "study_hash": study_hash}


def reply(*, specification: str, attempt: int, site: str, vector_digest: str) -> dict[str, Any]:
    """What a site signs with each answer, with role ``site``.

    Args:
      specification: `Plan.specification` of the release; it covers study, roster, label and scales.
      attempt: 1 for the first.
      site: The site's id.
      vector_digest: `vector_digest` of the vector that it sent.
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
