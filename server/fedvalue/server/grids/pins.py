"""The coordinator's side of mutual TLS: its own certificate, and exactly the certificates that sites named.

There is no authority for session certificates. A site makes one for a session and signs it with the key that
stands on the roster; here it is pinned under that site's name, and no other gets through the handshake. What
is pinned may change while the port is open.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fedvalue.errors import CertificateInvalid, SiteNameDiffers
from fedvalue.server.provisioning.tls import SERVER, SERVER_KEY

MOST_BYTES = 8192
"""Longest certificate of a session."""

PEER = "x509_pem_cert"
"""gRPC's name for the certificate that the other end showed."""


class Pins:
    """Which certificate is whose; safe for several threads."""

    def __init__(self, key: bytes, certificate: bytes) -> None:
        """Nobody is pinned yet.

        Args:
          key: The coordinator's, PEM.
          certificate: The coordinator's, PEM.
        """
        self._own = [(key, certificate)]
        self._lock = threading.Lock()
        self._pinned: dict[str, bytes] = {}
        self._nobody = _nobody()  # an empty list of roots would be the system's

    @classmethod
    def of(cls, folder: Path) -> Pins:
        """Read the coordinator's key and certificate from the TLS folder of its office.

        Raises:
          CertificateInvalid: they cannot be read.
        """
        try:
            return cls((folder / SERVER_KEY).read_bytes(), (folder / SERVER).read_bytes())
        except OSError as error:
            raise CertificateInvalid(
                f"the coordinator's certificate cannot be read: {error.strerror}", where=str(folder),
                do="give the folder that `fedvalue federation init` made as --federation",
            ) from error  # fmt: skip

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a port asks of whoever dials: a certificate that is pinned at that moment."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._configuration, require_client_authentication=True
        )

    def pin(self, site: str, certificate: bytes) -> None:
        """Let a site in with this certificate, and no longer with an earlier one.

        Raises:
          CertificateInvalid: it is no certificate of a session.
        """
        pinned = canonical(certificate, where=site)
        with self._lock:
            self._pinned[site] = pinned

    def drop(self, site: str) -> None:
        """Let a site in no more; a connection that is open stays so until it breaks."""
        with self._lock:
            self._pinned.pop(site, None)

    def require(self, context: Mapping[str, object], site: str) -> None:
        """Refuse another site's certificate.

        Args:
          context: gRPC's auth context.
          site: Whose it must be.

        Raises:
          SiteNameDiffers: it is not this site's.
          CertificateInvalid: it cannot be read.
        """
        shown = context.get(PEER)
        first = shown[0] if isinstance(shown, list | tuple) and shown else b""
        with self._lock:
            pinned = self._pinned.get(site)
        if pinned is None or canonical(first, where=site) != pinned:
            raise SiteNameDiffers("the certificate of the connection is of another site", where=site)

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        with self._lock:
            roots = b"".join([self._nobody, *self._pinned.values()])
        return grpc.ssl_server_certificate_configuration(self._own, root_certificates=roots)


def canonical(pem: object, *, where: str) -> bytes:
    """Return one certificate as PEM, if it can be that of a session: a key on P-256 that issues no other.

    Raises:
      CertificateInvalid: it cannot.
    """
    if not isinstance(pem, bytes) or len(pem) > MOST_BYTES:
        raise CertificateInvalid("there is no certificate", where=where)
    try:
        (found,) = x509.load_pem_x509_certificates(pem)
        issues = found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        key = found.public_key()
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
    ) as e:
        raise CertificateInvalid("this is no certificate of a session", where=where) from e
    # a kind that TLS here cannot read would close the port to every other site too
    if issues or not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
        raise CertificateInvalid("this is no certificate of a session", where=where)
    return found.public_bytes(Encoding.PEM)


def _nobody() -> bytes:
    """A certificate whose key nobody has."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")]),
    )
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1))
        .sign(key, SHA256())
    )
    return built.public_bytes(Encoding.PEM)
