"""A second crypto suite needs no change of the protocol: other curve, other cipher, other hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedvalue.errors import KeyWeak, ShareInvalid, TooFewSites
from fedvalue.secure_sum.encoding import encode
from fedvalue.secure_sum.suite import AgreementKey, CryptoSuite, Identity, Keystream
from fedvalue.strategies.secure_aggregation.private_sum import wire
from tests.sum_federation import Federation

CURVE = ec.SECP256R1()
RAW = (serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class P256Identity:
    key: ec.EllipticCurvePrivateKey

    def sign(self, data: bytes, /) -> bytes:
        return self.key.sign(data, ec.ECDSA(hashes.SHA3_256()))


@dataclass(frozen=True)
class P256Half:
    private: ec.EllipticCurvePrivateKey

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes(*RAW)

    def agree(self, peer: bytes, info: bytes) -> bytes:
        shared = self.private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, peer))
        return HKDF(hashes.SHA3_256(), 32, None, info).derive(shared)


@dataclass(frozen=True)
class OtherSuite:
    """``test-2``: ECDSA and ECDH on P-256, SHA3-256, ChaCha20-Poly1305, ChaCha20."""

    name: str = "test-2"

    def digest(self, content: bytes | memoryview) -> bytes:
        return hashlib.sha3_256(content).digest()

    def sign(self, identity: Identity, purpose: str, content: bytes) -> bytes:
        return identity.sign(encode(self.name, purpose, content))

    def verifies(self, public_key: bytes, purpose: str, content: bytes, signature: bytes) -> bool:
        key = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, public_key)
        try:
            key.verify(signature, encode(self.name, purpose, content), ec.ECDSA(hashes.SHA3_256()))
        except InvalidSignature:
            return False
        return True

    def agreement_key(self, secret: bytes) -> AgreementKey:
        return P256Half(ec.derive_private_key(int.from_bytes(secret, "big") % (ORDER - 1) + 1, CURVE))

    def check_public(self, public: bytes) -> None:
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(CURVE, public)
        except ValueError as error:
            raise KeyWeak("no point") from error

    def derive(self, secret: bytes, info: bytes) -> bytes:
        return HKDF(hashes.SHA3_256(), 32, None, info).derive(secret)

    def seal(self, key: bytes, plain: bytes, context: bytes) -> bytes:
        return ChaCha20Poly1305(key).encrypt(bytes(12), plain, context)

    def unseal(self, key: bytes, sealed: bytes, context: bytes) -> bytes:
        try:
            return ChaCha20Poly1305(key).decrypt(bytes(12), sealed, context)
        except InvalidTag as error:
            raise ShareInvalid("does not open") from error

    def stream(self, key: bytes) -> Keystream:
        return Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor()


def identity() -> tuple[Any, bytes]:
    key = ec.generate_private_key(CURVE)
    return P256Identity(key), key.public_key().public_bytes(*RAW)


def test_the_protocol_runs_over_another_suite() -> None:
    suite: CryptoSuite = OtherSuite()
    federation = Federation(6, dimension=5, suite=suite, make_identity=identity)
    lost = federation.names[2]
    federation.lost = lambda step, site: step == wire.MASKED and site == lost
    found = federation.rounds(1).attempt("release-1", 1)
    assert found.total is not None
    np.testing.assert_array_equal(found.total, federation.sum_of(found.survivors))
    assert found.transcript is not None
    assert found.transcript.specification.settings.suite == "test-2"


def test_a_site_of_one_suite_does_not_follow_a_coordinator_of_another() -> None:
    federation = Federation(4)
    rounds = federation.rounds(1)
    rounds.agreed = type(rounds.agreed)(
        rounds.agreed.study_hash, rounds.agreed.membership, rounds.agreed.release, False, OtherSuite()
    )
    with pytest.raises(TooFewSites, match="suite_unknown"):
        rounds.attempt("release-1", 1)
    assert federation.codes() == {"suite_unknown"}
