"""What a machine goes by when it is told who is who: one authority's certificate, and its newest list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fedvalue.errors import RevocationListStale
from fedvalue.study.identity.authority import load_trusted
from fedvalue.study.identity.certificate import TrustedAuthority
from fedvalue.study.identity.names import MAX_BYTES
from fedvalue.study.identity.presented import verify_presented
from fedvalue.study.identity.revocation import RevocationList, lapsed, read_revocations
from fedvalue.study.identity.signed_roster import SignedRoster, read_signed_roster, require_signed
from fedvalue.study.roster import Roster, Site


@dataclass(frozen=True, slots=True)
class Trust:
    """An authority and its list, both from this machine's own disk.

    Attributes:
      authority: Whom this machine's people decided to trust.
      revocations: Its newest list.
    """

    authority: TrustedAuthority
    revocations: RevocationList

    def require_current(self, now: datetime) -> None:
        """Refuse to rely on either outside its dates.

        Raises:
          CertificateExpired, CertificateNotYetValid: the authority is out of its dates.
          RevocationListStale: the list is past its date.
          AuthorityUnknown: the list is of another authority.
          ClockSkewed: the list was made in the future.
        """
        self.authority.require_valid(now)
        self.revocations.require_of(self.authority, now)

    def roster(self, path: Path, now: datetime) -> Roster:
        """Read a roster file that this authority signed and on which every site stands.

        Raises:
          StudyInvalid: the file is no roster.
          IdentityRefusal: as in `require_roster`.
        """
        found = read_signed_roster(path)
        self.require_roster(found, now, where=str(path))
        return found.roster()

    def require_roster(self, found: SignedRoster, now: datetime, *, where: str) -> None:
        """Refuse a roster that is not this authority's, or on which a site no longer stands.

        Raises:
          IdentityRefusal: names what does not hold, and of whom.
        """
        self.require_current(now)
        require_signed(found, self.authority, now, where=where)
        for site in found.site:
            self.revocations.require_standing(site, now)

    def lapsed(self, roster: Roster, now: datetime) -> frozenset[str]:
        """Return the ids of sites that count as dropped since the roster was approved.

        Raises:
          IdentityRefusal: as in `require_current`.
        """
        self.require_current(now)
        return lapsed(roster, self.revocations, now)

    def presented(self, certificate: bytes, roster: Roster, now: datetime, *, where: str) -> Site:
        """Return the roster's entry of the site whose certificate this is; see `verify_presented`.

        Raises:
          IdentityRefusal: the certificate speaks for nobody on the roster.
        """
        return verify_presented(certificate, roster, self.authority, self.revocations, now, where=where)


def load_trust(authority: Path, revocations: Path, now: datetime, *, least: int = 0) -> Trust:
    """Read an authority's certificate and its list from two files.

    Args:
      authority: The certificate.
      revocations: The list.
      now: The present.
      least: Number of the newest list that was seen on this machine.

    Raises:
      CertificateInvalid: the certificate is missing, or no authority's.
      IdentityRefusal: as in `fedvalue.study.identity.revocation.read_revocations`.
    """
    trusted = load_trusted(authority)
    found = read_list(revocations)
    return Trust(trusted, read_revocations(found, trusted, now, where=str(revocations), least=least))


def read_list(path: Path) -> bytes:
    """Return the bytes of a revocation list, of which nothing is checked yet.

    Raises:
      RevocationListStale: there is none: without a list nobody is believed.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RevocationListStale(
            f"the revocation list cannot be read: {error.strerror}", where=str(path),
            do="get the authority's newest list; without one nobody is believed",
        ) from error  # fmt: skip
