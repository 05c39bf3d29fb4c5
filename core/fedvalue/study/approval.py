"""An officer's approval: it binds to the exact study, roster, thresholds and policy, and to nothing else."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from fedvalue.errors import SignatureInvalid
from fedvalue.study import signature
from fedvalue.study.model import Part
from fedvalue.study.signature import Signature

CLEAR_SUM = "clear_sum"
"""Approved although the coordinator sees each site's noised share."""

NO_NOISE = "no_noise"
"""Approved although there is no noise: simulations and tests only."""

SIMULATION = "simulation"
"""Approved at a site that was made for a simulation: its evidence can never pass for real."""


SECOND = "second"
"""Role of the second signature."""


class Approval(Part):
    """What one hospital's officer signed.

    Attributes:
      site: Site id.
      study_hash: SHA-256 of the study's canonical form.
      roster_hash: SHA-256 of the roster's canonical form.
      sites: n, legal entities on the roster.
      answers: t, how many must answer.
      colluding: c.
      policy_hash: SHA-256 of the site's policy on that day.
      unsafe: What was approved although it lowers protection: ``clear_sum``, ``no_noise``, ``simulation``.
      day: Day of the approval.
      until: Last day on which the site answers under it; None: the study's last.
      dictionary: Digest of the names and types of the columns that the study's trainings read at this site;
        None where it trains nothing.
      signature: The officer's signature over all of it.
      second: A second person's signature over the same, where the site's policy asks for four eyes.
    """

    site: str
    study_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    roster_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    sites: int
    answers: int
    colluding: int
    policy_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    unsafe: tuple[str, ...] = Field(default=(), strict=False)
    day: date
    until: date | None = Field(default=None, exclude_if=lambda value: value is None)
    dictionary: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", exclude_if=lambda value: value is None
    )
    signature: Signature | None = None
    second: Signature | None = Field(default=None, exclude_if=lambda value: value is None)

    def content(self) -> dict[str, object]:
        """Return what is signed."""
        return self.model_dump(mode="json", exclude={"signature", "second"})

    def signed(self, officer: Ed25519PrivateKey) -> Approval:
        """Return the approval with the officer's signature."""
        return self.model_copy(update={"signature": signature.sign(self.content(), officer, "officer")})

    def verify(self, *, where: str, officer_key: str) -> None:
        """Check that the officer signed this.

        Raises:
          SignatureInvalid: unsigned, changed, or signed by somebody else.
        """
        if self.signature is None or self.signature.role != "officer":
            raise SignatureInvalid("the approval is not signed by an officer", where=where)
        signature.verify(self.content(), self.signature, where=where, public_key=officer_key)

    def seconded(self, key: Ed25519PrivateKey) -> Approval:
        """Return the approval with a second person's signature."""
        return self.model_copy(update={"second": signature.sign(self.content(), key, SECOND)})

    def require_second(self, keys: Collection[str], *, where: str) -> None:
        """Check that a second person signed this, who is not the officer.

        Args:
          keys: Public keys of those who may.
          where: Names the approval in the error.

        Raises:
          SignatureInvalid: nobody did, or somebody who may not, or the officer did it twice.
        """
        if self.second is None or self.second.role != SECOND:
            raise SignatureInvalid("no second person has signed the approval", where=where)
        officer = "" if self.signature is None else self.signature.public_key
        if self.second.public_key not in keys or self.second.public_key == officer:
            raise SignatureInvalid("the second signature is by somebody who may not give it", where=where)
        signature.verify(self.content(), self.second, where=where)
