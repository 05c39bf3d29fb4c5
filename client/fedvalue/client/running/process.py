"""The site node as a part of a supervised site: its passphrase comes through standard input."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from fedvalue.client.opening import ASK
from fedvalue.client.running.frame import until_told
from fedvalue.client.running.settings import node_socket
from fedvalue.client.serve import serve_node
from fedvalue.errors import PassphraseWrong
from fedvalue.operations import logs
from fedvalue.study.passphrases import MAX_BYTES, Ask


def from_stdin(stream: int = 0) -> Ask:
    """Return a way to ask that reads what the supervisor wrote to standard input; else the usual way."""

    def ask(whose: str, path: Path) -> bytes:
        with open(stream, "rb", closefd=False) as given:
            found = given.read(MAX_BYTES + 1).removesuffix(b"\n")
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
