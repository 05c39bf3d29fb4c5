"""Site half of the private sum: keys, shares and members of an epoch; rounds are in `site_round`.

A site trusts nobody: what it can compute it computes, what others say it checks against the signed
roster, and what it says once it never says differently. Its journal is on the disk before it speaks; its
secrets are in this object only, so that a process that restarts has left the epoch.

Bonawitz, K. and others. Practical secure aggregation for privacy-preserving machine learning. CCS 2017,
figure 4 with the lines for active adversaries.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, final

from google.protobuf.message import Message

from fedvalue.errors import (
    EpochSettled,
    EpochTaken,
    MessageInvalid,
    OutsideSurvivors,
    RosterMismatch,
    ShareInvalid,
    SiteNotOnRoster,
    SiteRepeated,
    SpecificationDiffers,
    StepOutOfOrder,
    SuiteUnknown,
    TooFewPeers,
)
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum import transcript
from fedvalue.secure_sum.epoch import EpochSecrets
from fedvalue.secure_sum.key_list import key_list
from fedvalue.secure_sum.specification import MAX_ROUNDS, EpochSettings
from fedvalue.secure_sum.suite import Entropy, Identity
from fedvalue.strategies.secure_aggregation.private_sum import site_round, wire
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed, Approved, Contribute
from fedvalue.strategies.secure_aggregation.private_sum.journal import Journal
from fedvalue.strategies.secure_aggregation.private_sum.live import (
    Context,
    LiveEpoch,
    SettledKeys,
    SettledMembers,
    missing,
)
from fedvalue.strategies.secure_aggregation.private_sum.receipts import LedgerReceipts

NONCE_BYTES = 32


@final
class SiteProtocol:
    """One site's part in every private sum: one object for the life of the site's process.

    Steps are taken one at a time. Each either answers or raises a `Refusal`, of which only the code may
    leave; a `LedgerError` of the journal or the ledger refuses too.
    """

    def __init__(
        self,
        site: str,
        identity: Identity,
        approved: Approved,
        contribute: Contribute,
        journal: Journal,
        *,
        entropy: Entropy = os.urandom,
        receipts: LedgerReceipts | None = None,
    ) -> None:
        """Start without any epoch: what an earlier process knew is gone.

        Args:
          site: This site's id.
          identity: Its signing key.
          approved: Gives what the officer approved; asked at every step.
          contribute: Debits the ledger, then gives contribution and noise.
          journal: Durable memory.
          entropy: Where secrets come from.
          receipts: Keeps the site out of every epoch until it had its peers' receipts; None for a site that
            has no ledger on a disk (simulations and tests).
        """
        self._site, self._approved, self._entropy, self._receipts = site, approved, entropy, receipts
        self._context = Context(site, identity, contribute, journal)
        self._live: dict[str, LiveEpoch] = {}
        self._starts: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def answer(self, step: str, payload: bytes) -> bytes:
        """Answer one request of the wire.

        Args:
          step: One of `wire.REQUESTS`.
          payload: The request.

        Raises:
          MessageInvalid: no such step, or the message does not parse.
          Refusal: the step is not taken; its code says why.
        """
        steps: dict[str, Callable[[Any], Message]] = {
            wire.KEYS: self.keys,
            wire.SHARES: self.shares,
            wire.MEMBERS: self.members,
            wire.MASKED: self.masked,
            wire.CONSISTENCY: self.consistency,
            wire.UNMASK: self.unmask,
            wire.REOPEN: self.reopen,
            wire.RECEIPT: self.receipt,
            wire.RECEIPTS: self.receipts,
        }
        if step not in steps:
            raise MessageInvalid("there is no such step of the private sum", where=step[:40])
        return steps[step](wire.request(step, payload)).SerializeToString()

    def leave(self) -> None:
        """Forget every epoch: when the site pauses or stops."""
        with self._lock:
            self._live.clear()

    def keys(self, request: pb.KeysRequest) -> pb.KeyAdvert:
        """Make this site's keys of an epoch; a new epoch of a study ends its old one.

        Raises:
          SiteClosed: the site has not had its receipts since it was started.
          SuiteUnknown: another suite than the approved one.
          RosterMismatch: another roster.
          SpecificationDiffers: other thresholds, or a number of rounds out of range.
          EpochTaken: keys were made for this epoch before, or for other settings.
        """
        shown = wire.settings_of(request.settings)
        with self._lock:
            agreed = self._approved(shown.study_hash)
            settings = _own_settings(agreed, shown)
            agreed.membership.require(self._site)
            self._require_open(agreed)
            live = self._live.get(settings.study_hash)
            if live is not None and live.settings == settings:
                return wire.advert_message(live.advert)
            digest = agreed.suite.digest(settings.canonical())
            _, fresh = self._context.journal.first(settings.epoch, 0, wire.KEYS, digest)
            if not fresh:
                raise EpochTaken(
                    "keys were made for this epoch before", where=settings.epoch, do="begin another epoch"
                )
            if live is not None:
                self._context.journal.drop_replies(live.settings.epoch)
            secrets = EpochSecrets.make(agreed.suite, settings, self._site, self._entropy)
            unsigned = secrets.advert()
            signed = agreed.suite.sign(self._context.identity, transcript.KEYS, unsigned.content(settings))
            advert = replace(unsigned, signature=signed)
            self._live[settings.study_hash] = LiveEpoch(agreed, settings, secrets, advert)
            return wire.advert_message(advert)

    def shares(self, request: pb.SharesRequest) -> pb.SealedShares:
        """Check everybody's keys and share this site's secrets with them.

        Raises:
          EpochUnknown: this process holds no such epoch.
          EpochSettled: another key list was accepted before.
          SiteLapsed: a key is of a site whose certificate has ended.
          Refusal: the key list does not hold, see `fedvalue.secure_sum.key_list.key_list`.
        """
        with self._lock:
            live = self._epoch(request.study_hash, request.epoch)
            membership = live.agreed.membership
            adverts = [wire.advert_of(message) for message in request.adverts]
            live.agreed.require_standing(advert.site for advert in adverts)
            found = key_list(live.agreed.suite, membership, live.settings, adverts, own=live.advert)
            if live.keys is not None:
                if live.keys.keys.hash != found.hash:
                    raise EpochSettled("another key list was accepted in this epoch")
                return live.keys.reply
            sealed, own = live.secrets.share(found, membership, self._entropy)
            blobs = [pb.SealedBlob(site=peer, sealed=blob) for peer, blob in sealed.items()]
            reply = pb.SealedShares(site=self._site, key_list_hash=found.hash, blobs=blobs)
            live.keys = SettledKeys(found, own, reply)
            return reply

    def members(self, request: pb.MembersRequest) -> pb.MembersSigned:
        """Open what the other members shared, and sign who they are.

        Raises:
          StepOutOfOrder: the key list has not been settled.
          EpochSettled: other members were accepted before.
          SiteLapsed: a member's certificate has ended.
          SiteRepeated: a member twice.
          SiteNotOnRoster: a member outside the key list.
          TooFewPeers: fewer than t.
          OutsideSurvivors: this site is not among them.
          ShareInvalid: a blob is missing, too many, or does not open.
        """
        with self._lock:
            live = self._epoch(request.study_hash, request.epoch)
            if live.keys is None:
                raise StepOutOfOrder("no key list has been shown")
            keys, members = live.keys.keys, tuple(sorted(request.members))
            live.agreed.require_standing(members)
            if live.members is not None:
                if live.members.members != members:
                    raise EpochSettled("other members were accepted in this epoch")
                return live.members.reply
            if len(set(members)) < len(members):
                raise SiteRepeated("the members name a site twice")
            if set(members) - set(keys.adverts):
                raise SiteNotOnRoster("a member is not in the key list")
            if len(members) < live.settings.answers:
                raise TooFewPeers(f"{len(members)} members, {live.settings.answers} are needed")
            if self._site not in members:
                raise OutsideSurvivors("this site is not among the members")
            blobs = {blob.site: blob.sealed for blob in request.blobs}
            if len(blobs) < len(request.blobs) or set(blobs) != set(members) - {self._site}:
                raise ShareInvalid("there is not one blob from each other member")
            shares = {peer: live.secrets.open(keys, peer, sealed) for peer, sealed in blobs.items()}
            shares[self._site] = live.keys.own
            content = transcript.members_content(live.settings, members, keys.hash)
            signed = live.agreed.suite.sign(self._context.identity, transcript.MEMBERS, content)
            live.members = SettledMembers(
                members, shares, pb.MembersSigned(site=self._site, signature=signed)
            )
            return live.members.reply

    def masked(self, request: pb.MaskedRequest) -> pb.MaskedInput:
        """Answer a round's question with a charged, noised and masked vector; see `site_round.masked`.

        After a restart the stored answer is given again to the same question, and nothing else. An epoch
        one of whose members has lapsed since takes no more rounds.
        """
        shown = request.specification
        with self._lock:
            agreed = self._approved(shown.settings.study_hash)
            self._require_open(agreed)
            live = self._live.get(agreed.study_hash)
            if live is None or live.settings.epoch != shown.settings.epoch:
                return site_round.stored(self._context, request)
            _still_agreed(live, agreed)
            agreed.require_standing(live.members.members if live.members is not None else ())
            return site_round.masked(self._context, live, request)

    def consistency(self, request: pb.ConsistencyRequest) -> pb.SurvivorsSigned:
        """Sign who delivered, once a round; see `site_round.consistency`."""
        with self._lock:
            return site_round.consistency(
                self._context, self._epoch(request.study_hash, request.epoch), request
            )

    def unmask(self, request: pb.UnmaskRequest) -> pb.RevealedShares:
        """Release shares, once a round; see `site_round.unmask`."""
        with self._lock:
            return site_round.unmask(self._context, self._epoch(request.study_hash, request.epoch), request)

    def reopen(self, request: pb.ReopenRequest) -> pb.ReceiptRequest:
        """Say what this site needs of its peers to open."""
        with self._lock:
            agreed, nonce = self._approved(request.study_hash), self._ledger_receipts().nonce()
            return pb.ReceiptRequest(site=self._site, study_hash=agreed.study_hash, nonce=nonce)

    def receipt(self, request: pb.ReceiptRequest) -> pb.Receipt:
        """Tell a peer the latest end of its ledger that this site has seen, also while closed itself.

        The peer was started again, so it has left every epoch: from now on this site signs no sum with a
        vector of its earlier process. Else a coordinator could ask for receipts first and open the sum
        after, and the debit of that vector, lost with an older ledger, would be known to nobody.

        Raises:
          SiteNotOnRoster: nobody of the study's roster asks.
          MessageInvalid: the nonce has another length.
        """
        with self._lock:
            self._approved(request.study_hash).membership.require(request.site)
            if len(request.nonce) != NONCE_BYTES:
                raise MessageInvalid(f"a nonce has {NONCE_BYTES} bytes")
            self._restarted(request.site, request.nonce)
            signed = self._ledger_receipts().receipt(request.site, request.nonce)
            return pb.Receipt(site=self._site, signed=signed)

    def receipts(self, request: pb.Receipts) -> pb.Reopened:
        """Open the site if its peers' receipts hold; see `LedgerReceipts.accept`."""
        with self._lock:
            agreed = self._approved(request.study_hash)
            found = [receipt.signed for receipt in request.receipts]
            self._ledger_receipts().accept(agreed.study_hash, found)
            return pb.Reopened(site=self._site)

    def _restarted(self, peer: str, nonce: bytes) -> None:
        """Take a peer out of the epochs that are older than its start; a start that is known is no news."""
        if peer == self._site or self._starts.get(peer) == nonce:
            return
        self._starts[peer] = nonce
        for live in self._live.values():
            live.left.add(peer)

    def _ledger_receipts(self) -> LedgerReceipts:
        if self._receipts is None:
            raise StepOutOfOrder("this site keeps no receipts")
        return self._receipts

    def _epoch(self, study_hash: str, epoch: str) -> LiveEpoch:
        agreed = self._approved(study_hash)
        live = self._live.get(study_hash)
        if live is None or live.settings.epoch != epoch:
            raise missing(epoch)
        _still_agreed(live, agreed)
        return live

    def _require_open(self, agreed: Agreed) -> None:
        if self._receipts is not None:
            self._receipts.require_open(agreed.membership.roster_hash)


def _still_agreed(live: LiveEpoch, agreed: Agreed) -> None:
    """Go on under what is approved today; an epoch does not outlive the roster or the settings it is for."""
    settings = agreed.settings(live.settings.epoch, live.settings.rounds)
    if live.agreed.membership != agreed.membership or live.settings != settings:
        raise RosterMismatch("another roster or other settings have been approved since the epoch began")
    live.agreed = agreed


def _own_settings(agreed: Agreed, shown: EpochSettings) -> EpochSettings:
    """Return the settings that this site computes, after comparing what the coordinator shows.

    Raises:
      MessageInvalid: the epoch id is none.
      Refusal: as in `SiteProtocol.keys`.
    """
    if wire.EPOCH.fullmatch(shown.epoch) is None:
        raise MessageInvalid("an epoch id has 32 hexadecimal digits")
    if shown.suite != agreed.suite.name:
        raise SuiteUnknown(
            f"the coordinator names another suite than {agreed.suite.name}", do="there is no negotiation"
        )
    if shown.roster_hash != agreed.membership.roster_hash:
        raise RosterMismatch("the coordinator names another roster than the approved one")
    if not 1 <= shown.rounds <= MAX_ROUNDS:
        raise SpecificationDiffers(f"an epoch has 1 to {MAX_ROUNDS} rounds", where="rounds")
    own = agreed.settings(shown.epoch, shown.rounds)
    if own != shown:
        raise SpecificationDiffers("the coordinator names other thresholds", where="n, t, c")
    return own
