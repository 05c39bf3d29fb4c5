"""An officer's approval: it binds to the exact study, roster, thresholds and policy, and to nothing else."""

from __future__ import annotations

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
      signature: The officer's signature over all of it.
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
    signature: Signature | None = None

    def content(self) -> dict[str, object]:
        """Return what is signed."""
        return self.model_dump(mode="json", exclude={"signature"})

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
