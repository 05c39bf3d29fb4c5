"""The way from a Flower process to the site node: one socket, its owner's alone, and nothing lost on it."""

from __future__ import annotations

import os
import signal
import socket as sockets
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict

from fedvalue.client.app import SITE_HOME, SITE_SOCKET, app, over_socket
from fedvalue.client.relay import relayed, serving
from fedvalue.errors import MessageInvalid, OutputError
from fedvalue.protos.v1 import site_node_pb2 as pb
from fedvalue.quiet import quiet_environment
from fedvalue.server.grids.local import LocalGrid, LocalNode
from fedvalue.strategies.secure_aggregation.fields import content_of, fields_of
from fedvalue.strategies.secure_aggregation.messages import (
    RECORD,
    STEP,
    Refused,
    StepReply,
    StepRequest,
    Wire,
)
from tests.federation import make_home

BIG = bytes(range(256)) * 40_000  # 10 MB, past gRPC's usual limit of 4 MB


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="fv-") as name:
        yield Path(name)


def echo(message_type: str, content: RecordDict) -> RecordDict:
    request = Wire.request(message_type, content)
    assert isinstance(request, StepRequest)
    return Wire.pack(StepReply(request.payload + request.step.encode()))


@pytest.fixture
def socket(short: Path) -> Iterator[Path]:
    path = short / "node.sock"
    server = serving(echo, path)
    yield path
    server.stop(0).wait()


def test_a_long_vector_goes_there_and_back_unchanged(socket: Path) -> None:
    told = Wire.reply(relayed(socket, STEP, Wire.pack(StepRequest("masked", BIG))))
    assert told == StepReply(BIG + b"masked")


def test_nobody_but_its_owner_may_open_the_socket(socket: Path) -> None:
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600


def test_without_a_node_the_relay_refuses_and_says_why(short: Path) -> None:
    asked = Wire.pack(StepRequest("keys", b""))
    assert Wire.reply(relayed(short / "none.sock", STEP, asked)) == Refused("site_unreachable")


def test_a_socket_that_somebody_listens_on_is_not_taken(socket: Path) -> None:
    with pytest.raises(OutputError, match="somebody listens"):
        serving(echo, socket)


def test_a_socket_that_a_killed_node_left_behind_is_replaced(short: Path) -> None:
    path = short / "node.sock"
    with sockets.socket(sockets.AF_UNIX) as left:
        left.bind(str(path))
    server = serving(echo, path)
    assert Wire.reply(relayed(path, STEP, Wire.pack(StepRequest("keys", b"x")))) == StepReply(b"xkeys")
    server.stop(0).wait()


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_socket_is_left_where_it_is(make: object, short: Path) -> None:
    path = short / "node.sock"
    make(path)  # type: ignore[operator]  # one of three ways
    with pytest.raises(OutputError, match="something else"):
        serving(echo, path)
    assert os.path.lexists(path)


def test_a_path_that_unix_would_cut_off_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="at most 100 bytes") as refused:
        serving(echo, tmp_path / ("x" * 100))
    assert "site-socket" in refused.value.do


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"other": ConfigRecord({"kind": "StepRequest"})}),
        RecordDict({RECORD: ConfigRecord({"kind": "StepRequest", "step": 1.5})}),
        RecordDict({RECORD: ConfigRecord({"kind": "StepRequest", "step": ["a"]})}),
        RecordDict({RECORD: ConfigRecord({"kind": "StepRequest", "step": True})}),
        RecordDict({RECORD: ConfigRecord({"step": "\ud800"})}),
        RecordDict({RECORD: ArrayRecord({"a": Array("float32", (1,), "raw", b"1234")})}),
    ],
)
def test_what_is_no_message_is_refused_before_the_socket(content: RecordDict, socket: Path) -> None:
    with pytest.raises(MessageInvalid):
        fields_of(content)
    assert Wire.reply(relayed(socket, STEP, content)) == Refused("message_invalid")


def test_a_field_that_stands_twice_makes_no_message() -> None:
    twice = [pb.NodeField(name="kind", text="a"), pb.NodeField(name="kind", text="b")]
    assert len(content_of(twice)) == 0
    assert len(content_of([pb.NodeField(name="kind")])) == 0


def test_no_text_of_an_error_comes_back(short: Path) -> None:
    def failing(message_type: str, content: RecordDict) -> RecordDict:
        raise RuntimeError("Zhang San")

    server = serving(failing, short / "node.sock")
    told = relayed(short / "node.sock", STEP, Wire.pack(StepRequest("keys", b"")))
    assert Wire.reply(told) == Refused("site_fault")
    assert "Zhang" not in repr(dict(told.config_records[RECORD]))
    server.stop(0).wait()


def test_the_client_app_finds_the_socket_in_the_home_or_where_it_is_told(socket: Path) -> None:
    content = Wire.pack(StepRequest("keys", b""))
    for config in ({SITE_HOME: str(socket.parent)}, {SITE_HOME: "/nowhere", SITE_SOCKET: str(socket)}):
        context = Context(run_id=1, node_id=2, node_config={**config}, state=RecordDict(), run_config={})
        assert Wire.reply(over_socket(context)(STEP, content)) == StepReply(b"keys")
    node = LocalNode(app, {SITE_HOME: str(socket.parent)})
    with LocalGrid({2: node}) as grid:
        (reply,) = grid.send_and_receive([Message(content, dst_node_id=2, message_type=STEP)])
    assert Wire.reply(reply.content) == StepReply(b"keys")


def test_a_served_home_answers_until_it_is_told_to_stop(short: Path) -> None:
    home = make_home(short, "s01", patients=3)
    words = (
        sys.executable, "-c", "from fedvalue.cli import main; raise SystemExit(main())", "site", "serve",
        "--node-only", str(home.folder),
    )  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        assert node.stdout.readline().startswith(f"answering on {home.socket_file}")
        asked = Wire.pack(StepRequest("keys", b"\x00"))
        assert Wire.reply(relayed(home.socket_file, STEP, asked)) == Refused("message_invalid")
        node.send_signal(signal.SIGTERM)
        assert node.wait(30) == 0
        assert node.stdout.read() == "stopped\n"
    assert not home.socket_file.exists()


def test_the_relay_which_flower_starts_anew_for_every_message_loads_nothing_of_the_site() -> None:
    watched = {
        "fedvalue.client.home",
        "fedvalue.client.node",
        "fedvalue.planning.plan",
        "scipy",
        "pandas",
        "duckdb",
    }
    probe = f"import sys, fedvalue.client.app; print(sorted(set(sys.modules) & {watched!r}))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True,
        env=quiet_environment(),
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
