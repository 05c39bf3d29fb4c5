"""The roster: which hospitals take part, and by which key each is known.

A roster is a list that an officer approves by its hash. Where the federation has an authority, the roster
also names each hospital's certificate and is signed (`fedvalue.study.identity.signed_roster`); a simulation
has no authority, and its roster is the hospitals' cards alone.
"""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Self

import rfc8785
from pydantic import AfterValidator, Field, model_validator

from fedvalue.errors import RosterUnsigned, StudyInvalid
from fedvalue.secure_sum.thresholds import Thresholds, thresholds
from fedvalue.study.model import Part
from fedvalue.study.schema import Federation
from fedvalue.study.toml import load_toml, quoted

SITE_ID = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"

SERIAL = r"^[1-9a-f][0-9a-f]{0,39}$"
"""A certificate's serial number, hexadecimal without leading zeros; RFC 5280 allows 20 bytes."""

_CERTIFIED = ("fingerprint", "serial", "valid_until")
_SIGNED = ("suite", "authority", "issued")


def _whole_second(moment: datetime) -> datetime:
    if moment.utcoffset() != timedelta(0) or moment.microsecond:
        raise ValueError("a time is in UTC and in whole seconds, such as 2026-01-31T12:00:00Z")
    return moment


Moment = Annotated[datetime, AfterValidator(_whole_second)]
"""A time in UTC, in whole seconds as certificates have them."""


def entity_name(name: str) -> str:
    """Return a legal entity's name in the form in which names are compared.

    Width, case, spacing and characters that do not show make no second entity of one.
    """
    shown = (c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    return " ".join("".join(shown).split()).casefold()


class Site(Part):
    """One hospital of the roster.

    Attributes:
      id: Short name, used in folders and reports.
      entity: Legal entity; the thresholds count entities.
      operator: Who runs its machines.
      public_key: Raw Ed25519 identity key, 64 hexadecimal digits.
      officer_key: Raw Ed25519 key of the officer who approves studies there, 64 hexadecimal digits.
      fingerprint: SHA-256 of the site's certificate (DER), 64 hexadecimal digits; only on a signed roster.
      serial: The certificate's serial number; only on a signed roster.
      valid_until: Last second of the certificate, UTC; only on a signed roster.
    """

    id: str = Field(pattern=SITE_ID)
    entity: str = Field(min_length=1)
    operator: str = Field(min_length=1)
    public_key: str = Field(pattern=r"^[0-9a-f]{64}$")
    officer_key: str = Field(pattern=r"^[0-9a-f]{64}$")
    fingerprint: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    serial: str | None = Field(default=None, pattern=SERIAL)
    valid_until: Moment | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if 0 < sum(getattr(self, key) is None for key in _CERTIFIED) < len(_CERTIFIED):
            raise ValueError(f"{', '.join(_CERTIFIED)} go together")
        return self

    @property
    def certified(self) -> bool:
        """Whether the entry names a certificate."""
        return self.serial is not None

    def card(self) -> Site:
        """Return the entry without its certificate: what the hospital itself says of itself."""
        return self.model_copy(update=dict.fromkeys(_CERTIFIED)) if self.certified else self


class Roster(Part):
    """The sites of a federation, one legal entity each.

    Attributes:
      suite: Crypto suite of the federation; only on a signed roster, as the next two.
      authority: Fingerprint of the authority's certificate, 64 hexadecimal digits.
      issued: When the authority signed.
      site: The sites, in any order.
    """

    suite: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9-]{0,19}$")
    authority: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    issued: Moment | None = None
    site: tuple[Site, ...] = Field(strict=False, min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for what in ("id", "entity", "public_key", "serial", "fingerprint"):
            seen = set()
            for value in (getattr(site, what) for site in self.site):
                same = entity_name(value) if what == "entity" else value
                if same in seen:
                    raise ValueError(f"{what} {value!r} is on the roster twice")
                seen |= {same} - {None}
        return self

    @model_validator(mode="after")
    def _whole(self) -> Self:
        said = [getattr(self, key) is not None for key in _SIGNED] + [site.certified for site in self.site]
        if any(said) and not all(said):
            raise ValueError(f"{', '.join(_SIGNED)} and a certificate for every site go together")
        return self

    @property
    def certified(self) -> bool:
        """Whether the roster names its authority and a certificate for every site."""
        return self.authority is not None

    @property
    def order(self) -> tuple[str, ...]:
        """Ids of the sites in alphabetical order: an analysis by site has its numbers in it."""
        return tuple(sorted(site.id for site in self.site))

    def get(self, site_id: str) -> Site | None:
        """Return the site called ``site_id``, or None."""
        return next((site for site in self.site if site.id == site_id), None)

    def thresholds(self, federation: Federation) -> Thresholds:
        """Return n, c, f, t, m of this roster under a study's settings.

        Raises:
          TooFewSites: the roster cannot carry the study's settings.
        """
        return thresholds(
            len(self.site), colluding=federation.colluding_sites, dropouts=federation.tolerated_dropouts
        )

    def digest(self) -> str:
        """Return the SHA-256 of the canonical form in hexadecimal; the order of sites does not matter."""
        return hashlib.sha256(rfc8785.dumps(self.content())).hexdigest()

    def content(self) -> dict[str, Any]:
        """Return what is hashed, approved and signed: every key that is set, sites in the order of ids."""
        said = self.model_dump(mode="json", exclude_none=True, include={*_SIGNED, "site"})
        return {**said, "site": sorted(said["site"], key=lambda site: str(site["id"]))}


def load_roster(path: Path) -> Roster:
    """Read a roster file that no authority has signed (TOML, one ``[[site]]`` table a hospital).

    Raises:
      StudyInvalid: unreadable, not TOML, an unknown key, or a site, entity or key twice.
      RosterUnsigned: it names an authority, and this function would not check the signature.
    """
    roster = load_toml(
        path,
        Roster,
        failure=StudyInvalid,
        what="the roster",
        do="join the hospitals' cards (`fedvalue site card`) into one file; one with a [signature] is read "
        "with the authority's certificate",
    )
    if roster.certified:
        raise RosterUnsigned(
            "the roster names an authority and nobody's signature was checked",
            where=str(path),
            do="read it with the authority's certificate and revocation list",
        )
    return roster


def card(site: Site) -> str:
    """Return a site's entry of the roster file as TOML; a roster is such cards one after the other."""
    said = site.model_dump(mode="json", exclude_none=True)
    lines = [f"{key} = {value if key == 'valid_until' else quoted(value)}" for key, value in said.items()]
    return "\n".join(["[[site]]", *lines, ""])
