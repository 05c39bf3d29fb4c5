"""Worlds of Cox regression: late entry, exposure that begins some day, strata, hospitals that differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort
from proofs.coverage import Drawn, World
from proofs.coverage_draws import MEASURED, codes, followed, late_entry, sites
from proofs.coverage_effects import MODEL_SIZES, PLANTED, coefficients, people, planted

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

COX = coefficients({"age": 0.02, "arm=treated": -0.3}, "hazard ratio")
EXPOSED = coefficients({"age": 0.02, "exposed": -0.4}, "hazard ratio")


def _hazards(rng: np.random.Generator, n: int) -> Drawn:
    """Proportional hazards of age and arm; half enter late."""
    ages: list[Array] = []

    def draw(m: int) -> tuple[Array, Codes]:
        age, _, arm = people(rng, m)
        ages.append(age)
        time = rng.exponential(1.0, m) * 500 / np.exp(0.02 * (age - 60) - 0.3 * arm)
        # who is seen is found again by position: code and row number in one
        start = sum(len(a) for a in ages[:-1])
        return time, (start + np.arange(m)) * 2 + arm

    entry, time, label = late_entry(rng, n, draw)
    age = np.concatenate(ages)[label // 2]
    return Drawn(Cohort(n, {"arm": label % 2}, {"age": age}, survival={"os": followed(rng, entry, time)}))


def _exposures(rng: np.random.Generator, n: int) -> Drawn:
    """Half would start a drug after a while, from when on the hazard is lower; baselines differ by sex."""
    age = np.clip(rng.normal(60.0, 10.0, n), 30, 90)
    sex, need = codes(rng, n, (0.5, 0.5)), rng.exponential(1.0, n)
    start = np.where(rng.random(n) < 0.6, rng.exponential(150.0, n), np.inf)
    hazard = np.where(sex == 0, 1 / 600, 1 / 400) * np.exp(0.02 * (age - 60))
    before = hazard * np.minimum(start, 1e6)
    time = np.where(need < before, need / hazard, start + (need - before) / (hazard * np.exp(-0.4)))
    seen = followed(rng, np.zeros(n), time)
    exposed = np.where(start < seen.exit, start, np.nan)
    return Drawn(Cohort(n, {"sex": sex}, {"age": age, "exposed": exposed}, survival={"os_zero": seen}))


def _placed(rng: np.random.Generator, n: int) -> Drawn:
    """As `_hazards` without late entry, in hospitals whose hazards differ by up to 2 times."""
    age, _, arm = people(rng, n)
    place = sites(rng, n)
    level = np.array([1.0, 1.4, 0.7, 1.2, 0.8, 1.0])[place]
    time = rng.exponential(500.0, n) / (level * np.exp(0.02 * (age - 60) - 0.3 * arm))
    seen = followed(rng, np.zeros(n), time)
    return Drawn(Cohort(n, {"arm": arm}, {"age": age}, survival={"os_zero": seen}, site=place))


OTHER = coefficients({"age": 0.035, "arm=treated": 0.45}, "hazard ratio")


def _elsewhere(rng: np.random.Generator, n: int) -> Drawn:
    """Older people, a harmful arm of a third, hazards that fall, three strata, early losses, late entry."""
    held: list[tuple[Array, Codes]] = []

    def draw(m: int) -> tuple[Array, Codes]:
        age = np.clip(rng.normal(68.0, 8.0, m), 30, 90)
        arm, egfr = codes(rng, m, (0.67, 0.33)), codes(rng, m, (0.5, 0.3, 0.2))
        start = sum(len(a) for a, _ in held)
        held.append((age, egfr))
        relative = np.array([1.0, 0.6, 1.7])[egfr] * np.exp(0.035 * (age - 68) + 0.45 * arm)
        time = 700.0 * (rng.exponential(1.0, m) / relative) ** (1 / 0.75)
        return time, (start + np.arange(m)) * 2 + arm

    entry, time, label = late_entry(rng, n, draw)
    age, egfr = (np.concatenate(part)[label // 2] for part in zip(*held, strict=True))
    seen = followed(rng, entry, time, least=30.0, most=1_000.0)
    return Drawn(
        Cohort(n, {"arm": label % 2, "egfr": egfr.astype(np.int64)}, {"age": age}, survival={"os": seen})
    )


WORLDS = (
    World(
        "cox",
        "late entry",
        'endpoint = "os"\ncovariates = ["age", "arm"]',
        MEASURED,
        _hazards,
        planted(COX),
        sizes=MODEL_SIZES,
        many=PLANTED,
        events=0.3,
    ),
    World(
        "cox",
        "exposure, strata",
        'endpoint = "os_zero"\ncovariates = ["age"]\nexposure = "exposed"\nstrata = ["sex"]',
        MEASURED,
        _exposures,
        planted(EXPOSED),
        sizes=MODEL_SIZES,
        many=PLANTED,
        events=0.3,
    ),
    World(
        "cox",
        "by hospital, which differ",
        'endpoint = "os_zero"\ncovariates = ["age", "arm"]\nstratify_by_site = true',
        MEASURED,
        _placed,
        planted(COX),
        sizes=MODEL_SIZES,
        many=PLANTED,
        events=0.3,
    ),
    World(  # no setting of the analysis was ever chosen with this world
        "cox",
        "elsewhere, three strata, late entry",
        'endpoint = "os"\ncovariates = ["age", "arm"]\nstrata = ["egfr"]',
        MEASURED,
        _elsewhere,
        planted(OTHER),
        sizes=MODEL_SIZES,
        many=PLANTED,
        events=0.3,
    ),
)
"""Every world of this kind."""
