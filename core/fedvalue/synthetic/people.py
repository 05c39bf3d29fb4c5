"""Draw the people of a made-up federation: everything that happens to them, in whole days from the start.

Whether a hospital ever sees a fact is decided here too. A patient whose report comes after the start is
known to be mutated or wild type only if still alive after the report day and still followed on it; one
who dies or is lost before stays "not tested" in the hospital's files. So the tested groups are left
truncated at the report, as they are in real genomic cohorts, and "not tested" holds the early deaths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date

import numpy as np
from numpy.typing import NDArray

from fedvalue.synthetic.world import FIRST_ASSESSMENT, LEVELS, LONGEST_DELAY, Hospital, World

NOT_TESTED = LEVELS.index("not tested")


@dataclass(frozen=True, slots=True)
class People:
    """Cohort patients, one per row; days count from the start of line, which is day 0.

    Attributes:
      hospital: Index into ``world.hospitals``, shape ``(n,)``.
      planted: Index into `LEVELS` of the group whose truth applies, shape ``(n,)``.
      start: Start of line in days since 1970-01-01, shape ``(n,)``.
      ordered: True where a test was ordered, shape ``(n,)``.
      report: Day on which its report comes, 0 or below where it comes before treatment; meaningless where
        none was ordered, shape ``(n,)``.
      assessment: Day planned for the first response assessment, shape ``(n,)``.
      left: First day with progression or death, shape ``(n,)``.
      progresses: True where that is a progression, shape ``(n,)``.
      death: Day of death, shape ``(n,)``.
      last: Last day that the hospital could observe: drop-out or data cut, shape ``(n,)``.
      responds: True where the first assessment shows a response, if it takes place, shape ``(n,)``.
      complete: True where a response becomes complete, shape ``(n,)``.
      deletion: True where a mutation is an exon 19 deletion, False where it is L858R, shape ``(n,)``.
      age: Age at the start, in years, shape ``(n,)``.
      female: True for women, shape ``(n,)``.
    """

    hospital: NDArray[np.int64]
    planted: NDArray[np.int64]
    start: NDArray[np.int64]
    ordered: NDArray[np.bool_]
    report: NDArray[np.int64]
    assessment: NDArray[np.int64]
    left: NDArray[np.int64]
    progresses: NDArray[np.bool_]
    death: NDArray[np.int64]
    last: NDArray[np.int64]
    responds: NDArray[np.bool_]
    complete: NDArray[np.bool_]
    deletion: NDArray[np.bool_]
    age: NDArray[np.int64]
    female: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.planted)

    def at(self, hospital: int) -> People:
        """Return the people of one hospital."""
        here = self.hospital == hospital
        return People(*(getattr(self, column.name)[here] for column in fields(self)))

    @property
    def reported(self) -> NDArray[np.bool_]:
        """True where the hospital holds a report, shape ``(n,)``."""
        seen = (self.report <= 0) | ((self.death > self.report) & (self.last >= self.report))
        return self.ordered & seen

    @property
    def recorded(self) -> NDArray[np.int64]:
        """Index into `LEVELS` of the group that the hospital's files show, shape ``(n,)``."""
        return np.where(self.reported, self.planted, NOT_TESTED)

    @property
    def followed(self) -> NDArray[np.int64]:
        """Last day known to be followed: death, drop-out or data cut, shape ``(n,)``."""
        return np.minimum(self.death, self.last)

    @property
    def assessed(self) -> NDArray[np.bool_]:
        """True where the first assessment took place, free of progression, shape ``(n,)``."""
        return (self.left > self.assessment) & (self.last >= self.assessment)


def draw(world: World, hospital: NDArray[np.int64], rng: np.random.Generator) -> People:
    """Draw one patient for each entry of ``hospital``.

    Args:
      world: The planted truth.
      hospital: Index into ``world.hospitals`` of each patient, shape ``(n,)``.
      rng: Source of all randomness.
    """
    n = len(hospital)
    planted = rng.choice(len(LEVELS), size=n, p=world.group_shares).astype(np.int64)
    ordered = planted != NOT_TESTED
    before = -rng.integers(0, 31, size=n)
    after = 1 + np.minimum(np.floor(rng.exponential(world.mean_delay, size=n)), LONGEST_DELAY - 1).astype(
        np.int64
    )
    report = np.where(rng.random(n) < world.late_reports, after, before)

    stay = _by_group_and_site(world, world.daily_stay)[planted, hospital]
    progression = np.array([group.progression for group in world.groups])
    death = np.array([group.death for group in world.groups])
    later = np.array([group.death_after_progression for group in world.groups])
    left = rng.geometric(1 - stay)
    progresses = rng.random(n) < (progression / (progression + death))[planted]
    survives = rng.geometric(-np.expm1(-later)[planted])

    assessment = rng.integers(FIRST_ASSESSMENT[0], FIRST_ASSESSMENT[1] + 1, size=n)
    chance = _by_group_and_site(world, world.response)[planted, hospital] / stay**assessment
    complete = np.array([group.complete for group in world.groups])

    start = rng.integers(day_number(world.first_start), day_number(world.last_start) + 1, size=n)
    lost = np.minimum(np.floor(rng.exponential(1 / world.drop_out, size=n)), 100_000).astype(np.int64)
    return People(
        hospital=hospital,
        planted=planted,
        start=start,
        ordered=ordered,
        report=report,
        assessment=assessment,
        left=left,
        progresses=progresses,
        death=np.where(progresses, left + survives, left),
        last=np.minimum(lost, day_number(world.data_cut) - start),
        responds=rng.random(n) < chance,
        complete=rng.random(n) < complete[planted],
        deletion=rng.random(n) < 0.52,
        age=np.clip(np.rint(rng.normal(62, 10, size=n)), 28, 92).astype(np.int64),
        female=rng.random(n) < 0.55,
    )


def day_number(day: date) -> int:
    """Return the days from 1970-01-01 to ``day``."""
    return (day - date(1970, 1, 1)).days


def _by_group_and_site(world: World, value: Callable[[int, Hospital], float]) -> NDArray[np.float64]:
    return np.array([[value(level, site) for site in world.hospitals] for level in range(len(LEVELS))])
