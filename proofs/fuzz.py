"""Messages that nobody should send: made from genuine ones by cutting, flipping, repeating and swapping.

Four doors of the program get them: the node's answer, its Unix socket, the coordinator's port for sessions,
and what the coordinator reads as a site's answer. Each must refuse by a code, or drop the connection, and be
there for the next one.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message as Proto
from google.protobuf.message_factory import GetMessageClass

from fedvalue.errors import MessageInvalid, ReplyInvalid
from fedvalue.protos.v1 import session_pb2 as session_pb
from fedvalue.protos.v1 import site_node_pb2 as node_pb
from fedvalue.server.grids.session import Session
from fedvalue.server.grids.streamed import PREFIX, SessionGrid
from fedvalue.strategies.secure_aggregation.fields import fields_of
from fedvalue.strategies.secure_aggregation.messages import (
    ENROL,
    RECORD,
    RELEASE,
    SESSION,
    STEP,
    EnrolRequest,
    Refused,
    ReleaseRequest,
    Request,
    SessionRequest,
    StepReply,
    StepRequest,
    Wire,
)
from fedvalue.strategies.secure_aggregation.private_sum import wire

Answer = Callable[[str, RecordDict], RecordDict]

OVERSIZED = (1 << 24) + 1
"""Bytes of a request that a site reads no further; one message in five hundred has them."""

KINDS = (ENROL, SESSION, RELEASE, STEP, "query.none", "train", "", "query.step\x00", "evaluate.enrol")
JOIN = "/fedvalue.protos.v1.Sessions/Join"
ANSWER = "/fedvalue.protos.v1.SiteNode/Answer"
SECONDS = 10.0


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Return bytes that differ from ``data`` in one of seven ways."""
    at = rng.randrange(len(data) + 1)
    way = rng.randrange(7)
    if way == 0:
        return data[:at]
    if way == 1:
        return data[:at] + rng.randbytes(rng.randrange(1, 40)) + data[at:]
    if way == 2:
        return data + data
    if way == 3:
        return data[at:] + data[:at]
    if way == 4:
        return rng.randbytes(rng.randrange(200))
    if way == 5 and data:
        flipped = bytearray(data)
        for _ in range(rng.randrange(1, 6)):
            flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    return data[:at] + data[at + rng.randrange(1, 20) :]


def filled(rng: random.Random, kind: type[Proto], words: Sequence[str], depth: int = 3) -> Proto:
    """Return a message of a kind with something in most of its fields.

    Args:
      rng: Draws.
      kind: Of the message.
      words: What texts are drawn from: hashes, names, epochs that mean something to the receiver.
      depth: Of messages within messages.
    """
    made = kind()
    for field in kind.DESCRIPTOR.fields:
        if rng.random() < 0.1:
            continue
        count = rng.randrange(4) if field.is_repeated else 1
        values = [_value(rng, field, words, depth) for _ in range(count)]
        if field.message_type is not None:
            for value in (each for each in values if each is not None):
                into = getattr(made, field.name)
                (into.add() if field.is_repeated else into).MergeFrom(value)
        elif field.is_repeated:
            getattr(made, field.name).extend(values)
        else:
            setattr(made, field.name, values[0])
    return made


def _value(rng: random.Random, field: Any, words: Sequence[str], depth: int) -> Any:
    if field.message_type is not None:
        return filled(rng, GetMessageClass(field.message_type), words, depth - 1) if depth else None
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice([*words, "", "x" * rng.randrange(100), "\x00", "患者"])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return rng.randbytes(rng.choice([0, 8, 32, 64, 100]))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    return rng.choice([0, 1, 2, 3, 5, 2**31 - 1, rng.randrange(2**31)])


def question(rng: random.Random, words: Sequence[str]) -> tuple[str, RecordDict]:
    """Return a message as a coordinator might send it to a node, almost always one that nobody should."""
    step = rng.choice([*wire.REQUESTS, "none"])
    payload = filled(rng, wire.REQUESTS.get(step, session_pb.Hello), words).SerializeToString()
    if rng.random() < 0.7:
        payload = mutated(rng, payload)
    if rng.random() < 0.002:
        payload = bytes(OVERSIZED)
    one, two, three, four = rng.choices(words, k=4)
    some: list[Request] = [
        StepRequest(step, payload),
        EnrolRequest(one, two, three),
        SessionRequest(one, two, three, four, rng.randrange(-5, 70000)),
        ReleaseRequest(one, two, three, rng.randrange(-3, 9), four, payload[:50]),
    ]
    request = rng.choice(some)
    content = Wire.pack(request)
    if rng.random() < 0.4:
        _spoil(rng, content)
    usual = {kind: name for name, kind in Wire.REQUESTS.items()}
    kind = usual[type(request)] if rng.random() < 0.8 else rng.choice(KINDS)
    return kind, content


def _spoil(rng: random.Random, content: RecordDict) -> None:
    """Change a record so that its fields are not what they should be."""
    record = content.config_records[RECORD]
    name = rng.choice(list(record))
    way = rng.randrange(5)
    if way == 0:
        del record[name]
    elif way == 1:
        values: list[Any] = [7, 0.5, b"x", "x", [1, 2], ["a"], True]
        record[name] = rng.choice(values)
    elif way == 2:
        record["more"] = "x"
    elif way == 3:
        content["other"] = MetricRecord({"a": 1.0})
    else:
        content.config_records.pop(RECORD)
        content["else"] = ConfigRecord({"kind": "StepRequest"})


def at_node(answer: Answer, rng: random.Random, words: Sequence[str], count: int) -> Counter[str]:
    """Ask a node ``count`` questions, and return how often it said what.

    Raises:
      Exception: whatever the node lets out, which must be nothing.
    """
    said: Counter[str] = Counter()
    for _ in range(count):
        reply = Wire.reply(answer(*question(rng, words)))
        said[reply.code if isinstance(reply, Refused) else "answered"] += 1
    return said


def at_socket(address: str, rng: random.Random, words: Sequence[str], count: int) -> Counter[str]:
    """Send ``count`` byte strings to a node's socket, and return what came of them."""
    said: Counter[str] = Counter()
    with grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
        call = channel.unary_unary(ANSWER, None, None)
        for _ in range(count):
            kind, content = question(rng, words)
            try:
                asked = node_pb.Asked(message_type=kind, fields=fields_of(content))
                sent = asked.SerializeToString()
            except MessageInvalid:  # what no Asked can carry is sent as something else
                sent = filled(rng, node_pb.Asked, words).SerializeToString()
            data = mutated(rng, sent[:100_000])
            try:
                call(data, timeout=SECONDS)
                said["answered"] += 1
            except grpc.RpcError as error:
                said[error.code().name.lower()] += 1
    return said


def at_port(
    address: str,
    credentials: grpc.ChannelCredentials,
    hello: Callable[[bytes], session_pb.Hello],
    rng: random.Random,
    words: Sequence[str],
    count: int,
) -> Counter[str]:
    """Send ``count`` messages to a coordinator's port, with a certificate that it lets in.

    Args:
      address: ``host:port``.
      credentials: Of a site that may.
      hello: Makes a good hello for a challenge's nonce; half of the connections begin with it.
      rng: Draws.
      words: As in `filled`.
      count: Messages.

    Returns:
      How the connections ended.
    """
    ended: Counter[str] = Counter()
    sent = 0
    with grpc.secure_channel(address, credentials) as channel:
        call = channel.stream_stream(JOIN, None, None)
        while sent < count:
            line = _Line(hello if rng.random() < 0.5 else None)
            spoiled = [
                mutated(rng, filled(rng, session_pb.FromSite, words).SerializeToString())
                for _ in range(rng.randrange(1, 12))
            ]
            stream = call(line.said(spoiled), timeout=SECONDS)
            try:
                for data in stream:
                    line.hear(data)
                ended["closed"] += 1
            except grpc.RpcError as error:
                ended[error.code().name.lower()] += 1
            finally:
                line.heard.set()
                stream.cancel()  # type: ignore[no-untyped-call]  # gRPC leaves it untyped
            sent += len(spoiled)
    return ended


class _Line:
    """One connection of an intruder: hears the challenge, may answer it well, and then says what it likes."""

    def __init__(self, hello: Callable[[bytes], session_pb.Hello] | None) -> None:
        self._hello, self._nonce, self.heard = hello, b"", threading.Event()

    def hear(self, data: bytes) -> None:
        """Take what the coordinator says; the first of it is the challenge."""
        if not self.heard.is_set():
            self._nonce = session_pb.ToSite.FromString(data).challenge.nonce
            self.heard.set()

    def said(self, spoiled: Sequence[bytes]) -> Iterator[bytes]:
        """Yield what is sent."""
        self.heard.wait(SECONDS)
        if self._hello is not None:
            yield session_pb.FromSite(hello=self._hello(self._nonce)).SerializeToString()
        yield from spoiled


def at_coordinator(
    grid: SessionGrid, session: Session, node: int, rng: random.Random, count: int
) -> Counter[str]:
    """Give a coordinator ``count`` answers, and return how it read them.

    Args:
      grid: Sessions of one study.
      session: Of one site, which has not joined.
      node: The site's node.
      rng: Draws.
      count: Answers.

    Raises:
      Exception: whatever the coordinator lets out, which must be nothing.
    """
    read: Counter[str] = Counter()
    for _ in range(count):
        good = node_pb.Answered(fields=fields_of(Wire.pack(StepReply(rng.randbytes(20)))))
        beside = [rng.randbytes(9)] if rng.random() < 0.2 else []
        (name,) = grid.push_messages([Message(Wire.pack(StepRequest("keys", b"")), node, STEP)])
        number = int(name.removeprefix(PREFIX))
        session.answered(number, (mutated(rng, good.SerializeToString()), *beside))
        session.answered(number, (b"once more",))  # the second answer to a question counts for nothing
        (message,) = grid.pull_messages([name])
        if message.has_error():
            read["no_answer"] += 1
            continue
        try:
            read[type(Wire.reply(message.content)).__name__] += 1
        except ReplyInvalid as error:
            read[error.code] += 1
    return read
