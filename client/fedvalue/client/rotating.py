"""A new key for a site whose ledger goes on: made here, and taken over in the ledger."""

from __future__ import annotations

import os
from pathlib import Path

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.ledger import Ledger
from fedvalue.client.home import SiteHome
from fedvalue.client.node import node_lock
from fedvalue.errors import LedgerBroken, OutputError
from fedvalue.study.keys import load_key, make_key
from fedvalue.study.signature import public_hex

NEXT = "site.next.pem"
"""The new key while the ledger is handed over; a crash leaves it, and the next try goes on with it."""


def new_site_key(home: SiteHome, passphrase: bytes | None) -> str:
    """Replace the site's key; its ledger goes on, and every paper of the old key has ended.

    Args:
      home: The site; no node may run on it.
      passphrase: Locks the new key, and opens it where an earlier try was cut short.

    Returns:
      The new public key, 64 hexadecimal digits.

    Raises:
      LedgerBusy: the site's node runs.
      LedgerError: the ledger does not hold, or cannot be written; the old key stays.
      PassphraseWrong: a key does not open.
      OutputError: the place cannot be written.
    """
    path = home.site_key_file.with_name(NEXT)
    lock = node_lock(home.folder)
    try:
        key = load_key(path, passphrase) if path.exists() else make_key(path, passphrase)
        budget = home.policy.for_life
        try:
            home.ledger().hand_over(key)
        except LedgerBroken:
            # Cut short after the handover: then it opens with the new key, and only the file is missing.
            Ledger.open(home.ledger_file, key, home.clock, budget=budget).close()
        _replace(path, home.site_key_file)
    finally:
        os.close(lock)
    AuditLog(home.audit_file, home.clock).write("new site key", key=public_hex(key))
    return public_hex(key)


def _replace(path: Path, target: Path) -> None:
    try:
        path.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise OutputError(f"the key cannot be put in place: {error.strerror}", where=str(target)) from error
