"""Site half of one round: a masked vector, a signature under the survivors, and the shares that open it.

Each function takes one step. The order inside is the protection: everything is checked, then the journal
is written, then the step is taken, then its answer is kept, then it leaves. A round carries one question,
one answer, one set of survivors and one release of shares, whatever the coordinator says has failed.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fedvalue.errors import (
    AgreementSplit,
    ConsistencyTaken,
    MessageInvalid,
    MessageUnsigned,
    OutsideSurvivors,
    OwnInputChanged,
    PolicyForbids,
    RoundBurnt,
    RoundTaken,
    SiteClosed,
    SiteNotOnRoster,
    SiteRepeated,
    SpecificationDiffers,
    StepOutOfOrder,
    SurvivorsChanged,
    TooFewPeers,
    TranscriptInvalid,
    UnmaskTaken,
    VectorInvalid,
)
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum import masks, transcript
from fedvalue.secure_sum.membership import Membership
from fedvalue.secure_sum.specification import RoundSpecification
from fedvalue.secure_sum.suite import CryptoSuite
from fedvalue.secure_sum.transcript import RoundRef, SignedInput
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.strategies.secure_aggregation.private_sum.agreed import ChargedShare
from fedvalue.strategies.secure_aggregation.private_sum.journal import LedgerEnd
from fedvalue.strategies.secure_aggregation.private_sum.live import (
    Context,
    LiveEpoch,
    LiveRound,
    SettledMembers,
    missing,
)

EXACT = "exact:"
SURVIVORS = "survivors"


def stored(context: Context, request: pb.MaskedRequest) -> pb.MaskedInput:
    """Give the stored answer again after a restart, to the question that it answered.

    Raises:
      EpochUnknown: there is none, or for another question.
    """
    epoch, number = request.specification.settings.epoch, request.specification.round
    known = context.journal.peek(epoch, number, wire.MASKED)
    kept = context.journal.stored(epoch, number, wire.MASKED)
    if known is None or kept is None or known != request.question:
        raise missing(epoch)
    return pb.MaskedInput.FromString(kept)


def masked(context: Context, live: LiveEpoch, request: pb.MaskedRequest) -> pb.MaskedInput:
    """Charge, contribute, add noise and masks: once for a round.

    Raises:
      StepOutOfOrder: the members have not been settled.
      SpecificationDiffers: the site computes another round or another question hash.
      PolicyForbids: a sum without noise that nobody allowed.
      AgreementSplit: fewer than t members signed what this site signed.
      TranscriptInvalid: the last transcript does not hold.
      RoundTaken: the round carries another question.
      RoundBurnt: it was begun without an answer, passed over, or does not exist.
      VectorInvalid: the site's own vector has a wrong shape or type.
    """
    if live.members is None or live.keys is None:
        raise StepOutOfOrder("no members have been settled")
    suite, agreed = live.agreed.suite, live.agreed
    shown = wire.specification_of(request.specification)
    own = RoundSpecification(
        live.settings,
        shown.number,
        shown.attempt,
        agreed.release(shown.release.label).asked(shown.public),
        live.members.members,
        public=shown.public,
    )
    own.require_equal(shown)
    if own.release.exact and not agreed.unsafe_exact:
        raise PolicyForbids("a sum without noise is not allowed here")
    if not 1 <= own.number <= live.settings.rounds or own.attempt < 1:
        raise RoundBurnt("the epoch has no such round, or the attempt is not counted from 1")
    _require_agreement(live, live.members, request.agreement)
    last = _last_transcript(live, own.number, request)
    question = transcript.question_hash(suite, own, live.keys.keys.hash, last)
    if question != request.question:
        raise SpecificationDiffers("the coordinator computes another question", where="question")

    epoch, number, journal = live.settings.epoch, own.number, context.journal
    known = journal.peek(epoch, number, wire.MASKED)
    if known is None and number <= live.latest:
        raise RoundBurnt("a later round was begun; this one is passed over", where=f"round {number}")
    known, fresh = journal.first(epoch, number, wire.MASKED, question)
    if known != question:
        raise RoundTaken("the round carries another question", where=f"round {number}")
    if not fresh:
        kept = journal.stored(epoch, number, wire.MASKED)
        if kept is None:
            raise RoundBurnt("the round was begun and has no stored answer", where=f"round {number}")
        return pb.MaskedInput.FromString(kept)

    journal.drop_replies(epoch)  # earlier rounds are passed over; a vector may be long
    live.latest, live.round = number, None
    live.erase(number - 1)
    ref = RoundRef(suite.name, live.settings.study_hash, epoch, number, question)
    charged = context.contribute(own, question)
    words = _words(charged, own.release.dimension)
    pads = live.secrets.masks(live.keys.keys, live.members.members, number, question)
    masks.apply(suite, pads, words)
    vector = words.tobytes()
    entry = SignedInput(context.site, suite.digest(vector), charged.ledger.counter, charged.ledger.head, b"")
    signed = suite.sign(context.identity, transcript.INPUT, transcript.input_content(ref, entry))
    reply = pb.MaskedInput(
        site=context.site, vector=vector, ledger=wire.ledger_message(charged.ledger), signature=signed
    )
    journal.store(epoch, number, wire.MASKED, reply.SerializeToString())
    live.round = LiveRound(ref, own.release.exact, entry)
    return reply


def consistency(context: Context, live: LiveEpoch, request: pb.ConsistencyRequest) -> pb.SurvivorsSigned:
    """Check who delivered and sign it, once for a round.

    Raises:
      StepOutOfOrder: this site has no such round under way.
      RoundTaken: of another question.
      SiteRepeated: a site twice.
      SiteNotOnRoster: a site that is no member.
      OutsideSurvivors: this site is not among them; its secrets of the round are erased.
      TooFewPeers: fewer than t.
      MessageUnsigned: an input is not signed by its site for this question.
      OwnInputChanged: this site's input is shown differently.
      MessageInvalid: a hash has another length, or a ledger's counter is none.
      SiteClosed: a site whose peers said since what they saw of its ledger: it has left the epoch.
      SurvivorsChanged: a sum without noise over other sites than the last one.
      ConsistencyTaken: other survivors or inputs were signed.
      LedgerRolledBack: a peer has shown two ledgers with one counter.
    """
    under_way, members = _under_way(live, request.round, request.question)
    suite, membership, ref = live.agreed.suite, live.agreed.membership, under_way.ref
    inputs = [wire.input_of(message) for message in request.inputs]
    survivors = _distinct(entry.site for entry in inputs)
    if set(survivors) - set(members.members):
        raise SiteNotOnRoster("a survivor is no member of the epoch")
    _require_inside(context, live, survivors, ref.number)
    if gone := live.left.intersection(survivors):
        raise SiteClosed("a survivor was started again since; it has left the epoch", where=min(gone))
    if len(survivors) < live.settings.answers:
        raise TooFewPeers(f"{len(survivors)} sites delivered, {live.settings.answers} are needed")
    for entry in inputs:
        if not entry.in_form():
            raise MessageInvalid("a hash has not 32 bytes, or a counter is none", where=entry.site)
        if entry.site == context.site and entry.vector_hash != under_way.own.vector_hash:
            raise OwnInputChanged("this site sent another vector than the one that is shown")
        key = membership.require(entry.site).public_key
        content = transcript.input_content(ref, entry)
        if not suite.verifies(key, transcript.INPUT, content, entry.signature):
            raise MessageUnsigned("an input is not signed by its site for this question", where=entry.site)
    inputs_hash = transcript.input_list_hash(suite, ref, inputs)
    digest = transcript.transcript_hash(suite, ref, survivors, inputs_hash)
    _once_exact(context, live, under_way, survivors)
    known, _ = context.journal.first(ref.epoch, ref.number, wire.CONSISTENCY, digest)
    # Memory counts too: a journal put back to an older copy under a living process forgets, this does not.
    if known != digest or under_way.transcript not in (b"", digest):
        raise ConsistencyTaken("this site signed other survivors or inputs", where=f"round {ref.number}")
    for entry in inputs:
        if entry.site != context.site:
            context.journal.witness(entry.site, LedgerEnd(entry.ledger_counter, entry.ledger_head))
    under_way.survivors, under_way.inputs_hash, under_way.transcript = survivors, inputs_hash, digest
    content = transcript.survivors_content(ref, survivors, inputs_hash)
    signed = suite.sign(context.identity, transcript.SURVIVORS, content)
    return pb.SurvivorsSigned(site=context.site, signature=signed)


def unmask(context: Context, live: LiveEpoch, request: pb.UnmaskRequest) -> pb.RevealedShares:
    """Release one share of each member, of the self-mask or of the mask key, once for a round.

    Raises:
      StepOutOfOrder: this site has not signed the survivors.
      OutsideSurvivors: this site is not among them; its secrets of the round are erased.
      ConsistencyTaken: this site signed other survivors or inputs.
      TooFewPeers: fewer than t of them signed the same.
      UnmaskTaken: shares were released, and not by this process.
    """
    under_way, members = _under_way(live, request.round, None)
    suite, ref = live.agreed.suite, under_way.ref
    survivors = _distinct(request.survivors)
    _require_inside(context, live, survivors, ref.number)
    if not under_way.transcript:
        raise StepOutOfOrder("this site has not signed who delivered")
    if survivors != under_way.survivors or request.inputs_hash != under_way.inputs_hash:
        raise ConsistencyTaken("this site signed other survivors or inputs", where=f"round {ref.number}")
    content = transcript.survivors_content(ref, survivors, under_way.inputs_hash)
    signed = _signers(suite, live.agreed.membership, survivors, content, request.signatures)
    if signed < live.settings.answers:
        raise TooFewPeers(f"{signed} survivors signed the same, {live.settings.answers} must")
    if under_way.revealed is not None:
        return under_way.revealed
    _, fresh = context.journal.first(ref.epoch, ref.number, wire.UNMASK, under_way.transcript)
    if not fresh:
        raise UnmaskTaken("shares of the round were released before", where=f"round {ref.number}")
    at, inside = ref.number - 1, set(survivors)
    self_masks = {j: members.shares[j][at].self_mask for j in members.members if j in inside}
    mask_keys = {j: members.shares[j][at].mask_key for j in members.members if j not in inside}
    revealed = transcript.revealed_content(ref, context.site, self_masks, mask_keys)
    under_way.revealed = pb.RevealedShares(
        site=context.site,
        self_masks=wire.shares_message(self_masks.items()),
        mask_keys=wire.shares_message(mask_keys.items()),
        signature=suite.sign(context.identity, transcript.REVEALED, revealed),
    )
    live.opened = (ref.number, under_way.transcript)
    live.erase(ref.number)
    return under_way.revealed


def _words(charged: ChargedShare, dimension: int) -> masks.Words:
    vector = charged.vector
    if vector.dtype != np.int64 or vector.shape != (dimension,):
        raise VectorInvalid(f"a vector of {dimension} int64 coordinates is due", do="nothing was sent")
    return masks.words_of(vector)


def _under_way(live: LiveEpoch, number: int, question: bytes | None) -> tuple[LiveRound, SettledMembers]:
    found = live.round
    if found is None or live.members is None or found.ref.number != number:
        raise StepOutOfOrder("this site has no such round under way", where=f"round {number}")
    if question is not None and found.ref.question != question:
        raise RoundTaken("the round carries another question", where=f"round {number}")
    return found, live.members


def _require_inside(context: Context, live: LiveEpoch, survivors: tuple[str, ...], number: int) -> None:
    if context.site not in survivors:
        live.erase(number)
        live.round = None
        raise OutsideSurvivors("the survivors do not include this site; the round is erased here")


def _distinct(sites: Iterable[str]) -> tuple[str, ...]:
    found = tuple(sorted(sites))
    if len(set(found)) < len(found):
        raise SiteRepeated("a list names a site twice")
    return found


def _once_exact(context: Context, live: LiveEpoch, under_way: LiveRound, survivors: tuple[str, ...]) -> None:
    """Sums without noise over two sets of sites would give the difference of the sets in clear."""
    if not under_way.exact:
        return
    digest = live.agreed.suite.digest("\n".join(survivors).encode())
    known, _ = context.journal.first(EXACT + live.settings.study_hash, 0, SURVIVORS, digest)
    if known != digest:
        raise SurvivorsChanged("a sum without noise was asked of other survivors than the last one")


def _signers(
    suite: CryptoSuite,
    membership: Membership,
    among: tuple[str, ...],
    content: bytes,
    signatures: Iterable[pb.SurvivorsSigned],
) -> int:
    """Count sites among ``among`` whose signature over ``content`` verifies.

    Raises:
      SiteRepeated: one site twice; checking every copy would keep the site busy for as long as one likes.
    """
    found, given = set(), list(signatures)
    _distinct(message.site for message in given)
    for message in given:
        if message.site in among:
            key = membership.require(message.site).public_key
            if suite.verifies(key, transcript.SURVIVORS, content, message.signature):
                found.add(message.site)
    return len(found)


def _require_agreement(
    live: LiveEpoch, settled: SettledMembers, agreement: Iterable[pb.MembersSigned]
) -> None:
    suite, membership = live.agreed.suite, live.agreed.membership
    keys = live.keys.keys.hash if live.keys is not None else b""
    content = transcript.members_content(live.settings, settled.members, keys)
    found, given = set(), list(agreement)
    _distinct(message.site for message in given)
    for message in given:
        if message.site in settled.members:
            key = membership.require(message.site).public_key
            if suite.verifies(key, transcript.MEMBERS, content, message.signature):
                found.add(message.site)
    if len(found) < live.settings.answers:
        raise AgreementSplit(
            f"{len(found)} members signed what this site signed, {live.settings.answers} must",
            do="nothing was charged; the coordinator shows different lists to different sites",
        )


def _last_transcript(live: LiveEpoch, number: int, request: pb.MaskedRequest) -> bytes:
    """Return the hash of the last transcript, after checking that it holds and is not an older one."""
    opened = live.opened
    if not request.HasField("last"):
        if opened is not None:
            raise TranscriptInvalid("the last transcript is left out")
        return transcript.NOTHING_BEFORE
    last, suite = request.last, live.agreed.suite
    ref = RoundRef(suite.name, live.settings.study_hash, last.epoch, last.round, last.question)
    survivors = _distinct(last.survivors)
    for site in survivors:
        live.agreed.membership.require(site)
    content = transcript.survivors_content(ref, survivors, last.inputs_hash)
    signed = _signers(suite, live.agreed.membership, survivors, content, last.signatures)
    if signed < live.settings.answers:
        raise TranscriptInvalid(f"{signed} survivors signed the last transcript")
    digest = transcript.transcript_hash(suite, ref, survivors, last.inputs_hash)
    here = last.epoch == live.settings.epoch
    if here and last.round >= number:
        raise TranscriptInvalid("the last transcript is of a later round")
    if opened is not None and (not here or last.round < opened[0]):
        raise TranscriptInvalid("an older transcript is shown as the last one")
    if opened is not None and last.round == opened[0] and digest != opened[1]:
        raise TranscriptInvalid("the last transcript is not the one that this site opened")
    return digest
