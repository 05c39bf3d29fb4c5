"""Confirmation by people: which hospitals' keys this site has compared over another channel.

An authority that is wrong, robbed or leaned on can seat keys of its own on the roster under hospitals' names,
and a sum among such seats and one victim hides nothing. So a site counts every entity that its own people
have not confirmed as if it colluded: that many are in c, or the site does not take part.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator

from fedvalue.errors import EntitiesUnconfirmed, IdentityKeyDiffers, RosterMismatch
from fedvalue.study.roster import Roster, entity_name

DIGITS = 32
"""Hexadecimal digits that people compare: 128 bits, so that nobody finds another key with the same ones."""


def spoken(public_key: str) -> str:
    """Return the digits that two people compare for an identity key, in eight groups of four.

    The first four groups are the short fingerprint that `fedvalue.study.signature.fingerprint` gives.

    Args:
      public_key: Raw Ed25519 key, 64 hexadecimal digits.
    """
    digits = hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:DIGITS]
    return " ".join(digits[at : at + 4] for at in range(0, DIGITS, 4))


def _grouped(text: str) -> str:
    digits = re.sub(r"[\s:-]", "", text).casefold()
    if re.fullmatch(rf"[0-9a-f]{{{DIGITS}}}", digits) is None:
        raise ValueError(f"a fingerprint is {DIGITS} hexadecimal digits, all of them compared")
    return " ".join(digits[at : at + 4] for at in range(0, DIGITS, 4))


Fingerprint = Annotated[str, AfterValidator(_grouped)]
"""A fingerprint as people write it down, in any grouping and case; kept in eight groups of four."""

Confirmed = Mapping[str, str] | Literal["all"]
"""Fingerprint by legal entity; ``all`` confirms whoever is on the roster: simulations and tests only."""


def require_confirmed(roster: Roster, confirmed: Confirmed, colluding: int, *, own: str) -> tuple[str, ...]:
    """Refuse a roster on which more entities are unconfirmed than are assumed to collude.

    Args:
      roster: The roster.
      confirmed: What this site's policy says that its people have compared.
      colluding: c.
      own: This site's id; its own entity needs no confirmation.

    Returns:
      The entities that are not confirmed, in the order of site ids; at most c.

    Raises:
      EntitiesUnconfirmed: there are more than c, or ``confirmed`` names an entity twice or without digits.
      IdentityKeyDiffers: the roster holds another key than the one that was confirmed for an entity.
      RosterMismatch: the roster does not hold this site.
    """
    if roster.get(own) is None:
        raise RosterMismatch(f"the roster does not hold {own}", where="roster", do="ask the authority")
    if confirmed == "all":
        return ()
    known = _read(confirmed)
    missing = []
    for site in sorted(roster.site, key=lambda site: site.id):
        said = known.get(entity_name(site.entity))
        if said is not None and said != spoken(site.public_key):
            raise IdentityKeyDiffers(
                f"{site.entity} is on the roster with another key than the one confirmed here",
                where=site.id,
                do="ask the hospital itself, over a channel of your own, whether it has a new key",
            )
        if said is None and site.id != own:
            missing.append(site.entity)
    if len(missing) > colluding:
        raise EntitiesUnconfirmed(
            f"{len(missing)} entities of the roster are not confirmed here, and c = {colluding}: "
            + "; ".join(missing),
            where="policy.toml confirmed",
            do="compare fingerprints with them over a channel of your own, or study with a larger c",
        )
    return tuple(missing)


def _read(confirmed: Mapping[str, str]) -> dict[str, str]:
    """Return fingerprints by the form in which entities are compared."""
    known: dict[str, str] = {}
    for entity, digits in confirmed.items():
        where = f"policy.toml confirmed, {entity}"
        if entity_name(entity) in known:
            raise EntitiesUnconfirmed(
                "the entity is named twice", where=where, do="keep the fingerprint of its present key"
            )
        try:
            known[entity_name(entity)] = _grouped(digits)
        except ValueError as error:
            raise EntitiesUnconfirmed(str(error), where=where, do="compare again") from error
    return known
