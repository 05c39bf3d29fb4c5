"""Our worker against a SuperNode's own interface: what it answers and refuses, and that it takes all."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvicorn
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.constant import TaskType
from flwr.supercore.fab import Fab
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.run import Run
from flwr.supernode.main import create_app
from flwr.supernode.nodestate import NodeStateFactory
from flwr.supernode.start_client_internal import _insert_message

from benchmarks.processes import free_ports
from fedvalue.client.app import make_app
from fedvalue.client.running.bundles import BundleList
from fedvalue.client.running.settings import NAMES_ONLY
from fedvalue.client.running.worker import Worker
from fedvalue.operations.logs import entry
from fedvalue.server.grids.wire import take_identity
from fedvalue.strategies.secure_aggregation.messages import STEP, Refused, StepReply, StepRequest, Wire
from tests.unit.client.running.test_settings_and_bundles import NAMES, bundle

SECRET = b"s" * 32
PROGRAM = bundle({"pyproject.toml": "", "rogue.py": "raise SystemExit"})


@dataclass(slots=True)
class SuperNode:
    """The interface of a real SuperNode in this process, with its state in our hands."""

    address: str
    factory: NodeStateFactory
    runs: int = 0

    def deliver(self, content: bytes, kind: str = TaskType.CLIENT_APP, message_type: str = STEP) -> int:
        """Deliver a message of a new run with this bundle; return the run's number."""
        self.runs += 1
        run, state = Run.create_empty(self.runs), self.factory.state()
        run.fab_hash, run.series_id = hashlib.sha256(content).hexdigest(), self.runs
        state.store_run(run)
        state.store_fab(Fab(run.fab_hash, content, {}))
        state.set_run_series_context(self.runs, Context(self.runs, 7, {}, RecordDict(), {}))
        assert state.create_task(task_type=kind, run_id=self.runs, fab_hash=run.fab_hash) is not None
        take_identity(self.runs)
        message = Message(Wire.pack(StepRequest("keys", b"ask")), dst_node_id=7, message_type=message_type)
        _insert_message(message, state, self.factory.objectstore_factory.store())
        return self.runs

    def replies(self, count: int, seconds: float = 20.0) -> dict[int, Message]:
        """Wait for replies, as a SuperNode does; by run."""
        found: dict[int, Message] = {}
        until = time.monotonic() + seconds
        while len(found) < count and time.monotonic() < until:
            for message in self.factory.state().get_messages_legacy(is_reply=True):
                found[message.metadata.run_id] = message
            time.sleep(0.02)
        return found


@pytest.fixture(scope="module")
def supernode() -> Iterator[SuperNode]:
    factory = NodeStateFactory(objectstore_factory=ObjectStoreFactory())
    factory.state().set_node_id(7)
    (port,) = free_ports(1)
    app = create_app(factory, SECRET)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    yield SuperNode(f"127.0.0.1:{port}", factory)
    server.should_exit = True
    thread.join(10)


def echo(message_type: str, content: RecordDict) -> RecordDict:
    request = Wire.request(message_type, content)
    assert isinstance(request, StepRequest)
    return Wire.pack(StepReply(request.payload))


@pytest.fixture
def working(supernode: SuperNode) -> Iterator[SuperNode]:
    yield from working_for(supernode, SECRET, make_app(lambda _: echo))


def working_for(supernode: SuperNode, secret: bytes, app: ClientApp) -> Iterator[SuperNode]:
    worker = Worker(supernode.address, secret, BundleList(frozenset({NAMES_ONLY})), app)
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,), daemon=True)
    thread.start()
    yield supernode
    stop.set()
    thread.join(10)
    worker.close()


def content(reply: Message) -> str:
    """What a reply says: a Flower error, or that it holds a content; its parts are in the object store."""
    return f"{reply.error.code} {reply.error.reason}" if reply.has_error() else "content"


def test_what_is_ours_is_answered_and_every_other_task_is_refused_and_holds_nothing_up(
    working: SuperNode, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "fedvalue.worker"):
        rogue = working.deliver(PROGRAM)
        agent = working.deliver(NAMES, TaskType.AGENT_APP)
        broken = working.deliver(b"no zip file")
        ours = working.deliver(NAMES)
        found = working.replies(4)
    said = {run: content(reply) for run, reply in found.items()}
    assert said == {
        rogue: "7 bundle_refused", agent: "7 bundle_refused", broken: "7 bundle_refused", ours: "content",
    }  # fmt: skip
    lines = [entry(record) for record in caplog.records if record.name == "fedvalue.worker"]
    refused = [line for line in lines if line["event"] == "bundle refused"]
    assert [line["run"] for line in refused] == [str(rogue), str(agent), str(broken)]
    assert {line["code"] for line in refused} == {"bundle_refused"}


def test_a_run_that_is_refused_again_and_again_is_one_line(
    working: SuperNode, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "fedvalue.worker"):
        run = working.deliver(PROGRAM)
        working.replies(1)
        state = working.factory.state()
        for payload in (b"2", b"3"):
            found = state.get_run(run)
            assert found is not None
            state.create_task(task_type=TaskType.CLIENT_APP, run_id=run, fab_hash=found.fab_hash)
            take_identity(run)
            again = Message(Wire.pack(StepRequest("keys", payload)), dst_node_id=7, message_type=STEP)
            _insert_message(again, state, working.factory.objectstore_factory.store())
            assert content(working.replies(1)[run]) == "7 bundle_refused"
    assert sum(entry(record)["event"] == "bundle refused" for record in caplog.records) == 1


def test_what_the_app_raises_is_an_answer_without_its_text_and_holds_nothing_up(supernode: SuperNode) -> None:
    def failing(message: Message, context: Context) -> Message:
        raise RuntimeError("Zhang San")

    app = ClientApp()
    app.query("step")(failing)
    for working in working_for(supernode, SECRET, app):
        first, unknown = working.deliver(NAMES), working.deliver(NAMES, message_type="train")
        found = working.replies(2)
        assert {content(reply) for reply in found.values()} == {"2 site_fault"}
        assert set(found) == {first, unknown}


def test_whoever_does_not_hold_the_secret_gets_no_message(supernode: SuperNode) -> None:
    for working in working_for(supernode, b"another secret", make_app(lambda _: echo)):
        run = working.deliver(NAMES)
        assert working.replies(1, seconds=1.5) == {}
    # and the message is still there for who does
    for working in working_for(supernode, SECRET, make_app(lambda _: echo)):
        assert list(working.replies(1)) == [run]


def test_a_refusal_of_the_site_is_an_answer_like_any_other(supernode: SuperNode) -> None:
    app = make_app(lambda _: lambda message_type, content: Wire.pack(Refused("site_paused")))
    for working in working_for(supernode, SECRET, app):
        run = working.deliver(NAMES)
        assert content(working.replies(1)[run]) == "content"
