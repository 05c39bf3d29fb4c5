"""A transcript convinces whoever has the roster, and nothing in it can be changed."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from fedvalue.errors import PrivacyError, SiteClosed, TooFewSites, TranscriptInvalid
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum.epoch import EpochSecrets
from fedvalue.secure_sum.suite import Intl1
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.strategies.secure_aggregation.private_sum.receipts import reopen
from tests.sum_federation import Federation

SUITE = Intl1()


def opened(lost: str | None = "site-004") -> tuple[Federation, pb.Transcript, bytes]:
    federation = Federation(5)
    federation.lost = lambda step, site: step == wire.MASKED and site == lost
    found = federation.rounds(2).attempt("release-1", 1)
    assert found.transcript is not None
    assert found.total is not None
    return federation, found.transcript, found.total.astype("<i8").tobytes()


def test_the_transcript_of_an_opened_round_holds() -> None:
    federation, message, total = opened()
    again = pb.Transcript.FromString(message.SerializeToString())
    transcript = wire.transcript_of(again)
    transcript.verify(SUITE, federation.agreed.membership, total)
    assert transcript.survivors() == ("site-001", "site-002", "site-003", "site-005")


@pytest.mark.parametrize(
    "attack",
    [
        lambda m: setattr(m.specification.settings, "colluding", 2),
        lambda m: setattr(m.specification.settings, "roster_hash", "1" * 64),
        lambda m: setattr(m.specification.settings, "suite", "intl-0"),
        lambda m: setattr(m.specification, "attempt", 2),
        lambda m: setattr(m.specification.blocks[0], "gamma", "1"),
        lambda m: setattr(m, "key_list_hash", bytes(32)),
        lambda m: setattr(m, "last_hash", bytes([1]) * 32),
        lambda m: setattr(m, "question", bytes(32)),
        lambda m: setattr(m, "total_hash", bytes(32)),
        lambda m: setattr(m.inputs[0], "vector_hash", bytes(32)),
        lambda m: setattr(m.inputs[0].ledger, "counter", 7),
        lambda m: setattr(m.inputs[0], "site", "site-004"),
        lambda m: m.inputs.append(m.inputs[0]),
        lambda m: m.inputs.pop(),
        lambda m: m.signatures.pop(),
        lambda m: setattr(m.signatures[0], "signature", b""),
        lambda m: setattr(m.signatures[0], "site", "site-004"),
    ],
)
def test_a_changed_transcript_does_not_hold(attack: Callable[[pb.Transcript], object]) -> None:
    federation, message, total = opened()
    attack(message)
    with pytest.raises(TranscriptInvalid):
        wire.transcript_of(message).verify(SUITE, federation.agreed.membership, total)


def test_a_transcript_is_of_one_sum() -> None:
    federation, message, total = opened()
    wrong = np.frombuffer(total, dtype="<i8") + 1
    with pytest.raises(TranscriptInvalid):
        wire.transcript_of(message).verify(SUITE, federation.agreed.membership, wrong.tobytes())


def test_transcripts_are_chained() -> None:
    federation = Federation(4)
    rounds = federation.rounds(2)
    first, second = (rounds.attempt(f"release-{number}", 1).transcript for number in (1, 2))
    assert first is not None
    assert second is not None
    assert second.last_hash == wire.transcript_of(first).hash(SUITE)


def test_secrets_of_an_epoch_are_neither_shown_nor_written() -> None:
    federation = Federation(4)
    settings = federation.agreed.settings("e" * 32, 2)
    secrets = EpochSecrets.make(SUITE, settings, "site-001", os.urandom)
    for number in (1, 2):
        assert secrets.rounds[number].seed.hex() not in repr(secrets)
        assert "seed" not in repr(secrets.rounds[number])
    with pytest.raises(PrivacyError, match="never leave memory"):
        pickle.dumps(secrets)


class PaperReceipts:
    """A ledger that opens after two receipts of the right start."""

    def __init__(self, name: str) -> None:
        self.name, self.is_open = name, False

    def require_open(self, roster_hash: str) -> None:
        if not self.is_open:
            raise SiteClosed("closed")

    def nonce(self) -> bytes:
        return self.name.encode().ljust(32, b".")

    def receipt(self, about: str, nonce: bytes) -> bytes:
        return f"{self.name} about {about} for ".encode() + nonce

    def accept(self, study_hash: str, receipts: object) -> None:
        wanted = [
            f"site-{n:03d} about {self.name} for ".encode() + self.nonce()
            for n in range(1, 6)
            if f"site-{n:03d}" != self.name
        ]
        if sorted(receipts) != wanted:  # type: ignore[call-overload]  # a list of bytes
            raise SiteClosed("not these")
        self.is_open = True


def test_a_started_site_is_out_of_every_epoch_until_its_peers_receipts_are_carried_to_it() -> None:
    federation = Federation(5)
    for name in federation.names:  # all at once: closed sites still give receipts
        federation.sites[name] = federation.started(name, PaperReceipts(name))
    found = federation.rounds(2).attempt("release-1", 1)
    assert found.survivors == tuple(federation.names)
    assert federation.codes() == {"site_closed"}


def test_one_started_site_is_let_in_before_the_others_are_charged() -> None:
    federation = Federation(5)
    for name in federation.names:
        receipts = PaperReceipts(name)
        receipts.is_open = name != "site-002"
        federation.sites[name] = federation.started(name, receipts)
    found = federation.rounds(2).attempt("release-1", 1)
    assert found.survivors == tuple(federation.names)
    assert federation.debits() == 5


def test_a_site_stays_closed_when_its_receipts_do_not_hold() -> None:
    federation = Federation(5)
    for name in federation.names:
        federation.sites[name] = federation.started(name, PaperReceipts(name))
    federation.lost = lambda step, site: step == wire.RECEIPT and site == "site-002"
    closed = reopen(federation.agreed, federation.exchange, ["site-001"])
    assert closed == {"site-001": "site_closed"}
    with pytest.raises(TooFewSites, match="site-001: site_closed"):
        federation.rounds(2).attempt("release-1", 1)


def test_a_closed_site_gives_not_even_its_stored_vector() -> None:
    federation = Federation(4)
    federation.rounds(1).attempt("release-1", 1)
    sent = next(p for step, name, p, _ in federation.heard if (step, name) == (wire.MASKED, "site-001"))
    federation.sites["site-001"] = federation.started("site-001", PaperReceipts("site-001"))
    with pytest.raises(SiteClosed):
        federation.ask(wire.MASKED, "site-001", pb.MaskedRequest.FromString(sent))
