"""Rules that set keep their error rate at the boundary, whatever the noise; one that ignores it does not.

At the boundary itself "met" at a probability of .90 or more comes out in a tenth of studies. The standard
error of a rate of .10 is sqrt(.09 / runs): .0047 in 4,000 runs, .017 in 300; bars lie three of them away.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from fedvalue.payment.mechanisms.case_costs import GroupCosts
from fedvalue.payment.mechanisms.innovation_fund import InnovationTerms, admitted
from fedvalue.payment.mechanisms.renegotiation import RenegotiationTerms, triggered
from fedvalue.payment.mechanisms.split import SplitCriteria, condition_probabilities, moment_draws
from fedvalue.payment.mechanisms.underlying import Draws

D = Decimal
TALKS = RenegotiationTerms(D("0.10"), 0.9, Fraction(2, 3), D(0), 60)
FUND = InnovationTerms("fund", "CNY", D("0.02"), D("0.30"), 0.9, 0.1, 5)
RUNS, SAMPLING = 4000, 0.02


def one(released: float, sampling: np.ndarray, privacy: np.ndarray) -> Draws:
    return Draws(("x",), np.array([released]), sampling, privacy, "ev-simulated")


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.06])
def test_talks_start_falsely_in_a_tenth_of_studies_at_the_trigger(noise: float) -> None:
    rng = np.random.default_rng(20261121)
    sampling = rng.standard_normal((1000, 1)) * SAMPLING
    privacy = rng.standard_normal((1000, 1)) * noise
    # The same draws serve every run: only where they are centered changes, and with it the probability.
    spread = (sampling + privacy)[:, 0]
    released = 0.10 + rng.normal(0, np.hypot(SAMPLING, noise), RUNS)
    met = (released[:, None] + spread[None, :] >= 0.10).mean(axis=1) >= TALKS.p_met
    assert abs(met.mean() - 0.10) <= 0.02  # three standard errors, and the error of 1,000 draws
    for run in range(25):
        assert triggered(TALKS, one(released[run], sampling, privacy), "x")[0] == met[run]


def test_a_rule_that_forgets_the_noise_fails_that_bar() -> None:
    # sampling .02, noise .06: forgetting the noise takes z = 1.28 x .02 for one of SD .063: Phi(-.405) = .34
    rng = np.random.default_rng(20261121)
    sampling = rng.standard_normal((1000, 1)) * SAMPLING
    forgotten = np.zeros_like(sampling)
    released = 0.10 + rng.normal(0, np.hypot(SAMPLING, 0.06), 400)
    met = [triggered(TALKS, one(r, sampling, forgotten), "x")[0] for r in released]
    assert 0.25 < np.mean(met) < 0.45


@pytest.mark.parametrize(("truth", "false_answer"), [(0.30, "met"), (0.30, "not_met")])
def test_the_innovation_fund_errs_in_a_tenth_of_studies_to_either_side(
    truth: float, false_answer: str
) -> None:
    rng = np.random.default_rng(7)
    sampling, privacy = rng.standard_normal((800, 1)) * 0.05, rng.standard_normal((800, 1)) * 0.05
    released = truth + rng.normal(0, np.hypot(0.05, 0.05), 600)
    answers = [
        admitted(FUND, one(r, sampling, privacy), "x", starts=date(2025, 1, 1)).outcome for r in released
    ]
    # 600 runs: standard error .012; .04 is three of them
    assert abs(np.mean([a == false_answer for a in answers]) - 0.10) <= 0.04


def test_a_difference_at_the_bar_passes_as_a_split_in_a_tenth_of_years() -> None:
    # true means 1,000 and 1,200, SD 300, 400 cases each: the difference is exactly the bar of 20 %
    rng = np.random.default_rng(19)
    criteria = SplitCriteria(1, D(0), D("0.20"), D(0), D(0), None, "CNY")
    passed = 0
    for _ in range(300):
        groups = []
        for name, mean in (("a", 1000), ("b", 1200)):
            costs = np.round(rng.normal(mean, 300, 400))
            exact = [int(c) for c in costs]
            groups.append(GroupCosts(name, 400, D(sum(exact)), D(sum(c * c for c in exact))))
        found = condition_probabilities(moment_draws(groups, runs=120, rng=rng), criteria)
        passed += found["relative_difference"] >= 0.90
    # standard error .017; 120 draws blur the bar by another .01
    assert abs(passed / 300 - 0.10) <= 0.06
