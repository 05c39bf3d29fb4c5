"""Ed25519 private keys locked with a passphrase: PKCS #8 under scrypt and AES-256-CBC, as others read it.

The file is written here because `cryptography` stretches a passphrase with 2,048 rounds of PBKDF2, which a
graphics card undoes, and offers no other number for this format. ``openssl pkey`` and `cryptography` open
what is written here.

RFC 8018 (PBES2), RFC 7914 (scrypt, and its object identifier), RFC 5208 and 5958 (PKCS #8).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fedvalue.errors import PassphraseWrong

LOCKED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
"""First line of a locked key."""

_COST, _BLOCK, _LANES = 2**14, 8, 5
"""Scrypt's N, r and p: 16 MiB and about a quarter of a second a guess, within openssl's limit of memory."""

_PBES2 = bytes.fromhex("2a864886f70d01050d")  # 1.2.840.113549.1.5.13
_SCRYPT = bytes.fromhex("2b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11
_AES_256_CBC = bytes.fromhex("60864801650304012a")  # 2.16.840.1.101.3.4.1.42
_INTEGER, _OCTETS, _OBJECT, _SEQUENCE = 0x02, 0x04, 0x06, 0x30


def locked_pem(
    key: Ed25519PrivateKey, passphrase: bytes, entropy: Callable[[int], bytes] = os.urandom
) -> bytes:
    """Return ``key`` as a PEM file that only ``passphrase`` opens.

    Args:
      key: The key.
      passphrase: Any bytes but none.
      entropy: Gives so many unpredictable bytes, for salt and initial vector.

    Raises:
      PassphraseWrong: the passphrase is empty.
    """
    if not passphrase:
        raise PassphraseWrong("an empty passphrase locks nothing", do="give one, or ask for no passphrase")
    salt, start = entropy(16), entropy(16)
    stretched = Scrypt(salt=salt, length=32, n=_COST, r=_BLOCK, p=_LANES).derive(passphrase)
    pad = PKCS7(128).padder()
    plain = pad.update(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())) + pad.finalize()
    cipher = Cipher(algorithms.AES(stretched), modes.CBC(start)).encryptor()
    sealed = cipher.update(plain) + cipher.finalize()
    numbers = [_der(_INTEGER, _number(value)) for value in (_COST, _BLOCK, _LANES)]
    stretching = _der(_SEQUENCE, _der(_OBJECT, _SCRYPT), _der(_SEQUENCE, _der(_OCTETS, salt), *numbers))
    encryption = _der(_SEQUENCE, _der(_OBJECT, _AES_256_CBC), _der(_OCTETS, start))
    scheme = _der(_SEQUENCE, _der(_OBJECT, _PBES2), _der(_SEQUENCE, stretching, encryption))
    text = base64.b64encode(_der(_SEQUENCE, scheme, _der(_OCTETS, sealed)))
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([LOCKED, *lines, LOCKED.replace(b"BEGIN", b"END"), b""])


def _number(value: int) -> bytes:
    """Return a positive integer's contents, with the leading zero that keeps it positive."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def _der(tag: int, *parts: bytes) -> bytes:
    """Return one element of at most 255 bytes."""
    content = b"".join(parts)
    length = [len(content)] if len(content) < 128 else [0x81, len(content)]
    return bytes([tag, *length]) + content
