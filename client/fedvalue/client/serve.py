"""Run one site node until it is told to stop."""

from __future__ import annotations

import ctypes
import resource
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from fedvalue.client.node import SiteNode
from fedvalue.client.places import SOCKET
from fedvalue.client.relay import serving
from fedvalue.client.running.settings import load_settings
from fedvalue.client.sessions import Streaming
from fedvalue.study.passphrases import Ask, nobody

GRACE = 5.0
"""Seconds that answers under way get when the node is stopped."""

PR_SET_DUMPABLE = 4


def serve_node(folder: Path, socket: Path | None, *, told: Callable[[str], None], ask: Ask = nobody) -> None:
    """Answer on the socket of a site's home until SIGTERM or SIGINT.

    Args:
      folder: The site's home.
      socket: Where to listen; None takes the home's own.
      told: Gets one line when the node is ready, one for everything that ends soon, and one when it has
        stopped.
      ask: Gives the passphrase of the site's key, once, if it is under one.

    Raises:
      PassphraseWrong: the site's key does not open.
      LedgerBusy: another node runs on this home.
      OutputError: the socket cannot be made.
      FedValueError: the home cannot be opened, or its settings are not valid.
    """
    keep_secrets_in_memory()
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    path, flower = socket or folder / SOCKET, load_settings(folder).flower
    streaming = Streaming.of(folder / "identity", flower.sessions, flower.proxy)
    try:
        with SiteNode(folder, ask=ask, streaming=streaming) as node:
            server = serving(node.answer, path)
            told(f"answering on {path}")
            for line in node.warnings():
                told(f"warning: {line}")
            stop.wait()
            server.stop(GRACE).wait()
            with suppress(FileNotFoundError):
                path.unlink()
        told("stopped")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep_secrets_in_memory() -> None:
    """Turn core dumps off, and let no other process of this user read this one's memory where Linux can."""
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
