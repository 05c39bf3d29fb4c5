"""What the people of a federation type, one command after the other; files go from hand to hand."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedvalue.client.opening import SITE_VARIABLE
from fedvalue.quiet import quiet_environment


@dataclass(frozen=True, slots=True)
class Shell:
    """Where people type commands; each must succeed.

    Attributes:
      commands: Folder of the programs.
      folder: Of everything that the test makes.
    """

    commands: Path
    folder: Path

    def __call__(self, *words: str | Path) -> str:
        command = [str(self.commands / "fedvalue"), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=quiet_environment())
        assert done.returncode == 0, done.stderr
        return done.stdout

    def told(self, *words: str | Path) -> dict[str, Any]:
        """What a command says with ``--json``."""
        found: dict[str, Any] = json.loads(self(*words, "--json"))
        return found


def joined(fedvalue: Shell, names: Sequence[str]) -> dict[str, Path]:
    """Let hospitals join a federation, as its people do: files from hand to hand, digits by telephone."""
    authority, coordinator = fedvalue.folder / "authority", fedvalue.folder / "coordinator"
    print_ = fedvalue.told("authority", "init", authority, "--name", "Example Federation")["fingerprint"]
    fedvalue("federation", "init", coordinator, "--name", "Example Federation", "--host", "localhost")
    homes, digits = {}, {}
    secret = fedvalue.folder / "passphrase"
    secret.touch(mode=0o600)
    secret.write_text("correct horse battery staple\n", encoding="utf-8")
    for name in names:
        home = homes[name] = fedvalue.folder / "homes" / name
        fedvalue(
            "site", "init", home, "--site", name, "--entity", name, "--epsilon", "4", "--profile", "none",
            *(("--passphrase-file", secret) if name == names[0] else ()),
        )  # fmt: skip
        token = fedvalue.told("federation", "add-site", coordinator, name)["token"]
        with locked(secret):
            joining = fedvalue.told("site", "enrol", home, token)
            digits[name] = joining["digits"]
            fedvalue("federation", "admit", coordinator, joining["answer"])
            papers = fedvalue.folder / f"{name}.papers.json"
            fedvalue(
                "authority", "issue", authority, joining["request"], "--digits", digits[name], "--out", papers
            )
            fedvalue("site", "certify", home, papers, "--authority", print_)
    for name, home in homes.items():
        for other in names:
            if other != name:
                fedvalue("site", "confirm", home, other, digits[other])
    fedvalue("authority", "sign-roster", authority, "--out", fedvalue.folder / "roster.toml")
    return homes


@contextmanager
def locked(secret: Path) -> Iterator[None]:
    """Let commands find the passphrase of the one site's key that is under one."""
    os.environ[SITE_VARIABLE] = str(secret)
    try:
        yield
    finally:
        del os.environ[SITE_VARIABLE]
