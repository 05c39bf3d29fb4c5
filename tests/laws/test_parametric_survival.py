"""The laws for parametric survival, and agreement with lifelines 0.30 (MIT)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from lifelines import ExponentialFitter, PiecewiseExponentialFitter, WeibullFitter
from lifelines.datasets import load_lung

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.parametric_survival import ParametricSurvivalByGroup
from fedvalue.analyses.survival_shapes import PiecewiseConstant, Shape, Weibull
from tests.laws.suite import AnalysisLaws, rows, with_noise, without_noise

MONTH = 365.25 / 12
MONTHLY = tuple(MONTH * i for i in range(25))
DAILY = tuple(float(day) for day in range(1031))
EVERYBODY = Groups((), ())
EGFR = Groups(("egfr",), (("mutated", "wild type", "not tested"),))


def parametric(
    shape: Shape, edges: tuple[float, ...], *, horizon: float | None = None, at: tuple[float, ...] = (),
    at_zero: bool = True, groups: Groups = EVERYBODY,
) -> ParametricSurvivalByGroup:  # fmt: skip
    curves = KaplanMeierByGroup("pfs", groups, edges, at_zero, at)
    return ParametricSurvivalByGroup(curves, "shape", shape, horizon or edges[-1])


class TestParametricSurvivalLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [parametric(Weibull(300.0), MONTHLY, at_zero=False, groups=EGFR)]


def test_hand_worked_exponential() -> None:
    # 2 events in 2 + 3 + 5 = 10 days: .2 a day, variance of its logarithm 1/2; S(10) = e^-2;
    # mean up to day 10: (1 - e^-2) / .2
    outcome = SurvivalOutcome(np.zeros(3), np.array([2.0, 3, 5]), np.array([1, 0, 1]))
    analysis = parametric(PiecewiseConstant(), DAILY[:6], horizon=10.0, at=(10.0,))
    found = without_noise(analysis, [Cohort(3, survival={"pfs": outcome})])
    estimates = found.strata[0].estimates
    assert estimates["hazard"].value == pytest.approx(0.2)
    assert estimates["hazard"].sampling_variance == pytest.approx(0.2**2 / 2)
    assert estimates["survival at day 10"].value == pytest.approx(math.exp(-2))
    assert estimates["mean survival time up to day 10"].value == pytest.approx(
        (1 - math.exp(-2)) / 0.2, rel=1e-5
    )
    assert "Past day 5 nobody is followed" in " ".join(found.notes)


def test_without_noise_lung_equals_lifelines() -> None:
    table = load_lung()
    stop, event = table["time"].to_numpy(float), table["status"].to_numpy(int)
    whole = SurvivalOutcome(np.zeros(len(stop)), stop, event)
    cohorts = [rows(Cohort(len(stop), survival={"pfs": whole}), np.arange(i, len(stop), 4)) for i in range(4)]

    def found(shape: Shape) -> dict[str, float]:
        estimates = without_noise(parametric(shape, DAILY), cohorts).strata[0].estimates
        return {name: estimate.value for name, estimate in estimates.items()}

    exponential = ExponentialFitter().fit(stop, event)
    assert found(PiecewiseConstant())["hazard"] == pytest.approx(1 / exponential.lambda_, rel=1e-6)
    pieces = PiecewiseExponentialFitter([200, 500]).fit(stop, event)
    mine = found(PiecewiseConstant((200.0, 500.0)))
    expected = [1 / pieces.lambda_0_, 1 / pieces.lambda_1_, 1 / pieces.lambda_2_]
    assert [mine[f"hazard from day {day}"] for day in (0, 200, 500)] == pytest.approx(expected, rel=1e-4)
    weibull = WeibullFitter().fit(stop, event)
    shaped = found(Weibull(500.0))
    # grouped by day
    assert shaped["scale"] == pytest.approx(weibull.lambda_, rel=2e-3)
    assert shaped["shape"] == pytest.approx(weibull.rho_, rel=5e-3)


def test_with_noise_intervals_cover_the_planted_extrapolation(rng: np.random.Generator) -> None:
    # Weibull, scale 600 days, shape 1.3, followed for two years at most: survival at five. 100 runs; a true
    # coverage of .93 gives fewer than 84 with probability 1e-3 (binomial).
    far = 5 * 365.25
    analysis = parametric(Weibull(365.0), MONTHLY, horizon=far, at=(far,), at_zero=False)
    truth, covered = math.exp(-((far / 600) ** 1.3)), 0
    for _ in range(100):
        death, censored = 600 * rng.weibull(1.3, 2000), rng.uniform(200.0, 900.0, 2000)
        entry = np.where(rng.random(2000) < 0.5, 0.0, rng.exponential(60.0, 2000))
        outcome = SurvivalOutcome(entry, np.minimum(death, censored), (death <= censored).astype(np.int64))
        found = with_noise(analysis, Cohort(2000, survival={"pfs": outcome}), 1.0, rng).strata[0]
        estimate = found.estimates[f"survival at day {far:g}"]
        assert estimate.lower is not None
        assert estimate.upper is not None
        covered += estimate.lower <= truth <= estimate.upper
    assert covered >= 84


def test_no_events_no_model(rng: np.random.Generator) -> None:
    outcome = SurvivalOutcome(np.zeros(300), np.full(300, 700.0), np.zeros(300, dtype=np.int64))
    analysis = parametric(Weibull(365.0), MONTHLY)
    assert (
        without_noise(analysis, [Cohort(300, survival={"pfs": outcome})]).strata[0].status == "not_estimable"
    )
    found = with_noise(analysis, Cohort(300, survival={"pfs": outcome}), 1.0, rng).strata[0]
    assert found.status == "not_estimable" or (found.estimates["shape"].lower or 0) < (
        found.estimates["shape"].upper or math.inf
    )
