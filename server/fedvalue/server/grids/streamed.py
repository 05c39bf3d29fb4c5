"""Flower's `Grid` over sessions: the same interface, one long-lived stream a site instead of a mailbox.

A round costs one message each way on an open stream; over Flower's own grid each message starts a process at
the site and is looked for every few seconds.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Collection, Iterable
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

PREFIX = "session-"
"""Of the ids of messages that travel over sessions."""

PATIENCE = 60.0
"""Seconds that a site may be away before its open questions are answered for it: it gave no answer."""

LOOK_SECONDS = 0.25
"""How often it is looked who is away."""


class SessionGrid(Grid):
    """The sites of one study that have joined it; use it as a context manager, or call `close`."""

    def __init__(
        self,
        server: SessionServer,
        study_hash: str,
        roster: Roster,
        *,
        run: wire.Run | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """Let the sites of the roster join.

        Args:
          server: Where they dial.
          study_hash: SHA-256 of the study.
          roster: Its sites.
          run: Of Flower's own grid, which then seats sites at its nodes; None numbers them by the roster.
          patience: Seconds that a site may be away before it counts as silent.
        """
        self._server, self._study, self._patience = server, study_hash, patience
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._here = threading.Condition(self._lock)
        self._looked = 0.0
        self._asked: dict[str, Message] = {}
        self._replies: dict[str, Message] = {}
        self._names: dict[int, str] = {}
        self._sessions = {site.id: Session(self._arrived) for site in roster.site}
        self._sites: dict[str, int] = {}
        self._run: wire.Run = wire.Run.create_empty(1) if run is None else run
        if run is None:
            self._sites = {site.id: number for number, site in enumerate(roster.site, start=FIRST_NODE)}
            wire.take_identity(self._run.run_id)
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

    def seat(self, site: str, node: int) -> None:
        """Say which of Flower's nodes a site of the roster is."""
        self._sites[site] = node

    def session(self, site: str) -> Session:
        """Return a site's session."""
        return self._sessions[site]

    def joined(self, site: str) -> bool:
        """Tell whether a site has been here."""
        return self._sessions[site].joined

    def away(self, site: str) -> float:
        """Return for how many seconds a site has not been connected; 0 while it is."""
        return self._sessions[site].away()

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
            name = f"{PREFIX}{number}"
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
        self._look_who_is_away()
        with self._lock:
            return [self._replies.pop(name) for name in message_ids if name in self._replies]

    def wait_for_reply(self, message_ids: Collection[str], seconds: float) -> None:
        """Return as soon as one of the replies is there, or when the time is up."""
        with self._here:
            self._here.wait_for(
                lambda: any(n in self._replies for n in message_ids), min(seconds, LOOK_SECONDS)
            )

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send messages and wait for their replies, or until time is up."""
        until = None if timeout is None else time.monotonic() + timeout
        names = self.push_messages(messages)
        found: dict[str, Message] = {}
        waiting = set(names)
        while waiting and (until is None or time.monotonic() < until):
            self.wait_for_reply(waiting, LOOK_SECONDS if until is None else until - time.monotonic())
            for reply in self.pull_messages(list(waiting)):
                found[reply.metadata.reply_to_message_id] = reply
            waiting -= set(found)
        return [found[name] for name in names if name in found]

    def _look_who_is_away(self) -> None:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        for session in self._sessions.values():
            if session.away() > self._patience:
                for number in session.give_up():
                    self._arrived(number, ())

    def _arrived(self, number: int, parts: Parts) -> None:
        with self._lock:
            name = self._names.pop(number)
            message = self._asked.pop(name)
        try:
            answered = node_pb.Answered.FromString(parts[0])
            reply = Message(content_of(answered.fields, parts[1:]), reply_to=message)
        except Exception:  # what does not parse is a site's fault, and it is told as Flower tells it
            reply = Message(Error(wire.ErrorCode.MESSAGE_UNAVAILABLE, "no message"), reply_to=message)
        with self._here:
            self._replies[name] = reply
            self._here.notify_all()
