"""The coordinator's TLS: a root of its own, and the server's certificate under it.

It protects the line and says which machine answers. It says nothing about who a hospital is, and no site
takes an identity from it: that is the authority's, whose key is elsewhere. RFC 5280, RFC 6125.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedvalue.errors import CertificateInvalid, FederationError
from fedvalue.study.keys import replace_file, write_new

ROOT, ROOT_KEY, SERVER, SERVER_KEY = "ca.crt", "ca.key", "server.pem", "server.key"
"""Files of the TLS folder; sites get the first one only."""

ROOT_DAYS, SERVER_DAYS = 3650, 397
"""Lengths of root and server certificate, days; a site that trusts the root notices no new server."""

BEFORE = timedelta(hours=1)

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")


def require_hosts(hosts: tuple[str, ...]) -> None:
    """Refuse what is no host name and no address, before anything is made for it.

    Raises:
      FederationError: names it.
    """
    for host in hosts:
        _name(host)


def make_root(folder: Path, name: str, now: datetime) -> None:
    """Make a TLS root: its key (mode 0600) and certificate.

    Raises:
      OutputError: there is one already, or the place cannot be written.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    subject = _subject(f"{name[:40]} TLS root")
    built = (
        _builder(subject, subject, key.public_key(), now, ROOT_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .sign(key, SHA256())
    )
    write_new(folder / ROOT_KEY, _pem(key), mode=0o600, what="the TLS root's key")
    write_new(folder / ROOT, built.public_bytes(Encoding.PEM), mode=0o644, what="the TLS root")


def make_server(folder: Path, hosts: tuple[str, ...], now: datetime) -> datetime:
    """Make a new server key and certificate under the folder's root; an earlier one is replaced.

    Args:
      folder: Holds the root.
      hosts: Names and addresses under which sites reach the coordinator, at least one.
      now: The present.

    Returns:
      The certificate's last second.

    Raises:
      CertificateInvalid: the root cannot be read.
      FederationError: a host is no name and no address.
      OutputError: the place cannot be written.
    """
    root, signer = _root(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    built = (
        _builder(_subject(hosts[0][:60]), root.subject, key.public_key(), now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, SHA256())
    )
    replace_file(folder / SERVER_KEY, _pem(key), mode=0o600)
    replace_file(folder / SERVER, built.public_bytes(Encoding.PEM), mode=0o644)
    return built.not_valid_after_utc


def ends(path: Path) -> datetime:
    """Return a certificate's last second, UTC.

    Raises:
      CertificateInvalid: the file holds no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise CertificateInvalid("the certificate cannot be read", where=str(path)) from error


def _root(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        root = x509.load_pem_x509_certificate((folder / ROOT).read_bytes())
        key = load_pem_private_key((folder / ROOT_KEY).read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise CertificateInvalid(
            "the TLS root cannot be read", where=str(folder), do="run `fedvalue federation init` first"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateInvalid("the TLS root's key is of another kind", where=str(folder))
    return root, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=not signs, crl_sign=not signs,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if _HOST.fullmatch(host) is None:
        raise FederationError(
            f"{host!r} is no host name and no address", where="--host", do="give coordinator.example, say"
        )
    return x509.DNSName(host)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
