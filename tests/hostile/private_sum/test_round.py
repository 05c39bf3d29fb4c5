"""A hostile coordinator in a round: one question, one vector, one set of survivors, one release of shares."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
from flwr.app import ConfigRecord
from flwr.client.mod.secure_aggregation.secaggplus_mod import SecAggPlusState, _unmask
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue import errors
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum import transcript
from fedvalue.secure_sum.membership import Membership
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.strategies.secure_aggregation.private_sum import wire
from tests.sum_attacker import EPOCH, Attacker
from tests.sum_federation import ROSTER, Federation

Make = Callable[..., Federation]
VICTIM = "site-001"
OTHERS = ["site-002", "site-003", "site-004", "site-005"]


def prepared(federate: Make, **options: object) -> tuple[Federation, Attacker]:
    federation = federate(**options)
    return federation, Attacker(federation)


# ---- the question ------------------------------------------------------------------------------------------


def change_settings(field: str, value: object) -> Callable[[pb.RoundSpecification], None]:
    return lambda shown: setattr(shown.settings, field, value)


def change(field: str, value: object) -> Callable[[pb.RoundSpecification], None]:
    return lambda shown: setattr(shown, field, value)


def change_block(field: str, value: object) -> Callable[[pb.RoundSpecification], None]:
    return lambda shown: setattr(shown.blocks[0], field, value)


@pytest.mark.parametrize(
    "attack",
    [
        change_settings("suite", "intl-0"),
        change_settings("roster_hash", "1" * 64),
        change_settings("sites", 3),
        change_settings("answers", 2),
        change_settings("colluding", 4),
        change_settings("rounds", 64),
        change("ring_bits", 32),
        change("query", "b" * 64),  # another model or query than the one that was approved
        change("dimension", 1),
        change("log2_scale", 1),
        change("exact", True),
        change_block("gamma", "4294967296"),
        change_block("bound_squared", "1/1000000"),
        change_block("rho_units", "1000000000"),
        change_block("dimension", 1),
        change_block("name", "other"),
        lambda shown: shown.blocks.append(shown.blocks[0]),
        lambda shown: shown.blocks.pop(),
        lambda shown: shown.members.pop(),
        lambda shown: shown.members.append("site-006"),
        lambda shown: shown.analyses.append("another"),
    ],
)
def test_the_coordinator_chooses_no_parameter_of_a_round(
    federate: Make, attack: Callable[[pb.RoundSpecification], None]
) -> None:
    federation, attacker = prepared(federate)
    request = attacker.masked_request(attacker.specification())
    attack(request.specification)
    # the coordinator even computes the question that would follow from its specification
    shown = wire.specification_of(request.specification)
    request.question = attacker.ref(shown).question
    with pytest.raises(errors.SpecificationDiffers):
        federation.ask(wire.MASKED, VICTIM, request)
    assert federation.debits() == 0
    assert federation.journals[VICTIM].peek(EPOCH, 1, wire.MASKED) is None


def test_a_release_that_the_plan_does_not_hold_is_refused(federate: Make) -> None:
    federation, attacker = prepared(federate)
    request = attacker.masked_request(attacker.specification())
    request.specification.label = "men called Smith"
    with pytest.raises(errors.ReleaseUnknown):
        federation.ask(wire.MASKED, VICTIM, request)
    assert federation.debits() == 0


@pytest.mark.parametrize("number", [0, 4, 2**31])
def test_a_round_that_the_epoch_does_not_have_is_refused(federate: Make, number: int) -> None:
    federation, attacker = prepared(federate)
    with pytest.raises(errors.RoundBurnt):
        federation.ask(wire.MASKED, VICTIM, attacker.masked_request(attacker.specification(number)))
    assert federation.debits() == 0


def test_attempts_are_counted_from_one(federate: Make) -> None:
    federation, attacker = prepared(federate)
    with pytest.raises(errors.RoundBurnt):
        federation.ask(wire.MASKED, VICTIM, attacker.masked_request(attacker.specification(attempt=0)))


def test_a_question_hash_of_the_coordinators_own_is_refused(federate: Make) -> None:
    federation, attacker = prepared(federate)
    request = attacker.masked_request(attacker.specification())
    request.question = bytes(32)
    with pytest.raises(errors.SpecificationDiffers):
        federation.ask(wire.MASKED, VICTIM, request)
    assert federation.debits() == 0


@pytest.mark.parametrize("again", [{"attempt": 2}, {"label": "release-2"}])
def test_a_round_carries_one_question(federate: Make, again: dict[str, object]) -> None:
    federation, attacker = prepared(federate)
    attacker.vectors(attacker.specification(), [VICTIM])
    second = attacker.specification(**again)  # type: ignore[arg-type]  # one keyword of it
    with pytest.raises(errors.RoundTaken):
        attacker.vectors(second, [VICTIM])
    assert len(federation.ledgers[VICTIM].debits) == 1


def test_a_retransmission_gets_the_same_bytes_and_costs_nothing(federate: Make) -> None:
    federation, attacker = prepared(federate)
    request = attacker.masked_request(attacker.specification())
    first = federation.ask(wire.MASKED, VICTIM, request)
    assert federation.ask(wire.MASKED, VICTIM, request) == first
    federation.restart(VICTIM)
    assert federation.ask(wire.MASKED, VICTIM, request) == first
    assert len(federation.ledgers[VICTIM].debits) == 1


def test_after_a_restart_only_the_question_that_was_answered_is_answered(federate: Make) -> None:
    federation, attacker = prepared(federate)
    attacker.vectors(attacker.specification(), [VICTIM])
    federation.restart(VICTIM)
    for own in (attacker.specification(attempt=2), attacker.specification(2)):
        with pytest.raises(errors.EpochUnknown):
            attacker.vectors(own, [VICTIM])
    assert len(federation.ledgers[VICTIM].debits) == 1


def test_a_round_whose_answer_was_lost_inside_the_site_is_burnt(federate: Make) -> None:
    # the site failed between the journal and the answer: perhaps charged, certainly never asked again
    federation, attacker = prepared(federate)
    ledger = federation.ledgers[VICTIM]
    ledger.refuses = errors.LedgerError("the disk is full")
    own = attacker.specification()
    with pytest.raises(errors.LedgerError):
        attacker.vectors(own, [VICTIM])
    ledger.refuses = None
    with pytest.raises(errors.RoundBurnt):
        attacker.vectors(own, [VICTIM])
    assert ledger.debits == []


def test_rounds_do_not_go_back(federate: Make) -> None:
    federation, attacker = prepared(federate)
    attacker.vectors(attacker.specification(3), [VICTIM])
    with pytest.raises(errors.RoundBurnt):
        attacker.vectors(attacker.specification(1), [VICTIM])
    with pytest.raises(errors.RoundBurnt):
        attacker.vectors(attacker.specification(2), [VICTIM])
    assert len(federation.ledgers[VICTIM].debits) == 1


def test_a_vector_needs_t_members_that_signed_the_same(federate: Make) -> None:
    federation, attacker = prepared(federate)
    request = attacker.masked_request(attacker.specification())
    forged = pb.MaskedRequest()
    forged.CopyFrom(request)
    forged.agreement[0].signature, forged.agreement[1].signature = (
        forged.agreement[1].signature,
        forged.agreement[0].signature,
    )
    repeated = pb.MaskedRequest()
    repeated.CopyFrom(request)
    del repeated.agreement[3:]
    repeated.agreement.extend([request.agreement[0]] * 5)
    stranger = pb.MaskedRequest()
    stranger.CopyFrom(request)
    del stranger.agreement[3:]
    stranger.agreement.append(pb.MembersSigned(site="site-999", signature=b"s" * 64))
    for attack in (forged, stranger):
        with pytest.raises(errors.AgreementSplit):
            federation.ask(wire.MASKED, VICTIM, attack)
    with pytest.raises(errors.SiteRepeated):
        federation.ask(wire.MASKED, VICTIM, repeated)
    assert federation.debits() == 0


def test_a_vector_needs_settled_members(federate: Make) -> None:
    federation, attacker = prepared(federate)
    request = attacker.masked_request(attacker.specification())
    epoch = "f" * 32
    settings = wire.settings_message(federation.agreed.settings(epoch, 3))
    federation.ask(wire.KEYS, VICTIM, pb.KeysRequest(settings=settings))
    request.specification.settings.epoch = epoch
    with pytest.raises(errors.StepOutOfOrder):
        federation.ask(wire.MASKED, VICTIM, request)


# ---- the last transcript -----------------------------------------------------------------------------------


def test_the_last_transcript_cannot_be_left_out_made_up_or_replaced_by_an_older_one(federate: Make) -> None:
    federation, attacker = prepared(federate)
    first = attacker.opened(1)
    second = attacker.opened(2, first)
    own = attacker.specification(3)
    unsigned = pb.LastTranscript()
    unsigned.CopyFrom(second)
    del unsigned.signatures[3:]
    repeated = pb.LastTranscript()
    repeated.CopyFrom(unsigned)
    repeated.signatures.extend([second.signatures[0]] * 3)
    invented = pb.LastTranscript()
    invented.CopyFrom(second)
    invented.survivors.pop()
    later = pb.LastTranscript()
    later.CopyFrom(second)
    later.round = 3
    for attack in (None, first, unsigned, invented, later):
        with pytest.raises(errors.TranscriptInvalid):
            attacker.vectors(own, [VICTIM], attack)
    with pytest.raises(errors.SiteRepeated):
        attacker.vectors(own, [VICTIM], repeated)
    stranger = pb.LastTranscript()
    stranger.CopyFrom(second)
    stranger.survivors.append("site-999")
    with pytest.raises(errors.SiteNotOnRoster):
        attacker.vectors(own, [VICTIM], stranger)
    assert len(federation.ledgers[VICTIM].debits) == 2
    assert attacker.vectors(own, [VICTIM], second)


def test_sites_that_saw_different_questions_give_nothing_that_can_be_opened(federate: Make) -> None:
    # the last transcript is shown to site-001 and kept from site-005, which missed the round: both answer,
    # with masks that do not cancel; no site signs a list that holds an input to another question
    federation, attacker = prepared(federate)
    own = attacker.specification(1)
    ref = attacker.ref(own)
    inputs = attacker.vectors(own, federation.names[:4])
    signatures = attacker.consistent(ref, inputs, federation.names[:4])
    for site in inputs:
        federation.ask(wire.UNMASK, site, attacker.unmask_request(ref, inputs, signatures))
    last = attacker.last(ref, inputs, signatures)
    second = attacker.specification(2, label="release-2")
    mixed = attacker.vectors(second, federation.names[:4], last) | attacker.vectors(second, ["site-005"])
    seen = attacker.ref(second, attacker.hash_of(last))
    for site in federation.names[:4]:
        with pytest.raises(errors.MessageUnsigned):
            attacker.consistent(seen, mixed, [site])


# ---- consistency -------------------------------------------------------------------------------------------


def test_a_site_signs_one_set_of_survivors(federate: Make) -> None:
    attacker = prepared(federate)[1]
    own = attacker.specification()
    ref = attacker.ref(own)
    inputs = attacker.vectors(own)
    first = attacker.consistent(ref, inputs, [VICTIM])
    assert attacker.consistent(ref, inputs, [VICTIM]) == first
    smaller = {site: entry for site, entry in inputs.items() if site != "site-005"}
    with pytest.raises(errors.ConsistencyTaken):
        attacker.consistent(ref, smaller, [VICTIM])


def test_two_sets_of_survivors_cannot_both_be_unmasked(federate: Make) -> None:
    # U3 = everybody is shown to sites 1 and 2, U3 without site 5 to sites 3 and 4; neither gets t = 4
    # signatures, and the signatures of both together count for neither
    federation, attacker = prepared(federate)
    own = attacker.specification()
    ref = attacker.ref(own)
    inputs = attacker.vectors(own)
    smaller = {site: entry for site, entry in inputs.items() if site != "site-005"}
    signatures = attacker.consistent(ref, inputs, ["site-001", "site-002", "site-005"])
    others = attacker.consistent(ref, smaller, ["site-003", "site-004"])
    for site in ("site-001", "site-002"):
        with pytest.raises(errors.TooFewPeers):
            federation.ask(wire.UNMASK, site, attacker.unmask_request(ref, inputs, [*signatures, *others]))
    for site in ("site-003", "site-004"):
        with pytest.raises(errors.TooFewPeers):
            federation.ask(wire.UNMASK, site, attacker.unmask_request(ref, smaller, [*signatures, *others]))


def test_a_site_outside_the_survivors_erases_the_round(federate: Make) -> None:
    attacker = prepared(federate)[1]
    own = attacker.specification()
    ref = attacker.ref(own)
    inputs = attacker.vectors(own)
    smaller = {site: entry for site, entry in inputs.items() if site != VICTIM}
    with pytest.raises(errors.OutsideSurvivors):
        attacker.consistent(ref, smaller, [VICTIM])
    with pytest.raises(errors.StepOutOfOrder):  # gone: not even honest survivors are signed now
        attacker.consistent(ref, inputs, [VICTIM])


def test_a_site_that_signed_and_is_then_left_out_erases_the_round(federate: Make) -> None:
    federation, attacker = prepared(federate)
    own = attacker.specification()
    ref = attacker.ref(own)
    inputs = attacker.vectors(own)
    signatures = attacker.consistent(ref, inputs)
    smaller = {site: entry for site, entry in inputs.items() if site != VICTIM}
    with pytest.raises(errors.OutsideSurvivors):
        federation.ask(wire.UNMASK, VICTIM, attacker.unmask_request(ref, smaller, signatures))
    with pytest.raises(errors.StepOutOfOrder):
        federation.ask(wire.UNMASK, VICTIM, attacker.unmask_request(ref, inputs, signatures))


def test_false_lists_of_inputs_are_not_signed(federate: Make) -> None:
    federation, attacker = prepared(federate)
    own = attacker.specification()
    ref = attacker.ref(own)
    inputs = attacker.vectors(own)

    def shown(**changed: object) -> pb.ConsistencyRequest:
        entries = dict(inputs)
        for site, entry in changed.items():
            name = site.replace("_", "-")
            if entry is None:
                del entries[name]
            else:
                entries[name] = entry  # type: ignore[assignment]  # a signed input
        return attacker.consistency_request(ref, entries.values())

    peer = inputs["site-002"]
    attacks = [
        (shown(site_001=replace(inputs[VICTIM], vector_hash=bytes(32))), errors.OwnInputChanged),
        (shown(site_002=replace(peer, vector_hash=bytes(32))), errors.MessageUnsigned),
        (shown(site_002=replace(peer, vector_hash=b"short")), errors.MessageInvalid),
        (shown(site_002=replace(peer, ledger_counter=99)), errors.MessageUnsigned),
        (shown(site_002=replace(inputs["site-003"], site="site-002")), errors.MessageUnsigned),
        (shown(site_002=None, site_003=None), errors.TooFewPeers),
        (shown(site_006=replace(peer, site="site-006")), errors.SiteNotOnRoster),
    ]
    for request, refusal in attacks:
        with pytest.raises(refusal):
            federation.ask(wire.CONSISTENCY, VICTIM, request)
    twice = shown()
    twice.inputs.append(twice.inputs[1])
    with pytest.raises(errors.SiteRepeated):
        federation.ask(wire.CONSISTENCY, VICTIM, twice)
    other = shown()
    other.question = bytes(32)
    with pytest.raises(errors.RoundTaken):
        federation.ask(wire.CONSISTENCY, VICTIM, other)
    assert federation.journals[VICTIM].peek(EPOCH, 1, wire.CONSISTENCY) is None


def test_inputs_of_an_earlier_round_are_not_signed(federate: Make) -> None:
    attacker = prepared(federate)[1]
    own = attacker.specification(1)
    old = attacker.vectors(own)
    second = attacker.specification(2)
    new = attacker.vectors(second)
    mixed = new | {"site-002": old["site-002"]}
    with pytest.raises(errors.MessageUnsigned):
        attacker.consistent(attacker.ref(second), mixed, [VICTIM])
    with pytest.raises(errors.StepOutOfOrder):  # the first round was passed over
        attacker.consistent(attacker.ref(own), old, [VICTIM])


# ---- unmask ------------------------------------------------------------------------------------------------


def test_shares_need_t_signatures_of_distinct_survivors(federate: Make) -> None:
    federation, attacker = prepared(federate)
    own = attacker.specification()
    ref = attacker.ref(own)
    inputs = attacker.vectors(own)
    signatures = attacker.consistent(ref, inputs)
    forged = [pb.SurvivorsSigned(site=s.site, signature=signatures[0].signature) for s in signatures]
    for shown in ([], signatures[:3], forged):
        with pytest.raises(errors.TooFewPeers):
            federation.ask(wire.UNMASK, VICTIM, attacker.unmask_request(ref, inputs, shown))
    repeated = signatures[:3] + [signatures[0]] * 5
    with pytest.raises(errors.SiteRepeated):
        federation.ask(wire.UNMASK, VICTIM, attacker.unmask_request(ref, inputs, repeated))


def test_a_signature_of_a_site_outside_the_survivors_does_not_count(federate: Make) -> None:
    federation, attacker = prepared(federate, n=7, c=1, f=2)  # t = 5
    own = attacker.specification()
    ref = attacker.ref(own)
    inputs = attacker.vectors(own, federation.names[:6])
    signatures = attacker.consistent(ref, inputs, federation.names[:4])
    # site-007 is bribed: it signs survivors to which it does not belong
    content = attacker.last(ref, inputs, []).inputs_hash
    signed = transcript.survivors_content(ref, sorted(inputs), content)
    bribed = federation.agreed.suite.sign(federation.identities["site-007"], "survivors", signed)
    signatures.append(pb.SurvivorsSigned(site="site-007", signature=bribed))
    with pytest.raises(errors.TooFewPeers):
        federation.ask(wire.UNMASK, VICTIM, attacker.unmask_request(ref, inputs, signatures))


def test_shares_are_not_released_before_the_site_signed_the_survivors(federate: Make) -> None:
    federation, attacker = prepared(federate)
    own = attacker.specification()
    ref = attacker.ref(own)
    inputs = attacker.vectors(own)
    signatures = attacker.consistent(ref, inputs, OTHERS)
    with pytest.raises(errors.StepOutOfOrder):
        federation.ask(wire.UNMASK, VICTIM, attacker.unmask_request(ref, inputs, signatures))


def test_no_site_releases_both_shares_of_another(federate: Make) -> None:
    # the attack that recovers a vector from Flower's SecAgg+: name the victim among the living and the dead.
    # Here the dead are not named: they are the members that are not among the survivors.
    federation, attacker = prepared(federate)
    own = attacker.specification()
    ref = attacker.ref(own)
    inputs = attacker.vectors(own)
    signatures = attacker.consistent(ref, inputs)
    request = attacker.unmask_request(ref, inputs, signatures)
    twice = pb.UnmaskRequest()
    twice.CopyFrom(request)
    twice.survivors.append("site-002")
    with pytest.raises(errors.SiteRepeated):
        federation.ask(wire.UNMASK, VICTIM, twice)
    first = federation.ask(wire.UNMASK, VICTIM, request)
    assert {share.site for share in first.self_masks} == set(federation.names)
    assert not first.mask_keys
    without = {site: entry for site, entry in inputs.items() if site != "site-002"}
    with pytest.raises(errors.ConsistencyTaken):
        federation.ask(wire.UNMASK, VICTIM, attacker.unmask_request(ref, without, signatures))
    assert federation.ask(wire.UNMASK, VICTIM, request) == first  # a retransmission is the same bytes


def test_shares_of_a_lost_site_are_of_its_mask_key_alone(federate: Make) -> None:
    federation, attacker = prepared(federate)
    own = attacker.specification()
    ref = attacker.ref(own)
    attacker.vectors(own, ["site-005"])  # the coordinator has its vector, and says that it has not
    inputs = attacker.vectors(own, federation.names[:4])
    signatures = attacker.consistent(ref, inputs)
    for site in inputs:
        reply = federation.ask(wire.UNMASK, site, attacker.unmask_request(ref, inputs, signatures))
        assert {share.site for share in reply.self_masks} == set(inputs)
        assert [share.site for share in reply.mask_keys] == ["site-005"]
    with pytest.raises(errors.OutsideSurvivors):
        attacker.consistent(ref, inputs, ["site-005"])


def test_a_journal_knows_what_another_process_released(federate: Make) -> None:
    # two processes of one site on one journal, both in memory of the round: a clone of a running machine
    federation, attacker = prepared(federate)
    own = attacker.specification()
    ref = attacker.ref(own)
    inputs = attacker.vectors(own)
    signatures = attacker.consistent(ref, inputs)
    journal = federation.journals[VICTIM]
    journal.first(EPOCH, 1, wire.UNMASK, b"u" * 32)  # the other process was asked first
    with pytest.raises(errors.UnmaskTaken):
        federation.ask(wire.UNMASK, VICTIM, attacker.unmask_request(ref, inputs, signatures))


def test_a_folder_put_back_under_a_living_site_changes_nothing(federate: Make) -> None:
    federation, attacker = prepared(federate)
    journal = federation.journals[VICTIM]
    copies = copy.deepcopy((journal.places, journal.replies))
    own = attacker.specification()
    ref = attacker.ref(own)
    inputs = attacker.vectors(own)
    attacker.consistent(ref, inputs, [VICTIM])
    journal.places, journal.replies = copies
    with pytest.raises(errors.RoundBurnt):
        attacker.vectors(own, [VICTIM])
    smaller = {site: entry for site, entry in inputs.items() if site != "site-005"}
    with pytest.raises(errors.ConsistencyTaken):
        attacker.consistent(ref, smaller, [VICTIM])
    assert len(federation.ledgers[VICTIM].debits) == 1


# ---- sums without noise ------------------------------------------------------------------------------------


def test_a_sum_without_noise_is_refused_by_default(federate: Make) -> None:
    federation, attacker = prepared(federate, exact=True)
    with pytest.raises(errors.PolicyForbids):
        attacker.vectors(attacker.specification(), [VICTIM])
    assert federation.debits() == 0


def test_sums_without_noise_are_over_one_set_of_sites(federate: Make) -> None:
    # the difference of two exact sums, with and without one site, would be that site's vector
    federation, attacker = prepared(federate, exact=True, unsafe_exact=True)
    last = attacker.opened(1)
    own = attacker.specification(2)
    inputs = attacker.vectors(own, federation.names[:4], last)
    ref = attacker.ref(own, attacker.hash_of(last))
    for site in inputs:
        with pytest.raises(errors.SurvivorsChanged):
            attacker.consistent(ref, inputs, [site])


def test_the_survivors_of_sums_without_noise_outlive_the_process(federate: Make) -> None:
    federation, attacker = prepared(federate, exact=True, unsafe_exact=True)
    last = attacker.opened(1)
    for site in federation.names:
        federation.restart(site)
    again = Attacker(federation, epoch="f" * 32)
    own = again.specification(1)
    inputs = again.vectors(own, federation.names[:4], last)
    for site in inputs:
        with pytest.raises(errors.SurvivorsChanged):
            again.consistent(again.ref(own, again.hash_of(last)), inputs, [site])


def test_an_approval_that_changes_within_an_epoch_counts_at_once(federate: Make) -> None:
    federation, attacker = prepared(federate, exact=True, unsafe_exact=True)
    own = attacker.specification()
    before = federation.agreed
    federation.agreed = replace(before, unsafe_exact=False)  # the officer takes the permission back
    with pytest.raises(errors.PolicyForbids):
        attacker.vectors(own, [VICTIM])
    fewer = Membership(ROSTER, before.membership.members[:4], thresholds(4))
    federation.agreed = replace(before, membership=fewer)
    with pytest.raises(errors.RosterMismatch):
        attacker.vectors(own, [VICTIM])
    assert federation.debits() == 0


# ---- anything at all ---------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_changed_request_is_answered_or_refused_and_nothing_else(data: st.DataObject) -> None:
    federation = Federation(4, dimension=3)
    sent: list[tuple[str, bytes]] = []
    honest = federation.ask

    def ask(step: str, name: str, message: Message) -> object:
        sent.append((step, message.SerializeToString()))
        return honest(step, name, message)

    federation.ask = ask  # type: ignore[method-assign]  # listens in
    Attacker(federation).opened(1)
    for step, payload in data.draw(st.lists(st.sampled_from(sent), min_size=5, max_size=9)):
        changed = bytearray(payload)
        for _ in range(data.draw(st.integers(1, 4))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(changed)))
        attack = bytes(changed[:cut]) if data.draw(st.booleans()) else bytes(changed)
        try:
            reply = federation.sites[VICTIM].answer(step, attack)
        except errors.Refusal:
            continue
        federation.heard.append((step, VICTIM, attack, reply))
        federation.nothing_leaked()


def test_flowers_client_releases_both_shares_of_a_victim() -> None:
    # why this project does not use it: flwr 1.41, the victim is named among the living and the dead
    state = SecAggPlusState()
    state.threshold = 2
    state.rd_seed_share_dict = {1: b"seed of 1", 2: b"seed of 2"}
    state.sk1_share_dict = {1: b"key of 1", 2: b"key of 2"}
    told = _unmask(state, ConfigRecord({"active_nids": [1, 2], "dead_nids": [1]}))
    assert told["shares"] == [b"seed of 1", b"seed of 2", b"key of 1"]
