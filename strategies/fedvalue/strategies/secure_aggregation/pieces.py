"""Long messages in pieces: cut at one end, put together at the other, with a limit on what is held."""

from __future__ import annotations

from collections.abc import Iterator

from fedvalue.errors import MessageInvalid
from fedvalue.protos.v1 import session_pb2 as pb

PIECE_BYTES = 1 << 20
MOST_BYTES = 1 << 30
"""Longest message: a vector of a hundred million words, and room."""


def pieces(number: int, data: bytes) -> Iterator[pb.Piece]:
    """Cut the message of a question's number; an empty one is one empty piece."""
    count = max(1, -(-len(data) // PIECE_BYTES))
    view = memoryview(data)
    for index in range(count):
        part = view[index * PIECE_BYTES : (index + 1) * PIECE_BYTES]
        yield pb.Piece(number=number, index=index, last=index == count - 1, data=bytes(part))


class Joining:
    """Puts the pieces of one message at a time together."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        """Begin with nothing.

        Args:
          most: Bytes that a message may have.
        """
        self._most = most
        self._number, self._next, self._size = 0, 0, 0
        self._parts: list[bytes] = []

    def take(self, piece: pb.Piece) -> tuple[int, bytes] | None:
        """Take a piece; return the number and the whole message once its last one is there.

        Raises:
          MessageInvalid: a piece that does not follow, is too long, or makes the message too long.
        """
        if piece.index == 0:
            self._number, self._next, self._size, self._parts = piece.number, 0, 0, []
        if piece.number != self._number or piece.index != self._next or len(piece.data) > PIECE_BYTES:
            raise MessageInvalid("a piece of a message does not follow the one before")
        self._next += 1
        self._size += len(piece.data)
        if self._size > self._most:
            raise MessageInvalid(f"a message is longer than {self._most} bytes")
        self._parts.append(piece.data)
        if not piece.last:
            return None
        whole, self._parts = b"".join(self._parts), []
        self._next = 0
        self._number = 0
        return piece.number, whole
