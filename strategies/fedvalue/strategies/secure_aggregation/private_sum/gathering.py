"""Coordinator half of an epoch: gather keys, relay sealed shares, and hold what the members signed.

The coordinator checks what it relays only so that one bad site does not cost all of them the epoch; no
site relies on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from fedvalue.errors import KeyRepeated, MessageUnsigned, Refusal, ReplyInvalid, TooFewSites
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum import transcript
from fedvalue.secure_sum.key_list import Advert, KeyList, check_advert, key_list, published
from fedvalue.secure_sum.specification import EpochSettings
from fedvalue.strategies.secure_aggregation.messages import Refused
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed

NO_ANSWER = "no_answer"
"""Stands in the refusals for a site that said nothing in time."""

Exchange = Callable[[str, Mapping[str, bytes]], Iterable[tuple[str, "bytes | Refused"]]]
"""``(step, request by site id)``: sends each request, yields each site's reply as it arrives.

Sites that do not answer in time are left out. Replies should be yielded one at a time and not be kept, so
that memory does not grow with the number of sites.
"""


class OfSite(Protocol):
    """A reply that names its sender."""

    @property
    def site(self) -> str:
        """Site id."""


R = TypeVar("R", bound=Message)


@dataclass(frozen=True, slots=True)
class OpenEpoch:
    """An epoch that at least t sites have joined.

    Attributes:
      settings: Its settings.
      keys: Its key list, U1.
      members: U2.
      agreement: What the members signed, by site; at least t.
    """

    settings: EpochSettings
    keys: KeyList
    members: tuple[str, ...]
    agreement: Mapping[str, pb.MembersSigned]


def asked(
    exchange: Exchange,
    step: str,
    requests: Mapping[str, bytes],
    kind: type[R],
    refusals: dict[str, str],
) -> Iterator[tuple[str, R]]:
    """Yield each asked site's first reply as it arrives; note in ``refusals`` who gave none that counts."""
    seen: set[str] = set()
    for site, reply in exchange(step, requests):
        if site not in requests or site in seen:
            continue
        seen.add(site)
        if isinstance(reply, Refused):
            refusals[site] = reply.code
            continue
        try:
            message = wire.parse(kind, reply, ReplyInvalid)
            _require_sender(message, site)
        except ReplyInvalid as error:
            refusals[site] = error.code
            continue
        yield site, message
    for site in set(requests) - seen:
        refusals[site] = NO_ANSWER


def begin(
    agreed: Agreed,
    exchange: Exchange,
    epoch: str,
    *,
    rounds: int,
    without: frozenset[str] = frozenset(),
    refusals: dict[str, str],
) -> OpenEpoch:
    """Take a federation through keys, shares and members.

    Args:
      agreed: What the coordinator itself computes of the study.
      exchange: How requests reach the sites.
      epoch: A fresh epoch id.
      rounds: How many rounds to make keys for.
      without: Sites that are not asked, because what they shared did not hold before.
      refusals: Gets the code of each site that fell out.

    Raises:
      TooFewSites: fewer than t were left after a step.
    """
    settings = agreed.settings(epoch, rounds)
    sites = [member.site for member in agreed.membership.members if member.site not in without]
    keys = _keys(agreed, exchange, settings, sites, refusals)
    blobs = _shares(agreed, exchange, keys, refusals)
    members = tuple(sorted(blobs))
    agreement = _members(agreed, exchange, keys, members, blobs, refusals)
    return OpenEpoch(settings, keys, members, agreement)


def enough(agreed: Agreed, count: int, step: str, refusals: Mapping[str, str]) -> None:
    """Require t sites.

    Raises:
      TooFewSites: there are fewer.
    """
    needed = agreed.membership.thresholds.answers
    if count < needed:
        raise TooFewSites(
            f"{count} of {len(agreed.membership.members)} sites took the step {step!r}, {needed} must",
            where=", ".join(f"{site}: {code}" for site, code in sorted(refusals.items())) or step,
            do="ask the sites that did not answer",
        )


def _keys(
    agreed: Agreed,
    exchange: Exchange,
    settings: EpochSettings,
    sites: list[str],
    refusals: dict[str, str],
) -> KeyList:
    request = pb.KeysRequest(settings=wire.settings_message(settings)).SerializeToString()
    found: dict[str, Advert] = {}
    for site, message in asked(exchange, wire.KEYS, dict.fromkeys(sites, request), pb.KeyAdvert, refusals):
        advert = wire.advert_of(message)
        try:
            check_advert(agreed.suite, agreed.membership, settings, advert)
        except Refusal as error:
            refusals[site] = error.code
            continue
        found[site] = advert
    # Who copied whom cannot be told: both fall out.
    uses = Counter(value for advert in found.values() for value in published(advert))
    for site in [s for s, advert in found.items() if any(uses[v] > 1 for v in published(advert))]:
        refusals[site] = KeyRepeated.code
        del found[site]
    enough(agreed, len(found), wire.KEYS, refusals)
    return key_list(agreed.suite, agreed.membership, settings, found.values())


def _shares(
    agreed: Agreed, exchange: Exchange, keys: KeyList, refusals: dict[str, str]
) -> dict[str, dict[str, bytes]]:
    """Return sender to receiver to blob."""
    settings = keys.settings
    request = pb.SharesRequest(
        epoch=settings.epoch,
        study_hash=settings.study_hash,
        adverts=[wire.advert_message(advert) for advert in keys.adverts.values()],
    ).SerializeToString()
    found: dict[str, dict[str, bytes]] = {}
    requests = dict.fromkeys(keys.adverts, request)
    for site, message in asked(exchange, wire.SHARES, requests, pb.SealedShares, refusals):
        blobs = {blob.site: blob.sealed for blob in message.blobs}
        if message.key_list_hash != keys.hash or set(blobs) != set(keys.adverts) - {site}:
            refusals[site] = ReplyInvalid.code
            continue
        found[site] = blobs
    enough(agreed, len(found), wire.SHARES, refusals)
    return found


def _members(
    agreed: Agreed,
    exchange: Exchange,
    keys: KeyList,
    members: tuple[str, ...],
    blobs: Mapping[str, Mapping[str, bytes]],
    refusals: dict[str, str],
) -> dict[str, pb.MembersSigned]:
    settings = keys.settings
    requests = {
        site: pb.MembersRequest(
            epoch=settings.epoch,
            study_hash=settings.study_hash,
            members=members,
            blobs=[pb.SealedBlob(site=p, sealed=blobs[p][site]) for p in members if p != site],
        ).SerializeToString()
        for site in members
    }
    content = transcript.members_content(settings, members, keys.hash)
    found: dict[str, pb.MembersSigned] = {}
    for site, message in asked(exchange, wire.MEMBERS, requests, pb.MembersSigned, refusals):
        key = agreed.membership.require(site).public_key
        if not agreed.suite.verifies(key, transcript.MEMBERS, content, message.signature):
            refusals[site] = MessageUnsigned.code
            continue
        found[site] = message
    enough(agreed, len(found), wire.MEMBERS, refusals)
    return found


def _require_sender(message: Message, site: str) -> None:
    if getattr(message, "site", None) != site:
        raise ReplyInvalid("a reply names another sender than the site that was asked", where=site)
