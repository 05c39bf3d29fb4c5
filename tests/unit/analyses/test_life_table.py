"""From numbers at risk to survival, worked by hand; the laws against lifelines are in tests/laws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedvalue.analyses import life_table
from fedvalue.analyses.life_table import RiskTable

Z95 = 1.959963984540054


def table(
    edges: list[float], at_risk: list[float], events: list[float], *, half: bool = False, sd: float = 0.0
) -> RiskTable:
    """A table whose numbers at risk and events each carry independent noise of SD ``sd``."""
    return RiskTable(
        np.array(edges), np.array(at_risk), np.array(events),
        np.eye(len(at_risk)) * sd, np.eye(len(events)) * sd, half,
    )  # fmt: skip


def test_greenwoods_variance_by_hand() -> None:
    # 10 at risk, 2 die: 8/10, 2/(10 8); 8 at risk, 4 die: 4/10, + 4/(8 4)
    found = life_table.estimate(table([0, 1, 2], [10, 8, 4], [2, 4]), 2)
    assert found.survival.tolist() == pytest.approx([0.8, 0.4])
    assert found.sampling.tolist() == pytest.approx([0.025, 0.025 + 0.125])
    assert found.noise.tolist() == [[0, 0], [0, 0]]


def test_when_everybody_dies_survival_is_zero_and_stays_there() -> None:
    found = life_table.estimate(table([0, 1, 2, 3], [2, 0, 0, 0], [2, 0, 0]), 3)
    assert found.survival.tolist() == [0, 0, 0]
    lower, upper = found.band(Z95)
    assert np.isfinite(lower).all()
    assert np.isfinite(upper).all()


def test_the_median_is_the_first_day_with_one_half_or_less() -> None:
    found = life_table.estimate(table([0, 1, 2, 3], [4, 3, 2, 1], [1, 1, 1]), 3)
    # 3/4, 1/2, 1/4
    middle = life_table.median(found, Z95)
    assert middle is not None
    assert middle[0] == 2.0
    never = life_table.estimate(table([0, 1], [4, 3], [1]), 1)
    assert life_table.median(never, Z95) is None


def test_on_a_wide_grid_the_median_lies_inside_the_interval() -> None:
    # at risk (10 + 6 + 4)/2 = 10, 4 die: .6; (6 + 3 + 3)/2 = 6, 3 die: .3; a third of the way from .6 to .3
    found = life_table.estimate(table([0, 30, 60], [10, 6, 3], [4, 3], half=True), 2)
    assert found.survival.tolist() == pytest.approx([0.6, 0.3])
    middle = life_table.median(found, Z95)
    assert middle is not None
    assert middle[0] == pytest.approx(30 + 30 / 3)


def test_the_restricted_mean_is_the_area_under_steps_or_trapezes() -> None:
    steps = life_table.estimate(table([0, 1, 2], [4, 2, 1], [2, 1]), 2)
    # 1 day at 1, 1 day at 1/2
    assert life_table.restricted_mean(steps)[0] == pytest.approx(1.5)
    wide = life_table.estimate(table([0, 30, 60], [10, 6, 3], [4, 3], half=True), 2)
    # 30 (1 + .6)/2 + 30 (.6 + .3)/2
    assert life_table.restricted_mean(wide)[0] == pytest.approx(37.5)


def test_the_variance_of_the_restricted_mean_by_hand() -> None:
    # steps: area = 1 + S(1); var = S(1)^2 x 2/(4 2) = .0625
    found = life_table.estimate(table([0, 1, 2], [4, 2, 1], [2, 1]), 2)
    assert life_table.restricted_mean(found)[1:] == pytest.approx((0.0625, 0.0))


def test_the_privacy_variance_by_the_delta_method_by_hand() -> None:
    # S = 1 - d/n at n = 10, d = 2: log S moves by -(dd - .2 dn)/8; SD 1/2 each: (1 + .04)/64 x .25
    found = life_table.estimate(table([0, 1], [10, 8], [2], sd=0.5), 1)
    assert float(found.noise[0, 0]) == pytest.approx(0.25 * 1.04 / 64)


@pytest.mark.parametrize(("sd", "intervals"), [(0.0, 3), (1.0, 3), (1.01, 2), (2.01, 1), (3.4, 0)])
def test_a_curve_ends_where_the_noise_exceeds_a_third_of_the_number_at_risk(
    sd: float, intervals: int
) -> None:
    # 10, 6 and 3 at risk: SD may be 10/3, 2 and 1
    assert life_table.reach(table([0, 1, 2, 3], [10, 6, 3, 0], [4, 3, 3], sd=sd)) == intervals


def test_a_number_at_risk_below_zero_ends_a_curve_that_has_noise() -> None:
    assert life_table.reach(table([0, 1, 2], [10, -1, 0], [1, 0], sd=0.1)) == 1


def test_negative_and_impossible_counts_yield_numbers_between_zero_and_one() -> None:
    # what noise can do: more events than people, fewer than none
    found = life_table.estimate(table([0, 1, 2, 3, 4], [9, 8, 2, -3, 5], [-2, 1, 7, 1], sd=0.5), 4)
    survival = found.survival
    assert ((survival >= 0) & (survival <= 1)).all()
    assert (np.diff(survival) <= 0).all()
    lower, upper = found.band(Z95)
    assert ((lower >= 0) & (lower <= upper) & (upper <= 1)).all()


def test_far_from_one_the_interval_is_the_log_log_one() -> None:
    # S = .4, var(log S) = .15: exp(-.916 exp(+-1.96 x .387/.916))
    found = life_table.estimate(table([0, 1, 2], [100, 80, 40], [20, 40]), 2)
    hazard, sd = -math.log(0.4), math.sqrt(0.0025 + 0.0125)
    lower, upper = found.band(Z95)
    assert float(lower[1]) == pytest.approx(math.exp(-hazard * math.exp(Z95 * sd / hazard)))
    assert float(upper[1]) == pytest.approx(math.exp(-hazard * math.exp(-Z95 * sd / hazard)))


def test_where_noise_leaves_almost_nobody_alive_the_curve_does_not_explode() -> None:
    # 9.999 of 10 die, SD 1/2: 1/2 x (.5^2 + .5^2)/.001^2 would add 250,000 to log S; (1/3)^2 is held
    found = life_table.estimate(table([0, 1], [10, 8], [9.999], sd=0.5), 1)
    correction = 1 / 18 - 0.25 / 100 / 2
    assert float(found.log_survival[0]) == pytest.approx(math.log(0.0001) + correction)
    assert life_table.restricted_mean(found)[0] <= 1.0
