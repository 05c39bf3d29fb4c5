"""A ledger that goes on under a new site key: the one entry in which the old key hands over to the new.

The old key signs the entry, as any other; the new key signs what came before it. So whoever steals the old
key later cannot write another past, and whoever has only a new key cannot take over somebody's ledger.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from fedvalue.client.governance.entries import Entry
from fedvalue.errors import LedgerBroken, SignatureInvalid
from fedvalue.study import signature
from fedvalue.study.signature import Signature, public_hex

KIND = "rekeyed"
ROLE = "ledger_takeover"


def handover(number: int, previous: str, old: str, new: Ed25519PrivateKey) -> dict[str, Any]:
    """Return the body of the entry after which the ledger is signed by another key.

    Args:
      number: Of the entry.
      previous: Hash of the entry before, 64 hexadecimal digits.
      old: Public key that signs the entry, 64 hexadecimal digits.
      new: The key that signs what follows.
    """
    proof = signature.sign(_content(number, previous, old), new, ROLE)
    return {"kind": KIND, "old": old, "key": public_hex(new), "proof": proof.model_dump(mode="json")}


def signer_after(entry: Entry, signer: str) -> str:
    """Return the public key that signs what follows ``entry``, which ``signer`` has signed.

    Raises:
      LedgerBroken: a handover to a key that did not agree to what came before.
    """
    if entry.kind != KIND:
        return signer
    where = f"entry {entry.number}"
    try:
        new, proof = str(entry.body["key"]), Signature.model_validate(entry.body["proof"])
        signature.verify(_content(entry.number, entry.previous, signer), proof, where=where, public_key=new)
    except (KeyError, ValidationError, SignatureInvalid) as error:
        raise LedgerBroken("the new key did not take this ledger over", where=where) from error
    if proof.role != ROLE or entry.body["old"] != signer:
        raise LedgerBroken("the handover is of another ledger or key", where=where)
    return new


def _content(number: int, previous: str, old: str) -> dict[str, object]:
    return {"ledger_takeover": {"number": number, "previous": previous, "old": old}}
