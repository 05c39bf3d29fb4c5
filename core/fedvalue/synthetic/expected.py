"""What the planted truth implies, in closed form: rates, curves and what a hospital's files show of them.

Two numbers are called response rate, and they differ a little. The planted one holds for all patients of
a group who start treatment. The recorded one is what plain counting in the files estimates: patients
lost before their first assessment count as failures, and mutated or wild type patients who died or were
lost before a late report are filed as "not tested". A survival curve needs no second form: with entry at
the report, Kaplan-Meier estimates the planted curve of the tested groups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedvalue.synthetic.people import NOT_TESTED
from fedvalue.synthetic.world import FIRST_ASSESSMENT, LEVELS, LONGEST_DELAY, Hospital, World

Array = NDArray[np.float64]


def planted_response(world: World, level: str) -> float:
    """Return the share who respond by day 183 if nobody is lost, over all hospitals, 0 to 1."""
    index = LEVELS.index(level)
    return float(np.dot(_weights(world), [world.response(index, site) for site in world.hospitals]))


def planted_survival(world: World, level: str, days: Array) -> Array:
    """Return P(no progression or death up to and including ``days``) over all hospitals.

    Args:
      world: The planted truth.
      level: One of `LEVELS`.
      days: Days from the start of line, shape ``(k,)``; parts of a day are dropped, records are in days.

    Returns:
      Probabilities, shape ``(k,)``.
    """
    stay = np.array([world.daily_stay(LEVELS.index(level), site) for site in world.hospitals])
    curve: Array = (stay[:, None] ** np.floor(days)[None, :] * _weights(world)[:, None]).sum(axis=0)
    return curve


def planted_median(world: World, level: str) -> float:
    """Return the first day on which at most half are free of progression, in days."""
    low, high = 0, 1
    while planted_survival(world, level, np.array([float(high)]))[0] > 0.5:
        low, high = high, 2 * high
    days = np.arange(low, high + 1, dtype=np.float64)
    return float(days[np.argmax(planted_survival(world, level, days) <= 0.5)])


def recorded_shares(world: World) -> Array:
    """Return the share of patients that the files show in each of `LEVELS`, shape ``(3,)``."""
    return _recorded(world)[0]


def recorded_response(world: World, level: str) -> float:
    """Return the share of a recorded group with a recorded response, missing ones as failures, 0 to 1."""
    shares, responders = _recorded(world)
    index = LEVELS.index(level)
    return float(responders[index] / shares[index])


def _recorded(world: World) -> tuple[Array, Array]:
    """Return P(recorded in a level) and P(that, and a recorded response), each shape ``(3,)``."""
    shares, responders = np.zeros(len(LEVELS)), np.zeros(len(LEVELS))
    for weight, site in zip(_weights(world), world.hospitals, strict=True):
        for level, share in enumerate(world.group_shares):
            stay_here, responds_here = _stays_in_its_group(world, level, site)
            responds = world.response(level, site) * _kept_until_assessed(world)
            shares[level] += weight * share * stay_here
            responders[level] += weight * share * responds_here
            shares[NOT_TESTED] += weight * share * (1 - stay_here)
            responders[NOT_TESTED] += weight * share * (responds - responds_here)
    return shares, responders


def _stays_in_its_group(world: World, level: int, site: Hospital) -> tuple[float, float]:
    """Return P(recorded as planted) and P(that, and a recorded response) of one planted group at one site."""
    kept = world.response(level, site) * _kept_until_assessed(world)
    if level == NOT_TESTED:
        return 1.0, kept
    delays = np.arange(1, LONGEST_DELAY + 1)
    chance = np.exp(-(delays - 1) / world.mean_delay) * -np.expm1(-1 / world.mean_delay)
    chance[-1] = 1 - chance[:-1].sum()
    alive = _alive(world, level, site, LONGEST_DELAY)
    followed = np.exp(-world.drop_out * delays)
    here = float((chance * alive[delays] * followed).sum())
    # a responder is free of progression on assessment day a, and from there a fresh start of the same kind
    responds = 0.0
    days = range(FIRST_ASSESSMENT[0], FIRST_ASSESSMENT[1] + 1)
    for a in days:
        after = alive[np.maximum(delays - a, 0)] * np.exp(-world.drop_out * np.maximum(delays, a))
        responds += world.response(level, site) * float((chance * after).sum()) / len(days)
    late = world.late_reports
    return 1 - late + late * here, (1 - late) * kept + late * responds


def _alive(world: World, level: int, site: Hospital, until: int) -> Array:
    """Return P(death after day d) for d = 0 ... ``until``, shape ``(until + 1,)``."""
    group, stay = world.groups[level], world.daily_stay(level, site)
    progression = group.progression / (group.progression + group.death)
    later = np.exp(-group.death_after_progression)
    free, progressed, alive = 1.0, 0.0, [1.0]
    for _ in range(until):
        progressed = progressed * later + free * (1 - stay) * progression
        free *= stay
        alive.append(free + progressed)
    return np.array(alive)


def _kept_until_assessed(world: World) -> float:
    """Return P(not lost before the first assessment)."""
    days = np.arange(FIRST_ASSESSMENT[0], FIRST_ASSESSMENT[1] + 1)
    return float(np.exp(-world.drop_out * days).mean())


def _weights(world: World) -> Array:
    return np.array([site.patients for site in world.hospitals]) / world.patients
