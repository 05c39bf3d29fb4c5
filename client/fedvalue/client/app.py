"""The Flower ClientApp: a relay between Flower and the site node, without keys, records or ledger.

A SuperNode starts a process for every message, so nothing can live here. In a deployment the relay talks to
the node's socket; a simulation gives it the nodes themselves, in its own process.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedvalue.client.places import SOCKET
from fedvalue.client.relay import relayed
from fedvalue.errors import SiteFault
from fedvalue.strategies.secure_aggregation.messages import ENROL, RELEASE, SESSION, STEP, Refused, Wire

SITE_HOME = "site-home"
"""Key of the node configuration that names the site's folder; the node's socket lies in it."""

SITE_SOCKET = "site-socket"
"""Key that names the socket itself, where it does not lie in the home."""

Answer = Callable[[str, RecordDict], RecordDict]
"""``(message type, content)``: what the site says; never raises."""


def make_app(node_of: Callable[[Context], Answer]) -> ClientApp:
    """Return a ClientApp that passes each message to the node that ``node_of`` finds for it."""
    made = ClientApp()

    @made.query(SESSION.removeprefix("query."))
    def session(message: Message, context: Context) -> Message:
        """Will you dial in, so that the rounds of a study run over one stream?"""
        return _answer(message, context, node_of)

    @made.query(ENROL.removeprefix("query."))
    def enrol(message: Message, context: Context) -> Message:
        """Did the officer approve this study on this roster?"""
        return _answer(message, context, node_of)

    @made.query(STEP.removeprefix("query."))
    def step(message: Message, context: Context) -> Message:
        """One step of the private sum."""
        return _answer(message, context, node_of)

    @made.query(RELEASE.removeprefix("query."))
    def release(message: Message, context: Context) -> Message:
        """The site's noised share in clear: simulated sites only."""
        return _answer(message, context, node_of)

    return made


def over_socket(context: Context) -> Answer:
    """Return the way to the node of the site that the node configuration names."""
    named = context.node_config.get(SITE_SOCKET)
    socket = Path(str(named)) if named else Path(str(context.node_config[SITE_HOME])) / SOCKET
    return lambda message_type, content: relayed(socket, message_type, content)


def _answer(message: Message, context: Context, node_of: Callable[[Context], Answer]) -> Message:
    try:
        content = node_of(context)(message.metadata.message_type, message.content)
    except Exception:
        # Flower would forward the text of whatever escapes here to the server.
        content = Wire.pack(Refused(SiteFault.code))
    return Message(content, reply_to=message)


app = make_app(over_socket)
