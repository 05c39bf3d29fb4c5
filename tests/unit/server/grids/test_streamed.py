"""Questions and answers over sessions: nothing lost, nothing twice, and nobody in who does not belong."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from benchmarks.certificates import Authority
from fedvalue.errors import FederationError, MessageInvalid, OutputError
from fedvalue.evidence import statements
from fedvalue.protos.v1 import session_pb2 as pb
from fedvalue.protos.v1 import session_pb2_grpc as rpc
from fedvalue.server.asking import ask
from fedvalue.server.grids.session_server import SessionServer
from fedvalue.server.grids.streamed import SessionGrid
from fedvalue.strategies.secure_aggregation.messages import STEP, Refused, StepReply, StepRequest, Wire
from fedvalue.strategies.secure_aggregation.pieces import PIECE_BYTES, Joining, pieces
from fedvalue.study.signature import sign
from tests import session_desk
from tests.agreement import key
from tests.session_desk import STUDY, Port, port, running

LONG = bytes(range(256)) * (3 * PIECE_BYTES // 256) + b"end"


def echo(message_type: str, content: RecordDict) -> RecordDict:
    request = Wire.request(message_type, content)
    assert isinstance(request, StepRequest)
    return Wire.pack(StepReply(request.step.encode() + request.payload))


def joined(grid: SessionGrid, count: int, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while len(grid.get_node_ids()) < count:
        assert time.monotonic() < until, "the sites do not join"
        time.sleep(0.005)


# ---- carrying ---------------------------------------------------------------------------------------


def test_every_site_is_asked_and_answers_long_messages_whole() -> None:
    with port() as at, SessionGrid(at.server, STUDY, at.roster) as grid:
        names = [site.id for site in at.roster.site]
        with running(*(at.site(name, echo) for name in names)):
            joined(grid, 3)
            asked = {node: StepRequest(site, LONG) for node, site in grid.site_ids().items()}
            found = dict(ask(grid, STEP, asked, timeout=20.0))
    assert found == {n: StepReply(site.encode() + LONG) for n, site in grid.site_ids().items()}


def test_a_session_ends_with_the_coordinators_word() -> None:
    with port() as at:
        name = at.roster.site[0].id
        with running(at.site(name, echo)) as ended:
            with SessionGrid(at.server, STUDY, at.roster) as grid:
                joined(grid, 1)
            until = time.monotonic() + 10
            while not ended and time.monotonic() < until:
                time.sleep(0.01)
    assert ended == {name: "ended"}


def test_a_site_that_is_away_gets_its_question_when_it_comes_unless_nobody_waits_any_more() -> None:
    with port() as at, SessionGrid(at.server, STUDY, at.roster) as grid:
        site, asked = at.roster.site[0].id, list[str]()

        def noting(message_type: str, content: RecordDict) -> RecordDict:
            request = Wire.request(message_type, content)
            assert isinstance(request, StepRequest)
            asked.append(request.step)
            return echo(message_type, content)

        assert dict(ask(grid, STEP, {2: StepRequest("late", b"")}, timeout=0.05)) == {2: Refused("no_answer")}
        names = grid.push_messages([Message(Wire.pack(StepRequest("early", b"")), 2, STEP, ttl=60.0)])
        with running(at.site(site, noting)):
            until = time.monotonic() + 10
            while not (found := grid.pull_messages(names)) and time.monotonic() < until:
                time.sleep(0.01)
    assert Wire.reply(found[0].content) == StepReply(b"early")
    assert asked == ["early"]


def test_after_a_break_the_stored_answer_goes_on_and_nothing_is_worked_on_twice() -> None:
    worked: list[bytes] = []
    begun, may_end = threading.Event(), threading.Event()

    def slow(message_type: str, content: RecordDict) -> RecordDict:
        worked.append(b"")
        begun.set()
        assert may_end.wait(10)
        return echo(message_type, content)

    with (
        port() as at,
        session_desk.Wire(at.server.port) as way,
        SessionGrid(at.server, STUDY, at.roster) as grid,
        running(at.site(at.roster.site[0].id, slow, address=f"localhost:{way.port}")),
    ):
        joined(grid, 1)
        names = grid.push_messages([Message(Wire.pack(StepRequest("x", LONG)), 2, STEP, ttl=60.0)])
        assert begun.wait(10)
        way.cut()
        may_end.set()
        until = time.monotonic() + 20
        while not (found := grid.pull_messages(names)) and time.monotonic() < until:
            time.sleep(0.01)
        assert Wire.reply(found[0].content) == StepReply(b"x" + LONG)
    assert len(worked) == 1


def test_a_second_study_finishes_while_the_first_still_runs() -> None:
    other = "cd" * 32
    hold = threading.Event()

    def held(message_type: str, content: RecordDict) -> RecordDict:
        assert hold.wait(20)
        return echo(message_type, content)

    with port() as at:
        site = at.roster.site[0].id
        with (
            SessionGrid(at.server, STUDY, at.roster) as first,
            SessionGrid(at.server, other, at.roster) as second,
            running(at.site(site, held), at.site(site, echo, study=other)),
        ):
            joined(first, 1)
            joined(second, 1)
            waiting = first.push_messages([Message(Wire.pack(StepRequest("a", b"")), 2, STEP, ttl=60.0)])
            (reply,) = second.send_and_receive(
                [Message(Wire.pack(StepRequest("b", b"")), 2, STEP)], timeout=10
            )
            assert Wire.reply(reply.content) == StepReply(b"b")
            assert first.pull_messages(waiting) == []
            hold.set()
            assert dict(ask(first, STEP, {2: StepRequest("c", b"")}, timeout=10)) == {2: StepReply(b"c")}


def test_a_site_dials_out_through_a_proxy_that_speaks_connect() -> None:
    with (
        port() as at,
        session_desk.Wire(at.server.port, connect=True) as proxy,
        SessionGrid(at.server, STUDY, at.roster) as grid,
        running(at.site(at.roster.site[0].id, echo, proxy=f"http://127.0.0.1:{proxy.port}")),
    ):
        joined(grid, 1)
        found = dict(ask(grid, STEP, {2: StepRequest("x", b"y")}, timeout=10.0))
    assert found == {2: StepReply(b"xy")}
    assert proxy.asked == [f"CONNECT localhost:{at.server.port} HTTP/1.1"]


def test_an_answer_that_fails_is_no_message_and_says_nothing() -> None:
    def failing(message_type: str, content: RecordDict) -> RecordDict:
        raise RuntimeError("Zhang San")

    with (
        port() as at,
        SessionGrid(at.server, STUDY, at.roster) as grid,
        running(at.site(at.roster.site[0].id, failing)),
    ):
        joined(grid, 1)
        found = dict(ask(grid, STEP, {2: StepRequest("x", b"")}, timeout=10.0))
    assert found == {2: Refused("reply_invalid")}


def test_what_the_stream_does_not_carry_is_refused_before_it_travels() -> None:
    with port() as at, SessionGrid(at.server, STUDY, at.roster) as grid:
        with pytest.raises(FederationError, match="not on the roster"):
            grid.push_messages([Message(Wire.pack(StepRequest("x", b"")), 99, STEP)])
        with pytest.raises(FederationError, match="questions to sites only"):
            grid.push_messages([Message(RecordDict({"a": ConfigRecord({"b": 1})}), 2, "train")])


def test_a_port_that_is_taken_is_said() -> None:
    with port() as at, pytest.raises(OutputError, match="cannot be had"):
        SessionServer(f"127.0.0.1:{at.server.port}", at.authority.server())


# ---- intruders --------------------------------------------------------------------------------------

Intrusion = Callable[[Port], grpc.ChannelCredentials | None]
INTRUDERS: dict[str, Intrusion] = {
    "without TLS": lambda _: None,
    "without a certificate": lambda at: grpc.ssl_channel_credentials(at.authority.pem),
    "with a certificate of another authority": lambda at: _foreign(at),
}


def _foreign(at: Port) -> grpc.ChannelCredentials:
    papers = Authority.make().issue("s01")
    return grpc.ssl_channel_credentials(at.authority.pem, papers.key, papers.certificate)


@pytest.mark.parametrize("who", INTRUDERS)
def test_nobody_gets_past_the_handshake(who: str) -> None:
    with port() as at, SessionGrid(at.server, STUDY, at.roster) as grid:
        credentials = INTRUDERS[who](at)
        channel = (
            grpc.insecure_channel(at.address)
            if credentials is None
            else grpc.secure_channel(at.address, credentials)
        )
        with channel, pytest.raises(grpc.RpcError) as refused:
            next(iter(rpc.SessionsStub(channel).Join(iter([]), timeout=5)))
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert grid.get_node_ids() == []


def test_a_plain_connection_that_says_nothing_keeps_nobody_out() -> None:
    with port() as at, SessionGrid(at.server, STUDY, at.roster) as grid:
        idle = [socket.create_connection(("127.0.0.1", at.server.port)) for _ in range(20)]
        idle[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
        with running(at.site(at.roster.site[0].id, echo)):
            joined(grid, 1)
        for each in idle:
            each.close()


def hello(at: Port, signer: str, *, site: str, study: str = STUDY, nonce: bytes | None = None) -> object:
    """Dial with a good certificate and say hello with whatever signature; return the second message."""
    said: list[pb.FromSite] = []
    ready = threading.Event()

    def outgoing() -> Iterator[pb.FromSite]:
        ready.wait(5)
        yield from said

    with grpc.secure_channel(at.address, at.authority.client(site)) as channel:
        call = rpc.SessionsStub(channel).Join(outgoing(), timeout=5)
        challenge = next(iter(call)).challenge.nonce
        statement = statements.session(nonce=(nonce or challenge).hex(), study_hash=study, site=site)
        signed = sign(statement, key(signer), "site").model_dump_json()
        said.append(pb.FromSite(hello=pb.Hello(site=site, study_hash=study, signature=signed)))
        ready.set()
        try:
            return next(iter(call)).WhichOneof("said")
        except grpc.RpcError as error:
            return error.code(), error.details()
        finally:
            call.cancel()  # type: ignore[no-untyped-call]  # gRPC leaves it untyped


def test_a_certificate_alone_does_not_speak_for_a_site() -> None:
    refused = (grpc.StatusCode.UNAUTHENTICATED, "")
    with port() as at, SessionGrid(at.server, STUDY, at.roster) as grid:
        one, two = (site.id for site in at.roster.site[:2])
        assert hello(at, f"site {two}", site=one) == refused
        assert hello(at, f"site {one}", site="s99") == refused
        assert hello(at, f"site {one}", site=one, study="ef" * 32) == refused
        assert hello(at, f"site {one}", site=one, nonce=bytes(32)) == refused
        assert grid.get_node_ids() == []
        assert hello(at, f"site {one}", site=one) == "welcome"


def test_a_connection_that_says_something_else_than_hello_is_refused() -> None:
    with (
        port() as at,
        SessionGrid(at.server, STUDY, at.roster),
        grpc.secure_channel(at.address, at.authority.client("s01")) as channel,
    ):
        said = iter([pb.FromSite(answer=pb.Piece(number=1, last=True, data=b"x"))])
        call = rpc.SessionsStub(channel).Join(said, timeout=5)
        assert next(iter(call)).WhichOneof("said") == "challenge"
        with pytest.raises(grpc.RpcError) as refused:
            next(iter(call))
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


# ---- pieces -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_pieces_are_put_together_as_they_were_cut(size: int) -> None:
    data = (b"ab" * size)[:size]
    joining = Joining()
    parts = (b"head", data, b"tail")
    found = [joining.take(one) for one in pieces(7, parts)]
    assert found[-1] == (7, (b"head", data, b"tail"))
    assert found[:-1] == [None] * (len(found) - 1)


@pytest.mark.parametrize(
    "sent",
    [
        [pb.Piece(number=1, index=1, last=True)],
        [pb.Piece(number=1, index=0), pb.Piece(number=2, index=1)],
        [pb.Piece(number=1, index=0), pb.Piece(number=1, index=2)],
        [pb.Piece(number=1, index=0, data=b"x" * (PIECE_BYTES + 1))],
        [pb.Piece(number=1, index=0, data=b"x" * 6), pb.Piece(number=1, index=1, data=b"x" * 6)],
        [pb.Piece(number=1, index=0, last=True), pb.Piece(number=1, index=1, last=True)],
        [pb.Piece(number=1, index=0, part=1)],
        [pb.Piece(number=1, index=0), pb.Piece(number=1, index=1, part=2)],
        [pb.Piece(number=1, index=0), *(pb.Piece(number=1, index=i, part=i) for i in range(1, 9))],
    ],
)
def test_pieces_that_do_not_follow_or_are_too_many_are_refused(sent: list[pb.Piece]) -> None:
    joining = Joining(most=PIECE_BYTES + 1 if len(sent[0].data) > 10 else 10)
    with pytest.raises(MessageInvalid):
        _ = [joining.take(piece) for piece in sent]


def test_a_first_piece_begins_anew() -> None:
    joining = Joining()
    assert joining.take(pb.Piece(number=1, index=0, data=b"half")) is None
    assert joining.take(pb.Piece(number=1, index=0, last=True, data=b"whole")) == (1, (b"whole",))
