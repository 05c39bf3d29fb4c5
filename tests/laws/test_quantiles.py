"""The laws for quantiles and trimmed means, and agreement with numpy on pooled patients."""

from __future__ import annotations

import numpy as np
import pytest

from fedvalue.analyses import dyadic
from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.cohort import Cohort, pool
from fedvalue.analyses.distribution import Distribution, cells_of, grid, isotonic
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.quantiles import Histogram, QuantilesByGroup
from fedvalue.analyses.quantity import Quantity
from fedvalue.analyses.trimmed_mean import TrimmedMeanByGroup
from tests.laws.conftest import draw_cohort
from tests.laws.suite import AnalysisLaws, with_noise, without_noise

EGFR = Groups(("egfr",), (("mutated", "wild type", "not tested"),))
EVERYBODY = Groups((), ())
COST = Quantity("cost", 0.0, 2_000.0, "CNY")


class TestQuantilesLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [
            QuantilesByGroup(Histogram(COST, EGFR, 16, growing=True), (0.5,)),
            QuantilesByGroup(Histogram(COST, EVERYBODY, 64, growing=False), (0.25, 0.5, 0.75)),
        ]


class TestTrimmedMeanLaws(AnalysisLaws):
    PAIRS = 100

    @pytest.fixture
    def analyses(self) -> list[Analysis]:
        return [TrimmedMeanByGroup(Histogram(COST, EGFR, 16, growing=False), 1.5)]


def test_every_node_is_the_sum_of_its_children_and_the_cells_come_back() -> None:
    # cells 1 2 3 4 -> root 10, halves 3 7, then the cells
    leaves = np.array([1, 2, 3, 4])
    assert dyadic.climbed(leaves).tolist() == [10, 3, 7, 1, 2, 3, 4]
    assert dyadic.levels(4) == 3
    np.testing.assert_allclose(dyadic.agreed(dyadic.climbed(leaves).astype(float), 4), leaves)


def test_the_tree_is_nearer_to_a_long_sum_than_cells_alone() -> None:
    # At equal price a cell of the tree has L + 1 = 7 times the noise variance of a plain one; the total of
    # all 64 cells has 64 plain variances, of the tree less than 7.
    assert dyadic.covariance(64).sum() * dyadic.levels(64) < 7.0 < 64.0


def test_the_grid_is_public_and_a_value_on_an_edge_belongs_to_the_right() -> None:
    assert grid(0.0, 16.0, 4, growing=True).tolist() == [0.0, 1.0, 4.0, 9.0, 16.0]
    edges = grid(0.0, 4.0, 4, growing=False)
    assert cells_of(np.array([0.0, 1.0, 3.999, 4.0, np.nan]), edges).tolist() == [0, 1, 3, 3, -1]


def test_violators_are_pooled() -> None:
    # 1 3 2 4: the second and third violate and become 2.5
    assert isotonic(np.array([1.0, 3.0, 2.0, 4.0])).tolist() == [1.0, 2.5, 2.5, 4.0]


def test_without_noise_a_quantile_lies_in_the_cell_of_that_of_the_pooled_patients(
    rng: np.random.Generator,
) -> None:
    cohorts = [draw_cohort(rng, n, 0.0) for n in (300, 1, 250)]
    found = without_noise(
        QuantilesByGroup(Histogram(COST, EGFR, 256, growing=False), (0.25, 0.5, 0.9)), cohorts
    )
    cost = np.clip(pool(cohorts).numbers["cost"], 0, 2_000)
    estimates = found.stratum("all").estimates
    for name, q in (("quantile 0.25", 0.25), ("median", 0.5), ("quantile 0.9", 0.9)):
        low, high = (np.quantile(cost, q, method=how) for how in ("lower", "higher"))
        assert low - 2_000 / 256 <= estimates[name].value <= high + 2_000 / 256
    below = found.stratum("all").series["cumulative share"]
    shares = [(cost < edge).mean() for edge in below.x[1:-1]]
    assert below.values[1:-1] == pytest.approx(shares)


@pytest.mark.parametrize(("patients", "epsilon"), [(120, 3.0), (400, 1.0), (2000, 0.5)])
def test_with_noise_the_interval_of_a_quantile_covers_also_where_many_have_the_same_value(
    rng: np.random.Generator, patients: int, epsilon: float
) -> None:
    # Three in ten cost nothing, the rest 0 to 2,000 evenly: the first quartile is 0, the median 4/7 thousand.
    # 200 runs; a true coverage of .94 gives fewer than 177 with probability 1e-3 (binomial).
    analysis = QuantilesByGroup(Histogram(COST, EVERYBODY, 64, growing=False), (0.25, 0.5))
    covered = {"quantile 0.25": 0, "median": 0}
    truth = {"quantile 0.25": 0.0, "median": 2_000 * 2 / 7}
    for _ in range(200):
        cost = np.where(rng.random(patients) < 0.3, 0.0, rng.uniform(0, 2_000, patients))
        estimates = with_noise(analysis, Cohort(patients, numbers={"cost": cost}), epsilon, rng).strata[0]
        for name, planted in truth.items():
            interval = estimates.estimates[name]
            assert interval.lower is not None
            assert interval.upper is not None
            covered[name] += interval.lower <= planted <= interval.upper
    assert min(covered.values()) >= 177


def test_hand_worked_trimmed_mean_leaves_the_outlier_out() -> None:
    # 16 values 0, 100, .., 1500 and one of 2,000, on cells of 125: fences at Q -+ 0.5 IQR as published
    values = np.concatenate([np.arange(0.0, 1600.0, 100.0), [2_000.0] * 2])
    analysis = TrimmedMeanByGroup(Histogram(COST, EVERYBODY, 16, growing=False), 0.5)
    stratum = without_noise(analysis, [Cohort(18, numbers={"cost": values})]).strata[0]
    low, high = stratum.released["lower fence"].value, stratum.released["upper fence"].value
    inside = values[(values >= low) & (values <= high)]
    assert 1_500 < high < 2_000
    assert stratum.estimates["trimmed mean"].value == pytest.approx(inside.mean(), rel=1e-6)
    assert stratum.estimates["trimmed mean"].sampling_variance == pytest.approx(
        inside.var(ddof=1) / len(inside), rel=1e-6
    )
    assert stratum.estimates["trimmed"].value == pytest.approx(2 / 18)


def test_with_noise_the_trimmed_mean_covers_the_mean_between_its_fences(rng: np.random.Generator) -> None:
    # Exponential costs: the mean between fences is known in closed form for whatever fences were published.
    # 200 runs; a true coverage of .93 gives fewer than 174 with probability 1e-3 (binomial).
    analysis = TrimmedMeanByGroup(Histogram(COST, EVERYBODY, 64, growing=False), 1.5)
    covered = 0
    for _ in range(200):
        cohort = Cohort(800, numbers={"cost": rng.exponential(300.0, 800)})
        stratum = with_noise(analysis, cohort, 1.0, rng).strata[0]
        low, high = (stratum.released[f"{word} fence"].value for word in ("lower", "upper"))
        a, b = np.exp(-low / 300), np.exp(-high / 300)
        planted = 300 + (low * a - high * b) / (a - b)
        found = stratum.estimates["trimmed mean"]
        assert found.lower is not None
        assert found.upper is not None
        covered += found.lower <= planted <= found.upper
    assert covered >= 174


def test_fences_that_a_coordinator_makes_up_select_nobody_outside_the_clip() -> None:
    analysis = TrimmedMeanByGroup(Histogram(COST, EVERYBODY, 16, growing=False), 1.5)
    cohort = Cohort(3, numbers={"cost": np.array([1.0, 5.0, np.nan])})
    ask = analysis.rounds()[1]
    scaling = {block.name: 2**10 for block in ask.blocks}
    for public in ((9.0, 1.0), (5.0, 5.0), (-1e15, -1e14), (0.0, 5e-324)):
        found = analysis.contribution(cohort, ask.given(public), scaling)  # type: ignore[arg-type]  # integers
        assert found["first"].tolist() == [0]
        assert found["patients"].tolist() == [0, 2 * 2**10, 2**10]


def test_a_group_without_patients_has_no_fences_and_costs_nothing_more() -> None:
    analysis = TrimmedMeanByGroup(Histogram(COST, EGFR, 16, growing=False), 1.5)
    cohort = Cohort(2, {"egfr": np.array([0, 0])}, {"cost": np.array([10.0, 1_000.0])})
    found = without_noise(analysis, [cohort])
    assert found.stratum("egfr=mutated").status == "estimated"
    assert found.stratum("egfr=wild type").status == "below_minimum"


def test_the_interval_of_a_cumulative_share_is_that_of_the_released_counts_before_they_are_made_to_rise() -> (
    None
):
    # 40 patients in 8 cells of which one was released as -10: the share falls there, and is made to rise
    found = Distribution(np.arange(9.0), np.array([10.0, 10, -10, 10, 10, 0, 5, 5]), 1.0)
    line = found.shares_below("CNY")
    assert np.all(np.diff(line.values) >= 0)
    # below edge 3 lie 10 of 40: Wilson's interval around 1/4, wider by the noise of one or two nodes in 40
    assert line.lower[3] < 0.25 - 0.11
    assert line.values[3] == pytest.approx((10 + 20 + 10) / 3 / 40, abs=0.1)
    assert all(low <= v <= high for low, v, high in zip(line.lower, line.values, line.upper, strict=True))
