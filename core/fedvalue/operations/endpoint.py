"""``/health`` and ``/metrics`` for this machine alone: a Unix socket of mode 0600, or a loopback address.

Nothing else is served, nothing is taken in, and an address that others could reach is refused.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import socket
import socketserver
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from fedvalue.errors import OutputError
from fedvalue.operations.metrics import CONTENT_TYPE

LONGEST_PATH = 100
"""Unix gives the path of a socket 108 bytes."""

ANSWER_SECONDS = 5.0


class Endpoint:
    """Answers for one process until it is closed."""

    def __init__(
        self, where: str, *, health: Callable[[], Mapping[str, object]], metrics: Callable[[], str]
    ) -> None:
        """Listen, in a thread of its own.

        Args:
          where: ``127.0.0.1:port`` (0 takes a free port), ``[::1]:port``, or the path of a Unix socket.
          health: What ``/health`` says; its ``ok`` decides between status 200 and 503.
          metrics: What ``/metrics`` says.

        Raises:
          OutputError: others could reach the address, or it cannot be had.
        """
        handler = _handler(health, metrics)
        self._socket = Path(where) if "/" in where else None
        try:
            if self._socket is not None:
                self._server: socketserver.BaseServer = _on_socket(self._socket, handler)
                self.where = where
            else:
                host, port = _loopback(where)
                self._server = (_Tcp6 if ":" in host else _Tcp)((host, port), handler)
                self.where = f"{host}:{self._server.server_address[1]}"
        except OSError as error:
            raise OutputError(
                f"the health endpoint cannot listen: {error.strerror}",
                where=where,
                do="choose another address",
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(ANSWER_SECONDS)
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)


def ask(where: str, path: str = "/health", seconds: float = ANSWER_SECONDS) -> tuple[int, str]:
    """Ask an endpoint on this machine.

    Args:
      where: As in `Endpoint`.
      path: ``/health`` or ``/metrics``.
      seconds: Longest wait.

    Returns:
      HTTP status and text.

    Raises:
      OSError: nobody answers.
    """
    connection: http.client.HTTPConnection
    if "/" in where:
        connection = _UnixConnection(where, seconds)
    else:
        host, port = _loopback(where)
        connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise OSError("no HTTP") from error
    finally:
        connection.close()


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True


class _Tcp6(_Tcp):
    address_family = socket.AF_INET6


class _Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, Any]:
        """Return a connection with an address, which a Unix socket has not."""
        connection, _ = super().get_request()
        return connection, ("local", 0)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _handler(
    health: Callable[[], Mapping[str, object]], metrics: Callable[[], str]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version, timeout = "fedvalue", "", ANSWER_SECONDS

        def do_GET(self) -> None:
            if self.path == "/health":
                found = health()
                self._say(200 if found.get("ok") else 503, "application/json", json.dumps(found) + "\n")
            elif self.path == "/metrics":
                self._say(200, CONTENT_TYPE, metrics())
            else:
                self._say(404, "text/plain", "there are /health and /metrics\n")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is http.server's)
            """Say nothing: a monitor asks every few seconds."""

        def _say(self, status: int, kind: str, text: str) -> None:
            body = text.encode()
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

    return Handler


def _loopback(where: str) -> tuple[str, int]:
    host, _, port = where.rpartition(":")
    host = host.strip("[]")
    try:
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise OutputError(
                "others could reach the health endpoint", where=where, do="127.0.0.1:port, or a Unix socket"
            )
        return host, int(port)
    except ValueError as error:
        raise OutputError("no such address", where=where, do="127.0.0.1:port, or a Unix socket") from error


def _on_socket(path: Path, handler: type[BaseHTTPRequestHandler]) -> _Unix:
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise OutputError(
            f"the path of a socket has at most {LONGEST_PATH} bytes", where=str(path), do="127.0.0.1:port"
        )
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OutputError("there is something else at the place of the socket", where=str(path))
        path.unlink()
    before = os.umask(0o177)
    try:
        return _Unix(str(path), handler)
    finally:
        os.umask(before)
