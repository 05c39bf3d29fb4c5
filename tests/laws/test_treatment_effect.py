"""Treatment effects: the laws, hand-worked parts, statsmodels without noise, planted truth with it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import statsmodels.api as sm

from fedvalue.analyses.analysis import Analysis, NoisyBlock
from fedvalue.analyses.arms import Arms, Response
from fedvalue.analyses.cloned import ClonedArms
from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.analyses.design import Covariate, Design
from fedvalue.analyses.empirical_null import empirical_null
from fedvalue.analyses.estimate import Conclusion
from fedvalue.analyses.evalue import evalue
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.outcome import Outcome
from fedvalue.analyses.pseudo import PseudoValues
from fedvalue.analyses.subgroup_effects import statements
from fedvalue.analyses.treatment_effect import TreatmentEffectAnalysis
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

LEVELS = ("mutated", "wild type", "not tested")
GRADES = ("none", "1", "2", "3", "4", "5")
ARMS = Arms("egfr", LEVELS, treated=0, control=1)
AGE, GRADE = Covariate("age", (18.0, 95.0)), Covariate("grade", None, GRADES)
BINARY = Response(Outcome("response", None))
COST = Response(Outcome("cost", (0.0, 2000.0), unit="CNY"))
EDGES = tuple(float(x) for x in np.linspace(0, 730, 13))


def by_time(edges: tuple[float, ...] = EDGES, *, at_zero: bool) -> Response:
    return Response(
        None, PseudoValues(KaplanMeierByGroup("pfs", Groups(("egfr",), (LEVELS,)), edges, at_zero))
    )


def analysis(response: Response, **other: object) -> TreatmentEffectAnalysis:
    return replace(
        TreatmentEffectAnalysis(ARMS, response, Design((AGE, GRADE)), 3.0),
        **other,  # type: ignore[arg-type]  # fields of a dataclass by name
    )


CLONED = ClonedArms(
    KaplanMeierByGroup("pfs", Groups(("egfr",), (LEVELS,)), EDGES, entry_at_zero=True), "started", 90.0
)


class TestTreatmentEffect(AnalysisLaws):
    PAIRS = 60

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        by_grade = (Groups(("grade",), (GRADES,)), Groups(("egfr",), (LEVELS,)))
        days = tuple(float(x) for x in range(61))
        return [
            analysis(BINARY, subgroups=by_grade, controls=("response",) * 3),
            analysis(COST),
            analysis(by_time(at_zero=False)),
            analysis(by_time(days, at_zero=True)),
        ]


class TestClonedArms(AnalysisLaws):
    PAIRS = 300

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [CLONED, replace(CLONED, curves=replace(CLONED.curves, entry_at_zero=False))]


def confounded(rng: np.random.Generator, n: int, controls: int = 0) -> Cohort:
    """Older patients and those of a high grade are treated less and respond less; the effect is 0.15."""
    age, grade = rng.normal(60, 12, n), rng.integers(0, 3, n)
    risk = (age - 60) / 20 + 0.4 * (grade - 1)
    treated = rng.random(n) < 1 / (1 + np.exp(risk))
    response = rng.random(n) < np.clip(0.45 + 0.15 * treated - 0.12 * risk, 0.02, 0.98)
    cost = np.clip(800 + 300 * treated + 150 * risk + rng.normal(0, 150, n), 1, 1999)
    never = {f"control_{i}": BinaryOutcome((rng.random(n) < 0.2).astype(np.int64)) for i in range(controls)}
    return Cohort(
        n,
        {"egfr": np.where(treated, 0, 1), "grade": grade},
        {"age": age, "cost": cost},
        {"response": BinaryOutcome(response.astype(np.int64)), **never},
    )


def reference(cohort: Cohort, y: np.ndarray) -> tuple[float, float, float]:
    """Augmented inverse probability weighting on the pooled patients, with statsmodels' models."""
    a = 1.0 * (cohort.categories["egfr"] == 0)
    x = np.column_stack(
        [np.ones(len(a)), np.clip(cohort.numbers["age"], 18, 95)]
        + [1.0 * (cohort.categories["grade"] == level) for level in (1, 2)]
    )
    e = np.clip(sm.Logit(a, x).fit(disp=0, tol=1e-14, maxiter=100).predict(x), 0.1, 0.9)
    m1 = np.clip(sm.OLS(y[a == 1], x[a == 1]).fit().predict(x), 0, 1)
    m0 = np.clip(sm.OLS(y[a == 0], x[a == 0]).fit().predict(x), 0, 1)
    one, other = m1 + a * (y - m1) / e, m0 + (1 - a) * (y - m0) / (1 - e)
    return float(one.mean()), float(other.mean()), float((one - other).var() / len(a))


THREE_GRADES = Design((AGE, Covariate("grade", None, GRADES[:3])))


@pytest.mark.parametrize("outcome", ["response", "cost"])
def test_without_noise_it_is_the_pooled_doubly_robust_estimate(
    rng: np.random.Generator, outcome: str
) -> None:
    sites = [confounded(rng, n) for n in (200, 300, 400)]
    asked = analysis(BINARY if outcome == "response" else COST, design=THREE_GRADES, largest=20.0)
    found = without_noise(asked, sites).stratum("all").estimates
    whole = Cohort(
        900,
        {k: np.concatenate([s.categories[k] for s in sites]) for k in ("egfr", "grade")},
        {"age": np.concatenate([s.numbers["age"] for s in sites])},
    )
    y = np.concatenate(
        [s.binary["response"].status if outcome == "response" else s.numbers["cost"] / 2000 for s in sites]
    )
    one, other, variance = reference(whole, y.astype(float))
    scale = 1.0 if outcome == "response" else 2000.0
    # the release is rounded to 2^-30; relative to the effect that leaves six digits and more
    assert found["mean if treated"].value == pytest.approx(one * scale, rel=1e-6)
    assert found["effect"].value == pytest.approx((one - other) * scale, rel=1e-5)
    assert found["effect"].sampling_variance == pytest.approx(variance * scale**2, rel=1e-4)
    assert found["effect"].privacy_variance == pytest.approx(0)


def test_weighting_balances_and_the_naive_difference_was_confounded(rng: np.random.Generator) -> None:
    cohort = confounded(rng, 6000)
    found = without_noise(analysis(BINARY, design=THREE_GRADES), [cohort])
    balance = found.stratum("balance").estimates
    assert balance["before: age"].value < -0.4
    assert abs(balance["after: age"].value) < 0.05
    naive = [cohort.binary["response"].status[cohort.categories["egfr"] == arm].mean() for arm in (0, 1)]
    assert naive[0] - naive[1] > 0.2
    # the standard error is about .014: four of them
    assert found.stratum("all").estimates["effect"].value == pytest.approx(0.15, abs=0.056)
    series = found.stratum("all").series
    assert sum(series["treated by propensity"].values) == pytest.approx(1)


def test_e_values_by_hand() -> None:
    # 2 + sqrt(2 x 1) and, below 1, of the inverse; no effect needs no confounding
    assert evalue(2.0) == pytest.approx(2 + 2**0.5)
    assert evalue(0.5) == pytest.approx(evalue(2.0))
    assert evalue(1.0) == 1.0


def test_the_null_distribution_of_controls_by_hand() -> None:
    # equal errors: mu is the mean, tau^2 the variance less the error
    found = empirical_null([0.1, 0.3, 0.2, 0.6, 0.3], [0.01] * 5)
    assert found is not None
    assert found.bias == pytest.approx(0.3)
    assert found.spread**2 == pytest.approx(np.var([0.1, 0.3, 0.2, 0.6, 0.3]) - 0.01, rel=1e-3)
    assert empirical_null([0.1] * 4, [0.1] * 4) is None
    assert empirical_null([0.1] * 6, [0.1] * 6) is not None


def test_controls_without_bias_move_nothing_and_widen_the_interval(rng: np.random.Generator) -> None:
    names = tuple(f"control_{i}" for i in range(20))
    found = without_noise(analysis(BINARY, design=THREE_GRADES, controls=names), [confounded(rng, 5000, 20)])
    raw = found.stratum("all").estimates["ratio"]
    calibrated = found.stratum("all").estimates["ratio, calibrated by negative controls"]
    assert calibrated.value == pytest.approx(raw.value, rel=0.05)
    assert (calibrated.upper or 0) / (calibrated.lower or 1) >= (raw.upper or 0) / (raw.lower or 1)
    assert len(found.stratum("negative controls").estimates) == 22


def test_subgroups_have_wider_intervals_by_rule(rng: np.random.Generator) -> None:
    groups = (Groups(("grade",), (GRADES[:3],)),)
    assert statements(groups) == 5  # three effects, two interactions
    cohort = confounded(rng, 4000)
    both = [
        without_noise(analysis(BINARY, design=THREE_GRADES, subgroups=groups, together=flag), [cohort])
        for flag in (True, False)
    ]
    wide, narrow = (found.stratum("grade=1").estimates["effect"] for found in both)
    # the 99.5 % point over the 97.5 % point of the normal distribution
    ratio = ((wide.upper or 0) - wide.value) / ((narrow.upper or 0) - narrow.value)
    assert ratio == pytest.approx(2.5758 / 1.9600, rel=1e-3)
    assert "interaction" not in both[0].stratum("grade=none").estimates
    parts = [both[0].stratum(f"grade={level}") for level in GRADES[:3]]
    sizes = np.array([part.released["patients"].value for part in parts])
    effects = np.array([part.estimates["effect"].value for part in parts])
    assert sizes @ effects / sizes.sum() == pytest.approx(both[0].stratum("all").estimates["effect"].value)


def timed(rng: np.random.Generator, n: int) -> Cohort:
    """Exponential times with planted restricted means; treated live longer; age confounds."""
    age = rng.normal(60, 12, n)
    risk = (age - 60) / 20
    treated = rng.random(n) < 1 / (1 + np.exp(risk))
    death = rng.exponential(400 * np.exp(0.4 * treated - 0.3 * risk))
    censored = rng.uniform(200, 1200, n)
    outcome = SurvivalOutcome(np.zeros(n), np.minimum(death, censored), (death <= censored).astype(np.int64))
    return Cohort(n, {"egfr": np.where(treated, 0, 1)}, {"age": age}, survival={"pfs": outcome})


def restricted(rng: np.random.Generator) -> float:
    """The planted difference in restricted means to day 730, by a million draws."""
    risk = (rng.normal(60, 12, 1_000_000) - 60) / 20
    means = [np.minimum(rng.exponential(400 * np.exp(0.4 * a - 0.3 * risk)), 730).mean() for a in (1, 0)]
    return float(means[0] - means[1])


def test_pseudo_values_average_to_the_curve_and_equal_the_times_without_censoring() -> None:
    time = by_time(tuple(float(x) for x in range(11)), at_zero=True).time
    assert time is not None
    stop, event = np.array([2.0, 4.0, 4.0, 7.0, 10.0, 12.0]), np.array([1, 1, 1, 1, 1, 0])
    cohort = Cohort(
        6, {"egfr": np.zeros(6, dtype=np.int64)}, survival={"pfs": SurvivalOutcome(np.zeros(6), stop, event)}
    )
    curves = time.curves
    (ask,) = curves.rounds()
    scaling = {b.name: Fraction(2**30) for b in ask.blocks}
    sums = curves.contribution(cohort, ask, scaling)
    released = {k: NoisyBlock(v, Fraction(2**30), 0.0) for k, v in sums.items()}
    tables = curves.tables(released, True)
    public = np.array(time.public((tables[0], tables[0]), (6.0, 6.0)))
    values, known = time.values(cohort.survival["pfs"], np.zeros(6), public)
    # without censoring before the horizon a jackknife of a mean is the value itself, over 10 days
    assert known.all()
    assert values == pytest.approx(np.minimum(stop, 10) / 10, abs=1e-6)


def test_the_difference_in_restricted_means_is_the_planted_one(rng: np.random.Generator) -> None:
    truth = restricted(rng)
    found = without_noise(
        analysis(by_time(at_zero=True), design=Design((AGE,))), [timed(rng, 4000) for _ in range(3)]
    )
    effect = found.stratum("all").estimates["effect"]
    # the standard error is about 5 days, the truth about 95; four of them, and monthly intervals
    assert effect.value == pytest.approx(truth, abs=4 * effect.sampling_variance**0.5)
    assert effect.unit == "days"


def test_cloning_finds_what_starting_in_time_does_and_comparing_starters_does_not(
    rng: np.random.Generator,
) -> None:
    # starting changes nothing; who dies early never starts, so starters look better (immortal time)
    n = 30_000
    group = rng.integers(0, 2, n)
    death = rng.exponential(300 + 300 * group)
    start = np.where(rng.random(n) < 0.4 + 0.3 * group, rng.uniform(0, 90, n), np.inf)
    began = start < death
    outcome = SurvivalOutcome(np.zeros(n), np.minimum(np.ceil(death), 800.0), (death < 800).astype(np.int64))
    cohort = Cohort(
        n, {"egfr": group}, {"started": np.where(began, np.floor(start), np.nan)}, survival={"pfs": outcome}
    )
    lived = np.minimum(death, 730)
    assert lived[began].mean() - lived[~began].mean() > 50
    days = tuple(float(x) for x in range(731))
    daily = replace(CLONED, curves=replace(CLONED.curves, edges=days))
    effect = without_noise(daily, [cohort]).stratum("all").estimates["effect"]
    assert abs(effect.value) < 4 * effect.sampling_variance**0.5


def covered(found: Conclusion, truth: float) -> bool | None:
    stratum = found.stratum("all")
    if stratum.status != "estimated":
        return None
    effect = stratum.estimates["effect"]
    return (effect.lower or -1e9) <= truth <= (effect.upper or 1e9)


def test_the_interval_holds_the_truth_under_noise(rng: np.random.Generator) -> None:
    # 80 replications of 6,000 patients at epsilon 4: the chance of 69 or fewer at 95 % is below 1 in 1,000
    asked = analysis(BINARY, design=THREE_GRADES)
    hits = [covered(with_noise(asked, confounded(rng, 6000), 4.0, rng, shared=True), 0.15) for _ in range(80)]
    assert None not in hits
    assert sum(bool(hit) for hit in hits) > 69


def test_separation_and_too_few_patients_are_refused(rng: np.random.Generator) -> None:
    cohort = confounded(rng, 400)
    apart = replace(
        cohort, numbers={**cohort.numbers, "age": np.where(cohort.categories["egfr"] == 0, 20.0, 90.0)}
    )
    found = without_noise(analysis(BINARY, design=THREE_GRADES), [apart]).stratum("all")
    assert (found.status, found.reason) == ("not_estimable", "model")
    small = with_noise(analysis(BINARY, design=THREE_GRADES), confounded(rng, 60), 0.5, rng, shared=True)
    assert small.stratum("all").status != "estimated"
