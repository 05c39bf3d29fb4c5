"""Ed25519 private keys in files that only their owner reads."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from fedvalue.errors import OutputError, SignatureInvalid


def make_key(path: Path) -> Ed25519PrivateKey:
    """Make a key at ``path`` (PKCS #8 PEM, mode 0600 before the first byte) and return it.

    Raises:
      OutputError: the file exists, or the place cannot be written.
    """
    if path.exists():
        raise OutputError("a key is there already", where=str(path), do="a key is never overwritten")
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except OSError as error:
        raise OutputError(f"the key cannot be written: {error.strerror}", where=str(path)) from error
    return key


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read the key at ``path``.

    Raises:
      SignatureInvalid: missing, readable by others, or no Ed25519 key.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise SignatureInvalid("the key can be read by others", where=str(path), do=f"chmod 600 {path}")
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SignatureInvalid(f"the key cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, TypeError) as error:
        raise SignatureInvalid("the file holds no Ed25519 key", where=str(path)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureInvalid("the file holds another kind of key than Ed25519", where=str(path))
    return key
