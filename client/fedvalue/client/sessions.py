"""The sessions of a site: one for each study that a coordinator streams, each a thread that dials out.

A site dials one host only: that of its enrolment token, or the one that its own people wrote into
``serve.toml``. A coordinator that asks for a session names a port and nothing else. The TLS certificate is
made for the session, lives as long as it does, and is worth nothing without the site's signature over it.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from logging import getLogger
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedvalue.client.places import COORDINATOR, TLS_ROOT
from fedvalue.client.session import Answer, Dialing, Sign, SiteSession
from fedvalue.errors import SessionUnavailable
from fedvalue.operations.logs import event
from fedvalue.study.identity.clock import Clock, present

LOG = getLogger("fedvalue.session")

NO_SESSIONS = "none"
"""What ``serve.toml`` says where a site's people want no session."""

CERTIFICATE_DAYS = 30
BEFORE = timedelta(days=1)
"""A session's certificate begins so long before now, for clocks that differ."""

JOIN_SECONDS = 5.0
"""How long the end of a session's thread is waited for."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """Where a site may dial.

    Attributes:
      host: Name or address of the coordinator.
      root: PEM of whom to believe its certificate.
      proxy: As `Dialing.proxy`.
      port: In place of the one that a coordinator names; 0 takes that one.
    """

    host: str
    root: bytes = field(repr=False)
    proxy: str = ""
    port: int = 0

    @classmethod
    def of(cls, identity: Path, chosen: str = "", proxy: str = "") -> Streaming | None:
        """Return where the site of an identity folder dials; None where nowhere.

        Args:
          identity: `SiteHome.identity_folder`, with what enrolment left there.
          chosen: The site's own setting: ``host:port``, ``none``, or empty for the host of the token.
          proxy: As `Dialing.proxy`.
        """
        if chosen == NO_SESSIONS:
            return None
        try:
            root = (identity / TLS_ROOT).read_bytes()
            named = chosen or (identity / COORDINATOR).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None  # never enrolled with a coordinator
        host, _, port = named.rpartition(":")
        return cls(host.strip("[]"), root, proxy, int(port) if chosen else 0) if host else None

    def address(self, port: int) -> str:
        """Return ``host:port`` for a port that a coordinator named."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port or port}"


@dataclass(frozen=True, slots=True)
class Running:
    """A session under way.

    Attributes:
      name: The coordinator's name for it: questions are numbered within it.
      session: Itself.
      thread: In which it runs.
    """

    name: str
    session: SiteSession
    thread: threading.Thread


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a coordinator asks for.

    Attributes:
      study_hash: SHA-256 of an approved study.
      name: The coordinator's name for the session, 32 hexadecimal digits. A session that has it goes on, with
        every answer that is kept; another name begins anew, since its questions are numbered anew.
      port: The coordinator's.
    """

    study_hash: str
    name: str
    port: int


class Sessions:
    """The sessions under way, at most one a study; safe for several threads."""

    def __init__(self, streaming: Streaming | None, clock: Clock = present) -> None:
        """None is dialed yet.

        Args:
          streaming: Where to; None refuses every session.
          clock: Tells the time; TLS goes by the machine's.
        """
        self._streaming, self._clock = streaming, clock
        self._lock = threading.Lock()
        self._running: dict[str, Running] = {}
        self._closed = False

    def begin(self, site: str, asked: Invitation, answer: Answer, sign: Sign) -> str:
        """Begin a study's session, in place of an earlier one, or go on with it; return its certificate, PEM.

        Args:
          site: Site id.
          asked: What the coordinator asks for.
          answer: The node's.
          sign: Signs with the site's key.

        Raises:
          SessionUnavailable: the site dials in nowhere, or is being stopped.
        """
        if self._streaming is None:
            raise SessionUnavailable("this site dials in nowhere", where="serve.toml sessions")
        key, certificate = make_certificate(site, self._clock())
        credentials = grpc.ssl_channel_credentials(self._streaming.root, key, certificate)
        dialing = Dialing(self._streaming.address(asked.port), credentials, self._streaming.proxy)
        with self._lock:
            if self._closed:
                raise SessionUnavailable("this site is being stopped")
            before = self._running.get(asked.study_hash)
            if before is not None and before.name == asked.name:
                before.session.redial(dialing)
                return certificate.decode("ascii")
            session = SiteSession(site, asked.study_hash, dialing, answer, sign)
            thread = threading.Thread(target=self._run, args=(session, asked.study_hash), daemon=True)
            self._running[asked.study_hash] = Running(asked.name, session, thread)
        if before is not None:
            before.session.stop()
        thread.start()
        return certificate.decode("ascii")

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            self._closed, running = True, list(self._running.values())
        for each in running:
            each.session.stop()
        for each in running:
            with suppress(RuntimeError):  # one that has not started yet sees that it was stopped
                each.thread.join(JOIN_SECONDS)

    def _run(self, session: SiteSession, study_hash: str) -> None:
        event(LOG, "session began", study=study_hash[:16])
        why = session.run()
        with self._lock:
            held = self._running.get(study_hash)
            if held is not None and held.session is session:
                del self._running[study_hash]
        event(LOG, "session ended", study=study_hash[:16], reason=why)


def make_certificate(site: str, now: datetime) -> tuple[bytes, bytes]:
    """Return key and self-signed certificate of one session, both PEM (P-256, RFC 5280).

    Args:
      site: Stands in its name, for people; who it is, the site's signature over it says.
      now: The present.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    # two certificates of one name in a store of roots would be taken for each other
    point = key.public_key().public_numbers().x
    words = f"{site[:40]} {hashlib.sha256(str(point).encode()).hexdigest()[:12]}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, built.public_bytes(Encoding.PEM)
