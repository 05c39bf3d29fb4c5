"""Send one question to some nodes of a Flower grid, and hand over each reply as it arrives.

Flower's own ``send_and_receive`` waits for all of them, which holds every reply in memory at once and looks
every three seconds only; a sum of vectors is folded as they come.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Protocol, runtime_checkable

from flwr.app import Message
from flwr.serverapp import Grid

from fedvalue.errors import ReplyInvalid
from fedvalue.strategies.secure_aggregation.messages import Refused, Reply, Request, Wire
from fedvalue.strategies.secure_aggregation.private_sum.gathering import NO_ANSWER

SHORTEST_WAIT = 0.0005
LONGEST_WAIT = 0.2
LATE = 0.05
"""Between two looks at the grid a twentieth of the time that has passed: no reply is seen much later."""


@runtime_checkable
class Waking(Protocol):
    """A grid that says when a reply is there, so that nobody has to look again and again."""

    def wait_for_reply(self, message_ids: Collection[str], seconds: float) -> None:
        """Return as soon as one of the replies is there, or when the time is up."""


def ask(
    grid: Grid, kind: str, requests: Mapping[int, Request], *, timeout: float | None
) -> Iterator[tuple[int, Reply]]:
    """Send requests and yield each node's reply as it arrives, then a refusal for each that gave none.

    Args:
      grid: The grid.
      kind: Flower's type of the message.
      requests: Node id to request.
      timeout: Seconds for all of them together; None waits for ever.
    """
    began = time.monotonic()
    until = None if timeout is None else began + timeout
    messages = [
        Message(Wire.pack(request), dst_node_id=node, message_type=kind, ttl=timeout)
        for node, request in requests.items()
    ]
    nodes = list(requests)
    waiting = dict(zip(grid.push_messages(messages), nodes, strict=True))
    del messages
    while waiting:
        found = list(grid.pull_messages(list(waiting)))
        for message in found:
            node = waiting.pop(message.metadata.reply_to_message_id, None)
            if node is not None:
                yield node, _read(message)
        now = time.monotonic()
        if not waiting or (until is not None and now >= until):
            break
        left = float("inf") if until is None else until - now
        if isinstance(grid, Waking):
            grid.wait_for_reply(waiting, min(left, LONGEST_WAIT))
        else:
            time.sleep(min(max(LATE * (now - began), SHORTEST_WAIT), LONGEST_WAIT, left))
    for node in waiting.values():
        yield node, Refused(NO_ANSWER)


def _read(message: Message) -> Reply:
    try:
        return Refused(NO_ANSWER) if message.has_error() else Wire.reply(message.content)
    except ReplyInvalid as error:
        return Refused(error.code)
