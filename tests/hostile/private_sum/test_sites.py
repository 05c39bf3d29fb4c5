"""Hostile sites: they can spoil a sum by what they put into it, not by how they take part in it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from google.protobuf.message import Message

from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum import transcript
from fedvalue.strategies.secure_aggregation.messages import Refused
from fedvalue.strategies.secure_aggregation.private_sum import wire
from tests.sum_federation import Federation

Make = Callable[..., Federation]
BRIBED = "site-002"


def exactly(federation: Federation, sites: list[str], attempt: int = 1) -> dict[str, str]:
    """Open a sum, check that it is exactly of ``sites``; return who fell out and why."""
    found = federation.rounds(2).attempt("release-1", attempt)
    assert found.failure is None
    assert found.total is not None
    assert found.survivors == tuple(sites)
    np.testing.assert_array_equal(found.total, federation.sum_of(sites))
    return dict(found.refusals)


def bribe(federation: Federation, step: str, change: Callable[[Message], object], site: str = BRIBED) -> None:
    def reply(at: str, name: str, message: Message) -> Message:
        if (at, name) == (step, site):
            change(message)
        return message

    federation.on_reply = reply


def others(federation: Federation, *without: str) -> list[str]:
    return [name for name in federation.names if name not in without]


def change_a_share(federation: Federation, kind: str, site: str) -> Callable[[Message], None]:
    """The bribed site releases a wrong share and signs it."""

    def change(message: Message) -> None:
        assert isinstance(message, pb.RevealedShares)
        shares = getattr(message, kind)
        shares[0].share = bytes([shares[0].share[0] ^ 1]) + shares[0].share[1:]
        asked = pb.UnmaskRequest.FromString(
            next(p for at, name, p, _ in reversed(federation.heard) if (at, name) == (wire.UNMASK, site))
        )
        masked = next(p for at, name, p, _ in federation.heard if (at, name) == (wire.MASKED, site))
        question = pb.MaskedRequest.FromString(masked).question
        suite = federation.agreed.suite
        ref = transcript.RoundRef(suite.name, asked.study_hash, asked.epoch, asked.round, question)
        content = transcript.revealed_content(
            ref,
            site,
            {share.site: share.share for share in message.self_masks},
            {share.site: share.share for share in message.mask_keys},
        )
        message.signature = suite.sign(federation.identities[site], transcript.REVEALED, content)

    return change


def test_a_wrong_share_names_its_sender_and_the_sum_is_still_exact(federate: Make) -> None:
    federation = federate(7, 1, 2)  # t = 5: two holders to spare
    bribe(federation, wire.UNMASK, change_a_share(federation, "self_masks", BRIBED))
    assert exactly(federation, federation.names) == {BRIBED: "share_invalid"}


def test_a_wrong_share_of_a_lost_sites_key_names_its_sender(federate: Make) -> None:
    federation = federate(7, 1, 2)
    lost = federation.names[-1]
    federation.lost = lambda step, site: step == wire.MASKED and site == lost
    bribe(federation, wire.UNMASK, change_a_share(federation, "mask_keys", BRIBED))
    refusals = exactly(federation, others(federation, lost))
    assert refusals == {lost: "no_answer", BRIBED: "share_invalid"}


def test_with_no_holder_to_spare_a_wrong_share_costs_the_round_not_the_sum(
    federate: Make,
) -> None:
    federation = federate(3, 1, 0)
    bribe(federation, wire.UNMASK, change_a_share(federation, "self_masks", BRIBED))
    found = federation.rounds(2).attempt("release-1", 1)
    assert found.total is None
    assert "shares of a site's secret do not give it" in str(found.failure)


def test_a_share_that_its_sender_did_not_sign_does_not_count(federate: Make) -> None:
    federation = federate(7, 1, 2)

    def change(message: Message) -> None:
        assert isinstance(message, pb.RevealedShares)
        message.self_masks[0].share = bytes(32)

    bribe(federation, wire.UNMASK, change)
    assert exactly(federation, federation.names) == {BRIBED: "message_unsigned"}


def test_a_dealer_whose_secret_does_not_rebuild_is_left_out_of_the_next_epoch(federate: Make) -> None:
    federation = federate(7, 1, 2)
    rounds = federation.rounds(2)
    whose = federation.names[5]
    pool: list[bytes] = []

    def share_something_else(step: str, name: str, message: Message) -> Message:
        # the dealer's advert promises another seed than the one it shared
        if (step, name) == (wire.KEYS, whose) and not pool:
            assert isinstance(message, pb.KeyAdvert)
            message.rounds[0].seed_hash = bytes(32)
            settings = wire.settings_of(pb.KeysRequest.FromString(federation.heard[-1][2]).settings)
            content = wire.advert_of(message).content(settings)
            message.signature = federation.agreed.suite.sign(
                federation.identities[whose], transcript.KEYS, content
            )
            pool.append(b"once")
        return message

    # its own copy of the advert is changed too, so that its own check of the list passes
    def own_copy(step: str, name: str, message: Message) -> Message:
        if (step, name) == (wire.SHARES, whose):
            live = federation.sites[whose]._live
            (epoch,) = live.values()
            shown = {a.site: wire.advert_of(a) for a in message.adverts}  # type: ignore[attr-defined]  # by step
            epoch.advert = shown[whose]
        return message

    federation.on_reply, federation.on_request = share_something_else, own_copy
    first = rounds.attempt("release-1", 1)
    assert first.total is None
    assert first.suspects == {whose}
    second = rounds.attempt("release-1", 2)
    assert second.total is not None
    assert second.survivors == tuple(others(federation, whose))
    np.testing.assert_array_equal(second.total, federation.sum_of(second.survivors))


@pytest.mark.parametrize(
    ("step", "change", "code"),
    [
        (wire.MASKED, lambda m: setattr(m, "vector", m.vector[:-8]), "reply_invalid"),
        (wire.MASKED, lambda m: setattr(m, "vector", m.vector + bytes(8)), "reply_invalid"),
        (wire.MASKED, lambda m: setattr(m, "vector", bytes(len(m.vector))), "message_unsigned"),
        (wire.MASKED, lambda m: setattr(m, "signature", b""), "message_unsigned"),
        (wire.MASKED, lambda m: setattr(m.ledger, "counter", 99), "message_unsigned"),
        (wire.MASKED, lambda m: setattr(m, "site", "site-003"), "reply_invalid"),
        (wire.KEYS, lambda m: setattr(m, "signature", b"s" * 64), "message_unsigned"),
        (wire.KEYS, lambda m: setattr(m, "channel_key", bytes(32)), "message_unsigned"),
        (wire.SHARES, lambda m: m.blobs.pop(), "reply_invalid"),
        (wire.SHARES, lambda m: setattr(m, "key_list_hash", bytes(32)), "reply_invalid"),
        (wire.SHARES, lambda m: setattr(m.blobs[0], "site", "site-999"), "reply_invalid"),
    ],
)
def test_what_a_hostile_site_spoils_is_its_own_part(
    federate: Make, step: str, change: Callable[[Message], object], code: str
) -> None:
    federation = federate()
    bribe(federation, step, change)
    assert exactly(federation, others(federation, BRIBED)) == {BRIBED: code}


@pytest.mark.parametrize(
    ("step", "change", "code"),
    [
        (wire.MEMBERS, lambda m: setattr(m, "signature", b""), "message_unsigned"),
        (wire.CONSISTENCY, lambda m: setattr(m, "signature", b""), "message_unsigned"),
        (wire.UNMASK, lambda m: setattr(m, "signature", b""), "message_unsigned"),
        (wire.UNMASK, lambda m: m.self_masks.pop(), "message_unsigned"),
        (wire.UNMASK, lambda m: m.self_masks.append(m.self_masks[0]), "reply_invalid"),
    ],
)
def test_a_site_that_spoils_a_later_step_counts_as_dropped_there(
    federate: Make, step: str, change: Callable[[Message], object], code: str
) -> None:
    federation = federate()
    bribe(federation, step, change)
    remaining = others(federation, BRIBED) if step == wire.MEMBERS else federation.names
    assert exactly(federation, remaining) == {BRIBED: code}


def test_two_sites_with_one_key_both_fall_out(federate: Make) -> None:
    federation = federate(7, 1, 2)
    copied: list[pb.RoundKeys] = []

    def copy_the_first(step: str, name: str, message: Message) -> Message:
        if step == wire.KEYS and isinstance(message, pb.KeyAdvert):
            if name == "site-001":
                copied.append(message.rounds[0])
            if name == BRIBED:
                message.rounds[0].mask_key = copied[0].mask_key
                settings = wire.settings_of(pb.KeysRequest.FromString(federation.heard[-1][2]).settings)
                content = wire.advert_of(message).content(settings)
                message.signature = federation.agreed.suite.sign(
                    federation.identities[BRIBED], transcript.KEYS, content
                )
        return message

    federation.on_reply = copy_the_first
    refusals = exactly(federation, others(federation, "site-001", BRIBED))
    assert refusals == {"site-001": "key_repeated", BRIBED: "key_repeated"}


def test_second_answers_and_answers_of_strangers_are_not_heard(federate: Make) -> None:
    federation = federate()
    honest = federation.exchange

    def noisy(step: str, requests: dict[str, bytes]) -> object:
        yield "site-999", b""
        for name, reply in honest(step, requests):
            yield name, reply
            yield name, reply
            yield name, Refused("budget_spent")

    rounds = federation.rounds(1)
    rounds.exchange = noisy  # type: ignore[assignment]  # dicts are what it gets
    found = rounds.attempt("release-1", 1)
    assert found.total is not None
    assert found.refusals == {}
    np.testing.assert_array_equal(found.total, federation.sum_of(federation.names))


@pytest.mark.parametrize("step", [wire.KEYS, wire.SHARES, wire.MASKED])
@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"\xfa\x01\x01a", b""])
def test_replies_that_do_not_parse_are_a_sites_own_loss(federate: Make, step: str, garbage: bytes) -> None:
    federation = federate()
    honest = federation.exchange

    def spoiled(at: str, requests: dict[str, bytes]) -> object:
        for name, reply in honest(at, requests):
            yield name, garbage if (at, name) == (step, BRIBED) else reply

    rounds = federation.rounds(1)
    rounds.exchange = spoiled  # type: ignore[assignment]  # dicts are what it gets
    found = rounds.attempt("release-1", 1)
    assert found.total is not None
    assert found.refusals == {BRIBED: "reply_invalid"}
    np.testing.assert_array_equal(found.total, federation.sum_of(others(federation, BRIBED)))


def test_a_site_whose_own_vector_is_wrong_sends_nothing(federate: Make) -> None:
    federation = federate()
    ledger = federation.ledgers[BRIBED]
    ledger.vector = ledger.vector.astype(np.float64)
    ledger.noise = lambda size: np.full(size, np.nan)
    assert exactly(federation, others(federation, BRIBED)) == {BRIBED: "vector_invalid"}
