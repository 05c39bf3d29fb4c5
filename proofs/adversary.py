"""A release as the coordinator and c colluding sites see it, through the real pipeline, many trials at once.

Every coordinate of the vector is one trial of its own: a count that one patient moves by gamma at each of k
honest sites, which is the farthest a patient can move a release along one coordinate. With the patient, every
coordinate has one such patient; without, nobody is there. Scales, contribution and noise are a site's own
functions, the sum is opened by the private sum's protocol after f sites have vanished, and then the colluding
sites' vectors are taken away, noise and all. What is left carries exactly m = t - c shares of noise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.private_sums import Sites
from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.proportion import CELLS, ProportionByGroup
from fedvalue.planning.plan import Part, PlannedRelease, block_name
from fedvalue.privacy import gaussian
from fedvalue.privacy.accounting import rho_units_for
from fedvalue.privacy.randomness import NoiseSource, SystemNoise
from fedvalue.privacy.release import LOG2_SCALE, scales
from fedvalue.secure_sum.thresholds import Thresholds, thresholds
from fedvalue.strategies.secure_aggregation.clear_sum import noised
from fedvalue.strategies.secure_aggregation.private_sum.rounds import PrivateRounds
from proofs.likelihood_ratio import Promise, Vector

DELTA = 1e-6

SiteHalf = Callable[[PlannedRelease, Cohort], Vector]
"""What a site sends, before masks."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One federation and one promise.

    Attributes:
      epsilon: Of the whole study, at delta 1e-6, all of it spent on this release.
      sites: n; c and f are the defaults.
      sites_per_patient: k.
    """

    epsilon: float
    sites: int
    sites_per_patient: int = 1

    @property
    def limits(self) -> Thresholds:
        """The thresholds of so many sites."""
        return thresholds(self.sites)

    @property
    def rho_units(self) -> int:
        """What the epsilon buys, in 2^-40 zCDP."""
        return rho_units_for(self.epsilon, DELTA)

    def release(self, trials: int) -> PlannedRelease:
        """Return a release of at least so many counts, the shape of a proportion by many groups."""
        levels = tuple(f"{number:x}" for number in range(-(-trials // len(CELLS)) - 1))
        analysis = ProportionByGroup("response", Groups(("group",), (levels,)), "exclude")
        part = Part(analysis, analysis.rounds()[0])
        (cells,) = part.ask.blocks
        blocks = (replace(cells, name=block_name(part, cells), rho_units=self.rho_units),)
        found = scales(
            blocks, honest_shares=self.limits.honest_shares, sites_per_patient=self.sites_per_patient
        )
        return PlannedRelease("release-1", (part,), blocks, found, exact=False)

    def promise(self, release: PlannedRelease) -> Promise:
        """Return D and m of a release of this setting."""
        return Promise(self.sites_per_patient * int(release.scales.gammas[0]), self.limits.honest_shares)


@dataclass(frozen=True, slots=True)
class Seeded:
    """A source whose words anybody with the seed can repeat: what a planted bug draws from."""

    generator: np.random.Philox

    @classmethod
    def fresh(cls) -> tuple[Seeded, Seeded]:
        """Return two sources of one seed that nobody knows beforehand."""
        seed = int.from_bytes(os.urandom(16), "little")
        return cls(np.random.Philox(seed)), cls(np.random.Philox(seed))

    @property
    def production(self) -> bool:
        """False."""
        return False

    def words(self, count: int) -> NDArray[np.uint64]:
        """Return the next words of the seed's stream, shape ``(count,)``."""
        return np.asarray(self.generator.random_raw(count), dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A site as it should be, drawing from a source.

    Attributes:
      source: Of the noise; in production `SystemNoise`.
    """

    source: NoiseSource

    def __call__(self, release: PlannedRelease, cohort: Cohort) -> Vector:
        """Return contribution and noise."""
        return noised(release, cohort, self.source)


def silent(release: PlannedRelease, cohort: Cohort) -> Vector:
    """A site that forgets its noise."""
    return release.contribution(cohort)


def halved(release: PlannedRelease, cohort: Cohort) -> Vector:
    """A site whose noise has half its scale."""
    noise = gaussian.sample(SystemNoise(), release.dimension, log2_scale=LOG2_SCALE - 1)
    return release.contribution(cohort) + noise


def everybody(release: PlannedRelease) -> Cohort:
    """Return one patient for each coordinate of the release."""
    names, cells = release.dimension // len(CELLS), len(CELLS)
    group = np.repeat(np.arange(names), cells)
    group[group == names - 1] = -1  # the last group is of the unknown
    status = np.tile(np.array([1, 0, -1]), names)
    return Cohort(release.dimension, {"group": group}, binary={"response": BinaryOutcome(status)})


def nobody() -> Cohort:
    """Return a cohort without patients."""
    empty = np.zeros(0, dtype=np.int64)
    return Cohort(0, {"group": empty}, binary={"response": BinaryOutcome(empty)})


@dataclass(frozen=True, slots=True)
class View:
    """What the adversary has of one opened sum.

    Attributes:
      rest: The opened sum without the colluding sites' vectors, in ring units, shape ``(trials,)``.
      known: The colluding sites' own vectors, each of shape ``(trials,)``; without patients, their noise.
    """

    rest: Vector
    known: tuple[Vector, ...]


def view(
    setting: Setting,
    release: PlannedRelease,
    halves: list[SiteHalf],
    *,
    patient: bool,
    all_answer: bool = False,
) -> View:
    """Open one sum and look at it as the adversary.

    Args:
      setting: The federation.
      release: What is asked.
      halves: One a site: first the f that vanish, then the honest ones, of which the patient is at the first
        k, then the c colluding ones.
      patient: True to put the patient there.
      all_answer: True if nobody vanishes.

    Raises:
      RuntimeError: the sum was not opened, or not over the sites that answered.
    """
    limits, there = setting.limits, everybody(release) if patient else nobody()
    first = limits.dropouts
    lost = frozenset() if all_answer else frozenset(f"h{number:03d}" for number in range(first))
    shares = []
    for number, half in enumerate(halves):
        holds = first <= number < first + setting.sites_per_patient
        if f"h{number:03d}" in lost:
            shares.append(np.zeros(release.dimension, dtype=np.int64))  # never asked for
        else:
            shares.append(half(release, there if holds else nobody()))
    sites = Sites(shares, noise=False, lost=lost)
    opened = PrivateRounds(sites.agreed, sites.exchange, 1).attempt(release.label, 1)
    if opened.total is None or len(opened.survivors) != limits.sites - len(lost):
        raise RuntimeError(f"the private sum failed: {opened.failure}")
    known = tuple(shares[limits.sites - limits.colluding :])
    rest = opened.total.copy()
    for vector in known:
        rest -= vector
    return View(rest, known)


def honest(setting: Setting) -> list[SiteHalf]:
    """Return sites that are all as they should be."""
    return [Drawn(SystemNoise()) for _ in range(setting.sites)]
