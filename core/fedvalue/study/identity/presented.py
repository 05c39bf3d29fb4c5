"""A certificate that somebody presents: everything it has to survive before its key speaks for a site."""

from __future__ import annotations

from datetime import datetime

from fedvalue.errors import CertificateNotOnRoster, SiteNotOnRoster
from fedvalue.study.identity.certificate import (
    SiteCertificate,
    TrustedAuthority,
    read_site_certificate,
    require_dates,
)
from fedvalue.study.identity.revocation import RevocationList
from fedvalue.study.roster import Roster, Site


def verify_presented(
    data: bytes,
    roster: Roster,
    authority: TrustedAuthority,
    revocations: RevocationList,
    now: datetime,
    *,
    where: str,
) -> Site:
    """Return the roster's entry of the site that a presented certificate is of.

    Whoever presents it must still sign something fresh with the entry's public key: a certificate is public.

    Args:
      data: The certificate, PEM or DER.
      roster: As the officer approved it, and as `load_signed_roster` returned it.
      authority: The authority that this site trusts.
      revocations: The authority's list.
      now: The present, by this site's clock.
      where: Names the certificate in errors.

    Raises:
      CertificateInvalid, AuthorityUnknown, KeyWeak: as in `read_site_certificate`.
      CertificateNotYetValid, CertificateExpired: out of its dates, or the authority is out of its own.
      RevocationListStale, ClockSkewed: the list cannot be relied on.
      CertificateRevoked: the authority has revoked it.
      SiteNotOnRoster, SiteNameDiffers, IdentityKeyDiffers, CertificateNotOnRoster: as in `on_roster`.
    """
    authority.require_valid(now)
    revocations.require_of(authority, now)
    held = read_site_certificate(data, authority, where=where)
    require_dates(held.valid_from, held.valid_until, now, where=where)
    revocations.require_not_revoked(held.serial, where=where)
    return on_roster(held, roster)


def on_roster(certificate: SiteCertificate, roster: Roster) -> Site:
    """Return the roster's entry of a certificate's site.

    A certificate that the authority issued, and that the roster does not name, speaks for nobody: whoever
    makes the authority issue more certificates gains no seat by it.

    Raises:
      SiteNotOnRoster: the roster holds no such site.
      SiteNameDiffers: it holds the site under another entity or operator.
      IdentityKeyDiffers: it holds the site with another key.
      CertificateNotOnRoster: the same site and key, and yet another certificate than the roster names.
    """
    site = roster.get(certificate.site)
    if site is None:
        raise SiteNotOnRoster("the roster holds no such site", where=certificate.site)
    certificate.require_site(site)
    if (site.fingerprint, site.serial) != (certificate.fingerprint, certificate.serial):
        raise CertificateNotOnRoster(
            "the roster names another certificate for this site",
            where=f"certificate {certificate.serial} of site {certificate.site}",
            do="use the roster that the authority signed last",
        )
    return site
