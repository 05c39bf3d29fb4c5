"""LocalGrid shows what a SuperLink and its SuperNodes would show."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import FederationError
from fedvalue.quiet import quiet_environment
from fedvalue.server.grids.local import LocalGrid, LocalNode, run_server_app

Handler = Callable[[Message, Context], Message]


def grid_of(*handlers: Handler, **options: Any) -> LocalGrid:
    """A grid with one node for each handler, numbered from 2."""
    return LocalGrid({2 + i: LocalNode(handler) for i, handler in enumerate(handlers)}, **options)


def echo(message: Message, context: Context) -> Message:
    return Message(message.content, reply_to=message)


def ask(node_id: int, **values: Any) -> Message:
    return Message(RecordDict({"ask": ConfigRecord(values)}), node_id, "query.enrol")


def counting(message: Message, context: Context) -> Message:
    """Counts in the node's own state and answers the count."""
    before = context.state.config_records["memory"]["n"] if "memory" in context.state else 0
    assert isinstance(before, int)
    context.state["memory"] = ConfigRecord({"n": before + 1})
    return Message(RecordDict({"count": ConfigRecord({"n": before + 1})}), reply_to=message)


def counts(replies: list[Message]) -> list[Any]:
    return [reply.content.config_records["count"]["n"] for reply in replies]


# ---- what arrives -----------------------------------------------------------------------------------


def test_a_node_answers_in_the_order_of_the_messages_and_under_its_own_name() -> None:
    grid = grid_of(echo, echo, echo)
    replies = grid.send_and_receive([ask(4, k="c"), ask(2, k="a"), ask(3, k="b")])
    assert [reply.metadata.src_node_id for reply in replies] == [4, 2, 3]
    assert [reply.content.config_records["ask"]["k"] for reply in replies] == ["c", "a", "b"]
    assert {reply.metadata.dst_node_id for reply in replies} == {1}


def test_a_reply_names_the_message_it_answers() -> None:
    grid = grid_of(echo, echo)
    messages = [ask(2), ask(3)]
    replies = grid.send_and_receive(messages)
    assert [r.metadata.reply_to_message_id for r in replies] == [m.metadata.message_id for m in messages]
    assert len({m.metadata.message_id for m in [*messages, *replies]}) == 4


def test_what_a_node_does_to_its_message_does_not_reach_the_server() -> None:
    def vandal(message: Message, context: Context) -> Message:
        message.content.config_records["ask"]["k"] = "changed"
        message.content.config_records["ask"]["more"] = 1
        return Message(RecordDict(), reply_to=message)

    message = ask(2, k="as sent")
    grid_of(vandal).send_and_receive([message])
    assert dict(message.content.config_records["ask"]) == {"k": "as sent"}


def test_what_the_server_does_after_sending_does_not_reach_the_node() -> None:
    started, gate = threading.Event(), threading.Event()
    seen: list[object] = []

    def late(message: Message, context: Context) -> Message:
        started.set()
        gate.wait(5)
        seen.append(message.content.config_records["ask"]["k"])
        return Message(RecordDict(), reply_to=message)

    grid = grid_of(late)
    message = ask(2, k="as sent")
    (message_id,) = grid.push_messages([message])
    message.content.config_records["ask"]["k"] = "changed"
    started.wait(5)
    gate.set()
    assert grid.stop()
    assert seen == ["as sent"]
    assert message_id == message.metadata.message_id


def test_a_reply_is_a_copy_of_what_the_node_holds() -> None:
    kept = RecordDict({"k": ConfigRecord({"v": 1})})

    def keeper(message: Message, context: Context) -> Message:
        return Message(kept, reply_to=message)

    (reply,) = grid_of(keeper).send_and_receive([ask(2)])
    reply.content.config_records["k"]["v"] = 2
    assert dict(kept.config_records["k"]) == {"v": 1}


def test_one_record_sent_to_every_node_is_a_record_of_its_own_at_each() -> None:
    def adds(message: Message, context: Context) -> Message:
        message.content.config_records["shared"]["n"] += 1  # type: ignore[operator]  # an int, as sent below
        return Message(message.content, reply_to=message)

    shared = RecordDict({"shared": ConfigRecord({"n": 0})})
    grid = grid_of(*[adds] * 9)
    replies = grid.send_and_receive([Message(shared, node_id, "query") for node_id in grid.get_node_ids()])
    assert [reply.content.config_records["shared"]["n"] for reply in replies] == [1] * 9


@pytest.mark.parametrize("sites", [1, 12])
def test_a_hundred_thousand_words_of_64_bits_arrive_unchanged(sites: int) -> None:
    words = np.random.default_rng(5).integers(0, 2**64, size=100_000, dtype=np.uint64)

    def negate(message: Message, context: Context) -> Message:
        got = message.content.array_records["sum"]["words"].numpy()
        return Message(RecordDict({"sum": ArrayRecord({"words": Array(~got)})}), reply_to=message)

    grid = grid_of(*[negate] * sites)
    content = RecordDict({"sum": ArrayRecord({"words": Array(words)})})
    for reply in grid.send_and_receive([Message(content, n, "query") for n in grid.get_node_ids()]):
        back = reply.content.array_records["sum"]["words"].numpy()
        assert back.dtype == np.uint64
        np.testing.assert_array_equal(back, ~words)


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES))
def test_whatever_a_config_record_holds_comes_back_the_same(values: dict[str, Any]) -> None:
    message = Message(RecordDict({"ask": ConfigRecord(values)}), 2, "query")
    (reply,) = grid_of(echo).send_and_receive([message])
    assert dict(reply.content.config_records["ask"]) == values


# ---- contexts ---------------------------------------------------------------------------------------


def test_a_node_remembers_its_state_from_message_to_message() -> None:
    grid = grid_of(counting, counting)
    assert counts(grid.send_and_receive([ask(2), ask(3)])) == [1, 1]
    assert counts(grid.send_and_receive([ask(2)])) == [2]
    assert counts(grid.send_and_receive([ask(2), ask(3)])) == [3, 2]


def test_a_run_with_another_id_starts_with_empty_state() -> None:
    grid = grid_of(counting)
    grid.send_and_receive([ask(2)])
    run = grid.run
    grid.set_run(run)
    assert counts(grid.send_and_receive([ask(2)])) == [2]
    run.run_id = 77
    grid.set_run(run)
    assert grid.run.run_id == 77
    assert counts(grid.send_and_receive([ask(2)])) == [1]


def test_state_is_kept_when_the_handler_raises_as_at_a_supernode() -> None:
    # flwr/supernode/runtime/run_clientapp.py pushes the context on exit whether or not the app raised.
    def fails_once(message: Message, context: Context) -> Message:
        reply = counting(message, context)
        if counts([reply]) == [1]:
            raise ValueError("first")
        return reply

    grid = grid_of(fails_once)
    assert grid.send_and_receive([ask(2)])[0].has_error()
    assert counts(grid.send_and_receive([ask(2)])) == [2]


def test_each_node_sees_its_own_configuration_and_the_run_s() -> None:
    def tell(message: Message, context: Context) -> Message:
        told = {**context.node_config, **context.run_config, "id": context.node_id, "run": context.run_id}
        context.node_config["site-home"] = "changed"
        context.run_config["seed"] = "changed"
        return Message(RecordDict({"told": ConfigRecord(told)}), reply_to=message)  # type: ignore[arg-type]

    nodes = {n: LocalNode(tell, {"site-home": f"/srv/{n}"}) for n in (5, 6)}
    grid = LocalGrid(nodes, run_config={"seed": "7"})
    for _ in range(2):
        replies = grid.send_and_receive([ask(5), ask(6)])
        told = [dict(reply.content.config_records["told"]) for reply in replies]
        assert [one["id"] for one in told] == [5, 6]
        assert [one["site-home"] for one in told] == ["/srv/5", "/srv/6"]
        assert [one["seed"] for one in told] == ["7", "7"]
    assert nodes[5].config == {"site-home": "/srv/5"}


# ---- errors -----------------------------------------------------------------------------------------


def test_an_exception_becomes_flowers_error_reply() -> None:
    def broken(message: Message, context: Context) -> Message:
        raise ZeroDivisionError("division by zero")

    (reply,) = grid_of(broken).send_and_receive([ask(2)])
    assert reply.has_error()
    assert reply.error.code == 2
    assert reply.error.reason == "<class 'ZeroDivisionError'>:<'division by zero'>"
    assert set(vars(reply.error)) == {"_code", "_reason"}  # no exception object, no traceback


def test_an_action_that_the_app_does_not_have_is_an_error_reply() -> None:
    (reply,) = LocalGrid({2: LocalNode(ClientApp())}).send_and_receive([ask(2)])
    assert reply.error.code == 2
    assert "No query function registered" in (reply.error.reason or "")


def exits(message: Message, context: Context) -> Message:
    raise SystemExit(3)


def interrupts(message: Message, context: Context) -> Message:
    raise KeyboardInterrupt


def returns_nothing(message: Message, context: Context) -> Message:
    return None  # type: ignore[return-value]  # the fault that is tested


def returns_what_no_wire_carries(message: Message, context: Context) -> Message:
    reply = Message(RecordDict({"r": ConfigRecord({"k": 1})}), reply_to=message)
    vars(reply.content.config_records["r"])["_data"] = None
    reply.metadata.group_id = 5  # type: ignore[assignment]  # the fault that is tested
    return reply


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def raises_without_words(message: Message, context: Context) -> Message:
    raise Unspeakable


@pytest.mark.parametrize(
    "fault", [exits, interrupts, returns_nothing, returns_what_no_wire_carries, raises_without_words]
)
def test_a_node_that_dies_is_flowers_crash_reply_without_a_word_of_its_own(fault: Handler) -> None:
    grid = grid_of(fault, echo)
    crash, fine = grid.send_and_receive([ask(2), ask(3)], timeout=20)
    assert (crash.error.code, crash.error.reason) == (8, "ClientApp stopped responding.")
    assert fine.has_content()
    assert grid.send_and_receive([ask(2)], timeout=20)[0].error.code == 8  # and the node can be asked again


def test_a_reply_to_another_message_is_not_taken_for_an_answer() -> None:
    stolen: list[Message] = []

    def replays(message: Message, context: Context) -> Message:
        stolen.append(message)
        return Message(RecordDict(), reply_to=stolen[0])

    grid = grid_of(replays)
    first, second = grid.send_and_receive([ask(2), ask(2)], timeout=20)
    assert first.has_content()
    assert second.error.code == 3
    assert "not answer" in (second.error.reason or "")


def test_a_message_to_a_node_that_is_not_there_is_answered_by_the_superlink() -> None:
    grid = grid_of(echo)
    gone = ask(99)
    replies = grid.send_and_receive([gone, ask(2)])
    assert replies[0].error.code == 5
    assert replies[0].metadata.src_node_id == 1
    assert replies[0].metadata.reply_to_message_id == gone.metadata.message_id
    assert replies[1].has_content()


def test_a_message_of_another_run_is_refused() -> None:
    grid = grid_of(echo)
    message = ask(2)
    run = grid.run
    run.run_id = 5
    grid.set_run(run)
    with pytest.raises(FederationError, match=r"run 1 cannot be sent in run 5"):
        grid.send_and_receive([message])


def test_a_reply_cannot_be_sent_as_a_message() -> None:
    grid = grid_of(echo)
    (reply,) = grid.send_and_receive([ask(2)])
    with pytest.raises(FederationError, match="cannot be sent"):
        grid.push_messages([Message(RecordDict(), reply_to=reply)])


@pytest.mark.parametrize("node_id", [-1, 0, 1, 2**64])
def test_a_number_that_is_no_node_id_is_refused(node_id: int) -> None:
    with pytest.raises(FederationError, match="no node id"):
        LocalGrid({node_id: LocalNode(echo)})


def test_a_configuration_value_that_flower_does_not_carry_is_refused() -> None:
    with pytest.raises(FederationError, match="node 2"):
        LocalGrid({2: LocalNode(echo, {"home": ["/srv"]})})  # type: ignore[dict-item]  # the fault tested
    with pytest.raises(FederationError, match="text for every key"):
        grid_of(echo, run_config={"home": None})


def test_a_grid_without_threads_is_refused() -> None:
    with pytest.raises(FederationError, match="0 threads"):
        grid_of(echo, threads=0)


# ---- time and threads -------------------------------------------------------------------------------


def test_a_timeout_returns_what_arrived_and_the_rest_can_be_pulled_later() -> None:
    gate = threading.Event()

    def slow(message: Message, context: Context) -> Message:
        gate.wait(20)
        return echo(message, context)

    with grid_of(slow, echo) as grid:
        late = ask(2)
        began = time.monotonic()
        replies = grid.send_and_receive([late, ask(3)], timeout=0.3)
        assert 0.2 < time.monotonic() - began < 5
        assert [reply.metadata.src_node_id for reply in replies] == [3]
        assert grid.pull_messages([late.metadata.message_id]) == []
        gate.set()
        until = time.monotonic() + 5
        while not (pulled := grid.pull_messages([late.metadata.message_id])) and time.monotonic() < until:
            time.sleep(0.01)
        assert [reply.metadata.src_node_id for reply in pulled] == [2]


def test_a_reply_is_handed_out_once() -> None:
    grid = grid_of(echo)
    message = ask(2)
    grid.send_and_receive([message])
    (again,) = grid.pull_messages([message.metadata.message_id])
    assert again.error.code == 3
    assert grid.pull_messages([]) == []


def test_no_messages_is_no_wait() -> None:
    assert grid_of(echo).send_and_receive([], timeout=None) == []


def test_a_node_never_runs_two_handlers_at_once_and_the_bound_on_threads_holds() -> None:
    lock = threading.Lock()
    running: dict[int, int] = {}
    most = 0

    def busy(message: Message, context: Context) -> Message:
        nonlocal most
        with lock:
            running[context.node_id] = running.get(context.node_id, 0) + 1
            assert running[context.node_id] == 1
            most = max(most, sum(running.values()))
        time.sleep(0.002)
        with lock:
            running[context.node_id] -= 1
        return counting(message, context)

    grid = grid_of(*[busy] * 6, threads=3)
    replies = grid.send_and_receive([ask(2 + i % 6) for i in range(60)], timeout=30)
    assert most == 3
    # ten messages to each of six nodes, each node counting alone: 1, ..., 10
    assert counts(replies) == [1 + i // 6 for i in range(60)]


def test_several_threads_may_use_one_grid_at_once() -> None:
    grid = grid_of(*[echo] * 4)
    wrong: list[object] = []

    def caller(name: int) -> None:
        for turn in range(20):
            sent = [ask(node_id, who=name, turn=turn) for node_id in grid.get_node_ids()]
            got = [
                dict(reply.content.config_records["ask"]) for reply in grid.send_and_receive(sent, timeout=30)
            ]
            if got != [{"who": name, "turn": turn}] * 4:
                wrong.append(got)

    callers = [threading.Thread(target=caller, args=(name,)) for name in range(5)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(30)
    assert wrong == []


def test_no_thread_is_left_when_nothing_waits() -> None:
    grid = grid_of(*[echo] * 8)
    grid.send_and_receive([ask(node_id) for node_id in grid.get_node_ids()])
    until = time.monotonic() + 5
    while any(t.name.startswith("site-worker") for t in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.005)


def test_stopping_drops_what_has_not_started_and_waits_for_what_has() -> None:
    started, done = threading.Event(), []

    def slow(message: Message, context: Context) -> Message:
        started.set()
        time.sleep(0.2)
        done.append(message.content.config_records["ask"]["n"])
        return echo(message, context)

    grid = grid_of(slow)
    grid.push_messages([ask(2, n=n) for n in range(5)])
    started.wait(5)
    assert grid.stop()
    assert done == [0]
    assert grid.send_and_receive([ask(2, n=9)])[0].has_content()  # a stopped grid can start again
    assert done == [0, 9]


def test_stopping_does_not_wait_longer_than_the_grace() -> None:
    started, gate = threading.Event(), threading.Event()

    def hangs(message: Message, context: Context) -> Message:
        started.set()
        gate.wait(30)
        return echo(message, context)

    grid = grid_of(hangs, grace=0.1)
    (message_id,) = grid.push_messages([ask(2)])
    started.wait(5)
    assert not grid.stop()
    gate.set()
    assert grid.stop()
    assert grid.pull_messages([message_id])[0].error.code == 3  # the late reply reached nobody


INTERRUPTED = """
import signal, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may have it ignored
from fedvalue.server.grids.local import LocalGrid, LocalNode
from flwr.app import Message, RecordDict

def hangs(message, context):
    print("running", flush=True)
    time.sleep(600)

grid = LocalGrid({2: LocalNode(hangs)}, grace=0.2)
try:
    grid.send_and_receive([Message(RecordDict(), 2, "query")])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_ends_the_process_although_a_handler_hangs() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], env=quiet_environment(), stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "running\n"
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert out == "interrupted\n"
    assert process.returncode == 0


# ---- a whole ServerApp ------------------------------------------------------------------------------


def averaging(value: float) -> ClientApp:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        arrays = ArrayRecord({"w": Array(np.full(100, value))})
        return Message(
            RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1})}), reply_to=message
        )

    return app


def test_flowers_own_fedavg_runs_over_it() -> None:
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=4, min_available_nodes=4)
        result = strategy.start(grid, ArrayRecord({"w": Array(np.zeros(100))}), num_rounds=2)
        context.state["result"] = result.arrays

    grid = LocalGrid({n: LocalNode(averaging(float(n))) for n in (2, 3, 4, 7)})
    context = run_server_app(app, grid)
    # weights are equal: (2 + 3 + 4 + 7) / 4 = 4
    np.testing.assert_array_equal(context.state.array_records["result"]["w"].numpy(), np.full(100, 4.0))


def test_a_server_app_runs_with_its_lifespan_and_its_run_configuration_reaches_the_nodes() -> None:
    app = ServerApp()
    steps: list[object] = []

    @app.lifespan()
    def lifespan(context: Context) -> Any:
        steps.append("in")
        yield
        steps.append("out")

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        steps.append(context.run_config["study"])
        (reply,) = grid.send_and_receive([ask(2)])
        steps.append(reply.content.config_records["told"]["study"])
        context.state["done"] = ConfigRecord({"yes": True})

    def tell(message: Message, context: Context) -> Message:
        told = ConfigRecord({"study": str(context.run_config["study"])})
        return Message(RecordDict({"told": told}), reply_to=message)

    context = run_server_app(app, grid_of(tell), {"study": "s.toml"})
    assert steps == ["in", "s.toml", "s.toml", "out"]
    assert context.state.config_records["done"]["yes"] is True


def test_what_a_server_app_raises_comes_out_and_the_grid_is_stopped() -> None:
    app = ServerApp()
    started = threading.Event()
    done: list[int] = []

    def slow(message: Message, context: Context) -> Message:
        started.set()
        time.sleep(0.1)
        done.append(1)
        return echo(message, context)

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        grid.push_messages([ask(2), ask(2)])
        started.wait(5)
        raise FederationError("stopped here")

    grid = grid_of(slow)
    with pytest.raises(FederationError, match="stopped here"):
        run_server_app(app, grid)
    assert done == [1]  # the handler that ran was waited for, the message behind it was dropped


def test_the_older_way_to_make_a_message_works_without_a_warning() -> None:
    grid = grid_of(echo)
    message = grid.create_message(RecordDict(), "query", 2, "4", ttl=30.0)
    (reply,) = grid.send_and_receive([message])
    assert (reply.metadata.group_id, message.metadata.ttl) == ("4", 30.0)
    assert [node.node_id for node in grid.get_nodes()] == [2]
