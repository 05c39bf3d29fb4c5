"""The ledger's receipts behind the private sum's own interface: bytes on the wire, one nonce a start."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence

from pydantic import ValidationError

from fedvalue.client.governance.approvals import ApprovedStudy
from fedvalue.client.governance.ledger import Head, Ledger
from fedvalue.client.governance.receipts import (
    Claim,
    Inquiry,
    PeerReceipt,
    Receipts,
    needed,
    require_latest,
)
from fedvalue.client.home import SiteHome
from fedvalue.errors import SiteClosed

Found = Callable[[str], ApprovedStudy]
"""Gives the approved study under a hash, as of now."""

MOST_RECEIPTS = 400
"""More than twice the largest roster: what is past it is not read."""


class NodeReceipts:
    """What `SiteProtocol` asks about the ledger of one running site node."""

    def __init__(
        self,
        home: Callable[[], SiteHome],
        found: Found,
        store: Receipts,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """A node that was just started: closed until its peers have spoken.

        Args:
          home: Opens the site's home as it is now.
          found: Gives an approved study.
          store: What this site has seen of its peers.
          entropy: Draws the nonce of this start.
        """
        self._home, self._found, self._store = home, found, store
        self._nonce = entropy(32)
        self._guard = threading.Lock()
        self._open: set[str] = set()
        self._latest: Head | None = None

    def require_open(self, roster_hash: str) -> None:
        """Refuse while this process has not had its receipts from the peers of a roster.

        Args:
          roster_hash: SHA-256 of the roster of the study that asks.

        Raises:
          SiteClosed: it has not.
        """
        with self._guard:
            heard = roster_hash in self._open
        if not heard:
            raise SiteClosed(
                "the site was started and this study's peers have not said yet what they saw of its ledger",
                do="the coordinator asks them; nothing is answered until then",
            )

    def nonce(self) -> bytes:
        """Return the nonce of this start."""
        return self._nonce

    def receipt(self, about: str, nonce: bytes) -> bytes:
        """Return what this site saw of a peer's ledger, signed, as JSON."""
        home = self._home()
        said = self._store.receipt(about, nonce.hex(), peer=home.policy.site, key=home.site_key())
        return said.model_dump_json().encode()

    def accept(self, study_hash: str, receipts: Sequence[bytes]) -> None:
        """Open the node if enough peers of the study's roster answered and none knows more than its ledger.

        Raises:
          SiteClosed: too few valid receipts.
          LedgerRolledBack: a peer has seen what the ledger does not hold.
        """
        home, found = self._home(), self._found(study_hash)
        inquiry = Inquiry(home.policy.site, self._nonce.hex(), found.roster, needed(found.plan.thresholds))
        claims = inquiry.accepted(_read(receipts))  # first: reading the whole ledger takes longer
        with home.ledger() as ledger:
            self.require_held(ledger)
            head = require_latest(ledger, claims)
        with self._guard:
            self._open.add(found.plan.roster_hash)
        self.held(head)

    def held(self, head: Head) -> None:
        """Remember the end of the ledger as this process has seen it."""
        with self._guard:
            if self._latest is None or self._latest.counter < head.counter:
                self._latest = head

    def require_held(self, ledger: Ledger) -> None:
        """Refuse a ledger that was put back to an older copy under this process.

        Raises:
          LedgerRolledBack: it does not hold what this process has seen of it.
        """
        with self._guard:
            claims = [] if self._latest is None else [Claim("this process", self._latest)]
        require_latest(ledger, claims)


def _read(receipts: Sequence[bytes]) -> Iterator[PeerReceipt]:
    """Read what parses; the rest counts for nothing and spoils nothing."""
    for raw in receipts[:MOST_RECEIPTS]:
        try:
            yield PeerReceipt.model_validate_json(raw)
        except ValidationError:
            continue
