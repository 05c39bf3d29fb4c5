"""One site's secrets of one epoch: made in memory, shared in sealed blobs, erased round by round.

Secrets are never written, logged or pickled. Python cannot overwrite an immutable value: erasing drops
the last reference, and the process that holds an epoch should allow neither core dumps nor swap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Self

from fedvalue.errors import PrivacyError, RoundBurnt, ShareInvalid
from fedvalue.secure_sum import shamir
from fedvalue.secure_sum.encoding import encode
from fedvalue.secure_sum.key_list import Advert, KeyList, RoundKeys, seed_hash
from fedvalue.secure_sum.masks import Mask
from fedvalue.secure_sum.membership import Membership
from fedvalue.secure_sum.specification import EpochSettings
from fedvalue.secure_sum.suite import AgreementKey, CryptoSuite, Entropy

ROUND_BYTES = 2 * shamir.SECRET_BYTES
"""A round's part of a blob: the share of the mask key, then the share of the self-mask seed."""


@dataclass(frozen=True, slots=True)
class RoundSecrets:
    """Secrets of one round.

    Attributes:
      mask: Agreement key of the pairwise masks.
      mask_secret: Its secret, 32 bytes.
      seed: Seed of the self-mask, 32 bytes.
    """

    mask: AgreementKey = field(repr=False)
    mask_secret: bytes = field(repr=False)
    seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PeerShares:
    """What one peer shared with this site for one round.

    Attributes:
      mask_key: Share of its mask secret, 32 bytes.
      self_mask: Share of its self-mask seed, 32 bytes.
    """

    mask_key: bytes = field(repr=False)
    self_mask: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EpochSecrets:
    """Everything that a site keeps to itself in an epoch.

    Attributes:
      suite: Crypto suite.
      settings: The epoch's settings.
      site: Site id.
      channel: Agreement key of the sealed channels.
      rounds: Round to its secrets; erased rounds are gone.
    """

    suite: CryptoSuite
    settings: EpochSettings
    site: str
    channel: AgreementKey = field(repr=False)
    rounds: dict[int, RoundSecrets] = field(repr=False)

    @classmethod
    def make(cls, suite: CryptoSuite, settings: EpochSettings, site: str, entropy: Entropy) -> Self:
        """Draw all secrets of an epoch."""
        channel = suite.agreement_key(shamir.draw(entropy))
        rounds = {}
        for number in range(1, settings.rounds + 1):
            secret = shamir.draw(entropy)
            rounds[number] = RoundSecrets(suite.agreement_key(secret), secret, shamir.draw(entropy))
        return cls(suite, settings, site, channel, rounds)

    def __reduce__(self) -> NoReturn:
        """Refuse to be written anywhere.

        Raises:
          PrivacyError: always.
        """
        raise PrivacyError("the secrets of an epoch never leave memory", where=self.site)

    def advert(self) -> Advert:
        """Return what may be published of these secrets."""
        return Advert(
            self.site,
            self.channel.public,
            tuple(
                RoundKeys(
                    secrets.mask.public, seed_hash(self.suite, self.settings, self.site, r, secrets.seed)
                )
                for r, secrets in sorted(self.rounds.items())
            ),
        )

    def share(
        self, keys: KeyList, membership: Membership, entropy: Entropy
    ) -> tuple[dict[str, bytes], list[PeerShares]]:
        """Share every secret with every site of the key list.

        Args:
          keys: The checked key list.
          membership: Gives each site its number.
          entropy: Where coefficients come from.

        Returns:
          One sealed blob for each peer, and this site's own shares, one a round.
        """
        numbers = membership.points()
        holders = sorted(keys.adverts)
        points = [numbers[holder] for holder in holders]
        plain = {holder: bytearray() for holder in holders}
        for _, secrets in sorted(self.rounds.items()):
            for secret in (secrets.mask_secret, secrets.seed):
                shares = shamir.split(secret, threshold=self.settings.answers, points=points, entropy=entropy)
                for holder, share in zip(holders, shares, strict=True):
                    plain[holder] += share
        own = _rounds(bytes(plain.pop(self.site)))
        sealed = {
            peer: self.suite.seal(self._channel(keys, self.site, peer), bytes(blob), keys.hash)
            for peer, blob in plain.items()
        }
        return sealed, own

    def open(self, keys: KeyList, peer: str, sealed: bytes) -> list[PeerShares]:
        """Open a peer's blob: its shares for this site, one a round.

        Raises:
          ShareInvalid: it was not sealed by that peer for this site under this key list, or is too short.
        """
        plain = self.suite.unseal(self._channel(keys, peer, self.site), sealed, keys.hash)
        if len(plain) != self.settings.rounds * ROUND_BYTES:
            raise ShareInvalid("a sealed blob holds another number of rounds", where=peer)
        return _rounds(plain)

    def masks(self, keys: KeyList, members: Sequence[str], number: int, question: bytes) -> list[Mask]:
        """Return the masks of this site's vector in a round: its own, and one for each other member.

        Raises:
          RoundBurnt: the round's secrets are gone.
        """
        secrets = self.rounds.get(number)
        if secrets is None:
            raise RoundBurnt("the secrets of the round are erased", where=f"round {number}")
        found = [
            Mask(self_mask_key(self.suite, self.settings, self.site, number, question, secrets.seed), True)
        ]
        for peer in members:
            if peer != self.site:
                key = pair_mask_key(keys, self.site, peer, number, question, secrets.mask)
                found.append(Mask(key, self.site < peer))
        return found

    def erase(self, number: int) -> None:
        """Drop the secrets of every round up to ``number``."""
        for known in [r for r in self.rounds if r <= number]:
            del self.rounds[known]

    def _channel(self, keys: KeyList, sender: str, receiver: str) -> bytes:
        peer = receiver if sender == self.site else sender
        info = encode(
            "channel", self.settings.canonical(), sender, receiver,
            keys.adverts[sender].channel_key, keys.adverts[receiver].channel_key,
        )  # fmt: skip
        return self.channel.agree(keys.adverts[peer].channel_key, info)


def self_mask_key(
    suite: CryptoSuite, settings: EpochSettings, site: str, number: int, question: bytes, seed: bytes
) -> bytes:
    """Return the stream key of a self-mask, 32 bytes."""
    return suite.derive(seed, encode("self mask", settings.canonical(), site, number, question))


def pair_mask_key(
    keys: KeyList, one: str, other: str, number: int, question: bytes, half: AgreementKey
) -> bytes:
    """Return the stream key of the mask between two sites, 32 bytes; both sites get the same.

    Args:
      keys: The key list.
      one: The site whose ``half`` is given.
      other: The other site.
      number: Round.
      question: h.
      half: The round's mask key of ``one``.
    """
    low, high = sorted((one, other))
    publics = [keys.adverts[site].rounds[number - 1].mask_key for site in (low, high)]
    info = encode("pair mask", keys.settings.canonical(), low, high, publics, number, question)
    return half.agree(keys.adverts[other].rounds[number - 1].mask_key, info)


def _rounds(plain: bytes) -> list[PeerShares]:
    half = shamir.SECRET_BYTES
    return [
        PeerShares(plain[start : start + half], plain[start + half : start + ROUND_BYTES])
        for start in range(0, len(plain), ROUND_BYTES)
    ]
