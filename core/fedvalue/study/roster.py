"""The roster: which hospitals take part, and by which key each is known."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Self

import rfc8785
from pydantic import Field, model_validator

from fedvalue.errors import StudyInvalid
from fedvalue.secure_sum.thresholds import Thresholds, thresholds
from fedvalue.study.model import Part
from fedvalue.study.schema import Federation
from fedvalue.study.toml import load_toml, quoted

SITE_ID = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"


class Site(Part):
    """One hospital of the roster.

    Attributes:
      id: Short name, used in folders and reports.
      entity: Legal entity; the thresholds count entities.
      operator: Who runs its machines.
      public_key: Raw Ed25519 identity key, 64 hexadecimal digits.
      officer_key: Raw Ed25519 key of the officer who approves studies there, 64 hexadecimal digits.
    """

    id: str = Field(pattern=SITE_ID)
    entity: str = Field(min_length=1)
    operator: str = Field(min_length=1)
    public_key: str = Field(pattern=r"^[0-9a-f]{64}$")
    officer_key: str = Field(pattern=r"^[0-9a-f]{64}$")


class Roster(Part):
    """The sites of a federation, one legal entity each."""

    site: tuple[Site, ...] = Field(strict=False, min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for what in ("id", "entity", "public_key"):
            values = [getattr(site, what) for site in self.site]
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"{what} {twice[0]!r} is on the roster twice")
        return self

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
        sites = sorted((site.model_dump(mode="json") for site in self.site), key=lambda s: str(s["id"]))
        return hashlib.sha256(rfc8785.dumps({"site": sites})).hexdigest()


def load_roster(path: Path) -> Roster:
    """Read a roster file (TOML, one ``[[site]]`` table a hospital).

    Raises:
      StudyInvalid: unreadable, not TOML, an unknown key, or a site, entity or key twice.
    """
    return load_toml(
        path,
        Roster,
        failure=StudyInvalid,
        what="the roster",
        do="join the hospitals' cards (`fedvalue site card`) into one file",
    )


def card(site: Site) -> str:
    """Return a site's entry of the roster file as TOML; a roster is such cards one after the other."""
    lines = [f"{key} = {quoted(str(value))}" for key, value in site.model_dump().items()]
    return "\n".join(["[[site]]", *lines, ""])
