"""What a site goes by when it asks who is who: its own papers, its authority's list, its people's telephone.

Everything is read from the site's own disk. The coordinator carries rosters and lists and can only withhold
them; an older list than one that was seen here is refused, because it may have forgotten a stolen key.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.errors import (
    AuthorityUnknown,
    CertificateInvalid,
    OutputError,
    RevocationListStale,
    RosterUnsigned,
    SiteLapsed,
)
from fedvalue.study.identity.authority import load_trusted
from fedvalue.study.identity.certificate import (
    SiteCertificate,
    TrustedAuthority,
    read_authority,
    read_site_certificate,
    require_dates,
)
from fedvalue.study.identity.clock import require_later
from fedvalue.study.identity.confirmation import require_confirmed
from fedvalue.study.identity.ends import LIST_AHEAD, Ending
from fedvalue.study.identity.names import MAX_BYTES
from fedvalue.study.identity.papers import Papers
from fedvalue.study.identity.presented import on_roster
from fedvalue.study.identity.revocation import RevocationList, read_revocations
from fedvalue.study.identity.signed_roster import SignedRoster, read_signed_roster, require_signed
from fedvalue.study.identity.trust import Trust, read_list
from fedvalue.study.roster import Roster, load_roster

AUTHORITY, CERTIFICATE, REVOCATIONS, SEEN = "authority.crt", "site.crt", "revocations.pem", "seen.json"
"""Files of `SiteHome.identity_folder`: the authority, this site, the newest list, and its number."""

FILES = (AUTHORITY, CERTIFICATE, REVOCATIONS, SEEN)


@dataclass(frozen=True, slots=True)
class SiteIdentity:
    """The papers of one site, read and checked.

    Attributes:
      trust: Its authority and the newest list.
      certificate: Its own certificate.
      pem: The same as it is shown to others.
    """

    trust: Trust
    certificate: SiteCertificate
    pem: str

    def require_own(self, now: datetime) -> None:
        """Refuse everything if this site itself does not stand, or its list and clock cannot be relied on.

        Raises:
          IdentityRefusal: names what has ended: authority, list, this site's certificate, or the clock.
        """
        self.trust.require_current(now)
        held, where = self.certificate, f"certificate of {self.certificate.site}"
        require_dates(held.valid_from, held.valid_until, now, where=where)
        self.trust.revocations.require_not_revoked(held.serial, where=where)

    def endings(self) -> tuple[Ending, ...]:
        """Return what ends, for warnings."""
        trust, held = self.trust, self.certificate
        return (
            Ending("this site's certificate", held.valid_until, "run `fedvalue site renew`"),
            Ending(
                "the revocation list", trust.revocations.due,
                "get the authority's newest list, `fedvalue site revocations`", LIST_AHEAD,
            ),
            Ending(
                f"the authority {trust.authority.name}", trust.authority.valid_until,
                "the federation needs a new authority; see docs/identity.md",
            ),
        )  # fmt: skip


def load_identity(home: SiteHome) -> SiteIdentity:
    """Read and check the papers of a site.

    Raises:
      CertificateInvalid: there are none, or they cannot be read.
      IdentityRefusal: they are of another authority, site or key, or the list is stale.
    """
    folder, now = home.identity_folder, home.clock()
    trust = load_trusted(folder / AUTHORITY)
    pem = _bytes(folder / CERTIFICATE)
    held = _own(home, pem, trust)
    raw, least = read_list(folder / REVOCATIONS), _seen(folder, trust)
    where = str(folder / REVOCATIONS)
    found = read_revocations(raw, trust, now, where=where, least=least)
    if found.number > least:
        _remember(home, trust, found.number)
    return SiteIdentity(Trust(trust, found), held, pem.decode("ascii", "replace"))


def admit(home: SiteHome, roster: Roster, colluding: int) -> None:
    """Refuse a roster for an approval: its signature, everybody on it, this site, and who was compared.

    A simulated site has no authority and takes any roster; its approvals pass for nothing else.

    Args:
      home: The site.
      roster: As read from the authority's file, with its signature.
      colluding: c of the study.

    Raises:
      RosterUnsigned: no authority signed it.
      IdentityRefusal: it does not hold, somebody on it was revoked or has expired, this site does not
        stand, or more entities are unconfirmed than are assumed to collude.
    """
    if home.policy.simulation:
        return
    signed, identity, now = _signed(roster), load_identity(home), home.clock()
    identity.require_own(now)
    identity.trust.require_roster(signed, now, where="roster")
    on_roster(identity.certificate, signed)
    require_confirmed(signed, home.policy.confirmed, colluding, own=home.policy.site)


def recognise(home: SiteHome, roster: Roster, colluding: int) -> SiteIdentity | None:
    """Check an approved roster against this site's papers as they are now; None at a simulated site.

    What depends on the hour is not looked at here, see `standing`.

    Raises:
      IdentityRefusal: the roster is not the authority's, or names another certificate for this site.
    """
    if home.policy.simulation:
        return None
    signed, identity = _signed(roster), load_identity(home)
    require_signed(signed, identity.trust.authority, home.clock(), where="roster")
    on_roster(identity.certificate, signed)
    require_confirmed(signed, home.policy.confirmed, colluding, own=home.policy.site)
    return identity


def standing(identity: SiteIdentity | None, roster: Roster, answers: int, now: datetime) -> frozenset[str]:
    """Return who counts as dropped by now; refuse if that is this site, or leaves too few.

    Args:
      identity: What `recognise` returned.
      roster: The approved roster.
      answers: t.
      now: The present.

    Raises:
      CertificateExpired, CertificateRevoked: this site's own certificate, or the authority's.
      RevocationListStale: the list is past its date.
      ClockSkewed: roster or list were made in this clock's future.
      SiteLapsed: fewer than t sites of the roster still hold a certificate.
    """
    if identity is None:
        return frozenset()
    identity.require_own(now)
    if roster.issued is not None:
        require_later(now, roster.issued, where="roster")
    gone = identity.trust.lapsed(roster, now)
    if len(roster.site) - len(gone) < answers:
        raise SiteLapsed(
            f"{len(gone)} sites of the roster hold no certificate any more, {answers} must answer",
            where=", ".join(sorted(gone)), do="the authority renews them and signs a new roster",
        )  # fmt: skip
    return gone


def site_roster(home: SiteHome, path: Path) -> Roster:
    """Read a roster file as this site reads it: signed by its authority, or any at a simulated site.

    Raises:
      StudyInvalid: the file is no roster.
      IdentityRefusal: it is not this authority's; whether everybody on it stands, `admit` looks at.
    """
    if home.policy.simulation:
        return load_roster(path)
    found = read_signed_roster(path)
    require_signed(found, load_identity(home).trust.authority, home.clock(), where=str(path))
    return found


def take_papers(home: SiteHome, papers: Papers, fingerprint: str | None) -> SiteIdentity:
    """Keep what the authority sent, after checking all of it.

    Args:
      home: The site.
      papers: The authority's file.
      fingerprint: Of the authority's certificate, as this site's people compared it; None where the same
        authority is trusted already.

    Raises:
      AuthorityUnknown: another authority than the one compared, or none was compared yet.
      IdentityRefusal: certificate or list do not hold, are of another site or key, or older than known.
    """
    now = home.clock()
    trust = read_authority(papers.authority.encode(), where="papers, authority")
    _require_compared(home, trust, fingerprint)
    raw = papers.revocations.encode()
    least = _seen(home.identity_folder, trust) if _known(home.identity_folder, trust) else 0
    listed = read_revocations(raw, trust, now, where="papers, revocation list", least=least)
    held = _own(home, papers.certificate.encode(), trust)
    found = SiteIdentity(Trust(trust, listed), held, papers.certificate)
    found.require_own(now)
    _remember(home, trust, listed.number)
    for name, text in zip(
        (AUTHORITY, CERTIFICATE, REVOCATIONS),
        (papers.authority, papers.certificate, papers.revocations),
        strict=True,
    ):
        write_atomically(home.identity_folder / name, text.encode())
    return found


def take_revocations(home: SiteHome, path: Path) -> RevocationList:
    """Keep a newer revocation list.

    Raises:
      IdentityRefusal: it is not the authority's, past its date, or older than one that was seen here.
    """
    trust = load_trusted(home.identity_folder / AUTHORITY)
    raw, least = read_list(path), _seen(home.identity_folder, trust)
    found = read_revocations(raw, trust, home.clock(), where=str(path), least=least)
    _remember(home, trust, found.number)
    write_atomically(home.identity_folder / REVOCATIONS, raw)
    return found


def state_of(home: SiteHome) -> bytes:
    """Return a digest of the papers on the disk, so that what was read from them can be kept.

    Raises:
      OSError: one is missing.
    """
    if home.policy.simulation:
        return b""
    found = hashlib.sha256()
    for name in FILES:
        found.update(hashlib.sha256((home.identity_folder / name).read_bytes()).digest())
    return found.digest()


def _signed(roster: Roster) -> SignedRoster:
    if not isinstance(roster, SignedRoster):
        raise RosterUnsigned(
            "no authority has signed the roster", where="roster",
            do="a real site takes the authority's roster only; cards alone are for simulations",
        )  # fmt: skip
    return roster


def _own(home: SiteHome, pem: bytes, trust: TrustedAuthority) -> SiteCertificate:
    held = read_site_certificate(pem, trust, where="this site's certificate")
    held.require_site(home.card())
    return held


def _require_compared(home: SiteHome, trust: TrustedAuthority, fingerprint: str | None) -> None:
    if fingerprint is not None:
        told = "".join(char for char in fingerprint if char not in " :-\t\n").casefold()
        if told != trust.fingerprint:
            raise AuthorityUnknown(
                "the papers are of another authority than the one that you compared", where="papers",
                do="call the authority again, at a number that you did not get with the papers",
            )  # fmt: skip
    elif not (home.identity_folder / AUTHORITY).exists():
        raise AuthorityUnknown(
            "nobody has compared the authority's fingerprint yet", where="papers",
            do="call the authority, and give what you hear with --authority",
        )  # fmt: skip
    elif load_trusted(home.identity_folder / AUTHORITY).fingerprint != trust.fingerprint:
        raise AuthorityUnknown(
            "the papers are of another authority than the one trusted here", where="papers",
            do="if the federation has a new authority, compare its fingerprint and give it with --authority",
        )  # fmt: skip


def _seen(folder: Path, trust: TrustedAuthority) -> int:
    """Return the number of the newest list that was seen of this authority."""
    try:
        found = json.loads((folder / SEEN).read_bytes())[trust.fingerprint]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RevocationListStale(
            "it is not known which revocation list was the newest here", where=str(folder / SEEN),
            do="take the authority's papers in again: `fedvalue site certify`",
        ) from error  # fmt: skip
    if type(found) is not int:
        raise RevocationListStale("the number of the newest list is none", where=str(folder / SEEN))
    return found


def _known(folder: Path, trust: TrustedAuthority) -> bool:
    """Tell whether a list of this authority was ever seen here."""
    return (folder / SEEN).exists() and trust.fingerprint in (folder / SEEN).read_text(errors="replace")


def _remember(home: SiteHome, trust: TrustedAuthority, number: int) -> None:
    """Note the newest list of an authority; it never goes down, and other authorities' stay."""
    path = home.identity_folder / SEEN
    with _alone(home.identity_folder):
        try:
            known = json.loads(path.read_bytes()) if path.exists() else {}
        except ValueError:
            known = {}
        known[trust.fingerprint] = max(number, known.get(trust.fingerprint, 0))
        write_atomically(path, json.dumps(known).encode())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", where=str(folder)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CertificateInvalid(
            f"this site's certificate cannot be read: {error.strerror}", where=str(path),
            do="enrol: `fedvalue site enrol`, then `fedvalue site certify` with the authority's papers",
        ) from error  # fmt: skip
