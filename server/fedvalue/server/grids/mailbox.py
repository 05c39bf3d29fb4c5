"""Replies on their way: which are expected, which have arrived, and who waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Mailbox:
    """Packed replies by the id of the message that they answer.

    Safe to call from several threads. Whoever waits is woken once, when the last reply is there: waking
    for each costs more than a short handler does.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._expected: set[str] = set()
        self._replies: dict[str, bytes] = {}
        self._awaited: list[set[str]] = []  # what each waiting caller still lacks

    def expect(self, message_ids: Iterable[str]) -> None:
        """Take replies to these messages from now on."""
        with self._changed:
            self._expected.update(message_ids)

    def expects(self, message_id: str) -> bool:
        """Whether the reply to a message is still to come."""
        with self._changed:
            return message_id in self._expected

    def deliver(self, message_id: str, packed: bytes) -> None:
        """Put a reply in; one that nobody expects any more is dropped."""
        with self._changed:
            if message_id not in self._expected:
                return
            self._expected.discard(message_id)
            self._replies[message_id] = packed
            for missing in self._awaited:
                missing.discard(message_id)
                if not missing:
                    self._changed.notify_all()

    def take(self, message_id: str) -> bytes | None:
        """Take a reply out, once; ``None`` where there is none."""
        with self._changed:
            return self._replies.pop(message_id, None)

    def wait(self, message_ids: Iterable[str], seconds: float | None) -> bool:
        """Wait for the replies to all of these messages.

        Args:
          message_ids: What is waited for; an id that is not expected is not waited for.
          seconds: Longest wait; ``None`` waits as long as it takes, 0 or less only looks.

        Returns:
          Whether none of them is still to come.
        """
        with self._changed:
            missing = self._expected.intersection(message_ids)
            self._awaited.append(missing)
            try:
                return self._changed.wait_for(lambda: not missing, seconds)
            finally:
                self._awaited = [other for other in self._awaited if other is not missing]

    def clear(self) -> None:
        """Expect nothing, hold nothing, let everybody go who waits."""
        with self._changed:
            self._expected.clear()
            self._replies.clear()
            for missing in self._awaited:
                missing.clear()
            self._changed.notify_all()
