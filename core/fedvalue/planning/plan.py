"""From epsilon and delta over analyses to the scale of each block of each release.

Analyses ask in rounds; the k-th asks of all analyses travel concatenated in the k-th release, so a study
of one-round analyses is one release. Every site computes the same plan from the approved study and
roster, in exact arithmetic; the coordinator only names a release of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import rfc8785
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Analysis, Ask, Scaling, Terms
from fedvalue.analyses.catalogue import analyses_of
from fedvalue.analyses.cohort import Cohort
from fedvalue.errors import MessageInvalid, PrivacyError, ReleaseUnknown, TooFewSites
from fedvalue.privacy import accounting
from fedvalue.privacy.quantise import ring_fits
from fedvalue.privacy.release import LOG2_SCALE, Block, Scales, scales
from fedvalue.secure_sum.thresholds import Thresholds
from fedvalue.study.approval import CLEAR_SUM, NO_NOISE
from fedvalue.study.file import digest
from fedvalue.study.roster import Roster
from fedvalue.study.schema import Study

PUBLIC_WORD = 8
"""Bytes of one public number, a little-endian float64."""

MOST_PUBLIC = 1e15
"""Largest public number; any that an analysis sends is far below."""

EXACT_GAMMA = Fraction(2**30)
"""Scale of every block under the `Unsafe` switch that turns noise off."""


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
    """

    label: str
    parts: tuple[Part, ...]
    blocks: tuple[Block, ...]
    scales: Scales
    exact: bool

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
        if self.exact:
            return 0
        return self.scales.rho_units(1 if clear_sum else None)

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

    def contribution(self, cohort: Cohort, public: bytes = b"") -> NDArray[np.int64]:
        """Site half of the whole release: the clipped integer sum of the site's patients, no noise yet.

        Args:
          cohort: The site's frozen rows.
          public: The release's public numbers, as in `require_public`.

        Raises:
          MessageInvalid: see `require_public`.
        """
        self.require_public(public)
        total = np.zeros(self.dimension, dtype=np.int64)
        where = self.slices()
        for part, ask in self.asks(public):
            scaling: Scaling = {b.name: where[block_name(part, b)][1] for b in part.ask.blocks}
            for name, values in part.analysis.contribution(cohort, ask, scaling).items():
                block = next(b for b in part.ask.blocks if b.name == name)
                total[where[block_name(part, block)][0]] = values
        return total


@dataclass(frozen=True, slots=True)
class Plan:
    """The privacy plan of one study on one roster.

    Attributes:
      study_hash: SHA-256 of the study.
      roster_hash: SHA-256 of the roster.
      thresholds: n, c, f, t, m.
      analyses: The study's analyses.
      releases: In the order in which they are asked.
      rho_units: Price of the whole study with every spare attempt, in 2^-40 zCDP.
      attempts: How often a release may be asked at most, each time at its full price.
      terms: What conclusions need to know of the promise.
      exact: True under the `Unsafe` switch that turns noise off.
    """

    study_hash: str
    roster_hash: str
    thresholds: Thresholds
    analyses: tuple[Analysis, ...]
    releases: tuple[PlannedRelease, ...]
    rho_units: int
    attempts: int
    terms: Terms
    exact: bool

    def release(self, label: str) -> PlannedRelease:
        """Return the release called ``label``.

        Raises:
          ReleaseUnknown: the plan has no such release.
        """
        for release in self.releases:
            if release.label == label:
                return release
        raise ReleaseUnknown(
            f"the plan has no release {label!r}", do="the coordinator must ask what was approved"
        )

    def specification(self, release: PlannedRelease) -> str:
        """Return the SHA-256 of everything that fixes a release in advance, 64 hexadecimal digits."""
        t = self.thresholds
        content: dict[str, Any] = {
            "study": self.study_hash,
            "roster": self.roster_hash,
            "release": release.label,
            "n": t.sites,
            "t": t.answers,
            "c": t.colluding,
            "log2_scale": LOG2_SCALE,
            "exact": self.exact,
            "blocks": [
                {
                    "name": b.name,
                    "dimension": b.dimension,
                    "bound_squared": str(b.bound_squared),
                    "rho": str(b.rho_units),
                    "gamma": str(g),
                }
                for b, g in zip(release.blocks, release.scales.gammas, strict=True)
            ],
        }
        if release.public_size:
            content["public"] = release.public_size
        return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


def lowered(plan: Plan, *, clear_sum: bool) -> frozenset[str]:
    """Return what lowers the protection in a run of this plan; every officer must have approved it.

    Args:
      plan: The plan.
      clear_sum: True if each site's share reaches the coordinator unmasked, as only a simulation may.
    """
    return frozenset({CLEAR_SUM} if clear_sum else ()) | frozenset({NO_NOISE} if plan.exact else ())


def block_name(part: Part, block: Block) -> str:
    """Return the name of an analysis' block inside a release."""
    return f"{part.analysis.label}/{part.ask.label}/{block.name}"


def make_plan(study: Study, roster: Roster, *, unsafe_exact: bool = False) -> Plan:
    """Plan a study on a roster.

    Args:
      study: Validated study.
      roster: The sites; their number fixes the thresholds.
      unsafe_exact: Turn noise, clipping to the budget and minimum sizes off (simulations and tests only).

    Raises:
      TooFewSites: the roster is smaller than the study's ``min_sites`` or its thresholds do not hold.
      PrivacyError: the budget is too small for what is asked, or the sums would not fit the ring.
    """
    if len(roster.site) < study.federation.min_sites:
        raise TooFewSites(
            f"the roster has {len(roster.site)} sites, the study demands {study.federation.min_sites}",
            where="[federation] min_sites",
            do="enrol more hospitals, or write a study that runs on fewer",
        )
    limits = roster.thresholds(study.federation)
    return plan_on(study, limits, roster.digest(), unsafe_exact=unsafe_exact, sites=roster.order)


def plan_on(
    study: Study,
    limits: Thresholds,
    roster_hash: str,
    *,
    unsafe_exact: bool = False,
    sites: tuple[str, ...] = (),
) -> Plan:
    """Plan a study on so many sites, for a preview without a roster too.

    Args:
      study: Validated study.
      limits: n, c, f, t, m.
      roster_hash: SHA-256 of the roster.
      unsafe_exact: As for `make_plan`.
      sites: Ids in the roster's order; left out, numbered.

    Raises:
      PrivacyError: the budget is too small for what is asked, or the sums would not fit the ring.
    """
    analyses = analyses_of(study, sites or tuple(f"site {i}" for i in range(1, limits.sites + 1)))
    # every spare attempt is asked at its full price, and the study's epsilon covers all of them
    whole = accounting.rho_units_for(study.privacy.epsilon, study.privacy.delta)
    once = whole // (1 + study.privacy.spare_attempts)
    shares = shares_of(study)
    rounds = [analysis.rounds() for analysis in analyses]
    releases = []
    for k in range(max(len(r) for r in rounds)):
        parts, blocks = [], []
        for analysis, share, asks in zip(analyses, shares, rounds, strict=True):
            if k >= len(asks):
                continue
            part = Part(analysis, asks[k])
            parts.append(part)
            for block, weight in zip(part.ask.blocks, part.ask.weights, strict=True):
                price = once * share * weight / len(asks)
                units = price.numerator // price.denominator
                blocks.append(replace(block, name=block_name(part, block), rho_units=units))
        releases.append(
            _release(f"release-{k + 1}", tuple(parts), tuple(blocks), study, limits, unsafe_exact)
        )
    terms = Terms(study.federation.min_released_patients, whole, study.privacy.delta, exact=unsafe_exact)
    return Plan(
        digest(study),
        roster_hash,
        limits,
        analyses,
        tuple(releases),
        0 if unsafe_exact else whole,
        1 + study.privacy.spare_attempts,
        terms,
        unsafe_exact,
    )


def shares_of(study: Study) -> tuple[Fraction, ...]:
    """Return the share of the study's rho that each of its analyses has, its diagnostics last."""
    standing = Fraction(str(study.diagnostics.share))
    rest = tuple((1 - standing) * Fraction(str(spec.budget)) for spec in study.analyses)
    return (*rest, standing) if standing else rest


def _release(
    label: str,
    parts: tuple[Part, ...],
    blocks: tuple[Block, ...],
    study: Study,
    limits: Thresholds,
    exact: bool,
) -> PlannedRelease:
    k = study.privacy.max_sites_per_patient.value
    if exact:
        gammas = tuple(EXACT_GAMMA for _ in blocks)
        squared = sum(int(EXACT_GAMMA**2 * b.bound_squared) for b in blocks)
        planned = Scales(gammas, squared, k * k * squared, limits.honest_shares)
    else:
        planned = scales(blocks, honest_shares=limits.honest_shares, sites_per_patient=k)
        if planned.rho_units() > sum(b.rho_units for b in blocks):
            raise PrivacyError("the scales cost more than the plan gives them", where=label)
    ring_fits(
        patient_cap=study.privacy.patient_cap,
        bound_squared=planned.charged_bound_squared,
        sites=limits.sites,
        log2_scale=LOG2_SCALE,
    )
    return PlannedRelease(label, parts, blocks, planned, exact)
