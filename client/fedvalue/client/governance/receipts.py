"""What peers have seen of each other's ledgers, and how a site that was started asks them.

A counter on the same disk rolls back with the disk. So each site keeps, for every peer, the highest
counter and head that the peer signed into a masked input, and tells it on request, for a fresh nonce, under
its own signature. A site that was started answers nothing until ``n - t + c + 1`` distinct peers have told
it, none of them more than its own file holds.

Why so many: the peers of a sum that was opened have all signed its inputs, at least ``t`` of them; any
``n - t + c + 1`` peers share at least ``c + 1`` with those, one of them honest (our derivation). A counter
that fewer have seen belongs to a round that was never opened.

A peer that lies can keep a site closed, and is named in the error; it cannot open one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from fedvalue.client.governance.durable import Tables
from fedvalue.client.governance.ledger import PATIENCE, Head, Ledger
from fedvalue.errors import LedgerRolledBack, SignatureInvalid, SiteClosed
from fedvalue.secure_sum.thresholds import Thresholds
from fedvalue.study import signature
from fedvalue.study.model import Part
from fedvalue.study.roster import SITE_ID, Roster
from fedvalue.study.signature import Signature

NAME = "the store of receipts"
SCHEMA = ("CREATE TABLE peer (site TEXT PRIMARY KEY, counter INTEGER NOT NULL, head TEXT NOT NULL)",)
ROLE = "site"
UNSEEN = Head(0, "0" * 64)
"""What a peer says that has seen nothing of a site."""


class PeerReceipt(Part):
    """One peer's word on one site's ledger, for one start of that site.

    Attributes:
      peer: Site id of who speaks.
      about: Site id of whose ledger it is.
      nonce: The asking site's nonce, 64 hexadecimal digits.
      counter: Highest counter that the peer has seen, 0 if none.
      head: Hash at that counter, 64 hexadecimal digits.
      signature: The peer's, over all of it.
    """

    peer: str = Field(pattern=SITE_ID)
    about: str = Field(pattern=SITE_ID)
    nonce: str = Field(pattern=r"^[0-9a-f]{64}$")
    counter: int = Field(ge=0, lt=2**53)
    head: str = Field(pattern=r"^[0-9a-f]{64}$")
    signature: Signature

    def content(self) -> dict[str, object]:
        """Return what is signed."""
        return _content(self.peer, self.about, self.nonce, Head(self.counter, self.head))


@dataclass(frozen=True, slots=True)
class Claim:
    """What one peer says, its signature checked.

    Attributes:
      peer: Site id of who speaks.
      seen: The latest end of the ledger that it has seen; `UNSEEN` if none.
    """

    peer: str
    seen: Head


class Receipts:
    """The highest counter and head that this site has seen from each peer; on the disk, private."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    @classmethod
    def open(cls, path: Path, *, patience: float = PATIENCE) -> Self:
        """Open the store, or make an empty one.

        Raises:
          LedgerError: it cannot be made, is damaged, or is not ours.
        """
        return cls(Tables.open(path, SCHEMA, name=NAME, patience=patience, create=True))

    def close(self) -> None:
        """Close the file."""
        self._tables.close()

    def saw(self, site: str, head: Head) -> None:
        """Remember the end of a peer's ledger, whose signature the caller has checked, if it is the latest.

        Raises:
          LedgerRolledBack: the peer has shown another head at the same counter.
          LedgerError: the disk refuses.
        """
        with self._tables.transaction("IMMEDIATE") as rows:
            known = rows.execute("SELECT counter, head FROM peer WHERE site = ?", (site,)).fetchone()
            if known is not None and known[0] == head.counter and known[1] != head.hash:
                raise LedgerRolledBack(
                    f"{site} has shown two ledgers with one counter", where=f"counter {head.counter}"
                )
            if known is None or known[0] < head.counter:
                rows.execute(
                    "INSERT INTO peer VALUES (?, ?, ?) ON CONFLICT (site)"
                    " DO UPDATE SET counter = excluded.counter, head = excluded.head",
                    (site, head.counter, head.hash),
                )

    def latest(self, site: str) -> Head | None:
        """Return the latest end of a peer's ledger that was seen, or None."""
        found = self._tables.row("SELECT counter, head FROM peer WHERE site = ?", site)
        return None if found is None else Head(*found)

    def receipt(self, about: str, nonce: str, *, peer: str, key: Ed25519PrivateKey) -> PeerReceipt:
        """Say what was seen of a peer's ledger, signed.

        Args:
          about: Site id of the peer that asks.
          nonce: That peer's nonce.
          peer: This site's id.
          key: This site's key.
        """
        seen = self.latest(about) or UNSEEN
        signed = signature.sign(_content(peer, about, nonce, seen), key, ROLE)
        return PeerReceipt(
            peer=peer, about=about, nonce=nonce, counter=seen.counter, head=seen.hash, signature=signed
        )


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What a started site asks its peers, once.

    Attributes:
      site: Its site id.
      nonce: Fresh for every start, 64 hexadecimal digits.
      roster: Whose receipts count.
      needed: How many distinct peers must answer.
    """

    site: str
    nonce: str
    roster: Roster
    needed: int

    @classmethod
    def fresh(
        cls,
        site: str,
        roster: Roster,
        limits: Thresholds,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> Self:
        """Return the inquiry of a new start, for ``n - t + c + 1`` peers."""
        return cls(site, entropy(32).hex(), roster, needed(limits))

    def accepted(self, receipts: Iterable[PeerReceipt]) -> tuple[Claim, ...]:
        """Return what the valid receipts say, at most one a peer: that with the highest counter.

        A receipt that is not signed by a peer of the roster, or is for another start or site, counts for
        nothing; it does not spoil the others.

        Raises:
          SiteClosed: too few are left.
        """
        found: dict[str, PeerReceipt] = {}
        for receipt in receipts:
            before = found.get(receipt.peer)
            if self._holds(receipt) and (before is None or before.counter < receipt.counter):
                found[receipt.peer] = receipt
        if len(found) < self.needed:
            raise SiteClosed(
                f"{len(found)} peers have said what they saw of this site's ledger, {self.needed} must",
                where=f"site {self.site}",
                do="ask the others; nothing is answered until then",
            )
        return tuple(Claim(each.peer, Head(each.counter, each.head)) for each in found.values())

    def _holds(self, receipt: PeerReceipt) -> bool:
        peer = self.roster.get(receipt.peer)
        if peer is None or peer.id == self.site or receipt.signature.role != ROLE:
            return False
        if (receipt.about, receipt.nonce) != (self.site, self.nonce):
            return False
        try:
            signature.verify(
                receipt.content(), receipt.signature, where=receipt.peer, public_key=peer.public_key
            )
        except SignatureInvalid:
            return False
        return True


def needed(limits: Thresholds) -> int:
    """Return how many peers must answer after a start: ``n - t + c + 1``."""
    return limits.sites - limits.answers + limits.colluding + 1


def reopen(ledger: Ledger, receipts: Iterable[PeerReceipt], inquiry: Inquiry) -> Head:
    """Let a started site answer again, if its peers have seen nothing that its ledger does not hold.

    Args:
      ledger: The site's ledger, open and verified.
      receipts: What the peers said.
      inquiry: What they were asked.

    Returns:
      The head with which the site goes on.

    Raises:
      SiteClosed: too few valid receipts.
      LedgerRolledBack: a peer has seen a later counter, or another head at a counter of this ledger.
    """
    return require_latest(ledger, inquiry.accepted(receipts))


def require_latest(ledger: Ledger, claims: Iterable[Claim]) -> Head:
    """Refuse a ledger of which somebody has seen more, or another one; `reopen` does this and counts peers.

    Args:
      ledger: Open and verified.
      claims: From enough distinct peers, signatures checked.

    Returns:
      The ledger's head.

    Raises:
      LedgerRolledBack: names the peer that has seen a later counter, or another head at one of its counters.
    """
    own = ledger.head()
    for claim in claims:
        # None is a counter before the first entry: of a ledger that was declared lost, or of none.
        held = ledger.hash_at(claim.seen.counter) if claim.seen.counter <= own.counter else ""
        if held is not None and held != claim.seen.hash:
            raise LedgerRolledBack(
                f"{claim.peer} has seen entry {claim.seen.counter} with the hash {claim.seen.hash[:16]}, and "
                f"this ledger, which ends at {own.counter}, does not hold it",
                where="ledger",
                do="answer nothing; see docs/ledger.md for the way back",
            )
    return own


def _content(peer: str, about: str, nonce: str, seen: Head) -> dict[str, object]:
    return {
        "object": "ledger receipt", "peer": peer, "about": about, "nonce": nonce,
        "counter": seen.counter, "head": seen.hash,
    }  # fmt: skip
