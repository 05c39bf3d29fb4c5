"""A payer's figures are read only as they were signed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.errors import PaymentError, SignatureInvalid
from fedvalue.payment.held_signature import read_signed, signature_file, signed
from fedvalue.study.signature import public_hex, sign

STATEMENT = b"""format: fedvalue.payer_held/1
name: closed year
payer: the fund
purpose: set
standards: [a/b]
closed_on: 2025-12-31
"""


@pytest.fixture
def figures(tmp_path: Path) -> tuple[Path, Ed25519PrivateKey]:
    place, key = tmp_path / "held.yaml", Ed25519PrivateKey.generate()
    place.write_bytes(STATEMENT)
    signature_file(place).write_bytes(signed(STATEMENT, key, "bureau"))
    return place, key


def test_figures_as_they_were_signed_are_read(figures: tuple[Path, Ed25519PrivateKey]) -> None:
    place, key = figures
    assert read_signed(place).statement.payer == "the fund"
    assert read_signed(place, public_key=public_hex(key)).statement.payer == "the fund"


def test_one_changed_byte_another_key_name_or_role_is_refused(
    figures: tuple[Path, Ed25519PrivateKey],
) -> None:
    place, key = figures
    with pytest.raises(SignatureInvalid, match="another key"):
        read_signed(place, public_key=public_hex(Ed25519PrivateKey.generate()))
    told = json.loads(signature_file(place).read_bytes())
    damaged: tuple[object, ...] = (
        {**told, "site": "another bureau"},
        {**told, "signature": {**told["signature"], "role": "site"}},
        {"site": "bureau"},
        [],
    )
    for changed in damaged:
        signature_file(place).write_text(json.dumps(changed))
        with pytest.raises(SignatureInvalid):
            read_signed(place, unsafe_unsigned=True)
    # a signature of the same content in another office is none of the payer's
    other = sign({"statement": "0" * 64, "site": "bureau"}, key, "officer")
    signature_file(place).write_text(
        json.dumps({"site": "bureau", "signature": other.model_dump(mode="json")})
    )
    with pytest.raises(SignatureInvalid, match="payer's role"):
        read_signed(place)
    signature_file(place).write_text(json.dumps(told))
    place.write_bytes(STATEMENT.replace(b"closed year", b"closed Year"))
    with pytest.raises(SignatureInvalid, match="changed after it was signed"):
        read_signed(place)


def test_figures_without_a_signature_are_refused_unless_that_is_said(
    figures: tuple[Path, Ed25519PrivateKey],
) -> None:
    place, key = figures
    signature_file(place).unlink()
    with pytest.raises(PaymentError, match="are not signed"):
        read_signed(place)
    assert read_signed(place, unsafe_unsigned=True).statement.name == "closed year"
    with pytest.raises(PaymentError, match="are not signed"):
        read_signed(place, public_key=public_hex(key), unsafe_unsigned=True)
