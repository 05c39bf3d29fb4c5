"""Ed25519 signatures over the canonical forms of studies, approvals, evidence and decisions.

Every signed object names its crypto suite; there is no negotiation and no downgrade.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from typing import Any, Literal

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field

from fedvalue.errors import SignatureInvalid
from fedvalue.study.model import Part

SUITE = "intl-1"
"""Ed25519 signatures and SHA-256 hashes (with X25519, HKDF-SHA256, AES-256 in later protocol steps)."""


class Signature(Part):
    """A signature and who made it.

    Attributes:
      suite: Crypto suite.
      role: In what capacity: ``study``, ``officer``, ``site``, ``coordinator``, ``payer``.
      public_key: Raw Ed25519 public key, 64 hexadecimal digits.
      value: The signature, base64.
    """

    suite: Literal["intl-1"] = "intl-1"
    role: str = Field(pattern=r"^[a-z_]{2,30}$")
    public_key: str = Field(pattern=r"^[0-9a-f]{64}$")
    value: str


def fingerprint(public_key: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a raw public key, for people to compare."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:16]


def public_hex(key: Ed25519PrivateKey) -> str:
    """Return the raw public key as 64 hexadecimal digits."""
    return key.public_key().public_bytes_raw().hex()


def sign(content: Any, key: Ed25519PrivateKey, role: str) -> Signature:
    """Sign the RFC 8785 form of ``content``; suite and role are under the signature."""
    value = key.sign(_bytes(content, role))
    return Signature(role=role, public_key=public_hex(key), value=b64encode(value).decode())


def verify(content: Any, signature: Signature, *, where: str, public_key: str | None = None) -> None:
    """Check a signature over ``content``.

    Args:
      content: JSON-compatible value that was signed.
      signature: The signature.
      where: Names the object in the error.
      public_key: The key it must have been made with, if that is known.

    Raises:
      SignatureInvalid: another key, or the content was changed.
    """
    if public_key is not None and public_key != signature.public_key:
        raise SignatureInvalid("signed by another key than expected", where=where)
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.public_key))
        key.verify(_decoded(signature.value), _bytes(content, signature.role))
    except (InvalidSignature, ValueError) as error:
        raise SignatureInvalid(
            "the signature does not match the content",
            where=where,
            do="the object was changed after it was signed",
        ) from error


def _decoded(value: str) -> bytes:
    """Return the bytes of a base64 text that is spelled in the one way that encodes them."""
    decoded = b64decode(value, validate=True)
    if b64encode(decoded).decode() != value:
        raise ValueError("one signature has one spelling")
    return decoded


def _bytes(content: Any, role: str) -> bytes:
    return rfc8785.dumps({"suite": SUITE, "role": role, "content": content})
