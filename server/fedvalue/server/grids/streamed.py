"""Flower's `Grid` over sessions: the same interface, one long-lived stream a site instead of a mailbox.

A round costs one message each way on an open stream; over Flower's own grid each message starts a process at
the site and is looked for every few seconds.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable
from dataclasses import replace

from flwr.app import Error, Message, RecordDict
from flwr.serverapp import Grid

from fedvalue.errors import FederationError, MessageInvalid
from fedvalue.protos.v1 import site_node_pb2 as node_pb
from fedvalue.server.grids import wire
from fedvalue.server.grids.session import Session
from fedvalue.server.grids.session_server import SessionServer
from fedvalue.strategies.secure_aggregation.fields import apart, content_of
from fedvalue.strategies.secure_aggregation.pieces import Parts
from fedvalue.study.roster import Roster

FIRST_NODE = 2
"""Flower's own node is 1; sites are numbered from here, in the roster's order."""

POLL_SECONDS = 0.001


class SessionGrid(Grid):
    """The sites of one study that have joined it; use it as a context manager, or call `close`."""

    def __init__(self, server: SessionServer, study_hash: str, roster: Roster, *, run_id: int = 1) -> None:
        """Let the sites of the roster join.

        Args:
          server: Where they dial.
          study_hash: SHA-256 of the study.
          roster: Its sites.
          run_id: Flower's number of the run, where there is one.
        """
        self._server, self._study = server, study_hash
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._asked: dict[str, Message] = {}
        self._replies: dict[str, Message] = {}
        self._names: dict[int, str] = {}
        self._sites = {site.id: number for number, site in enumerate(roster.site, start=FIRST_NODE)}
        self._sessions = {site: Session(self._arrived) for site in self._sites}
        self._run: wire.Run = wire.Run.create_empty(run_id)
        wire.take_identity(run_id)
        server.open(study_hash, roster, self._sessions)

    def __enter__(self) -> SessionGrid:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close("ended" if kind is None else "failed")

    def close(self, why: str = "ended") -> None:
        """End every session of the study."""
        for session in self._sessions.values():
            session.end(why)
        self._server.close(self._study)

    @property
    def run(self) -> wire.Run:
        """The run, as a copy."""
        return replace(self._run)

    def set_run(self, run: wire.Run) -> None:
        """Take over a run."""
        self._run = replace(run)
        wire.take_identity(run.run_id)

    def get_node_ids(self) -> list[int]:
        """Return the sites that have joined, in the roster's order."""
        return [number for site, number in self._sites.items() if self._sessions[site].joined]

    def site_ids(self) -> dict[int, str]:
        """Return each node's site id, joined or not."""
        return {number: site for site, number in self._sites.items()}

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

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send messages and return their ids at once; a site that is away gets them when it is back.

        Raises:
          FederationError: a message is for nobody on the roster, or cannot be carried.
        """
        sites, names, data = self.site_ids(), list[str](), list[tuple[Session, int, Parts, float]]()
        for message in messages:
            metadata = message.metadata
            site = sites.get(metadata.dst_node_id)
            if site is None:
                raise FederationError(f"node {metadata.dst_node_id} is not on the roster", where="sessions")
            try:
                fields, beside = apart(message.content)
            except MessageInvalid as error:
                raise FederationError(
                    "the stream carries questions to sites only", where="sessions"
                ) from error
            asked = node_pb.Asked(message_type=metadata.message_type, fields=fields)
            number = next(self._numbers)
            name = f"session-{number}"
            wire.name_message(message, name)
            with self._lock:
                self._names[number] = name
                self._asked[name] = message
            data.append((self._sessions[site], number, (asked.SerializeToString(), *beside), metadata.ttl))
            names.append(name)
        for session, number, packed, ttl in data:
            session.ask(number, packed, ttl)
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies that have arrived, each once, in the order of the ids."""
        with self._lock:
            return [self._replies.pop(name) for name in message_ids if name in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send messages and wait for their replies, or until time is up."""
        until = None if timeout is None else time.monotonic() + timeout
        names = self.push_messages(messages)
        found: dict[str, Message] = {}
        while len(found) < len(names) and (until is None or time.monotonic() < until):
            for reply in self.pull_messages(names):
                found[reply.metadata.reply_to_message_id] = reply
            time.sleep(POLL_SECONDS)
        return [found[name] for name in names if name in found]

    def _arrived(self, number: int, parts: Parts) -> None:
        with self._lock:
            name = self._names.pop(number)
            message = self._asked.pop(name)
        try:
            answered = node_pb.Answered.FromString(parts[0])
            reply = Message(content_of(answered.fields, parts[1:]), reply_to=message)
        except Exception:  # what does not parse is a site's fault, and it is told as Flower tells it
            reply = Message(Error(wire.ErrorCode.MESSAGE_UNAVAILABLE, "no message"), reply_to=message)
        with self._lock:
            self._replies[name] = reply
