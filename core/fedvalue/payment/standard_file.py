"""Read a payment standard from its YAML file, and tell its versions apart.

Values that were approved on evidence are appended at the file's end, so every earlier state of the file is
a beginning of it and every earlier answer can be computed again. The file's SHA-256 is the version that
decisions name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from fedvalue.errors import PaymentError
from fedvalue.evidence import documents
from fedvalue.payment.parameters import load_yaml
from fedvalue.payment.refusals import refused
from fedvalue.payment.standard import Standard


@dataclass(frozen=True, slots=True)
class StandardFile:
    """A validated standard and the bytes it was read from.

    Attributes:
      standard: The standard.
      raw: The file.
    """

    standard: Standard
    raw: bytes

    @property
    def version(self) -> str:
        """SHA-256 of the file, 64 hexadecimal digits; decisions name it."""
        return hashlib.sha256(self.raw).hexdigest()

    def at_version(self, version: str) -> StandardFile:
        """Return this file as it was when it had ``version``.

        Raises:
          PaymentError: it never had, or what it then held was edited since.
        """
        earlier = documents.prefix_with_digest(self.raw, version)
        if earlier is None:
            raise PaymentError(
                f"the standard never had the version {version[:16]}",
                where=self.standard.name,
                do="history is added, not edited: find the file that the decision was made with",
            )
        return parse(earlier, where=f"{self.standard.name} at version {version[:16]}")


def parse(raw: bytes, *, where: str) -> StandardFile:
    """Validate the bytes of a standard's file; ``where`` names them in errors.

    Raises:
      PaymentError: not strict YAML, an unknown or missing key, a value without source, dates out of order,
        a binary number as amount, a purpose other than ``set``, or an approval that does not follow on
        what stands before it.
    """
    document = load_yaml(raw, where=where)
    if document.get("purpose") == "settle":
        raise PaymentError(
            "purpose = settle is no business of an estimate",
            where=where,
            do="settle on the institution's own exact, signed figures; use purpose: set for a standard",
        )
    try:
        standard = Standard.model_validate(document)
    except ValidationError as error:
        raise refused(error, where=where, do="see docs/payment.md for every key") from None
    before = -1
    for approval in standard.approved:
        state = documents.prefix_with_digest(raw, approval.previous)
        if state is None or len(state) <= before:
            raise PaymentError(
                f"what stands before {approval.proposal_id} was edited after it was approved",
                where=where,
                do="history is added, not edited: restore the file and append a new value",
            )
        before = len(state)
    return StandardFile(standard, raw)


def read(name: str, folder: Path | None = None) -> StandardFile:
    """Read the standard ``name``.

    Args:
      name: Such as ``lung/egfr_tki_outcome_linked``.
      folder: Folder of standards; None reads the examples that come with FedValue.

    Raises:
      PaymentError: no such file, not a valid standard, or one of another name.
    """
    if not all(part.isidentifier() or part.isalnum() for part in name.split("/")):
        raise PaymentError(
            f"{name!r} is no name of a standard", do="write it like lung/egfr_tki_outcome_linked"
        )
    where = f"{folder or 'standards that come with fedvalue'}: {name}.yaml"
    if folder is None:
        shipped = resources.files("fedvalue.payment").joinpath("standards", *f"{name}.yaml".split("/"))
        if not shipped.is_file():
            raise PaymentError(
                "there is no such standard", where=where, do="give the folder of your standards"
            )
        raw = shipped.read_bytes()
    else:
        raw = documents.read_bytes(folder / f"{name}.yaml", PaymentError)
    found = parse(raw, where=where)
    if found.standard.name != name:
        raise PaymentError(f"the file holds the standard {found.standard.name!r}", where=where)
    return found
