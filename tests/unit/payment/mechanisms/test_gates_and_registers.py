"""Simple renewal, calibration gates of models that pay, and the register that settles a statement once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from fedvalue.analyses.estimate import Estimate, Released
from fedvalue.errors import PaymentError, PurposeMixed
from fedvalue.payment import parameter_file
from fedvalue.payment.mechanisms.bands import TierAmounts
from fedvalue.payment.mechanisms.calibration_gate import (
    Bin,
    GateTerms,
    calibration_draws,
    gate,
)
from fedvalue.payment.mechanisms.capitation import (
    Head,
    PanelYear,
    TieredCapitationTerms,
    TierYears,
    settle_tiered_capitation,
)
from fedvalue.payment.mechanisms.cash import Settlement
from fedvalue.payment.mechanisms.register import Entry, difference, entered, net, settle_key
from fedvalue.payment.mechanisms.renewal import RenewalTerms, RenewalTier, renew, tiers_on
from fedvalue.payment.mechanisms.settle import Panel, Realised
from tests.statements import certain, stated

D = Decimal
DAY = date(2026, 1, 1)


def agreement(**changes: Any) -> RenewalTerms:
    content = parameter_file.read("access/simple_renewal").content
    tiers = tiers_on(content.parameters, DAY, name="access/simple_renewal")
    return RenewalTerms(
        **{"contract": "c", "currency": "CNY", "tiers": tiers, "conditions": ("sole supplier",)} | changes
    )


@pytest.mark.parametrize(
    ("spent", "price"),
    # Foreseen 100 million: up to 110 nothing, up to 140 5 %, up to 170 10 %, up to 200 15 % of 1,000 a pack.
    [("80", "1000"), ("110", "1000"), ("110.01", "950"), ("140", "950"), ("150", "900"), ("200", "850")],
)
def test_a_renewal_cuts_by_the_tier_of_what_was_spent(spent: str, price: str) -> None:
    found = renew(agreement(), D("1000.00"), foreseen=D(100), spent=D(spent), holds={"sole supplier": True})
    assert (found.renewed, found.price, found.because) == (True, D(price), ())


def test_past_the_last_tier_or_without_a_condition_it_is_renegotiated_and_nothing_is_cut() -> None:
    over = renew(agreement(), D(1000), foreseen=D(100), spent=D("200.01"), holds={"sole supplier": False})
    assert (over.renewed, over.price, over.because) == (False, None, ("sole supplier", "over_budget"))
    generic = renew(agreement(), D(1000), foreseen=D(100), spent=D(90), holds={"sole supplier": False})
    assert (generic.renewed, generic.cut, generic.because) == (False, None, ("sole supplier",))


@given(st.integers(1, 250), st.integers(1, 250))
@settings(deadline=None, max_examples=40)
def test_who_spends_more_never_renews_at_a_higher_price(a: int, b: int) -> None:
    terms = agreement(conditions=())
    less, more = (renew(terms, D(1000), foreseen=D(100), spent=D(s), holds={}) for s in sorted((a, b)))
    assert (more.price or 0) <= (less.price or 0)


def test_an_agreement_that_leaves_something_open_is_refused() -> None:
    with pytest.raises(PaymentError, match="nobody said whether sole supplier holds"):
        renew(agreement(), D(1000), foreseen=D(100), spent=D(90), holds={})
    with pytest.raises(PaymentError, match="no condition of the agreement"):
        renew(agreement(conditions=()), D(1000), foreseen=D(100), spent=D(90), holds={"price": True})
    with pytest.raises(PurposeMixed):
        renew(agreement(conditions=()), D(1000), foreseen=D(100), spent=90.5, holds={})  # type: ignore[arg-type]  # what a noised figure looks like
    with pytest.raises(PaymentError, match="is negative"):
        renew(agreement(conditions=()), D(1000), foreseen=D(100), spent=D(-1), holds={})
    with pytest.raises(PaymentError, match="rising end"):
        agreement(tiers=(RenewalTier(D("1.4"), D("0.05")), RenewalTier(D("1.7"), D("0.01"))))
    with pytest.raises(PaymentError, match="missing tiers"):
        agreement(tiers=())
    parameters = parameter_file.read("access/simple_renewal").content.parameters
    with pytest.raises(PaymentError, match="missing tier 1 cut"):
        tiers_on({k: v for k, v in parameters.items() if k != "tier_1_cut"}, DAY, name="x")
    with pytest.raises(PaymentError, match="without a gap"):
        tiers_on({}, DAY, name="x")


# ---- calibration -----------------------------------------------------------------------------------------

TERMS = GateTerms(overall=0.1, group=0.2, slope=0.1, minimum_people=200, p_met=0.9, p_not=0.1)
AUC = Estimate(
    value=0.74, unit="probability", lower=0.71, upper=0.77, sampling_variance=2e-4, privacy_variance=0
)
I2 = Estimate(value=0.2, unit="share", lower=None, upper=None, sampling_variance=0, privacy_variance=0)


def exact_bins(
    people: list[float], predicted: list[float], observed: list[float], noise: float = 0
) -> list[Bin]:
    return [
        Bin(*(Released(value=v, noise_variance=noise) for v in row))
        for row in zip(people, predicted, observed, strict=True)
    ]


def model(
    *, people: int = 40_000, slope: float = 1.0, ratio: float = 1.0, noise: float = 0, seed: int = 1
) -> list[Bin]:
    """Ten bins of a model whose predictions are spread as they should be, stretched and shifted."""
    shares = np.linspace(0.05, 0.5, 10)
    truth = special.expit(slope * special.logit(shares))
    truth = truth * ratio * shares.sum() / truth.sum()
    each = people / 10
    rng = np.random.default_rng(seed)
    figures = (np.full(10, each), each * shares, each * truth)
    people_, predicted, observed = ((f + rng.normal(0, noise**0.5, 10)).tolist() for f in figures)
    return exact_bins(people_, predicted, observed, noise)


def judge(groups: dict[str, list[Bin]], **changes: Any) -> Any:
    groups = {"last quarter": groups["all"], **groups}
    draws = calibration_draws(groups, runs=2_000, evidence_id="ev", rng=np.random.default_rng(2))
    people = {
        name: Released(value=sum(b.people.value for b in bins), noise_variance=0)
        for name, bins in groups.items()
    }
    return gate(TERMS, draws, people, **{"discrimination": AUC, "heterogeneity": I2} | changes)


def test_observed_over_expected_by_hand() -> None:
    # 12 + 33 = 45 events where 10 + 30 = 40 were predicted: 1.125.
    draws = calibration_draws(
        {"all": exact_bins([100, 100], [10, 30], [12, 33])}, runs=4_000, evidence_id="ev",
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert draws.center[draws.names.index("all")] == pytest.approx(1.125)
    # Sampling variance: (100 x .1 x .9 + 100 x .3 x .7) / 40^2 = 30 / 1600.
    assert np.var(draws.sampling[:, 1]) == pytest.approx(30 / 1600, rel=0.1)
    assert not draws.privacy.any()


def test_the_slope_is_that_of_the_likelihood() -> None:
    bins = exact_bins([500, 400, 300], [50, 100, 150], [40, 110, 190])
    x = special.logit([0.1, 0.25, 0.5])
    n, o = np.array([500, 400, 300]), np.array([40, 110, 190])

    def minus_log_likelihood(ab: Any) -> float:
        p = special.expit(ab[0] + ab[1] * x)
        return float(-(o * np.log(p) + (n - o) * np.log(1 - p)).sum())

    best = optimize.minimize(minus_log_likelihood, [0.0, 1.0], method="BFGS").x
    draws = calibration_draws({"all": bins}, runs=2, evidence_id="ev", rng=np.random.default_rng(0))
    assert draws.center[0] == pytest.approx(best[1], abs=1e-5)


def test_a_model_pays_where_every_gate_is_met_and_not_where_one_is_not() -> None:
    assert judge({"all": model()}).outcome == "met"
    assert judge({"all": model(slope=0.7)}).outcome == "not_met"
    assert judge({"all": model(ratio=1.3)}).outcome == "not_met"
    # A group is allowed 20 %, the whole 10 %.
    assert judge({"all": model(), "women": model(ratio=1.12)}).outcome == "met"
    assert judge({"all": model(), "women": model(ratio=1.4)}).outcome == "not_met"


def test_noise_and_few_people_leave_it_undecided_and_small_groups_are_named() -> None:
    few = judge({"all": model(people=800)})
    assert few.outcome == "insufficient_evidence"
    noisy = judge({"all": model(noise=300.0**2)})
    assert noisy.outcome == "insufficient_evidence"
    small = judge({"all": model(), "county": model(people=150, ratio=1.9)})
    assert (small.outcome, small.small) == ("met", ("county",))


def test_what_was_not_reported_is_missing_evidence() -> None:
    assert judge({"all": model()}, heterogeneity=None).missing == ("heterogeneity between sites",)
    assert judge({"all": model()}, discrimination=None).outcome == "insufficient_evidence"
    assert judge({"all": model(ratio=1.3)}, discrimination=None).outcome == "not_met"


def test_a_gate_closed_at_its_edge_opens_rarely() -> None:
    # 300 models whose O / E is exactly 1.1; at most 10 % of them, plus 3 standard errors, may pass.
    passed = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        shares = np.linspace(0.05, 0.5, 10)
        events = rng.binomial(4_000, 1.1 * shares) + rng.normal(0, 60, 10)
        bins = [
            Bin(Released(value=4_000, noise_variance=0), Released(value=4_000 * p, noise_variance=0),
                Released(value=float(o), noise_variance=3_600))
            for p, o in zip(shares, events, strict=True)
        ]  # fmt: skip
        draws = calibration_draws({"all": bins}, runs=400, evidence_id="ev", rng=rng)
        passed += float(np.mean(np.abs(draws.column("all") - 1) <= 0.1)) >= TERMS.p_met
    assert passed / 300 <= 0.10 + 3 * (0.1 * 0.9 / 300) ** 0.5


def test_calibration_that_cannot_be_judged_is_refused() -> None:
    with pytest.raises(PaymentError, match="bins of everybody"):
        calibration_draws({"women": model()}, runs=10, evidence_id="ev", rng=np.random.default_rng(0))
    for bins in (exact_bins([0, 100], [10, 30], [1, 2]), exact_bins([100, 100], [100, 30], [1, 2])):
        with pytest.raises(PaymentError, match="no probability between 0 and 1"):
            calibration_draws({"all": bins}, runs=10, evidence_id="ev", rng=np.random.default_rng(0))
    with pytest.raises(PaymentError, match="one bin shows no slope"):
        calibration_draws({"all": model()[:1]}, runs=10, evidence_id="ev", rng=np.random.default_rng(0))
    with pytest.raises(PurposeMixed):
        gate(TERMS, 1.0, {}, discrimination=AUC, heterogeneity=I2)  # type: ignore[arg-type]  # what is refused
    for changes in ({"overall": 0.0}, {"p_met": 0.4}):
        with pytest.raises(PaymentError):
            GateTerms(**{"overall": 0.1, "group": 0.2, "slope": 0.1, "minimum_people": 200, "p_met": 0.9,
                         "p_not": 0.1, **changes})  # type: ignore[arg-type]  # fmt: skip  # mixed numbers
    assert certain(("all",), [1.0]).names == ("all",)


# ---- the register ----------------------------------------------------------------------------------------

CAPITATION = TieredCapitationTerms(
    contract="contract 1", currency="CNY", heads=(Head("all", D(3000)),),
    tiers=TierAmounts(bonus_from=D("0.70"), bonus=D(500), penalty_below=D("0.60"), penalty=D(300),
                      dead_band="neutral"),
    missing="fail",
)  # fmt: skip


def year(reached: int, **window: Any) -> Realised[PanelYear]:
    facts = PanelYear((TierYears("all", Fraction(100)),), Panel(reached, 100 - reached), 0, D(10), D(10))
    return stated(facts, **window)


def put(register: tuple[Entry, ...], statement: Realised[PanelYear], **more: Any) -> tuple[Entry, ...]:
    return entered(register, statement, settle_tiered_capitation(CAPITATION, statement), on=DAY, **more)


def test_a_statement_is_settled_once() -> None:
    register = put((), year(72))
    with pytest.raises(PaymentError, match="settled already"):
        put(register, year(72))
    assert settle_key(year(72)) == settle_key(year(72)) != settle_key(year(73))


def test_days_that_are_settled_are_not_settled_again_by_other_figures() -> None:
    register = put((), year(72))
    with pytest.raises(PaymentError, match="days of 2025-01-01 to 2025-12-31 are settled already"):
        put(register, year(65, start=date(2025, 12, 31), end=date(2026, 1, 31)))
    put(register, year(65, institution="hospital 2"))
    put(register, year(65, start=date(2026, 1, 1), end=date(2026, 12, 31)))


def test_a_correction_settles_the_difference_and_all_flows_are_those_of_the_last_statement() -> None:
    register = put((), year(72))  # 100 x (3,000 + 500)
    first = register[0].key
    register = put(register, year(55), replaces=first)  # 100 x (3,000 - 300)
    assert net(register, "contract 1", "hospital") == D("270000.00")
    paid = register[1].paid
    # The bonus of 50,000 goes back and the penalty of 30,000 is borne.
    assert paid.net("hospital") == D("-80000.00")
    with pytest.raises(PaymentError, match="no standing entry"):
        put(register, year(60), replaces=first)
    register = put(register, year(65), replaces=register[1].key)
    assert net(register, "contract 1", "hospital") == D("300000.00")


def test_what_cannot_be_corrected_is_refused() -> None:
    register = put((), year(72))
    with pytest.raises(PaymentError, match="no standing entry"):
        put(register, year(60, institution="hospital 2"), replaces=register[0].key)
    with pytest.raises(PaymentError, match="stated for"):
        entered((), year(60), Settlement("contract 2", "CNY", ()), on=DAY)
    led = register[0].led_to
    with pytest.raises(PaymentError, match="CNY is not corrected in USD"):
        difference(Settlement(led.contract, "USD", led.transfers), led)
