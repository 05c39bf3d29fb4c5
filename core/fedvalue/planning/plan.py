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

import rfc8785

from fedvalue.analyses.analysis import Analysis, Ask, Drawn, Terms
from fedvalue.analyses.catalogue import analyses_of
from fedvalue.errors import PrivacyError, ReleaseUnknown, TooFewSites
from fedvalue.planning.drawing import Rounds, is_sampled, noise_of
from fedvalue.planning.planned import (
    EXACT_GAMMA,
    LARGEST_UPDATE,
    MOST_PUBLIC,
    PUBLIC_WORD,
    UPDATE_GAMMA,
    Part,
    PlannedRelease,
    block_name,
)
from fedvalue.privacy import accounting, sampled
from fedvalue.privacy.accounting import NOTHING, Price
from fedvalue.privacy.quantise import ring_fits
from fedvalue.privacy.release import LOG2_SCALE, Block, Scales, require_exact_sum, scales
from fedvalue.secure_sum.thresholds import Thresholds
from fedvalue.study.approval import CLEAR_SUM, NO_NOISE
from fedvalue.study.file import digest
from fedvalue.study.roster import Roster
from fedvalue.study.schema import Study

__all__ = [
    "EXACT_GAMMA",
    "MOST_PUBLIC",
    "PUBLIC_WORD",
    "Part",
    "Plan",
    "PlannedRelease",
    "block_name",
    "lowered",
    "make_plan",
    "plan_on",
    "shares_of",
]


@dataclass(frozen=True, slots=True)
class Plan:
    """The privacy plan of one study on one roster.

    Attributes:
      study_hash: SHA-256 of the study.
      roster_hash: SHA-256 of the roster.
      thresholds: n, c, f, t, m.
      analyses: The study's analyses.
      releases: In the order in which they are asked.
      rho_units: What the study's epsilon buys as zCDP, in 2^-40: without sampled releases the price of the
        whole study with every spare attempt.
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

    @property
    def sampled(self) -> bool:
        """True where a release is sampled: only a population that admits such releases can bear the plan."""
        return any(release.sampled for release in self.releases)

    def price(self, honest_shares: int | None = None) -> Price:
        """Return the price of the plan with every spare attempt; argument as in `PlannedRelease.price`."""
        once = sum((release.price(honest_shares) for release in self.releases), NOTHING)
        return sampled.times(once, self.attempts)

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
        if release.drawn is not None:
            content["drawn"] = {"rate": str(release.drawn.rate), "steps": release.drawn.steps}
        return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


def lowered(plan: Plan, *, clear_sum: bool) -> frozenset[str]:
    """Return what lowers the protection in a run of this plan; every officer must have approved it.

    Args:
      plan: The plan.
      clear_sum: True if each site's share reaches the coordinator unmasked, as only a simulation may.
    """
    return frozenset({CLEAR_SUM} if clear_sum else ()) | frozenset({NO_NOISE} if plan.exact else ())


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
    rounds = [analysis.rounds() for analysis in analyses]
    shares = [_ask_shares(share, asks) for share, asks in zip(shares_of(study), rounds, strict=True)]
    noise = _noise(study, limits, analyses, rounds, shares, unsafe_exact=unsafe_exact)
    releases: list[PlannedRelease] = []
    for k in range(max(len(r) for r in rounds)):
        together: list[tuple[Part, tuple[Block, ...]]] = []
        alone: list[tuple[Part, tuple[Block, ...]]] = []
        for analysis, share, asks in zip(analyses, shares, rounds, strict=True):
            if k >= len(asks):
                continue
            part = Part(analysis, asks[k])
            drawn = is_sampled(part.ask)
            price = Fraction(noise.get(analysis.label, 0)) if drawn else once * share[k]
            blocks = tuple(
                replace(block, name=block_name(part, block), rho_units=int(price * weight))
                for block, weight in zip(part.ask.blocks, part.ask.weights, strict=True)
            )
            (together if part.ask.drawn is None else alone).append((part, blocks))
        for group in ([together] if together else []) + [[one] for one in alone]:
            label = f"release-{len(releases) + 1}"
            releases.append(
                _release(
                    label, tuple(part for part, _ in group), tuple(b for _, blocks in group for b in blocks),
                    study, limits, unsafe_exact,
                )
            )  # fmt: skip
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


def _ask_shares(share: Fraction, asks: tuple[Ask, ...]) -> tuple[Fraction, ...]:
    """Divide the share of an analysis among its asks: as they state, the rest equally."""
    stated = sum((ask.share for ask in asks if ask.share is not None), start=Fraction(0))
    silent = sum(ask.share is None for ask in asks)
    rest = (1 - stated) / silent if silent else Fraction(0)
    return tuple(share * (rest if ask.share is None else ask.share) for ask in asks)


def _noise(
    study: Study, limits: Thresholds, analyses: tuple[Analysis, ...], rounds: list[tuple[Ask, ...]],
    shares: list[tuple[Fraction, ...]], *, unsafe_exact: bool,
) -> dict[str, int]:  # fmt: skip
    """The price of one sampled round of each training; nothing where there is no noise."""
    found = []
    for analysis, asks, each in zip(analyses, rounds, shares, strict=True):
        mine = [share for ask, share in zip(asks, each, strict=True) if is_sampled(ask)]
        if mine:
            ask = next(ask for ask in asks if is_sampled(ask))
            found.append(Rounds(analysis.label, ask, len(mine), sum(mine, start=Fraction(0))))
    if unsafe_exact:
        return {}
    return noise_of(
        found, epsilon=study.privacy.epsilon, delta=study.privacy.delta,
        attempts=1 + study.privacy.spare_attempts, honest_shares=limits.honest_shares,
        sites_per_patient=study.privacy.max_sites_per_patient.value,
    )  # fmt: skip


def _release(
    label: str,
    parts: tuple[Part, ...],
    blocks: tuple[Block, ...],
    study: Study,
    limits: Thresholds,
    exact: bool,
) -> PlannedRelease:
    k = study.privacy.max_sites_per_patient.value
    drawn = parts[0].ask.drawn
    if drawn is not None and drawn.local:
        return _local_release(label, parts, blocks, drawn, study, limits, exact)
    if exact:
        gammas = tuple(EXACT_GAMMA for _ in blocks)
        squared = sum(int(EXACT_GAMMA**2 * b.bound_squared) for b in blocks)
        planned = Scales(gammas, squared, k * k * squared, limits.honest_shares)
    else:
        planned = scales(blocks, honest_shares=limits.honest_shares, sites_per_patient=k)
        if planned.rho_units() > sum(b.rho_units for b in blocks):
            raise PrivacyError("the scales cost more than the plan gives them", where=label)
        for block, gamma in zip(blocks, planned.gammas, strict=True):
            require_exact_sum(block, gamma, study.privacy.patient_cap)
    ring_fits(
        patient_cap=study.privacy.patient_cap,
        bound_squared=planned.charged_bound_squared,
        sites=limits.sites,
        log2_scale=LOG2_SCALE,
    )
    return PlannedRelease(label, parts, blocks, planned, exact, drawn, k)


def _local_release(
    label: str, parts: tuple[Part, ...], blocks: tuple[Block, ...], drawn: Drawn, study: Study,
    limits: Thresholds, exact: bool,
) -> PlannedRelease:  # fmt: skip
    """A sum of where local steps led: the bound and its price are those of one step at one site."""
    k = study.privacy.max_sites_per_patient.value
    if exact:
        step, squared = EXACT_GAMMA, sum(int(EXACT_GAMMA**2 * b.bound_squared) for b in blocks)
    else:
        one = scales(blocks, honest_shares=1, sites_per_patient=1)
        step, squared = one.gammas[0], one.patient_bound_squared
        require_exact_sum(blocks[0], step, study.privacy.patient_cap)
    planned = Scales((UPDATE_GAMMA,) * len(blocks), squared, squared, 1)
    if LARGEST_UPDATE * UPDATE_GAMMA * limits.sites >= 2**63:
        raise PrivacyError("the updates of so many sites could wrap around the ring", where=label)
    return PlannedRelease(label, parts, blocks, planned, exact, drawn, k, step)
