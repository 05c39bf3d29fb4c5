"""The client half against a coordinator that asks what it should not, and sites in another process."""

from __future__ import annotations

import gc
import pickle
import stat
from collections.abc import Iterator
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg

from fedvalue.errors import (
    AttemptTaken,
    MessageInvalid,
    NotApproved,
    PolicyForbids,
    ReplyInvalid,
    SiteFault,
    SiteNotOnRoster,
    StepOutOfOrder,
    UnsafeWarning,
    VectorInvalid,
)
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.server.grids.local import LocalGrid
from fedvalue.strategies import SecureClient, SecureTerms, UnsafeSimulatedSites
from fedvalue.strategies.secure_aggregation.flower import records
from fedvalue.strategies.secure_aggregation.flower.elsewhere import SitesService
from fedvalue.strategies.secure_aggregation.flower.participant import OFFER, PROPOSE, Answer
from fedvalue.strategies.secure_aggregation.flower.question import Question
from fedvalue.strategies.secure_aggregation.flower.simulated import UnsafeLatestReplyJournal
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.study.roster import Roster
from tests.flower_federation import FlowerRun, allowed, model, record, secured, secured_run, terms

TERMS = terms()
QUESTION = Question("train-3", "a" * 64, 2)
VECTOR = np.array([6, 0, 24, 12, -12], dtype="<i8").tobytes()


def context(partition: Any = 1) -> Context:
    config = {} if partition is None else {"partition-id": partition}
    return Context(run_id=1, node_id=9, node_config=config, state=RecordDict(), run_config={})


def site(agreed: SecureTerms = TERMS, *, strict: bool = False) -> Answer:
    with pytest.warns(UnsafeWarning, match="one process"):
        return UnsafeSimulatedSites(agreed, None if strict else allowed())(context())


# ---- a node and its ClientApp ------------------------------------------------------------------------------


def test_a_question_is_proposed_then_answered_once() -> None:
    answer = site()
    assert answer(PROPOSE, QUESTION.pack()) == b"site-001"
    assert answer(OFFER, QUESTION.pack() + b"\n" + VECTOR) == b"site-001"
    with pytest.raises(StepOutOfOrder):
        answer(OFFER, QUESTION.pack() + b"\n" + VECTOR)


@pytest.mark.parametrize("label", ["train-3", "train-2"])
def test_a_label_is_asked_once_and_never_after_a_later_one(label: str) -> None:
    answer = site()
    answer(PROPOSE, QUESTION.pack())
    with pytest.raises(AttemptTaken):
        answer(PROPOSE, Question(label, "b" * 64, 2).pack())
    answer(PROPOSE, Question("evaluate-1", "b" * 64, 0).pack())  # counted by itself


def test_an_answer_to_no_question_or_to_another_one_is_refused() -> None:
    answer = site()
    with pytest.raises(StepOutOfOrder):
        answer(OFFER, QUESTION.pack() + b"\n" + VECTOR)
    answer(PROPOSE, QUESTION.pack())
    with pytest.raises(StepOutOfOrder):
        answer(OFFER, Question("train-3", "b" * 64, 2).pack() + b"\n" + VECTOR)


def test_a_node_does_not_trust_what_its_clientapp_offers() -> None:
    answer = site()
    answer(PROPOSE, QUESTION.pack())
    for vector in (VECTOR[:-8], VECTOR + VECTOR[:8], np.array([6, 0, 0, 0, 2**62], dtype="<i8").tobytes()):
        with pytest.raises(VectorInvalid):
            answer(OFFER, QUESTION.pack() + b"\n" + vector)
    with pytest.raises(MessageInvalid):
        answer(OFFER, QUESTION.pack() + b"\n" + VECTOR[:-1])


def test_a_strict_node_says_no_before_anything_is_computed() -> None:
    with pytest.raises(PolicyForbids, match="UnsafeExactSum"):
        site(strict=True)(PROPOSE, QUESTION.pack())


def test_an_epoch_under_other_terms_is_not_approved() -> None:
    other = terms("run-2").agreed(lambda label: QUESTION.release(TERMS), allowed())
    request = pb.KeysRequest(settings=wire.settings_message(other.settings("e" * 32, 1)))
    with pytest.raises(NotApproved):
        site()(wire.KEYS, request.SerializeToString())


@pytest.mark.parametrize("partition", [None, 5, -1, True, "1"])
def test_a_node_that_plays_no_site_is_refused(partition: Any) -> None:
    with pytest.warns(UnsafeWarning, match="one process"):
        sites = UnsafeSimulatedSites(TERMS, allowed())
    with pytest.raises(SiteNotOnRoster):
        sites(context(partition))


def test_simulated_sites_do_not_speak_for_real_ones() -> None:
    one, *others = TERMS.roster.site
    real = Roster(site=(one.model_copy(update={"operator": "a hospital"}), *others))
    with pytest.warns(UnsafeWarning, match="one process"), pytest.raises(SiteNotOnRoster):
        UnsafeSimulatedSites(SecureTerms("run-1", real), allowed())


def test_a_simulation_keeps_one_masked_vector_a_site_and_never_replaces_it() -> None:
    journal = UnsafeLatestReplyJournal()
    journal.store("e", 1, wire.MASKED, b"first")
    journal.store("e", 1, wire.MASKED, b"other")
    assert journal.stored("e", 1, wire.MASKED) == b"first"
    journal.store("e", 2, wire.MASKED, b"second")
    assert journal.replies == {("e", 2, wire.MASKED): b"second"}


# ---- a coordinator that asks what it should not -----------------------------------------------------------


@pytest.fixture
def grid() -> Iterator[LocalGrid]:
    run, _ = secured_run()
    with run.grid() as grid:
        yield grid


def code(grid: LocalGrid, content: RecordDict, kind: str = "train") -> str:
    (reply,) = grid.send_and_receive([Message(content, 101, kind)])
    said = dict(reply.content["fedvalue"])
    assert list(reply.content) == ["fedvalue"]
    assert said.pop("kind") == "refused"
    return str(said.pop("code"))


def asked(label: str = "train-1", beside: Any = (), **ours: Any) -> RecordDict:
    config = ConfigRecord({"kind": "ask", "label": label, **ours})
    rest: dict[str, Any] = {"arrays": record(model()), "config": ConfigRecord({"server-round": 1})}
    return RecordDict({**rest, **dict(beside), "fedvalue": config})


@pytest.mark.parametrize(
    "content",
    [
        RecordDict({"arrays": record(model()), "config": ConfigRecord({"server-round": 1})}),  # in clear
        asked(more=1),
        asked(kind="tell"),
        RecordDict({"fedvalue": ConfigRecord({"kind": "step", "step": OFFER, "payload": VECTOR})}),
        RecordDict({"fedvalue": ConfigRecord({"kind": "step", "step": PROPOSE, "payload": QUESTION.pack()})}),
        RecordDict({"fedvalue": ConfigRecord({"kind": "step", "step": wire.KEYS, "payload": "text"})}),
        RecordDict({"fedvalue": ConfigRecord({"kind": "step", "step": wire.KEYS, "payload": b"\xff"})}),
        RecordDict(
            {
                "fedvalue": ConfigRecord({"kind": "step", "step": wire.KEYS, "payload": b""}),
                "arrays": record(model()),
            }
        ),
        asked("train-x"),
        asked("evaluate-1"),
        asked(beside={"more": MetricRecord({"a": 1})}),
        asked(beside={"more": ArrayRecord()}),
        RecordDict(),
    ],
)
def test_a_message_that_is_not_one_of_a_secured_run_is_refused(grid: LocalGrid, content: RecordDict) -> None:
    assert code(grid, content) == "message_invalid"


def test_a_vector_cannot_be_asked_for_before_there_is_an_epoch(grid: LocalGrid) -> None:
    (ready,) = grid.send_and_receive([Message(asked(), 101, "train")])
    assert dict(ready.content["fedvalue"]) == {"kind": "ready", "site": "site-001"}
    agreed = terms().agreed(lambda label: QUESTION.release(TERMS), allowed())
    settings = wire.settings_message(agreed.settings("e" * 32, 1))
    for step, request in (
        (wire.MASKED, pb.MaskedRequest(specification=pb.RoundSpecification(settings=settings))),
        (wire.UNMASK, pb.UnmaskRequest(epoch="e" * 32, study_hash=agreed.study_hash, round=1)),
    ):
        content = records.pack(records.Step(step, request.SerializeToString()))
        assert code(grid, content) == "epoch_unknown"
    assert code(grid, asked()) == "attempt_taken"  # and the model is trained once only


def test_a_site_that_is_shown_another_model_is_left_out_unharmed() -> None:
    run, agreed = secured_run()
    honest = run.app

    def shown(message: Message, at: Context) -> Message:
        if at.node_config["partition-id"] == 2 and "arrays" in message.content:
            other = {key: a + 1 for key, a in model().items()}
            message.content["arrays"] = record(other)
        return honest(message, at)

    run.app = shown  # type: ignore[assignment]  # an app is called
    strategy = secured(FedAvg(fraction_evaluate=0.0), agreed)
    run.start(strategy, rounds=1)
    assert strategy.rounds[0].survivors == ("site-000", "site-001", "site-003", "site-004")
    assert strategy.rounds[0].refusals == {"site-002": "specification_differs"}


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"metrics": MetricRecord({"num-examples": 3})}),
        RecordDict({"fedvalue": ConfigRecord({"kind": "ready", "site": "a site"})}),
        RecordDict({"fedvalue": ConfigRecord({"kind": "ready", "site": "s", "more": 1})}),
        RecordDict({"fedvalue": ConfigRecord({"kind": "refused", "code": "Free text."})}),
        RecordDict({"fedvalue": ConfigRecord({"kind": "answered", "payload": "text"})}),
        RecordDict({**records.pack(records.Ready("s")), "metrics": MetricRecord({"num-examples": 3})}),
    ],
)
def test_a_reply_that_no_secured_clientapp_gives_is_refused(content: RecordDict) -> None:
    with pytest.raises(ReplyInvalid):
        records.reply(content)


# ---- sites in another process ------------------------------------------------------------------------------


def test_a_copied_clientapp_asks_the_sites_where_they_are() -> None:
    # what Flower's simulation engine does: a fresh copy of the ClientApp's mods for every message
    run, agreed = secured_run()
    (mod,) = run.app._mods
    assert isinstance(mod, SecureClient)
    original = run.app

    def copied(message: Message, at: Context) -> Message:
        copy = pickle.loads(pickle.dumps(mod))
        assert copy.answers is not mod.answers
        original._mods[0] = copy
        return original(message, at)

    run.app = copied  # type: ignore[assignment]  # an app is called
    strategy = secured(FedAvg(fraction_evaluate=0.0), agreed)
    run.start(strategy, rounds=1)
    assert len(strategy.rounds[0].survivors) == 5


def test_a_copy_refuses_as_the_sites_do_and_says_when_they_are_gone() -> None:
    with pytest.warns(UnsafeWarning, match="one process"):
        sites = UnsafeSimulatedSites(TERMS)
    copy = pickle.loads(pickle.dumps(sites))
    with pytest.raises(PolicyForbids):
        copy(context())(PROPOSE, QUESTION.pack())
    with pytest.raises(SiteNotOnRoster):
        copy(context(7))
    service = SitesService(lambda number, step, payload: b"")
    gone = service.address
    assert gone.answer(1, PROPOSE, b"") == b""
    del service
    gc.collect()
    assert not Path(gone.path).exists()
    with pytest.raises(SiteFault):
        gone.answer(1, PROPOSE, b"")


def test_strangers_and_broken_requests_do_not_stop_the_sites() -> None:
    def answer(number: int, step: str, payload: bytes) -> bytes:
        if step == "fail":
            raise ValueError("patient 4711")
        return b"%d %s %s" % (number, step.encode(), payload)

    service = SitesService(answer)
    address = service.address
    assert stat.S_IMODE(Path(address.path).parent.stat().st_mode) == 0o700
    assert repr(address.key) not in repr(address)
    with pytest.raises(Exception, match="digest"):
        Client(address.path, family="AF_UNIX", authkey=b"a guess")
    with Client(address.path, family="AF_UNIX", authkey=address.key) as connection:
        connection.send_bytes(b"{]\n")
        assert connection.recv_bytes() == b"-message_invalid"
    with pytest.raises(SiteFault) as caught:
        address.answer(2, "fail", b"")
    assert "4711" not in str(caught.value)
    assert address.answer(2, "step", b"a\nb") == b"2 step a\nb"


def test_a_second_run_needs_a_second_name() -> None:
    # one process, one set of sites, the same labels again: the sites have answered them
    run, agreed = secured_run()
    run.start(secured(FedAvg(), agreed), rounds=1)
    with pytest.raises(Exception, match="attempt_taken"):
        run.start(secured(FedAvg(), agreed), rounds=1)
    other = FlowerRun(terms("run-2"), allowed())
    other.start(secured(FedAvg(), terms("run-2")), rounds=1)
