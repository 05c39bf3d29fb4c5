"""What a site must still know after a crash, so that no round ever has two answers.

One primitive carries every "once only" of the protocol: `Journal.first` writes a digest under a place
and gives back what stands there. The caller compares; what was written first stays for ever.

=====================  =====  ==============  =====================================================
epoch                  round  step            digest
=====================  =====  ==============  =====================================================
epoch id               0      ``keys``        of the epoch's settings: keys are made once an epoch
epoch id               r      ``masked``      h: a round carries exactly one question
epoch id               r      ``consistency`` of the survivors and inputs that the site signs
epoch id               r      ``unmask``      of the request for which it released its shares
``exact:`` study hash  0      ``survivors``   of the survivors of sums without noise
=====================  =====  ==============  =====================================================

No secret of an epoch is ever handed to a journal: those live in memory only.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LedgerEnd:
    """The end of a peer's ledger, as that peer signed it in a masked input.

    Attributes:
      counter: Number of its last entry, 0 or more; only grows.
      head: Hash of that entry, 32 bytes.
    """

    counter: int
    head: bytes


class Journal(Protocol):
    """Durable memory of one site, shared by all its studies; every call is on the disk when it returns."""

    def first(self, epoch: str, number: int, step: str, digest: bytes) -> tuple[bytes, bool]:
        """Write ``digest`` unless something stands there already.

        Args:
          epoch: Epoch id, or another name as in the table of this module.
          number: Round, from 1; 0 for the epoch as a whole.
          step: Which "once only" it is.
          digest: 32 bytes.

        Returns:
          What stands there now, and True if this call wrote it.

        Raises:
          LedgerError: the disk refuses; the caller must answer nothing.
        """

    def peek(self, epoch: str, number: int, step: str) -> bytes | None:
        """Return what stands there, or None; writes nothing."""

    def store(self, epoch: str, number: int, step: str, reply: bytes) -> None:
        """Keep the one reply to what `first` wrote there, before it is sent.

        Raises:
          LedgerError: nothing was written there, another reply is kept, or the disk refuses.
        """

    def stored(self, epoch: str, number: int, step: str) -> bytes | None:
        """Return the reply kept there, the same bytes for ever, or None."""

    def drop_replies(self, epoch: str) -> None:
        """Give the disk back what was answered in earlier rounds of an epoch; what `first` wrote stays.

        Raises:
          LedgerError: the disk refuses.
        """

    def witness(self, site: str, seen: LedgerEnd) -> None:
        """Remember the end of a peer's ledger if it is later than what is remembered.

        Raises:
          LedgerRolledBack: the peer has shown two ledgers with one counter.
          LedgerError: the disk refuses.
        """

    def witnessed(self, site: str) -> LedgerEnd | None:
        """Return the latest end of a peer's ledger that was seen, or None."""


@dataclass(slots=True)
class UnsafeMemoryJournal:
    """A journal that forgets with its process: for simulations and tests.

    Attributes:
      places: What `first` wrote.
      replies: What `store` kept.
      peers: What `witness` remembered.
    """

    places: dict[tuple[str, int, str], bytes] = field(default_factory=dict)
    replies: dict[tuple[str, int, str], bytes] = field(default_factory=dict)
    peers: dict[str, LedgerEnd] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def first(self, epoch: str, number: int, step: str, digest: bytes) -> tuple[bytes, bool]:
        """Write ``digest`` unless something stands there already."""
        with self.lock:
            place = (epoch, number, step)
            fresh = place not in self.places
            return self.places.setdefault(place, digest), fresh

    def peek(self, epoch: str, number: int, step: str) -> bytes | None:
        """Return what stands there, or None."""
        return self.places.get((epoch, number, step))

    def store(self, epoch: str, number: int, step: str, reply: bytes) -> None:
        """Keep the one reply."""
        with self.lock:
            self.replies.setdefault((epoch, number, step), reply)

    def stored(self, epoch: str, number: int, step: str) -> bytes | None:
        """Return the reply kept there, or None."""
        return self.replies.get((epoch, number, step))

    def drop_replies(self, epoch: str) -> None:
        """Forget what was answered in an epoch."""
        with self.lock:
            for place in [place for place in self.replies if place[0] == epoch]:
                del self.replies[place]

    def witness(self, site: str, seen: LedgerEnd) -> None:
        """Remember the end of a peer's ledger if it is later."""
        with self.lock:
            known = self.peers.get(site)
            if known is None or seen.counter > known.counter:
                self.peers[site] = seen

    def witnessed(self, site: str) -> LedgerEnd | None:
        """Return the latest end of a peer's ledger that was seen, or None."""
        return self.peers.get(site)
