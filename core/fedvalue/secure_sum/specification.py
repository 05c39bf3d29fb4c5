"""What one round asks, as each site computes it from its own approved study.

The coordinator sends the same specification, but chooses nothing in it that a site could not check:
the site makes its own and compares every field.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace

from fedvalue.errors import SpecificationDiffers
from fedvalue.secure_sum.encoding import encode

RING_BITS = 64
MAX_ROUNDS = 64
"""R, the most rounds of one epoch."""


@dataclass(frozen=True, slots=True)
class EpochSettings:
    """What keys are made for.

    Attributes:
      suite: Name of the crypto suite.
      epoch: 32 hexadecimal digits, drawn by the coordinator, never used twice.
      study_hash: SHA-256 of the study, 64 hexadecimal digits.
      roster_hash: SHA-256 of the roster, 64 hexadecimal digits.
      sites: n.
      answers: t.
      colluding: c.
      rounds: R, 1 to 64.
    """

    suite: str
    epoch: str
    study_hash: str
    roster_hash: str
    sites: int
    answers: int
    colluding: int
    rounds: int

    def canonical(self) -> bytes:
        """Return the bytes that stand under every signature of the epoch."""
        return encode("epoch", [getattr(self, field.name) for field in fields(self)])


@dataclass(frozen=True, slots=True)
class BlockTerms:
    """One block of a release; numbers that may be large or fractions are text.

    Attributes:
      name: Full name.
      dimension: Coordinates.
      bound_squared: One patient's squared L2 bound ``c_a^2``.
      rho_units: Price in 2^-40 zCDP.
      gamma: Quantisation scale.
    """

    name: str
    dimension: int
    bound_squared: str
    rho_units: str
    gamma: str


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """One release of an approved plan.

    Attributes:
      label: Its label in the plan.
      analyses: Labels of the analyses that ask.
      query: SHA-256 of everything else that fixes it: the plan's specification, or a model.
      dimension: d, coordinates of the vector.
      log2_scale: s, each site's noise has scale ``2^s``.
      exact: True for a sum without noise (`Unsafe`).
      blocks: Its blocks in the order of coordinates.
      public_bytes: Length of the public numbers that travel with it, covered by ``query``.
    """

    label: str
    analyses: tuple[str, ...]
    query: str
    dimension: int
    log2_scale: int
    exact: bool
    blocks: tuple[BlockTerms, ...]
    public_bytes: int = 0

    def asked(self, public: bytes) -> ReleaseTerms:
        """Return the terms with public numbers, which enter its ``query``.

        Raises:
          SpecificationDiffers: they have another length.
        """
        if len(public) != self.public_bytes:
            raise SpecificationDiffers("the release takes other public numbers", where=self.label)
        return replace(self, query=query_with(self.query, public))


@dataclass(frozen=True, slots=True)
class RoundSpecification:
    """One round.

    Attributes:
      settings: Of its epoch.
      number: r, from 1 to R.
      attempt: Which attempt at the release, from 1.
      release: What is asked.
      members: U2, the sites that hold each other's shares, in the order of ids.
      ring_bits: 64.
      public: Public numbers of the release; ``release.query`` covers them.
    """

    settings: EpochSettings
    number: int
    attempt: int
    release: ReleaseTerms
    members: tuple[str, ...]
    ring_bits: int = RING_BITS
    public: bytes = b""

    def canonical(self) -> bytes:
        """Return the bytes that enter the question hash."""
        asked = self.release
        return encode(
            "round",
            self.settings.canonical(),
            [self.number, self.attempt, self.ring_bits],
            [asked.label, asked.analyses, asked.query, asked.dimension, asked.log2_scale, int(asked.exact)],
            [[b.name, b.dimension, b.bound_squared, b.rho_units, b.gamma] for b in asked.blocks],
            self.members,
        )

    def require_equal(self, shown: RoundSpecification) -> None:
        """Refuse what the coordinator shows unless it is this, field by field.

        Raises:
          SpecificationDiffers: the first field that differs is named, for the site's own log.
        """
        for mine, theirs in ((self.settings, shown.settings), (self.release, shown.release), (self, shown)):
            for field in fields(mine):
                if getattr(mine, field.name) != getattr(theirs, field.name):
                    raise SpecificationDiffers(
                        "the coordinator asks another round than this site computes",
                        where=field.name,
                        do="compare the coordinator's study, roster and version with the approved ones",
                    )


def query_with(query: str, public: bytes) -> str:
    """Return what fixes a release with its public numbers, 64 hexadecimal digits; ``query`` without any."""
    if not public:
        return query
    return hashlib.sha256(bytes.fromhex(query) + hashlib.sha256(public).digest()).hexdigest()
