"""One site's session at the coordinator: what is asked, what is under way, what has arrived.

A session outlives its connections. What has no answer is sent again to the next connection, from its first
piece; what arrives twice is taken once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fedvalue.protos.v1 import session_pb2 as pb
from fedvalue.strategies.secure_aggregation.pieces import Parts, Piece, pieces

TICK = 0.5
"""Seconds after which a connection that has nothing to send looks whether it is still wanted."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question to one site.

    Attributes:
      parts: A serialized `Asked`, and what travels beside it.
      until: On `time.monotonic`, when nobody waits for the answer any more.
    """

    parts: Parts
    until: float


class Session:
    """One site in one study; safe for several threads."""

    def __init__(self, arrived: Callable[[int, Parts], None]) -> None:
        """A session that nobody has joined yet.

        Args:
          arrived: Told of each answer, once: the question's number and the parts of an `Answered`.
        """
        self._arrived = arrived
        self._changed = threading.Condition()
        self._open: dict[int, Question] = {}
        self._to_send: deque[pb.ToSite | int] = deque()
        self._connection = 0
        self._away_since: float | None = time.monotonic()
        self._over = ""

    def ask(self, number: int, parts: Parts, seconds: float | None) -> None:
        """Put a question; it is sent as soon as a connection is there.

        Args:
          number: Never used before.
          parts: A serialized `Asked`, and what travels beside it.
          seconds: How long anybody waits for the answer; None for ever.
        """
        with self._changed:
            until = float("inf") if seconds is None else time.monotonic() + seconds
            self._open[number] = Question(parts, until)
            self._to_send.append(number)
            self._changed.notify_all()

    def answered(self, number: int, parts: Parts) -> None:
        """Take an answer; one to a question that is not open is acknowledged and dropped."""
        with self._changed:
            wanted = self._open.pop(number, None)
            self._to_send.append(pb.ToSite(arrived=pb.Arrived(number=number)))
            self._changed.notify_all()
        if wanted is not None:
            self._arrived(number, parts)

    def end(self, why: str) -> None:
        """Tell the site that the session is over, on this connection or the next."""
        with self._changed:
            self._over = why
            self._open.clear()
            self._changed.notify_all()

    @property
    def over(self) -> bool:
        """True once it was ended."""
        with self._changed:
            return bool(self._over)

    @property
    def joined(self) -> bool:
        """True once its site has been here."""
        with self._changed:
            return self._connection > 0

    def away(self) -> float:
        """Return for how many seconds nobody has been connected; 0 while somebody is."""
        with self._changed:
            return 0.0 if self._away_since is None else time.monotonic() - self._away_since

    def give_up(self) -> list[int]:
        """Wait for no answer any longer, and return the numbers of the questions that had none."""
        with self._changed:
            numbers = sorted(self._open)
            self._open.clear()
            return numbers

    def connect(self) -> int:
        """Begin a connection, which ends the one before; everything without an answer is sent again."""
        with self._changed:
            self._connection += 1
            self._away_since = None
            self._to_send = deque(sorted(self._open))
            self._changed.notify_all()
            return self._connection

    def left(self, connection: int) -> None:
        """Note that a connection has ended; one that another has replaced counts no more."""
        with self._changed:
            if self._connection == connection:
                self._away_since = time.monotonic()
                self._changed.notify_all()

    def outgoing(self, connection: int, alive: Callable[[], bool]) -> Iterator[pb.ToSite | Piece]:
        """Yield what this connection is to send, until it is over or another one has taken its place.

        Args:
          connection: What `connect` returned.
          alive: False once the other end is gone.
        """
        while alive():
            with self._changed:
                self._changed.wait_for(lambda: self._due(connection), TICK)
                if self._connection != connection:
                    return
                if self._over:
                    yield pb.ToSite(over=pb.Over(why=self._over))
                    return
                if not self._to_send:
                    continue
                item = self._to_send.popleft()
                question = self._open.get(item) if isinstance(item, int) else None
            if isinstance(item, pb.ToSite):
                yield item
            elif question is not None and time.monotonic() < question.until:
                yield from pieces(item, question.parts)

    def _due(self, connection: int) -> bool:
        return bool(self._to_send) or bool(self._over) or self._connection != connection
