"""Sites of a private sum in one process, each with keys of its own and one vector, for the rows about it.

Messages travel as the protobuf bytes of the wire in both directions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from fedvalue.errors import FedValueError
from fedvalue.privacy import gaussian
from fedvalue.privacy.randomness import SystemNoise
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.secure_sum.membership import Member, Membership
from fedvalue.secure_sum.specification import BlockTerms, ReleaseTerms, RoundSpecification
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.strategies.secure_aggregation.messages import Refused
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed, ChargedShare
from fedvalue.strategies.secure_aggregation.private_sum.journal import LedgerEnd, UnsafeMemoryJournal
from fedvalue.strategies.secure_aggregation.private_sum.site import SiteProtocol

STUDY, ROSTER, QUERY = "5" * 64, "0" * 64, "a" * 64


class Forgetful(UnsafeMemoryJournal):
    """A journal that keeps no replies: 200 sites share one process here, and one disk each elsewhere."""

    def store(self, epoch: str, number: int, step: str, reply: bytes) -> None:
        """Keep nothing."""


def agreed_by(publics: Sequence[bytes], dimension: int) -> Agreed:
    """Return what sites with these identity keys agreed to: one vector, default thresholds."""
    members = tuple(Member(f"h{i:03d}", f"Hospital {i}", key) for i, key in enumerate(publics))
    terms = ReleaseTerms(
        "release-1", ("one",), QUERY, dimension, LOG2_SCALE, False,
        (BlockTerms("one", dimension, "1", "1000", "65536"),),
    )  # fmt: skip
    return Agreed(
        STUDY, Membership(ROSTER, members, thresholds(len(publics))), {terms.label: terms}.__getitem__
    )


@dataclass(slots=True)
class Sites:
    """All sites of a roster.

    Attributes:
      vectors: One integer vector a site, shape ``(d,)``; the same one may stand there for several.
      noise: True to let every site add its own.
      lost: Sites that vanish before they send a masked vector.
    """

    vectors: Sequence[NDArray[np.int64]]
    noise: bool = True
    lost: frozenset[str] = frozenset()
    keys: list[Ed25519PrivateKey] = field(init=False)
    agreed: Agreed = field(init=False)
    sent: dict[str, NDArray[np.int64]] = field(init=False, default_factory=dict)
    keep: bool = True
    _sites: dict[str, SiteProtocol] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Make keys and sites."""
        self.keys = [Ed25519PrivateKey.generate() for _ in self.vectors]
        self.agreed = agreed_by([k.public_key().public_bytes_raw() for k in self.keys], len(self.vectors[0]))
        for member, key, vector in zip(self.agreed.membership.members, self.keys, self.vectors, strict=True):
            self._sites[member.site] = SiteProtocol(
                member.site, key, lambda _: self.agreed, self._share(member.site, vector), Forgetful()
            )

    def exchange(self, step: str, requests: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | Refused]]:
        """Ask one site after the other."""
        for name, payload in requests.items():
            if step != wire.MASKED or name not in self.lost:
                yield name, self.answer(step, name, payload)

    def answer(self, step: str, name: str, payload: bytes) -> bytes | Refused:
        """Let one site answer."""
        try:
            return self._sites[name].answer(step, payload)
        except FedValueError as error:
            return Refused(error.code)

    def expected(self, survivors: Sequence[str]) -> NDArray[np.int64]:
        """Return the exact sum of what these sites sent, modulo 2^64."""
        total = np.zeros(len(self.vectors[0]), dtype=np.int64)
        for name in survivors:
            total += self.sent[name]
        return total

    def _share(self, name: str, vector: NDArray[np.int64]) -> _Share:
        return _Share(self, name, vector)


@dataclass(frozen=True, slots=True)
class _Share:
    sites: Sites
    name: str
    vector: NDArray[np.int64]

    def __call__(self, asked: RoundSpecification, question: bytes) -> ChargedShare:
        del question
        shared = self.vector
        if self.sites.noise:
            shared = shared + gaussian.sample(SystemNoise(), len(shared), log2_scale=asked.release.log2_scale)
        if self.sites.keep:
            self.sites.sent[self.name] = shared
        return ChargedShare(shared, LedgerEnd(1, bytes(32)))
