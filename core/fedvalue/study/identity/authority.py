"""The authority of a federation: it vouches for sites, and its key never touches the coordinator.

Whoever keeps the authority runs these functions on a machine of its own, from files that are carried there
and back. Nothing here opens a connection. RFC 5280 (X.509), RFC 8410 (Ed25519 in X.509).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from fedvalue.errors import CertificateInvalid, IdentityKeyDiffers, RevocationListInvalid
from fedvalue.study.identity.certificate import (
    TrustedAuthority,
    authority_usage,
    read_authority,
    site_usage,
)
from fedvalue.study.identity.clock import utc
from fedvalue.study.identity.names import MAX_BYTES, SITE_USE, authority_name, site_name
from fedvalue.study.identity.request import CertificateRequest
from fedvalue.study.keys import load_key, make_key, write_new
from fedvalue.study.model import one_line
from fedvalue.study.signature import public_hex

KEY_FILE = "authority.pem"
CERTIFICATE_FILE = "authority.crt"
MAX_AUTHORITY_NAME = 64


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority with its key.

    Attributes:
      trust: What everybody else holds of it.
      key: Signs certificates, revocation lists and rosters.
    """

    trust: TrustedAuthority
    key: Ed25519PrivateKey = field(repr=False)


def make_authority(
    folder: Path, name: str, *, valid_from: datetime, valid_until: datetime, passphrase: bytes | None = None
) -> Authority:
    """Make an authority: its key (mode 0600) and its certificate, in ``folder``.

    Args:
      folder: On a machine that is not the coordinator's; made if it is not there.
      name: What the authority calls itself, 1 to 64 characters.
      valid_from: First second; fractions are dropped.
      valid_until: Last second; fractions are dropped.
      passphrase: Locks the key file.

    Raises:
      CertificateInvalid: the name or the dates cannot stand in a certificate.
      OutputError: there is an authority already, or the place cannot be written.
      PassphraseWrong: the passphrase is empty.
    """
    try:
        one_line(name)
    except ValueError as error:
        raise CertificateInvalid(str(error), where="authority name") from error
    if not name.strip() or len(name) > MAX_AUTHORITY_NAME:
        raise CertificateInvalid("an authority's name is 1 to 64 characters", where="authority name")
    first, last = _dates(valid_from, valid_until, where=f"authority {name}")
    key = make_key(folder / KEY_FILE, passphrase)
    subject = authority_name(name)
    certificate = (
        _builder(subject, subject, key.public_key(), x509.random_serial_number(), first, last)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(authority_usage(), critical=True)
        .sign(key, None)
    )
    pem = certificate.public_bytes(Encoding.PEM)
    write_new(folder / CERTIFICATE_FILE, pem, mode=0o644, what="the authority's certificate")
    return Authority(read_authority(pem, where=str(folder / CERTIFICATE_FILE)), key)


def load_authority(folder: Path, *, passphrase: bytes | None = None) -> Authority:
    """Read the authority of ``folder``.

    Args:
      folder: Where key and certificate lie.
      passphrase: What the key was locked with.

    Raises:
      SignatureInvalid: its key cannot be read; `PassphraseWrong` where that is the reason.
      CertificateInvalid: its certificate cannot be read.
      IdentityKeyDiffers: key and certificate are of two authorities.
    """
    return with_key(folder, load_key(folder / KEY_FILE, passphrase))


def with_key(folder: Path, key: Ed25519PrivateKey) -> Authority:
    """Return the authority of ``folder`` with its key, which the caller has opened.

    Raises:
      CertificateInvalid: its certificate cannot be read.
      IdentityKeyDiffers: key and certificate are of two authorities.
    """
    trust = load_trusted(folder / CERTIFICATE_FILE)
    if public_hex(key) != trust.public_key:
        raise IdentityKeyDiffers(
            "key and certificate are of two authorities", where=str(folder), do="restore the right pair"
        )
    return Authority(trust, key)


def load_trusted(path: Path) -> TrustedAuthority:
    """Read an authority's certificate from a file, at a site or at the authority.

    Raises:
      CertificateInvalid: missing, or not an authority's certificate.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CertificateInvalid(
            f"the authority's certificate cannot be read: {error.strerror}", where=str(path),
            do="get it from the authority, and compare fingerprints",
        ) from error  # fmt: skip
    return read_authority(data, where=str(path))


def issue_site_certificate(
    authority: Authority,
    request: CertificateRequest,
    *,
    serial: int,
    valid_from: datetime,
    valid_until: datetime,
) -> bytes:
    """Issue a certificate to a site whose names and key a person has checked.

    Args:
      authority: Who issues.
      request: What the site asked for, signed by its key.
      serial: Never used before by this authority, 1 to 2^159 - 1; a roster and a revocation list go by it.
      valid_from: First second, not before the authority's own; fractions are dropped.
      valid_until: Last second, not after the authority's own; fractions are dropped.

    Returns:
      The certificate, PEM.

    Raises:
      IdentityKeyDiffers: the request is not signed by the key that it names.
      CertificateInvalid: names, serial or dates cannot stand in a certificate.
      KeyWeak: the key is worth no signature.
    """
    request.verify()
    site, where = request.site, f"certificate of {request.site.id}"
    first, last = _dates(valid_from, valid_until, where=where)
    if not 0 < serial < 1 << 159:
        raise CertificateInvalid("a serial number is 1 to 2^159 - 1", where=where)
    if not authority.trust.valid_from <= first <= last <= authority.trust.valid_until:
        raise CertificateInvalid("the dates are not within the authority's own", where=where)
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(site.public_key))
    subject = site_name(site.id, site.entity, site.operator)
    certificate = (
        _builder(subject, authority.trust.certificate.subject, key, serial, first, last)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(site_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([SITE_USE]), critical=True)
        .add_extension(_issuer(authority), critical=False)
        .sign(authority.key, None)
    )
    return certificate.public_bytes(Encoding.PEM)


def issue_revocations(
    authority: Authority, serials: Iterable[str], *, number: int, issued: datetime, due: datetime
) -> bytes:
    """Issue the list of every certificate that was ever revoked; an empty list is issued too.

    Args:
      authority: Who issues.
      serials: Serial numbers, hexadecimal.
      number: One more than that of the last list, 0 to 2^159 - 1.
      issued: The present; fractions are dropped.
      due: Last second on which the list may be relied on; the next list must reach every site before.

    Returns:
      The list, PEM.

    Raises:
      RevocationListInvalid: a serial, the number or the dates cannot stand in a list.
    """
    where = f"revocation list {number}"
    try:
        first, last = _dates(issued, due, where=where)
        numbers = sorted({int(serial, 16) for serial in serials})
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.trust.certificate.subject)
            .last_update(first)
            .next_update(last)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(_issuer(authority), critical=False)
        )
        for value in numbers:
            entry = x509.RevokedCertificateBuilder().serial_number(value).revocation_date(first).build()
            builder = builder.add_revoked_certificate(entry)
        signed = builder.sign(authority.key, None)
    except (ValueError, TypeError, CertificateInvalid) as error:
        raise RevocationListInvalid(f"no list can say this: {error}", where=where) from error
    return signed.public_bytes(Encoding.PEM)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Ed25519PublicKey,
    serial: int,
    first: datetime,
    last: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _issuer(authority: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())


def _dates(first: datetime, last: datetime, *, where: str) -> tuple[datetime, datetime]:
    """Return both in UTC and whole seconds, as X.509 has them."""
    first, last = utc(first).replace(microsecond=0), utc(last).replace(microsecond=0)
    if not first < last or first.year < 1950:
        raise CertificateInvalid("the last second is not after the first", where=where)
    return first, last
