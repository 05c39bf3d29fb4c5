"""Both ends of the way between a Flower process and the site node: gRPC on a Unix socket of mode 0600."""

from __future__ import annotations

import os
import socket as sockets
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
from flwr.app import RecordDict

from fedvalue.errors import MessageInvalid, OutputError, SiteFault, SiteUnreachable
from fedvalue.protos.v1 import site_node_pb2 as pb
from fedvalue.protos.v1 import site_node_pb2_grpc as rpc
from fedvalue.strategies.secure_aggregation.fields import content_of, fields_of
from fedvalue.strategies.secure_aggregation.messages import Refused, Wire

ANY_LENGTH = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
"""A vector of ten million words is one message; the socket is this machine's own."""

LONGEST_PATH = 100
"""Unix gives the path of a socket 108 bytes."""

WAIT_SECONDS = 5.0
WORKERS = 8
MOST_AT_ONCE = 4 * WORKERS
"""Messages that are worked on or wait; the next one is turned away, and its sender may ask again."""

Answer = Callable[[str, RecordDict], RecordDict]


def relayed(socket: Path, message_type: str, content: RecordDict) -> RecordDict:
    """Pass a message to the node behind ``socket`` and return its answer; a refusal if it cannot be had."""
    try:
        asked = pb.Asked(message_type=message_type, fields=fields_of(content))
    except MessageInvalid as error:
        return Wire.pack(Refused(error.code))
    try:
        with grpc.insecure_channel(f"unix:{socket}", options=ANY_LENGTH) as channel:
            answered = rpc.SiteNodeStub(channel).Answer(asked, wait_for_ready=False)
    except grpc.RpcError:
        return Wire.pack(Refused(SiteUnreachable.code))
    return content_of(answered.fields)


def serving(answer: Answer, socket: Path) -> grpc.Server:
    """Start answering on ``socket``; nobody but the owner of this process may connect.

    Args:
      answer: The node's.
      socket: Where; a socket that nobody listens on is replaced.

    Returns:
      The running server; the caller stops it.

    Raises:
      OutputError: the path is too long, is no socket, is in use, or cannot be written.
    """
    _make_room(socket)
    server = grpc.server(
        ThreadPoolExecutor(WORKERS), options=ANY_LENGTH, maximum_concurrent_rpcs=MOST_AT_ONCE
    )
    rpc.add_SiteNodeServicer_to_server(_Servicer(answer), server)
    before = os.umask(0o177)
    try:
        bound = server.add_insecure_port(f"unix:{socket}")
    except RuntimeError:
        bound = 0
    finally:
        os.umask(before)
    if not bound or stat.S_IMODE(socket.stat().st_mode) != 0o600:
        raise OutputError("the socket cannot be made with mode 0600", where=str(socket))
    server.start()
    return server


class _Servicer(rpc.SiteNodeServicer):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def Answer(self, request: pb.Asked, context: grpc.ServicerContext) -> pb.Answered:  # noqa: N802 (protobuf)
        del context
        try:
            fields = fields_of(self._answer(request.message_type, content_of(request.fields)))
        except Exception:
            # gRPC would pass on the text of whatever escapes here.
            fields = fields_of(Wire.pack(Refused(SiteFault.code)))
        return pb.Answered(fields=fields)


def _make_room(socket: Path) -> None:
    if len(os.fsencode(socket)) > LONGEST_PATH:
        raise OutputError(
            f"the path of a socket has at most {LONGEST_PATH} bytes",
            where=str(socket),
            do="give a shorter one with --socket, and to the SuperNode as site-socket",
        )
    try:
        mode = socket.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OutputError("there is something else at the place of the socket", where=str(socket))
    with sockets.socket(sockets.AF_UNIX) as probe, suppress(ConnectionRefusedError):
        probe.settimeout(WAIT_SECONDS)
        probe.connect(str(socket))
        raise OutputError("somebody listens on the socket", where=str(socket), do="stop it first")
    socket.unlink()
