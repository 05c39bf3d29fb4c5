"""Who takes part in a private sum: legal entities of the signed roster, never who happens to be online."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedvalue.errors import EntityRepeated, KeyRepeated, SiteNotOnRoster, SiteRepeated
from fedvalue.secure_sum.thresholds import Thresholds, thresholds


@dataclass(frozen=True, slots=True)
class Member:
    """One site.

    Attributes:
      site: Site id.
      entity: Legal entity; the thresholds count entities.
      public_key: Raw identity key, as the crypto suite reads it.
    """

    site: str
    entity: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Membership:
    """The roster as the private sum needs it; each site makes its own from what its officer approved.

    Attributes:
      roster_hash: SHA-256 of the roster, 64 hexadecimal digits.
      members: One site a legal entity, in the order of their ids.
      thresholds: n, c, f, t, m.
    """

    roster_hash: str
    members: tuple[Member, ...]
    thresholds: Thresholds
    _by_site: Mapping[str, Member] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a roster on which somebody stands twice, and thresholds that do not hold.

        Raises:
          EntityRepeated: two sites of one legal entity.
          SiteRepeated: one id twice.
          KeyRepeated: one identity key twice.
          TooFewSites: the thresholds do not protect.
        """
        object.__setattr__(self, "members", tuple(sorted(self.members, key=lambda member: member.site)))
        object.__setattr__(self, "_by_site", {member.site: member for member in self.members})
        for kind, values in (
            (SiteRepeated, [member.site for member in self.members]),
            (EntityRepeated, [" ".join(member.entity.split()).casefold() for member in self.members]),
            (KeyRepeated, [member.public_key.hex() for member in self.members]),
        ):
            if len(set(values)) < len(values):
                raise kind("it stands on the roster twice", do="have the authority mend the roster")
        thresholds(len(self.members), colluding=self.thresholds.colluding, dropouts=self.thresholds.dropouts)
        if self.thresholds.sites != len(self.members):
            raise SiteNotOnRoster("the thresholds are of another roster", do="plan again on this roster")

    def require(self, site: str) -> Member:
        """Return a member.

        Raises:
          SiteNotOnRoster: there is no such site.
        """
        found = self._by_site.get(site)
        if found is None:
            raise SiteNotOnRoster("the roster holds no such site", where=site[:40])
        return found

    def points(self) -> dict[str, int]:
        """Return each site's number in Shamir's sharing, from 1 in the order of ids."""
        return {member.site: number for number, member in enumerate(self.members, 1)}
