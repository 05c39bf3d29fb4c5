"""The frame of a site's processes: our log lines on standard error, an orderly end on SIGTERM."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from fedvalue.client.opening import ASK
from fedvalue.client.running.settings import node_socket
from fedvalue.client.serve import serve_node
from fedvalue.errors import FedValueError, PassphraseWrong
from fedvalue.operations import logs
from fedvalue.study.passphrases import MAX_BYTES, Ask

READY = "answering on "
"""How the node's line begins that says that it is ready."""


def until_told(main: Callable[[threading.Event], None], name: str) -> int:
    """Run a process of a site until SIGTERM or SIGINT.

    Args:
      main: What it does.
      name: Of its logger.

    Returns:
      Its exit status.
    """
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    logs.start(logs.Destinations(stderr="json"))
    log = logging.getLogger(name)
    try:
        main(stop)
    except FedValueError as error:
        about = {"code": error.code, "what": error.what, "where": error.where, "do": error.do}
        logs.event(log, "part failed", level=logging.ERROR, **about)
        return error.exit_status
    return 0


def from_stdin(stream: int = 0) -> Ask:
    """Return a way to ask that reads what the supervisor wrote to standard input; else the usual way."""

    def ask(whose: str, path: Path) -> bytes:
        with open(stream, "rb", closefd=False) as given:
            found = given.read(MAX_BYTES + 1).rstrip(b"\r\n")
        if not found:
            return ASK(whose, path)
        if len(found) > MAX_BYTES:
            raise PassphraseWrong(f"a passphrase has at most {MAX_BYTES} bytes", where=str(path))
        return found

    return ask


def node(home: Path, socket: Path | None) -> int:
    """Run the site node of a home as a part of its site; return its exit status."""
    log = logging.getLogger("fedvalue.node")
    told = lambda text: logs.event(log, text)  # noqa: E731 (one word for a callback)
    return until_told(lambda _: serve_node(home, socket, told=told, ask=from_stdin()), "fedvalue.node")


if __name__ == "__main__":
    HOME, *REST = sys.argv[1:]
    sys.exit(node(Path(HOME), node_socket(Path(HOME), Path(REST[0]) if REST else None)))
