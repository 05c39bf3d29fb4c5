"""The laws for lines of months and what is fitted to them, and agreement with statsmodels 0.15 (BSD)."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.analyses.difference_in_differences import DifferenceInDifferences
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.interrupted_series import InterruptedSeriesByGroup, fit
from fedvalue.analyses.monthly import MonthlyByGroup
from fedvalue.analyses.months import Calendar, MonthlyTrees
from fedvalue.analyses.quantity import Quantity
from tests.laws.conftest import draw_cohort
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

EGFR = Groups(("egfr",), (("mutated", "wild type", "not tested"),))
EVERYBODY = Groups((), ())
COST = Quantity("cost", 0.0, 2_000.0, "CNY")
RESPONSE = Quantity("response", 0.0, 1.0, "probability", "exclude")
YEAR = Calendar("day", 20_089.0, 20_453.0)  # 2025-01-01 to 2025-12-31
TWO_YEARS = Calendar("day", 20_089.0, 20_818.0)
JULY = 20_270.0


def differences(quantity: Quantity) -> DifferenceInDifferences:
    return DifferenceInDifferences(quantity, EGFR, 0, 1, "day", (20_089.0, 20_179.0, JULY, 20_453.0))


class TestMonthlyLaws(AnalysisLaws):
    PAIRS = 60

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [
            MonthlyByGroup(MonthlyTrees(YEAR, EGFR, COST)),
            MonthlyByGroup(MonthlyTrees(TWO_YEARS, EVERYBODY, None)),
            InterruptedSeriesByGroup(MonthlyTrees(YEAR, EVERYBODY, RESPONSE), 6),
        ]


class TestDifferenceInDifferencesLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [differences(COST), differences(RESPONSE)]


def test_the_calendar_knows_its_months() -> None:
    assert (YEAR.months, TWO_YEARS.months) == (12, 24)
    assert YEAR.axis == "months from 2025-01"
    assert YEAR.month_of(JULY) == 6
    days = np.array([20_088.9, 20_089.0, 20_119.9, 20_120.0, 20_453.0, 20_454.0, np.nan, 1e300])
    positions = YEAR.positions(Cohort(8, numbers={"day": days}))
    assert positions.tolist() == [-1, 0, 0, 1, 11, -1, -1, -1]


def test_without_noise_every_month_is_that_of_the_pooled_patients(rng: np.random.Generator) -> None:
    cohort = draw_cohort(rng, 900, 0.0)
    stratum = without_noise(MonthlyByGroup(MonthlyTrees(YEAR, EVERYBODY, COST)), [cohort]).strata[0]
    month = YEAR.positions(cohort)
    cost = np.clip(cohort.numbers["cost"], 0, 2_000)
    line = stratum.series["cost by month"]
    assert line.x == tuple(float(t) for t in range(12))
    assert line.values == pytest.approx([cost[month == t].mean() for t in range(12)])
    assert stratum.series["patients by month"].values == pytest.approx(np.bincount(month))
    assert stratum.series["cumulative patients"].values[-1] == pytest.approx(900)


def test_with_noise_the_months_cover_and_long_sums_are_as_sure_as_short_ones(
    rng: np.random.Generator,
) -> None:
    # 60 releases x 12 months; true coverage .95; the runs of one release depend on each other, so the
    # bound is that of 60 independent ones: fewer than .93 - 3 sd = .83 of all is next to impossible.
    analysis = MonthlyByGroup(MonthlyTrees(YEAR, EVERYBODY, COST))
    month_days = 20_089.0 + np.arange(12) * 30.4
    counted = meant = total = 0
    for _ in range(60):
        days = rng.choice(month_days, 3_000)
        cohort = Cohort(3_000, numbers={"day": days, "cost": rng.gamma(2.0, 300.0, 3_000)})
        series = with_noise(analysis, cohort, 1.0, rng).strata[0].series
        exact = np.bincount(YEAR.positions(cohort), minlength=12)
        patients = series["patients by month"]
        counted += sum(
            low <= n <= high for low, n, high in zip(patients.lower, exact, patients.upper, strict=True)
        )
        cost = series["cost by month"]
        # the mean of Gamma(2, 300) cut at 2,000 is 598.6
        meant += sum(low <= 598.6 <= high for low, high in zip(cost.lower, cost.upper, strict=True))
        total += len(cost.x)
        widths = np.array(series["cumulative patients"].privacy_variance)
        assert widths.max() < 4 * widths.min() + 1e-9
    assert counted >= 0.9 * 60 * 12
    assert meant >= 0.9 * total


def test_the_fit_is_that_of_statsmodels() -> None:
    # GLS with a known covariance: coefficients and, times the scatter, their variance
    rng = np.random.default_rng(7)
    t = np.arange(24.0)
    y = 10 + 0.2 * t + 3.0 * (t >= 12) - 0.1 * (t - 12) * (t >= 12) + rng.normal(0, 2.0, 24)
    sampling = rng.uniform(0.5, 1.5, 24)
    root = rng.normal(0, 0.3, (24, 24))
    noise = root @ root.T / 24
    after = (t >= 12).astype(float)
    x = np.column_stack([np.ones(24), t, after, (t - 12) * after])
    found = fit(t, y, sampling, noise, 12.0)
    reference = sm.GLS(y, x, sigma=np.diag(sampling) + noise).fit()
    np.testing.assert_allclose(found.coefficients, reference.params, rtol=1e-8)
    assert reference.scale > 1, "the months scatter more than their variance explains"
    np.testing.assert_allclose(found.sampling + found.privacy, reference.cov_params(), rtol=1e-6)
    # of the variance, s times what is known of it, the part s - 1 is estimated with 20 degrees of freedom:
    # Satterthwaite's are 20 (s / (s - 1))^2, and the interval lies inside statsmodels', which estimates all
    s = reference.scale
    half = stats.t.ppf(0.975, 20 * (s / (s - 1)) ** 2) * reference.bse[2]
    level = found.estimates("CNY")["change of level"]
    assert (level.lower, level.upper) == pytest.approx((level.value - half, level.value + half), rel=1e-6)
    low, high = reference.conf_int()[2]
    assert low < (level.lower or 0) < (level.upper or 0) < high


def planted(rng: np.random.Generator, patients: int) -> Cohort:
    """Two years; from the 13th month on 150 more."""
    days = rng.uniform(20_089.0, 20_818.0, patients)
    cost = 600.0 + 150.0 * (days >= 20_454.0) + rng.normal(0.0, 100.0, patients)
    return Cohort(patients, numbers={"day": days, "cost": cost})


def test_with_noise_a_planted_jump_is_found_and_covered(rng: np.random.Generator) -> None:
    # 150 runs; a true coverage of .93 gives fewer than 129 with probability 1e-3 (binomial).
    analysis = InterruptedSeriesByGroup(MonthlyTrees(TWO_YEARS, EVERYBODY, COST), 12)
    level = bend = 0
    for _ in range(150):
        stratum = with_noise(analysis, planted(rng, 4_000), 2.0, rng).strata[0]
        found = stratum.estimates["change of level"]
        slope = stratum.estimates["change of slope"]
        assert None not in (found.lower, found.upper, slope.lower, slope.upper)
        level += found.lower <= 150.0 <= found.upper  # type: ignore[operator]  # checked above
        bend += slope.lower <= 0.0 <= slope.upper  # type: ignore[operator]  # checked above
    assert min(level, bend) >= 129


def test_a_horizon_with_too_few_usable_months_is_refused() -> None:
    cohort = Cohort(50, numbers={"day": np.full(50, 20_090.0), "cost": np.full(50, 5.0)})
    analysis = InterruptedSeriesByGroup(MonthlyTrees(YEAR, EVERYBODY, COST), 6)
    found = without_noise(analysis, [cohort]).strata[0]
    assert (found.status, found.estimates) == ("not_estimable", {})


def trial(rng: np.random.Generator, patients: int, effect: float) -> Cohort:
    side = rng.integers(0, 3, patients)
    days = rng.uniform(20_089.0, 20_453.0, patients)
    after = days >= JULY
    cost = 500 + 100 * (side == 0) + 60 * after + effect * after * (side == 0)
    noise = rng.normal(0, 80, patients)
    return Cohort(patients, {"egfr": side}, {"day": days, "cost": cost + noise})


def test_without_noise_the_difference_is_that_of_the_saturated_model(rng: np.random.Generator) -> None:
    # statsmodels OLS with an interaction; robust variance HC1 differs from ours by the divisors of the cells
    cohort = trial(rng, 2_000, 40.0)
    kept = cohort.categories["egfr"] < 2
    applies = (cohort.categories["egfr"][kept] == 0).astype(float)
    after = (cohort.numbers["day"][kept] >= JULY).astype(float)
    x = np.column_stack([np.ones(kept.sum()), applies, after, applies * after])
    reference = sm.OLS(np.clip(cohort.numbers["cost"][kept], 0, 2_000), x).fit(cov_type="HC2")
    found = without_noise(differences(COST), [cohort]).strata[0].estimates["difference in differences"]
    assert found.value == pytest.approx(reference.params[3], rel=1e-6)
    assert found.sampling_variance == pytest.approx(reference.cov_params()[3, 3], rel=1e-6)


def test_with_noise_difference_and_placebo_cover(rng: np.random.Generator) -> None:
    # 200 runs; a true coverage of .93 gives fewer than 174 with probability 1e-3 (binomial).
    effect = placebo = 0
    for _ in range(200):
        found = with_noise(differences(COST), trial(rng, 3_000, 40.0), 1.0, rng).strata[0].estimates
        main, before = found["difference in differences"], found["placebo before the change"]
        assert None not in (main.lower, main.upper, before.lower, before.upper)
        effect += main.lower <= 40.0 <= main.upper  # type: ignore[operator]  # checked above
        placebo += before.lower <= 0.0 <= before.upper  # type: ignore[operator]  # checked above
    assert min(effect, placebo) >= 174


def test_shares_can_be_compared_too() -> None:
    # applies: before 1 of 2, after 2 of 2; compared: before 1 of 2, after 1 of 2 -> .5 - 0 = .5
    cohort = Cohort(
        8, {"egfr": np.array([0, 0, 0, 0, 1, 1, 1, 1])},
        {"day": np.array([20_100.0, 20_200.0, 20_300.0, 20_300.0] * 2)},
        {"response": BinaryOutcome(np.array([1, 0, 1, 1, 1, 0, 1, 0]))},
    )  # fmt: skip
    found = without_noise(differences(RESPONSE), [cohort]).strata[0].estimates
    assert found["difference in differences"].value == pytest.approx(0.5)
    assert found["mean after, egfr=mutated"].value == pytest.approx(1.0)
    assert found["placebo before the change"].value == pytest.approx(0.0)
