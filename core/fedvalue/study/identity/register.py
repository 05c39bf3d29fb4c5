"""The authority's register: every certificate it ever issued, which were revoked, and the last list's number.

It lies beside the authority's key, on a machine that is not the coordinator's. From it the authority signs
rosters and lists; without it, it could give one entity two seats, or forget what it revoked.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import Field, ValidationError

from fedvalue.errors import (
    CertificateInvalid,
    CertificateNotOnRoster,
    EntityRepeated,
    IdentityKeyDiffers,
    SiteNameDiffers,
    SiteNotOnRoster,
)
from fedvalue.study.identity.authority import (
    CERTIFICATE_FILE,
    KEY_FILE,
    Authority,
    issue_revocations,
    issue_site_certificate,
    make_authority,
    with_key,
)
from fedvalue.study.identity.clock import Clock, utc
from fedvalue.study.identity.confirmation import spoken
from fedvalue.study.identity.papers import Papers
from fedvalue.study.identity.request import CertificateRequest
from fedvalue.study.identity.revocation import RevocationList, read_revocations
from fedvalue.study.identity.signed_roster import sign_roster
from fedvalue.study.keys import replace_file
from fedvalue.study.model import Line, Part
from fedvalue.study.passphrases import KeyRing
from fedvalue.study.roster import Moment, Site, entity_name
from fedvalue.study.toml import problems

REGISTER_FILE = "register.json"
LIST_FILE = "revocations.pem"
WHOSE = "the authority's key"

SERIAL_BITS = 152
"""Drawn at random: a lost register repeats no number. RFC 5280 allows 20 bytes."""

BEFORE = timedelta(hours=1)
"""Certificates begin this long before they are issued: a site's clock may be a little behind."""


class Issued(Part):
    """A certificate that was issued.

    Attributes:
      card: What the site said of itself.
      certificate: PEM.
      serial: Serial number, hexadecimal.
      valid_until: Last second.
      day: When it was issued.
      revoked: When it was revoked; None while it stands.
      why: Why it was revoked.
    """

    card: Site
    certificate: str
    serial: str
    valid_until: Moment
    day: Moment
    revoked: Moment | None = None
    why: Line = ""


class Register(Part):
    """The register as a value.

    Attributes:
      list_number: Number of the last revocation list.
      list_due: Last second of that list.
      issued: Every certificate, oldest first.
    """

    list_number: int = Field(default=0, ge=0)
    list_due: Moment | None = None
    issued: tuple[Issued, ...] = Field(default=(), strict=False)

    def standing(self, site: str) -> Issued | None:
        """Return the newest certificate of a site that was not revoked."""
        held = [each for each in self.issued if each.card.id == site and each.revoked is None]
        return held[-1] if held else None

    def seats(self) -> tuple[Issued, ...]:
        """Return each site's newest standing certificate, in the order of site ids."""
        sites = sorted({each.card.id for each in self.issued})
        return tuple(held for site in sites if (held := self.standing(site)) is not None)


@dataclass(frozen=True, slots=True)
class Desk:
    """An authority at work: its key, its register, and its folder.

    Attributes:
      folder: Where all of it lies.
      authority: With its key.
      clock: Tells the time.
    """

    folder: Path
    authority: Authority
    clock: Clock

    @classmethod
    def make(
        cls, folder: Path, name: str, clock: Clock, *, days: int, list_days: int, passphrase: bytes | None
    ) -> Desk:
        """Make an authority, an empty register and the first, empty list.

        Raises:
          CertificateInvalid: the name or the dates cannot stand in a certificate.
          OutputError: there is one already, or the place cannot be written.
          PassphraseWrong: the passphrase is empty.
        """
        now = clock()
        first, last = now - BEFORE, now + timedelta(days=days)
        made = make_authority(folder, name, valid_from=first, valid_until=last, passphrase=passphrase)
        desk = cls(folder, made, clock)
        desk.issue_list(list_days, Register())
        return desk

    @classmethod
    def open(cls, folder: Path, clock: Clock, keys: KeyRing) -> Desk:
        """Open the authority of a folder; ``keys`` asks for its passphrase if there is one.

        Raises:
          SignatureInvalid: the key cannot be read; `PassphraseWrong` where that is the reason.
          CertificateInvalid: certificate or register cannot be read.
        """
        return cls(folder, with_key(folder, keys.key(folder / KEY_FILE, WHOSE)), clock)

    def register(self) -> Register:
        """Read the register.

        Raises:
          CertificateInvalid: it is not there, or is none.
        """
        return read_register(self.folder)

    def issue(self, request: CertificateRequest, digits: str, *, days: int) -> Papers:
        """Issue a certificate to a site whose digits a person has just compared with the hospital.

        Args:
          request: What the site asked for.
          digits: The key's digits as the hospital's people read them out.
          days: Length of the certificate.

        Raises:
          IdentityKeyDiffers: other digits; or the site holds a standing certificate of another key.
          SiteNameDiffers: the site id was given to another entity.
          EntityRepeated: the entity has a seat under another site id.
          CertificateInvalid: names or dates cannot stand in a certificate.
        """
        site, register = request.site, self.register()
        request.verify()
        if _plain(digits) != _plain(spoken(site.public_key)):
            raise IdentityKeyDiffers(
                "the digits that you were told are not those of the key in the request", where=site.id,
                do="call the hospital again; if they differ again, somebody changed the request on its way",
            )  # fmt: skip
        _require_seat(register, site)
        now, trust = self.clock(), self.authority.trust
        first, last = max(now - BEFORE, trust.valid_from), min(now + timedelta(days=days), trust.valid_until)
        serial = secrets.randbits(SERIAL_BITS) or 1
        pem = issue_site_certificate(
            self.authority, request, serial=serial, valid_from=first, valid_until=last
        ).decode()
        entry = Issued(
            card=site, certificate=pem, serial=f"{serial:x}", valid_until=_second(last), day=_second(now)
        )
        self._save(register.model_copy(update={"issued": (*register.issued, entry)}))
        return self.papers(site.id)

    def papers(self, site: str) -> Papers:
        """Return what a site takes home: its newest certificate, the authority's, and the newest list.

        Raises:
          SiteNotOnRoster: it holds no standing certificate.
        """
        held = self.register().standing(site)
        if held is None:
            raise SiteNotOnRoster("the site holds no certificate that stands", where=site, do="issue one")
        return Papers(
            site=site,
            certificate=held.certificate,
            authority=_text(self.folder / CERTIFICATE_FILE),
            revocations=_text(self.folder / LIST_FILE),
        )

    def revoke(self, site: str, why: str, *, list_days: int) -> tuple[Issued, ...]:
        """Revoke every standing certificate of a site and issue the next list.

        Raises:
          SiteNotOnRoster: it holds none.
        """
        register, now = self.register(), _second(self.clock())
        gone = tuple(e for e in register.issued if e.card.id == site and e.revoked is None)
        if not gone:
            raise SiteNotOnRoster("the site holds no certificate that stands", where=site)
        issued = tuple(
            each.model_copy(update={"revoked": now, "why": why}) if each in gone else each
            for each in register.issued
        )
        self.issue_list(list_days, register.model_copy(update={"issued": issued}))
        return gone

    def issue_list(self, days: int, register: Register | None = None) -> int:
        """Issue the next revocation list, also when nothing was revoked, and return its number.

        Raises:
          RevocationListInvalid: the dates cannot stand in a list.
          OutputError: the place cannot be written.
        """
        register, now = register or self.register(), self.clock()
        due = min(now + timedelta(days=days), self.authority.trust.valid_until)
        number = register.list_number + 1
        revoked = [each.serial for each in register.issued if each.revoked is not None]
        pem = issue_revocations(self.authority, revoked, number=number, issued=now, due=due)
        # The register first: a number that was used and whose list was lost is skipped, never given twice.
        self._save(register.model_copy(update={"list_number": number, "list_due": _second(due)}))
        replace_file(self.folder / LIST_FILE, pem, mode=0o644)
        return number

    def sign_roster(self, sites: tuple[str, ...] = ()) -> str:
        """Sign a roster of the sites named, or of all whose certificates stand; returns the file.

        Raises:
          SiteNotOnRoster: one that is named holds no standing certificate.
          CertificateNotOnRoster: there is nobody to put on it.
          IdentityRefusal: a certificate or the list is out of its dates.
        """
        register = self.register()
        seats = {held.card.id: held for held in register.seats()}
        for name in sites:
            if name not in seats:
                raise SiteNotOnRoster("the site holds no certificate that stands", where=name)
        chosen = [seats[name] for name in (sites or tuple(seats))]
        if not chosen:
            raise CertificateNotOnRoster("no site holds a certificate", where=str(self.folder))
        certificates = {held.card.id: held.certificate.encode() for held in chosen}
        cards = [held.card for held in chosen]
        return sign_roster(self.authority, cards, certificates, self.revocations(), self.clock())

    def revocations(self) -> RevocationList:
        """Return the newest list, checked.

        Raises:
          IdentityRefusal: it is past its date, or is not this authority's.
        """
        raw, where = _text(self.folder / LIST_FILE).encode(), str(self.folder / LIST_FILE)
        least = self.register().list_number
        return read_revocations(raw, self.authority.trust, self.clock(), where=where, least=least)

    def _save(self, register: Register) -> None:
        text = json.dumps(register.model_dump(mode="json", exclude_none=True), indent=1, ensure_ascii=False)
        replace_file(self.folder / REGISTER_FILE, text.encode(), mode=0o600)


def read_register(folder: Path) -> Register:
    """Read an authority's register; needs no key.

    Raises:
      CertificateInvalid: it is not there, or is none.
    """
    path = folder / REGISTER_FILE
    try:
        return Register.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CertificateInvalid(
            f"the authority's register cannot be read: {error.strerror}", where=str(path),
            do="restore it from a copy, or make an authority with `fedvalue authority init`",
        ) from error  # fmt: skip
    except ValidationError as error:
        raise CertificateInvalid(f"this is no register: {problems(error)}", where=str(path)) from None


def _require_seat(register: Register, site: Site) -> None:
    """Refuse a second seat, a name that was given to another, and a new key beside one that stands."""
    for each in register.issued:
        same = entity_name(each.card.entity) == entity_name(site.entity)
        if each.card.id == site.id and not same:
            raise SiteNameDiffers(
                f"the site id was given to {each.card.entity}", where=site.id, do="choose another id"
            )
        if each.card.id != site.id and same and each.revoked is None:
            raise EntityRepeated(
                f"{site.entity} has a seat as {each.card.id}", where=site.id,
                do="one legal entity has one seat; revoke the other first",
            )  # fmt: skip
    held = register.standing(site.id)
    if held is not None and held.card.public_key != site.public_key:
        raise IdentityKeyDiffers(
            "the site holds a certificate of another key, which still stands", where=site.id,
            do="revoke that one first: nobody has two identities",
        )  # fmt: skip
    for each in register.issued:
        if each.card.public_key == site.public_key and (each.card.id != site.id or each.revoked is not None):
            raise IdentityKeyDiffers(
                "the key was revoked, or is of another site", where=site.id, do="the site makes a new key"
            )


def _plain(digits: str) -> str:
    return "".join(char for char in digits if char not in " :-\t\n").casefold()


def _second(moment: datetime) -> datetime:
    return utc(moment).replace(microsecond=0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise CertificateInvalid("the file cannot be read", where=str(path)) from error
