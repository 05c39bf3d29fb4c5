"""The suite intl-1 against published vectors, and what it must refuse."""

from __future__ import annotations

import hmac
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from fedvalue.errors import KeyWeak, ShareInvalid
from fedvalue.secure_sum.encoding import encode
from fedvalue.secure_sum.suite import Intl1

SUITE = Intl1()
P = 2**255 - 19

LOW_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    P - 1,
    P,
    P + 1,
]  # https://cr.yp.to/ecdh.html, "How do I validate Curve25519 public keys?"


def test_agreement_is_x25519_of_rfc_7748_and_hkdf_of_rfc_5869() -> None:
    # RFC 7748, section 5.2, first vector; HKDF written out with the standard library's HMAC
    scalar = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    u = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    shared = bytes.fromhex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
    extracted = hmac.digest(bytes(32), shared, "sha256")
    assert SUITE.agreement_key(scalar).agree(u, b"info") == hmac.digest(extracted, b"info\x01", "sha256")
    # section 6.1: Bob's private and public key
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    public = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    assert SUITE.agreement_key(bob).public.hex() == public


@pytest.mark.parametrize("u", LOW_ORDER)
@pytest.mark.parametrize("top", [0, 2**255])
def test_a_key_of_low_order_is_refused_in_every_spelling(u: int, top: int) -> None:
    public = (u + top).to_bytes(32, "little")
    with pytest.raises(KeyWeak):
        SUITE.check_public(public)
    with pytest.raises(KeyWeak):
        SUITE.agreement_key(os.urandom(32)).agree(public, b"")


def test_a_second_spelling_of_a_good_key_is_refused() -> None:
    public = SUITE.agreement_key(os.urandom(32)).public
    SUITE.check_public(public)
    with pytest.raises(KeyWeak):
        SUITE.check_public(public[:31] + bytes([public[31] | 128]))
    with pytest.raises(KeyWeak):
        SUITE.check_public(public[:31])


def test_both_halves_agree_and_the_context_separates_keys() -> None:
    a, b = SUITE.agreement_key(os.urandom(32)), SUITE.agreement_key(os.urandom(32))
    assert a.agree(b.public, b"one") == b.agree(a.public, b"one")
    assert a.agree(b.public, b"one") != a.agree(b.public, b"two")


def test_a_signature_holds_for_its_suite_and_purpose_only() -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    signed = SUITE.sign(key, "keys", b"content")
    assert SUITE.verifies(public, "keys", b"content", signed)
    assert not SUITE.verifies(public, "unmask", b"content", signed)
    assert not SUITE.verifies(public, "keys", b"other", signed)
    assert not Intl1(name="intl-0").verifies(public, "keys", b"content", signed)
    assert not SUITE.verifies(b"short", "keys", b"content", signed)
    assert not SUITE.verifies(public, "keys", b"content", b"")


def test_a_sealed_message_opens_under_its_key_and_context_only() -> None:
    key = os.urandom(32)
    sealed = SUITE.seal(key, b"shares", b"context")
    assert SUITE.unseal(key, sealed, b"context") == b"shares"
    for wrong in (
        (os.urandom(32), sealed, b"context"),
        (key, sealed, b"other"),
        (key, sealed[:-1], b"context"),
    ):
        with pytest.raises(ShareInvalid):
            SUITE.unseal(*wrong)
    with pytest.raises(ShareInvalid):
        SUITE.unseal(key, b"", b"context")


def test_the_stream_is_aes_256_in_counter_mode() -> None:
    # NIST SP 800-38A, F.1.5: AES-256 in ECB mode of block 1 is the key stream where the counter is block 1;
    # at counter 0 the stream is the encryption of the zero block (FIPS 197 known answer, key of zeros).
    out = bytearray(16)
    assert SUITE.stream(bytes(32)).update_into(bytes(16), memoryview(out)) == 16
    assert out.hex() == "dc95c078a2408989ad48a21492842087"


values = st.recursive(
    st.binary(max_size=4) | st.text(max_size=4) | st.integers(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.lists(values, max_size=4), st.lists(values, max_size=4))
def test_different_lists_never_have_the_same_bytes(one: list[object], two: list[object]) -> None:
    assert (encode(*one) == encode(*two)) == (one == two)  # type: ignore[arg-type]  # recursive alias


def test_the_encoding_is_what_its_words_say() -> None:
    eight = bytes(7)
    assert encode(b"a") == b"b" + eight + b"\x01a"
    assert encode("a", 12) == b"s" + eight + b"\x01a" + b"i" + eight + b"\x0212"
    assert encode(["a"]) == b"l" + eight + b"\x01" + b"s" + eight + b"\x01a"
