"""The port that site nodes dial: mutual TLS, then a signed challenge, then the session of a study.

Nobody gets past the handshake without a certificate of the federation's authority, and nobody into a
session without the key that stands on the study's roster. Each refusal is one line of the log and nothing on
the wire.
"""

from __future__ import annotations

import json
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
from fedvalue.protos.v1 import session_pb2 as pb
from fedvalue.protos.v1 import session_pb2_grpc as rpc
from fedvalue.server.grids.session import Session
from fedvalue.strategies.secure_aggregation.pieces import PIECE_BYTES, Joining
from fedvalue.study.roster import Roster
from fedvalue.study.signature import Signature, verify

LOG = logging.getLogger("fedvalue.sessions")
HELLO_SECONDS = 10.0
"""How long a connection may take to say who it is."""

SPARE = 32
"""Connections beyond one for each site, for those that are being replaced or refused."""

OPTIONS = (
    ("grpc.max_receive_message_length", PIECE_BYTES + 4096),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
)

PeerCheck = Callable[[Mapping[str, object], str], None]
"""``(gRPC's auth context, site id)``: raises a `FedValueError` for a certificate that is not that site's."""


def any_peer(context: Mapping[str, object], site: str) -> None:
    """Leave the certificate at what TLS has checked: that the authority issued it."""
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
        rpc.add_SessionsServicer_to_server(_Servicer(self), self._server)
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


class _Servicer(rpc.SessionsServicer):
    def __init__(self, server: SessionServer) -> None:
        self._server = server

    def Join(  # noqa: N802 (protobuf)
        self, request_iterator: Iterator[pb.FromSite], context: grpc.ServicerContext
    ) -> Iterator[pb.ToSite]:
        nonce = os.urandom(32)
        yield pb.ToSite(challenge=pb.Challenge(nonce=nonce))
        said: queue.Queue[pb.FromSite | None] = queue.Queue(maxsize=4)
        gone = threading.Event()
        context.add_callback(gone.set)
        reader = threading.Thread(target=_read, args=(request_iterator, said, gone), daemon=True)
        reader.start()
        try:
            session = self._admitted(said, nonce, context)
        except (FedValueError, queue.Empty) as error:
            _log("refused", context, reason=getattr(error, "code", "no_hello"))
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "")
        connection = session.connect()
        _log("joined", context)
        yield pb.ToSite(welcome=pb.Welcome())
        taker = threading.Thread(target=_take, args=(session, said, gone, context), daemon=True)
        taker.start()
        yield from session.outgoing(connection, lambda: not gone.is_set())
        gone.set()

    def _admitted(
        self, said: queue.Queue[pb.FromSite | None], nonce: bytes, context: grpc.ServicerContext
    ) -> Session:
        first = said.get(timeout=HELLO_SECONDS)
        if first is None or first.WhichOneof("said") != "hello":
            raise SignatureInvalid("a connection does not say who it is")
        return self._server.admitted(first.hello, nonce, context)


def _read(
    messages: Iterator[pb.FromSite], said: queue.Queue[pb.FromSite | None], gone: threading.Event
) -> None:
    """Pass on what arrives; the queue is short, so that a fast sender waits for a slow reader."""
    try:
        for message in messages:
            while not gone.is_set():
                try:
                    said.put(message, timeout=1.0)
                    break
                except queue.Full:
                    continue
            if gone.is_set():
                return
    except Exception:  # gRPC raises a bare one when a stream breaks; the connection is over either way
        LOG.debug("a stream broke")
    finally:
        gone.set()
        with_room(said)


def with_room(said: queue.Queue[pb.FromSite | None]) -> None:
    """Wake whoever waits for a message that will not come."""
    try:
        said.put_nowait(None)
    except queue.Full:
        return


def _take(
    session: Session,
    said: queue.Queue[pb.FromSite | None],
    gone: threading.Event,
    context: grpc.ServicerContext,
) -> None:
    """Put answers together; a piece that does not follow ends the connection."""
    joining = Joining()
    while True:
        try:
            message = said.get(timeout=1.0)
        except queue.Empty:
            if gone.is_set():
                return
            continue
        if message is None:
            return
        try:
            if message.WhichOneof("said") != "answer":
                raise SignatureInvalid("a site says what nobody asked")
            whole = joining.take(message.answer)
        except FedValueError as error:
            _log("refused", context, reason=error.code)
            gone.set()
            context.cancel()  # type: ignore[no-untyped-call]  # gRPC's stubs leave it untyped
            return
        if whole is not None:
            session.answered(*whole)


def _log(event: str, context: grpc.ServicerContext, **fields: str) -> None:
    LOG.info(json.dumps({"event": f"session {event}", "peer": context.peer(), **fields}))
