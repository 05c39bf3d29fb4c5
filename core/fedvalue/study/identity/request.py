"""What a site sends to the authority when it asks for a certificate: its card, signed by its own key."""

from __future__ import annotations

from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import model_validator

from fedvalue.errors import CertificateInvalid, IdentityKeyDiffers, SignatureInvalid
from fedvalue.study import signature
from fedvalue.study.identity.names import MAX_NAME
from fedvalue.study.identity.sound_key import require_sound_key
from fedvalue.study.model import Part, one_line
from fedvalue.study.roster import Site, entity_name
from fedvalue.study.signature import Signature, public_hex

ROLE = "certificate_request"


class CertificateRequest(Part):
    """A site's card, signed with the key that it names: nobody can ask for a certificate of another's key.

    Attributes:
      site: Public key, id, legal entity, operator and officer key.
      signature: By the site's own key.
    """

    site: Site
    signature: Signature

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
        if self.signature.role != ROLE:
            raise IdentityKeyDiffers("the signature is for another purpose", where=where)
        try:
            signature.verify(
                _content(self.site), self.signature, where=where, public_key=self.site.public_key
            )
        except SignatureInvalid as error:
            raise IdentityKeyDiffers(
                "the request is not signed by the key that it names",
                where=where,
                do="have the site ask again",
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
        except ValueError as error:
            raise CertificateInvalid(f"{what}: {error}", where=site.id, do="mend the card") from error
        if not entity_name(name) or len(name) > MAX_NAME or name != " ".join(name.split()):
            raise CertificateInvalid(
                f"{what}: a name is 1 to {MAX_NAME} characters, with single spaces and none at its ends",
                where=site.id,
                do="mend the card",
            )


def _content(site: Site) -> dict[str, object]:
    return site.model_dump(mode="json", exclude_none=True)
