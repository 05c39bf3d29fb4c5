"""What a site sends to the authority when it asks for a certificate: its card, signed by its own key."""

from __future__ import annotations

import re
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, model_validator

from fedvalue.errors import CertificateInvalid, IdentityKeyDiffers, KeyWeak, SignatureInvalid
from fedvalue.study import signature
from fedvalue.study.identity.names import MAX_NAME
from fedvalue.study.model import Part, one_line
from fedvalue.study.roster import Site, entity_name
from fedvalue.study.signature import Signature, public_hex

ROLE = "certificate_request"

_PRIME = 2**255 - 19
_D = -121665 * pow(121666, -1, _PRIME) % _PRIME
_ORDER_8 = (
    2707385501144840649318225287225658788936804267575313519463743609750303021510,
    55188659117513257062467267217118295137698188065244968500265048394206261417927,
)
_LOW_ORDER = frozenset({0, 1, _PRIME - 1, *_ORDER_8})
"""The y of every point of order 1, 2, 4 or 8 of edwards25519 (RFC 8032, section 5.1)."""

_HEX = re.compile(r"[0-9a-f]{64}")


class CertificateRequest(Part):
    """A site's card, signed with the key that it names: nobody can ask for a certificate of another's key.

    Attributes:
      site: Public key, id, legal entity, operator and officer key.
      signature: By the site's own key.
    """

    site: Site
    signature: Signature = Field()

    @model_validator(mode="after")
    def _card_only(self) -> Self:
        if self.site.certified:
            raise ValueError("a request names no certificate")
        return self

    @classmethod
    def signed(cls, site: Site, key: Ed25519PrivateKey) -> CertificateRequest:
        """Return a site's request.

        Raises:
          IdentityKeyDiffers: the card is of another key.
        """
        if public_hex(key) != site.public_key:
            raise IdentityKeyDiffers("the card is of another key", where=site.id, do="make the card again")
        return cls(site=site.card(), signature=signature.sign(_content(site.card()), key, ROLE))

    def verify(self) -> None:
        """Check that whoever asks holds the key, and that the names can stand in a certificate.

        Raises:
          IdentityKeyDiffers: signed by another key than the one asked for, or changed afterwards.
          CertificateInvalid: a name is empty, too long, or holds characters that hide.
          KeyWeak: the key is of low order or not canonical.
        """
        where = f"request of {self.site.id}"
        require_sound_key(self.site.public_key, where=where)
        require_names(self.site)
        try:
            if self.signature.role != ROLE:
                raise SignatureInvalid("the signature is for another purpose", where=where)
            signature.verify(
                _content(self.site), self.signature, where=where, public_key=self.site.public_key
            )
        except SignatureInvalid as error:
            raise IdentityKeyDiffers(
                "the request is not signed by the key that it names", where=where, do="have the site ask again"
            ) from error


def require_names(site: Site) -> None:
    """Refuse names that cannot stand in a certificate, or that people cannot read as they are.

    Raises:
      CertificateInvalid: a name is empty, longer than 200 characters, or holds characters that hide.
    """
    for what in ("entity", "operator"):
        name = getattr(site, what)
        try:
            one_line(name)
            if not entity_name(name) or len(name) > MAX_NAME or name != " ".join(name.split()):
                raise ValueError("a name is 1 to 200 characters without spaces at its ends or doubled")
        except ValueError as error:
            raise CertificateInvalid(f"{what}: {error}", where=site.id, do="mend the card") from error


def require_sound_key(public_key: str, *, where: str) -> str:
    """Return an Ed25519 public key that only its holder signs for, and that has one spelling.

    Under a key of low order anybody's signature verifies; RFC 8032 decoding leaves both checks to the caller.

    Args:
      public_key: 64 hexadecimal digits.
      where: Names it in the error.

    Raises:
      KeyWeak: low order, not canonical, or no point of the curve.
    """
    encoded = int.from_bytes(bytes.fromhex(public_key), "little") if _HEX.fullmatch(public_key) else _PRIME
    y = encoded & ((1 << 255) - 1)
    u, v = (y * y - 1) % _PRIME, (_D * y * y + 1) % _PRIME
    # x^2 = u / v has a root iff u v is a square (Euler); v is never 0 on this curve.
    on_curve = pow(u * v, (_PRIME - 1) // 2, _PRIME) in (0, 1)
    if y >= _PRIME or y in _LOW_ORDER or not on_curve:
        raise KeyWeak(
            "the identity key is of low order, not canonical, or no key", where=where, do="make a new key"
        )
    return public_key


def _content(site: Site) -> dict[str, object]:
    return site.model_dump(mode="json", exclude_none=True)
