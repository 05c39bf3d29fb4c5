"""The roster as the authority signs it: the hospitals' cards, each with its certificate, in one TOML file.

What is signed is the same content that an officer approves by its hash, so whoever holds the file can check
both. The file has one spelling: a byte that differs, be it a space, makes it another file, and it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from fedvalue.errors import (
    AuthorityUnknown,
    CertificateNotOnRoster,
    RosterUnsigned,
    SignatureInvalid,
    StudyInvalid,
    SuiteUnknown,
)
from fedvalue.study import signature
from fedvalue.study.identity.authority import Authority
from fedvalue.study.identity.certificate import TrustedAuthority, read_site_certificate, require_dates
from fedvalue.study.identity.clock import Clock, require_later, utc
from fedvalue.study.identity.names import MAX_BYTES
from fedvalue.study.identity.revocation import RevocationList
from fedvalue.study.roster import Roster, Site, card
from fedvalue.study.signature import SUITE, Signature
from fedvalue.study.toml import parse_toml, problems, quoted

ROLE = "roster_authority"


class SignedRoster(Roster):
    """A roster file.

    Attributes:
      signature: The authority's, over everything else.
    """

    signature: Signature | None = None

    def roster(self) -> Roster:
        """Return the roster without the signature."""
        return Roster.model_validate(self.model_dump(exclude={"signature"}))

    def to_toml(self) -> str:
        """Return the file; there is one for each signed roster."""
        head = {"suite": self.suite, "authority": self.authority}
        lines = [f"{key} = {quoted(value)}" for key, value in head.items() if value is not None]
        lines += [f"issued = {self.issued:%Y-%m-%dT%H:%M:%SZ}"] if self.issued is not None else []
        blocks = ["\n".join([*lines, ""]), *(card(site) for site in self.site)]
        if self.signature is not None:
            said = [f"{key} = {quoted(value)}" for key, value in self.signature.model_dump().items()]
            blocks.append("\n".join(["[signature]", *said, ""]))
        return "\n".join(blocks)


def sign_roster(
    authority: Authority,
    cards: Iterable[Site],
    certificates: Mapping[str, bytes],
    revocations: RevocationList,
    now: datetime,
) -> str:
    """Sign a roster of sites that hold certificates of this authority.

    Args:
      authority: Who signs.
      cards: One a site.
      certificates: Each site's certificate, PEM or DER, by site id.
      revocations: The authority's list.
      now: The present; it is written into the roster.

    Returns:
      The roster file, TOML.

    Raises:
      IdentityRefusal: a certificate is missing, of another authority, key or name, out of its dates, revoked.
      StudyInvalid: a site, entity, key or serial number stands there twice.
    """
    sites = []
    authority.trust.require_valid(now)
    revocations.require_of(authority.trust, now)
    for plain in cards:
        if plain.id not in certificates:
            raise CertificateNotOnRoster("the site has no certificate", where=plain.id, do="issue one first")
        held = read_site_certificate(
            certificates[plain.id], authority.trust, where=f"certificate of {plain.id}"
        )
        held.require_site(plain)
        require_dates(held.valid_from, held.valid_until, now, where=f"certificate of {plain.id}")
        said = {"fingerprint": held.fingerprint, "serial": held.serial, "valid_until": held.valid_until}
        site = plain.model_copy(update=said)
        revocations.require_standing(site, now)
        sites.append(site)
    try:
        roster = SignedRoster(
            suite=SUITE,
            authority=authority.trust.fingerprint,
            issued=utc(now).replace(microsecond=0),
            site=tuple(sites),
        )
    except ValidationError as error:
        raise StudyInvalid(f"the roster is not valid: {problems(error)}", where="roster") from None
    signed = signature.sign(roster.content(), authority.key, ROLE)
    return roster.model_copy(update={"signature": signed}).to_toml()


def load_signed_roster(
    path: Path, authority: TrustedAuthority, revocations: RevocationList, clock: Clock
) -> Roster:
    """Read a roster file and check everything that does not need a person.

    Args:
      path: The file.
      authority: The authority that this site trusts, from its own disk.
      revocations: The authority's list, as `read_revocations` returns it.
      clock: Tells the time.

    Returns:
      The roster; its digest covers suite, authority, date, fingerprints and serial numbers.

    Raises:
      StudyInvalid: unreadable, not TOML, an unknown key, or somebody stands on it twice.
      IdentityRefusal: as in `require_signed`; the list is of another authority or past its date; a site on
        the roster has been revoked or has expired.
    """
    now, where = clock(), str(path)
    authority.require_valid(now)
    revocations.require_of(authority, now)
    found = read_signed_roster(path)
    require_signed(found, authority, now, where=where)
    for site in found.site:
        revocations.require_standing(site, now)
    return found.roster()


def require_signed(found: SignedRoster, authority: TrustedAuthority, now: datetime, *, where: str) -> None:
    """Refuse a roster that this authority did not sign as it stands.

    Whether the sites on it still stand is a question for the revocation list, and for another moment.

    Raises:
      RosterUnsigned: not signed, or changed after it was signed.
      AuthorityUnknown: signed by another authority.
      SuiteUnknown: of another crypto suite.
      CertificateExpired, CertificateNotYetValid: the authority is out of its own dates.
      ClockSkewed: signed in the future, or the clock has no time zone.
    """
    authority.require_valid(now)
    if found.authority is None or found.issued is None or found.signature is None:
        raise RosterUnsigned(
            "no authority has signed the roster", where=where, do="get the file from the authority"
        )
    if found.suite != SUITE:
        raise SuiteUnknown(f"the roster is of another crypto suite than {SUITE}", where=where)
    if (
        found.authority != authority.fingerprint
        or found.signature.public_key != authority.public_key
        or found.signature.role != ROLE
    ):
        raise AuthorityUnknown(
            "the roster is signed by somebody else than this federation's authority",
            where=where,
            do=f"only what {authority.name} signed counts",
        )
    try:
        signature.verify(found.content(), found.signature, where=where, public_key=authority.public_key)
    except SignatureInvalid as error:
        raise RosterUnsigned(
            "the roster was changed after it was signed", where=where, do="get the file again"
        ) from error
    require_later(now, found.issued, where=where)


def read_signed_roster(path: Path) -> SignedRoster:
    """Read a roster file in the one spelling that a signed one has; nobody's signature is checked here.

    Raises:
      StudyInvalid: unreadable, not TOML, an unknown key, or somebody stands on it twice.
      RosterUnsigned: signed, and not written as the authority writes it.
    """
    found, raw = _read(path)
    if found.signature is not None and found.to_toml().encode() != raw:
        raise RosterUnsigned(
            "the file is not as the authority wrote it",
            where=str(path),
            do="get it again, and do not edit it",
        )
    return found


def _read(path: Path) -> tuple[SignedRoster, bytes]:
    what, do = "the roster", "get the file from the authority"
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StudyInvalid(f"{what} cannot be read: {error.strerror}", where=str(path), do=do) from error
    if len(raw) > MAX_BYTES:
        raise StudyInvalid(f"{what} is larger than {MAX_BYTES} bytes", where=str(path), do=do)
    found = parse_toml(raw, SignedRoster, failure=StudyInvalid, what=what, where=str(path), do=do)
    return found, raw
