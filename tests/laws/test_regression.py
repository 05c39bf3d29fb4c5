"""The laws for regressions, and agreement with statsmodels 0.15 (BSD) on pooled patients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.analyses.design import Covariate, Design, packed, unpacked
from fedvalue.analyses.estimate import Stratum
from fedvalue.analyses.families import Gamma, Logistic, Poisson
from fedvalue.analyses.linear import LinearModel
from fedvalue.analyses.outcome import Outcome
from fedvalue.analyses.regression import ModelPart, RegressionModel
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

AGE = Covariate("age", (18.0, 95.0))
EGFR = Covariate("egfr", None, ("mutated", "wild type", "not tested"))
COST = Outcome("cost", (0.0, 2000.0), unit="CNY")
RESPONSE = Outcome("response", None, missing_fails=True)
LOGISTIC = (ModelPart("", Logistic()),)
VISITS = 77.0
RAND = ("lncoins", "idp", "lpi", "fmde", "physlm", "disea", "hlthg")


def two_part(cap: float, ratio: float) -> tuple[ModelPart, ...]:
    return (
        ModelPart("any ", Logistic(), "any"),
        ModelPart("amount ", Gamma(cap, ratio), "value", "above 0"),
    )


class TestRegressionLaws(AnalysisLaws):
    PAIRS = 60

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        design = Design((AGE, EGFR))
        return [
            RegressionModel(RESPONSE, design, LOGISTIC),
            RegressionModel(RESPONSE, Design((AGE, EGFR), row_bound=1.2), LOGISTIC, prediction=True),
            RegressionModel(COST, design, (ModelPart("", Poisson(2000.0, 10.0)),)),
            RegressionModel(COST, design, two_part(2000.0, 5.0)),
            LinearModel(COST, design),
        ]


def columns(stratum: Stratum, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients and their standard errors by sampling."""
    found = [stratum.estimates[name] for name in names]
    return np.array([e.value for e in found]), np.sqrt([e.sampling_variance for e in found])


def sites(table: Mapping[str, NDArray[np.float64]], count: int, binary: str = "") -> list[Cohort]:
    size = len(next(iter(table.values())))
    return [
        Cohort(
            len(range(i, size, count)),
            numbers={name: values[i::count] for name, values in table.items()},
            binary={binary: BinaryOutcome(table[binary][i::count].astype(np.int64))} if binary else {},
        )
        for i in range(count)
    ]


def spanning(table: pd.DataFrame, names: Sequence[str]) -> Design:
    return Design(
        tuple(Covariate(n, (float(np.floor(table[n].min())), float(np.ceil(table[n].max())))) for n in names)
    )


@pytest.fixture(scope="module")
def health() -> pd.DataFrame:
    """RAND Health Insurance Experiment as statsmodels packages it: every fourth of 20,190 person-years."""
    table: pd.DataFrame = sm.datasets.randhie.load_pandas().data.iloc[::4].copy()
    table["any"] = (table["mdvis"] > 0).astype(float)
    return table


def agrees(
    stratum: Stratum, names: Sequence[str], reference: sm.base.model.Results, errors: float = 1e-6
) -> None:
    assert stratum.status == "estimated"
    values, spread = columns(stratum, names)
    np.testing.assert_allclose(values, reference.params, rtol=1e-6)
    np.testing.assert_allclose(spread, reference.bse, rtol=errors)


def test_without_noise_every_model_over_6_sites_equals_statsmodels(health: pd.DataFrame) -> None:
    design = spanning(health, RAND)
    names = design.names
    table = {n: health[n].to_numpy(float) for n in (*RAND, "mdvis", "any")}
    x, y = sm.add_constant(health[list(RAND)]), health["mdvis"]
    homes = sites(table, 6, "any")
    visits = Outcome("mdvis", (0.0, VISITS))
    linear = without_noise(LinearModel(visits, design), homes).strata[0]
    agrees(linear, names, sm.OLS(y, x).fit())
    logistic = without_noise(RegressionModel(Outcome("any", None), design, LOGISTIC), homes).strata[0]
    agrees(logistic, names, sm.Logit(health["any"], x).fit(disp=0))
    poisson = RegressionModel(visits, design, (ModelPart("", Poisson(VISITS, 100.0)),))
    agrees(
        without_noise(poisson, homes).strata[0],
        names,
        sm.GLM(y, x, sm.families.Poisson()).fit(scale="X2"),
    )
    parts = without_noise(RegressionModel(visits, design, two_part(VISITS, 40.0)), homes)
    agrees(parts.stratum("any"), names, sm.Logit(health["any"], x).fit(disp=0))
    paying = y > 0
    gamma = sm.GLM(y[paying], x[paying], sm.families.Gamma(sm.families.links.Log())).fit(scale="X2")
    agrees(parts.stratum("amount"), names, gamma)
    assert parts.stratum("any").released["with a value above 0"].value == paying.sum()


def test_hand_worked_logistic_of_one_binary_variable() -> None:
    # 2 of 4 in a, 3 of 4 in b: log odds 0 and ln 3; variances 1/2 + 1/2 and 1/3 + 1
    arm = Covariate("arm", None, ("a", "b"))
    status = np.array([1, 1, 0, 0, 1, 1, 1, 0])
    cohort = Cohort(8, {"arm": np.repeat([0, 1], 4)}, binary={"response": BinaryOutcome(status)})
    found = without_noise(RegressionModel(RESPONSE, Design((arm,)), LOGISTIC), [cohort]).strata[0]
    assert found.estimates["intercept"].value == pytest.approx(0, abs=1e-8)
    assert found.estimates["arm=b"].value == pytest.approx(math.log(3))
    assert found.estimates["arm=b"].sampling_variance == pytest.approx(1 + 4 / 3, rel=1e-6)
    assert found.estimates["odds ratio of arm=b"].value == pytest.approx(3)
    assert found.joint is not None
    assert found.joint.sampling[0][1] == pytest.approx(-1, rel=1e-6)


def test_the_surrogate_is_the_first_step_and_ranks_nearly_as_well(health: pd.DataFrame) -> None:
    design = spanning(health, RAND)
    table = {n: health[n].to_numpy(float) for n in (*RAND, "any")}
    model = RegressionModel(Outcome("any", None), design, LOGISTIC, prediction=True)
    assert len(model.rounds()) == 1
    found = without_noise(model, sites(table, 6, "any")).strata[0]
    score, _ = columns(found, design.names)
    assert found.estimates["idp"].lower is None
    x = sm.add_constant(health[list(RAND)]).to_numpy(float)
    fitted = sm.Logit(health["any"], x).fit(disp=0).params.to_numpy()
    assert auc(x @ score, table["any"]) > auc(x @ fitted, table["any"]) - 0.001


def auc(score: NDArray[np.float64], outcome: NDArray[np.float64]) -> float:
    rank = pd.Series(score).rank().to_numpy()
    ones = outcome.sum()
    return float((rank[outcome == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(outcome) - ones)))


def test_packed_matrices_are_as_long_as_the_matrix_and_come_back(rng: np.random.Generator) -> None:
    rows = rng.normal(size=(5, 4))
    vectors = packed(rows, np.full(5, 2.0))
    np.testing.assert_allclose((vectors**2).sum(axis=1), 4 * (rows**2).sum(axis=1) ** 2)
    np.testing.assert_allclose(unpacked(vectors.sum(axis=0), 4), 2 * rows.T @ rows)


@pytest.mark.parametrize(
    ("model", "patients", "epsilon"),
    [("logistic", 1500, 1.0), ("poisson", 4000, 3.0), ("gamma", 4000, 2.0), ("linear", 4000, 1.0)],
)
def test_with_noise_intervals_cover_the_planted_coefficients(
    rng: np.random.Generator, model: str, patients: int, epsilon: float
) -> None:
    # 30 runs of two slopes: a true coverage of .94 gives fewer than 50 of 60 with probability 1e-3
    # (binomial). `make prove KEY=coverage` has the thousand.
    design = Design((Covariate("x", (-3.0, 3.0)), Covariate("arm", None, ("a", "b"))))
    truth = {"x": 0.3, "arm=b": -0.5}
    covered, asked = 0, 0
    for _ in range(30):
        x, arm = rng.normal(size=patients).clip(-3, 3), rng.integers(0, 2, patients)
        eta = 0.2 + 0.3 * x - 0.5 * arm
        numbers, binary = {"x": x}, {}
        analysis: Analysis
        if model == "logistic":
            binary = {"y": BinaryOutcome((rng.random(patients) < 1 / (1 + np.exp(-eta))).astype(np.int64))}
            analysis = RegressionModel(Outcome("y", None), design, LOGISTIC)
        elif model == "poisson":
            numbers["y"] = rng.poisson(np.exp(eta)).astype(float)
            analysis = RegressionModel(
                Outcome("y", (0.0, 12.0)), design, (ModelPart("", Poisson(12.0, 3.0)),)
            )
        elif model == "gamma":
            numbers["y"] = rng.gamma(2.0, np.exp(eta) / 2)
            analysis = RegressionModel(Outcome("y", (0.0, 30.0)), design, (ModelPart("", Gamma(30.0, 6.0)),))
        else:
            numbers["y"] = eta + rng.normal(size=patients)
            analysis = LinearModel(Outcome("y", (-6.0, 6.0)), design)
        cohort = Cohort(patients, {"arm": arm}, numbers, binary)
        found = with_noise(analysis, cohort, epsilon, rng).strata[0]
        if found.status != "estimated":
            continue
        for name, value in truth.items():
            estimate = found.estimates[name]
            assert estimate.lower is not None
            assert estimate.upper is not None
            asked += 1
            covered += estimate.lower <= value <= estimate.upper
    assert asked == 60
    assert covered >= 50


def test_ignoring_the_noise_would_not_cover(rng: np.random.Generator) -> None:
    # At epsilon .6 noise adds as much variance as sampling: 84 % instead of 95. 80 runs: more than 74 of them
    # have probability 3e-3 at 84 %.
    design = Design((Covariate("x", (-3.0, 3.0)),))
    naive, honest = 0, 0
    for _ in range(80):
        x = rng.normal(size=1500).clip(-3, 3)
        status = (rng.random(1500) < 1 / (1 + np.exp(-0.3 * x))).astype(np.int64)
        cohort = Cohort(1500, numbers={"x": x}, binary={"y": BinaryOutcome(status)})
        model = RegressionModel(Outcome("y", None), design, LOGISTIC)
        estimate = with_noise(model, cohort, 0.6, rng).strata[0].estimates["x"]
        off = abs(estimate.value - 0.3)
        naive += off <= 1.96 * estimate.sampling_variance**0.5
        honest += off <= 1.96 * (estimate.sampling_variance + estimate.privacy_variance) ** 0.5
    assert naive <= 74
    assert honest > naive


@pytest.mark.parametrize("trouble", ["separation", "collinear", "constant", "all fail", "nobody"])
def test_trouble_in_the_data_is_a_refusal_never_a_number(rng: np.random.Generator, trouble: str) -> None:
    n = 0 if trouble == "nobody" else 400
    x = rng.normal(size=n).clip(-3, 3)
    other = x * 2 if trouble == "collinear" else rng.normal(size=n)
    if trouble == "constant":
        other = np.full(n, 1.0)
    status = (rng.random(n) < 0.5).astype(np.int64)
    if trouble == "separation":
        status = (x > 0).astype(np.int64)
    if trouble == "all fail":
        status = np.zeros(n, dtype=np.int64)
    design = Design((Covariate("x", (-3.0, 3.0)), Covariate("other", (-6.0, 6.0))))
    cohort = Cohort(n, numbers={"x": x, "other": other}, binary={"y": BinaryOutcome(status)})
    model = RegressionModel(Outcome("y", None), design, LOGISTIC)
    for found in (without_noise(model, [cohort]).strata[0], with_noise(model, cohort, 1.0, rng).strata[0]):
        assert found.status != "estimated"
        assert not found.estimates
