"""Asks a program of this container whether it is well; exit status 0 says yes. Standard library only.

``python health.py unix:/path/of.sock`` and ``python health.py https://host:port CA_FILE`` ask for
``/health`` and want 200; ``python health.py tcp:PORT`` wants somebody who listens on this container.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
from urllib.parse import urlsplit

SECONDS = 5.0
PATH = "/health"


class _Unix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


def well(where: str, root: str = "") -> bool:
    """Tell whether what answers at ``where`` says that it is well."""
    if where.startswith("tcp:"):
        with socket.create_connection(("127.0.0.1", int(where[4:])), SECONDS):
            return True
    connection: http.client.HTTPConnection
    if where.startswith("unix:"):
        connection = _Unix(where[5:])
    else:
        parts = urlsplit(where)
        context = ssl.create_default_context(cafile=root)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=SECONDS, context=context
        )
    try:
        connection.request("GET", PATH)
        return connection.getresponse().status == http.HTTPStatus.OK
    finally:
        connection.close()


def main(words: list[str]) -> int:
    """Return the exit status for a command line."""
    try:
        return 0 if well(*words) else 1
    except (OSError, ValueError, TypeError, http.client.HTTPException) as error:
        sys.stderr.write(f"not well: {type(error).__name__}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
