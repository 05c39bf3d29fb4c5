"""Certificates: the authority that a site trusts, and what it takes to believe another site's certificate.

A site holds the authority's certificate from the day it joins. From then on nothing about identity comes
from the coordinator: it carries certificates, rosters and revocation lists, and can only withhold them.

RFC 5280 (X.509), RFC 8410 (Ed25519 in X.509). Chains have one link, so path building is not needed and not
offered: a certificate is issued by the authority itself, or it is nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedvalue.errors import (
    AuthorityUnknown,
    CertificateExpired,
    CertificateInvalid,
    CertificateNotYetValid,
    IdentityKeyDiffers,
    SiteNameDiffers,
)
from fedvalue.study.identity.clock import utc
from fedvalue.study.identity.names import (
    FOREIGN,
    SITE_USE,
    ed25519,
    fingerprint,
    parsed,
    read_site_name,
    require_ed25519_signature,
    require_extensions,
)
from fedvalue.study.identity.sound_key import require_sound_key
from fedvalue.study.roster import Site

AUTHORITY_EXTENSIONS: dict[type[x509.ExtensionType], bool] = {
    x509.BasicConstraints: True,
    x509.KeyUsage: True,
    x509.SubjectKeyIdentifier: False,
}
SITE_EXTENSIONS: dict[type[x509.ExtensionType], bool] = {
    x509.BasicConstraints: True,
    x509.KeyUsage: True,
    x509.ExtendedKeyUsage: True,
    x509.SubjectKeyIdentifier: False,
    x509.AuthorityKeyIdentifier: False,
}
"""Exactly these, and whether each is critical; a certificate with any other is refused."""


@dataclass(frozen=True, slots=True)
class TrustedAuthority:
    """An authority that this site trusts: its certificate, read and checked.

    Attributes:
      name: What it calls itself.
      fingerprint: SHA-256 of its certificate, 64 hexadecimal digits; people compare this one when they join.
      public_key: Raw Ed25519 key, 64 hexadecimal digits.
      valid_from: First second, UTC.
      valid_until: Last second, UTC.
      certificate: The certificate itself.
    """

    name: str
    fingerprint: str
    public_key: str
    valid_from: datetime
    valid_until: datetime
    certificate: x509.Certificate = field(repr=False)

    def require_valid(self, now: datetime) -> None:
        """Refuse outside the authority's own dates.

        Raises:
          CertificateNotYetValid: too early.
          CertificateExpired: too late.
        """
        require_dates(self.valid_from, self.valid_until, now, where=f"authority {self.name}")

    def key(self) -> Ed25519PublicKey:
        """Return the key that signs certificates, revocation lists and rosters."""
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))

    def key_id(self) -> bytes:
        """Return the key's identifier, as everything it issues must name it."""
        return x509.SubjectKeyIdentifier.from_public_key(self.key()).digest

    def require_issuer(self, name: x509.Name, extensions: x509.Extensions, *, where: str) -> None:
        """Refuse what says that somebody else issued it, be it under the same name.

        Raises:
          AuthorityUnknown: another name or another key.
        """
        said = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        if name != self.certificate.subject or said.key_identifier != self.key_id():
            raise AuthorityUnknown(
                "issued by another authority than this federation's",
                where=where,
                do=f"only what {self.name} (fingerprint {self.fingerprint[:16]}...) issued counts",
            )


@dataclass(frozen=True, slots=True)
class SiteCertificate:
    """What the authority says of a site.

    Attributes:
      site: Site id.
      entity: Legal entity.
      operator: Who runs its machines.
      public_key: Raw Ed25519 identity key, 64 hexadecimal digits.
      serial: Serial number, hexadecimal.
      fingerprint: SHA-256 of the certificate, 64 hexadecimal digits.
      valid_from: First second, UTC.
      valid_until: Last second, UTC.
    """

    site: str
    entity: str
    operator: str
    public_key: str
    serial: str
    fingerprint: str
    valid_from: datetime
    valid_until: datetime

    def require_site(self, site: Site) -> None:
        """Refuse a certificate that is not about this site, or not about its key.

        Raises:
          SiteNameDiffers: another id, entity or operator.
          IdentityKeyDiffers: another key.
        """
        for what in ("id", "entity", "operator"):
            if getattr(site, what) != getattr(self, "site" if what == "id" else what):
                raise SiteNameDiffers(
                    f"the certificate names another {what}",
                    where=f"certificate {self.serial} of site {self.site}",
                    do="ask the authority for one with the right names",
                )
        if site.public_key != self.public_key:
            raise IdentityKeyDiffers(
                "the certificate is of another key than the site's",
                where=f"certificate {self.serial} of site {self.site}",
                do="a site that has a new key needs a new certificate and a new roster",
            )


def read_authority(data: bytes, *, where: str) -> TrustedAuthority:
    """Read an authority's certificate; the reader decides to trust it by comparing fingerprints.

    Args:
      data: PEM or DER.
      where: Names it in errors.

    Raises:
      CertificateInvalid: changed, not self-signed, not an authority's, or not of an Ed25519 key.
    """
    found, der = parsed(
        data, x509.load_pem_x509_certificate, x509.load_der_x509_certificate, CertificateInvalid, where=where
    )
    try:
        key = ed25519(found.public_key(), where=where)
        require_ed25519_signature(found.signature_algorithm_oid)
        found.verify_directly_issued_by(found)
        require_extensions(found.extensions, AUTHORITY_EXTENSIONS)
        constraints = found.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = found.extensions.get_extension_for_class(x509.KeyUsage).value
        said = found.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        (name,) = found.subject
        if constraints != x509.BasicConstraints(ca=True, path_length=0) or usage != authority_usage():
            raise ValueError("it may not issue certificates")
        if said != x509.SubjectKeyIdentifier.from_public_key(key) or found.version != x509.Version.v3:
            raise ValueError("its key identifier is not its key's")
        public_key = require_sound_key(key.public_bytes_raw().hex(), where=where)
    except FOREIGN as error:
        raise CertificateInvalid(
            "it is not an authority's certificate, or was changed",
            where=where,
            do="get it again from the authority, and compare fingerprints",
        ) from error
    dates = found.not_valid_before_utc, found.not_valid_after_utc
    return TrustedAuthority(str(name.value), fingerprint(der), public_key, *dates, found)


def read_site_certificate(data: bytes, authority: TrustedAuthority, *, where: str) -> SiteCertificate:
    """Read a site's certificate and check who issued it and its form; dates and revocation are not looked at.

    Raises:
      AuthorityUnknown: issued by another authority, be it of the same name.
      CertificateInvalid: changed, of another kind of key, an authority's own, or for another use.
      KeyWeak: its key is of low order or not canonical.
    """
    found, der = parsed(
        data, x509.load_pem_x509_certificate, x509.load_der_x509_certificate, CertificateInvalid, where=where
    )
    try:
        authority.require_issuer(found.issuer, found.extensions, where=where)
        require_ed25519_signature(found.signature_algorithm_oid)
        found.verify_directly_issued_by(authority.certificate)
        key = ed25519(found.public_key(), where=where)
        require_extensions(found.extensions, SITE_EXTENSIONS)
        constraints = found.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = found.extensions.get_extension_for_class(x509.KeyUsage).value
        use = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if constraints != x509.BasicConstraints(ca=False, path_length=None):
            raise ValueError("a site is no authority")
        if usage != site_usage() or list(use) != [SITE_USE] or found.version != x509.Version.v3:
            raise ValueError("it is for another use")
        site, entity, operator = read_site_name(found.subject)
        serial = found.serial_number
        if not 0 < serial < 1 << 159:
            raise ValueError("the serial number is out of range")
    except FOREIGN as error:
        raise CertificateInvalid(
            "it is not a site's certificate, or was changed after it was issued", where=where,
            do="get the file from the site again",
        ) from error  # fmt: skip
    return SiteCertificate(
        site=site,
        entity=entity,
        operator=operator,
        public_key=require_sound_key(key.public_bytes_raw().hex(), where=where),
        serial=f"{serial:x}",
        fingerprint=fingerprint(der),
        valid_from=found.not_valid_before_utc,
        valid_until=found.not_valid_after_utc,
    )


def require_dates(first: datetime, last: datetime, now: datetime, *, where: str) -> None:
    """Refuse outside a certificate's dates, both included, without tolerance.

    Raises:
      CertificateNotYetValid: ``now`` is before ``first``.
      CertificateExpired: ``now`` is after ``last``, by a second or less.
      ClockSkewed: ``now`` has no time zone.
    """
    if utc(now) < utc(first):
        raise CertificateNotYetValid(
            f"it is valid from {utc(first):%Y-%m-%dT%H:%M:%SZ}",
            where=where,
            do="look at this machine's clock",
        )
    if utc(now) > utc(last):
        raise CertificateExpired(
            f"it was valid until {utc(last):%Y-%m-%dT%H:%M:%SZ}",
            where=where,
            do="ask the authority for a new one",
        )


def authority_usage() -> x509.KeyUsage:
    """Return what an authority's key is for: certificates and revocation lists."""
    return _usage(signs=False, issues=True)


def site_usage() -> x509.KeyUsage:
    """Return what a site's key is for: signatures."""
    return _usage(signs=True, issues=False)


def _usage(*, signs: bool, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=issues,
        encipher_only=False,
        decipher_only=False,
    )
