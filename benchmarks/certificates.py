"""TLS certificates for one run on this machine: an authority in memory, coordinator and sites under it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID


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
