"""The Flower ClientApp: opens the site's home and passes each message to the handler, nothing more."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from fedvalue.client.handler import SiteHandler
from fedvalue.client.home import Clock, SiteHome, system_clock
from fedvalue.errors import SiteFault
from fedvalue.strategies.secure_aggregation.messages import ENROL, RELEASE, Refused, Wire

SITE_HOME = "site-home"
"""Key of the node configuration that names the site's folder."""


def make_app(clock: Clock = system_clock) -> ClientApp:
    """Return a ClientApp whose sites tell the time by ``clock``."""
    made = ClientApp()

    @made.query(ENROL.removeprefix("query."))
    def enrol(message: Message, context: Context) -> Message:
        """Did the officer approve this study on this roster?"""
        return _answer(message, context, clock)

    @made.query(RELEASE.removeprefix("query."))
    def release(message: Message, context: Context) -> Message:
        """The site's noised share of one planned release."""
        return _answer(message, context, clock)

    return made


def _answer(message: Message, context: Context, clock: Clock) -> Message:
    try:
        home = SiteHome.open(Path(str(context.node_config[SITE_HOME])), clock)
        content = SiteHandler(home).answer(message.metadata.message_type, message.content)
    except Exception:
        # Flower would forward the text of whatever escapes here to the server.
        content = Wire.pack(Refused(SiteFault.code))
    return Message(content, reply_to=message)


app = make_app()
