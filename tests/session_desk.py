"""TLS for tests of sessions, a coordinator's port, and ways in between that break or spy."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from benchmarks.certificates import Authority
from fedvalue.client.session import Answer, Dialing, SiteSession
from fedvalue.server.grids.session_server import SessionServer
from fedvalue.study.roster import Roster
from fedvalue.study.signature import sign
from tests.agreement import key, roster

STUDY = "ab" * 32


@dataclass(frozen=True, slots=True)
class Port:
    """A coordinator's port and who may come."""

    authority: Authority
    server: SessionServer
    roster: Roster

    @property
    def address(self) -> str:
        """Where to dial."""
        return f"localhost:{self.server.port}"

    def site(
        self, name: str, answer: Answer, *, study: str = STUDY, address: str = "", proxy: str = ""
    ) -> SiteSession:
        """Return a site's session, its key the one on the roster."""
        dialing = Dialing(address or self.address, self.authority.client(name), proxy)
        return SiteSession(name, study, dialing, answer, lambda said: sign(said, key(f"site {name}"), "site"))


@contextmanager
def port(sites: int = 3) -> Iterator[Port]:
    """Open a coordinator's port on this machine."""
    authority = Authority.make()
    with SessionServer("127.0.0.1:0", authority.server()) as server:
        yield Port(authority, server, roster(sites))


@contextmanager
def running(*sessions: SiteSession) -> Iterator[dict[str, str]]:
    """Run sessions in threads; the dictionary gets why each has ended."""
    ended: dict[str, str] = {}

    def run(session: SiteSession) -> None:
        ended[session._site] = session.run()

    threads = [threading.Thread(target=run, args=(session,), daemon=True) for session in sessions]
    for thread in threads:
        thread.start()
    try:
        yield ended
    finally:
        for session in sessions:
            session.stop()
        for thread in threads:
            thread.join(10)


class Wire:
    """A TCP way to a port that can be cut; with ``connect`` it speaks HTTP CONNECT first."""

    def __init__(self, to: int, *, connect: bool = False) -> None:
        self._to, self._connect = to, connect
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pairs: list[socket.socket] = []
        self.asked: list[str] = []
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exception: object) -> None:
        self.open = False
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break every connection that is open."""
        pairs, self._pairs = self._pairs, []
        for end in pairs:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self.open:
                    near.close()
                    continue
                with ExitStack() as stack:
                    stack.callback(near.close)
                    if self._connect:
                        self.asked.append(near.recv(4096).split(b"\r\n")[0].decode())
                        near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    far = socket.create_connection(("127.0.0.1", self._to))
                    stack.pop_all()
                self._pairs += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_RDWR)
