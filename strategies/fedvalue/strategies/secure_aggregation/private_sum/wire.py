"""Between protobuf messages and the values that are hashed and signed; what does not parse is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from fedvalue.errors import FedValueError, MessageInvalid, ReplyInvalid
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum.key_list import Advert, RoundKeys
from fedvalue.secure_sum.record import Transcript
from fedvalue.secure_sum.specification import (
    BlockTerms,
    EpochSettings,
    ReleaseTerms,
    RoundSpecification,
)
from fedvalue.secure_sum.thresholds import MAX_SITES
from fedvalue.secure_sum.transcript import SignedInput
from fedvalue.strategies.secure_aggregation.private_sum.journal import LedgerEnd

KEYS, SHARES, MEMBERS = "keys", "shares", "members"
MASKED, CONSISTENCY, UNMASK = "masked", "consistency", "unmask"
REOPEN, RECEIPT, RECEIPTS = "reopen", "receipt", "receipts"

REQUESTS: dict[str, type[Message]] = {
    KEYS: pb.KeysRequest,
    SHARES: pb.SharesRequest,
    MEMBERS: pb.MembersRequest,
    MASKED: pb.MaskedRequest,
    CONSISTENCY: pb.ConsistencyRequest,
    UNMASK: pb.UnmaskRequest,
    REOPEN: pb.ReopenRequest,
    RECEIPT: pb.ReceiptRequest,
    RECEIPTS: pb.Receipts,
}
"""Step to the request that a site reads."""

MOST_BYTES = 2**24
"""Longest request that a site reads; 200 sites' keys for 64 rounds take one megabyte."""

OF_THE_PLAN = ("analyses", "blocks")
"""Lists whose length is the plan's; every other one names sites, or rounds of an epoch."""

EPOCH = re.compile(r"[0-9a-f]{32}")
M = TypeVar("M", bound=Message)


def parse(kind: type[M], payload: bytes, failure: type[FedValueError]) -> M:
    """Read one message.

    Args:
      kind: What it must be.
      payload: Its bytes.
      failure: `MessageInvalid` at a site, `ReplyInvalid` at the coordinator.

    Raises:
      MessageInvalid: it does not parse, or holds a field that this version does not know.
      ReplyInvalid: the same, at the coordinator.
    """
    message = kind()
    try:
        message.ParseFromString(payload)
        known = message.ByteSize()
        message.DiscardUnknownFields()
    except (DecodeError, ValueError) as error:
        raise failure("a message of the private sum does not parse", where=kind.__name__) from error
    if message.ByteSize() != known:
        raise failure("a message holds a field that this version does not know", where=kind.__name__)
    return message


def request(step: str, payload: bytes) -> Message:
    """Read the request of a step at a site.

    Raises:
      MessageInvalid: no such step, or the message does not parse, is too long or lists too much.
    """
    kind = REQUESTS.get(step)
    if kind is None:
        raise MessageInvalid("there is no such step of the private sum", where=step[:40])
    if len(payload) > MOST_BYTES:
        raise MessageInvalid(f"a request has at most {MOST_BYTES} bytes", where=step)
    message = parse(kind, payload, MessageInvalid)
    _require_short(message)
    return message


def study_of(step: str, payload: bytes) -> str:
    """Return the hash of the study that a request names, for logs; empty where it names none."""
    try:
        message = request(step, payload)
    except MessageInvalid:
        return ""
    if isinstance(message, pb.KeysRequest):
        return message.settings.study_hash
    if isinstance(message, pb.MaskedRequest):
        return message.specification.settings.study_hash
    return str(getattr(message, "study_hash", ""))


def _require_short(message: Message) -> None:
    """A list of millions of empty entries is short on the wire and fills a site's memory."""
    for field, value in message.ListFields():
        listed = value if field.is_repeated else [value]
        if len(listed) > MAX_SITES and field.name not in OF_THE_PLAN:
            raise MessageInvalid(f"a list has at most {MAX_SITES} entries", where=field.name)
        if field.message_type is not None:
            for item in listed:
                _require_short(item)


def settings_message(settings: EpochSettings) -> pb.EpochSettings:
    """Return settings as a message."""
    return pb.EpochSettings(
        suite=settings.suite,
        epoch=settings.epoch,
        study_hash=settings.study_hash,
        roster_hash=settings.roster_hash,
        sites=settings.sites,
        answers=settings.answers,
        colluding=settings.colluding,
        rounds=settings.rounds,
    )


def settings_of(message: pb.EpochSettings) -> EpochSettings:
    """Return the settings that a message shows."""
    return EpochSettings(
        message.suite,
        message.epoch,
        message.study_hash,
        message.roster_hash,
        message.sites,
        message.answers,
        message.colluding,
        message.rounds,
    )


def advert_message(advert: Advert) -> pb.KeyAdvert:
    """Return an advert as a message."""
    rounds = [pb.RoundKeys(mask_key=r.mask_key, seed_hash=r.seed_hash) for r in advert.rounds]
    return pb.KeyAdvert(
        site=advert.site, channel_key=advert.channel_key, rounds=rounds, signature=advert.signature
    )


def advert_of(message: pb.KeyAdvert) -> Advert:
    """Return the advert that a message shows, unchecked."""
    rounds = tuple(RoundKeys(r.mask_key, r.seed_hash) for r in message.rounds)
    return Advert(message.site, message.channel_key, rounds, message.signature)


def specification_message(specification: RoundSpecification) -> pb.RoundSpecification:
    """Return a specification as a message."""
    asked = specification.release
    return pb.RoundSpecification(
        settings=settings_message(specification.settings),
        round=specification.number,
        attempt=specification.attempt,
        ring_bits=specification.ring_bits,
        label=asked.label,
        analyses=asked.analyses,
        query=asked.query,
        dimension=asked.dimension,
        log2_scale=asked.log2_scale,
        exact=asked.exact,
        blocks=[
            pb.Block(
                name=b.name,
                dimension=b.dimension,
                bound_squared=b.bound_squared,
                rho_units=b.rho_units,
                gamma=b.gamma,
            )
            for b in asked.blocks
        ],
        members=specification.members,
        public=specification.public,
    )


def specification_of(message: pb.RoundSpecification) -> RoundSpecification:
    """Return the specification that a message shows."""
    blocks = tuple(
        BlockTerms(b.name, b.dimension, b.bound_squared, b.rho_units, b.gamma) for b in message.blocks
    )
    release = ReleaseTerms(
        message.label,
        tuple(message.analyses),
        message.query,
        message.dimension,
        message.log2_scale,
        message.exact,
        blocks,
        len(message.public),
    )
    return RoundSpecification(
        settings_of(message.settings),
        message.round,
        message.attempt,
        release,
        tuple(message.members),
        message.ring_bits,
        message.public,
    )


def ledger_message(end: LedgerEnd) -> pb.LedgerEnd:
    """Return the end of a ledger as a message."""
    return pb.LedgerEnd(counter=end.counter, head=end.head)


def input_message(entry: SignedInput) -> pb.SignedInput:
    """Return a signed input as a message."""
    end = pb.LedgerEnd(counter=entry.ledger_counter, head=entry.ledger_head)
    return pb.SignedInput(
        site=entry.site, vector_hash=entry.vector_hash, ledger=end, signature=entry.signature
    )


def input_of(message: pb.SignedInput) -> SignedInput:
    """Return the signed input that a message shows, unchecked."""
    return SignedInput(
        message.site, message.vector_hash, message.ledger.counter, message.ledger.head, message.signature
    )


def shares_message(shares: Iterable[tuple[str, bytes]]) -> list[pb.Share]:
    """Return shares as messages."""
    return [pb.Share(site=site, share=share) for site, share in shares]


def shares_of(messages: Iterable[pb.Share], where: str) -> dict[str, bytes]:
    """Return shares by their owner.

    Raises:
      ReplyInvalid: one owner twice.
    """
    found: dict[str, bytes] = {}
    for message in messages:
        if message.site in found:
            raise ReplyInvalid("two shares of one secret came from one site", where=where)
        found[message.site] = message.share
    return found


def transcript_of(message: pb.Transcript) -> Transcript:
    """Return the transcript that a message shows, unchecked; `Transcript.verify` checks it."""
    return Transcript(
        specification_of(message.specification),
        message.key_list_hash,
        message.last_hash,
        message.question,
        tuple(input_of(entry) for entry in message.inputs),
        {signed.site: signed.signature for signed in message.signatures},
        message.total_hash,
    )
