"""A site's home folder: policy, keys, records, ledger, approved studies and audit log, in known places."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.client.governance.ledger import Ledger
from fedvalue.client.governance.partitions import Partitions, site_secret
from fedvalue.client.governance.policy import Policy, load_policy
from fedvalue.client.places import RECORDS, RECORDS_SERVER, SOCKET
from fedvalue.errors import OutputError, SignatureInvalid
from fedvalue.study.keys import make_key, replace_file
from fedvalue.study.passphrases import KeyRing, nobody
from fedvalue.study.roster import Site
from fedvalue.study.signature import public_hex

Clock = Callable[[], datetime]
"""Returns the present, with its time zone."""


def system_clock() -> datetime:
    """Return the machine's present in UTC."""
    return datetime.now(UTC)


SITE_KEY, OFFICER_KEY = "the site's key", "the officer's key"
"""What the two keys of a home are called where somebody is asked for a passphrase."""


@dataclass(frozen=True, slots=True)
class Passphrases:
    """What locks the keys of a new home; None leaves a key to its file's mode alone.

    Attributes:
      site: For the site's key, which the node opens when it starts.
      officer: For the officer's key, which is opened for an approval and by nothing else.
    """

    site: bytes | None = field(default=None, repr=False)
    officer: bytes | None = field(default=None, repr=False)

    def given(self, whose: str, path: Path) -> bytes:
        """Return the passphrase of a key; see `fedvalue.study.passphrases.Ask`.

        Raises:
          PassphraseWrong: there is none.
        """
        found = self.site if whose == SITE_KEY else self.officer
        return found if found is not None else nobody(whose, path)


OPEN_KEYS = Passphrases()


@dataclass(frozen=True, slots=True)
class SiteHome:
    """The folder of one site.

    Attributes:
      folder: Where it is; mode 0700.
      policy: The site's policy as read from the folder.
      clock: Tells the time.
      keys: Opens the home's keys, and asks for a passphrase where one is under it.
    """

    folder: Path
    policy: Policy
    clock: Clock = system_clock
    keys: KeyRing = field(default_factory=KeyRing, repr=False, compare=False)

    @classmethod
    def create(
        cls, folder: Path, policy: Policy, clock: Clock = system_clock, passphrases: Passphrases = OPEN_KEYS
    ) -> SiteHome:
        """Make a home: policy file, site key, officer key, empty ledger.

        Args:
          folder: Where.
          policy: The site's policy.
          clock: Tells the time.
          passphrases: What locks the two keys.

        Raises:
          OutputError: there is a home already, or the folder cannot be written.
          PassphraseWrong: a passphrase is empty.
        """
        home = cls(folder, policy, clock, KeyRing(passphrases.given))
        if home.policy_file.exists():
            raise OutputError(
                "there is a site home already",
                where=str(folder),
                do="a ledger is for life; use another folder",
            )
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
        except OSError as error:
            raise OutputError(f"the folder cannot be made: {error.strerror}", where=str(folder)) from error
        key = make_key(home.site_key_file, passphrases.site)
        officer = make_key(home.officer_key_file, passphrases.officer)
        write_atomically(home.officer_public_file, public_hex(officer).encode())
        budget = policy.for_life
        # this year's partition exists from the start, so that the ledger does not tell whether anybody came
        Ledger.create(home.ledger_file, budget, key, clock, partitions=(str(clock().year),)).close()
        write_atomically(home.policy_file, policy.to_toml().encode())
        return home

    @classmethod
    def open(cls, folder: Path, clock: Clock = system_clock, keys: KeyRing | None = None) -> SiteHome:
        """Read the home at ``folder``; ``keys`` opens keys under a passphrase, and without it none opens.

        Raises:
          StudyInvalid: there is none, or its policy is not valid.
        """
        return cls(folder, load_policy(folder / "policy.toml"), clock, keys or KeyRing())

    @property
    def policy_file(self) -> Path:
        """The policy."""
        return self.folder / "policy.toml"

    @property
    def site_key_file(self) -> Path:
        """The key that signs replies and ledger entries."""
        return self.folder / "keys" / "site.pem"

    @property
    def officer_public_file(self) -> Path:
        """The officer's public key, 64 hexadecimal digits: all of the officer that answering needs."""
        return self.folder / "keys" / "officer.pub"

    @property
    def officer_key_file(self) -> Path:
        """The key that signs approvals."""
        return self.folder / "keys" / "officer.pem"

    @property
    def identity_folder(self) -> Path:
        """What this site knows of who is who: its papers, and how to reach the coordinator."""
        return self.folder / "identity"

    @property
    def records_file(self) -> Path:
        """The site's records: a DuckDB file, or the file that names the PostgreSQL server they are on."""
        server = self.folder / RECORDS_SERVER
        return server if os.path.lexists(server) else self.folder / RECORDS

    @property
    def ledger_file(self) -> Path:
        """The privacy ledger."""
        return self.folder / "ledger.sqlite"

    @property
    def first_entries_file(self) -> Path:
        """Who belongs to which partition, by keyed hash; part of the ledger, saved with it."""
        return self.folder / "first-entries.sqlite"

    @property
    def first_entries_secret_file(self) -> Path:
        """The secret under which patient ids are hashed there."""
        return self.folder / "keys" / "first-entries.secret"

    @property
    def receipts_file(self) -> Path:
        """What this site has seen of its peers' ledgers."""
        return self.folder / "receipts.sqlite"

    @property
    def journal_file(self) -> Path:
        """What this site said in rounds of the private sum."""
        return self.folder / "journal.sqlite"

    @property
    def socket_file(self) -> Path:
        """Where the running site node listens."""
        return self.folder / SOCKET

    @property
    def audit_file(self) -> Path:
        """The audit log: who asked what, and what was refused; never a patient or a count."""
        return self.folder / "audit.jsonl"

    def study_folder(self, study_hash: str) -> Path:
        """Return the folder of one approved study."""
        return self.folder / "studies" / study_hash

    def site_key(self) -> Ed25519PrivateKey:
        """Read the site's key."""
        return self.keys.key(self.site_key_file, SITE_KEY)

    def officer_key(self) -> Ed25519PrivateKey:
        """Read the officer's key."""
        return self.keys.key(self.officer_key_file, OFFICER_KEY)

    def ledger(self) -> Ledger:
        """Open the ledger, verifying all of it.

        Raises:
          LedgerError: broken, busy, or its budget is not the policy's.
        """
        budget = self.policy.for_life
        return Ledger.open(self.ledger_file, self.site_key(), self.clock, budget=budget)

    def first_entries(self, ledger: Ledger) -> Partitions:
        """Open the store of who belongs to which partition of the ledger.

        Raises:
          LedgerError: it is gone, older than the ledger knows, or was changed.
        """
        return Partitions.open(self.first_entries_file, site_secret(self.first_entries_secret_file), ledger)

    def card(self) -> Site:
        """Return this site's entry of a roster."""
        return Site(
            id=self.policy.site,
            entity=self.policy.entity,
            operator=self.policy.operator,
            public_key=public_hex(self.site_key()),
            officer_key=self._officer_public(),
        )

    def _officer_public(self) -> str:
        try:
            return self.officer_public_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SignatureInvalid(
                "the officer's public key cannot be read", where=str(self.officer_public_file)
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the site to one release at a time: a retransmission waits for the answer it repeats.

        Raises:
          OutputError: the folder cannot be written.
        """
        try:
            lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise OutputError(f"cannot be locked: {error.strerror}", where=str(self.folder)) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write ``data`` to ``path`` whole or not at all, with ``mode`` before the first byte.

    Raises:
      OutputError: the place cannot be written.
    """
    replace_file(path, data, mode=mode)
