"""The officer's note of which rows an approval froze; it never leaves the site."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.study.model import Part
from fedvalue.study.signature import Signature, sign

FROZEN = "frozen.json"
"""In the folder of an approved study."""


class FrozenNote(Part):
    """Which rows an approval froze. It stays at the site, because a digest of rows depends on patients.

    Attributes:
      study_hash: SHA-256 of the study.
      rows: SHA-256 over the frozen rows.
      signature: The officer's.
    """

    study_hash: str
    rows: str
    signature: Signature

    def content(self) -> dict[str, str]:
        """Return what the officer signed."""
        return {"study": self.study_hash, "rows": self.rows}

    @classmethod
    def signed(cls, study_hash: str, rows: str, officer: Ed25519PrivateKey) -> FrozenNote:
        """Return a note with the officer's signature."""
        signature = sign({"study": study_hash, "rows": rows}, officer, "officer")
        return cls(study_hash=study_hash, rows=rows, signature=signature)
