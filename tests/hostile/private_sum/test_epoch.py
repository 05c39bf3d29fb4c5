"""A hostile coordinator while keys are made and shared: every attack has its refusal, nothing is charged."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import Message

from fedvalue import errors
from fedvalue.errors import TooFewSites
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum import transcript
from fedvalue.secure_sum.membership import Member, Membership
from fedvalue.secure_sum.thresholds import Thresholds, thresholds
from fedvalue.strategies.secure_aggregation.private_sum import wire
from tests.sum_federation import ROSTER, STUDY, Federation

Make = Callable[..., Federation]
EPOCH = "e" * 32
VICTIM = "site-001"
BRIBED = "site-005"


def settings(federation: Federation, rounds: int = 2, epoch: str = EPOCH) -> pb.EpochSettings:
    return wire.settings_message(federation.agreed.settings(epoch, rounds))


def adverts(federation: Federation, epoch: str = EPOCH) -> list[pb.KeyAdvert]:
    request = pb.KeysRequest(settings=settings(federation, epoch=epoch))
    return [federation.ask(wire.KEYS, name, request) for name in federation.names]


def signed(federation: Federation, advert: pb.KeyAdvert, by: str | None = None) -> pb.KeyAdvert:
    """Sign a changed advert as the bribed site would, with its own identity key."""
    content = wire.advert_of(advert).content(federation.agreed.settings(EPOCH, 2))
    identity = federation.identities[by or advert.site]
    advert.signature = federation.agreed.suite.sign(identity, transcript.KEYS, content)
    return advert


def share(federation: Federation, shown: list[pb.KeyAdvert], site: str = VICTIM) -> pb.SealedShares:
    found: pb.SealedShares = federation.ask(
        wire.SHARES, site, pb.SharesRequest(epoch=EPOCH, study_hash=STUDY, adverts=shown)
    )
    return found


def shared(federation: Federation) -> dict[str, pb.SealedShares]:
    shown = adverts(federation)
    return {name: share(federation, shown, name) for name in federation.names}


def members_request(
    replies: dict[str, pb.SealedShares], site: str, members: list[str] | None = None
) -> pb.MembersRequest:
    chosen = sorted(replies) if members is None else members
    blobs = {p: {b.site: b.sealed for b in reply.blobs} for p, reply in replies.items()}
    sealed = [pb.SealedBlob(site=p, sealed=blobs[p][site]) for p in chosen if p != site]
    return pb.MembersRequest(epoch=EPOCH, study_hash=STUDY, members=chosen, blobs=sealed)


# ---- keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "refusal"),
    [
        ("suite", "intl-0", errors.SuiteUnknown),
        ("roster_hash", "1" * 64, errors.RosterMismatch),
        ("sites", 6, errors.SpecificationDiffers),
        ("answers", 3, errors.SpecificationDiffers),
        ("answers", 1, errors.SpecificationDiffers),
        ("colluding", 0, errors.SpecificationDiffers),
        ("rounds", 0, errors.SpecificationDiffers),
        ("rounds", 65, errors.SpecificationDiffers),
        ("epoch", "latest", errors.MessageInvalid),
    ],
)
def test_the_coordinator_chooses_no_setting(
    federate: Make, field: str, value: object, refusal: type[errors.FedValueError]
) -> None:
    federation = federate()
    changed = settings(federation)
    setattr(changed, field, value)
    with pytest.raises(refusal):
        federation.ask(wire.KEYS, VICTIM, pb.KeysRequest(settings=changed))
    assert not federation.journals[VICTIM].places


def test_keys_are_made_once_for_an_epoch(federate: Make) -> None:
    federation = federate()
    first = adverts(federation)[0]
    assert federation.ask(wire.KEYS, VICTIM, pb.KeysRequest(settings=settings(federation))) == first
    with pytest.raises(errors.EpochTaken):  # the same name with more rounds would be a second set of keys
        federation.ask(wire.KEYS, VICTIM, pb.KeysRequest(settings=settings(federation, rounds=3)))
    federation.restart(VICTIM)
    with pytest.raises(errors.EpochTaken):
        federation.ask(wire.KEYS, VICTIM, pb.KeysRequest(settings=settings(federation)))


def test_an_older_epoch_cannot_be_woken_up(federate: Make) -> None:
    federation = federate()
    shown = adverts(federation)
    adverts(federation, epoch="f" * 32)
    with pytest.raises(errors.EpochUnknown):
        share(federation, shown)
    with pytest.raises(errors.EpochTaken):
        adverts(federation)


# ---- the key list ------------------------------------------------------------------------------------------


def swap_own(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    shown[0].rounds[0].mask_key = shown[1].rounds[0].mask_key


def leave_own_out(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    del shown[0]


def swap_a_peers(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    half = federation.agreed.suite.agreement_key(os.urandom(32))
    shown[1].rounds[0].mask_key = half.public


def swap_a_channel(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    shown[1].channel_key = federation.agreed.suite.agreement_key(os.urandom(32)).public


def swap_two_rounds(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    first, second = shown[1].rounds[0].mask_key, shown[1].rounds[1].mask_key
    shown[1].rounds[0].mask_key, shown[1].rounds[1].mask_key = second, first


def leave_unsigned(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    shown[1].signature = b""


def mint_a_sybil(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    # a site of the roster that is offline, played by the coordinator with a key of its own
    content = wire.advert_of(shown[1]).content(federation.agreed.settings(EPOCH, 2))
    own_key = Ed25519PrivateKey.generate()
    shown[1].signature = federation.agreed.suite.sign(own_key, transcript.KEYS, content)


def bring_a_stranger(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    shown[1].site = "site-999"
    signed(federation, shown[1], by=BRIBED)


def speak_for_another(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    signed(federation, shown[1], by=BRIBED)


def repeat_a_site(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    shown.append(shown[1])


def repeat_own(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    shown.append(shown[0])


def repeat_a_key(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    shown[4].rounds[0].mask_key = shown[1].rounds[0].mask_key
    signed(federation, shown[4])


def repeat_a_seed(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    shown[4].rounds[0].seed_hash = shown[1].rounds[0].seed_hash
    signed(federation, shown[4])


def use_one_key_in_two_rounds(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    shown[4].rounds[0].mask_key = shown[4].rounds[1].mask_key
    signed(federation, shown[4])


def low_order_mask(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    shown[4].rounds[0].mask_key = bytes(32)
    signed(federation, shown[4])


def low_order_channel(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    shown[4].channel_key = (1).to_bytes(32, "little")
    signed(federation, shown[4])


def respelled_key(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    # the victim's key with the top bit set is the same key to X25519, and would pass as a distinct one
    key = shown[0].rounds[0].mask_key
    shown[4].rounds[0].mask_key = key[:31] + bytes([key[31] | 128])
    signed(federation, shown[4])


def short_seed_hash(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    shown[4].rounds[0].seed_hash = b"short"
    signed(federation, shown[4])


def too_few(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    del shown[3:]


def fewer_rounds(federation: Federation, shown: list[pb.KeyAdvert]) -> None:
    del shown[4].rounds[1]
    signed(federation, shown[4])


@pytest.mark.parametrize(
    ("attack", "refusal"),
    [
        (swap_own, errors.OwnKeysChanged),
        (leave_own_out, errors.OwnKeysChanged),
        (swap_a_peers, errors.MessageUnsigned),
        (swap_a_channel, errors.MessageUnsigned),
        (swap_two_rounds, errors.MessageUnsigned),
        (leave_unsigned, errors.MessageUnsigned),
        (mint_a_sybil, errors.MessageUnsigned),
        (speak_for_another, errors.MessageUnsigned),
        (bring_a_stranger, errors.SiteNotOnRoster),
        (repeat_a_site, errors.SiteRepeated),
        (repeat_own, errors.SiteRepeated),
        (repeat_a_key, errors.KeyRepeated),
        (repeat_a_seed, errors.KeyRepeated),
        (use_one_key_in_two_rounds, errors.KeyRepeated),
        (low_order_mask, errors.KeyWeak),
        (low_order_channel, errors.KeyWeak),
        (respelled_key, errors.KeyWeak),
        (short_seed_hash, errors.KeyWeak),
        (too_few, errors.TooFewPeers),
        (fewer_rounds, errors.SpecificationDiffers),
    ],
)
def test_a_false_key_list_gets_no_shares(
    federate: Make,
    attack: Callable[[Federation, list[pb.KeyAdvert]], None],
    refusal: type[errors.FedValueError],
) -> None:
    federation = federate()
    shown = adverts(federation)
    attack(federation, shown)
    with pytest.raises(refusal):
        share(federation, shown)


def test_an_advert_of_another_epoch_is_worth_nothing(federate: Make) -> None:
    federation = federate()
    earlier = adverts(federation, epoch="d" * 32)
    shown = adverts(federation)
    with pytest.raises(errors.MessageUnsigned):
        share(federation, [shown[0], *earlier[1:]])


def test_an_epoch_has_one_key_list(federate: Make) -> None:
    federation = federate()
    shown = adverts(federation)
    first = share(federation, shown)
    assert share(federation, shown[::-1]) == first  # the same list in another order gets the same bytes
    with pytest.raises(errors.EpochSettled):
        share(federation, shown[:4])


def test_shares_need_keys_of_this_process(federate: Make) -> None:
    federation = federate()
    shown = adverts(federation)
    federation.restart(VICTIM)
    with pytest.raises(errors.EpochUnknown):
        share(federation, shown)


# ---- members and sealed blobs ------------------------------------------------------------------------------


def test_blobs_that_were_swapped_changed_or_turned_around_do_not_open(federate: Make) -> None:
    federation = federate()
    replies = shared(federation)
    good = members_request(replies, VICTIM)
    own = {blob.site: blob.sealed for blob in replies[VICTIM].blobs}

    def changed(place: int, sealed: bytes) -> pb.MembersRequest:
        request = pb.MembersRequest()
        request.CopyFrom(good)
        request.blobs[place].sealed = sealed
        return request

    attacks = [
        changed(0, good.blobs[1].sealed),
        changed(0, good.blobs[0].sealed[:-1] + b"\x00"),
        changed(0, own[good.blobs[0].site]),  # what the victim sealed for that peer, sent back
        changed(0, b""),
    ]
    for attack in attacks:
        with pytest.raises(errors.ShareInvalid):
            federation.ask(wire.MEMBERS, VICTIM, attack)
    missing = pb.MembersRequest()
    missing.CopyFrom(good)
    del missing.blobs[0]
    with pytest.raises(errors.ShareInvalid):
        federation.ask(wire.MEMBERS, VICTIM, missing)
    twice = pb.MembersRequest()
    twice.CopyFrom(good)
    twice.blobs.append(good.blobs[0])
    with pytest.raises(errors.ShareInvalid):
        federation.ask(wire.MEMBERS, VICTIM, twice)
    assert federation.ask(wire.MEMBERS, VICTIM, good).site == VICTIM


def test_sites_with_different_key_lists_cannot_read_each_other(federate: Make) -> None:
    # both lists are genuine and have t sites; one leaves out site-005, the other site-004
    federation = federate()
    shown = adverts(federation)
    replies = {name: share(federation, shown[:4], name) for name in federation.names[:3]}
    replies["site-005"] = share(federation, [*shown[:3], shown[4]], "site-005")
    request = members_request(replies, VICTIM, ["site-001", "site-002", "site-003"])
    with pytest.raises(errors.TooFewPeers):
        federation.ask(wire.MEMBERS, VICTIM, request)
    with pytest.raises(errors.SiteNotOnRoster):
        federation.ask(wire.MEMBERS, VICTIM, members_request(replies, VICTIM))
    replies = {name: reply for name, reply in replies.items() if name != "site-005"}
    replies["site-004"] = share(federation, shown, "site-004")
    with pytest.raises(errors.ShareInvalid):
        federation.ask(wire.MEMBERS, VICTIM, members_request(replies, VICTIM))


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        (["site-001", "site-002", "site-003"], errors.TooFewPeers),
        (["site-001", "site-002", "site-003", "site-003"], errors.SiteRepeated),
        (["site-001", "site-002", "site-003", "site-999"], errors.SiteNotOnRoster),
        (["site-002", "site-003", "site-004", "site-005"], errors.OutsideSurvivors),
    ],
)
def test_false_members_are_not_signed(
    federate: Make, members: list[str], refusal: type[errors.FedValueError]
) -> None:
    federation = federate()
    request = members_request(shared(federation), VICTIM)
    del request.members[:]
    request.members.extend(members)
    with pytest.raises(refusal):
        federation.ask(wire.MEMBERS, VICTIM, request)


def test_an_epoch_has_one_set_of_members(federate: Make) -> None:
    federation = federate()
    replies = shared(federation)
    first = federation.ask(wire.MEMBERS, VICTIM, members_request(replies, VICTIM))
    assert federation.ask(wire.MEMBERS, VICTIM, members_request(replies, VICTIM)) == first
    with pytest.raises(errors.EpochSettled):
        federation.ask(wire.MEMBERS, VICTIM, members_request(replies, VICTIM, federation.names[:4]))


def test_members_are_not_signed_before_shares(federate: Make) -> None:
    federation = federate()
    adverts(federation)
    request = pb.MembersRequest(epoch=EPOCH, study_hash=STUDY, members=federation.names)
    with pytest.raises(errors.StepOutOfOrder):
        federation.ask(wire.MEMBERS, VICTIM, request)


def test_a_split_of_the_members_costs_no_budget(federate: Make) -> None:
    # sites 1 to 3 are told that U2 is everybody, sites 4 and 5 that site 3 is out; no side has t = 4
    federation = federate()
    out = {"site-004", "site-005"}

    def split(step: str, site: str, message: Message) -> Message:
        if step == wire.MEMBERS and site in out:
            assert isinstance(message, pb.MembersRequest)
            message.members.remove("site-003")
            for blob in [b for b in message.blobs if b.site == "site-003"]:
                message.blobs.remove(blob)
        return message

    federation.on_request = split
    with pytest.raises(TooFewSites):  # an honest coordinator's code notices; a hostile one goes on
        federation.rounds(1).attempt("release-1", 1)
    assert federation.debits() == 0


# ---- the roster --------------------------------------------------------------------------------------------


def members_of(*changes: tuple[int, str, object]) -> tuple[Member, ...]:
    found = [Member(f"s{i}", f"Hospital {i}", bytes([i]) * 32) for i in range(5)]
    for place, field, value in changes:
        old = found[place]
        values = {"site": old.site, "entity": old.entity, "public_key": old.public_key, field: value}
        found[place] = Member(**values)  # type: ignore[arg-type]  # one field is replaced
    return tuple(found)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ((1, "entity", "Hospital 0"), errors.EntityRepeated),
        ((1, "entity", "hospital   0 "), errors.EntityRepeated),
        ((1, "site", "s0"), errors.SiteRepeated),
        ((1, "public_key", bytes(32)), errors.KeyRepeated),
    ],
)
def test_two_sites_of_one_entity_are_not_a_membership(
    change: tuple[int, str, object], refusal: type[errors.FedValueError]
) -> None:
    with pytest.raises(refusal):
        Membership(ROSTER, members_of(change), thresholds(5))


def test_thresholds_that_do_not_protect_are_not_a_membership() -> None:
    for limits in (Thresholds(5, 1, 3), Thresholds(5, 4, 0), Thresholds(5, 0, 1)):
        with pytest.raises(TooFewSites):
            Membership(ROSTER, members_of(), limits)
    with pytest.raises(errors.SiteNotOnRoster):
        Membership(ROSTER, members_of(), thresholds(6))


# ---- messages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "payload"),
    [
        ("keys", b"\xff\xff"),
        ("keys", b"\x0a\x04\x0a\x02\xff\xfe"),  # a suite that is not UTF-8
        ("keys", pb.KeysRequest().SerializeToString() + b"\xfa\x01\x01a"),  # field 31, unknown
        ("gossip", b""),
    ],
)
def test_what_does_not_parse_is_refused(federate: Make, step: str, payload: bytes) -> None:
    with pytest.raises(errors.MessageInvalid):
        federate().sites[VICTIM].answer(step, payload)


@pytest.mark.parametrize("step", ["keys", "shares", "members", "masked", "consistency", "unmask"])
def test_an_empty_request_is_refused_at_every_step(federate: Make, step: str) -> None:
    federation = federate()
    with pytest.raises(errors.Refusal):
        federation.sites[VICTIM].answer(step, b"")
    assert federation.debits() == 0
