"""Public keys of an epoch, and what every site checks of them before it shares a secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fedvalue.errors import (
    KeyRepeated,
    KeyWeak,
    MessageUnsigned,
    OwnKeysChanged,
    SiteRepeated,
    SpecificationDiffers,
    TooFewPeers,
)
from fedvalue.secure_sum.encoding import encode
from fedvalue.secure_sum.membership import Membership
from fedvalue.secure_sum.specification import EpochSettings
from fedvalue.secure_sum.suite import CryptoSuite
from fedvalue.secure_sum.transcript import KEYS


@dataclass(frozen=True, slots=True)
class RoundKeys:
    """What a site publishes for one round.

    Attributes:
      mask_key: Public half of its mask key.
      seed_hash: Hash of its self-mask seed, 32 bytes.
    """

    mask_key: bytes
    seed_hash: bytes


@dataclass(frozen=True, slots=True)
class Advert:
    """What a site publishes for an epoch.

    Attributes:
      site: Site id.
      channel_key: Public half of the key of its sealed channels.
      rounds: One entry a round, from round 1.
      signature: The site's, over `content`; empty before it is signed.
    """

    site: str
    channel_key: bytes
    rounds: tuple[RoundKeys, ...]
    signature: bytes = field(default=b"", compare=False)

    def content(self, settings: EpochSettings) -> bytes:
        """Return what is signed."""
        keys = [[r.mask_key, r.seed_hash] for r in self.rounds]
        return encode(settings.canonical(), self.site, self.channel_key, keys)


@dataclass(frozen=True, slots=True)
class KeyList:
    """The checked adverts of an epoch.

    Attributes:
      settings: The epoch's settings.
      adverts: Site id to its advert.
      hash: Of settings and adverts, 32 bytes.
    """

    settings: EpochSettings
    adverts: Mapping[str, Advert]
    hash: bytes


def seed_hash(suite: CryptoSuite, settings: EpochSettings, site: str, number: int, seed: bytes) -> bytes:
    """Return the commitment to a self-mask seed; it is of one site and round only."""
    return suite.digest(encode("seed", settings.canonical(), site, number, seed))


def check_advert(suite: CryptoSuite, membership: Membership, settings: EpochSettings, advert: Advert) -> None:
    """Check one advert by itself.

    Raises:
      SiteNotOnRoster: of a stranger.
      SpecificationDiffers: for another number of rounds.
      MessageUnsigned: not signed by its site for this epoch.
      KeyWeak: a key of low order or with a second spelling, or a hash of another length.
    """
    member = membership.require(advert.site)
    if len(advert.rounds) != settings.rounds:
        raise SpecificationDiffers("an advert is for another number of rounds", where=advert.site)
    if not suite.verifies(member.public_key, KEYS, advert.content(settings), advert.signature):
        raise MessageUnsigned("an advert is not signed by its site", where=advert.site)
    for key in (advert.channel_key, *(r.mask_key for r in advert.rounds)):
        suite.check_public(key)
    if any(len(r.seed_hash) != 32 for r in advert.rounds):
        raise KeyWeak("a seed's hash has not 32 bytes", where=advert.site)


def key_list(
    suite: CryptoSuite,
    membership: Membership,
    settings: EpochSettings,
    adverts: Iterable[Advert],
    *,
    own: Advert | None = None,
) -> KeyList:
    """Check all adverts of an epoch and return the list that every site should see.

    Args:
      suite: Crypto suite.
      membership: The approved roster.
      settings: The epoch's settings.
      adverts: As the coordinator shows them.
      own: This site's advert as it was made; None at the coordinator, which has none.

    Raises:
      SiteRepeated: a site twice.
      KeyRepeated: one key or hash in two places, also under two sites.
      OwnKeysChanged: this site's entry is missing or another.
      TooFewPeers: fewer than t.
      Refusal: as in `check_advert`.
    """
    shown = tuple(adverts)
    if own is not None and own not in shown:
        raise OwnKeysChanged("the key list does not hold this site's keys as they were made", where=own.site)
    found: dict[str, Advert] = {}
    seen: set[bytes] = set()
    for advert in shown:
        check_advert(suite, membership, settings, advert)
        if advert.site in found:
            raise SiteRepeated("the key list names a site twice", where=advert.site)
        found[advert.site] = advert
        values = published(advert)
        if len(set(values)) < len(values) or seen & set(values):
            raise KeyRepeated("a public key or seed hash is used twice", where=advert.site)
        seen |= set(values)
    if len(found) < membership.thresholds.answers:
        raise TooFewPeers(
            f"the key list has {len(found)} sites, {membership.thresholds.answers} are needed",
            do="wait until more sites are there",
        )
    ordered = dict(sorted(found.items()))
    contents = [advert.content(settings) for advert in ordered.values()]
    return KeyList(settings, ordered, suite.digest(encode("key list", settings.canonical(), contents)))


def published(advert: Advert) -> list[bytes]:
    """Return everything of an advert that nobody else may publish."""
    return [advert.channel_key, *(value for r in advert.rounds for value in (r.mask_key, r.seed_hash))]
