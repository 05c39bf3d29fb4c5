"""What lies outside the machine of its audit log: signed ends of it, and its lines in a syslog.

A seal is the audit administrator's signature over the end of the log. Kept elsewhere, it shows later whether
the log still begins as it did, whoever holds the machine by then. Export sends lines to a syslog once each,
in order, and needs neither the coordinator nor a running site.
"""

from __future__ import annotations

import socket
from datetime import datetime
from pathlib import Path

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.errors import LedgerBroken, OutputError, PolicyForbids, SignatureInvalid
from fedvalue.study.model import Part
from fedvalue.study.signature import Signature, public_hex, sign, verify

ROLE = "audit"
PRIORITY = b"<110>"
"""Facility 13 (log audit), severity 6 (informational), as RFC 5424 section 6.2.1 numbers them."""

EXPORTED = "audit.exported"
"""In the home: how many lines went to the syslog, and the hash of the last of them."""


class Seal(Part):
    """The end of an audit log, signed.

    Attributes:
      site: Whose log.
      lines: How many lines it had.
      last: SHA-256 of the last of them.
      time: When.
      signature: The audit administrator's, or the officer's where there is none.
    """

    site: str
    lines: int
    last: str
    time: datetime
    signature: Signature | None = None

    def content(self) -> dict[str, object]:
        """Return what is signed."""
        return self.model_dump(mode="json", exclude={"signature"})


def seal(home: SiteHome, key: Ed25519PrivateKey) -> Seal:
    """Sign the end of the log after checking all of it.

    Args:
      home: The site.
      key: Of an audit administrator; the officer's where the policy names none.

    Raises:
      PolicyForbids: the key may not seal this log.
      LedgerBroken: the log does not hold.
    """
    if public_hex(key) not in _sealers(home):
        raise PolicyForbids(
            "this key may not seal the log", where="policy.toml people",
            do="the audit administrator seals it, or the officer where there is none",
        )  # fmt: skip
    log = AuditLog(home.audit_file, home.clock)
    count = len(log.entries())
    made = Seal(site=home.policy.site, lines=count, last=log.hash_of(count), time=home.clock())
    return made.model_copy(update={"signature": sign(made.content(), key, ROLE)})


def require_seal(home: SiteHome, path: Path) -> Seal:
    """Check that the log still begins as it did when it was sealed.

    Raises:
      SignatureInvalid: the seal is none, is of another site, or is signed by somebody who may not.
      LedgerBroken: the log does not hold, or its first lines are others than those that were sealed.
    """
    try:
        found = Seal.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SignatureInvalid("the seal cannot be read", where=str(path)) from error
    held = found.signature
    if held is None or held.role != ROLE or found.site != home.policy.site:
        raise SignatureInvalid("this is no seal of this site's log", where=str(path))
    verify(found.content(), held, where=str(path))
    if held.public_key not in _sealers(home):
        raise SignatureInvalid("the seal is by somebody who may not seal this log", where=str(path))
    log = AuditLog(home.audit_file, home.clock)
    log.entries()
    if log.hash_of(found.lines) != found.last:
        raise LedgerBroken(
            f"the first {found.lines} lines of the audit log are not those that were sealed",
            where=str(home.audit_file), do="compare with a copy of the log",
        )  # fmt: skip
    return found


def export(home: SiteHome, address: str) -> int:
    """Send the lines that were not sent yet to a syslog, in order, and return how many.

    Args:
      home: The site.
      address: ``/dev/log``, or ``host:port`` (UDP) of the hospital's own.

    Raises:
      LedgerBroken: the log does not hold, or no longer begins with what was sent.
      OutputError: the syslog cannot be reached.
    """
    log, mark = AuditLog(home.audit_file, home.clock), home.folder / EXPORTED
    entries = log.entries()
    sent, _, digest = (mark.read_text(encoding="ascii") if mark.exists() else "0 ").strip().partition(" ")
    done = int(sent) if sent.isdigit() else 0
    if done and log.hash_of(done) != digest:
        raise LedgerBroken(
            f"the first {done} lines of the audit log are not those that were sent to the syslog",
            where=str(home.audit_file), do="compare with the syslog",
        )  # fmt: skip
    try:
        with _opened(address) as syslog:
            for entry in entries[done:]:
                text = rfc8785.dumps({"site": home.policy.site, **entry})  # type: ignore[dict-item]  # from JSON
                syslog.send(PRIORITY + b"fedvalue-audit: " + text)
    except (OSError, ValueError) as error:
        raise OutputError(
            "the syslog cannot be reached", where=address, do="name /dev/log, or host:port for UDP"
        ) from error
    if len(entries) > done:
        write_atomically(mark, f"{len(entries)} {log.hash_of(len(entries))}\n".encode())
    return len(entries) - done


def _opened(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    if address.startswith("/"):
        family, where = int(socket.AF_UNIX), tuple[str | int | bytes, ...]()
    else:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
        family, where = int(found[0]), found[4]
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.connect(where or address)
    except OSError:
        made.close()
        raise
    return made


def _sealers(home: SiteHome) -> tuple[str, ...]:
    named = tuple(person.key for person in home.policy.with_role("audit"))
    return named or (home.card().officer_key,)
