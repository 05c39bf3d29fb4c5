"""TLS for tests of sessions, a coordinator's port, and ways in between that break or spy."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from fedvalue.client.session import Answer, Dialing, SiteSession
from fedvalue.server.grids.session_server import SessionServer
from fedvalue.study.roster import Roster
from fedvalue.study.signature import sign
from tests.agreement import key, roster

STUDY = "ab" * 32


@dataclass(frozen=True, slots=True)
class Papers:
    """A certificate with its key, both PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Authority:
    """Issues TLS certificates for one test."""

    key: ed25519.Ed25519PrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str = "authority") -> Authority:
        """Return a new one."""
        made = ed25519.Ed25519PrivateKey.generate()
        certificate = (
            _builder(name, name, made.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(made, None)
        )
        return cls(made, certificate)

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> Papers:
        """Issue a certificate for ``localhost`` in somebody's name."""
        made = ec.generate_private_key(ec.SECP256R1())
        issuer = str(self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        certificate = (
            _builder(name, issuer, made.public_key())
            .add_extension(names, critical=False)
            .sign(self.key, None)
        )
        return Papers(
            certificate.public_bytes(serialization.Encoding.PEM),
            made.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    def server(self) -> grpc.ServerCredentials:
        """Return a coordinator's side of mutual TLS."""
        own = self.issue("coordinator")
        return grpc.ssl_server_credentials(
            [(own.key, own.certificate)], root_certificates=self.pem, require_client_auth=True
        )

    def client(self, name: str) -> grpc.ChannelCredentials:
        """Return a site's side."""
        own = self.issue(name)
        return grpc.ssl_channel_credentials(self.pem, own.key, own.certificate)


def _builder(subject: str, issuer: str, public: object) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)  # type: ignore[arg-type]  # Ed25519 or P-256
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=2))
    )


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
        return SiteSession(
            name, study, dialing, answer, lambda said: sign(said, key(f"site {name}"), "site"), seed=1
        )


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
