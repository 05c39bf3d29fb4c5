"""Pseudonyms of patients: what the store knows them by, made of the hospital's own ids under a site's secret.

A pseudonym is HMAC-SHA256 (RFC 2104) of the id, its first 72 bits in the alphabet of RFC 4648 section 5:
twelve characters, which DuckDB holds in place. Two patients of a million share one with probability 1e-10,
and a load that sees it refuses. Without the secret nobody can go back, or try ids out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

import duckdb

from fedvalue.errors import SourceUnreadable

_BYTES = 9
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Makes pseudonyms under one secret.

    Attributes:
      secret: At least 16 bytes; stays at the site.
    """

    secret: bytes = field(repr=False)

    def of(self, local_id: str) -> str:
        """Return the pseudonym of a patient, 12 characters."""
        made = hmac.digest(self.secret, local_id.encode(), "sha256")[:_BYTES]
        return base64.urlsafe_b64encode(made).decode()

    def mark(self) -> str:
        """Return 16 hexadecimal digits that tell one secret from another, and nothing else of it."""
        return hmac.digest(self.secret, b"\0which secret", "sha256").hex()[:16]

    def write(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        """Put pseudonyms into the column ``patient_id`` of a table, where local ids stand in ``local_id``.

        Raises:
          SourceUnreadable: two patients would have the same one.
        """
        key = self.secret if len(self.secret) <= _BLOCK else hashlib.sha256(self.secret).digest()
        padded = key.ljust(_BLOCK, b"\0")
        inner, outer = (bytes(one ^ pad for one in padded) for pad in (0x36, 0x5C))
        digest = "unhex(sha256($outer || unhex(sha256($inner || encode(local_id)))))"
        # the first 12 characters of base64 are its first 9 bytes
        connection.execute(
            f"UPDATE {table} SET patient_id = translate(left(to_base64({digest}), 12), '+/', '-_')",  # noqa: S608 (own names)
            {"inner": inner, "outer": outer},
        )
        same = connection.execute(f"SELECT count(*) - count(DISTINCT patient_id) FROM {table}").fetchone()  # noqa: S608 (own name)
        if same is not None and same[0]:
            raise SourceUnreadable(
                "two patients have the same pseudonym under this site's secret",
                where="the table of patients",
                do="make a new site home; its secret is another one",
            )
