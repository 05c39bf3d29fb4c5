"""A Flower grid in this process: no ports, no Ray, the same ServerApp and ClientApp.

Each node is a ClientApp and its node configuration. A message travels as Flower's protobuf bytes in
both directions, an exception at a node becomes Flower's error reply, and a node's ``Context.state``
survives from message to message, so that a test sees what a SuperLink and its SuperNodes would show.

What differs from a deployment: sites share one process, a message arrives at once, a reply that the
SuperLink would drop is answered at once instead of never, and of a context only ``state`` is kept (a
SuperNode also keeps what a handler did to its configurations). Where Flower's simulation and its deployment
differ, this follows the deployment (flwr 1.41, ``flwr/supernode/runtime/run_clientapp.py``).
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Self

from flwr.app import Context, Error, Message, RecordDict, UserConfig
from flwr.serverapp import Grid, ServerApp

from fedvalue.errors import FederationError
from fedvalue.server.grids import wire
from fedvalue.server.grids.mailbox import Mailbox
from fedvalue.server.grids.workers import SiteWorkers

__all__ = ["LocalGrid", "LocalNode", "run_server_app"]

RUN_ID = 1  # of a grid that nobody gave a run: one number for all, so that two grids can take turns
GRACE = 10.0  # seconds that a handler gets to finish when a run is stopped
PATIENCE = 0.02  # seconds that a round may take on one thread before it gets more
CRASHED = "ClientApp stopped responding."  # Flower's words for code 8


@dataclass(frozen=True, slots=True)
class LocalNode:
    """One site of a grid in process.

    Attributes:
      app: The site's ClientApp; anything called with a message and a context that returns a message.
      config: What ``flower-supernode --node-config`` would have said, as ``Context.node_config``.
    """

    app: Callable[[Message, Context], Message]
    config: UserConfig = field(default_factory=dict)


class LocalGrid(Grid):
    """Flower's `Grid` over ClientApps in this process.

    A message to a node that is not on the grid is answered with Flower's code 5 (node unavailable),
    with the SuperLink as its source. Use it as a context manager, or call `stop`, where a handler may
    still be running when the caller is done.
    """

    def __init__(
        self,
        nodes: Mapping[int, LocalNode],
        *,
        run_config: UserConfig | None = None,
        threads: int | None = None,
        grace: float = GRACE,
    ) -> None:
        """A grid whose nodes have answered nothing yet.

        Args:
          nodes: The sites by node id; ids are above 1, which is the SuperLink's.
          run_config: What ``[tool.flwr.app.config]`` and ``--run-config`` would have said.
          threads: Sites that may work at once; by default twice the processors, at most 8.
          grace: Seconds that a running handler gets when the run is stopped.

        Raises:
          FederationError: A node id is not usable, or a configuration value is no bool, int, float or text.
        """
        for node_id in nodes:
            if not wire.SUPERLINK_NODE_ID < node_id < 1 << 64:
                raise FederationError(
                    f"{node_id} is no node id", where="LocalGrid", do="use numbers from 2 to 2**64 - 1"
                )
        if threads is not None and threads < 1:
            raise FederationError(f"{threads} threads do nothing", where="LocalGrid", do="ask for 1 or more")
        self._nodes = dict(nodes)
        self._grace = grace
        self._workers = SiteWorkers(threads or min(8, 2 * (os.cpu_count() or 1)))
        self._numbers = itertools.count(1)
        self._mailbox = Mailbox()
        self._contexts: dict[int, bytes] = {}  # what each SuperNode would keep
        self._run: wire.Run = wire.Run.create_empty(RUN_ID)
        self.set_run(replace(self._run, override_config=dict(run_config or {})))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ---- which run this is -------------------------------------------------------------------------

    @property
    def run(self) -> wire.Run:
        """The run, as a copy."""
        return replace(self._run)

    def set_run(self, run: wire.Run) -> None:
        """Take over a run; its ``override_config`` is the configuration that every node sees.

        A run with another id starts with empty contexts, as at a SuperNode.

        Args:
          run: Flower's description of the run.

        Raises:
          FederationError: The configuration has a value that Flower does not carry.
        """
        fresh = {
            node_id: _packed(wire.empty_context(run.run_id, node_id, dict(node.config), run.override_config))
            for node_id, node in self._nodes.items()
        }
        known = self._contexts if self._run.run_id == run.run_id else {}
        self._contexts = {**fresh, **known}
        self._run = replace(run)
        wire.take_identity(run.run_id)

    def get_node_ids(self) -> list[int]:
        """Every node, in the order given."""
        return list(self._nodes)

    # ---- messages ----------------------------------------------------------------------------------

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
        """Send messages and return at once.

        Args:
          messages: Each gets its ``message_id`` here.

        Returns:
          The message ids, in the order of the messages.

        Raises:
          FederationError: A message belongs to another run, is a reply, or has no time to live.
        """
        packed = [self._prepared(message) for message in messages]  # all of them before the first travels
        self._mailbox.expect(message_id for message_id, _, _ in packed)
        work = []
        for message_id, node_id, request in packed:
            if node_id in self._nodes:
                work.append((node_id, partial(self._serve, message_id, node_id, request)))
            else:
                reason = "the destination node is not on this grid"
                lost = wire.unavailable(self._run.run_id, message_id, wire.ErrorCode.NODE_UNAVAILABLE, reason)
                self._mailbox.deliver(message_id, _sealed(lost, message_id))
        self._workers.submit(work)
        return [message_id for message_id, _, _ in packed]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The replies that have arrived, each handed out once.

        Args:
          message_ids: As `push_messages` returned them.

        Returns:
          Replies in the order of the ids; none for an id whose reply is still to come. An id that is
          unknown, or whose reply was pulled before, gets Flower's code 3 (message unavailable).
        """
        replies: list[Message] = []
        for message_id in message_ids:
            if self._mailbox.expects(message_id):
                self._workers.spread()
                continue
            packed = self._mailbox.take(message_id)
            if packed is None:
                reason = "no message of this name waits for a reply"
                lost = wire.unavailable(
                    self._run.run_id, message_id, wire.ErrorCode.MESSAGE_UNAVAILABLE, reason
                )
                replies.append(lost)
            else:
                replies.append(wire.unpack_message(packed))
        return replies

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send messages and wait for their replies.

        Args:
          messages: To any nodes, several to one node allowed; a node answers one after the other.
          timeout: Longest wait in seconds; ``None`` waits for every reply.

        Returns:
          The replies that arrived in time, in the order of their messages, so that a sum of floats over
          them is the same in every run. A later reply can still be pulled.

        Raises:
          FederationError: See `push_messages`.
          KeyboardInterrupt: Passed on, after handlers that were running got `grace` seconds to finish.
        """
        until = None if timeout is None else time.monotonic() + timeout
        try:
            message_ids = self.push_messages(messages)
            if not self._mailbox.wait(message_ids, PATIENCE if timeout is None else min(PATIENCE, timeout)):
                self._workers.spread()
                self._mailbox.wait(message_ids, None if until is None else until - time.monotonic())
        except KeyboardInterrupt:
            self.stop()
            raise
        return self.pull_messages(message_ids)

    def stop(self) -> bool:
        """End what is going on: drop messages not yet handed to a site, wait for handlers that run.

        Returns:
          Whether every handler ended within the grace; one that did not cannot reach the grid any more
          and ends with the process at the latest.
        """
        over = self._workers.stop(self._grace)
        self._mailbox.clear()
        return over

    # ---- inside ------------------------------------------------------------------------------------

    def _prepared(self, message: Message) -> tuple[str, int, bytes]:
        """Name and pack a message now: what the caller changes later does not travel."""
        metadata = message.metadata
        if metadata.run_id != self._run.run_id or metadata.reply_to_message_id or metadata.ttl <= 0.0:
            raise FederationError(
                f"a {metadata.message_type} message of run {metadata.run_id} cannot be sent in run "
                f"{self._run.run_id}",
                where=f"LocalGrid, to node {metadata.dst_node_id}",
                do="make it with Message(content, dst_node_id, message_type) while this run is set",
            )
        message_id = f"{self._run.run_id}-{next(self._numbers)}"
        wire.name_message(message, message_id)
        return message_id, metadata.dst_node_id, wire.pack_message(message)

    def _serve(self, message_id: str, node_id: int, packed: bytes) -> None:
        self._mailbox.deliver(message_id, self._answer(node_id, packed))

    def _answer(self, node_id: int, packed: bytes) -> bytes:
        """What a SuperNode and its ClientApp process do with one message; never raises."""
        node, contexts = self._nodes[node_id], self._contexts  # of this run, even if another is set meanwhile
        message = wire.unpack_message(packed)
        asked = message.metadata
        asked_id, run_id = asked.message_id, asked.run_id
        try:
            context = wire.unpack_context(contexts[node_id])
            context.node_config, context.run_config = dict(node.config), dict(self._run.override_config)
            reply = _reply(node, message, context)
            answers = (
                reply.metadata.reply_to_message_id == asked_id
                and reply.metadata.src_node_id == node_id
                and reply.metadata.run_id == run_id
            )
            if not answers:
                reason = "the node's reply does not answer this message"
                reply = wire.unavailable(run_id, asked_id, wire.ErrorCode.MESSAGE_UNAVAILABLE, reason)
            answer = _sealed(reply, asked_id)
            contexts[node_id] = wire.pack_context(context)
        except BaseException:
            # It raised SystemExit, or returned no message, or one that no wire carries: the process that
            # runs it at a SuperNode would be gone, and Flower says so without a word of what it held.
            crash = Error(wire.ErrorCode.CLIENT_APP_CRASHED, CRASHED)
            return _sealed(Message(crash, reply_to=wire.unpack_message(packed)), asked_id)
        return answer


def run_server_app(server_app: ServerApp, grid: LocalGrid, run_config: UserConfig | None = None) -> Context:
    """Run a ServerApp's main over a grid in process, as ``flwr run`` runs it at a SuperLink.

    Args:
      server_app: Flower's ServerApp, with its lifespan.
      grid: Its sites; stopped when the main returns or raises.
      run_config: Configuration of the run, which the nodes see as well; the grid's own when ``None``.

    Returns:
      The ServerApp's context after the run, whose ``state`` the main may have written.

    Raises:
      FederationError: A configuration value is no bool, int, float or text.
      Exception: Whatever the main raises.
    """
    if run_config is not None:
        grid.set_run(replace(grid.run, override_config=dict(run_config)))
    run = grid.run
    context = wire.unpack_context(
        _packed(wire.empty_context(run.run_id, wire.SUPERLINK_NODE_ID, {}, run.override_config))
    )
    with grid:
        server_app(grid=grid, context=context)
    return context


def _reply(node: LocalNode, message: Message, context: Context) -> Message:
    try:
        return node.app(message, context)
    except Exception as error:
        reason = f"{type(error)}:<'{error}'>"  # verbatim, as Flower does: handlers must let none out
        return Message(Error(wire.ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)


def _sealed(reply: Message, message_id: str) -> bytes:
    wire.name_message(reply, f"{message_id}-reply")
    return wire.pack_message(reply)


def _packed(context: Context) -> bytes:
    try:
        return wire.pack_context(context)
    except Exception as error:
        raise FederationError(
            f"Flower does not carry this configuration: {error}",
            where=f"node {context.node_id}",
            do="give bool, int, float or text for every key of the node and run configuration",
        ) from error
