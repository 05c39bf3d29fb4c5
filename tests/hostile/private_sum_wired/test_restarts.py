"""A ledger that went back: at a restart, under a living node, between two rosters, within a round."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedvalue.client.governance.approvals import approve
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.study.roster import Roster
from tests.agreement import SMALL, study
from tests.federation import Hospitals, make_home
from tests.wired_federation import SaidNo, Wired

VICTIM = "s02"
OTHERS = ["s01", "s03", "s04", "s05"]


def put_back(hospitals: Hospitals, content: bytes) -> None:
    hospitals.home(VICTIM).ledger_file.write_bytes(content)


def test_peers_that_never_saw_the_ledger_do_not_open_it_for_those_that_did(
    hospitals: Hospitals, tmp_path: Path
) -> None:
    """Two peers of a second study have truly seen nothing: their word counts for their own study only."""
    second = study(('id = "small"', 'id = "second"'), text=SMALL)
    strangers = [make_home(hospitals.folder, name) for name in ("t01", "t02")]
    homes = [hospitals.home(VICTIM), *strangers]
    roster = Roster(site=tuple(home.card() for home in homes))
    for home in homes:
        approve(home, second, roster, unsafe=())
    older = hospitals.home(VICTIM).ledger_file.read_bytes()
    both = Hospitals(hospitals.folder, second, roster, clear_sum=False)
    with Wired(hospitals) as first, Wired(both, nodes=first.nodes) as other:
        other.begin("t01", "t02")
        assert first.reopened() == {}
        first.attacker().opened()
        assert len(first.debits(VICTIM)) == 1
        first.restart(VICTIM, lambda: put_back(hospitals, older))
        assert other.reopened(VICTIM) == {}
        settings = wire.settings_message(first.agreed.settings("a" * 32, 1))
        assert first.code(wire.KEYS, VICTIM, pb.KeysRequest(settings=settings)) == "site_closed"
        assert first.reopened(VICTIM) == {VICTIM: "ledger_rolled_back"}


def test_what_an_earlier_process_sent_is_not_opened_after_peers_have_spoken_of_its_ledger(
    hospitals: Hospitals, wired: Wired
) -> None:
    """Receipts first, the sum after: the lost debit would have been known to nobody."""
    older = hospitals.home(VICTIM).ledger_file.read_bytes()
    attacker = wired.attacker()
    own = attacker.specification()
    ref = attacker.ref(own)
    inputs = attacker.vectors(own)
    wired.restart(VICTIM, lambda: put_back(hospitals, older))
    assert wired.reopened(VICTIM) == {}  # nobody has seen the debit
    assert wired.debits(VICTIM) == []
    request = attacker.consistency_request(ref, inputs.values())
    assert {wired.code(wire.CONSISTENCY, name, request) for name in OTHERS} == {"site_closed"}
    # what is left is the sum without that vector, and the others' secrets of the round are whole
    rest = {name: entry for name, entry in inputs.items() if name != VICTIM}
    signatures = attacker.consistent(ref, rest)
    for name in OTHERS:
        wired.ask(wire.UNMASK, name, attacker.unmask_request(ref, rest, signatures))


def test_a_peer_that_signed_first_says_what_it_saw(hospitals: Hospitals, wired: Wired) -> None:
    older = hospitals.home(VICTIM).ledger_file.read_bytes()
    attacker = wired.attacker()
    own = attacker.specification()
    inputs = attacker.vectors(own)
    attacker.consistent(attacker.ref(own), inputs, OTHERS)
    wired.restart(VICTIM, lambda: put_back(hospitals, older))
    assert wired.reopened(VICTIM) == {VICTIM: "ledger_rolled_back"}


def test_a_site_does_not_leave_its_own_epoch_because_somebody_asks_it_about_itself(wired: Wired) -> None:
    attacker = wired.attacker()
    asks = pb.ReceiptRequest(site=VICTIM, study_hash=wired.agreed.study_hash, nonce=bytes(32))
    wired.ask(wire.RECEIPT, VICTIM, asks)
    own = attacker.specification()
    inputs = attacker.vectors(own)
    assert len(attacker.consistent(attacker.ref(own), inputs)) == 5


def test_a_ledger_put_back_under_a_living_node_is_charged_no_more(hospitals: Hospitals, wired: Wired) -> None:
    older = hospitals.home(VICTIM).ledger_file.read_bytes()
    wired.attacker().opened()
    put_back(hospitals, older)
    again = wired.attacker()
    request = again.masked_request(again.specification())
    assert wired.code(wire.MASKED, VICTIM, request) == "ledger_rolled_back"
    assert wired.debits(VICTIM) == []


def test_receipts_do_not_open_a_ledger_that_was_put_back_under_a_living_node(
    hospitals: Hospitals, wired: Wired
) -> None:
    older = hospitals.home(VICTIM).ledger_file.read_bytes()
    attacker = wired.attacker()
    attacker.vectors(attacker.specification(), [VICTIM])  # nobody has signed it: peers know nothing
    put_back(hospitals, older)
    assert wired.reopened(VICTIM) == {VICTIM: "ledger_rolled_back"}


def test_receipts_of_an_earlier_start_of_a_peer_or_with_another_hash_count_for_nothing(wired: Wired) -> None:
    asked = wired.ask(wire.REOPEN, VICTIM, pb.ReopenRequest(study_hash=wired.agreed.study_hash))
    early = [pb.Receipt(site=name, signed=wired.ask(wire.RECEIPT, name, asked).signed) for name in OTHERS]
    wired.restart(VICTIM)
    carried = pb.Receipts(study_hash=wired.agreed.study_hash, receipts=early)
    assert wired.code(wire.RECEIPTS, VICTIM, carried) == "site_closed"
    one = [early[0]] * 4
    carried = pb.Receipts(study_hash=wired.agreed.study_hash, receipts=one)
    assert wired.code(wire.RECEIPTS, VICTIM, carried) == "site_closed"


@pytest.mark.parametrize("step", [wire.KEYS, wire.MASKED])
def test_a_closed_node_gives_neither_keys_nor_a_vector(wired: Wired, step: str) -> None:
    attacker = wired.attacker()
    own = attacker.specification()
    request = attacker.masked_request(own)
    attacker.vectors(own)
    settings = wire.settings_message(wired.agreed.settings("b" * 32, 1))
    wired.restart(VICTIM)
    message = request if step == wire.MASKED else pb.KeysRequest(settings=settings)
    with pytest.raises(SaidNo, match="site_closed"):
        wired.ask(step, VICTIM, message)


def test_a_second_question_for_the_same_start_takes_nobody_out_of_the_epochs_since(wired: Wired) -> None:
    """A site with studies on several rosters is asked about once for each; only its restart ends an epoch."""
    wired.restart(VICTIM)
    assert wired.reopened(VICTIM) == {}
    attacker = wired.attacker()
    assert wired.reopened(VICTIM) == {}
    own = attacker.specification()
    inputs = attacker.vectors(own)
    assert len(attacker.consistent(attacker.ref(own), inputs)) == 5
