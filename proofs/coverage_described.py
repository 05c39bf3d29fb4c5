"""Worlds of the questions that describe a cohort: shares, costs, quantiles, months, policies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.analyses.estimate import Stratum
from proofs.coverage import Drawn, Truth, World
from proofs.coverage_draws import MEASURED, codes, sites, status

Array = NDArray[np.float64]
CAP = 40_000.0
CHANGE = 20_270.0
"""2025-07-01, in days since 1970-01-01."""


def _sex(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    return codes(rng, n, (0.04, 0.56, 0.40), -1)


def _missing(rng: np.random.Generator, values: Array, share: float = 0.08) -> Array:
    return np.where(rng.random(len(values)) < share, np.nan, values)


def _shares(rng: np.random.Generator, n: int) -> Drawn:
    sex = _sex(rng, n)
    chance = np.where(sex == 0, 0.35, 0.06)
    return Drawn(
        Cohort(
            n, {"sex": sex, "egfr": codes(rng, n, (0.3, 0.45, 0.25))},
            binary={
                "response": BinaryOutcome(status(rng, chance, 0.1)),
                "control": BinaryOutcome(status(rng, chance, 0.1)),
            },
        )
    )  # fmt: skip


def _cross_table(rng: np.random.Generator, n: int) -> Drawn:
    return Drawn(Cohort(n, {"sex": _sex(rng, n), "egfr": codes(rng, n, (0.06, 0.3, 0.4, 0.24), -1)}))


def _amounts(rng: np.random.Generator, n: int) -> Drawn:
    """Costs are Gamma with shape 2 and mean 8,000 (women) or 6,000, with 1 in 300 above the clip."""
    sex = _sex(rng, n)
    cost = rng.gamma(2.0, np.where(sex == 0, 4_000.0, 3_000.0))
    return Drawn(Cohort(n, {"sex": sex}, {"cost": _missing(rng, cost)}))


def _gamma_quantiles(stratum: Stratum, name: str) -> Truth | None:
    """Quantiles and cumulative shares of the costs, by sex."""
    scale = {"sex=female": 4_000.0, "sex=male": 3_000.0}.get(stratum.name)
    if scale is None:
        return None
    if name == "median" or name.startswith("quantile"):
        q = 0.5 if name == "median" else float(name.split()[1])
        return float(scale * special.gammaincinv(2.0, q))
    return None


def _between_fences(stratum: Stratum, name: str) -> Truth | None:
    """Mean of the costs between the published fences, and the share outside them."""
    scale = {"sex=female": 4_000.0, "sex=male": 3_000.0}.get(stratum.name)
    if name == "missing":
        return None
    low, high = (stratum.released[f"{word} fence"].value for word in ("lower", "upper"))
    weights = {4_000.0: 1.0} if scale == 4_000.0 else {3_000.0: 1.0}
    if scale is None:
        weights = {4_000.0: 0.0, 3_000.0: 1.0}
    inside = total = 0.0
    for theta, weight in weights.items():
        mass = special.gammainc(2.0, high / theta) - special.gammainc(2.0, max(low, 0.0) / theta)
        first = special.gammainc(3.0, high / theta) - special.gammainc(3.0, max(low, 0.0) / theta)
        inside += float(weight * mass)
        total += float(weight * 2.0 * theta * first)
    return 1 - inside if name == "trimmed" else total / inside


def _fenced(rng: np.random.Generator, n: int) -> Drawn:
    """As `_amounts`, everybody's sex known and nobody above the clip."""
    sex = codes(rng, n, (0.56, 0.44))
    cost = rng.gamma(2.0, np.where(sex == 0, 4_000.0, 3_000.0))
    return Drawn(Cohort(n, {"sex": sex}, {"cost": np.minimum(cost, CAP - 1)}))


def _pairs(rng: np.random.Generator, n: int) -> Drawn:
    """Cost and benefit go together; the treated cost and have more."""
    arm = codes(rng, n, (0.45, 0.55))
    shared = rng.normal(0.0, 1.0, n)
    benefit = 1.4 + 0.4 * arm + 0.3 * shared + rng.normal(0.0, 0.4, n)
    cost = 12_000.0 + 4_000.0 * arm + 1_500.0 * shared + rng.normal(0.0, 2_500.0, n)
    return Drawn(Cohort(n, {"arm": arm}, {"cost": _missing(rng, cost, 0.04), "benefit": benefit}))


def _visits(rng: np.random.Generator, n: int) -> Drawn:
    reasons = rng.poisson(0.9, n)
    visits = np.minimum(rng.poisson(0.5 + 0.6 * (reasons > 0), n), 6)
    return Drawn(
        Cohort(
            n,
            {"sex": _sex(rng, n)},
            {"visits": _missing(rng, visits.astype(float), 0.05), "reasons": reasons.astype(float)},
        )
    )


def _harms(rng: np.random.Generator, n: int) -> Drawn:
    harm = codes(rng, n, (0.06, 0.44, 0.22, 0.13, 0.09, 0.04, 0.02), -1)
    return Drawn(Cohort(n, {"arm": codes(rng, n, (0.5, 0.5)), "harm": harm}))


def _days(rng: np.random.Generator, n: int, shares: Array | None = None) -> tuple[Array, NDArray[np.int64]]:
    """Calendar days of 2025 and their months; months have the same number of patients, or these shares."""
    starts = np.arange("2025-01", "2026-02", dtype="datetime64[M]").astype("datetime64[D]").astype(np.int64)
    month = codes(rng, n, tuple(shares if shares is not None else np.full(12, 1 / 12)))
    within = np.floor(rng.random(n) * (starts[month + 1] - starts[month]))
    return np.asarray(starts[month] + within, dtype=np.float64), month


def _season(month: Array) -> Array:
    return 0.4 * np.sin(2 * np.pi * month / 12)


def _monthly(rng: np.random.Generator, n: int) -> Drawn:
    day, month = _days(rng, n)
    return Drawn(
        Cohort(
            n, numbers={"started": day, "score": _season(month.astype(np.float64)) + rng.normal(0.0, 1.0, n)}
        )
    )


def _monthly_truth(stratum: Stratum, name: str) -> Truth | None:
    del stratum
    return _season if name == "score by month" else None


SLOPE, LEVEL, BEND = 0.04, 0.5, -0.08


def _segments(t: Array) -> Array:
    return -0.3 + SLOPE * t + (LEVEL + BEND * (t - 6)) * (t >= 6)


def _interrupted(rng: np.random.Generator, n: int) -> Drawn:
    day, month = _days(rng, n)
    return Drawn(
        Cohort(
            n,
            numbers={"started": day, "score": _segments(month.astype(np.float64)) + rng.normal(0.0, 1.0, n)},
        )
    )


def _interrupted_truth(stratum: Stratum, name: str) -> Truth | None:
    del stratum
    planted: dict[str, Truth] = {
        "slope before": SLOPE, "change of level": LEVEL, "change of slope": BEND, "observed": _segments,
        "expected without the change": lambda t: -0.3 + SLOPE * t,
    }  # fmt: skip
    return planted.get(name)


STEADY = np.array([0.06 + 0.002 * m + (0.02 - 0.003 * (m - 6)) * (m >= 6) for m in range(12)])


def _more_patients(rng: np.random.Generator, n: int) -> Drawn:
    """A quarter come in the year; by month they rise, and more of them come after the change."""
    day = _days(rng, n, STEADY / STEADY.sum())[0]
    return Drawn(Cohort(n, numbers={"started": np.where(rng.random(n) < 0.75, np.nan, day)}))


def _differences(rng: np.random.Generator, n: int) -> Drawn:
    """Both groups rise alike; where the policy applies the score rises by .4 more after the change."""
    day, month = _days(rng, n)
    arm = codes(rng, n, (0.6, 0.4))
    score = -0.5 * arm + 0.03 * month + 0.4 * arm * (day >= CHANGE) + rng.normal(0.0, 1.0, n)
    return Drawn(Cohort(n, {"arm": arm}, {"started": day, "score": score}))


def _differences_truth(stratum: Stratum, name: str) -> Truth | None:
    del stratum
    return {"difference in differences": 0.4, "placebo before the change": 0.0}.get(name)


BETWEEN = 0.4


def _hospitals(rng: np.random.Generator, n: int) -> Drawn:
    """Hospitals differ around 0.3 by a standard deviation of .4; a new one is drawn with them."""
    place, means = sites(rng, n), 0.3 + BETWEEN * rng.normal(0.0, 1.0, 7)
    score = means[place] + rng.normal(0.0, 0.8, n)
    truths = {(f"site {i + 1}", "mean"): float(means[i]) for i in range(6)}
    truths |= {(f"site {i + 1}", "mean over the other hospitals"): 0.3 for i in range(6)}
    truths |= {
        ("all", "mean over hospitals"): 0.3,
        ("all", "prediction for a new hospital"): float(means[6]),
        ("all", "standard deviation between hospitals"): BETWEEN,
    }
    return Drawn(Cohort(n, numbers={"score": score}, site=place), truths)


def _checked(rng: np.random.Generator, n: int) -> Drawn:
    """A cohort of which a fifth was not selected; groups by EGFR differ in age and sex."""
    everybody = codes(rng, round(n / 0.8), (0.8, 0.08, 0.12))
    lost, n = everybody[everybody > 0] - 1, int((everybody == 0).sum())
    egfr = codes(rng, n, (0.3, 0.45, 0.25))
    age = np.clip(rng.normal(62.0 - 3.0 * (egfr == 0), 9.0, n), 31, 89)
    sex = codes(rng, n, (0.5, 0.5))
    sex = np.where(egfr == 0, np.minimum(sex, codes(rng, n, (0.4, 0.6))), sex)
    return Drawn(
        Cohort(
            n, {"egfr": egfr, "sex": np.where(rng.random(n) < 0.05, -1, sex)},
            {"age": _missing(rng, age, 0.06)},
            {"response": BinaryOutcome(status(rng, np.full(n, 0.3), 0.12))},
            lost=lost,
        )
    )  # fmt: skip


DIAGNOSED = """
[variables]
egfr = { variant = { gene = "EGFR" }, levels = ["mutated", "wild type", "not tested"] }
sex = { person = "sex", levels = ["female", "male"] }
age = { person = "age", clip = [30, 90], unit = "years" }

[endpoints]
response = { kind = "binary", source = "person", column = "response" }

[diagnostics]
share = DIAGNOSTICS
"""

BY_SEX = 'by = ["sex"]'
CALENDAR = 'calendar = "started"\n'
AFTER = f"{CALENDAR}change = 2025-07-01\n"

WORLDS = (
    World("proportion", "missing fails", f'endpoint = "response"\n{BY_SEX}', MEASURED, _shares),
    World("proportion", "missing left out", f'endpoint = "control"\n{BY_SEX}', MEASURED, _shares),
    World("counts", "", f'{BY_SEX}\nacross = "egfr"', MEASURED, _cross_table, facts=("patients",)),
    World("mean", "skewed costs", f'variable = "cost"\n{BY_SEX}', MEASURED, _amounts),
    World("quantiles", "even grid", f'variable = "cost"\n{BY_SEX}', MEASURED, _amounts, _gamma_quantiles),
    World(
        "quantiles",
        "growing grid",
        f'variable = "cost"\n{BY_SEX}\ncells = 128\nspacing = "growing"',
        MEASURED,
        _amounts,
        _gamma_quantiles,
    ),
    World("trimmed_mean", "", f'variable = "cost"\n{BY_SEX}', MEASURED, _fenced, _between_fences),
    World(
        "cross_moments",
        "two arms",
        'cost = "cost"\neffect = "benefit"\nby = ["arm"]\ncompare = true',
        MEASURED,
        _pairs,
    ),
    World("utilisation", "", f'variable = "visits"\n{BY_SEX}\nindication = "reasons"', MEASURED, _visits),
    World(
        "spend",
        "",
        f'variable = "cost"\nlimit = 1e7\n{BY_SEX}',
        MEASURED,
        _amounts,
        facts=("spent", "share of"),
    ),
    World("adverse_events", "", 'variable = "harm"\nby = ["arm"]', MEASURED, _harms),
    World(
        "monthly",
        "",
        f'{CALENDAR}of = "score"',
        MEASURED,
        _monthly,
        _monthly_truth,
        facts=("patients", "cumulative patients"),
    ),
    World(
        "interrupted_time_series",
        "a number",
        f'{AFTER}of = "score"',
        MEASURED,
        _interrupted,
        _interrupted_truth,
    ),
    World(
        "interrupted_time_series",
        "patients",
        AFTER,
        MEASURED,
        _more_patients,
        totals=("slope", "change", "observed", "expected"),
        sizes=(800, 8_000),
    ),
    World(
        "difference_in_differences",
        "",
        f'of = "score"\n{AFTER}group = "arm"\napplies = "treated"\ncompared = "control"',
        MEASURED,
        _differences,
        _differences_truth,
    ),
    World(
        "by_site",
        "unequal hospitals that differ",
        'variable = "score"',
        MEASURED,
        _hospitals,
        sizes=(600, 6_000),
    ),
    World(
        "diagnostics",
        "",
        'kind = "proportion"\nendpoint = "response"\nby = ["egfr"]',
        MEASURED[: MEASURED.index("[variables]")] + DIAGNOSED,
        _checked,
    ),
)
"""Every world of these kinds."""
