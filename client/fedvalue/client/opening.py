"""Open a home at the shell: a key under a passphrase asks for it, once a command."""

from __future__ import annotations

from pathlib import Path

from fedvalue.client.home import OFFICER_KEY, SITE_KEY, SiteHome, system_clock
from fedvalue.study.passphrases import Ask, KeyRing, asking, passphrase_file

SITE_VARIABLE = "FEDVALUE_SITE_PASSPHRASE_FILE"
OFFICER_VARIABLE = "FEDVALUE_OFFICER_PASSPHRASE_FILE"
"""Environment variables that name a file of mode 0600 with a passphrase, for where nobody can be asked."""

ASK = asking({SITE_KEY: SITE_VARIABLE, OFFICER_KEY: OFFICER_VARIABLE})


def open_home(folder: Path) -> SiteHome:
    """Open a home for one command.

    Raises:
      StudyInvalid: there is none, or its policy is not valid.
    """
    return SiteHome.open(folder, system_clock, KeyRing(ASK))


def from_file(path: Path | None) -> Ask:
    """Return a way to ask that reads one file, or the usual one if there is none."""
    if path is None:
        return ASK

    def ask(whose: str, key: Path) -> bytes:
        del whose, key
        return passphrase_file(path)

    return ask
