"""What an ethics board, a data officer and a regulator ask of a study."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedvalue.errors import GovernanceIncomplete
from fedvalue.study.model import Part


class LegalBasis(Part):
    """On what ground each party processes data."""

    hospital: str | None = None
    payer: str | None = None


class Ethics(Part):
    """An ethics board's approval.

    Attributes:
      site: Site id, or ``*`` for every site.
      approval: Number of the approval.
      consent: How patients consented.
    """

    site: str
    approval: str
    consent: Literal["waived", "broad", "specific"]


class GeneticResources(Part):
    """Filings for human genetic resources (China, State Council Order 717, in force 1 July 2019)."""

    report: str | None = None
    backup: str | None = None


class Governance(Part):
    """Governance block of a study; which lines are required follows from ``profile``.

    Attributes:
      profile: ``none`` is for simulations only; a real site refuses it.
    """

    profile: Literal["none", "cn", "eu", "us"]
    purpose: str | None = None
    legal_basis: LegalBasis = LegalBasis()
    ethics: tuple[Ethics, ...] = Field(default=(), strict=False)
    registration: str | None = None
    impact_assessment: str | None = None
    data_use_agreement: str | None = None
    accountable_officer: str | None = None
    retention: str | None = None
    server_location: str | None = None
    foreign_recipients: bool | None = None
    genetic_resources: GeneticResources = GeneticResources()

    def missing(self) -> tuple[str, ...]:
        """Return the keys that this profile requires and the study lacks, in the file's order."""
        given = self.model_dump()
        return tuple(key for key in _REQUIRED[self.profile] if not _present(given, key))

    def require_complete(self) -> None:
        """Refuse an incomplete block.

        Raises:
          GovernanceIncomplete: names every missing line.
        """
        if absent := self.missing():
            raise GovernanceIncomplete(
                f"the governance profile '{self.profile}' asks for {', '.join(absent)}",
                where="[governance]",
                do="fill these lines in, or use profile = 'none' for a simulation",
            )


_COMMON = (
    "purpose",
    "legal_basis.hospital",
    "legal_basis.payer",
    "ethics",
    "data_use_agreement",
    "accountable_officer",
    "retention",
    "server_location",
)
_REQUIRED: dict[str, tuple[str, ...]] = {
    "none": (),
    "cn": (*_COMMON, "registration", "impact_assessment", "foreign_recipients", "genetic_resources.report"),
    "eu": (*_COMMON, "impact_assessment", "foreign_recipients"),
    "us": _COMMON,
}


def _present(given: dict[str, object], key: str) -> bool:
    value: object = given
    for step in key.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value is not None and value not in ("", (), [])
