"""D3, D4, D5 and the brakes on change."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fedvalue.analyses.estimate import Released
from fedvalue.errors import PaymentError
from fedvalue.payment.economics.net_benefit import NetBenefit
from fedvalue.payment.outcome_linked import Counts, Prior, posterior_of_known_total
from fedvalue.payment.rules import GuardBandRule, ProbabilityRule
from fedvalue.payment.rules_change import (
    Brakes,
    ChangeCap,
    Credibility,
    Hysteresis,
    LastChange,
    MinimumInterval,
    Proposal,
    restrain,
)
from fedvalue.payment.rules_loss import LossReading, LossRule, read_losses, read_normal_losses
from fedvalue.payment.rules_net_benefit import (
    NetBenefitReading,
    NetBenefitRule,
    paths,
    read_net_benefit,
)
from fedvalue.payment.rules_sequential import Look, SequentialRule, bounds, look_of_counts, spending

# ---- D3 ----------------------------------------------------------------------------------------------

CASE = NetBenefitReading(
    NetBenefit(100_000, 500.0, 3000.0**2, 4000.0**2), 1000.0**2, 0.0, 100, 900, 20_000, 30_000, 50_000, True
)


def test_the_four_paths_by_hand() -> None:
    # s_pre = sqrt(25e6 - 1e6) = 4899; 900 s_pre = 4,409,082.
    worth = paths(CASE)
    spread = 900 * math.sqrt(24e6)
    assert worth["keep"] == 0
    assert worth["adopt"] == pytest.approx(500 * 1000 - 20_000)
    later = stats.norm(450_000, spread)
    rng_free = later.expect(lambda x: max(x, -30_000.0), lb=450_000 - 12 * spread, ub=450_000 + 12 * spread)
    assert worth["provisional"] == pytest.approx(500 * 100 - 20_000 + rng_free - 50_000, rel=1e-4)
    delayed = later.expect(lambda x: max(x - 20_000, 0.0), lb=450_000 - 12 * spread, ub=450_000 + 12 * spread)
    assert worth["only_in_research"] == pytest.approx(delayed - 50_000, rel=1e-4)


def test_a_reversible_adoption_stays_provisional_exactly_where_data_are_worth_their_cost() -> None:
    rule = NetBenefitRule()
    found = rule.answer(CASE)
    assert (found.path, found.outcome) == ("provisional", "insufficient_evidence")
    dear = found.value_of_data + CASE.data_cost
    assert rule.answer(replace(CASE, data_cost=dear - 1)).path == "provisional"
    assert rule.answer(replace(CASE, data_cost=dear + 1)).path == "adopt"


def test_what_cannot_be_undone_is_not_adopted_provisionally() -> None:
    found = NetBenefitRule().answer(replace(CASE, reversible=False))
    assert "provisional" not in found.worth
    assert found.path == "only_in_research"


def test_without_data_worth_having_the_sign_of_net_benefit_after_switching_decides() -> None:
    exact = replace(CASE, benefit=NetBenefit(1e5, 20.0, 0, 0), sampling_left=0, privacy_left=0)
    # 20 * 1,000 = 20,000 = switching cost: no gain, so the standard is kept.
    assert NetBenefitRule().answer(exact).path == "keep"
    assert NetBenefitRule().answer(replace(exact, switching_cost=19_999)).path == "adopt"


@given(st.floats(-2000, 2000), st.floats(1, 1e4), st.floats(0, 1e5), st.floats(0, 1e5))
@settings(deadline=None)
def test_the_answer_is_the_path_worth_most_and_keeping_is_never_worth_more(
    mean: float, sd: float, switch: float, back: float
) -> None:
    case = replace(CASE, benefit=NetBenefit(1e5, mean, sd**2, 0), sampling_left=0.0, privacy_left=0.0,
                   switching_cost=switch, reversal_cost=back)  # fmt: skip
    found = NetBenefitRule().answer(case)
    assert found.worth[found.path] == max(found.worth.values()) >= 0


def test_a_net_benefit_is_read_by_d1_and_d2_with_the_noise_counted() -> None:
    # Golden case: P .970414 without and .939227 with an SD of 15,000 of privacy noise.
    quiet, noisy = (NetBenefit(268_074, 40_633.3, 21_534.2094**2, v) for v in (0.0, 15_000.0**2))
    readings = [read_net_benefit(x) for x in (quiet, noisy)]
    assert [r.probability for r in readings] == pytest.approx([0.970414, 0.939227], abs=1e-6)
    assert [ProbabilityRule(0.95, 0.05).answer(r) for r in readings] == ["met", "insufficient_evidence"]
    # 1.645 * 21,534 = 35,421 < 40,633 < 43,167 = 1.645 * 26,244
    assert [GuardBandRule(0.95).answer(r) for r in readings] == ["met", "insufficient_evidence"]


def test_data_that_would_leave_more_than_there_is_are_refused() -> None:
    with pytest.raises(PaymentError, match="more variance"):
        replace(CASE, sampling_left=26e6)
    with pytest.raises(PaymentError, match="at or above 0"):
        replace(CASE, data_cost=-1.0)


# ---- D4 ----------------------------------------------------------------------------------------------


def test_expected_distances_of_an_exact_count_are_those_of_its_beta() -> None:
    # 36 of 100 with a flat prior: Beta(37, 65)
    law, tau = stats.beta(37, 65), 0.30
    found = read_losses(
        posterior_of_known_total(Released(value=36, noise_variance=0), 100, Prior()), tau, "at_least"
    )
    assert found.excess == pytest.approx(law.expect(lambda x: max(x - tau, 0.0)), abs=1e-8)
    assert found.shortfall == pytest.approx(law.expect(lambda x: max(tau - x, 0.0)), abs=1e-8)


def test_at_most_turns_shortfall_and_excess_round() -> None:
    up, down = (read_normal_losses(1.0, 2.0, 0.5, way) for way in ("at_least", "at_most"))
    assert (up.shortfall, up.excess) == (down.excess, down.shortfall)


@pytest.mark.parametrize("ratio", [0.2, 1.0, 3.0, 9.0])
def test_the_normal_answer_turns_where_the_rule_says(ratio: float) -> None:
    rule = LossRule(ratio, 1.0)
    for sd in (0.01, 5.0):
        before, after = (
            rule.answer(read_normal_losses(0.4 + (rule.turn() + side) * sd, sd, 0.4, "at_least"))
            for side in (-1e-3, 1e-3)
        )
        assert (before, after) == ("not_met", "met")


def test_equal_losses_promise_a_half_and_a_dearer_mistake_is_made_less_often() -> None:
    promised = [LossRule(over, 1.0).promise() for over in (0.5, 1.0, 2.0, 4.0)]
    assert promised[1] == pytest.approx(0.5)
    assert promised == sorted(promised, reverse=True)
    assert LossRule(2.0, 1.0).promise() == pytest.approx(1 - LossRule(1.0, 2.0).promise())


def test_two_large_losses_are_insufficient_evidence_and_a_tie_keeps_the_standard() -> None:
    assert LossRule(1.0, 1.0).answer(LossReading(0.02, 0.02)) == "not_met"
    assert LossRule(1.0, 1.0, tolerable=0.01).answer(LossReading(0.02, 0.03)) == "insufficient_evidence"
    assert LossRule(1.0, 1.0, tolerable=0.02).answer(LossReading(0.02, 0.03)) == "met"


@pytest.mark.parametrize("rule", [(0.0, 1.0, None), (1.0, -1.0, None), (1.0, 1.0, 0.0)])
def test_losses_that_are_none_are_refused(rule: tuple[float, float, float | None]) -> None:
    with pytest.raises(PaymentError):
        LossRule(*rule)


# ---- D5 ----------------------------------------------------------------------------------------------

START = date(2026, 1, 1)
DAYS = tuple(START + timedelta(days=180 * i) for i in range(3))


def planned(alpha: float = 0.10) -> SequentialRule:
    return SequentialRule(0.30, "at_least", alpha, DAYS, 3 * 200 / (0.3 * 0.7))


def look(k: int, estimate: float, privacy: float = 0.0) -> Look:
    return Look(DAYS[k], estimate, 0.3 * 0.7 / 200, privacy)


def test_the_bounds_are_those_of_ldbounds() -> None:
    # R package ldbounds, spending function 1 (O'Brien-Fleming), two-sided .05, five equal looks:
    # 4.8769 3.3569 2.6803 2.2898 2.0310
    t = [0.2, 0.4, 0.6, 0.8, 1.0]
    found = bounds(t, [spending(0.025, x) for x in t])
    assert found == pytest.approx((4.8769, 3.3569, 2.6803, 2.2898, 2.0310), abs=2e-4)


def test_one_look_is_the_fixed_test() -> None:
    assert bounds([7.0], [0.1]) == pytest.approx((stats.norm.isf(0.1),), abs=1e-8)


def test_unequal_looks_keep_the_error_in_simulation() -> None:
    # 400,000 paths of independent increments: SE of a rate of .1 is .0005; four of them.
    information = np.array([1.0, 1.5, 4.0])
    spent = [spending(0.1, 0.25), spending(0.1, 0.375), 0.1]
    limit = np.array(bounds(information.tolist(), spent))
    steps = np.sqrt(np.diff(information, prepend=0.0))
    z = np.cumsum(np.random.default_rng(8).normal(size=(400_000, 3)) * steps, axis=1) / np.sqrt(information)
    first = np.argmax(np.abs(z) >= limit, axis=1)
    crossed = (np.abs(z) >= limit).any(axis=1)
    upper = crossed & (z[np.arange(len(z)), first] > 0)
    assert upper.mean() == pytest.approx(0.1, abs=0.002)


def test_early_looks_need_more_and_an_answer_ends_the_looking() -> None:
    rule = planned()
    first = rule.answer([look(0, 0.36)])
    # z = .06 / sqrt(.21 / 200) = 1.852, short of the first bound but beyond 1.282
    assert first.z == pytest.approx(1.8516, abs=1e-3)
    assert first.bound > 2.5
    assert (first.outcome, first.looks_left) == ("insufficient_evidence", 2)
    assert rule.answer([look(0, 0.45)]).outcome == "met"
    assert rule.answer([look(0, 0.15)]).outcome == "not_met"
    with pytest.raises(PaymentError, match="already answered met"):
        rule.answer([look(0, 0.45), look(1, 0.3)])


def test_the_last_look_spends_what_is_left_though_noise_left_less_information() -> None:
    noisy = [look(k, 0.31, privacy=0.001) for k in range(3)]
    last = planned().answer(noisy)
    assert last.spent == 0.10
    assert last.fraction < 0.6


def test_looks_that_were_not_registered_are_refused() -> None:
    rule = planned()
    with pytest.raises(PaymentError, match="not registered"):
        rule.answer([replace(look(0, 0.3), day=START - timedelta(days=1))])
    with pytest.raises(PaymentError, match="not registered"):
        rule.answer([look(0, 0.3), replace(look(0, 0.3), day=START + timedelta(days=9))])
    with pytest.raises(PaymentError, match="0 looks"):
        rule.answer([])
    with pytest.raises(PaymentError, match="4 looks"):
        rule.answer([look(0, 0.3)] * 4)


def test_at_most_reads_the_other_side() -> None:
    low = replace(planned(), direction="at_most").answer([look(0, 0.15)])
    assert low.outcome == "met"


def test_a_look_at_noisy_counts_has_both_variances() -> None:
    counts = Counts(Released(value=70, noise_variance=9), Released(value=130, noise_variance=16))
    found = look_of_counts(START, counts, 0.30)
    # Contrast .7 * 70 - .3 * 130 = 10, over 200 patients .05; noise .49 * 9 + .09 * 16 = 5.85, over 40,000
    assert found.estimate == pytest.approx(0.35)
    assert found.sampling_variance == pytest.approx(0.21 / 200)
    assert found.privacy_variance == pytest.approx(5.85 / 40_000)
    with pytest.raises(PaymentError, match=r"released -3\.0 patients"):
        look_of_counts(
            START, Counts(Released(value=-5, noise_variance=9), Released(value=2, noise_variance=9)), 0.3
        )


# ---- brakes ------------------------------------------------------------------------------------------

ON = date(2026, 12, 1)
BRAKES = Brakes(Hysteresis(), MinimumInterval(183), ChangeCap(Decimal("0.10")), Credibility(400.0**2))


@pytest.mark.parametrize(
    ("last", "needed"),
    [
        (None, 0.90),
        (LastChange(date(2026, 6, 1), "up"), 0.90),
        (LastChange(date(2026, 6, 1), "down"), 0.95),
        (LastChange(date(2025, 12, 2), "down"), 0.95),
        (LastChange(date(2025, 12, 1), "down"), 0.90),
    ],
)
def test_a_reversal_within_twelve_months_needs_more(last: LastChange | None, needed: float) -> None:
    assert Hysteresis().needed("up", last, ON) == needed
    assert Hysteresis().allows(0.92, "up", last, ON) == (needed == 0.90)


def proposal(evidence: str, **changes: object) -> Proposal:
    base = Proposal(Decimal(10_000), Decimal(10_000), Decimal(evidence), 0.97, 300.0**2, 0.0, None, ON)
    return replace(base, **changes)  # type: ignore[arg-type]  # test data


def test_a_change_is_weighted_then_capped_and_says_so() -> None:
    # Z = 160,000 / (160,000 + 90,000) = .64; 10,000 + .64 * 1,000 = 10,640, within 10 %
    found = restrain(proposal("11000"), BRAKES)
    assert found.amount == Decimal("10640.00")
    assert found.because == ("credibility",)
    assert found.weight == pytest.approx(0.64)
    # + .64 * 3,000 = 11,920, capped at 11,000
    assert restrain(proposal("13000"), BRAKES).amount == Decimal("11000.00")
    assert restrain(proposal("13000"), BRAKES).because == ("credibility", "cap")
    assert restrain(proposal("7000"), BRAKES).amount == Decimal("9000.00")


def test_too_soon_or_too_improbable_leaves_everything() -> None:
    soon = restrain(proposal("11000", last=LastChange(ON - timedelta(days=182), "up")), BRAKES)
    assert (soon.amount, soon.because) == (Decimal(10_000), ("interval",))
    reversal = proposal("9000", last=LastChange(ON - timedelta(days=200), "up"), probability=0.94)
    assert restrain(reversal, BRAKES).because == ("hysteresis",)


def test_a_period_has_one_cap_however_many_changes() -> None:
    # 10,000 at the beginning of the period, 10,900 now: only 100 is left of the cap.
    later = restrain(proposal("12000", old=Decimal(10_900)), replace(BRAKES, credibility=None))
    assert later.amount == Decimal("11000.00")


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
@settings(deadline=None)
def test_more_noise_never_moves_a_standard_more(sampling: float, privacy: float, more: float) -> None:
    rule = Credibility(1000.0)
    old, evidence = Decimal(1000), Decimal(2000)
    moved = [rule.partial(old, evidence, rule.weight(sampling, v)) for v in (privacy, privacy + more)]
    assert old <= moved[1] <= moved[0] <= evidence


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hysteresis(0.95, 0.90), "no hysteresis"),
        (lambda: Hysteresis(0.40, 0.95), "no hysteresis"),
        (lambda: MinimumInterval(0), "at least one day"),
        (lambda: ChangeCap(Decimal(0)), "no share"),
        (lambda: Credibility(0.0), "above 0"),
        (lambda: proposal("-1"), "at or above 0"),
        (lambda: SequentialRule(0.3, "at_least", 0.1, DAYS[::-1], 1.0), "in order"),
        (lambda: SequentialRule(0.3, "at_least", 0.6, DAYS, 1.0), "below one half"),
        (lambda: bounds([2.0, 2.0], [0.05, 0.1]), "adds no information"),
    ],
)
def test_a_rule_that_is_none_is_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(PaymentError, match=message):
        make()
