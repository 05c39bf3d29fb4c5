"""The laws for Cox regression, and agreement with lifelines 0.30 (MIT) and statsmodels 0.15 (BSD)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxTimeVaryingFitter
from lifelines.datasets import load_lung, load_stanford_heart_transplants
from statsmodels.duration.hazard_regression import PHReg

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.cox import CoxModel
from fedvalue.analyses.design import Covariate, Design
from fedvalue.analyses.estimate import Conclusion
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

MONTH = 365.25 / 12
MONTHLY = tuple(MONTH * i for i in range(25))
EVERYBODY = Groups((), ())
AGE = Covariate("age", (18.0, 95.0))
EGFR = Covariate("egfr", None, ("mutated", "wild type", "not tested"))
ARM = Covariate("arm", None, ("a", "b"))


def days(last: float) -> tuple[float, ...]:
    return tuple(float(day) for day in range(int(last) + 1))


def model(
    edges: tuple[float, ...], covariates: Sequence[Covariate], *, strata: Groups = EVERYBODY,
    at_zero: bool = True, exposure: str | None = None, largest: float = 3.0, row_bound: float | None = None,
) -> CoxModel:  # fmt: skip
    curves = KaplanMeierByGroup("pfs", strata, edges, at_zero)
    design = Design(tuple(covariates), intercept=False, row_bound=row_bound)
    return CoxModel(curves, design, exposure, largest)


class TestCoxLaws(AnalysisLaws):
    PAIRS = 25

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        strata = Groups(("egfr",), (("mutated", "wild type", "not tested"),))
        return [
            model(MONTHLY, [AGE, EGFR], at_zero=False),
            model(days(90), [AGE], strata=strata, exposure="started", at_zero=False),
            model(MONTHLY, [], exposure="started", row_bound=0.5),
        ]


def cohort_of(table: pd.DataFrame, covariates: Sequence[str], stratum: str | None = None) -> list[Cohort]:
    """Whole numbers of days over five sites."""
    levels = np.unique(table[stratum]) if stratum else np.zeros(0)
    found = []
    for i in range(5):
        part = table.iloc[i::5]
        found.append(
            Cohort(
                len(part),
                {stratum: np.searchsorted(levels, part[stratum])} if stratum else {},
                {name: part[name].to_numpy(float) for name in covariates},
                survival={
                    "pfs": SurvivalOutcome(
                        part["entry"].to_numpy(float) if "entry" in part else np.zeros(len(part)),
                        part["time"].to_numpy(float),
                        part["event"].to_numpy(int),
                    )
                },
            )
        )
    return found


def spanning(table: pd.DataFrame, names: Sequence[str]) -> list[Covariate]:
    return [Covariate(n, (float(np.floor(table[n].min())), float(np.ceil(table[n].max())))) for n in names]


def agrees(found: Conclusion, names: Sequence[str], params: Sequence[float], errors: Sequence[float]) -> None:
    stratum = found.strata[0]
    assert stratum.status == "estimated"
    np.testing.assert_allclose([stratum.estimates[n].value for n in names], params, rtol=1e-3)
    spread = [math.sqrt(stratum.estimates[n].sampling_variance) for n in names]
    np.testing.assert_allclose(spread, errors, rtol=0.01)


@pytest.mark.parametrize("stratum", [None, "ph.ecog"])
@pytest.mark.parametrize("delayed", [False, True])
def test_without_noise_lung_over_five_sites_equals_breslows_partial_likelihood(
    rng: np.random.Generator, stratum: str | None, delayed: bool
) -> None:
    table = load_lung().rename(columns={"status": "event"}).dropna(subset=["ph.ecog", "age", "sex"])
    table = table[table["ph.ecog"] < 3]
    names = ["age", "sex"]
    if delayed:
        table["entry"] = np.floor(table["time"] * rng.uniform(0, 0.5, len(table)))
    groups = Groups((stratum,), (("0", "1", "2"),)) if stratum else EVERYBODY
    analysis = model(days(1030), spanning(table, names), strata=groups, at_zero=not delayed, largest=30.0)
    assert len(analysis.rounds()) == 8
    found = without_noise(analysis, cohort_of(table, names, stratum))
    # statsmodels counts who enters on a day as at risk on that day
    reference = PHReg(
        table["time"], table[names], status=table["event"], ties="breslow",
        entry=table["entry"] + 0.5 if delayed else None, strata=table[stratum] if stratum else None,
    ).fit(disp=0)  # fmt: skip
    agrees(found, names, reference.params, reference.bse)
    assert found.strata[0].released["events"].value == table["event"].sum()


def test_without_noise_heart_transplants_equal_lifelines_and_nobody_is_immortal() -> None:
    # Crowley, Hu 1977: patients wait for a heart; those who die early never get one.
    spells = load_stanford_heart_transplants()
    spells = spells[spells["stop"] > spells["start"]]
    people = spells.groupby("id").agg(
        time=("stop", "max"), event=("event", "max"), age=("age", "first"), year=("year", "first")
    )
    started = spells[spells["transplant"] == 1].groupby("id")["start"].min()
    people["started"] = started.reindex(people.index)
    # in whole tenths of days, because some wait half a day
    people[["time", "started"]] = np.rint(people[["time", "started"]] * 2)
    spells[["start", "stop"]] = np.rint(spells[["start", "stop"]] * 2)
    names = ["age", "year"]
    analysis = model(days(3600), spanning(people, names), exposure="started", largest=30.0)
    found = without_noise(analysis, cohort_of(people, [*names, "started"]))
    fitter = CoxTimeVaryingFitter().fit(
        spells[["id", "start", "stop", "event", "age", "year", "transplant"]],
        id_col="id", event_col="event", start_col="start", stop_col="stop",
    )  # fmt: skip
    # lifelines breaks ties as Efron does: 75 deaths on 71 half-days
    expected = fitter.params_[["age", "year", "transplant"]]
    values = [found.strata[0].estimates[n].value for n in (*names, "started")]
    np.testing.assert_allclose(values, expected, rtol=0.02, atol=0.003)
    # counted as exposed from day zero, the same hearts would seem to save most lives
    people["ever"] = people["started"].notna().astype(float)
    immortal = without_noise(
        model(days(3600), spanning(people, [*names, "ever"]), largest=30.0),
        cohort_of(people, [*names, "ever"]),
    )
    assert values[2] > -0.2
    assert immortal.strata[0].estimates["ever"].value < -1


def test_hand_worked_two_patients_a_day() -> None:
    outcome = SurvivalOutcome(np.zeros(4), np.array([1.0, 3, 2, 4]), np.array([1, 1, 1, 1]))
    cohort = Cohort(4, {"arm": np.array([0, 0, 1, 1])}, survival={"pfs": outcome})
    # day 1 a of aabb: 1/(2+2r); day 2 b of abb: r/(1+2r); day 3 a of ab: 1/(1+r); day 4 b alone
    # d/dlog r: 1 - 2r/(1+r) - 2r/(1+2r) = 0  ->  (1-r)(1+2r) = 2r(1+r)  ->  4r^2 + r - 1 = 0
    root = (math.sqrt(17) - 1) / 8
    found = without_noise(model(days(5), [ARM], largest=30.0), [cohort]).strata[0]
    assert found.estimates["hazard ratio of arm=b"].value == pytest.approx(root, rel=1e-3)


@pytest.mark.parametrize(("patients", "epsilon", "grid"), [(5000, 1.0, "month"), (2000, 3.0, "day")])
def test_with_noise_intervals_cover_the_planted_hazard_ratios(
    rng: np.random.Generator, patients: int, epsilon: float, grid: str
) -> None:
    # 12 runs of two coefficients, half the patients entering late: a true coverage of .94 gives fewer than 18
    # of 24 with probability 1e-3 (binomial). `make prove KEY=coverage` has the thousand.
    edges = MONTHLY if grid == "month" else days(730)
    analysis = model(edges, [AGE, ARM], at_zero=False, largest=2.0, row_bound=0.8)
    truth, covered = {"age": 0.02, "arm=b": -0.3}, 0
    for _ in range(12):
        age, arm = rng.normal(60, 12, patients).clip(18, 95), rng.integers(0, 2, patients)
        death = rng.exponential(500 / np.exp(0.02 * (age - 60) - 0.3 * arm))
        censored = rng.uniform(200, 1500, patients)
        entry = np.where(rng.random(patients) < 0.5, 0.0, np.floor(rng.exponential(60, patients)))
        stop = np.ceil(np.minimum(death, censored))
        outcome = SurvivalOutcome(entry, stop, (death <= censored).astype(np.int64))
        cohort = Cohort(patients, {"arm": arm}, {"age": age}, survival={"pfs": outcome})
        found = with_noise(analysis, cohort, epsilon, rng, shared=True).strata[0]
        for name, value in truth.items():
            estimate = found.estimates[name]
            assert estimate.lower is not None
            assert estimate.upper is not None
            covered += estimate.lower <= value <= estimate.upper
    assert covered >= 18


@pytest.mark.parametrize("trouble", ["no events", "nobody", "constant", "separation", "one site lacks it"])
def test_trouble_in_the_data_is_a_refusal_never_a_silent_number(
    rng: np.random.Generator, trouble: str
) -> None:
    n = 0 if trouble == "nobody" else 300
    stop = rng.exponential(300, n).round() + 1
    event = np.zeros(n, dtype=np.int64) if trouble == "no events" else np.ones(n, dtype=np.int64)
    age = np.full(n, 60.0) if trouble == "constant" else rng.normal(60, 10, n)
    arm = rng.integers(0, 2, n)
    if trouble == "separation":
        event = (arm == 1).astype(np.int64)
    numbers = {} if trouble == "one site lacks it" else {"age": age}
    cohort = Cohort(n, {"arm": arm}, numbers, survival={"pfs": SurvivalOutcome(np.zeros(n), stop, event)})
    analysis = model(days(720), [AGE, ARM])
    for found in (
        without_noise(analysis, [cohort]).strata[0],
        with_noise(analysis, cohort, 1.0, rng, shared=True).strata[0],
    ):
        assert found.status != "estimated"
        assert not found.estimates
