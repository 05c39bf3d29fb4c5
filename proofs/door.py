"""A TCP way to a port of this machine that can be shut, opened again, and made slow."""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress

PIECE = 65536


class Door:
    """Listens on a free port and passes everything on; use it as a context manager."""

    def __init__(self, host: str, to: int) -> None:
        """Open it.

        Args:
          host: Address on both sides.
          to: Port behind it.
        """
        self._host, self._to = host, to
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.delay = 0.0
        self._open = True
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.close()
        self.shut()

    def shut(self) -> None:
        """Break every connection, and let none through until `reopen`."""
        self._open = False
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def reopen(self) -> None:
        """Let connections through again."""
        self._open = True

    def quick(self) -> None:
        """Pass everything on at once."""
        self.delay = 0.0

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = self._behind()
                if far is None:
                    near.close()
                    continue
                with self._lock:
                    self._ends |= {near, far}
                for one, other in ((near, far), (far, near)):
                    waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                    threading.Thread(target=self._read, args=(one, waiting), daemon=True).start()
                    threading.Thread(target=self._write, args=(other, waiting), daemon=True).start()

    def _behind(self) -> socket.socket | None:
        if not self._open:
            return None
        try:
            return socket.create_connection((self._host, self._to))
        except OSError:
            return None

    def _read(self, one: socket.socket, waiting: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        data = b" "
        while data:
            try:
                data = one.recv(PIECE)
            except OSError:
                data = b""
            waiting.put((time.monotonic() + self.delay, data))

    def _write(self, other: socket.socket, waiting: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with suppress(OSError):
            while True:
                at, data = waiting.get()
                time.sleep(max(0.0, at - time.monotonic()))
                if not data:
                    break
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)
        with self._lock:
            self._ends.discard(other)
