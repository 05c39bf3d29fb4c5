"""Flower's own grid, whose nodes are asked to dial in: who does is reached over its session from then on.

One message a study goes over Flower's grid to each node; the rounds run over the streams. A site that does
not dial in - older software, no way to the port, its people do not want it - is reached over Flower's grid
as before, message by message, and the study sees no difference but the time. A session that is lost for
longer is asked for anew: a site node that was started again knows nothing of it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging import getLogger

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedvalue.errors import RunInterrupted, SiteRepeated
from fedvalue.operations.logs import event
from fedvalue.server.grids import wire
from fedvalue.server.grids.invitation import Dialing, Study
from fedvalue.server.grids.pins import Pins
from fedvalue.server.grids.session_server import SessionServer
from fedvalue.server.grids.streamed import PREFIX, SessionGrid

LOG = getLogger("fedvalue.sessions")

POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what is waited for, seconds.

    Attributes:
      answer: Until a node has said whether it dials in; afterwards it is reached over Flower's grid.
      join: From then until it has.
      lost: A session may be away so long before it is asked for anew.
      again: Between two invitations of one node.
      look: Between two looks at who is away.
    """

    answer: float = 30.0
    join: float = 20.0
    lost: float = 6.0
    again: float = 15.0
    look: float = 1.0


@dataclass(slots=True)
class _Guest:
    """One of Flower's nodes.

    Attributes:
      at: When it was asked last, on `time.monotonic`.
      message: Id of the invitation without an answer; empty if there is none.
      nonce: Of the last invitation.
      site: Site id, once it has said so.
      answered: When it answered; None before.
      declined: True if it is reached over Flower's grid.
    """

    at: float
    message: str
    nonce: str
    site: str = ""
    answered: float | None = None
    declined: bool = False


class InvitedGrid(Grid):
    """Flower's nodes, some of them over sessions; node ids are Flower's."""

    def __init__(
        self,
        flower: Grid,
        server: SessionServer,
        pins: Pins,
        study: Study,
        *,
        patience: Patience | None = None,
    ) -> None:
        """Nobody is asked yet.

        Args:
          flower: Flower's own grid.
          server: Where sites dial.
          pins: Which certificates it lets in.
          study: What is streamed.
          patience: How long what is waited for.
        """
        self._flower, self._server, self._pins, self._study = flower, server, pins, study
        self._patience = patience or Patience()
        self._guests: dict[int, _Guest] = {}
        self._looked, self._name = float("-inf"), secrets.token_hex(16)
        self.sessions = SessionGrid(server, study.study_hash, study.roster, run=flower.run)

    def close(self, why: str = "ended") -> None:
        """End every session of the study; Flower's grid stays."""
        self.sessions.close(why)

    @property
    def run(self) -> wire.Run:
        """Flower's description of the run."""
        return self._flower.run

    def set_run(self, run: wire.Run) -> None:
        """Take over a run."""
        self._flower.set_run(run)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Flower's older way to make a message; ``Message(...)`` says the same."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return Flower's nodes that have joined a session, and once all are settled also the others.

        Who declines does so at once, also a hospital of the federation that is not asked for this study; were
        it counted, the study would begin without those that are about to join.
        """
        nodes = list(self._flower.get_node_ids())
        self._invite([node for node in nodes if node not in self._guests])
        self._hear()
        if all(self._settled(self._guests[node]) for node in nodes):
            return nodes
        return [node for node in nodes if self._streams(node)]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send each message over its node's session, or over Flower's grid where there is none."""
        asked = list(messages)
        streams = [self._streams(message.metadata.dst_node_id) for message in asked]
        over = iter(self.sessions.push_messages([m for m, s in zip(asked, streams, strict=True) if s]))
        rest = iter(self._flower.push_messages([m for m, s in zip(asked, streams, strict=True) if not s]))
        return [next(over) if stream else next(rest) for stream in streams]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies that have arrived."""
        ours, others = _apart(message_ids)
        self._look()
        found = self.sessions.pull_messages(ours)
        return [*found, *self._flower.pull_messages(others)] if others else found

    def wait_for_reply(self, message_ids: Collection[str], seconds: float) -> None:
        """Return as soon as a reply over a session is there, or soon: Flower's own do not call."""
        ours, _ = _apart(message_ids)
        if ours:
            self.sessions.wait_for_reply(ours, min(seconds, POLL_SECONDS))
        else:
            time.sleep(max(0.0, min(seconds, POLL_SECONDS)))

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send messages and wait for their replies, or until time is up."""
        until = float("inf") if timeout is None else time.monotonic() + timeout
        names = self.push_messages(messages)
        waiting, found = set(names), dict[str, Message]()
        while waiting and time.monotonic() < until:
            self.wait_for_reply(waiting, until - time.monotonic())
            found |= {m.metadata.reply_to_message_id: m for m in self.pull_messages(list(waiting))}
            waiting -= set(found)
        return [found[name] for name in names if name in found]

    # ---- invitations -------------------------------------------------------------------------------

    def _streams(self, node: int) -> bool:
        guest = self._guests.get(node)
        return guest is not None and bool(guest.site) and self.sessions.joined(guest.site)

    def _settled(self, guest: _Guest) -> bool:
        if guest.declined or (guest.site and self.sessions.joined(guest.site)):
            return True
        now = time.monotonic()
        if guest.answered is None:
            return now - guest.at > self._patience.answer
        return now - guest.answered > self._patience.join

    def _invite(self, nodes: list[int]) -> None:
        """Ask nodes to dial in."""
        study, messages, nonces = self._study, [], []
        for node in nodes:
            nonces.append(secrets.token_hex(16))
            messages.append(study.invitation(node, nonces[-1], self._name, self._server.port))
        if not messages:
            return
        now = time.monotonic()
        for node, nonce, name in zip(nodes, nonces, self._flower.push_messages(messages), strict=True):
            known = self._guests.get(node)
            site = known.site if known is not None else ""
            self._guests[node] = _Guest(now, name, nonce, site, known.answered if known else None)

    def _hear(self) -> None:
        """Take answers to invitations."""
        waiting = {guest.message: node for node, guest in self._guests.items() if guest.message}
        if not waiting:
            return
        for message in self._flower.pull_messages(list(waiting)):
            node = waiting.get(message.metadata.reply_to_message_id)
            if node is None:
                continue
            guest = self._guests[node]
            guest.message, guest.answered = "", time.monotonic()
            others = {known.site for number, known in self._guests.items() if number != node}
            found = self._study.answered(message, guest.nonce)
            same = guest.site in ("", found.site if isinstance(found, Dialing) else "")
            if isinstance(found, Dialing) and same and found.site not in others:
                guest.site = found.site
                self._pins.pin(found.site, found.certificate)
                self.sessions.seat(found.site, node)
                continue
            guest.declined = not guest.site  # a session that was there may come back by itself
            reason = SiteRepeated.code if isinstance(found, Dialing) else found
            event(LOG, "session declined", node=node, reason=reason)

    def _look(self) -> None:
        """Ask again for sessions that are lost, once in a while: replies are asked for all the time."""
        now, patience = time.monotonic(), self._patience
        if now - self._looked < patience.look:
            return
        self._looked = now
        self._hear()
        lost = [
            node
            for node, guest in self._guests.items()
            if guest.site
            and now - guest.at > patience.again
            and self.sessions.away(guest.site) > patience.lost
        ]
        self._invite(lost)


def _apart(message_ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the ids of messages over sessions, and the others."""
    names = list(message_ids)
    return [n for n in names if n.startswith(PREFIX)], [n for n in names if not n.startswith(PREFIX)]


@contextmanager
def invited(flower: Grid, server: SessionServer, pins: Pins, study: Study) -> Iterator[InvitedGrid]:
    """Stream a study for as long as the block lasts."""
    grid = InvitedGrid(flower, server, pins, study)
    why = "failed"
    try:
        yield grid
        why = "ended"
    except RunInterrupted:
        why = "cancelled"
        raise
    finally:
        grid.close(why)
