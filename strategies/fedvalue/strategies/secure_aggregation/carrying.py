"""Pieces of long messages to bytes and back, each byte copied once: protobuf's format, written by hand.

Protobuf copies the data of a piece into a message, and out of it again, at both ends; for a vector of ten
million words that is as much work as TLS. The bytes are those of ``session.proto``: what is not plainly one
long piece goes through protobuf.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from fedvalue.protos.v1 import session_pb2 as pb
from fedvalue.strategies.secure_aggregation.pieces import Piece

LONG: Final = 1 << 15
"""Bytes from which a piece is read by hand."""

ANSWER: Final = (pb.FromSite.ANSWER_FIELD_NUMBER << 3) | 2
QUESTION: Final = (pb.ToSite.QUESTION_FIELD_NUMBER << 3) | 2
NUMBER, INDEX, LAST, DATA, PART = (
    (field << 3) | (2 if field == pb.Piece.DATA_FIELD_NUMBER else 0)
    for field in (
        pb.Piece.NUMBER_FIELD_NUMBER,
        pb.Piece.INDEX_FIELD_NUMBER,
        pb.Piece.LAST_FIELD_NUMBER,
        pb.Piece.DATA_FIELD_NUMBER,
        pb.Piece.PART_FIELD_NUMBER,
    )
)
"""Tags of protobuf's wire format: the field's number, and 0 for a varint or 2 for bytes with their length."""

MOST_BITS = 64


def written(message: Message | Piece, tag: int) -> bytes:
    """Return the bytes of a message, or those of one whose only field is a piece.

    Args:
      message: What is sent.
      tag: `ANSWER` where a site speaks, `QUESTION` where a coordinator does.
    """
    if isinstance(message, Message):
        return message.SerializeToString()
    size = len(message.data)
    head = b"".join(
        (
            bytes((NUMBER,)), _varint(message.number), bytes((INDEX,)), _varint(message.index),
            bytes((LAST,)), _varint(int(message.last)), bytes((PART,)), _varint(message.part),
            bytes((DATA,)), _varint(size),
        )
    )  # fmt: skip
    return b"".join((bytes((tag,)), _varint(len(head) + size), head, message.data))


def from_site(data: bytes) -> pb.FromSite | Piece:
    """Read what a site says."""
    return _piece(data, ANSWER) or pb.FromSite.FromString(data)


def to_site(data: bytes) -> pb.ToSite | Piece:
    """Read what a coordinator says."""
    return _piece(data, QUESTION) or pb.ToSite.FromString(data)


def site_says(message: Message | Piece) -> bytes:
    """Write what a site says."""
    return written(message, ANSWER)


def coordinator_says(message: Message | Piece) -> bytes:
    """Write what a coordinator says."""
    return written(message, QUESTION)


def _piece(data: bytes, tag: int) -> Piece | None:
    """Return the one long piece that these bytes are, its data not copied; None where they are none."""
    if len(data) < LONG or data[0] != tag:
        return None
    length, at = _read(data, 1)
    if at == 0 or at + length != len(data):
        return None
    values = {NUMBER: 0, INDEX: 0, LAST: 0, PART: 0}
    content = memoryview(b"")
    while at < len(data):
        kind = data[at]
        value, at = _read(data, at + 1)
        if at == 0:
            return None
        if kind == DATA and at + value <= len(data):
            content, at = memoryview(data)[at : at + value], at + value
        elif kind in values:
            values[kind] = value
        else:
            return None
    if max(values[INDEX], values[PART]) >= 1 << 32:
        return None
    return Piece(values[NUMBER], values[INDEX], values[PART], bool(values[LAST]), content)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append((value & 0x7F) | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _read(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and where it ends; 0 for the end where there is none."""
    value = shift = 0
    while at < len(data) and shift < MOST_BITS - 1:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, 0
