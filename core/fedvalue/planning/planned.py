"""One vector of the federation as it is planned: whose asks it joins, at which scales and price."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Analysis, Ask, Drawn, Learner, Scaling
from fedvalue.analyses.cohort import Cohort
from fedvalue.errors import MessageInvalid, PrivacyError
from fedvalue.planning.drawing import is_sampled
from fedvalue.privacy import sampled
from fedvalue.privacy.accounting import NOTHING, Price
from fedvalue.privacy.release import LOG2_SCALE, Block, Scales

PUBLIC_WORD = 8
"""Bytes of one public number, a little-endian float64."""

MOST_PUBLIC = 1e15
"""Largest public number; any that an analysis sends is far below."""

EXACT_GAMMA = Fraction(2**30)
"""Scale of every block under the `Unsafe` switch that turns noise off."""

UPDATE_GAMMA = Fraction(2**32)
"""Scale at which the updates of sites that take steps by themselves are added."""

LARGEST_UPDATE = 2**10
"""Where a site clamps each number of its update."""


@dataclass(frozen=True, slots=True)
class Part:
    """One analysis' ask inside a release.

    Attributes:
      analysis: The analysis.
      ask: Its ask.
    """

    analysis: Analysis
    ask: Ask


@dataclass(frozen=True, slots=True)
class PlannedRelease:
    """One vector of the federation.

    Attributes:
      label: ``release-1``, ``release-2``, ...
      parts: Asks in the order of their coordinates.
      blocks: Their blocks with prices; names are ``analysis label/ask label/block name``.
      scales: Exact integer scales.
      exact: True under the `Unsafe` switch that turns noise off.
      drawn: How patients enter by chance, in a release of its own; None where everybody does.
      sites_per_patient: k.
      step_gamma: Scale of one local step, where sites take steps by themselves.
    """

    label: str
    parts: tuple[Part, ...]
    blocks: tuple[Block, ...]
    scales: Scales
    exact: bool
    drawn: Drawn | None = None
    sites_per_patient: int = 1
    step_gamma: Fraction | None = None

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return sum(block.dimension for block in self.blocks)

    @property
    def public_size(self) -> int:
        """How many public numbers travel with the release."""
        return sum(part.ask.public_size for part in self.parts)

    def charged_units(self, *, clear_sum: bool) -> int:
        """Return what one attempt takes from each site's ledger, in 2^-40 zCDP.

        Against the coordinator, m honest shares of noise protect a private sum; in a clear sum (`Unsafe`) it
        is the site's own share alone.
        """
        if self.exact or self.sampled:
            return 0
        return self.scales.rho_units(1 if clear_sum else None)

    @property
    def sampled(self) -> bool:
        """True where the price is a curve over the ledger's orders and no rho."""
        return any(is_sampled(part.ask) for part in self.parts)

    @property
    def local(self) -> bool:
        """True where sites take steps by themselves, each with its own noise, and the sum adds none."""
        return self.drawn is not None and self.drawn.local

    def price(self, honest_shares: int | None = None) -> Price:
        """Return what one attempt costs.

        Args:
          honest_shares: How many shares of noise to count on; default the plan's m, 1 in a clear sum.
        """
        if self.exact:
            return NOTHING
        if self.drawn is None or not self.sampled:
            return Price.plain(self.scales.rho_units(honest_shares))
        k, m = self.sites_per_patient, self.scales.honest_shares if honest_shares is None else honest_shares
        if self.local:
            z2 = sampled.multiplier_squared(self.scales.charged_bound_squared, honest_shares=1)
            return sampled.times(sampled.curve(z2, self.drawn.rate), self.drawn.steps * k)
        z2 = sampled.multiplier_squared(self.scales.charged_bound_squared, honest_shares=m)
        return sampled.curve(z2, sampled.rate_over_sites(self.drawn.rate, k))

    def noise_variance(self, shares: int) -> float:
        """Return the variance of the noise in each coordinate of a sum of so many shares, in ring units."""
        return 0.0 if self.exact or self.local else shares * 4.0**LOG2_SCALE

    def require_public(self, public: bytes) -> None:
        """Check the public numbers that a coordinator sends along.

        Args:
          public: ``public_size`` little-endian float64.

        Raises:
          MessageInvalid: another length, or a number that is not finite or is past 1e15.
        """
        if len(public) != PUBLIC_WORD * self.public_size:
            raise MessageInvalid(f"{self.label} takes {self.public_size} public numbers")
        values = np.frombuffer(public, dtype="<f8")
        if not np.all(np.abs(values) <= MOST_PUBLIC):
            raise MessageInvalid("a public number is not finite or is too large")

    def asks(self, public: bytes = b"") -> tuple[tuple[Part, Ask], ...]:
        """Return each part with its ask, the public numbers filled in."""
        values, start, found = np.frombuffer(public, dtype="<f8").tolist(), 0, []
        for part in self.parts:
            size = part.ask.public_size
            found.append((part, part.ask.given(values[start : start + size])))
            start += size
        return tuple(found)

    def slices(self) -> dict[str, tuple[slice, Fraction]]:
        """Return for each block its coordinates and its gamma."""
        found, start = {}, 0
        for block, gamma in zip(self.blocks, self.scales.gammas, strict=True):
            found[block.name] = (slice(start, start + block.dimension), gamma)
            start += block.dimension
        return found

    def contribution(
        self, cohort: Cohort, public: bytes = b"", learner: Learner | None = None
    ) -> NDArray[np.int64]:
        """Site half of the whole release: the clipped integer sum of the site's patients, no noise yet.

        Args:
          cohort: The site's frozen rows.
          public: The release's public numbers, as in `require_public`.
          learner: What trains, where patients are drawn.

        Raises:
          MessageInvalid: see `require_public`.
          PrivacyError: patients are drawn, and nothing that trains is given.
        """
        self.require_public(public)
        total = np.zeros(self.dimension, dtype=np.int64)
        where = self.slices()
        for part, ask in self.asks(public):
            scaling: Scaling = {b.name: where[block_name(part, b)][1] for b in part.ask.blocks}
            if ask.drawn is None:
                made = part.analysis.contribution(cohort, ask, scaling)
            elif learner is not None:
                made = learner.contribution(part.analysis, cohort, ask, scaling, self.step_gamma)
            else:
                raise PrivacyError("patients are drawn for this release, and nothing is there that trains",
                                   where=self.label, do="install fedvalue[train]")  # fmt: skip
            for name, values in made.items():
                block = next(b for b in part.ask.blocks if b.name == name)
                total[where[block_name(part, block)][0]] = values
        return total


def block_name(part: Part, block: Block) -> str:
    """Return the name of an analysis' block inside a release."""
    return f"{part.analysis.label}/{part.ask.label}/{block.name}"
