"""The laws for cumulative incidence, and agreement with lifelines 0.30 (MIT) and statsmodels (BSD)."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines import AalenJohansenFitter
from statsmodels.duration.survfunc import CumIncidenceRight

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.competing_risks import CompetingRisksByGroup
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

MONTH = 365.25 / 12
MONTHLY = tuple(MONTH * i for i in range(25))
DAILY = tuple(float(day) for day in range(1100))
EGFR = Groups(("egfr",), (("mutated", "wild type", "not tested"),))
EVERYBODY = Groups((), ())
KINDS = ("progression", "death")


def competing(
    groups: Groups, edges: tuple[float, ...], *, entry_at_zero: bool = True, at: tuple[float, ...] = ()
) -> CompetingRisksByGroup:
    return CompetingRisksByGroup(KaplanMeierByGroup("pfs", groups, edges, entry_at_zero), KINDS, at)


class TestCompetingRisksLaws(AnalysisLaws):
    PAIRS = 300

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [
            competing(EGFR, MONTHLY, entry_at_zero=False),
            competing(EVERYBODY, DAILY[:60]),
        ]


def test_hand_worked_incidence() -> None:
    # day 2: progression of 1 of 4: F1 = 1/4, S = 3/4; day 3: death of 1 of 3: F2 = 3/4 x 1/3 = 1/4, S = 1/2
    # day 5: one censored; day 6: progression of the last: F1 = 1/4 + 1/2 = 3/4
    outcome = SurvivalOutcome(np.zeros(4), np.array([2.0, 3, 5, 6]), np.array([1, 2, 0, 1]))
    analysis = competing(EVERYBODY, DAILY[:11], at=(2.0, 3.0, 6.0))
    found = without_noise(analysis, [Cohort(4, survival={"pfs": outcome})]).strata[0].estimates
    assert [found[f"incidence of progression at day {d}"].value for d in (2, 3, 6)] == pytest.approx(
        [0.25, 0.25, 0.75]
    )
    assert found["incidence of death at day 6"].value == pytest.approx(0.25)
    # area under F1 from day 0 to 10: 4 days at 1/4 (days 2 to 6), 4 days at 3/4; under F2: 7 days at 1/4
    assert found["days lost to progression"].value == pytest.approx(4.0)
    assert found["days lost to death"].value == pytest.approx(1.75)


@pytest.mark.parametrize("delayed", [False, True])
def test_without_noise_and_without_ties_values_and_variances_equal_lifelines(
    rng: np.random.Generator, delayed: bool
) -> None:
    # out on even days, in on odd ones: lifelines counts who enters on a day as at risk on that day
    stop = 2.0 * rng.permutation(np.arange(1, 501))[:200]
    event = rng.integers(0, 3, 200)
    entry = (2 * np.floor(rng.uniform(0, stop / 2)) + 1) * delayed
    cohorts = [
        Cohort(50, survival={"pfs": SurvivalOutcome(entry[i::4], stop[i::4], event[i::4])}) for i in range(4)
    ]
    found = without_noise(competing(EVERYBODY, DAILY, entry_at_zero=not delayed), cohorts).strata[0]
    for number, kind in enumerate(KINDS, start=1):
        fitter = AalenJohansenFitter().fit(stop, event, number, entry=entry if delayed else None)
        times = fitter.cumulative_density_.index.to_numpy()
        after = times > 0
        line = found.series[f"incidence of {kind}"]
        at = np.searchsorted(line.x, times[after])
        expected = fitter.cumulative_density_.to_numpy()[after, 0]
        np.testing.assert_allclose(np.array(line.values)[at], expected, rtol=1e-9, atol=1e-12)
        if not delayed:  # lifelines leaves NaN where a risk set of one empties
            wanted = fitter.variance_.to_numpy().ravel()[after]
            mine = np.array(line.sampling_variance)[at]
            ok = np.isfinite(wanted)
            np.testing.assert_allclose(mine[ok], wanted[ok], rtol=1e-6, atol=1e-12)


def test_without_noise_and_with_ties_values_equal_statsmodels(rng: np.random.Generator) -> None:
    stop, event = rng.integers(1, 60, 400).astype(float), rng.integers(0, 3, 400)
    cohort = Cohort(400, survival={"pfs": SurvivalOutcome(np.zeros(400), stop, event)})
    found = without_noise(competing(EVERYBODY, DAILY[:101]), [cohort]).strata[0]
    fitted = CumIncidenceRight(stop, event)
    for number, kind in enumerate(KINDS):
        line = found.series[f"incidence of {kind}"]
        at = np.searchsorted(line.x, fitted.times)
        np.testing.assert_allclose(np.array(line.values)[at], fitted.cinc[number], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("patients", "epsilon"), [(1500, 1.0), (5000, 0.5)])
def test_with_noise_intervals_cover_the_planted_incidence(
    rng: np.random.Generator, patients: int, epsilon: float
) -> None:
    # Hazards 1/600 and 1/900 a day: F1(t) = (3/5) (1 - exp(-t/360)). 200 runs; a true coverage of .93 gives
    # fewer than 172 with probability 1e-3 (binomial).
    year = MONTHLY[12]
    analysis = competing(EVERYBODY, MONTHLY, entry_at_zero=False, at=(year,))
    name, truth = f"incidence of progression at day {year:g}", 0.6 * (1 - np.exp(-year / 360))
    covered, area = 0, 0
    last = MONTHLY[-1]
    lost = 0.6 * (last - 360 * (1 - np.exp(-last / 360)))
    for _ in range(200):
        first, second = rng.exponential(600.0, patients), rng.exponential(900.0, patients)
        censored = rng.uniform(300.0, 1500.0, patients)
        stop = np.minimum(np.minimum(first, second), censored)
        event = np.where(stop == censored, 0, np.where(stop == first, 1, 2))
        cohort = Cohort(patients, survival={"pfs": SurvivalOutcome(np.zeros(patients), stop, event)})
        found = with_noise(analysis, cohort, epsilon, rng).strata[0].estimates
        estimate = found[name]
        assert estimate.lower is not None
        assert estimate.upper is not None
        covered += estimate.lower <= truth <= estimate.upper
        days = found.get("days lost to progression")
        area += days is None or (days.lower or 0.0) <= lost <= (days.upper or 0.0)
    assert covered >= 172
    assert area >= 172
