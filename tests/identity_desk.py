"""An authority and its papers, made up for tests: fixed keys, fixed dates, and forgeries by another hand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from fedvalue.study.identity.authority import Authority, issue_revocations, issue_site_certificate
from fedvalue.study.identity.certificate import authority_usage, read_authority, site_usage
from fedvalue.study.identity.names import SITE_USE, authority_name, site_name
from fedvalue.study.identity.request import CertificateRequest
from fedvalue.study.identity.revocation import RevocationList, read_revocations
from fedvalue.study.identity.signed_roster import sign_roster
from tests.agreement import key, site

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
AUTHORITY_FIRST, AUTHORITY_LAST = datetime(2025, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)
ISSUED, DUE = NOW - DAY, NOW + 30 * DAY


def clock() -> datetime:
    return NOW


def authority(
    name: str = "Example Federation", secret: str = "authority", last: datetime = AUTHORITY_LAST
) -> Authority:
    """Return an authority whose key is ``key(secret)``."""
    signer = key(secret)
    subject = authority_name(name)
    pem = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(signer.public_key())
        .serial_number(1)
        .not_valid_before(AUTHORITY_FIRST)
        .not_valid_after(last)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(signer.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(authority_usage(), critical=True)
        .sign(signer, None)
        .public_bytes(Encoding.PEM)
    )
    return Authority(read_authority(pem, where="authority"), signer)


def serial(name: str) -> int:
    return 1000 + int(hashlib.sha256(name.encode()).hexdigest()[:6], 16)


def request(name: str) -> CertificateRequest:
    return CertificateRequest.signed(site(name), key(f"site {name}"))


def certificate(
    name: str, by: Authority, *, number: int | None = None, first: datetime = FIRST, last: datetime = LAST
) -> bytes:
    """Return the certificate of ``tests.agreement.site(name)``."""
    return issue_site_certificate(
        by, request(name), serial=number or serial(name), valid_from=first, valid_until=last
    )


def revocations(
    by: Authority,
    *names: str,
    number: int = 7,
    issued: datetime = ISSUED,
    due: datetime = DUE,
    now: datetime = NOW,
) -> RevocationList:
    """Return a list that names the certificates of the sites named."""
    data = issue_revocations(
        by, [f"{serial(name):x}" for name in names], number=number, issued=issued, due=due
    )
    return read_revocations(data, by.trust, now, where="revocations.pem")


def names(count: int) -> list[str]:
    return [f"s{number:02d}" for number in range(1, count + 1)]


def roster_text(by: Authority, count: int = 3, now: datetime = NOW) -> str:
    """Return the signed roster of ``s01``, ``s02``, ..."""
    sites = names(count)
    papers = {name: certificate(name, by) for name in sites}
    return sign_roster(by, [site(name) for name in sites], papers, revocations(by), now)


def roster_file(folder: Path, text: str) -> Path:
    path = folder / "roster.toml"
    path.write_bytes(text.encode())
    return path


@dataclass(frozen=True, slots=True)
class Forgery:
    """A certificate made without `issue_site_certificate`, each part to be chosen.

    Attributes:
      by: Whose name stands as issuer.
      signer: Signs it; the issuer's key if None.
      key: The key certified, of any kind.
      subject: Whom it is about.
      ca: Whether it claims to be an authority's.
      use: Extended usage, or None for none.
      usage: Key usage.
      extra: One more extension, and whether it is critical.
      issuer_key: Key identifier that it claims to be issued by; the issuer's if None.
    """

    by: Authority
    key: Any
    signer: Any = None
    subject: x509.Name | None = None
    ca: bool = False
    use: x509.ObjectIdentifier | None = SITE_USE
    usage: x509.KeyUsage | None = None
    extra: tuple[x509.ExtensionType, bool] | None = None
    issuer_key: Ed25519PrivateKey | None = None

    def der(self) -> bytes:
        issuer = (self.issuer_key or self.by.key).public_key()
        build = (
            x509.CertificateBuilder()
            .subject_name(self.subject or site_name("s01", "Hospital s01", "Hospital s01"))
            .issuer_name(self.by.trust.certificate.subject)
            .public_key(self.key)
            .serial_number(serial("s01"))
            .not_valid_before(FIRST)
            .not_valid_after(LAST)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key), critical=False)
            .add_extension(
                x509.BasicConstraints(ca=self.ca, path_length=0 if self.ca else None), critical=True
            )
            .add_extension(self.usage or site_usage(), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        )
        if self.use is not None:
            build = build.add_extension(x509.ExtendedKeyUsage([self.use]), critical=True)
        if self.extra is not None:
            build = build.add_extension(self.extra[0], critical=self.extra[1])
        signer = self.signer or self.by.key
        algorithm = None
        if not isinstance(signer, Ed25519PrivateKey):
            from cryptography.hazmat.primitives.hashes import SHA256

            algorithm = SHA256()
        return build.sign(signer, algorithm).public_bytes(Encoding.DER)
