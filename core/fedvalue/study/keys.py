"""Ed25519 private keys in files that only their owner reads, under a passphrase if the owner wants one."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from fedvalue.errors import OutputError, PassphraseWrong, SignatureInvalid
from fedvalue.study.passphrase import LOCKED, locked_pem


def make_key(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Make a key at ``path`` (PKCS #8 PEM, mode 0600 before the first byte) and return it.

    Args:
      path: Where; a key is never overwritten.
      passphrase: Locks the file; None leaves it to the file's mode alone.

    Raises:
      OutputError: the file exists, or the place cannot be written.
      PassphraseWrong: the passphrase is empty.
    """
    if path.exists():
        raise OutputError("a key is there already", where=str(path), do="a key is never overwritten")
    key = Ed25519PrivateKey.generate()
    if passphrase is None:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    else:
        pem = locked_pem(key, passphrase)
    write_new(path, pem, mode=0o600, what="the key")
    return key


def load_key(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Read the key at ``path``.

    Args:
      path: The file.
      passphrase: What it was locked with; None for a key under no passphrase.

    Raises:
      PassphraseWrong: locked, and there is no passphrase or another one; or a passphrase for an open key.
      SignatureInvalid: missing, readable by others, or no Ed25519 key.
    """
    where = str(path)
    try:
        if path.stat().st_mode & 0o077:
            raise SignatureInvalid("the key can be read by others", where=where, do=f"chmod 600 {path}")
        pem = path.read_bytes()
    except OSError as error:
        raise SignatureInvalid(f"the key cannot be read: {error.strerror}", where=where) from error
    locked = pem.lstrip().startswith(LOCKED)
    if locked and not passphrase:
        raise PassphraseWrong("the key is under a passphrase", where=where, do="give its passphrase")
    if passphrase is not None and not locked and b"PRIVATE KEY-----" in pem:
        # Somebody who expects a locked key must hear that this one lies open, or is not the one they locked.
        raise PassphraseWrong("the key is under no passphrase", where=where, do="find the locked file")
    try:
        key = load_pem_private_key(pem, password=passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if locked:
            raise PassphraseWrong(
                "the passphrase does not open the key", where=where, do="try again, or restore the file"
            ) from error
        raise SignatureInvalid("the file holds no Ed25519 key", where=where) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureInvalid("the file holds another kind of key than Ed25519", where=where)
    return key


def write_new(path: Path, data: bytes, *, mode: int, what: str) -> None:
    """Write a file that is not there yet, with ``mode`` before the first byte; ``what`` names it in errors.

    Raises:
      OutputError: it is there, or the place cannot be written; a file half written is removed.
    """
    made = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        made = True
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if made:
            path.unlink(missing_ok=True)
        raise OutputError(f"{what} cannot be written: {error.strerror}", where=str(path)) from error


def replace_file(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file whole, in the place of the one before, with ``mode`` before the first byte.

    Raises:
      OutputError: the place cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"cannot be written: {error.strerror}", where=str(path), do="choose a folder that you may write"
        ) from error
