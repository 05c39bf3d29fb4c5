"""X.509 parts that the federation's certificates and revocation lists share: names, key kinds, reading."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID, ObjectIdentifier, SignatureAlgorithmOID

from fedvalue.errors import CertificateInvalid, RevocationListInvalid

T = TypeVar("T", x509.Certificate, x509.CertificateRevocationList)
Failure = type[CertificateInvalid] | type[RevocationListInvalid]

FOREIGN = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,  # an exception wherever a process turns warnings into errors
)
"""Everything that `cryptography` raises over a certificate that somebody else made."""

SITE_USE = ObjectIdentifier("2.25.302708542650531935331519080336097899585")
"""Extended usage: signs for a FedValue site. Not one of TLS, so that the certificate opens no connection."""

MAX_BYTES = 1_000_000
MAX_NAME = 200
"""Longest entity or operator, characters. RFC 5280 says 64, which some hospitals' registered names exceed."""

_SIGNATURE = b"\x03\x41\x00"
"""A bit string of 64 bytes, no bit unused; that count is under no signature, so it is checked here."""

_SITE_FIELDS = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)


def site_name(site: str, entity: str, operator: str) -> x509.Name:
    """Return a site's subject: its id as common name, its entity as organization, its operator as unit."""
    values = (site, entity, operator)
    return x509.Name(
        [x509.NameAttribute(field, value) for field, value in zip(_SITE_FIELDS, values, strict=True)]
    )


def read_site_name(name: x509.Name) -> tuple[str, str, str]:
    """Return site id, entity and operator of a subject that holds exactly these, in this order.

    Raises:
      ValueError: it holds something else, or something twice.
    """
    found = list(name)
    if tuple(part.oid for part in found) != _SITE_FIELDS or len(name.rdns) != len(_SITE_FIELDS):
        raise ValueError("the subject is not site id, entity and operator")
    site, entity, operator = (str(part.value) for part in found)
    return site, entity, operator


def authority_name(name: str) -> x509.Name:
    """Return an authority's subject: its name as common name, and nothing else."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a certificate, 64 hexadecimal digits; ``openssl x509 -fingerprint`` prints it."""
    return hashlib.sha256(der).hexdigest()


def ed25519(key: object, *, where: str) -> Ed25519PublicKey:
    """Return ``key`` if it is an Ed25519 key.

    Raises:
      CertificateInvalid: it is of another kind.
    """
    if not isinstance(key, Ed25519PublicKey):
        raise CertificateInvalid(
            "the certificate holds another kind of key than Ed25519", where=where, do="ask for a new one"
        )
    return key


def parsed(
    data: bytes, pem: Callable[[bytes], T], der: Callable[[bytes], T], failure: Failure, *, where: str
) -> tuple[T, bytes]:
    """Read one certificate or list, PEM or DER.

    Args:
      data: The file.
      pem: Reads PEM.
      der: Reads DER.
      failure: What to raise.
      where: Names the object in errors.

    Returns:
      The object and its DER bytes.

    Raises:
      FedValueError: ``failure``: it does not parse, is not alone in its file, or has a second spelling.
    """
    try:
        if len(data) > MAX_BYTES or data.count(b"-----BEGIN") > 1:
            raise ValueError("too long, or more than one object in the file")
        found = pem(data) if b"-----BEGIN" in data else der(data)
        canonical = found.public_bytes(Encoding.DER)
        if b"-----BEGIN" not in data and canonical != data:
            raise ValueError("not in canonical form")
        if not canonical.endswith(_SIGNATURE + found.signature):
            raise ValueError("the signature is not 64 whole bytes at the end")
    except FOREIGN as error:
        raise failure("it does not parse", where=where, do="get the file from the authority again") from error
    return found, canonical


def require_extensions(found: x509.Extensions, wanted: dict[type[x509.ExtensionType], bool]) -> None:
    """Refuse extensions that are not exactly the ``wanted`` ones, each critical as said.

    Raises:
      ValueError: one is missing, not known here, or not critical as it should be.
    """
    if {type(extension.value): extension.critical for extension in found} != wanted:
        raise ValueError("the extensions are not the expected ones")


def require_ed25519_signature(oid: ObjectIdentifier) -> None:
    """Refuse a signature algorithm other than Ed25519.

    Raises:
      ValueError: it is another.
    """
    if oid != SignatureAlgorithmOID.ED25519:
        raise ValueError("the signature is not an Ed25519 signature")
