"""Worlds of the questions that model and compare: regressions, treatment effects, predictions.

Confounding is planted in every treatment effect: who is older, or worse, is treated less and fares worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.analyses.estimate import Conclusion, Stratum
from fedvalue.analyses.evalue import evalue
from proofs.coverage import Drawn, Truth, World
from proofs.coverage_draws import CONTROLS, MEASURED, MONTH, codes, followed, late_entry, sites

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
HORIZON = 24 * MONTH


def _expit(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def people(rng: np.random.Generator, n: int) -> tuple[Array, Codes, Codes]:
    """Age, EGFR and arm."""
    return (
        np.clip(rng.normal(60.0, 10.0, n), 30, 90),
        codes(rng, n, (0.3, 0.45, 0.25)),
        codes(rng, n, (0.5, 0.5)),
    )


def coefficients(planted: dict[str, float], ratio: str = "") -> dict[str, float]:
    """Planted coefficients and their ratios, by the names of a table."""
    ratios = {f"{ratio} of {name}": float(np.exp(v)) for name, v in planted.items() if name != "intercept"}
    return planted | (ratios if ratio else {})


LOGISTIC = coefficients(
    {"intercept": -2.2, "age": 0.03, "egfr=wild type": -0.5, "egfr=not tested": 0.3}, "odds ratio"
)
LINEAR = coefficients({"intercept": -1.5, "age": 0.02, "arm=treated": 0.4})
POISSON = coefficients({"intercept": -0.9, "age": 0.01, "arm=treated": 0.3}, "rate ratio")
GAMMA = coefficients({"intercept": 8.0, "age": 0.01, "arm=treated": -0.25}, "cost ratio")
ANY = coefficients({"intercept": -0.6, "age": 0.02, "arm=treated": 0.4}, "odds ratio")


@dataclass(frozen=True, slots=True)
class Tables:
    """Planted coefficients by stratum."""

    by: dict[str, dict[str, float]]

    def __call__(self, stratum: Stratum, name: str) -> Truth | None:
        """Return what was planted."""
        return self.by[stratum.name].get(name)


def planted(*tables: dict[str, float], strata: tuple[str, ...] = ("all",)) -> Tables:
    """Planted coefficients, one table a stratum."""
    return Tables(dict(zip(strata, tables, strict=True)))


def _logistic(rng: np.random.Generator, n: int) -> Drawn:
    age, egfr, _ = people(rng, n)
    eta = LOGISTIC["intercept"] + LOGISTIC["age"] * age + np.array([0.0, -0.5, 0.3])[egfr]
    response = (rng.random(n) < _expit(eta)).astype(np.int64)
    return Drawn(Cohort(n, {"egfr": egfr}, {"age": age}, {"response": BinaryOutcome(response)}))


def _numbers(rng: np.random.Generator, n: int) -> Drawn:
    """A score, visits and costs, each of its own model."""
    age, _, arm = people(rng, n)
    x = np.column_stack([np.ones(n), age, arm * 1.0])

    def eta(table: dict[str, float]) -> Array:
        return np.asarray(
            x @ np.array([table["intercept"], table["age"], table["arm=treated"]]), dtype=np.float64
        )

    score = eta(LINEAR) + rng.normal(0.0, 0.8, n)
    visits = rng.poisson(np.exp(eta(POISSON))).astype(np.float64)
    cost = rng.gamma(4.0, np.exp(eta(GAMMA)) / 4.0)
    return Drawn(Cohort(n, {"arm": arm}, {"age": age, "score": score, "visits": visits, "cost": cost}))


def _two_parts(rng: np.random.Generator, n: int) -> Drawn:
    found = _numbers(rng, n).cohort
    eta = ANY["intercept"] + ANY["age"] * found.numbers["age"] + ANY["arm=treated"] * found.categories["arm"]
    cost = np.where(rng.random(n) < _expit(eta), found.numbers["cost"], 0.0)
    return Drawn(Cohort(n, found.categories, {**found.numbers, "cost": cost}))


def _confounded(rng: np.random.Generator, n: int) -> Drawn:
    """Older patients and men are treated less and respond less; the effect is .15, and .25 among men."""
    age, sex = rng.normal(60, 10, n).clip(30, 90), codes(rng, n, (0.55, 0.45))
    risk = (age - 60) / 20 + 0.4 * (sex - 0.5)
    arm = (rng.random(n) < _expit(-risk)).astype(np.int64)
    chance = 0.42 + (0.15 + 0.1 * sex) * arm - 0.15 * risk
    response = (rng.random(n) < chance).astype(np.int64)
    cost = 12_000 + 3_000 * arm + 2_500 * risk + rng.normal(0, 2_500, n)
    never = {f"never_{i}": BinaryOutcome((rng.random(n) < 0.25).astype(np.int64)) for i in range(CONTROLS)}
    return Drawn(
        Cohort(
            n,
            {"arm": arm, "sex": sex},
            {"age": age, "cost": cost},
            {"response": BinaryOutcome(response), **never},
        )
    )


EFFECT, MEN, WOMEN = 0.15 + 0.1 * 0.45, 0.25, 0.15
IF_CONTROL = 0.42 - 0.15 * 0.4 * (0.45 - 0.5)


def _effect(stratum: Stratum, name: str) -> Truth | None:
    if name.startswith("ratio: never"):
        return 1.0
    planted = {
        ("all", "effect"): EFFECT, ("all", "mean if control"): IF_CONTROL,
        ("all", "mean if treated"): IF_CONTROL + EFFECT, ("all", "ratio"): 1 + EFFECT / IF_CONTROL,
        ("all", "ratio, calibrated by negative controls"): 1 + EFFECT / IF_CONTROL,
        ("all", "E-value"): evalue(1 + EFFECT / IF_CONTROL),
        ("sex=female", "effect"): WOMEN, ("sex=male", "effect"): MEN,
        ("sex=male", "interaction"): MEN - WOMEN,
        ("negative controls", "bias of the log ratio"): 0.0,
    }  # fmt: skip
    return planted.get((stratum.name, name))


def _effect_on_cost(stratum: Stratum, name: str) -> Truth | None:
    control = 12_000 + 2_500 * 0.4 * (0.45 - 0.5)
    planted = {
        ("all", "effect"): 3_000.0, ("all", "mean if control"): control,
        ("all", "mean if treated"): control + 3_000,
        ("all", "ratio"): 1 + 3_000 / control,
    }  # fmt: skip
    return planted.get((stratum.name, name))


def _timed(rng: np.random.Generator, n: int) -> Drawn:
    """Men are treated less and live shorter; half enter late."""

    def draw(m: int) -> tuple[Array, Codes]:
        sex = codes(rng, m, (0.55, 0.45))
        arm = (rng.random(m) < _expit(0.5 - sex.astype(np.float64))).astype(np.int64)
        return rng.exponential(MEAN_TIMES[sex, arm]), sex * 2 + arm

    entry, time, label = late_entry(rng, n, draw)
    return Drawn(
        Cohort(n, {"arm": label % 2, "sex": label // 2}, survival={"os": followed(rng, entry, time)})
    )


MEAN_TIMES = np.array([[500.0, 700.0], [350.0, 500.0]])
"""Mean time by sex and arm, in days."""


def _restricted(sex: int, arm: int) -> float:
    mean = MEAN_TIMES[sex, arm]
    return float(mean * (1 - np.exp(-HORIZON / mean)))


def _times(rng: np.random.Generator, n: int) -> Drawn:
    """The same without late entry."""
    sex = codes(rng, n, (0.55, 0.45))
    arm = (rng.random(n) < _expit(0.5 - sex.astype(np.float64))).astype(np.int64)
    return Drawn(
        Cohort(
            n,
            {"arm": arm, "sex": sex},
            survival={"os_zero": followed(rng, np.zeros(n), rng.exponential(MEAN_TIMES[sex, arm]))},
        )
    )


def _effect_on_time(stratum: Stratum, name: str) -> Truth | None:
    means = [0.55 * _restricted(0, arm) + 0.45 * _restricted(1, arm) for arm in (0, 1)]
    planted = {
        ("all", "effect"): means[1] - means[0], ("all", "mean if control"): means[0],
        ("all", "mean if treated"): means[1], ("all", "ratio"): means[1] / means[0],
    }  # fmt: skip
    return planted.get((stratum.name, name))


SHORT = 180.0


def _late_starters(rng: np.random.Generator, n: int) -> Drawn:
    """Women start sooner and live longer; starting, whenever, does nothing. Days are whole."""
    sex = codes(rng, n, (0.55, 0.45))
    start = np.ceil(rng.exponential(np.where(sex == 0, 60.0, 120.0)))
    seen = followed(rng, np.zeros(n), np.ceil(rng.exponential(np.where(sex == 0, 300.0, 150.0))))
    started = np.where(start < seen.exit, np.minimum(start, 999), np.nan)
    return Drawn(Cohort(n, {"sex": sex}, {"exposed": started}, survival={"os_short": seen}))


def _grace(stratum: Stratum, name: str) -> Truth | None:
    days = np.arange(SHORT)  # alive at the end of each day but the last, and the first
    value = stratum.estimates["left out of the standardization"].value  # noise may leave out a sex
    lost = min((0.0, 0.45, 0.55), key=lambda share: abs(share - value))
    if name.startswith("left out"):
        return lost
    sexes = [(w, m) for w, m in ((0.55, 300.0), (0.45, 150.0)) if w != lost]
    mean = sum(w * float(np.exp(-days / m).sum()) for w, m in sexes) / sum(w for w, _ in sexes)
    planted = {"effect": 0.0, "restricted mean if started in time": mean, "restricted mean if not": mean}
    return planted.get(name)


def _risks(rng: np.random.Generator, n: int) -> Drawn:
    """A risk that ranks patients well and says a little too much."""
    risk = rng.beta(2.0, 3.0, n)
    event = (rng.random(n) < 0.9 * risk**1.1).astype(np.int64)
    return Drawn(
        Cohort(n, {"sex": codes(rng, n, (0.6, 0.4))}, {"risk": risk}, {"response": BinaryOutcome(event)})
    )


PLACES = (0.0, 0.25, -0.3, 0.1, -0.15, 0.1)
"""How much more often than elsewhere, on the log scale, patients of each hospital have the event."""


def _placed_risks(rng: np.random.Generator, n: int) -> Drawn:
    """As `_risks` with fewer events, in hospitals that differ; the risk of the mutated is higher."""
    place, egfr = sites(rng, n), codes(rng, n, (0.4, 0.6))
    risk = rng.beta(np.where(egfr == 0, 2.5, 2.0), 3.0, n)
    event = (rng.random(n) < 0.6 * risk**1.1 * np.exp(np.array(PLACES)[place])).astype(np.int64)
    started = np.floor(rng.uniform(20_089, 20_454, n))
    return Drawn(
        Cohort(
            n, {"sex": codes(rng, n, (0.6, 0.4)), "egfr": egfr}, {"risk": risk, "started": started},
            {"response": BinaryOutcome(event)}, site=place,
        )
    )  # fmt: skip


def _between(found: Conclusion, stratum: str, name: str) -> float | None:
    """The share of the hospitals' spread that their errors do not explain, of the errors that they say."""
    del stratum
    if not name.startswith("heterogeneity"):
        return None
    told = [s.estimates["observed over predicted"] for s in found.strata if s.name.startswith("site=")
            and s.status == "estimated" and "observed over predicted" in s.estimates]  # fmt: skip
    weights = np.array([e.value**2 / (e.sampling_variance + e.privacy_variance) for e in told])
    typical = (len(told) - 1) * weights.sum() / (weights.sum() ** 2 - (weights**2).sum())
    squared = float(np.var(PLACES, ddof=1))
    return float(squared / (squared + typical))


def _ranked(rng: np.random.Generator, n: int) -> Drawn:
    """A risk that ranks times, on a grid of months, with people lost at any time."""
    risk = rng.beta(2.0, 2.0, n)
    dies, lost = rng.exponential(500.0 / (0.3 + 2 * risk)), rng.uniform(60.0, 1_200.0, n)
    outcome = SurvivalOutcome(np.zeros(n), np.minimum(dies, lost), (dies <= lost).astype(np.int64))
    return Drawn(Cohort(n, {}, {"risk": risk}, {}, {"os_zero": outcome}))


BINS = 5


@cache
def _shares_by_bin() -> Array:
    x = (np.arange(200_000) + 0.5) / 200_000
    weight = x * (1 - x) ** 2
    which = np.floor(x * BINS).astype(np.int64)
    found: Array = np.bincount(which, weight * 0.9 * x**1.1) / np.bincount(which, weight)
    return found


def _observed(stratum: Stratum, name: str) -> Truth | None:
    """The share with the event in each bin; the line stands at the mean risk of a bin."""
    del stratum
    if name != "observed by predicted risk":
        return None
    share = _shares_by_bin()
    return lambda mean: share[np.clip(np.floor(mean * BINS), 0, BINS - 1).astype(np.int64)]


ARMS = 'treatment = "arm"\ntreated = "treated"\ncontrol = "control"\n'
ADULTS = 'trial = { eligibility = "adults" }'
NEVER = ", ".join(f'"never_{i}"' for i in range(CONTROLS))
MODEL_SIZES = (1_000, 5_000)
PLANTED = 50_000
"""Patients where all that is printed was planted: they only say how large groups are."""

WORLDS = (
    World(
        "regression",
        "logistic",
        'outcome = "response"\ncovariates = ["age", "egfr"]',
        MEASURED,
        _logistic,
        planted(LOGISTIC),
        sizes=MODEL_SIZES,
        many=PLANTED,
        events=0.3,
    ),
    World(
        "regression",
        "linear",
        'outcome = "score"\ncovariates = ["age", "arm"]',
        MEASURED,
        _numbers,
        planted(LINEAR),
        sizes=MODEL_SIZES,
        many=PLANTED,
    ),
    World(
        "regression",
        "Poisson",
        'outcome = "visits"\ncovariates = ["age", "arm"]\nfamily = "poisson"',
        MEASURED,
        _numbers,
        planted(POISSON),
        sizes=MODEL_SIZES,
        many=PLANTED,
    ),
    World(
        "regression",
        "Gamma",
        'outcome = "cost"\ncovariates = ["age", "arm"]\nfamily = "gamma"\nlargest_ratio = 3',
        MEASURED,
        _numbers,
        planted(GAMMA),
        sizes=MODEL_SIZES,
        many=PLANTED,
    ),
    World(
        "regression",
        "two parts",
        'outcome = "cost"\ncovariates = ["age", "arm"]\nfamily = "two_part"\nlargest_ratio = 3',
        MEASURED,
        _two_parts,
        planted(ANY, GAMMA, strata=("any", "amount")),
        sizes=MODEL_SIZES,
        many=PLANTED,
        events=0.3,
    ),
    World(
        "treatment_effect",
        "on a share, confounded",
        f'outcome = "response"\n{ARMS}covariates = ["age", "sex"]\nsubgroups = ["sex"]\n'
        'multiplicity = "none"\n'
        f"negative_controls = [{NEVER}]\n{ADULTS}",
        MEASURED,
        _confounded,
        _effect,
        sizes=MODEL_SIZES,
        events=0.4,
    ),
    World(
        "treatment_effect",
        "on costs, confounded",
        f'outcome = "cost"\n{ARMS}covariates = ["age", "sex"]\n{ADULTS}',
        MEASURED,
        _confounded,
        _effect_on_cost,
        sizes=MODEL_SIZES,
        events=0.4,
    ),
    World(
        "treatment_effect",
        "on time, confounded",
        f'outcome = "os_zero"\n{ARMS}covariates = ["sex"]\n{ADULTS}',
        MEASURED,
        _times,
        _effect_on_time,
        sizes=MODEL_SIZES,
        events=0.3,
    ),
    World(
        "treatment_effect",
        "on time, late entry",
        f'outcome = "os"\n{ARMS}covariates = ["sex"]\n{ADULTS}',
        MEASURED,
        _timed,
        _effect_on_time,
        sizes=MODEL_SIZES,
        events=0.3,
    ),
    World(
        "treatment_effect",
        "grace period, confounded",
        'outcome = "os_short"\ncovariates = ["sex"]\n'
        'trial = { eligibility = "adults", grace = { start = "exposed", within = "60 days" } }',
        MEASURED,
        _late_starters,
        _grace,
        sizes=MODEL_SIZES,
        events=0.2,
    ),
    World(
        "calibration",
        "",
        'outcome = "response"\nscore = "risk"\nby = ["sex"]\nbins = 5',
        MEASURED,
        _risks,
        _observed,
        sizes=(400, 4_000),
        events=0.35,
    ),
    World(
        "model_evaluation",
        "",
        'outcome = "response"\nscore = "risk"\nby = ["sex"]\nbins = 5\n'
        'tiers = { names = ["low", "high"], cuts = [0.4] }',
        MEASURED,
        _risks,
        _observed,
        sizes=MODEL_SIZES,
        events=0.35,
    ),
    World(
        "model_evaluation",
        "by cell, quarter and hospital",
        'outcome = "response"\nscore = "risk"\nbins = 5\ncalendar = "started"\ncells = ["sex", "egfr"]\n'
        "sites = true",
        MEASURED,
        _placed_risks,
        worked=_between,
        sizes=MODEL_SIZES,
        events=0.2,
    ),
    World(
        "model_evaluation",
        "who is first",
        'time = "os_zero"\nscore = "risk"\nbins = 8',
        MEASURED,
        _ranked,
        sizes=MODEL_SIZES,
        events=0.3,
    ),
)
"""Every world of these kinds."""
