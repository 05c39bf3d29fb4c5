"""Costs of real people: means, spreads, trimming and spending equal those of the pooled table."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.analyses.counts import CountsByGroup
from fedvalue.analyses.cross_moments import CrossMomentsByGroup
from fedvalue.analyses.estimate import Conclusion
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.mean import MeanByGroup
from fedvalue.analyses.proportion import ProportionByGroup
from fedvalue.analyses.quantiles import Histogram, QuantilesByGroup
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.spend import SpendByGroup
from fedvalue.analyses.trimmed_mean import TrimmedMeanByGroup
from fedvalue.analyses.utilisation import UtilisationByGroup
from tests.laws.suite import without_noise

COINS = (0, 25, 50, 95)
BY_COINS = Groups(("coins",), (tuple(str(c) for c in COINS),))
EVERYBODY = Groups((), ())
SPENT = Quantity("meddol", 0.0, 40_000.0, "USD")
VISITS = Quantity("visits", 0.0, 20.0, "visits")


@pytest.fixture(scope="module")
def rand(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "rand_hie" / "RandHIE.csv.gz")


Found = Callable[[Analysis], Conclusion]


@pytest.fixture(scope="module")
def found(rand: pd.DataFrame) -> Found:
    """Conclude from the exact sum over the six sites of the experiment."""
    cohorts = []
    for site in sorted(rand["site"].unique()):
        rows = rand[rand["site"] == site]
        coins = np.array([COINS.index(c) if c in COINS else -1 for c in rows["coins"]])
        numbers = {"meddol": rows["meddol"].to_numpy(float), "visits": rows["mdvis"].to_numpy(float)}
        cohorts.append(Cohort(len(rows), {"coins": coins}, numbers))
    assert len(cohorts) == 6
    return lambda analysis: without_noise(analysis, cohorts)


def test_mean_spending_by_coinsurance_is_the_published_one(rand: pd.DataFrame, found: Found) -> None:
    published = {0: 183.9, 25: 167.6, 50: 178.2, 95: 129.9}
    means = found(MeanByGroup(SPENT, BY_COINS))
    for coins in COINS:
        spent = rand.loc[rand["coins"] == coins, "meddol"]
        estimates = means.stratum(f"coins={coins}").estimates
        assert estimates["mean"].value == pytest.approx(published[coins], abs=0.05)
        assert estimates["mean"].value == pytest.approx(spent.mean(), rel=1e-6)
        assert estimates["mean"].sampling_variance == pytest.approx(stats.sem(spent) ** 2, rel=1e-6)
        assert estimates["standard deviation"].value == pytest.approx(spent.std(), rel=1e-6)
    overall = means.stratum("all").estimates
    assert overall["standard deviation"].value == pytest.approx(rand["meddol"].std(), rel=1e-6)
    assert overall["coefficient of variation"].value == pytest.approx(
        stats.variation(rand["meddol"], ddof=1), rel=1e-6
    )


def test_quantiles_of_spending_lie_in_the_right_cells(rand: pd.DataFrame, found: Found) -> None:
    stratum = found(
        QuantilesByGroup(Histogram(SPENT, EVERYBODY, 256, growing=True), (0.25, 0.5, 0.75))
    ).strata[0]
    series = stratum.series["cumulative share"]
    below = [(rand["meddol"] < edge).mean() for edge in series.x[1:-1]]
    assert series.values[1:-1] == pytest.approx(below, abs=1e-9)
    edges = np.array(series.x)
    for name, q in (("quantile 0.25", 0.25), ("median", 0.5), ("quantile 0.75", 0.75)):
        estimate = stratum.estimates[name]
        true = rand["meddol"].quantile(q)
        cell = np.searchsorted(edges, true, side="right") - 1
        assert edges[cell] - 1e-9 <= estimate.value <= edges[cell + 1] + 1e-9


def test_trimming_leaves_out_who_lies_beyond_the_published_fences(rand: pd.DataFrame, found: Found) -> None:
    stratum = found(TrimmedMeanByGroup(Histogram(SPENT, EVERYBODY, 256, growing=True), 1.5)).strata[0]
    low, high = (stratum.released[f"{end} fence"].value for end in ("lower", "upper"))
    inside = rand.loc[rand["meddol"].between(low, high), "meddol"]
    assert stratum.released["patients"].value == len(inside)
    assert stratum.estimates["trimmed mean"].value == pytest.approx(inside.mean(), rel=1e-6)
    assert stratum.estimates["trimmed"].value == pytest.approx(1 - len(inside) / len(rand), rel=1e-6)


def test_spending_visits_and_counts_are_those_of_the_pooled_table(rand: pd.DataFrame, found: Found) -> None:
    spent = found(SpendByGroup(SPENT, EVERYBODY, 4e6)).strata[0].estimates
    assert spent["spent"].value == pytest.approx(rand["meddol"].sum(), rel=1e-6)
    assert spent["share of the budget"].value == pytest.approx(rand["meddol"].sum() / 4e6, rel=1e-6)
    visits = rand["mdvis"].clip(upper=20)
    times = found(UtilisationByGroup(VISITS, EVERYBODY)).strata[0].estimates
    assert times["times per patient"].value == pytest.approx(visits.mean(), rel=1e-6)
    assert times["repeated, of those with any"].value == pytest.approx(
        (visits >= 2).sum() / (visits >= 1).sum(), rel=1e-6
    )
    both = found(CrossMomentsByGroup(SPENT, VISITS, EVERYBODY)).strata[0]
    ratio = both.estimates["meddol per visits"]
    assert ratio.value == pytest.approx(rand["meddol"].mean() / visits.mean(), rel=1e-6)
    counts = found(CountsByGroup(BY_COINS))
    for coins in COINS:
        assert counts.stratum(f"coins={coins}").estimates["patients"].value == (rand["coins"] == coins).sum()


def test_costs_of_the_seriously_ill_by_diagnosis_are_the_published_ones(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "support2" / "support2.csv.gz")
    names = ("Lung Cancer", "CHF", "Coma")
    groups = Groups(("diagnosis",), (names,))
    code = np.array([names.index(d) if d in names else -1 for d in table["dzgroup"]])
    cost, died = table["totcst"].to_numpy(float), table["death"].to_numpy(int)
    sites = np.arange(len(table)) % 7
    cohorts = [
        Cohort(
            int((sites == s).sum()), {"diagnosis": code[sites == s]}, {"cost": cost[sites == s]},
            {"alive": BinaryOutcome(1 - died[sites == s])},
        )
        for s in range(7)
    ]  # fmt: skip
    quantity = Quantity("cost", 0.0, 700_000.0, "USD")
    means = without_noise(MeanByGroup(quantity, groups), cohorts)
    assert means.stratum("diagnosis=Lung Cancer").estimates["mean"].value == pytest.approx(7_100, abs=1)
    assert means.stratum("diagnosis=CHF").estimates["mean"].value == pytest.approx(13_062, abs=1)
    alive = Quantity("alive", 0.0, 1.0, "probability", "exclude")
    both = without_noise(CrossMomentsByGroup(quantity, alive, Groups((), ())), cohorts).strata[0]
    known = np.isfinite(cost)
    assert both.joint is not None
    expected = np.cov(cost[known], 1 - died[known]) / known.sum()
    assert both.joint.sampling[0][1] == pytest.approx(expected[0, 1], rel=1e-3)


def test_diabetes_readmission_within_30_days_is_the_published_share(shared_data: Path) -> None:
    packed = shared_data / "diabetes130" / "diabetic_data.zip"
    with zipfile.ZipFile(packed) as archive, archive.open("diabetic_data.csv") as file:
        table = pd.read_csv(file, usecols=["readmitted", "payer_code"])
    again = (table["readmitted"] == "<30").to_numpy(int)
    cohorts = [
        Cohort(int(mine.sum()), binary={"back": BinaryOutcome(again[mine])})
        for payer in sorted(table["payer_code"].astype(str).unique())
        if (mine := (table["payer_code"].astype(str) == payer).to_numpy()).any()
    ]
    found = without_noise(ProportionByGroup("back", Groups((), ()), "exclude"), cohorts).strata[0]
    assert found.released["success"].value + found.released["failure"].value == 101_766
    assert found.estimates["proportion"].value == pytest.approx(0.1116, abs=5e-5)
