"""Where node, ledger, approvals and protocol meet: what changes in between, and who sees how long."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, RecordDict
from google.protobuf.message import Message

from fedvalue.client import node as node_module
from fedvalue.client.governance.approvals import ApprovedStudy, approve, approved, withdraw
from fedvalue.client.home import SiteHome
from fedvalue.client.node_receipts import NodeReceipts
from fedvalue.client.private_share import private_share
from fedvalue.client.relay import serving
from fedvalue.errors import MessageInvalid, OutputError, SpecificationDiffers
from fedvalue.privacy.randomness import SystemNoise
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum.specification import RoundSpecification
from fedvalue.strategies.secure_aggregation.messages import STEP, StepRequest, Wire
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.study.approval import CLEAR_SUM, NO_NOISE
from tests.agreement import SMALL, study
from tests.federation import FIVE, Hospitals, load_records
from tests.wired_federation import Wired

VICTIM = "s02"


def spent(hospitals: Hospitals) -> int:
    with hospitals.home(VICTIM).ledger() as ledger:
        return ledger.spent().rho_units or 0


# ---- approvals that change in between ----------------------------------------------------------------------


def test_a_study_approved_without_noise_while_a_round_is_asked_gives_no_vector(
    hospitals: Hospitals, wired: Wired
) -> None:
    """The round was compared under the old approval; what would be drawn now has no noise in it."""
    attacker = wired.attacker()
    asked: RoundSpecification = attacker.specification()
    home = hospitals.home(VICTIM)
    approve(home, FIVE, hospitals.roster, unsafe=(NO_NOISE,))
    found = approved(home, wired.agreed.study_hash)
    closed = NodeReceipts(lambda: home, lambda _: found, None)  # type: ignore[arg-type]  # its store is not asked
    with pytest.raises(SpecificationDiffers):
        private_share(home, found, asked, bytes(32), SystemNoise(), start=closed)
    assert wired.debits(VICTIM) == []


def test_an_approval_that_changed_while_it_was_read_is_not_kept_under_the_old_state(
    hospitals: Hospitals, wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old files, new files while they are read, old files again: the node must answer under the old ones."""
    home, digest = hospitals.home(VICTIM), wired.agreed.study_hash
    folder = home.study_folder(digest)
    shutil.copytree(folder, old := folder.parent / "old")
    real = approved

    def slow(home: SiteHome, study_hash: str) -> ApprovedStudy:
        approve(home, FIVE, hospitals.roster, unsafe=(NO_NOISE,))
        return real(home, study_hash)

    wired.restart(VICTIM)
    monkeypatch.setattr(node_module, "approved", slow)
    wired.ask(wire.REOPEN, VICTIM, pb.ReopenRequest(study_hash=digest))
    monkeypatch.setattr(node_module, "approved", real)
    for name in ("approval.json", "study.json", "roster.json", "frozen.json"):
        shutil.copy(old / name, folder / name)
    assert wired.reopened(VICTIM) == {}
    attacker = wired.attacker()
    # the reservation is the exact one's, so that nothing is drawn; a kept approval would have had no noise
    request = attacker.masked_request(attacker.specification())
    assert wired.code(wire.MASKED, VICTIM, request) == "not_reserved"


def test_neither_a_withdrawal_nor_another_way_of_summing_gives_budget_back(
    hospitals: Hospitals, wired: Wired
) -> None:
    attacker = wired.attacker()
    attacker.vectors(attacker.specification(), [VICTIM])
    paid = spent(hospitals)
    assert paid > 0
    home = hospitals.home(VICTIM)
    withdraw(home, wired.agreed.study_hash)
    approve(home, FIVE, hospitals.roster, unsafe=(CLEAR_SUM,))
    settings = wire.settings_message(wired.agreed.settings("a" * 32, 1))
    assert wired.code(wire.KEYS, VICTIM, pb.KeysRequest(settings=settings)) == "policy_forbids"
    approve(home, FIVE, hospitals.roster, unsafe=())
    again = wired.attacker()
    first = again.masked_request(again.specification(1))
    assert wired.code(wire.MASKED, VICTIM, first) == "attempt_taken"
    again.vectors(again.specification(2, attempt=2), [VICTIM])
    assert spent(hospitals) == 2 * paid
    third = again.masked_request(again.specification(3, attempt=3))
    assert wired.code(wire.MASKED, VICTIM, third) == "spare_attempts_spent"
    assert spent(hospitals) == 2 * paid


def test_two_studies_share_a_label_and_nothing_else(hospitals: Hospitals) -> None:
    """Rounds are taken in turns; an epoch, its members' signatures and its vectors are of one study."""
    other = study(
        ('id = "small"', 'id = "other"'), ("min_sites = 3", "min_sites = 5"),
        ("dropouts = 0", "dropouts = 1"), text=SMALL,
    )  # fmt: skip
    for home in hospitals.homes():
        approve(home, other, hospitals.roster, unsafe=())
    both = Hospitals(hospitals.folder, other, hospitals.roster, clear_sum=False)
    with Wired(hospitals) as one, Wired(both, nodes=one.nodes) as two:
        assert one.reopened() == {}  # the same roster: one word of the peers is enough
        first, second = one.attacker(), two.attacker()
        stolen = first.masked_request(first.specification())
        stolen.specification.settings.study_hash = second.study_hash
        assert one.code(wire.MASKED, VICTIM, stolen) == "epoch_unknown"
        taken = wire.settings_message(two.agreed.settings(first.epoch.settings.epoch, 3))
        assert two.code(wire.KEYS, VICTIM, pb.KeysRequest(settings=taken)) == "epoch_taken"
        mixed = second.masked_request(second.specification())
        del mixed.agreement[:]
        mixed.agreement.extend(first.epoch.agreement.values())
        assert two.code(wire.MASKED, VICTIM, mixed) == "agreement_split"
        last = first.opened(1)
        shown = second.masked_request(second.specification())
        shown.last.CopyFrom(last)  # a transcript of the other study
        assert two.code(wire.MASKED, VICTIM, shown) == "transcript_invalid"
        second.opened(1)
        labels = [entry.attempt for entry in one.debits(VICTIM)]
        assert labels == [(first.study_hash, "release-1", 1), (second.study_hash, "release-1", 1)]


# ---- what a refusal, a length or a wait tells --------------------------------------------------------------


def test_one_patient_and_many_are_answered_alike(hospitals: Hospitals) -> None:
    """After approval: a site with one patient and one with many, in codes, lengths and prices."""
    load_records(hospitals.home("s03"), 1)
    for name in ("s03", "s04"):
        withdraw(hospitals.home(name), hospitals.plan.study_hash)
        approve(hospitals.home(name), FIVE, hospitals.roster, unsafe=())
    with Wired(hospitals) as wired:
        assert wired.reopened() == {}
        attacker = wired.attacker()
        request = attacker.masked_request(attacker.specification())
        replies = {name: wired.ask(wire.MASKED, name, request) for name in ("s03", "s04")}
        assert len(replies["s03"].vector) == len(replies["s04"].vector)
        paid = {entry.price for name in ("s03", "s04") for entry in wired.debits(name)}
        assert len(paid) == 1


def test_another_message_does_not_tell_how_long_the_rows_took(hospitals: Hospitals) -> None:
    """Steps wait for each other. If the pace were kept outside, a second message would be the stopwatch."""
    home = hospitals.home(VICTIM)
    policy = home.policy.model_copy(update={"answer_every": 0.5})
    home.policy_file.write_text(policy.to_toml(), encoding="utf-8")
    approve(hospitals.home(VICTIM), FIVE, hospitals.roster, unsafe=())
    with Wired(hospitals) as wired:
        assert wired.reopened() == {}
        attacker = wired.attacker()
        request = attacker.masked_request(attacker.specification())
        began = time.monotonic()
        rows = threading.Thread(target=wired.ask, args=(wire.MASKED, VICTIM, request))
        rows.start()
        while not wired.debits(VICTIM):
            time.sleep(0.01)
        wired.ask(wire.REOPEN, VICTIM, pb.ReopenRequest(study_hash=wired.agreed.study_hash))
        waited = time.monotonic() - began
        rows.join()
        assert waited >= 0.5


def test_what_a_coordinator_writes_stays_short_and_on_one_line_of_the_audit_log(
    hospitals: Hospitals, wired: Wired
) -> None:
    home = hospitals.home(VICTIM)
    before = len(home.audit_file.read_text(encoding="utf-8").splitlines())
    evil = 'x\n{"event": "approved"}\u2028' + "y" * 10_000
    node = wired.nodes[VICTIM]
    for kind, content in (
        (evil, RecordDict()),
        (STEP, Wire.pack(StepRequest(evil, b"\xff" * 10_000))),
        (STEP, RecordDict({evil: ConfigRecord({"kind": evil})})),
        ("query.enrol", RecordDict({"fedvalue": ConfigRecord({"kind": "EnrolRequest", "study_hash": evil})})),
    ):
        node.answer(kind, content)
    lines = home.audit_file.read_bytes().split(b"\n")[:-1][before:]
    assert len(lines) == 4
    assert all(len(line) < 1_000 and json.loads(line) for line in lines)


# ---- public numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("public", [b"\x00", bytes(8), np.array([np.nan]).tobytes(), bytes(8 * 100_000)])
def test_numbers_that_the_plan_does_not_take_are_refused_before_the_debit(
    wired: Wired, public: bytes
) -> None:
    attacker = wired.attacker()
    request = attacker.masked_request(attacker.specification())
    request.specification.public = public
    assert wired.code(wire.MASKED, VICTIM, request) == "specification_differs"
    assert wired.debits(VICTIM) == []


# ---- the socket --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["file", "nothing", "folder"])
def test_a_link_at_the_place_of_the_socket_is_not_followed(tmp_path: Path, target: str) -> None:
    aim = tmp_path / "aim"
    if target == "file":
        aim.write_text("mine")
    elif target == "folder":
        aim.mkdir()
    link = tmp_path / "node.sock"
    link.symlink_to(aim)
    with pytest.raises(OutputError):
        serving(lambda kind, content: content, link)
    assert link.is_symlink()
    assert target != "file" or aim.read_text() == "mine"
    assert target != "nothing" or not aim.exists()


@pytest.mark.parametrize(
    ("step", "request_of"),
    [
        (wire.SHARES, lambda n: pb.SharesRequest(adverts=[pb.KeyAdvert()] * n)),
        (wire.SHARES, lambda n: pb.SharesRequest(adverts=[pb.KeyAdvert(rounds=[pb.RoundKeys()] * n)])),
        (wire.MEMBERS, lambda n: pb.MembersRequest(members=[""] * n)),
        (wire.MASKED, lambda n: pb.MaskedRequest(agreement=[pb.MembersSigned()] * n)),
        (wire.MASKED, lambda n: pb.MaskedRequest(last=pb.LastTranscript(survivors=[""] * n))),
        (wire.CONSISTENCY, lambda n: pb.ConsistencyRequest(inputs=[pb.SignedInput()] * n)),
        (wire.UNMASK, lambda n: pb.UnmaskRequest(signatures=[pb.SurvivorsSigned()] * n)),
        (wire.RECEIPTS, lambda n: pb.Receipts(receipts=[pb.Receipt()] * n)),
    ],
)
def test_a_list_of_empty_entries_does_not_fill_the_memory_of_a_site(
    step: str, request_of: Callable[[int], Message]
) -> None:
    payload = request_of(200_000).SerializeToString()
    assert len(payload) < 500_000
    with pytest.raises(MessageInvalid, match="at most 200 entries"):
        wire.request(step, payload)


def test_a_request_that_is_too_long_is_not_read() -> None:
    with pytest.raises(MessageInvalid, match="bytes"):
        wire.request(wire.KEYS, bytes(2**24 + 1))
