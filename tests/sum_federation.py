"""A federation in memory for tests of the private sum: honest sites, and a coordinator one can bribe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import Message
from numpy.typing import NDArray

from fedvalue.errors import FedValueError, ReleaseUnknown
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum.membership import Member, Membership
from fedvalue.secure_sum.specification import BlockTerms, ReleaseTerms, RoundSpecification
from fedvalue.secure_sum.suite import CryptoSuite, Identity, Intl1
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.strategies.secure_aggregation.messages import Refused
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed, ChargedShare
from fedvalue.strategies.secure_aggregation.private_sum.journal import LedgerEnd, UnsafeMemoryJournal
from fedvalue.strategies.secure_aggregation.private_sum.receipts import LedgerReceipts
from fedvalue.strategies.secure_aggregation.private_sum.rounds import PrivateRounds
from fedvalue.strategies.secure_aggregation.private_sum.site import SiteProtocol

STUDY = "5" * 64
ROSTER = "0" * 64
STEPS = (wire.KEYS, wire.SHARES, wire.MEMBERS, wire.MASKED, wire.CONSISTENCY, wire.UNMASK)
REPLIES: dict[str, type[Message]] = {
    wire.KEYS: pb.KeyAdvert,
    wire.SHARES: pb.SealedShares,
    wire.MEMBERS: pb.MembersSigned,
    wire.MASKED: pb.MaskedInput,
    wire.CONSISTENCY: pb.SurvivorsSigned,
    wire.UNMASK: pb.RevealedShares,
    wire.REOPEN: pb.ReceiptRequest,
    wire.RECEIPT: pb.Receipt,
    wire.RECEIPTS: pb.Reopened,
}


def raw_public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def site_name(number: int) -> str:
    return f"site-{number:03d}"


@dataclass
class FakeLedger:
    """Counts debits and hands out the planted vector; what a real site's ledger and sampler do."""

    vector: NDArray[np.int64]
    noise: Callable[[int], NDArray[np.int64]]
    debits: list[tuple[str, int, str, int]] = field(default_factory=list)
    sent: list[NDArray[np.int64]] = field(default_factory=list)
    refuses: FedValueError | None = None

    def contribute(self, specification: RoundSpecification, question: bytes) -> ChargedShare:
        if self.refuses is not None:
            raise self.refuses
        asked = specification.release
        self.debits.append(
            (specification.settings.epoch, specification.number, asked.label, specification.attempt)
        )
        share = self.vector[: asked.dimension] + self.noise(asked.dimension)
        self.sent.append(share)
        return ChargedShare(share, LedgerEnd(len(self.debits), bytes([len(self.debits)]) * 32))


def no_noise(size: int) -> NDArray[np.int64]:
    return np.zeros(size, dtype=np.int64)


def terms(label: str, dimension: int, *, exact: bool = False) -> ReleaseTerms:
    block = BlockTerms(f"{label}/all", dimension, "1", "1000", "65536")
    return ReleaseTerms(label, ("analysis",), "a" * 64, dimension, 20, exact, (block,))


class Asking(Protocol):
    """Sites that a coordinator may ask anything, one at a time."""

    agreed: Agreed
    names: list[str]

    def ask(self, step: str, name: str, message: Message) -> Any:
        """Ask one site by hand; raises what it refuses with."""

    def exchange(self, step: str, requests: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | Refused]]:
        """Ask several, as an honest coordinator does."""


@dataclass
class Federation:
    """Sites with keys, journals and ledgers, and the coordinator's exchange with hooks.

    Attributes of the hooks: ``lost(step, site)`` tells that a site vanishes before it answers a step;
    ``on_request`` and ``on_reply`` may change what travels, which is what a hostile coordinator does.
    """

    n: int
    c: int = 1
    f: int = 1
    dimension: int = 5
    exact: bool = False
    unsafe_exact: bool = False
    suite: CryptoSuite = field(default_factory=Intl1)
    make_identity: Callable[[], tuple[Identity, bytes]] | None = None
    noise: Callable[[int], NDArray[np.int64]] = no_noise

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.n)
        self.names = [site_name(number) for number in range(1, self.n + 1)]
        self.identities: dict[str, Identity] = {}
        members = []
        for name in self.names:
            if self.make_identity is None:
                key = Ed25519PrivateKey.generate()
                identity, public = key, raw_public(key)
            else:
                identity, public = self.make_identity()  # type: ignore[assignment]  # another suite's key
            self.identities[name] = identity
            members.append(Member(name, f"Hospital {name}", public))
        limits = thresholds(self.n, colluding=self.c, dropouts=self.f)
        self.agreed = Agreed(
            STUDY, Membership(ROSTER, tuple(members), limits), self.release, self.unsafe_exact, self.suite
        )
        self.journals = {name: UnsafeMemoryJournal() for name in self.names}
        self.ledgers = {
            name: FakeLedger(rng.integers(-(2**62), 2**62, size=self.dimension, dtype=np.int64), self.noise)
            for name in self.names
        }
        self.sites = {name: self.started(name) for name in self.names}
        self.log: list[tuple[str, str, str]] = []
        self.heard: list[tuple[str, str, bytes, bytes]] = []
        self.lost: Callable[[str, str], bool] = lambda step, site: False
        self.on_request: Callable[[str, str, Message], Message] = lambda step, site, message: message
        self.on_reply: Callable[[str, str, Message], Message] = lambda step, site, message: message
        self.after: Callable[[str, str], None] = lambda step, site: None

    def release(self, label: str) -> ReleaseTerms:
        if not label.startswith("release-"):
            raise ReleaseUnknown("no such release")
        return terms(label, self.dimension, exact=self.exact)

    def started(self, name: str, receipts: LedgerReceipts | None = None) -> SiteProtocol:
        """A site as after a start of its process: journal and ledger remain, memory does not."""
        return SiteProtocol(
            name,
            self.identities[name],
            self.approved,
            self.ledgers[name].contribute,
            self.journals[name],
            receipts=receipts,
        )

    def approved(self, study_hash: str) -> Agreed:
        return self.agreed

    def restart(self, name: str) -> None:
        self.sites[name] = self.started(name)

    def rounds(self, count: int = 4) -> PrivateRounds:
        return PrivateRounds(self.agreed, self.exchange, count)

    def ask(self, step: str, name: str, message: Message) -> Any:
        """Ask one site by hand, as a hostile coordinator may at any time."""
        payload = message.SerializeToString()
        try:
            reply = self.sites[name].answer(step, payload)
        except FedValueError as error:
            self.log.append((step, name, error.code))
            raise
        self.heard.append((step, name, payload, reply))
        return REPLIES[step].FromString(reply)

    def exchange(self, step: str, requests: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | Refused]]:
        for name, payload in requests.items():
            if self.lost(step, name):
                continue
            message = self.on_request(step, name, wire.request(step, payload))
            reply: bytes | Refused
            try:
                reply = self.on_reply(step, name, self.ask(step, name, message)).SerializeToString()
            except FedValueError as error:
                reply = Refused(error.code)
            self.after(step, name)
            yield name, reply

    def sum_of(self, names: Iterable[str]) -> NDArray[np.int64]:
        """What the private sum of these sites' last shares must be, modulo 2^64."""
        total = np.zeros(self.dimension, dtype=np.int64)
        for name in names:
            total = total + self.ledgers[name].sent[-1]
        return total

    def codes(self, step: str | None = None) -> set[str]:
        """Codes with which honest sites refused."""
        return {code for at, _, code in self.log if step is None or at == step}

    def debits(self) -> int:
        """How many debits all ledgers hold."""
        return sum(len(ledger.debits) for ledger in self.ledgers.values())

    def nothing_leaked(self) -> None:
        """Check all that was ever said: no round has two vectors of a site, nobody's two secrets are known.

        The coordinator is helped by c sites, which tell it everything. It rebuilds one secret of a site
        from t shares; it must never have t of both.
        """
        vectors: dict[tuple[str, str, int], set[bytes]] = {}
        told: dict[tuple[str, int, str], tuple[set[str], set[str]]] = {}
        for step, name, payload, reply in self.heard:
            if step == wire.MASKED:
                asked = pb.MaskedRequest.FromString(payload).specification
                vector = pb.MaskedInput.FromString(reply).vector
                vectors.setdefault((name, asked.settings.epoch, asked.round), set()).add(vector)
            elif step == wire.UNMASK:
                where, given = pb.UnmaskRequest.FromString(payload), pb.RevealedShares.FromString(reply)
                for kind, shares in enumerate((given.self_masks, given.mask_keys)):
                    for share in shares:
                        place = told.setdefault((where.epoch, where.round, share.site), (set(), set()))
                        place[kind].add(name)
        assert all(len(found) == 1 for found in vectors.values())
        limits = self.agreed.membership.thresholds
        for seeds, keys in told.values():
            assert not seeds & keys
            assert min(len(seeds), len(keys)) + limits.colluding < limits.answers
