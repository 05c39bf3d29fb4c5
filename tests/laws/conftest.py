"""One way to draw hostile cohorts, shared by every analysis under the laws."""

from __future__ import annotations

import numpy as np
import pytest

from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome

HOSTILE = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 5e-324, -1.0, 0.0, -0.0, 30.4375, 730.5, 1e-9])


def draw_cohort(rng: np.random.Generator, patients: int, hostile: float) -> Cohort:
    """Draw rows of which a share ``hostile`` holds values that no honest table holds."""
    bad = rng.random(patients) < hostile
    times = rng.exponential(400.0, patients).round(rng.integers(0, 3))
    entry = np.where(rng.random(patients) < 0.5, 0.0, rng.exponential(60.0, patients).round())
    event = rng.integers(0, 3, patients)
    level = rng.integers(-1, 3, patients)
    status = rng.integers(-1, 2, patients)
    numbers = {
        name: np.where(bad, rng.choice(HOSTILE, patients), rng.normal(middle, middle / 2, patients))
        for name, middle in (("age", 60.0), ("cost", 900.0), ("started", 200.0))
    }
    # a count, and a calendar day of 2025
    for name, values in (
        ("visits", rng.poisson(1.5, patients)),
        ("day", rng.integers(20_089, 20_454, patients)),
    ):
        numbers[name] = np.where(bad, rng.choice(HOSTILE, patients), values)
    grade = rng.integers(-1, 6, patients)
    return Cohort(
        patients,
        categories={
            "egfr": np.where(bad, rng.integers(-9, 99, patients), level),
            "grade": np.where(bad, rng.integers(-9, 99, patients), grade),
        },
        numbers=numbers,
        binary={"response": BinaryOutcome(np.where(bad, rng.integers(-9, 99, patients), status))},
        survival={
            "pfs": SurvivalOutcome(
                np.where(bad, rng.choice(HOSTILE, patients), entry),
                np.where(bad, rng.choice(HOSTILE, patients), times),
                np.where(bad, rng.integers(-9, 99, patients), event),
            )
        },
    )


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20261121)
