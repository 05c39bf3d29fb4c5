"""The signature beside a payer's statement: whose books these are, before a decision rests on them.

``held.yaml.sig`` is beside ``held.yaml`` and signs the SHA-256 of its bytes. Without the payer's public key
to compare with, it says that nothing was changed since somebody signed; with it, who that was.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from fedvalue.errors import PaymentError, SignatureInvalid
from fedvalue.evidence import documents
from fedvalue.payment.held import Held, parse
from fedvalue.study import signature
from fedvalue.study.model import Line, Part
from fedvalue.study.signature import Signature

ROLE = "payer"
ENDING = ".sig"


class HeldSignature(Part):
    """Who signed a statement.

    Attributes:
      site: The payer's site, or the name of who signed.
      signature: Over the SHA-256 of the file and ``site``.
    """

    site: Line
    signature: Signature


def signature_file(path: Path) -> Path:
    """Return where the signature of a statement stands."""
    return path.with_name(f"{path.name}{ENDING}")


def signed(raw: bytes, key: Ed25519PrivateKey, site: str) -> bytes:
    """Return the signature of a statement as its file holds it.

    Args:
      raw: The bytes of the statement.
      key: The payer's.
      site: The payer's site, or the name of who signs.
    """
    made = HeldSignature(site=site, signature=signature.sign(_content(raw, site), key, ROLE))
    return json.dumps(made.model_dump(mode="json")).encode()


def read_signed(path: Path, *, public_key: str | None = None, unsafe_unsigned: bool = False) -> Held:
    """Read a statement after checking that it is signed.

    Args:
      path: The statement; its signature is beside it.
      public_key: The payer's key, 64 hexadecimal digits, if it is known.
      unsafe_unsigned: Take a statement that has no signature. One that has it is checked all the same.

    Raises:
      PaymentError: it cannot be read, is no statement, or has no signature.
      SignatureInvalid: it was changed after it was signed, or another key signed it.
    """
    raw, place = documents.read_bytes(path, PaymentError), signature_file(path)
    if not place.exists():
        if unsafe_unsigned and public_key is None:
            return parse(raw, where=str(path))
        raise PaymentError(
            "the payer's figures are not signed", where=str(path),
            do="put their signature beside them, or sign them with `fedvalue payment sign-held`",
        )  # fmt: skip
    try:
        found = HeldSignature.model_validate_json(documents.read_bytes(place, PaymentError))
    except ValidationError as failure:
        raise SignatureInvalid(
            "this is no signature of a payer's figures", where=str(place), do="sign them again"
        ) from failure
    if found.signature.role != ROLE:
        raise SignatureInvalid("the figures were not signed in the payer's role", where=str(place))
    signature.verify(_content(raw, found.site), found.signature, where=str(path), public_key=public_key)
    return parse(raw, where=str(path))


def _content(raw: bytes, site: str) -> dict[str, str]:
    return {"statement": hashlib.sha256(raw).hexdigest(), "site": site}
