"""The site's end of a session: dial out, answer what comes, and after a break go on with the stored bytes.

An answer is kept until the coordinator says that it arrived; a question that comes again gets the same bytes
and is not worked on twice. The site dials one host, that of its enrolment, and never listens.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from secrets import SystemRandom
from typing import Any

import grpc
from flwr.app import RecordDict

from fedvalue.errors import FedValueError
from fedvalue.evidence import statements
from fedvalue.operations.logs import event
from fedvalue.protos.v1 import session_pb2 as pb
from fedvalue.protos.v1 import site_node_pb2 as node_pb
from fedvalue.strategies.secure_aggregation.carrying import site_says, to_site
from fedvalue.strategies.secure_aggregation.fields import apart, content_of
from fedvalue.strategies.secure_aggregation.pieces import PIECE_BYTES, Joining, Parts, Piece, pieces
from fedvalue.study.signature import Signature

LOG = logging.getLogger("fedvalue.session")
FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0
"""Seconds before a broken session is dialed again; doubled each time, with a random part."""

SOON_SECONDS, SOON_WAIT = 20.0, 1.0
"""For so long after a break it is dialed at least so often: most breaks are short."""

GIVEN_UP_SECONDS = 1800.0
"""Nobody there for so long: the session is over. A coordinator that comes back asks for a new one."""

JOIN = "/fedvalue.protos.v1.Sessions/Join"
OPTIONS = (
    ("grpc.max_receive_message_length", PIECE_BYTES + 4096),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),  # else a channel inherits the back-off of the one before
)

Answer = Callable[[str, RecordDict], RecordDict]
Sign = Callable[[dict[str, object]], Signature]


@dataclass(frozen=True, slots=True)
class Dialing:
    """Where a session leads.

    Attributes:
      address: ``host:port`` of the coordinator.
      credentials: TLS, with the site's certificate.
      proxy: ``http://host:port`` of an outbound proxy that speaks CONNECT; empty for none. The environment's
        proxies are not used unless it is ``environment``.
    """

    address: str
    credentials: grpc.ChannelCredentials
    proxy: str = ""

    def options(self) -> tuple[tuple[str, object], ...]:
        """Return the channel's options."""
        if self.proxy == "environment":
            return OPTIONS
        return (*OPTIONS, ("grpc.enable_http_proxy", 0 if not self.proxy else 1), *self._through())

    def _through(self) -> tuple[tuple[str, object], ...]:
        return (("grpc.http_proxy", self.proxy),) if self.proxy else ()


def longer(wait: float, away: float) -> float:
    """Return the wait before the next dialing.

    Args:
      wait: The one before, in seconds; its random part is drawn apart.
      away: Seconds since the coordinator was last there.
    """
    return min(2 * wait, LONGEST_WAIT if away > SOON_SECONDS else SOON_WAIT)


class SiteSession:
    """One study's session; `run` it in a thread of its own."""

    def __init__(
        self,
        site: str,
        study_hash: str,
        dialing: Dialing,
        answer: Answer,
        sign: Sign,
        *,
        spread: Callable[[], float] | None = None,
    ) -> None:
        """Prepare; nothing is dialed yet.

        Args:
          site: Site id.
          study_hash: SHA-256 of the study.
          dialing: Where to.
          answer: The node's.
          sign: Signs a statement with the site's key.
          spread: Draws from 0 to 1 what part of a wait is left out, so that sites do not dial all at once;
            None takes the operating system's randomness.
        """
        self._site, self._study, self._dialing = site, study_hash, dialing
        self._answer, self._sign = answer, sign
        self._stop, self._wake = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._kept: dict[int, Parts] = {}
        self._working: set[int] = set()
        self._work: queue.Queue[tuple[int, Parts] | None] = queue.Queue()
        self._outgoing: queue.Queue[pb.FromSite | int | None] = queue.Queue()
        self._call: Any = None
        self._spread = spread or SystemRandom().random

    def stop(self) -> None:
        """End it from this side; an answer that is being worked on is not sent any more."""
        self._stop.set()
        self._hang_up()

    def redial(self, dialing: Dialing) -> None:
        """Go on at another port or with another certificate; what is kept stays kept."""
        with self._lock:
            self._dialing = dialing
        self._hang_up()

    def _hang_up(self) -> None:
        self._wake.set()
        with self._lock:
            call, outgoing = self._call, self._outgoing
        outgoing.put(None)
        if call is not None:
            call.cancel()

    def run(self) -> str:
        """Dial, answer, and dial again after every break, until the session is over.

        Returns:
          Why it ended: the coordinator's word, ``stopped``, or ``given up``.
        """
        worker = threading.Thread(target=self._work_on, name=f"session-{self._study[:8]}", daemon=True)
        worker.start()
        wait, there = FIRST_WAIT, time.monotonic()
        try:
            while not self._stop.is_set():
                joined, why = self._connection()
                if why:
                    return why
                if joined:
                    wait, there = FIRST_WAIT, time.monotonic()
                away = time.monotonic() - there
                if away > GIVEN_UP_SECONDS:
                    return "given up"
                if self._wake.wait(wait * (1 - self._spread() / 2)):
                    self._wake.clear()
                    wait = FIRST_WAIT
                    continue
                wait = longer(wait, away)
        finally:
            self._work.put(None)
        return "stopped"

    def _connection(self) -> tuple[bool, str]:
        """Hold one connection; return whether the coordinator welcomed it, and why the session is over."""
        outgoing: queue.Queue[pb.FromSite | int | None] = queue.Queue()
        with self._lock:
            self._outgoing, dialing = outgoing, self._dialing
        joined, joining = False, Joining()
        try:
            with grpc.secure_channel(
                dialing.address, dialing.credentials, options=dialing.options()
            ) as channel:
                call = channel.stream_stream(JOIN, site_says, to_site)(self._said(outgoing))
                with self._lock:
                    self._call = call
                if self._stop.is_set():
                    call.cancel()  # type: ignore[no-untyped-call]  # gRPC leaves it untyped
                for message in call:
                    if isinstance(message, Piece):
                        self._took(joining, message)
                        continue
                    kind = message.WhichOneof("said")
                    if kind == "over":
                        return True, message.over.why[:40] or "ended"
                    if kind == "challenge":
                        outgoing.put(pb.FromSite(hello=self._hello(message.challenge.nonce)))
                    elif kind == "welcome":
                        joined = True
                    elif kind == "question":
                        self._took(joining, message.question)
                    elif kind == "arrived":
                        with self._lock:
                            self._kept.pop(message.arrived.number, None)
        except (grpc.RpcError, FedValueError) as error:
            if joined and not self._stop.is_set():
                event(LOG, "session broke", study=self._study[:16], error=type(error).__name__)
        finally:
            outgoing.put(None)
            with self._lock:
                self._call = None
        return joined, ""

    def _hello(self, nonce: bytes) -> pb.Hello:
        statement = statements.session(nonce=nonce.hex(), study_hash=self._study, site=self._site)
        signed = self._sign(statement)
        return pb.Hello(site=self._site, study_hash=self._study, signature=signed.model_dump_json())

    def _took(self, joining: Joining, piece: Piece | pb.Piece) -> None:
        if (whole := joining.take(piece)) is not None:
            self._asked(*whole)

    def _asked(self, number: int, parts: Parts) -> None:
        """Answer from what is kept, or work on it; a question under way is answered once it is done."""
        with self._lock:
            if number in self._kept:
                self._outgoing.put(number)
            elif number not in self._working:
                self._working.add(number)
                self._work.put((number, parts))

    def _work_on(self) -> None:
        while (item := self._work.get()) is not None:
            number, parts = item
            answered = self._answered(parts)
            with self._lock:
                self._kept[number] = answered
                self._working.discard(number)
                self._outgoing.put(number)

    def _answered(self, parts: Parts) -> Parts:
        try:
            asked = node_pb.Asked.FromString(parts[0])
            said = self._answer(asked.message_type, content_of(asked.fields, parts[1:]))
            fields, beside = apart(said)
            return (node_pb.Answered(fields=fields).SerializeToString(), *beside)
        except Exception:
            # nothing of an error may leave; an empty answer is no message, and the coordinator says so
            event(LOG, "message without an answer", level=logging.WARNING)
            return (b"",)

    def _said(self, outgoing: queue.Queue[pb.FromSite | int | None]) -> Iterator[pb.FromSite | Piece]:
        """What this connection sends: the hello, then answers piece by piece."""
        while (item := outgoing.get()) is not None:
            if isinstance(item, pb.FromSite):
                yield item
                continue
            with self._lock:
                parts = self._kept.get(item)
            if parts is not None:
                yield from pieces(item, parts)
