"""What the studies of the coverage proof measure, and how patients are drawn.

Six hospitals of 38, 25, 17, 10, 6 and 4 % of the patients. Nothing is drawn at a clip unless the question is
about the clip. Late entry is planted as registries have it: half of the patients are known from day zero, the
others from a genomic report on, and who dies before the report is never seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import SurvivalOutcome

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

SITE_SHARES = (0.38, 0.25, 0.17, 0.10, 0.06, 0.04)
CONTROLS = 20
MONTH = 30.4375

_CONTROLS = "\n".join(
    f'never_{i} = {{ kind = "binary", source = "person", column = "never_{i}" }}' for i in range(CONTROLS)
)

MEASURED = f"""
[study]
id = "coverage"
title = {{ en = "Coverage" }}
question = {{ en = "How often does an interval hold the truth?" }}
principal_investigator = "nobody"
valid = {{ from = 2026-01-01, until = 2036-12-31 }}

[privacy]
unit = "patient"
epsilon = EPSILON
delta = 1e-6
patient_cap = 100000
max_sites_per_patient = {{ value = 1, basis = "declared disjoint" }}

[federation]
min_sites = 6
min_released_patients = 20

[governance]
profile = "none"

[cohort]
index = {{ first = "patient" }}
require = [{{ condition = ["C34*"], within = "-365d..0d" }}]

[variables]
egfr = {{ variant = {{ gene = "EGFR" }}, levels = ["mutated", "wild type", "not tested"] }}
sex = {{ person = "sex", levels = ["female", "male"] }}
arm = {{ person = "arm", levels = ["control", "treated"] }}
age = {{ person = "age", clip = [30, 90], unit = "years" }}
score = {{ person = "score", clip = [-4, 4], unit = "points" }}
benefit = {{ person = "benefit", clip = [0, 4], unit = "years" }}
cost = {{ claims = "total_paid", window = "0d..365d", clip = [0, 40000], unit = "CNY" }}
visits = {{ count = {{ of = "procedure", within = "0d..365d" }}, clip = [0, 6], unit = "visits" }}
reasons = {{ count = {{ of = "condition", within = "0d..365d" }}, clip = [0, 3], unit = "diagnoses" }}
harm = {{ grade = {{ within = "0d..365d" }}, levels = ["none", "1", "2", "3", "4", "5"] }}
risk = {{ person = "risk", clip = [0, 1], unit = "probability" }}
exposed = {{ first_day = {{ of = "drug", codes = ["L01EB*"], within = "0d..1000d" }}, clip = [0, 1000], unit = "days" }}
started = {{ calendar = "index", between = [2025-01-01, 2025-12-31] }}

[endpoints]
response = {{ kind = "binary", source = "person", column = "response" }}
control = {{ kind = "binary", source = "person", column = "control", missing = "exclude" }}
os = {{ kind = "time_to_event", entry = "later of origin and test report", events = ["death"], until = "24 months", grid = "1 month" }}
os_zero = {{ kind = "time_to_event", entry = "origin", events = ["death"], until = "24 months", grid = "1 month" }}
os_short = {{ kind = "time_to_event", entry = "origin", events = ["death"], until = "180 days", grid = "1 day" }}
os_days = {{ kind = "time_to_event", entry = "later of origin and test report", events = ["death"], until = "120 days", grid = "1 day" }}
pfs = {{ kind = "time_to_event", entry = "later of origin and test report", events = ["progression", "death"], until = "24 months", grid = "1 month" }}
{_CONTROLS}

[diagnostics]
share = DIAGNOSTICS
"""  # noqa: E501  (TOML has no line breaks inside braces)


def sites(rng: np.random.Generator, n: int) -> Codes:
    """Draw each patient's hospital, shape ``(n,)``."""
    return np.searchsorted(np.cumsum(SITE_SHARES)[:-1], rng.random(n), side="right").astype(np.int64)


def codes(rng: np.random.Generator, n: int, shares: tuple[float, ...], first: int = 0) -> Codes:
    """Draw levels with the given shares, counted from ``first``, shape ``(n,)``."""
    return np.searchsorted(np.cumsum(shares)[:-1], rng.random(n), side="right").astype(np.int64) + first


def status(rng: np.random.Generator, chance: Array, missing: float = 0.0) -> Codes:
    """Draw binary outcomes, -1 where missing, shape ``(n,)``."""
    found = (rng.random(len(chance)) < chance).astype(np.int64)
    return np.where(rng.random(len(chance)) < missing, -1, found)


def late_entry(
    rng: np.random.Generator, n: int, draw: Callable[[int], tuple[Array, Codes]]
) -> tuple[Array, Array, Codes]:
    """Draw times, other codes, and days of entry of patients who live to enter, each shape ``(n,)``.

    Args:
      rng: Draws.
      n: Patients who are seen.
      draw: Draws times and codes of so many people.

    Returns:
      Entry, time of the event, codes.
    """
    entries, times, labels, seen = [], [], [], 0
    while seen < n:
        more = int((n - seen) * 1.3) + 20
        time, label = draw(more)
        entry = np.where(rng.random(more) < 0.5, 0.0, rng.exponential(90.0, more))
        there = entry < time
        entries.append(entry[there])
        times.append(time[there])
        labels.append(label[there])
        seen += int(there.sum())
    return (
        np.concatenate(entries)[:n], np.concatenate(times)[:n], np.concatenate(labels)[:n],
    )  # fmt: skip


def followed(
    rng: np.random.Generator, entry: Array, time: Array, kind: Codes | int = 1, *,
    least: float = 365.0, most: float = 1400.0,
) -> SurvivalOutcome:  # fmt: skip
    """Censor uniformly between ``least`` and ``most`` days after entry."""
    until = entry + rng.uniform(least, most, len(time))
    happened = time <= until
    return SurvivalOutcome(entry, np.minimum(time, until), np.where(happened, kind, 0).astype(np.int64))
