"""Give a document its identity and signatures, and check both.

The identity is made from the content, so a changed document has another name. Evidence, decisions and
proposals are sealed alike.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from fedvalue.analyses.estimate import Value
from fedvalue.errors import EvidenceError, StudyError
from fedvalue.evidence import documents
from fedvalue.evidence.package import FORMAT, EvidenceBody, EvidencePackage
from fedvalue.study import file as study_file
from fedvalue.study.schema import Study
from fedvalue.study.signature import Signature, sign, verify

SIGNATURES = frozenset({"signatures"})


@dataclass(frozen=True, slots=True)
class Seal:
    """How one kind of document is named.

    Attributes:
      key: The key that holds the identity.
      prefix: What the identity begins with.
      role: In what capacity its first signature is made.
    """

    key: str
    prefix: str
    role: str


SEALS = {
    FORMAT: Seal("evidence_id", "ev-", "coordinator"),
    "fedvalue.decision/1": Seal("decision_id", "de-", "payer"),
    "fedvalue.proposal/1": Seal("proposal_id", "pr-", "payer"),
    "fedvalue.model/1": Seal("model_id", "mo-", "coordinator"),
}


def identity(body: dict[str, Any]) -> str:
    """Return the identity of a document's body: prefix and 32 hexadecimal digits of its SHA-256."""
    return SEALS[body["format"]].prefix + hashlib.sha256(rfc8785.dumps(body)).hexdigest()[:32]


def sealed_fields(body: Value, key: Ed25519PrivateKey | None) -> dict[str, Any]:
    """Return the fields that make a sealed document of ``body``: its identity and signatures.

    Args:
      body: The document without them.
      key: Signs in the capacity that the kind of document asks for; None leaves it unsigned.
    """
    content = documents.content(body)
    seal = SEALS[content["format"]]
    content[seal.key] = identity(content)
    signatures = () if key is None else (sign(content, key, seal.role),)
    return {seal.key: content[seal.key], "signatures": signatures}


def check_sealed(document: dict[str, Any], *, where: str, public_key: str | None = None) -> None:
    """Check a sealed document's identity and every signature on it.

    Args:
      document: The document as JSON values.
      where: Names it in errors.
      public_key: The key of which one signature must be, if that is known.

    Raises:
      EvidenceError: the identity is not that of the content, or the document is not signed.
      SignatureInvalid: a signature does not match.
    """
    seal = SEALS.get(str(document.get("format")))
    if seal is None:
        raise EvidenceError(
            f"unknown format {document.get('format')!r}", where=where, do=f"one of {sorted(SEALS)}"
        )
    content = {key: value for key, value in document.items() if key != "signatures"}
    body = {key: value for key, value in content.items() if key != seal.key}
    if content.get(seal.key) != identity(body):
        raise EvidenceError(
            f"{seal.key} is not that of the content",
            where=where,
            do="the document was changed after it was sealed; ask for the original",
        )
    try:
        signatures = [Signature.model_validate(item) for item in document.get("signatures", ())]
    except (ValidationError, TypeError) as error:
        raise EvidenceError("a signature is not in the form of one", where=where) from error
    if seal.role not in {signature.role for signature in signatures}:
        raise EvidenceError(
            f"not signed by a {seal.role}", where=where, do="only a signed document proves anything"
        )
    for signature in signatures:
        verify(content, signature, where=where)
    if public_key is not None and public_key not in {signature.public_key for signature in signatures}:
        raise EvidenceError("signed by another key than expected", where=where)


def seal(body: EvidenceBody, key: Ed25519PrivateKey) -> EvidencePackage:
    """Make a signed package of its body; ``key`` is the coordinator's.

    Raises:
      EvidenceError: the embedded study is not one, or has another hash than the package says.
    """
    embedded_study(body)
    fields = {name: getattr(body, name) for name in EvidenceBody.model_fields}
    return EvidencePackage(**fields, **sealed_fields(body, key))


def check(package: EvidencePackage, *, coordinator_key: str | None = None) -> None:
    """Check a package's identity, signatures and embedded study.

    Raises:
      EvidenceError: the identity or the study does not match.
      SignatureInvalid: a signature does not match.
    """
    check_sealed(documents.content(package), where=package.evidence_id, public_key=coordinator_key)
    embedded_study(package)


def embedded_study(package: EvidenceBody) -> Study:
    """Return the study that a package holds.

    Raises:
      EvidenceError: it is no study, or its id or hash is not the package's.
    """
    where = f"study of {package.study_id}"
    try:
        raw = rfc8785.dumps(package.study)
        study = study_file.from_canonical(raw, where=where)
    except StudyError as error:
        raise EvidenceError(f"the embedded study cannot be read: {error.what}", where=where) from error
    except ValueError as error:
        raise EvidenceError("the embedded study has no canonical form", where=where) from error
    if hashlib.sha256(raw).hexdigest() != package.study_hash or study.study.id != package.study_id:
        raise EvidenceError("the embedded study has another hash or id than the package says", where=where)
    return study


def load(path: Path) -> EvidencePackage:
    """Read a package; nothing of it is believed before `check`.

    Raises:
      EvidenceError: unreadable or not a package.
    """
    return documents.parse(EvidencePackage, documents.read_bytes(path), where=str(path))
