"""Long messages in pieces: cut at one end, put together at the other, with a limit on what is held.

A message has parts: the protobuf message itself, then the long bytes that travel beside it. Each is cut by
itself, so that a vector is copied once at either end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedvalue.errors import MessageInvalid
from fedvalue.protos.v1 import session_pb2 as pb

PIECE_BYTES = 1 << 20
MOST_BYTES = 1 << 30
"""Longest message: a vector of a hundred million words, and room."""

MOST_PARTS = 8

Parts = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a message; the fields are those of ``Piece`` in ``session.proto``.

    Attributes:
      number: Of the question.
      index: Position, from 0.
      part: Which part of the message.
      last: True for the message's last one.
      data: At most `PIECE_BYTES`, not copied from where it lies.
    """

    number: int
    index: int
    part: int
    last: bool
    data: bytes | memoryview


def pieces(number: int, parts: Sequence[bytes]) -> Iterator[Piece]:
    """Cut a message; an empty part is one empty piece.

    Args:
      number: Of the question.
      parts: The serialized message, and what travels beside it.
    """
    index = 0
    for part, data in enumerate(parts):
        view, count = memoryview(data), max(1, -(-len(data) // PIECE_BYTES))
        for turn in range(count):
            last = part == len(parts) - 1 and turn == count - 1
            yield Piece(number, index, part, last, view[turn * PIECE_BYTES : (turn + 1) * PIECE_BYTES])
            index += 1


class Joining:
    """Puts the pieces of one message at a time together."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        """Begin with nothing.

        Args:
          most: Bytes that a message may have.
        """
        self._most = most
        self._number, self._next, self._size = 0, 0, 0
        self._parts: list[list[bytes | memoryview]] = []

    def take(self, piece: Piece | pb.Piece) -> tuple[int, Parts] | None:
        """Take a piece; return the number and the message's parts once its last one is there.

        Raises:
          MessageInvalid: a piece that does not follow, is too long, or makes the message too long.
        """
        if piece.index == 0:
            self._number, self._next, self._size, self._parts = piece.number, 0, 0, []
        data = piece.data
        follows = piece.number == self._number and piece.index == self._next
        if (
            not follows
            or len(data) > PIECE_BYTES
            or piece.part not in (len(self._parts) - 1, len(self._parts))
        ):
            raise MessageInvalid("a piece of a message does not follow the one before")
        if piece.part == len(self._parts):
            self._parts.append([])
        self._next += 1
        self._size += len(data)
        if self._size > self._most or len(self._parts) > MOST_PARTS:
            raise MessageInvalid(f"a message is longer than {self._most} bytes")
        self._parts[-1].append(data)
        if not piece.last:
            return None
        whole = tuple(b"".join(part) for part in self._parts)
        self._number, self._next, self._parts = 0, 0, []
        return piece.number, whole
