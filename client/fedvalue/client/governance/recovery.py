"""The way back when a ledger is lost, damaged, or was put back to an older copy. ``docs/ledger.md`` tells it.

Two doors, and no third:

* `restore`: a backup, if it holds the latest entry that the peers' receipts know. Nothing is lost then.
* `declare_lost`: a new ledger in which every partition that exists counts as spent for life. Only people who
  enter the store later have a budget. Its counter jumps past whatever a peer may have seen of the old one.

Neither deletes a file: what was in the place is set aside under another name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.client.governance.durable import publish, set_aside
from fedvalue.client.governance.ledger import PATIENCE, Head, Ledger
from fedvalue.client.governance.partitions import FirstEntries
from fedvalue.client.governance.receipts import UNSEEN, Claim, require_latest
from fedvalue.errors import LedgerBroken, LedgerError, LedgerRolledBack
from fedvalue.privacy.accounting import Budget


@dataclass(frozen=True, slots=True)
class Place:
    """Where a site's ledger belongs, and what opens it.

    Attributes:
      ledger: The ledger's file.
      entries: The file of the store of first entries.
      secret: The site's secret for hashing ids.
      budget: What the site's policy says.
      key: The site's key.
      clock: Tells the time.
    """

    ledger: Path
    entries: Path
    secret: bytes
    budget: Budget
    key: Ed25519PrivateKey
    clock: Callable[[], datetime]

    def open(self, path: Path | None = None) -> Ledger:
        """Open the ledger, or another file as if it were the ledger, and verify all of it.

        Raises:
          LedgerError: it is not there, was changed, or has another budget.
        """
        return Ledger.open(path or self.ledger, self.key, self.clock, budget=self.budget)


def restore(backup: Path, place: Place, claims: Sequence[Claim]) -> Head:
    """Put a backup in the place of a lost ledger, if nobody has seen a later one.

    A backup that goes on beyond the latest entry that peers know is accepted: it has charged all that they
    know of, and more.

    Args:
      backup: A file that `Ledger.backup` or ``fedvalue site ledger backup`` made.
      place: Where it belongs.
      claims: What enough distinct peers have seen, from
        `fedvalue.client.governance.receipts.Inquiry.accepted`.

    Returns:
      The head with which the site goes on.

    Raises:
      LedgerRolledBack: the backup does not hold the latest entry that a peer has seen.
      LedgerBroken: the backup was changed.
      LedgerError: no peer was asked, the ledger in place is whole, or the disk refuses.
    """
    _require_claims(claims)
    with place.open(backup) as source:
        head = require_latest(source, claims)
    _require_not_whole(place, claims, least=head.counter)
    partial = place.ledger.with_name(f".{place.ledger.name}.{os.getpid()}.restored")
    try:
        partial.unlink(missing_ok=True)
        with place.open(backup) as source:
            source.backup(partial)
        with place.open(partial) as copy:
            head = require_latest(copy, claims)
        set_aside(place.ledger)
        publish(partial, place.ledger)
    except OSError as error:
        raise LedgerError(
            f"the ledger cannot be restored: {error.strerror}", where=str(place.ledger)
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return head


def declare_lost(
    place: Place, claims: Sequence[Claim], *, present: Iterable[str], known: Sequence[str] = (), why: str
) -> Head:
    """Begin a new ledger in which every partition that exists counts as spent for life.

    Args:
      place: Where the ledger was.
      claims: What enough distinct peers have seen of it.
      present: Ids of everybody in the site's records now. Who is not in the store of first entries (if that
        is lost too: everybody) enters a partition ``lost-1`` that is spent.
      known: Names of further partitions that existed.
      why: The officer's reason, one line; it is sealed in the opening.

    Returns:
      The head of the new ledger.

    Raises:
      LedgerError: no peer was asked, the ledger in place is whole, or the disk refuses.
    """
    _require_claims(claims)
    _require_not_whole(place, claims, least=0)
    latest = max((claim.seen for claim in claims), key=lambda seen: seen.counter, default=UNSEEN)
    store = _store(place)
    try:
        before = {partition for _, partition in store.batches() if partition}
        turn = 1
        while f"lost-{turn}" in before:
            turn += 1
        mark = store.add(present, f"lost-{turn}")
        names = before | {partition for _, partition in store.batches() if partition}
    finally:
        store.close()
    names |= {*known, *_names(place)}
    lost = {
        "number": max(latest.counter, _counter(place)), "hash": latest.hash, "partitions": sorted(names),
        "batch": mark.batch, "store": mark.digest, "why": why,
    }  # fmt: skip
    set_aside(place.ledger)
    with Ledger.create(
        place.ledger, place.budget, place.key, place.clock, partitions=(), lost=lost
    ) as ledger:
        return ledger.head()


def _require_claims(claims: Sequence[Claim]) -> None:
    if not claims:
        raise LedgerError(
            "no peer was asked what it has seen of this ledger",
            do="collect the receipts first; see docs/ledger.md",
        )


def _require_not_whole(place: Place, claims: Sequence[Claim], *, least: int) -> None:
    """Refuse to replace a ledger that holds all that is known of it."""
    try:
        with place.open() as present:
            head = require_latest(present, claims)
    except (LedgerBroken, LedgerRolledBack):
        return
    except LedgerError:
        if place.ledger.exists():
            raise
        return
    if head.counter >= least:
        raise LedgerError(
            "the ledger in place is whole: nothing is lost", where=str(place.ledger), do="go on with it"
        )


def _store(place: Place) -> FirstEntries:
    """Open the store of first entries; one that does not hold is set aside and begun anew."""
    try:
        return FirstEntries.open(place.entries, place.secret, create=True, patience=PATIENCE)
    except LedgerBroken:
        set_aside(place.entries)
        return FirstEntries.open(place.entries, place.secret, create=True, patience=PATIENCE)


def _names(place: Place) -> set[str]:
    """Return the partitions of the ledger in place, if it can still be read."""
    try:
        with place.open() as present:
            return {account.name for account in present.accounts()}
    except LedgerError:
        return set()


def _counter(place: Place) -> int:
    """Return where the ledger in place ends, if it can still be read."""
    try:
        with place.open() as present:
            return present.head().counter
    except LedgerError:
        return 0
