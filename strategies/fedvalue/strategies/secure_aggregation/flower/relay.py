"""How the requests of a private sum reach sites over a Flower grid, and replies come back one at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flwr.app import Message
from flwr.serverapp import Grid

from fedvalue.errors import ReplyInvalid
from fedvalue.strategies.secure_aggregation.flower import records
from fedvalue.strategies.secure_aggregation.messages import Refused
from fedvalue.strategies.secure_aggregation.private_sum import wire

SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 1.0
"""Seconds between two looks for replies; each look without one doubles the pause."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Reaches the sites of one question through their nodes.

    Attributes:
      grid: Flower's grid.
      message_type: Type of the messages; the mod of the sites' ClientApps takes them before the app does.
      seconds: Longest wait for the replies of one step.
      nodes: Site id to node id, as the nodes said.
      absent: Site id to the code of each site that holds no answer; none is asked for a vector.
    """

    grid: Grid
    message_type: str
    seconds: float
    nodes: Mapping[str, int]
    absent: Mapping[str, str]

    def exchange(self, step: str, requests: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | Refused]]:
        """Send each site its request; yield replies as they arrive, for at most `seconds`.

        A node's error is no answer; a reply that no secured ClientApp gives is a refusal.
        """
        absent = self.absent if step == wire.MASKED else {}
        for site in requests.keys() & absent.keys():
            yield site, Refused(absent[site])
        there = [(s, self.nodes[s]) for s in requests if s in self.nodes and s not in absent]
        waiting = self._sent(step, requests, there)
        until, pause = time.monotonic() + self.seconds, SHORTEST_PAUSE
        while waiting:
            arrived = 0
            for message in self.grid.pull_messages(list(waiting)):
                arrived += 1
                sender = waiting.pop(message.metadata.reply_to_message_id, None)
                if sender is not None and not message.has_error():
                    yield sender, _read(message)
            left = until - time.monotonic()
            if left <= 0:
                return
            if waiting and not arrived:
                time.sleep(min(pause, left))
                pause = min(2 * pause, LONGEST_PAUSE)

    def _sent(self, step: str, requests: Mapping[str, bytes], there: list[tuple[str, int]]) -> dict[str, str]:
        """Return message id to site."""
        messages = [
            Message(records.pack(records.Step(step, requests[site])), node, self.message_type)
            for site, node in there
        ]
        # Flower gives no id to a message that it could not send.
        sent = zip(self.grid.push_messages(messages), there, strict=False) if messages else ()
        return {message_id: site for message_id, (site, _) in sent if message_id}


def _read(message: Message) -> bytes | Refused:
    try:
        found = records.reply(message.content)
    except ReplyInvalid as error:
        return Refused(error.code)
    if isinstance(found, records.Answered):
        return found.payload
    return found if isinstance(found, Refused) else Refused(ReplyInvalid.code)
