"""Receipts on the wire: how a site that was started hears from its peers what they saw of its ledger.

A counter on a disk goes back with the disk. Every masked input carries the signed end of its site's
ledger, and survivors remember it. After a start a site stays out of every epoch until ``n - t + c + 1``
peers have told it, for a fresh nonce, the latest end that they saw. A sum that opened was signed by at
least t sites that saw the end: c of them may lie and one is the site itself, so that at least ``t - c - 1``
of its ``n - 1`` peers know it and say so; any ``n - t + c + 1`` peers hold one of those. (An end that no
survivor signed belongs to a vector that nobody can open.)

What a receipt says and when it is enough is the ledger's business, behind `LedgerReceipts`; here it is
carried. The coordinator cannot change what it carries: receipts are signed for one start of one site.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed
from fedvalue.strategies.secure_aggregation.private_sum.gathering import Exchange, asked


class LedgerReceipts(Protocol):
    """What a site's ledger knows of receipts."""

    def require_open(self, roster_hash: str) -> None:
        """Refuse while this process has not had its receipts from the peers of a roster.

        Peers of another roster may have seen nothing of the ledger, and would say so truthfully.

        Args:
          roster_hash: SHA-256 of the roster of the study that asks.

        Raises:
          SiteClosed: it has not.
        """

    def nonce(self) -> bytes:
        """Return the nonce of this start, 32 bytes."""

    def receipt(self, about: str, nonce: bytes) -> bytes:
        """Return what this site saw of a peer's ledger, signed.

        Args:
          about: Site id of the peer.
          nonce: That peer's nonce.
        """

    def accept(self, study_hash: str, receipts: Sequence[bytes]) -> None:
        """Open the site if enough peers of the study's roster answered and none knows more than it does.

        Raises:
          SiteClosed: too few valid receipts.
          LedgerRolledBack: a peer has seen what the ledger does not hold.
        """


def reopen(agreed: Agreed, exchange: Exchange, sites: Iterable[str]) -> dict[str, str]:
    """Coordinator half: carry closed sites' questions to their peers, and the receipts back.

    Args:
      agreed: What the coordinator computes of the study.
      exchange: How requests reach the sites.
      sites: Sites that refused as closed.

    Returns:
      Site id to the code of each site that stays closed.
    """
    closed: dict[str, str] = {}
    request = pb.ReopenRequest(study_hash=agreed.study_hash).SerializeToString()
    questions = dict(asked(exchange, wire.REOPEN, dict.fromkeys(sites, request), pb.ReceiptRequest, closed))
    for site, question in questions.items():
        peers = [member.site for member in agreed.membership.members if member.site != site]
        requests = dict.fromkeys(peers, question.SerializeToString())
        receipts = [found for _, found in asked(exchange, wire.RECEIPT, requests, pb.Receipt, {})]
        carried = pb.Receipts(study_hash=agreed.study_hash, receipts=receipts).SerializeToString()
        for _ in asked(exchange, wire.RECEIPTS, {site: carried}, pb.Reopened, closed):
            pass
    return closed
