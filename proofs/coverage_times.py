"""Worlds of the questions about time: survival, tests, competing events, rates, milestones, hazards.

Late entry is planted wherever a question can have it; `NAIVE` ignores it, and is only shown to fail.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.estimate import Stratum
from proofs.coverage import CURVE, Drawn, Truth, World
from proofs.coverage_draws import MEASURED, MONTH, codes, followed, late_entry

Array = NDArray[np.float64]
HORIZON = 24 * MONTH
RATES = {"egfr=mutated": 1 / 700, "egfr=wild type": 1 / 450}
SHARES = {"egfr=mutated": 0.4, "egfr=wild type": 0.6}


def _alive(group: str, t: Array) -> Array:
    """Exponential survival of a group, or of both together."""
    if group in RATES:
        return np.exp(-RATES[group] * t)
    return np.asarray(sum(SHARES[g] * np.exp(-RATES[g] * t) for g in RATES), dtype=np.float64)


@cache
def _half_time(group: str) -> float:
    low, high = 0.0, 5_000.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _alive(group, np.array([middle]))[0] > 0.5 else (low, middle)
    return low


def _area(group: str, horizon: float) -> float:
    if group in RATES:
        return float((1 - np.exp(-RATES[group] * horizon)) / RATES[group])
    return sum(SHARES[g] * _area(g, horizon) for g in RATES)


def _by_egfr(rng: np.random.Generator, n: int) -> Drawn:
    """Everybody is tested; the mutated live longer; half enter late."""

    def draw(m: int) -> tuple[Array, NDArray[np.int64]]:
        group = codes(rng, m, (0.4, 0.6))
        return rng.exponential(np.where(group == 0, 700.0, 450.0)), group

    entry, time, group = late_entry(rng, n, draw)
    seen = followed(rng, entry, time)
    return Drawn(Cohort(n, {"egfr": group}, survival={"os": seen, "os_days": seen}))


def _survival(stratum: Stratum, name: str, horizon: float = HORIZON) -> Truth | None:
    group = stratum.name
    if name == CURVE:
        return lambda t: _alive(group, t)
    if name.startswith("survival at day"):
        return float(_alive(group, np.array([float(name.rsplit(" ", 1)[1])]))[0])
    if name == "median":
        return _half_time(group)
    return _area(group, horizon) if name == "restricted mean" else None


def _survival_days(stratum: Stratum, name: str) -> Truth | None:
    if (
        name == "restricted mean"
    ):  # on a daily grid the area under steps: a death on day j counts until its end
        days = np.arange(1, 120)
        return float(1 + _alive(stratum.name, days.astype(np.float64)).sum())
    return _survival(stratum, name)


def _ignoring_entry(rng: np.random.Generator, n: int) -> Drawn:
    """The same patients, taken for followed from day zero."""
    seen = _by_egfr(rng, n).cohort
    outcome = seen.survival["os"]
    from_zero = SurvivalOutcome(np.zeros(n), outcome.exit, outcome.event)
    return Drawn(Cohort(n, seen.categories, survival={"os_zero": from_zero}))


RATIO = 0.8


def _arms(rng: np.random.Generator, n: int) -> Drawn:
    """The treated have 0.8 times the hazard; half enter late."""

    def draw(m: int) -> tuple[Array, NDArray[np.int64]]:
        arm = codes(rng, m, (0.5, 0.5))
        return rng.exponential(500.0 / RATIO**arm), arm

    entry, time, arm = late_entry(rng, n, draw)
    return Drawn(Cohort(n, {"arm": arm}, survival={"os": followed(rng, entry, time)}))


def _ratio(stratum: Stratum, name: str) -> Truth | None:
    del stratum
    return RATIO if name == "hazard ratio" else None


FIRST, SECOND = 1 / 600, 1 / 1_200
BOTH = FIRST + SECOND


def _kinds(rng: np.random.Generator, n: int) -> Drawn:
    """Progression at 1/600 a day, death at 1/1200; half enter late."""

    def draw(m: int) -> tuple[Array, NDArray[np.int64]]:
        return rng.exponential(1 / BOTH, m), codes(rng, m, (FIRST / BOTH, SECOND / BOTH), 1)

    entry, time, kind = late_entry(rng, n, draw)
    return Drawn(Cohort(n, survival={"pfs": followed(rng, entry, time, kind)}))


def _incidence(stratum: Stratum, name: str) -> Truth | None:
    del stratum
    share = (FIRST if "progression" in name else SECOND) / BOTH
    if name.startswith("days lost"):
        return share * (HORIZON - (1 - float(np.exp(-BOTH * HORIZON))) / BOTH)
    if " at day " in name:
        return share * (1 - float(np.exp(-BOTH * float(name.rsplit(" ", 1)[1]))))
    return lambda t: share * (1 - np.exp(-BOTH * t))


def _plain(rng: np.random.Generator, n: int) -> Drawn:
    """A hazard of 1/500 a day, 5 % with an unknown event; half enter late."""
    entry, time, _ = late_entry(rng, n, lambda m: (rng.exponential(500.0, m), np.zeros(m, dtype=np.int64)))
    seen = followed(rng, entry, time)
    unknown = np.where(rng.random(n) < 0.05, -1, seen.event)
    return Drawn(Cohort(n, survival={"os": SurvivalOutcome(seen.entry, seen.exit, unknown)}))


def _rate(stratum: Stratum, name: str) -> Truth | None:
    del stratum
    return 100 * 365.25 / 500 if name == "rate" else None


def _instalments(rng: np.random.Generator, n: int) -> Drawn:
    seen = followed(rng, np.zeros(n), rng.exponential(500.0, n), least=60.0, most=500.0)
    started = rng.integers(20_089, 20_454, n).astype(np.float64)
    return Drawn(
        Cohort(
            n, {"sex": codes(rng, n, (0.04, 0.56, 0.4), -1)}, {"started": started}, survival={"os_zero": seen}
        )
    )


SHAPE, SCALE = 1.3, 650.0


def _weibull(rng: np.random.Generator, n: int) -> Drawn:
    entry, time, _ = late_entry(
        rng, n, lambda m: (SCALE * rng.weibull(SHAPE, m), np.zeros(m, dtype=np.int64))
    )
    return Drawn(Cohort(n, survival={"os": followed(rng, entry, time)}))


def _extrapolated(stratum: Stratum, name: str) -> Truth | None:
    del stratum

    def alive(t: Array) -> Array:
        return np.asarray(np.exp(-((t / SCALE) ** SHAPE)))

    if name in ("shape", "scale"):
        return SHAPE if name == "shape" else SCALE
    if name == "survival":
        return alive
    last = float(name.rsplit(" ", 1)[1])
    if name.startswith("survival at day"):
        return float(alive(np.array([last]))[0])
    days = np.linspace(0, last, 20_001)
    return float(np.trapezoid(alive(days), days))


BREAK = 6 * MONTH


def _pieces(rng: np.random.Generator, n: int) -> Drawn:
    """A hazard of 1/400 a day for half a year, then 1/800."""

    def draw(m: int) -> tuple[Array, NDArray[np.int64]]:
        need = rng.exponential(1.0, m)
        return np.where(need < BREAK / 400, need * 400, BREAK + (need - BREAK / 400) * 800), np.zeros(
            m, dtype=np.int64
        )

    entry, time, _ = late_entry(rng, n, draw)
    return Drawn(Cohort(n, survival={"os": followed(rng, entry, time)}))


def _pieces_truth(stratum: Stratum, name: str) -> Truth | None:
    del stratum

    def alive(t: Array) -> Array:
        return np.asarray(np.exp(-np.minimum(t, BREAK) / 400 - np.maximum(t - BREAK, 0) / 800))

    if name.startswith("hazard"):
        return 1 / 400 if name.endswith("day 0") else 1 / 800
    if name == "survival":
        return alive
    last = float(name.rsplit(" ", 1)[1])
    if name.startswith("survival at day"):
        return float(alive(np.array([last]))[0])
    days = np.linspace(0, last, 20_001)
    return float(np.trapezoid(alive(days), days))


def _tested(rng: np.random.Generator, n: int) -> Drawn:
    """A quarter is never tested, and followed from day zero; entry does not depend on survival."""
    untested = rng.binomial(n, 0.25)

    def draw(m: int) -> tuple[Array, NDArray[np.int64]]:
        return rng.exponential(500.0, m), codes(rng, m, (0.4, 0.6))

    entry, time, group = late_entry(rng, n - untested, draw)
    entry = np.concatenate([entry, np.zeros(untested)])
    time = np.concatenate([time, rng.exponential(500.0, untested)])
    group = np.concatenate([group, np.full(untested, 2)])
    return Drawn(Cohort(n, {"egfr": group}, survival={"os": followed(rng, entry, time)}))


def _tested_truth(stratum: Stratum, name: str) -> Truth | None:
    del stratum
    if name == "hazard ratio":
        return 1.0
    if name == "events above expected":
        return 0.0
    if name == CURVE:
        return lambda t: np.exp(-t / 500)
    if name.startswith("survival at day"):
        return float(np.exp(-float(name.rsplit(" ", 1)[1]) / 500))
    if name == "median":
        return 500 * float(np.log(2))
    if name == "restricted mean":
        return 500 * (1 - float(np.exp(-HORIZON / 500)))
    return None


MEN = 0.45
BY_SEX = (600.0, 380.0)
"""Mean time of women and of men, in days."""


def _tested_by_sex(rng: np.random.Generator, n: int) -> Drawn:
    """Women are tested more often, and sooner, and live longer; being tested changes nothing."""
    sex = codes(rng, n, (1 - MEN, MEN))
    time, until = rng.exponential(np.array(BY_SEX)[sex]), rng.uniform(365.0, 1_400.0, n)
    report = np.where(rng.random(n) < 0.4, 0.0, rng.exponential(np.where(sex == 0, 120.0, 240.0)))
    report[rng.random(n) < np.array([0.15, 0.3])[sex]] = np.inf
    tested = report < np.minimum(time, until)
    seen = SurvivalOutcome(
        np.where(tested, report, 0.0), np.minimum(time, until), (time <= until).astype(np.int64)
    )
    egfr = np.where(tested, codes(rng, n, (0.4, 0.6)), 2)
    return Drawn(Cohort(n, {"egfr": egfr, "sex": sex}, survival={"os": seen}))


def _weighted(stratum: Stratum, name: str) -> Truth | None:
    if stratum.name != "weighted by testing":
        return None
    if name.startswith("left out"):  # noise may leave out a sex, and then that is the truth
        value = stratum.estimates[name].value
        return min((0.0, MEN, 1 - MEN), key=lambda share: abs(share - value))
    if name.startswith("difference"):
        return 0.0
    rates = np.array([(1 - MEN, 1 / BY_SEX[0]), (MEN, 1 / BY_SEX[1])])
    if "left out of the weights" in stratum.estimates:  # those who are left are whom it is about
        lost = stratum.estimates["left out of the weights"].value
        if lost > 0.2:
            rates = rates[[1]] if abs(lost - (1 - MEN)) < abs(lost - MEN) else rates[[0]]
    share, rate = rates[:, 0] / rates[:, 0].sum(), rates[:, 1]
    if name.startswith("restricted mean"):
        return float(share @ ((1 - np.exp(-rate * HORIZON)) / rate))
    return float(share @ np.exp(-rate * float(name.split()[3])))


AT = 'at = ["6 months", "12 months"]'
BY_EGFR = 'by = ["egfr"]'

WORLDS = (
    World(
        "kaplan_meier",
        "months, late entry",
        f'endpoint = "os"\n{BY_EGFR}\n{AT}\ncompare = true',
        MEASURED,
        _by_egfr,
        _survival,
        facts=("events",),
        totals=("events above",),
        events=0.6,
    ),
    World(
        "kaplan_meier",
        "days, late entry",
        f'endpoint = "os_days"\n{BY_EGFR}\nat = ["60 days"]',
        MEASURED,
        _by_egfr,
        _survival_days,
        events=0.6,
        epsilons=(1.0, 8.0),
    ),
    World(
        "log_rank",
        "late entry",
        'endpoint = "os"\nby = ["arm"]',
        MEASURED,
        _arms,
        _ratio,
        facts=("events",),
        totals=("events above",),
        events=0.6,
    ),
    World(
        "competing_risks", "late entry", f'endpoint = "pfs"\n{AT}', MEASURED, _kinds, _incidence, events=0.6
    ),
    World(
        "rate", "late entry", 'endpoint = "os"', MEASURED, _plain, _rate, facts=("person-years",), events=0.6
    ),
    World(
        "milestones",
        "",
        'endpoint = "os_zero"\nby = ["sex"]\nat = ["3 months", "6 months"]\n'
        'calendar = "started"\nas_of = 2025-12-31',
        MEASURED,
        _instalments,
        facts=("due",),
    ),
    World(
        "parametric_survival",
        "Weibull, late entry",
        f'endpoint = "os"\nmodel = "weibull"\n{AT}\nhorizon = "5 years"',
        MEASURED,
        _weibull,
        _extrapolated,
        events=0.6,
    ),
    World(
        "parametric_survival",
        "two hazards, late entry",
        f'endpoint = "os"\nmodel = "piecewise"\nbreaks = ["6 months"]\n{AT}',
        MEASURED,
        _pieces,
        _pieces_truth,
        events=0.3,
    ),
    World(
        "delayed_entry",
        "",
        f'endpoint = "os"\ntested = "egfr"\nsplit = ["3 months"]\n{AT}',
        MEASURED,
        _tested,
        _tested_truth,
        facts=("events",),
        sizes=(600, 4_000),
        events=0.6,
    ),
    World(
        "delayed_entry",
        "weighted by testing",
        f'endpoint = "os"\ntested = "egfr"\nsplit = ["3 months"]\n{AT}\nweights = ["sex"]',
        MEASURED,
        _tested_by_sex,
        _weighted,
        facts=("events",),
        totals=("events above",),
        sizes=(1_000, 6_000),
        events=0.3,
    ),
)
"""Every world of these kinds."""

NAIVE = World(
    "kaplan_meier",
    "late entry ignored",
    f'endpoint = "os_zero"\nby = ["sex"]\n{AT}',
    MEASURED,
    _ignoring_entry,
    _survival,
    epsilons=(1.0,),
)
"""Followed from day zero though half were not: patients who died before their report are missing."""
