"""The way that proofs cut, open again and make slow."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from proofs.door import Door

HOST = "127.0.0.1"


@pytest.fixture
def echo() -> Iterator[int]:
    """A port that says everything back."""
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                end, _ = listener.accept()
                threading.Thread(target=back, args=(end,), daemon=True).start()

    def back(end: socket.socket) -> None:
        with suppress(OSError), end:
            while data := end.recv(1024):
                end.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def said(end: socket.socket, data: bytes) -> bytes:
    end.sendall(data)
    return end.recv(1024)


def test_what_is_said_goes_through_and_back(echo: int) -> None:
    with Door(HOST, echo) as door, socket.create_connection((HOST, door.port), 5) as end:
        assert said(end, b"hello") == b"hello"


def test_a_shut_door_breaks_what_is_open_and_lets_nobody_in_until_it_is_opened(echo: int) -> None:
    with Door(HOST, echo) as door:
        with socket.create_connection((HOST, door.port), 5) as end:
            assert said(end, b"a") == b"a"
            door.shut()
            with suppress(ConnectionError):
                assert end.recv(10) == b""
        with socket.create_connection((HOST, door.port), 5) as end, suppress(ConnectionError):
            assert end.recv(10) == b""
        door.reopen()
        with socket.create_connection((HOST, door.port), 5) as end:
            assert said(end, b"b") == b"b"


def test_a_slow_door_keeps_everything_for_its_delay_each_way(echo: int) -> None:
    with Door(HOST, echo) as door:
        door.delay = 0.1
        with socket.create_connection((HOST, door.port), 5) as end:
            began = time.monotonic()
            assert said(end, b"slow") == b"slow"
            assert time.monotonic() - began >= 0.2
        door.quick()
        assert door.delay == 0.0
