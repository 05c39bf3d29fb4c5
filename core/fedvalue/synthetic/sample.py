"""The fast path for statistical tests: a cohort with the same planted truth, without files or hospitals."""

from __future__ import annotations

import numpy as np

from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.synthetic.people import People, draw
from fedvalue.synthetic.world import World


def sample_cohort(world: World, n: int, rng: np.random.Generator) -> Cohort:
    """Draw the cohort of ``n`` patients, each at a hospital with probability proportional to its size.

    It is what the hospitals' files of the same patients give: variable ``egfr`` (index into `LEVELS`),
    endpoints ``response_6m`` and ``pfs`` (events 1 progression, 2 death; entry at the later of day 0 and
    the report).

    Args:
      world: The planted truth.
      n: Patients, at least 0.
      rng: Source of all randomness.
    """
    sizes = np.array([site.patients for site in world.hospitals], dtype=np.float64)
    hospital = rng.choice(len(sizes), size=n, p=sizes / sizes.sum()).astype(np.int64)
    return cohort_of(draw(world, hospital, rng))


def cohort_of(people: People) -> Cohort:
    """Return the rows that a hospital freezes for these people, by the demonstration's definitions."""
    seen = people.left <= people.last
    progressed = seen & people.progresses
    died = people.death <= np.minimum(people.last, 183)
    response = np.select(
        [people.assessed & people.responds, people.assessed | progressed | died], [1, 0], default=-1
    )
    return Cohort(
        patients=len(people),
        categories={"egfr": people.recorded.astype(np.int64)},
        numbers={"age": people.age.astype(np.float64)},
        binary={"response_6m": BinaryOutcome(response.astype(np.int64))},
        survival={
            "pfs": SurvivalOutcome(
                entry=np.where(people.reported, np.maximum(people.report, 0), 0).astype(np.float64),
                exit=np.minimum(people.left, people.last).astype(np.float64),
                event=np.where(seen, np.where(people.progresses, 1, 2), 0).astype(np.int64),
            )
        },
    )
