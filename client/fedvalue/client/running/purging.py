"""Take a hospital's data away: what a home holds of patients, or everything but what the law wants kept.

What is kept says who asked what, what was approved and what it cost, with the public keys to check it; no
patient and no count is in it. Deleting a file frees its place and does not overwrite it: what makes it
unreadable for good is the encryption of the disk.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fedvalue.client.governance.approvals import APPROVED_FILES
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.node import LOCK as NODE_LOCK
from fedvalue.client.records.databases import is_server
from fedvalue.client.records.server_changes import remove_store
from fedvalue.client.running.site import LOCK as SITE_LOCK
from fedvalue.errors import LedgerBusy, OutputError

STUDIES = "studies"
"""Folder of the approved studies in a home; a folder for each."""

KEPT = (
    "policy.toml", "ledger.sqlite", "audit.jsonl", "receipts.sqlite", "keys/officer.pub", "keys/site.pub",
    "identity/authority.crt", "identity/site.crt", "identity/revocations.pem", "identity/seen.json",
    "audit.head", "keys/audit.pub",
)  # fmt: skip
"""What uninstalling leaves, beside the approvals: all that an auditor needs, and no secret."""

VERSIONS = "policy/"
"""Folder of the signed versions of the policy; kept as well."""

PATIENTS = (
    "records.duckdb", "records.duckdb.wal", "load-report.json", "description.json", "description.html",
)  # fmt: skip
"""What a home holds of patients, beside the frozen rows of its studies."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes and what stays.

    Attributes:
      goes: Files and folders, relative to the home, in order.
      stays: The same for what is kept.
      server: Where it is named, the records on this PostgreSQL server go too: the file that names it.
    """

    goes: tuple[str, ...]
    stays: tuple[str, ...]
    server: Path | None = None


def of_patients(home: SiteHome) -> Removal:
    """Return what a purge removes: records, load report, frozen rows; the site can load again afterwards.

    The ledger's list of first entries stays with the ledger: it holds no id, only keyed hashes, and without
    it no further study could be charged rightly.
    """
    found = [name for name in PATIENTS if (home.folder / name).exists()]
    return replace(_split(home, {*found, *_frozen(home)}), server=_server(home))


def of_everything(home: SiteHome) -> Removal:
    """Return what uninstalling removes: all but what is kept for the law."""
    kept = {*KEPT, *(f"{study}/{name}" for study in _studies(home) for name in APPROVED_FILES)}
    found = _split(home, {name for name in _files(home) if not _stays(name, kept)})
    locks = tuple(name for name in (SITE_LOCK, NODE_LOCK) if name not in found.goes)  # made when it is done
    return Removal((*found.goes, *locks), found.stays, _server(home))


def _server(home: SiteHome) -> Path | None:
    return home.records_file if is_server(home.records_file) else None


def _stays(name: str, kept: set[str]) -> bool:
    """Tell whether a file is kept; what SQLite lays beside a database belongs to it."""
    return (
        name in kept
        or name.startswith(VERSIONS)
        or any(name.startswith(f"{each}-") for each in kept if each.endswith(".sqlite"))
    )


def remove(home: SiteHome, what: Removal, *, event: str) -> None:
    """Remove it, and note in the audit log that it was removed.

    The public half of the site's key is written down first: the ledger is checked with it.

    Args:
      home: The site; nothing of it may run.
      what: From `of_patients` or `of_everything`.
      event: For the audit log: ``purged`` or ``uninstalled``.

    Raises:
      LedgerBusy: the site, or its node, runs.
      SourceMissing, SourceUnreadable: the server that holds the records cannot be asked; nothing was removed.
      OutputError: a file cannot be removed; what was removed before it is gone.
    """
    with _stopped(home.folder):
        write_atomically(home.folder / "keys" / "site.pub", home.card().public_key.encode())
        if what.server is not None:
            remove_store(what.server)
        AuditLog(home.audit_file, home.clock).write(event, files=len(what.goes))
        for name in what.goes:
            path = home.folder / name
            try:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(
                    f"cannot be removed: {error.strerror}", where=str(path), do="remove it by hand"
                ) from error
        for folder in sorted((p for p in home.folder.rglob("*") if p.is_dir()), reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()


def _split(home: SiteHome, goes: set[str]) -> Removal:
    every = _files(home)
    return Removal(tuple(n for n in every if n in goes), tuple(n for n in every if n not in goes))


def _files(home: SiteHome) -> list[str]:
    root = home.folder
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_symlink() or not p.is_dir())


def _studies(home: SiteHome) -> list[str]:
    root = home.folder / STUDIES
    return sorted(f"{STUDIES}/{p.name}" for p in root.iterdir() if p.is_dir()) if root.is_dir() else []


def _frozen(home: SiteHome) -> list[str]:
    """The frozen rows: everything of a study that an approval does not rest on by name."""
    return [
        name
        for name in _files(home)
        if name.startswith(f"{STUDIES}/") and name.rpartition("/")[2] not in set(APPROVED_FILES)
    ]


@contextmanager
def _stopped(folder: Path) -> Iterator[None]:
    held: list[int] = []
    try:
        for name in (SITE_LOCK, NODE_LOCK):
            lock = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.append(lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise LedgerBusy(
            "this site runs", where=str(folder), do="stop `fedvalue site serve` first"
        ) from error
    finally:
        for lock in held:
            os.close(lock)
