"""A hostile site signs what it likes as the end of its ledger: it is left out, the others lose nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.message import Message

from fedvalue import errors
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum import transcript
from fedvalue.secure_sum.transcript import RoundRef, SignedInput
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.strategies.secure_aggregation.private_sum.unmasking import Rebuilding
from tests.sum_attacker import Attacker
from tests.sum_federation import STUDY, Federation

LIAR = "site-003"
NO_ENDS = [
    (2**53, bytes(32)),
    (2**63, bytes(32)),
    (2**64 - 1, bytes(32)),
    (7, b""),
    (7, bytes(31)),
    (7, bytes(64)),
]
"""What neither SQLite, nor JSON, nor an evidence package can keep."""


def resigned(federation: Federation, ref: RoundRef, entry: SignedInput, **change: Any) -> SignedInput:
    changed = replace(entry, **change)
    content = transcript.input_content(ref, changed)
    suite = federation.agreed.suite
    return replace(changed, signature=suite.sign(federation.identities[LIAR], transcript.INPUT, content))


def lies(federation: Federation, counter: int, head: bytes) -> None:
    """Make the liar sign that end with every vector, through the honest coordinator."""
    asked: dict[str, pb.MaskedRequest] = {}

    def request(step: str, site: str, message: Message) -> Message:
        if isinstance(message, pb.MaskedRequest):
            asked[site] = message
        return message

    def reply(step: str, site: str, message: Message) -> Message:
        if isinstance(message, pb.MaskedInput) and site == LIAR:
            at = asked[site].specification
            ref = RoundRef(
                federation.agreed.suite.name, STUDY, at.settings.epoch, at.round, asked[site].question
            )
            digest = federation.agreed.suite.digest(message.vector)
            entry = resigned(federation, ref, SignedInput(LIAR, digest, counter, head, b""))
            message.ledger.counter, message.ledger.head = counter, head
            message.signature = entry.signature
        return message

    federation.on_request, federation.on_reply = request, reply


@pytest.mark.parametrize(("counter", "head"), NO_ENDS)
def test_an_end_that_nobody_can_keep_costs_the_liar_its_own_part_only(counter: int, head: bytes) -> None:
    federation = Federation(5)
    lies(federation, counter, head)
    found = federation.rounds(1).attempt("release-1", 1)
    assert found.refusals == {LIAR: "reply_invalid"}
    assert found.total is not None
    assert LIAR not in found.survivors
    assert (found.total == federation.sum_of(found.survivors)).all()


@pytest.mark.parametrize(("counter", "head"), NO_ENDS)
def test_a_coordinator_that_carries_it_on_is_told_so_by_code(counter: int, head: bytes) -> None:
    federation = Federation(5)
    attacker = Attacker(federation)
    own = attacker.specification()
    ref, inputs = attacker.ref(own), attacker.vectors(own)
    inputs[LIAR] = resigned(federation, ref, inputs[LIAR], ledger_counter=counter, ledger_head=head)
    with pytest.raises(errors.MessageInvalid):
        federation.ask(wire.CONSISTENCY, "site-001", attacker.consistency_request(ref, inputs.values()))


def test_a_ledger_that_did_not_grow_is_left_out_of_a_study_because_its_evidence_would_not_hold() -> None:
    federation = Federation(5)
    rounds = federation.rounds(2)
    rounds.counters = {}
    assert LIAR in rounds.attempt("release-1", 1).survivors
    lies(federation, 1, b"\x01" * 32)  # the end that it signed before
    found = rounds.attempt("release-2", 1)
    assert found.refusals == {LIAR: "reply_invalid"}
    assert len(found.survivors) == 4


def test_one_bad_signature_many_times_is_not_checked_many_times() -> None:
    """A site checks one step at a time: every copy of a long list would have kept it longer."""
    federation = Federation(5)
    attacker = Attacker(federation)
    own = attacker.specification()
    ref, inputs = attacker.ref(own), attacker.vectors(own)
    signatures = attacker.consistent(ref, inputs)
    flood = [pb.SurvivorsSigned(site="site-002", signature=b"s" * 64)] * 100
    with pytest.raises(errors.SiteRepeated):
        federation.ask(wire.UNMASK, "site-001", attacker.unmask_request(ref, inputs, signatures + flood))


def test_two_liars_anywhere_among_sixty_holders_are_found() -> None:
    """Six of sixty are spare. Leaving out pairs takes 1,770 sets, 500 are tried; runs of three take 190."""
    names = [f"site-{number:03d}" for number in range(1, 61)]
    points = {name: number for number, name in enumerate(names, 1)}
    # shares of the constant polynomial: everybody holds the secret itself
    secret = (7).to_bytes(32, "big")
    shares = dict.fromkeys(names, secret)
    for pair in (("site-029", "site-051"), ("site-001", "site-002"), ("site-052", "site-053")):
        work = Rebuilding(54, points, list(names))
        told = shares | dict.fromkeys(pair, bytes(32))
        assert work.secret("owner", told, lambda found: found == secret) == secret
        assert work.accused == {liar: {"owner"} for liar in pair}
