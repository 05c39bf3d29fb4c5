"""A hospital's tables before anybody gave them local names: one row per fact, days since 1970-01-01.

Everything here is a fact that the hospital has seen: an event after the last contact, or a report that
came after a death, is in none of these tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedvalue.synthetic.genome import variants_of
from fedvalue.synthetic.people import People, day_number
from fedvalue.synthetic.world import LEVELS, World

TKI = ("L01EB01", "L01EB02", "L01EB04")
"""Gefitinib, erlotinib, osimertinib (ATC)."""

CHEMOTHERAPY = "L01BA04"
"""Pemetrexed (ATC): a first line without a place in the cohort, or a later line of a cohort patient."""

LONGEST_BILLING = 24
"""Monthly bills a patient has at most after the start of line."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one hospital.

    Attributes:
      patients: ``patient_id, sex, age, diagnosed, last_contact``; one row per patient.
      treatments: ``patient_id, started, drug, line``.
      responses: ``patient_id, assessed, status``.
      events: ``patient_id, happened, kind``.
      claims: ``patient_id, claim_id, billed, diagnosis, further, total, self``; money in fen, ``further`` a
        second diagnosis or empty.
      tests: ``patient_id, reported``: the genomic reports that came.
      carried: Which variants of the catalogue the rows of ``tests`` carry, shape ``(len(tests), v)``.
      cohort: How many of the patients belong to the study's cohort.
    """

    patients: pd.DataFrame
    treatments: pd.DataFrame
    responses: pd.DataFrame
    events: pd.DataFrame
    claims: pd.DataFrame
    tests: pd.DataFrame
    carried: NDArray[np.bool_]
    cohort: int


def tables_of(world: World, people: People, prefix: str, rng: np.random.Generator) -> Tables:
    """Write down what one hospital knows of ``people``, and of some patients outside the cohort.

    Args:
      world: The planted truth.
      people: The hospital's cohort patients, n of them.
      prefix: Begins every patient id.
      rng: Source of all randomness.
    """
    n, others = len(people), round(world.other_patients * len(people))
    ids = np.array([f"{prefix}{number:05d}" for number in 1 + rng.permutation(n + others)], dtype=object)
    mine = ids[:n]
    lung = np.arange(others) % 2 == 0
    other_start = rng.integers(day_number(world.first_start), day_number(world.last_start) + 1, size=others)
    other_last = rng.integers(30, 300, size=others)

    start = np.concatenate([people.start, other_start])
    followed = np.concatenate([people.followed, other_last])
    diagnosed = start - rng.integers(31, 61, size=n + others)
    patients = pd.DataFrame(
        {
            "patient_id": ids,
            "sex": np.where(np.concatenate([people.female, rng.random(others) < 0.5]), "female", "male"),
            "age": np.concatenate([people.age, rng.integers(35, 85, size=others)]),
            "diagnosed": diagnosed,
            "last_contact": start + followed,
        }
    )
    tki = np.array(TKI)[rng.choice(len(TKI), size=n + others, p=[0.3, 0.15, 0.55])]
    first = np.concatenate([tki[:n], np.where(lung, CHEMOTHERAPY, tki[n:])])
    reported = np.flatnonzero(people.reported)
    tests = pd.DataFrame({"patient_id": mine[reported], "reported": (people.start + people.report)[reported]})
    mutated = people.planted[reported] == LEVELS.index("mutated")
    cancer = np.concatenate([np.full(n, True), lung])
    cost = np.array([group.monthly_cost for group in world.groups])
    mean = np.concatenate([cost[people.planted], np.full(others, 8000.0)])
    return Tables(
        patients=_ordered(patients, "patient_id"),
        treatments=_ordered(_treatments(ids, start, first, people), "patient_id", "line"),
        responses=_ordered(_responses(mine, people, rng), "patient_id", "assessed"),
        events=_ordered(_events(mine, people), "patient_id", "happened"),
        claims=_claims(ids, (diagnosed, start, followed), cancer, mean, rng),
        tests=tests,
        carried=variants_of(mutated, people.deletion[reported], rng),
        cohort=n,
    )


def _treatments(
    ids: NDArray[np.object_], start: NDArray[np.int64], drug: NDArray[np.str_], people: People
) -> pd.DataFrame:
    """First lines, and a second line of chemotherapy 14 days after a progression that the hospital saw."""
    first = pd.DataFrame({"patient_id": ids, "started": start, "drug": drug, "line": 1})
    again = np.flatnonzero(people.progresses & (people.left + 14 <= people.followed))
    day = (people.start + people.left + 14)[again]
    second = pd.DataFrame({"patient_id": ids[again], "started": day, "drug": CHEMOTHERAPY, "line": 2})
    return pd.concat([first, second])


def _responses(ids: NDArray[np.object_], people: People, rng: np.random.Generator) -> pd.DataFrame:
    """The first assessment, a confirmation 42 days later, and PD on the day of a progression.

    A complete response shows at the confirmation; one confirmation in twenty-five cannot be evaluated.
    """
    first = np.where(people.responds, "PR", "SD")
    later = people.assessment + 42
    second = np.where(people.responds & people.complete, "CR", first)
    second = np.where(rng.random(len(people)) < 0.04, "NE", second)
    again = people.assessed & (people.left > later) & (people.last >= later)
    worse = people.progresses & (people.left <= people.last)
    parts = (
        (people.assessed, people.assessment, first),
        (again, later, second),
        (worse, people.left, np.full(len(people), "PD")),
    )
    return pd.concat(
        pd.DataFrame(
            {"patient_id": ids[here], "assessed": (people.start + day)[here], "status": status[here]}
        )
        for here, day, status in parts
    )


def _events(ids: NDArray[np.object_], people: People) -> pd.DataFrame:
    parts = (
        ("progression", people.progresses & (people.left <= people.last), people.left),
        ("death", people.death <= people.last, people.death),
    )
    return pd.concat(
        pd.DataFrame({"patient_id": ids[here], "happened": (people.start + day)[here], "kind": kind})
        for kind, here, day in parts
    )


def _claims(
    ids: NDArray[np.object_],
    days: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    lung: NDArray[np.bool_],
    mean: NDArray[np.float64],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One bill on the day of diagnosis, then one every 30 days from the start while the patient is followed.

    Amounts are log-normal with the given mean and a spread of 0.5 on the log scale.
    """
    diagnosed, start, followed = days
    monthly = 1 + np.minimum(followed // 30, LONGEST_BILLING - 1)
    patient = np.repeat(np.arange(len(ids)), 1 + monthly)
    number = np.arange(len(patient)) - np.repeat(np.cumsum(1 + monthly) - 1 - monthly, 1 + monthly)
    billed = np.where(number == 0, diagnosed[patient], start[patient] + 30 * (number - 1))
    total = np.rint(100 * mean[patient] * np.exp(0.5 * rng.standard_normal(len(patient)) - 0.125)).astype(
        np.int64
    )
    own = np.rint(total * rng.uniform(0.15, 0.4, size=len(patient))).astype(np.int64)
    codes = np.array(["C34.1", "C34.3", "C34.9"])[rng.integers(0, 3, size=len(ids))]
    further = np.array(["", "J91.0", "C79.3"])[rng.choice(3, size=len(ids), p=[0.7, 0.2, 0.1])]
    return pd.DataFrame(
        {
            "patient_id": ids[patient],
            "claim_id": [f"B{number:07d}" for number in 1 + rng.permutation(len(patient))],
            "billed": billed,
            "diagnosis": np.where(lung, codes, "C18.9")[patient],
            "further": further[patient],
            "total": total,
            "self": own,
        }
    )


def _ordered(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return table.sort_values(list(columns), kind="stable").reset_index(drop=True)
