"""The port that site nodes dial: mutual TLS, then a signed challenge, then the session of a study.

Nobody gets past the handshake without a certificate that a site has named under its signature (`Pins`), and
nobody into a session without the key that stands on the study's roster. Each refusal is one line of the log
and nothing on the wire.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import grpc
from pydantic import ValidationError

from fedvalue.errors import FedValueError, OutputError, SignatureInvalid
from fedvalue.evidence import statements
from fedvalue.operations.logs import event
from fedvalue.protos.v1 import session_pb2 as pb
from fedvalue.server.grids.session import Session
from fedvalue.strategies.secure_aggregation.carrying import coordinator_says, from_site
from fedvalue.strategies.secure_aggregation.pieces import PIECE_BYTES, Joining, Piece
from fedvalue.study.roster import Roster
from fedvalue.study.signature import Signature, verify

LOG = logging.getLogger("fedvalue.sessions")
SERVICE = "fedvalue.protos.v1.Sessions"
HELLO_SECONDS = 10.0
"""How long a connection may take to say who it is."""

SPARE = 32
"""Connections beyond one for each site, for those that are being replaced or refused."""

OPTIONS = (
    ("grpc.max_receive_message_length", PIECE_BYTES + 4096),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
)

PeerCheck = Callable[[Mapping[str, object], str], None]
"""``(gRPC's auth context, site id)``: raises a `FedValueError` for a certificate that is not that site's."""


def any_peer(context: Mapping[str, object], site: str) -> None:
    """Leave the certificate at what TLS has checked."""
    del context, site


class SessionServer:
    """Answers `Join` for the studies that are open on it; use it as a context manager, or call `stop`."""

    def __init__(
        self,
        address: str,
        credentials: grpc.ServerCredentials,
        *,
        sites: int = 200,
        peer: PeerCheck = any_peer,
    ) -> None:
        """Listen.

        Args:
          address: ``host:port``; port 0 takes a free one.
          credentials: TLS, with client certificates demanded.
          sites: How many sites may be connected at once, over all studies.
          peer: Looks at the certificate of a site beyond what TLS does.

        Raises:
          OutputError: the port cannot be had.
        """
        self._peer = peer
        self._studies: dict[str, tuple[Roster, Mapping[str, Session]]] = {}
        self._lock = threading.Lock()
        workers = sites + SPARE
        self._server = grpc.server(
            ThreadPoolExecutor(workers, thread_name_prefix="session"),
            options=OPTIONS,
            maximum_concurrent_rpcs=workers,
        )
        # the handler that grpcio would generate, with a way to bytes that does not copy long pieces
        join = grpc.stream_stream_rpc_method_handler(_Joins(self).join, from_site, coordinator_says)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"Join": join}),)
        )
        try:
            self.port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OutputError("the port for sessions cannot be had", where=address) from error
        self._server.start()

    def __enter__(self) -> SessionServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self, grace: float = 2.0) -> None:
        """End every session and close the port."""
        with self._lock:
            studies = list(self._studies.values())
        for _, sessions in studies:
            for session in sessions.values():
                session.end("closed")
        self._server.stop(grace).wait()

    def open(self, study_hash: str, roster: Roster, sessions: Mapping[str, Session]) -> None:
        """Let the sites of a roster join the sessions of a study, by site id."""
        with self._lock:
            self._studies[study_hash] = (roster, sessions)

    def close(self, study_hash: str) -> None:
        """Let nobody join a study any more."""
        with self._lock:
            self._studies.pop(study_hash, None)

    def admitted(self, hello: pb.Hello, nonce: bytes, context: grpc.ServicerContext) -> Session:
        """Return the session that a site may join.

        Raises:
          SignatureInvalid: no such study or site here, or it does not hold the site's key.
          FedValueError: the certificate is not the site's.
        """
        with self._lock:
            found = self._studies.get(hello.study_hash)
        site = found[0].get(hello.site) if found is not None else None
        if found is None or site is None or hello.site not in found[1]:
            raise SignatureInvalid("no such study or site is open here", where=hello.site[:40])
        self._peer(context.auth_context(), site.id)
        statement = statements.session(nonce=nonce.hex(), study_hash=hello.study_hash, site=site.id)
        try:
            signed = Signature.model_validate_json(hello.signature)
        except ValidationError as error:
            raise SignatureInvalid("the challenge is not signed", where=site.id) from error
        if signed.role != "site":
            raise SignatureInvalid("signed in another capacity than a site's", where=site.id)
        verify(statement, signed, where=site.id, public_key=site.public_key)
        return found[1][site.id]


class _Joins:
    def __init__(self, server: SessionServer) -> None:
        self._server = server

    def join(
        self, request_iterator: Iterator[pb.FromSite | Piece], context: grpc.ServicerContext
    ) -> Iterator[pb.ToSite | Piece]:
        nonce = os.urandom(32)
        yield pb.ToSite(challenge=pb.Challenge(nonce=nonce))
        line = _Line(context)
        threading.Thread(target=line.read, args=(request_iterator,), daemon=True).start()
        try:
            session = self._server.admitted(line.hello(), nonce, context)
        except FedValueError as error:
            _log("refused", context, reason=error.code)
            line.end()
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "")
        connection = session.connect()
        if not context.add_callback(lambda: session.left(connection)):
            session.left(connection)  # it has ended meanwhile
        _log("joined", context)
        yield pb.ToSite(welcome=pb.Welcome())
        line.serve(session)
        yield from session.outgoing(connection, line.alive)
        line.end()


class _Line:
    """What arrives on one connection: first who it is, then answers, put together as they come."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context
        self._said: queue.Queue[pb.Hello | None] = queue.Queue(maxsize=1)
        self._admitted, self._over = threading.Event(), threading.Event()
        self._session: Session | None = None
        context.add_callback(self.end)

    def hello(self) -> pb.Hello:
        """Wait for the hello.

        Raises:
          SignatureInvalid: something else came, or nothing in time.
        """
        try:
            found = self._said.get(timeout=HELLO_SECONDS)
        except queue.Empty:
            found = None
        if found is None:
            raise SignatureInvalid("a connection does not say who it is")
        return found

    def serve(self, session: Session) -> None:
        """Give answers to a session from now on."""
        self._session = session
        self._admitted.set()

    def alive(self) -> bool:
        """Tell whether the other end is still there."""
        return not self._over.is_set()

    def end(self) -> None:
        """Take nothing more."""
        self._over.set()
        self._admitted.set()

    def read(self, messages: Iterator[pb.FromSite | Piece]) -> None:
        """Read until the connection ends; a piece that does not follow ends it."""
        try:
            first = next(messages, None)
            is_hello = isinstance(first, pb.FromSite) and first.WhichOneof("said") == "hello"
            self._said.put(first.hello if isinstance(first, pb.FromSite) and is_hello else None)
            self._admitted.wait()
            joining = Joining()
            for message in messages:
                if self._over.is_set() or self._session is None:
                    return
                # anything but an answer reads as an empty first piece, after which no other one follows
                piece = message if isinstance(message, Piece) else message.answer
                if (whole := joining.take(piece)) is not None:
                    self._session.answered(*whole)
        except FedValueError as error:
            _log("refused", self._context, reason=error.code)
            self._context.cancel()  # type: ignore[no-untyped-call]  # gRPC's stubs leave it untyped
        except Exception:  # gRPC raises a bare one when a stream breaks; the connection is over either way
            LOG.debug("a stream broke")
        finally:
            self.end()


def _log(name: str, context: grpc.ServicerContext, reason: str = "") -> None:
    fields = {"reason": reason} if reason else {}
    event(LOG, f"session {name}", level=logging.INFO, peer=context.peer(), **fields)
