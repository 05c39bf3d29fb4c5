"""Private keys: in files that only their owner reads, and never overwritten."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fedvalue.errors import OutputError, PassphraseWrong, SignatureInvalid
from fedvalue.study.keys import load_key, make_key
from fedvalue.study.signature import public_hex
from tests.agreement import key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "site.pem"


def test_a_key_is_its_owners_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        made = make_key(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert public_hex(load_key(path)) == public_hex(made)


def test_two_keys_are_never_the_same(tmp_path: Path) -> None:
    assert public_hex(make_key(tmp_path / "a.pem")) != public_hex(make_key(tmp_path / "b.pem"))


def test_a_key_is_never_overwritten(path: Path) -> None:
    made = make_key(path)
    with pytest.raises(OutputError, match="a key is there already"):
        make_key(path)
    assert public_hex(load_key(path)) == public_hex(made)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    make_key(path)
    path.chmod(mode)
    with pytest.raises(SignatureInvalid, match="can be read by others") as refused:
        load_key(path)
    assert refused.value.do == f"chmod 600 {path}"


def private(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_a_file_that_holds_no_key_is_refused_as_ours(path: Path) -> None:
    with pytest.raises(SignatureInvalid, match="cannot be read"):
        load_key(path)
    with pytest.raises(SignatureInvalid, match="holds no Ed25519 key"):
        load_key(private(path, b"not a key"))


def test_a_key_of_another_kind_or_under_a_password_is_refused(tmp_path: Path) -> None:
    other = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(SignatureInvalid, match="another kind of key"):
        load_key(private(tmp_path / "a" / "x.pem", other))
    locked = key("a").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    with pytest.raises(PassphraseWrong, match="under a passphrase"):
        load_key(private(tmp_path / "b" / "x.pem", locked))


def test_a_key_in_a_place_that_cannot_be_written_is_refused_as_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="the key cannot be written"):
        make_key(tmp_path / "file" / "site.pem")
