"""Where a passphrase comes from: a file of mode 0600, or somebody at the keyboard; never a command line."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.errors import PassphraseWrong
from fedvalue.study.keys import load_key
from fedvalue.study.passphrase import LOCKED

MAX_BYTES = 4096

Ask = Callable[[str, Path], bytes]
"""``(whose key, where it is)``: its passphrase; raises `PassphraseWrong` where nobody can be asked."""


def nobody(whose: str, path: Path) -> bytes:
    """Refuse: a program that was given no passphrase opens no locked key.

    Raises:
      PassphraseWrong: always.
    """
    raise PassphraseWrong(f"{whose} is under a passphrase", where=str(path), do="give its passphrase")


class KeyRing:
    """Opens key files, and asks at most once for the passphrase of each.

    A key that was opened with a passphrase stays in this object's memory, because opening it again takes a
    quarter of a second and a person; a key under no passphrase is read from its file each time.
    """

    def __init__(self, ask: Ask = nobody) -> None:
        """Start with no key open.

        Args:
          ask: Gives passphrases.
        """
        self._ask = ask
        self._open: dict[bytes, Ed25519PrivateKey] = {}

    def key(self, path: Path, whose: str) -> Ed25519PrivateKey:
        """Return the key of a file.

        Args:
          path: The file.
          whose: Names the key to whoever is asked, such as ``the site's key``.

        Raises:
          SignatureInvalid: as in `fedvalue.study.keys.load_key`; `PassphraseWrong` where it does not open.
        """
        try:
            content = path.read_bytes()
        except OSError:
            content = b""
        if not content.lstrip().startswith(LOCKED):
            return load_key(path)
        digest = hashlib.sha256(content).digest()
        if digest not in self._open:
            self._open[digest] = load_key(path, self._ask(whose, path))
        return self._open[digest]


def passphrase_file(path: Path) -> bytes:
    """Return the passphrase that a file holds, without the line's end.

    Raises:
      PassphraseWrong: the file cannot be read, is readable by others, is empty or longer than 4,096 bytes.
    """
    try:
        if path.stat().st_mode & 0o077 and path.is_file():
            raise PassphraseWrong(
                "the passphrase can be read by others", where=str(path), do=f"chmod 600 {path}"
            )
        with path.open("rb") as file:
            found = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PassphraseWrong(f"it cannot be read: {error.strerror}", where=str(path)) from error
    found = found.removesuffix(b"\n").removesuffix(b"\r")
    if not found or len(found) > MAX_BYTES:
        raise PassphraseWrong(f"a passphrase has 1 to {MAX_BYTES} bytes", where=str(path))
    return found


def new_passphrase(whose: str) -> bytes:
    """Ask for a new passphrase, twice.

    Raises:
      PassphraseWrong: nobody is at the keyboard.
    """
    _require_somebody(whose)
    shown = f"New passphrase for {whose}"
    return str(click.prompt(shown, hide_input=True, confirmation_prompt=True, err=True)).encode()


def asking(variables: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> Ask:
    """Return a way to ask that looks for a file first and then for somebody at the keyboard.

    Args:
      variables: For each key, the environment variable that names the file of its passphrase.
      environment: Of this process.
    """

    def ask(whose: str, path: Path) -> bytes:
        named = environment.get(variables.get(whose, ""), "")
        if named:
            return passphrase_file(Path(named))
        _require_somebody(whose, where=str(path), variable=variables.get(whose, ""))
        return str(click.prompt(f"Passphrase of {whose}", hide_input=True, err=True)).encode()

    return ask


def _require_somebody(whose: str, *, where: str = "", variable: str = "") -> None:
    if not sys.stdin.isatty():
        raise PassphraseWrong(
            f"{whose} is under a passphrase, and nobody is at the keyboard",
            where=where,
            do=f"name a file of mode 0600 in {variable}" if variable else "name a file of mode 0600",
        )
