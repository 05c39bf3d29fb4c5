"""The cohort outcome-linked mechanism against published numbers, and its error rate at the threshold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, special, stats

from fedvalue.analyses.estimate import Released
from fedvalue.payment.operating import Critical, Rulebook, critical
from fedvalue.payment.outcome_linked import Counts, Prior, posterior, posterior_of_known_total
from fedvalue.payment.rules import ProbabilityRule, read

CASES = json.loads((Path(__file__).parent / "outcome_linked.json").read_text())["cases"]
ANSWERS = {"THRESHOLD_MET": "met", "INSUFFICIENT_EVIDENCE": "insufficient_evidence"}
RULE = ProbabilityRule(0.90, 0.10)
BOOK = Rulebook(RULE, 0.30, "at_least", Prior())
RUNS, PATIENTS = 2000, 200


@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c['responders_released']}/{c['n']} sigma {c['dp_sigma']}"
)
def test_the_posterior_and_the_answer_are_those_of_the_golden_file(case: dict[str, Any]) -> None:
    success = Released(value=case["responders_released"], noise_variance=float(case["dp_sigma"]) ** 2)
    believed = posterior_of_known_total(success, case["n"], Prior())
    assert believed.at_least(0.30) == pytest.approx(case["p_ge_0_30"], abs=1e-6)
    assert RULE.answer(read(believed, 0.30, "at_least")) == ANSWERS[case["decision_90_10"]]


def test_the_copied_numbers_are_those_of_the_shared_data(shared_data: Path) -> None:
    shared = json.loads((shared_data / "payment" / "golden_payment_cases.json").read_text())
    assert shared["orr_cohort"] == CASES


def test_exact_counts_give_the_beta_interval() -> None:
    # Beta(1 + 36, 1 + 64): its quantiles from scipy
    believed = posterior_of_known_total(Released(value=36, noise_variance=0), 100, Prior())
    assert believed.interval() == pytest.approx(stats.beta(37, 65).interval(0.95), abs=1e-6)


@pytest.mark.parametrize(
    ("success", "other", "sd"), [(36.4, 60.1, 4.0), (-6.0, 50.0, 9.0), (150.2, 300.7, 12.5)]
)
def test_two_noisy_counts_agree_with_the_plain_double_sum(success: float, other: float, sd: float) -> None:
    # The slow and obvious version: every pair of true counts, one by one in numpy, no panels, no pruning.
    counts = Counts(
        Released(value=success, noise_variance=sd**2), Released(value=other, noise_variance=2 * sd**2)
    )
    reach = math.ceil(max(success, 0) + max(other, 0) + 12 * sd)
    r, u = np.meshgrid(np.arange(reach + 1.0), np.arange(reach + 1.0), indexing="ij")
    # With the flat prior binom(r + u, r) B(1 + r, 1 + u) is 1 / (r + u + 1).
    weight = stats.norm.pdf(success, r, sd) * stats.norm.pdf(other, u, math.sqrt(2) * sd) / (r + u + 1)
    plain = float((weight * special.betaincc(1 + r, 1 + u, 0.3)).sum() / weight.sum())
    assert posterior(counts, Prior()).at_least(0.3) == pytest.approx(plain, abs=1e-6)


def test_a_wide_noise_agrees_with_the_integral_over_theta() -> None:
    # Continuous limit by another route: with a flat prior on n, integrate theta out numerically per total.
    counts = Counts(Released(value=400, noise_variance=60.0**2), Released(value=700, noise_variance=85.0**2))

    def density(theta: float) -> float:
        # Given n, successes are near normal: n theta with variance n theta (1 - theta); average over n.
        n = np.linspace(400, 2000, 3201)
        mean_r, spread = n * theta, n * theta * (1 - theta)
        a, b = 400 - mean_r, 700 - (n - mean_r)
        v1, v2, c = 60.0**2 + spread, 85.0**2 + spread, -spread
        det = v1 * v2 - c**2
        exponent = -(v2 * a**2 - 2 * c * a * b + v1 * b**2) / (2 * det)
        return float(integrate.trapezoid(np.exp(exponent) / np.sqrt(det), n))

    grid = np.linspace(0.05, 0.8, 1501)
    values = np.array([density(t) for t in grid])
    above = integrate.trapezoid(values[grid >= 0.3], grid[grid >= 0.3]) / integrate.trapezoid(values, grid)
    assert posterior(counts, Prior()).at_least(0.3) == pytest.approx(float(above), abs=2e-3)


@pytest.fixture(scope="module")
def at_the_boundary() -> dict[int, NDArray[np.float64]]:
    """Released successes of 2,000 studies of 200 patients whose theta is the threshold, by noise SD."""
    rng = np.random.default_rng(20261121)
    true = rng.binomial(PATIENTS, 0.30, RUNS)
    return {sigma: true + rng.normal(0.0, sigma, RUNS) for sigma in (0, 8, 20)}


def met_rate(released: NDArray[np.float64], found: Critical) -> float:
    """Share of runs that answer met; an answer turns at one released count, see the law on monotony."""
    assert found.high is not None
    return float((released >= found.high).mean())


@pytest.mark.parametrize("sigma", [0, 8, 20])
def test_at_the_threshold_the_noise_aware_rule_answers_met_in_a_tenth_of_studies(
    at_the_boundary: dict[int, NDArray[np.float64]], sigma: int
) -> None:
    # Standard error of a rate of .10 in 2,000 runs: .0067. A true .10 leaves .10 +- .02 in .3 % of seeds.
    rate = met_rate(at_the_boundary[sigma], critical(BOOK, PATIENTS, float(sigma) ** 2))
    assert abs(rate - 0.10) <= 0.02


@pytest.mark.parametrize("sigma", [8, 20])
def test_the_rule_that_ignores_noise_fails_that_bar(
    at_the_boundary: dict[int, NDArray[np.float64]], sigma: int
) -> None:
    # Expected .214 at sigma 8 and .355 at sigma 20 (payment page, T13).
    rate = met_rate(at_the_boundary[sigma], critical(BOOK, PATIENTS, 0.0))
    assert rate - 0.10 > 0.02
    assert rate == pytest.approx({8: 0.214, 20: 0.355}[sigma], abs=0.035)


@pytest.mark.parametrize("sigma", [0, 8, 20])
def test_the_critical_count_is_where_single_decisions_turn(
    at_the_boundary: dict[int, NDArray[np.float64]], sigma: int
) -> None:
    found = critical(BOOK, PATIENTS, float(sigma) ** 2)
    for released in at_the_boundary[sigma][:60]:
        believed = posterior_of_known_total(
            Released(value=float(released), noise_variance=float(sigma) ** 2), PATIENTS, Prior()
        )
        met = RULE.answer(read(believed, 0.30, "at_least")) == "met"
        assert met == (found.high is not None and released >= found.high)


@pytest.mark.parametrize("sigma", [8, 20])
def test_with_a_noisy_number_of_patients_too_false_met_stays_near_a_tenth(sigma: int) -> None:
    # Three cells, each with noise SD sigma / sqrt(3): one of successes, two of the others. The double sum of
    # all runs at once is a few matrix products; 20 runs are checked against the real posterior.
    rng = np.random.default_rng(7)
    cell = sigma / math.sqrt(3)
    true = rng.binomial(PATIENTS, 0.30, RUNS)
    success = true + rng.normal(0, cell, RUNS)
    other = PATIENTS - true + rng.normal(0, math.sqrt(2) * cell, RUNS)
    r, u = np.arange(301.0), np.arange(401.0)
    prior = 1 / (r[:, None] + u[None, :] + 1)
    tail = special.betaincc(1 + r[:, None], 1 + u[None, :], 0.3)
    by_r, by_u = (
        stats.norm.pdf(success[:, None], r, cell),
        stats.norm.pdf(other[:, None], u, math.sqrt(2) * cell),
    )
    whole = ((by_r @ prior) * by_u).sum(axis=1)
    probability = ((by_r @ (prior * tail)) * by_u).sum(axis=1) / whole
    for run in range(20):
        counts = Counts(
            Released(value=success[run], noise_variance=cell**2),
            Released(value=other[run], noise_variance=2 * cell**2),
        )
        assert posterior(counts, Prior()).at_least(0.30) == pytest.approx(probability[run], abs=1e-6)
    # Standard error .0067, as above.
    assert abs((probability >= RULE.p_met).mean() - 0.10) <= 0.02
