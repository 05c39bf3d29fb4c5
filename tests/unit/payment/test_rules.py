"""Rules and what they will answer: hand-worked turns, laws, power against published figures."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fedvalue.analyses.estimate import Released, Stratum
from fedvalue.errors import PaymentError
from fedvalue.payment.operating import (
    Critical,
    Rulebook,
    answer_probabilities,
    assurance,
    critical,
    patients_needed,
    probability_met,
)
from fedvalue.payment.outcome_linked import (
    Counts,
    Posterior,
    Prior,
    counts_of,
    posterior,
    posterior_of_known_total,
)
from fedvalue.payment.rules import (
    GuardBandRule,
    ProbabilityRule,
    Reading,
    guard_band,
    read,
    rule_called,
)

D1 = ProbabilityRule(0.9, 0.1)
BOOK = Rulebook(D1, 0.30, "at_least", Prior())


def known(success: float, patients: int, sd: float = 0.0) -> Posterior:
    return posterior_of_known_total(Released(value=success, noise_variance=sd**2), patients, Prior())


def noisy(success: float, other: float, sd: float) -> Counts:
    return Counts(
        Released(value=success, noise_variance=sd**2), Released(value=other, noise_variance=2 * sd**2)
    )


def reading(probability: float = 0.5, estimate: float = 0.4, variance: float = 0.0025) -> Reading:
    return Reading(probability, estimate, variance, 0.0, 0.30, "at_least")


@pytest.mark.parametrize(
    ("probability", "answer"),
    [
        (0.9, "met"),
        (0.899999999, "insufficient_evidence"),
        (0.1, "not_met"),
        (0.100000001, "insufficient_evidence"),
    ],
)
def test_the_probability_rule_turns_at_its_levels(probability: float, answer: str) -> None:
    assert D1.answer(reading(probability)) == answer


def test_the_guard_band_rule_turns_a_band_away_from_the_threshold() -> None:
    # z(.90) = 1.281552, sd .05: g = .0640776, so .3640776 is met, .2359224 is the last that is not cut
    rule, band = GuardBandRule(0.9), 1.2815515655446004 * 0.05
    assert guard_band(0.9, 0.0025) == pytest.approx(band, abs=1e-12)
    assert rule.answer(reading(estimate=0.30 + band + 1e-9)) == "met"
    assert rule.answer(reading(estimate=0.30 + band - 1e-9)) == "insufficient_evidence"
    assert rule.answer(reading(estimate=0.30 - band)) == "insufficient_evidence"
    assert rule.answer(reading(estimate=0.30 - band - 1e-9)) == "not_met"


def test_the_guard_band_rule_is_mirrored_for_at_most() -> None:
    low = Reading(0.5, 0.1, 0.0025, 0.0, 0.30, "at_most")
    assert GuardBandRule(0.9).answer(low) == "met"


@pytest.mark.parametrize(("p_met", "p_not"), [("0.9", "0.5"), ("0.5", "0.1"), ("1", "0.1"), ("0.9", "0")])
def test_levels_that_leave_no_room_for_insufficient_evidence_are_refused(p_met: str, p_not: str) -> None:
    with pytest.raises(PaymentError, match="no levels of a decision"):
        rule_called("D1", p_met=Decimal(p_met), p_not=Decimal(p_not))


@given(st.integers(30, 400), st.floats(0.1, 40), st.floats(-60, 460), st.floats(0, 60))
@settings(max_examples=60, deadline=None)
def test_more_released_successes_never_make_meeting_less_probable(
    patients: int, sd: float, success: float, more: float
) -> None:
    assert (
        known(success, patients, sd).at_least(0.3)
        <= known(success + more, patients, sd).at_least(0.3) + 1e-12
    )


@given(st.floats(-40, 200), st.floats(20, 300), st.floats(0.5, 25), st.floats(0.02, 0.98))
@settings(max_examples=40, deadline=None)
def test_the_two_sides_of_a_threshold_share_all_probability(
    success: float, other: float, sd: float, threshold: float
) -> None:
    believed = posterior(noisy(success, other, sd), Prior())
    above, below = (read(believed, threshold, side).probability for side in ("at_least", "at_most"))
    assert above + below == pytest.approx(1, abs=2e-9)


@given(st.floats(-40, 200), st.floats(-40, 300), st.floats(0.5, 25), st.floats(0.05, 0.95))
@settings(max_examples=40, deadline=None)
def test_success_and_failure_are_mirror_images(
    success: float, other: float, sd: float, threshold: float
) -> None:
    counts = noisy(success, other, sd)
    mirrored = Counts(counts.other, counts.success)
    here = posterior(counts, Prior(1.0, 2.0)).at_least(threshold)
    there = posterior(mirrored, Prior(2.0, 1.0)).at_least(1 - threshold)
    assert here == pytest.approx(1 - there, abs=2e-6)


@given(st.floats(0, 80), st.floats(0, 80), st.floats(0, 1))
@settings(deadline=None)
def test_how_failures_and_missing_split_does_not_matter_when_missing_is_failure(
    failure: float, missing: float, share: float
) -> None:
    def counts(first: float, second: float, part: float) -> Counts:
        released = {
            "success": Released(value=30, noise_variance=4),
            "failure": Released(value=first, noise_variance=8 * part),
            "missing": Released(value=second, noise_variance=8 * (1 - part)),
        }
        return counts_of(Stratum(name="all", status="estimated", released=released), "non_response")

    whole, split = counts(failure + missing, 0.0, 1.0), counts(failure, missing, share)
    assert split.total.value == pytest.approx(whole.total.value)
    assert split.other.noise_variance == pytest.approx(whole.other.noise_variance)


def test_excluding_the_missing_leaves_them_out() -> None:
    released = {
        "success": Released(value=30, noise_variance=4),
        "failure": Released(value=50, noise_variance=4),
        "missing": Released(value=20, noise_variance=4),
    }
    stratum = Stratum(name="all", status="estimated", released=released)
    assert counts_of(stratum, "exclude").total == Released(value=80, noise_variance=8)
    assert counts_of(stratum, "non_response").total == Released(value=100, noise_variance=12)


def test_a_stratum_without_counts_is_refused() -> None:
    with pytest.raises(PaymentError, match="releases no success, failure, missing"):
        counts_of(Stratum(name="all", status="estimated"), "exclude")


@pytest.mark.parametrize(("success", "side"), [(-30.0, "below"), (130.0, "above")])
def test_a_released_count_outside_its_range_is_used_as_it_is(success: float, side: str) -> None:
    # 100 patients, sigma 10: three sigma outside. Clipping to 0 or 100 first would be less extreme.
    here, clipped = known(success, 100, 10.0), known(min(max(success, 0.0), 100.0), 100, 10.0)
    lower, upper = here.interval()
    assert 0 <= lower < upper <= 1
    if side == "below":
        assert here.mean < clipped.mean < 0.2
    else:
        assert here.mean > clipped.mean > 0.8


def test_noise_widens_the_interval_and_its_share_of_the_variance_grows() -> None:
    widths, shares = [], []
    for sd in (0.0, 3.0, 10.0, 30.0):
        believed = known(36, 100, sd)
        lower, upper = believed.interval()
        widths.append(upper - lower)
        shares.append(believed.privacy_variance / (believed.privacy_variance + believed.sampling_variance))
    assert widths == sorted(widths)
    assert shares == sorted(shares)
    assert shares[0] == 0


def test_sampling_and_privacy_variance_add_up_to_that_of_the_mixture() -> None:
    believed = posterior(noisy(36, 64, 8.0), Prior())
    a, b = believed.alpha, believed.beta
    second = float((believed.weight * a * (a + 1) / ((a + b) * (a + b + 1))).sum())
    whole = second - believed.mean**2
    assert believed.sampling_variance + believed.privacy_variance == pytest.approx(whole, rel=1e-9)


def test_exact_counts_turn_between_two_whole_patients() -> None:
    # Beta(1 + r, 101 - r): P(theta >= .3) is .8789 at 35 and .90926 at 36; .1022 at 24 and .0711 at 23
    found = critical(BOOK, 100, 0.0)
    assert found.high == pytest.approx(35.5, abs=1e-6)
    assert found.low == pytest.approx(23.5, abs=1e-6)


@pytest.mark.parametrize(("sigma", "power"), [(0, 0.953), (8, 0.753), (20, 0.375)])
def test_power_at_forty_per_cent_is_the_published_one(sigma: int, power: float) -> None:
    # payment page, T13: n = 200, 5,000 simulated runs, tolerance .015
    assert probability_met(BOOK, 0.40, 200, float(sigma) ** 2) == pytest.approx(power, abs=0.015)


def test_false_met_below_the_threshold_is_the_published_one() -> None:
    assert probability_met(BOOK, 0.25, 200, 400.0) == pytest.approx(0.041, abs=0.015)


@pytest.mark.parametrize("sigma", [0.0, 5.0, 15.0, 40.0])
@pytest.mark.parametrize("theta", [0.20, 0.25, 0.28, 0.30])
def test_no_noise_makes_false_met_more_frequent_than_a_tenth(theta: float, sigma: float) -> None:
    # payment page, T14: at most 1 - p_met; .02 covers the whole-number turn at sigma 0
    assert probability_met(BOOK, theta, 300, sigma**2) <= 0.12


def test_at_most_is_the_mirror_image() -> None:
    book = Rulebook(D1, 0.70, "at_most", Prior())
    assert probability_met(book, 0.60, 200, 64.0) == pytest.approx(
        probability_met(BOOK, 0.40, 200, 64.0), abs=1e-4
    )


def test_the_probability_of_an_answer_agrees_with_simulation() -> None:
    rng = np.random.default_rng(5)
    found = critical(BOOK, 150, 100.0)
    assert found.high is not None
    released = rng.binomial(150, 0.37, 40_000) + rng.normal(0, 10, 40_000)
    # Standard error .0025
    assert probability_met(BOOK, 0.37, 150, 100.0) == pytest.approx(
        (released >= found.high).mean(), abs=0.0075
    )


def test_more_patients_are_found_with_the_assurance_asked_for() -> None:
    believed = known(36, 100, 3.0)
    found = patients_needed(
        BOOK, believed, from_patients=100, noise_variance=9.0, wanted=0.8, at_most=100_000
    )
    assert found is not None
    patients, reached = found
    assert reached >= 0.8
    assert assurance(BOOK, believed, patients, 9.0) == reached
    assert assurance(BOOK, believed, int(0.9 * patients), 9.0) < 0.8
    assert math.isclose(patients, 600, rel_tol=0.05)


def test_no_number_of_patients_is_named_past_the_limit() -> None:
    assert (
        patients_needed(BOOK, known(30, 100), from_patients=100, noise_variance=0.0, wanted=0.99, at_most=500)
        is None
    )


@pytest.mark.parametrize(
    ("patients", "theta"), [(1, 0.3), (150, 0.37), (5000, 0.001), (20_000, 0.9), (30, 1.0)]
)
def test_without_noise_an_answer_has_the_probability_of_the_binomial_tail(
    patients: int, theta: float
) -> None:
    # agreement with scipy.stats.binom, which the code does without because its import is slow
    turn = float(round(patients * theta))
    high, low = answer_probabilities(Critical(turn, turn - 1), theta, patients, 0.0)
    assert high == pytest.approx(stats.binom.sf(turn - 1, patients, theta), rel=1e-10)
    assert low == pytest.approx(stats.binom.cdf(turn - 1, patients, theta), rel=1e-10)
