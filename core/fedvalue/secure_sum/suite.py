"""Crypto suites: everything the private sum asks of cryptography, behind one name.

A suite is named in every signed object; there is no negotiation and no downgrade. `Intl1` is the suite
``intl-1``; another one is another class with the same methods, and no line of the protocol changes.

A suite owes the protocol: 32-byte hashes; agreement secrets of 32 bytes (they are shared by
`fedvalue.secure_sum.shamir`); a sealing key that is used for one message, and a stream key that is used
for one stream. The protocol sees to that last one: every key is derived from its whole context.

Bonawitz, K. and others. Practical secure aggregation for privacy-preserving machine learning. CCS 2017.
RFC 7748 (X25519), RFC 8032 (Ed25519), RFC 5869 (HKDF), NIST SP 800-38A (CTR), 800-38D (GCM).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedvalue.errors import KeyWeak, ShareInvalid
from fedvalue.secure_sum.encoding import encode

Entropy = Callable[[int], bytes]
"""Gives so many unpredictable bytes; `os.urandom` in production."""

_PRIME = 2**255 - 19
_ORDER_8 = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
_LOW_ORDER = frozenset({0, 1, _PRIME - 1, *_ORDER_8})
"""Every u-coordinate of Curve25519 and its twist of order 1, 2, 4 or 8 (RFC 7748, section 6.1)."""


class Identity(Protocol):
    """A site's signing key, or whatever holds it; an Ed25519 private key is one."""

    def sign(self, data: bytes, /) -> bytes:
        """Return the signature of ``data``."""


class AgreementKey(Protocol):
    """One half of a key agreement."""

    @property
    def public(self) -> bytes:
        """What may be published."""

    def agree(self, peer: bytes, info: bytes) -> bytes:
        """Return the 32-byte key that only the two halves and ``info`` give.

        Raises:
          KeyWeak: ``peer`` is no key, or one whose agreements can be foreseen.
        """


class Keystream(Protocol):
    """An endless pseudo-random stream."""

    def update_into(self, zeros: bytes, into: memoryview, /) -> int:
        """Write the next ``len(zeros)`` bytes of the stream into ``into``; ``zeros`` are zero bytes."""


class CryptoSuite(Protocol):
    """What the protocol asks of cryptography."""

    @property
    def name(self) -> str:
        """The suite's name, as it stands in every signed object."""

    def digest(self, content: bytes | memoryview) -> bytes:
        """Return a collision-resistant hash, 32 bytes."""

    def sign(self, identity: Identity, purpose: str, content: bytes) -> bytes:
        """Sign ``content`` for one ``purpose`` only."""

    def verifies(self, public_key: bytes, purpose: str, content: bytes, signature: bytes) -> bool:
        """Tell whether the signature is right, under this suite and for this purpose."""

    def agreement_key(self, secret: bytes) -> AgreementKey:
        """Return the key of a 32-byte secret."""

    def check_public(self, public: bytes) -> None:
        """Refuse a public agreement key that is weak or has more than one spelling.

        Raises:
          KeyWeak: it is.
        """

    def derive(self, secret: bytes, info: bytes) -> bytes:
        """Return the 32-byte key of a uniform secret in the context ``info``."""

    def seal(self, key: bytes, plain: bytes, context: bytes) -> bytes:
        """Encrypt and authenticate one message under a key that is used for nothing else."""

    def unseal(self, key: bytes, sealed: bytes, context: bytes) -> bytes:
        """Open what `seal` made.

        Raises:
          ShareInvalid: another key, another context, or changed bytes.
        """

    def stream(self, key: bytes) -> Keystream:
        """Return the stream of a key that is used for nothing else."""


@final
@dataclass(frozen=True, slots=True)
class X25519Half:
    """An X25519 key whose agreements go through HKDF-SHA256.

    Attributes:
      private: The private key.
      public: Its 32-byte public key.
    """

    private: X25519PrivateKey
    public: bytes

    def agree(self, peer: bytes, info: bytes) -> bytes:
        """Return the 32-byte key of both halves in the context ``info``.

        Raises:
          KeyWeak: ``peer`` is of low order or not canonical.
        """
        _check_x25519(peer)
        try:
            shared = self.private.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError as error:
            raise KeyWeak("the agreement with a public key gives nothing secret") from error
        return _hkdf(shared, info)


@final
@dataclass(frozen=True, slots=True)
class Intl1:
    """``intl-1``: Ed25519, X25519, HKDF-SHA256, AES-256-GCM, AES-256-CTR, SHA-256.

    Attributes:
      name: ``intl-1``.
    """

    name: str = "intl-1"

    def digest(self, content: bytes | memoryview) -> bytes:
        """Return the SHA-256 of ``content``."""
        return hashlib.sha256(content).digest()

    def sign(self, identity: Identity, purpose: str, content: bytes) -> bytes:
        """Return the Ed25519 signature, 64 bytes; suite and purpose are under it."""
        return identity.sign(self._signed(purpose, content))

    def verifies(self, public_key: bytes, purpose: str, content: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is the key's over ``content`` for ``purpose``."""
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, self._signed(purpose, content))
        except (InvalidSignature, ValueError):
            return False
        return True

    def agreement_key(self, secret: bytes) -> AgreementKey:
        """Return the X25519 key of 32 bytes."""
        private = X25519PrivateKey.from_private_bytes(secret)
        return X25519Half(private, private.public_key().public_bytes_raw())

    def check_public(self, public: bytes) -> None:
        """Refuse a low-order key, or a second spelling of one (top bit set, or not below 2^255 - 19).

        Raises:
          KeyWeak: it is one of them.
        """
        _check_x25519(public)

    def derive(self, secret: bytes, info: bytes) -> bytes:
        """Return HKDF-SHA256 of a secret, 32 bytes."""
        return _hkdf(secret, info)

    def seal(self, key: bytes, plain: bytes, context: bytes) -> bytes:
        """Return AES-256-GCM of ``plain`` under nonce 0; ``context`` is authenticated with it."""
        # A zero nonce is right because each key belongs to one direction of one pair in one epoch.
        return AESGCM(key).encrypt(bytes(12), plain, context)

    def unseal(self, key: bytes, sealed: bytes, context: bytes) -> bytes:
        """Open what `seal` made.

        Raises:
          ShareInvalid: another key, another context, or changed bytes.
        """
        try:
            return AESGCM(key).decrypt(bytes(12), sealed, context)
        except (InvalidTag, ValueError) as error:
            raise ShareInvalid("a sealed message does not open") from error

    def stream(self, key: bytes) -> Keystream:
        """Return the AES-256-CTR stream of a key from counter 0."""
        # A zero counter is right for the same reason: no key is used for a second stream.
        return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def _signed(self, purpose: str, content: bytes) -> bytes:
        return encode("fedvalue private sum", self.name, purpose, content)


def _hkdf(secret: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, info).derive(secret)


def _check_x25519(public: bytes) -> None:
    u = int.from_bytes(public, "little")
    if len(public) != 32 or u >= _PRIME or u in _LOW_ORDER:
        raise KeyWeak("a public key is of low order or not canonical", do="the coordinator or a site cheats")
