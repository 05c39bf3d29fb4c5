"""The revocation list: which certificates count no longer, by the authority's word and for a stated time.

A list says until when it may be relied on. After that it counts as if it were not there, and without a list
nothing is believed: whoever withholds new lists stops the federation, and does not bring back a lost key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from fedvalue.errors import (
    AuthorityUnknown,
    CertificateExpired,
    CertificateNotOnRoster,
    CertificateRevoked,
    RevocationListInvalid,
    RevocationListStale,
)
from fedvalue.study.identity.certificate import TrustedAuthority
from fedvalue.study.identity.clock import require_later, utc
from fedvalue.study.identity.names import (
    FOREIGN,
    parsed,
    require_ed25519_signature,
    require_extensions,
)
from fedvalue.study.roster import Roster, Site

LIST_EXTENSIONS: dict[type[x509.ExtensionType], bool] = {
    x509.CRLNumber: False,
    x509.AuthorityKeyIdentifier: False,
}
"""Exactly these: a list of changes only, or of some certificates only, carries others and is refused."""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What the authority has revoked.

    Attributes:
      authority: Fingerprint of the authority whose list it is.
      number: Grows with every list.
      issued: When it was made, UTC.
      due: Last second on which it may be relied on, UTC.
      serials: Serial numbers that are revoked, hexadecimal.
    """

    authority: str
    number: int
    issued: datetime
    due: datetime
    serials: frozenset[str]

    def require_current(self, now: datetime) -> None:
        """Refuse to rely on the list after its date, or before it was made.

        Raises:
          RevocationListStale: past its date.
          ClockSkewed: made in the future, or the clock has no time zone.
        """
        where = f"revocation list {self.number}"
        require_later(now, self.issued, where=where)
        if utc(now) > utc(self.due):
            raise RevocationListStale(
                f"the list was good until {self.due:%Y-%m-%dT%H:%M:%SZ}",
                where=where,
                do="get the authority's newest list; without one nobody is believed",
            )

    def require_of(self, authority: TrustedAuthority, now: datetime) -> None:
        """Refuse to rely on the list for another authority, or outside its dates.

        Raises:
          AuthorityUnknown: it is of another authority.
          RevocationListStale: past its date.
          ClockSkewed: as in `require_current`.
        """
        if self.authority != authority.fingerprint:
            raise AuthorityUnknown(
                "the revocation list is of another authority", where=f"revocation list {self.number}"
            )
        self.require_current(now)

    def require_not_revoked(self, serial: str, *, where: str) -> None:
        """Refuse a certificate that the list names, from whatever day.

        Raises:
          CertificateRevoked: it names it.
        """
        if serial in self.serials:
            raise CertificateRevoked(
                "the authority has revoked it", where=where, do="the site needs a new key and a new roster"
            )

    def require_standing(self, site: Site, now: datetime) -> None:
        """Refuse a site whose certificate has ended, by its date or by the authority's word.

        Raises:
          CertificateRevoked: the authority revoked it.
          CertificateExpired: its last day has passed.
          CertificateNotOnRoster: the entry names no certificate.
          RevocationListStale: this list is past its date.
          ClockSkewed: as in `require_current`.
        """
        self.require_current(now)
        where = f"certificate {site.serial} of site {site.id}"
        if site.serial is None or site.valid_until is None:
            raise CertificateNotOnRoster("the roster names no certificate for the site", where=site.id)
        self.require_not_revoked(site.serial, where=where)
        if utc(now) > site.valid_until:
            raise CertificateExpired(
                f"it was valid until {site.valid_until:%Y-%m-%dT%H:%M:%SZ}",
                where=where,
                do="the site needs a new certificate and a new roster",
            )


def read_revocations(
    data: bytes, authority: TrustedAuthority, now: datetime, *, where: str, least: int = 0
) -> RevocationList:
    """Read and check a revocation list.

    Args:
      data: PEM or DER.
      authority: Whose list it must be.
      now: The present.
      where: Names it in errors.
      least: Number of the newest list that was seen here; an older one has been superseded.

    Raises:
      AuthorityUnknown: another authority's, be it of the same name.
      RevocationListInvalid: changed, or not a full list.
      RevocationListStale: past its date, or older than one that was seen here.
      ClockSkewed: made in the future.
      CertificateExpired: the authority's own certificate has ended.
    """
    authority.require_valid(now)
    found, _ = parsed(
        data, x509.load_pem_x509_crl, x509.load_der_x509_crl, RevocationListInvalid, where=where
    )
    try:
        authority.require_issuer(found.issuer, found.extensions, where=where)
        require_ed25519_signature(found.signature_algorithm_oid)
        if not found.is_signature_valid(authority.key()):
            raise InvalidSignature
        require_extensions(found.extensions, LIST_EXTENSIONS)
        number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        due = found.next_update_utc
        if due is None or any(len(entry.extensions) for entry in found):
            raise ValueError("it has no date, or entries that mean something else")
        serials = frozenset(f"{entry.serial_number:x}" for entry in found)
    except FOREIGN as error:
        raise RevocationListInvalid(
            "it is not the authority's full list, or was changed", where=where, do="get the file again"
        ) from error
    result = RevocationList(authority.fingerprint, number, found.last_update_utc, due, serials)
    result.require_current(now)
    if number < least:
        raise RevocationListStale(
            f"list {number} is older than list {least}, which was seen here",
            where=where,
            do="get the authority's newest list",
        )
    return result


def lapsed(roster: Roster, revocations: RevocationList, now: datetime) -> frozenset[str]:
    """Return the ids of sites whose certificates have ended since the roster was approved.

    Such a site counts as dropped in every later round; n, t and c stay those of the approved roster.

    Raises:
      AuthorityUnknown: roster and list are of two authorities, or the roster of none.
      RevocationListStale: the list is past its date.
      ClockSkewed: as in `RevocationList.require_current`.
    """
    if roster.authority != revocations.authority:
        raise AuthorityUnknown(
            "the roster is not of the authority whose revocation list this is", where="roster"
        )
    gone = set()
    for site in roster.site:
        try:
            revocations.require_standing(site, now)
        except (CertificateRevoked, CertificateExpired):
            gone.add(site.id)
    return frozenset(gone)
