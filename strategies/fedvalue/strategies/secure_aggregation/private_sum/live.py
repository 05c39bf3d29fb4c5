"""What a site holds of an epoch while it lives: in memory, never anywhere else.

The stages of an epoch are values of their own, so that a step that was not taken cannot be assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedvalue.errors import EpochUnknown
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum.epoch import EpochSecrets, PeerShares
from fedvalue.secure_sum.key_list import Advert, KeyList
from fedvalue.secure_sum.specification import EpochSettings
from fedvalue.secure_sum.suite import Identity
from fedvalue.secure_sum.transcript import RoundRef, SignedInput
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed, Contribute
from fedvalue.strategies.secure_aggregation.private_sum.journal import Journal

ERASED = PeerShares(b"", b"")


@dataclass(frozen=True, slots=True)
class SettledKeys:
    """The one key list of an epoch.

    Attributes:
      keys: The list.
      own: This site's shares of its own secrets, one a round.
      reply: The sealed shares, as they were sent.
    """

    keys: KeyList
    own: list[PeerShares] = field(repr=False)
    reply: pb.SealedShares = field(repr=False)


@dataclass(frozen=True, slots=True)
class SettledMembers:
    """The one set of members of an epoch.

    Attributes:
      members: U2, in the order of ids.
      shares: Member to its shares for this site, one a round; erased ones are empty.
      reply: What this site signed.
    """

    members: tuple[str, ...]
    shares: Mapping[str, list[PeerShares]] = field(repr=False)
    reply: pb.MembersSigned = field(repr=False)


@dataclass(slots=True)
class LiveRound:
    """The round that is under way.

    Attributes:
      ref: Its question.
      exact: True if it is without noise.
      own: What this site signed with its masked vector.
      survivors: U3 once it is signed.
      inputs_hash: Of the signed inputs, once signed.
      transcript: Hash of the transcript, once signed.
      revealed: The shares as they were sent, once they were.
    """

    ref: RoundRef
    exact: bool
    own: SignedInput
    survivors: tuple[str, ...] = ()
    inputs_hash: bytes = b""
    transcript: bytes = b""
    revealed: pb.RevealedShares | None = field(default=None, repr=False)


@dataclass(slots=True)
class LiveEpoch:
    """One epoch.

    Attributes:
      agreed: What the officer approved.
      settings: Of the epoch.
      secrets: This site's own.
      advert: As it was sent.
      keys: Once settled.
      members: Once settled.
      latest: The latest round that was begun.
      round: The round under way, None before the first and once it is erased.
      opened: Round and transcript hash of the latest round in which shares were released.
      left: Peers that were started again since this epoch began.
    """

    agreed: Agreed
    settings: EpochSettings
    secrets: EpochSecrets = field(repr=False)
    advert: Advert
    keys: SettledKeys | None = None
    members: SettledMembers | None = None
    latest: int = 0
    round: LiveRound | None = None
    opened: tuple[int, bytes] | None = None
    left: set[str] = field(default_factory=set)

    def erase(self, number: int) -> None:
        """Drop every secret and share of rounds up to ``number``."""
        self.secrets.erase(number)
        held = [] if self.members is None else list(self.members.shares.values())
        for shares in (*held, *([] if self.keys is None else [self.keys.own])):
            shares[:number] = [ERASED] * min(number, len(shares))


@dataclass(frozen=True, slots=True)
class Context:
    """What every step of a round needs of the site.

    Attributes:
      site: Site id.
      identity: Its signing key.
      contribute: Debits, then gives contribution and noise.
      journal: Durable memory.
    """

    site: str
    identity: Identity
    contribute: Contribute
    journal: Journal


def missing(epoch: str) -> EpochUnknown:
    """Return the refusal of a site that does not hold an epoch's secrets."""
    return EpochUnknown(
        "the secrets of the epoch are not in this process", where=epoch[:32], do="begin a new epoch"
    )
