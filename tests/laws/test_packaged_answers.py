"""Without noise, equal to the pooled reference, on data that test dependencies package: everybody can run it.

RAND Health Insurance Experiment as statsmodels 0.15 (BSD) packages it, and recidivism (Rossi) as lifelines
0.30 (MIT) does, dealt over six sites. Models of such tables: `test_regression`, `test_cox` and
`test_packaged_models`; the real sites: tests/real.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import KaplanMeierFitter
from lifelines.datasets import load_rossi
from lifelines.utils import restricted_mean_survival_time
from scipy import stats

from fedvalue.analyses.arms import Arms, Response
from fedvalue.analyses.by_site import MeansBySite
from fedvalue.analyses.calibration import CalibrationByGroup
from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.analyses.counts import CountsByGroup
from fedvalue.analyses.cross_moments import CrossMomentsByGroup
from fedvalue.analyses.design import Covariate, Design
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.analyses.mean import MeanByGroup
from fedvalue.analyses.outcome import Outcome
from fedvalue.analyses.proportion import ProportionByGroup
from fedvalue.analyses.quantiles import Histogram, QuantilesByGroup
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.rate import RateByGroup
from fedvalue.analyses.risk import Risk
from fedvalue.analyses.spend import SpendByGroup
from fedvalue.analyses.treatment_effect import TreatmentEffectAnalysis
from fedvalue.analyses.utilisation import UtilisationByGroup
from tests.laws.suite import without_noise

SITES = 6
EVERYBODY = Groups((), ())
PLAN = Groups(("idp",), (("no", "yes"),))
VISITS, DISEASES = Quantity("mdvis", 0.0, 80.0, "visits"), Quantity("disea", 0.0, 60.0, "count")
COVARIATES = ("disea", "physlm", "lpi")
WEEKS = tuple(float(week) for week in range(53))


@pytest.fixture(scope="module")
def health() -> pd.DataFrame:
    """Every fourth of 20,190 person-years."""
    table: pd.DataFrame = sm.datasets.randhie.load_pandas().data.iloc[::4].reset_index(drop=True)
    return table.assign(any=(table["mdvis"] > 0).astype(int), place=np.arange(len(table)) % SITES)


@pytest.fixture(scope="module")
def homes(health: pd.DataFrame) -> list[Cohort]:
    x = sm.add_constant(health[list(COVARIATES)])
    score = sm.Logit(health["any"], x).fit(disp=0).predict(x)
    scored = health.assign(score=score)
    return [
        Cohort(
            len(part), {"idp": part["idp"].to_numpy().astype(np.int64)},
            {n: part[n].to_numpy(float) for n in (*COVARIATES, "mdvis", "score")},
            {"any": BinaryOutcome(part["any"].to_numpy().astype(np.int64))},
            site=part["place"].to_numpy().astype(np.int64),
        )
        for _, part in scored.groupby("place")
    ]  # fmt: skip


def test_means_counts_shares_and_spending(health: pd.DataFrame, homes: list[Cohort]) -> None:
    means = without_noise(MeanByGroup(VISITS, PLAN), homes)
    shares = without_noise(ProportionByGroup("any", PLAN, "exclude"), homes)
    counts = without_noise(CountsByGroup(PLAN), homes)
    for code, name in enumerate(("idp=no", "idp=yes")):
        mine = health[health["idp"] == code]
        mean = means.stratum(name).estimates
        assert mean["mean"].value == pytest.approx(mine["mdvis"].mean(), rel=1e-6)
        assert mean["mean"].sampling_variance == pytest.approx(stats.sem(mine["mdvis"]) ** 2, rel=1e-6)
        assert mean["standard deviation"].value == pytest.approx(mine["mdvis"].std(), rel=1e-6)
        assert shares.stratum(name).estimates["proportion"].value == pytest.approx(
            mine["any"].mean(), rel=1e-6
        )
        assert counts.stratum(name).estimates["patients"].value == len(mine)
    spent = without_noise(SpendByGroup(VISITS, EVERYBODY, 10_000.0), homes).strata[0].estimates
    assert spent["spent"].value == pytest.approx(health["mdvis"].sum(), rel=1e-6)
    times = without_noise(UtilisationByGroup(Quantity("mdvis", 0.0, 60.0, "visits"), EVERYBODY), homes)
    clipped = health["mdvis"].clip(upper=60)
    assert times.strata[0].estimates["times per patient"].value == pytest.approx(clipped.mean(), rel=1e-6)


def test_quantiles_moments_and_places(health: pd.DataFrame, homes: list[Cohort]) -> None:
    cells = Histogram(Quantity("lpi", 0.0, 8.0, "log"), EVERYBODY, 256, growing=False)
    found = without_noise(QuantilesByGroup(cells, (0.25, 0.5)), homes).strata[0].estimates
    for name, q in (("quantile 0.25", 0.25), ("median", 0.5)):
        assert found[name].value == pytest.approx(health["lpi"].quantile(q), abs=8 / 256)
    both = without_noise(CrossMomentsByGroup(VISITS, DISEASES, EVERYBODY), homes).strata[0]
    assert both.joint is not None
    expected = np.cov(health["mdvis"], health["disea"]) / len(health)
    np.testing.assert_allclose(np.array(both.joint.sampling)[0, 1], expected[0, 1], rtol=1e-3)
    sites = without_noise(MeansBySite(VISITS, tuple("abcdef")), homes)
    for place, name in enumerate("abcdef"):
        mean = health.loc[health["place"] == place, "mdvis"].mean()
        assert sites.stratum(name).estimates["mean"].value == pytest.approx(mean, rel=1e-6)


def test_the_effect_of_a_plan_is_the_doubly_robust_one(health: pd.DataFrame, homes: list[Cohort]) -> None:
    design = Design(
        (Covariate("disea", (0.0, 60.0)), Covariate("physlm", (0.0, 1.0)), Covariate("lpi", (0.0, 8.0)))
    )
    response = Response(Outcome("mdvis", (0.0, 80.0), unit="visits"))
    analysis = TreatmentEffectAnalysis(Arms("idp", ("no", "yes"), 1, 0), response, design, 20.0)
    found = without_noise(analysis, homes).stratum("all").estimates["effect"]
    # by hand (Glynn, Quinn 2010, eq. 3) with statsmodels' fits
    x = np.asarray(sm.add_constant(health[list(COVARIATES)]))
    treated, y = health["idp"].to_numpy(float), health["mdvis"].to_numpy(float)
    chance = np.clip(np.asarray(sm.Logit(treated, x).fit(disp=0).predict()), 0.1, 0.9)
    values = []
    for arm, e in ((1, chance), (0, 1 - chance)):
        mine = treated == arm
        model = np.clip(np.asarray(sm.OLS(y[mine], x[mine]).fit().predict(x)), 0.0, 80.0)
        values.append(model + mine * (y - model) / e)
    apart = values[0] - values[1]
    assert found.value == pytest.approx(apart.mean(), rel=1e-6)
    # squares travel as shares of K^2 = 400: their grain is 2e-6 of this variance
    assert found.sampling_variance == pytest.approx(apart.var() / len(apart), rel=1e-5)


def test_a_score_is_as_calibrated_and_ranks_as_the_pooled_one(
    health: pd.DataFrame, homes: list[Cohort]
) -> None:
    found = without_noise(CalibrationByGroup("any", "exclude", Risk("score"), EVERYBODY, 50), homes).strata[0]
    # a logistic model with an intercept predicts as many as there are
    assert found.estimates["observed over predicted"].value == pytest.approx(1.0, abs=1e-6)
    score = np.concatenate([home.numbers["score"] for home in homes])
    had = np.concatenate([home.binary["any"].status for home in homes]) == 1
    ranks = stats.mannwhitneyu(np.floor(score[had] * 50), np.floor(score[~had] * 50)).statistic
    area = found.estimates["area under the ROC curve"].value
    assert area == pytest.approx(ranks / had.sum() / (~had).sum(), rel=1e-6)


def test_survival_and_rates_of_the_recidivism_study() -> None:
    rossi = load_rossi()
    aid = Groups(("fin",), (("no", "yes"),))
    homes = [
        Cohort(
            len(part), {"fin": part["fin"].to_numpy().astype(np.int64)},
            survival={
                "arrest": SurvivalOutcome(
                    np.zeros(len(part)), part["week"].to_numpy(float),
                    part["arrest"].to_numpy().astype(np.int64),
                )
            },
        )
        for part in (rossi.iloc[i::SITES] for i in range(SITES))
    ]  # fmt: skip
    curves = without_noise(KaplanMeierByGroup("arrest", aid, WEEKS, entry_at_zero=True, at=(26.0,)), homes)
    rates = without_noise(RateByGroup("arrest", aid, 52.0, True, 100), homes)
    for code, name in enumerate(("fin=no", "fin=yes")):
        mine = rossi[rossi["fin"] == code]
        fitted = KaplanMeierFitter().fit(mine["week"], mine["arrest"])
        estimates = curves.stratum(name).estimates
        assert estimates["survival at day 26"].value == pytest.approx(float(fitted.predict(26)), rel=1e-9)
        area = restricted_mean_survival_time(fitted, t=52)
        assert estimates["restricted mean"].value == pytest.approx(area, rel=1e-6)
        years = mine["week"].sum() / 365.25
        expected = 100 * mine["arrest"].sum() / years
        assert rates.stratum(name).estimates["rate"].value == pytest.approx(expected, rel=1e-6)
