"""Prices: bundles, item caps, tilts by level, listings, renegotiation, carve-outs, the innovation fund."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import PaymentError, PurposeMixed, SignatureInvalid
from fedvalue.payment.mechanisms.bundle import BundleTerms, Episode, price_from, reserve, settle_bundle
from fedvalue.payment.mechanisms.carve_out import CarveOut, Line, separate, years_after
from fedvalue.payment.mechanisms.facility_tilt import Corridor, factors, neutral, standards
from fedvalue.payment.mechanisms.innovation_fund import InnovationTerms, Sales, admitted, settle_levy
from fedvalue.payment.mechanisms.item_price import Charge, ItemTerms, patient_rate, settle_item
from fedvalue.payment.mechanisms.listing import (
    FOLLOWS,
    ListingRules,
    State,
    Transition,
    advance,
    may_be_provisional,
    overdue,
    state_of,
    state_on,
)
from fedvalue.payment.mechanisms.renegotiation import RenegotiationTerms, renegotiated, triggered
from fedvalue.payment.mechanisms.suspension import Year, suspends
from fedvalue.payment.mechanisms.underlying import Draws
from fedvalue.payment.parameters import Source
from tests.statements import KEY, certain, stated

D = Decimal
UNHURRIED = settings(deadline=None, max_examples=60)  # shared cores make single examples slow
MONEY = st.integers(0, 10**9).map(lambda n: D(n).scaleb(-2))
SOURCE = Source(title="Example", place="section 1", status="chosen")


def bundle(**changes: Any) -> BundleTerms:
    return BundleTerms(
        **{
            "contract": "contract 1",
            "disease": "C34",
            "variant": "EGFR L858R",
            "currency": "CNY",
            "price": D("150000.00"),
            "length_days": 365,
            "corridor": D("0.10"),
            "fund_share_beyond": D("0.5"),
            "bonus": D(20000),
            "bonus_above_months": D(12),
            "on_death": "pro_rata",
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("cost", "margin"),
    # corridor 15,000: 140,000 leaves 10,000; 120,000 leaves 30,000 of which (30 - 15) / 2 go; and so below
    [("140000", "10000"), ("120000", "22500"), ("160000", "-10000"), ("190000", "-27500")],
)
def test_the_corridor_shares_surplus_and_loss_alike(cost: str, margin: str) -> None:
    result = settle_bundle(bundle(), stated(Episode(D(cost), 365, "complete", None)))
    assert result.margin == D(margin)
    assert result.settlement.net("hospital") - D(cost) == result.margin


def test_death_and_second_line_pro_rate_the_price() -> None:
    # 146 of 365 days: .4 x 150,000 = 60,000
    for ended in ("death", "second_line"):
        facts = Episode(D(60000), 146, ended, D(4))
        assert settle_bundle(bundle(), stated(facts)).settlement.amount("bundle") == D("60000.00")
    full = settle_bundle(bundle(on_death="full"), stated(Episode(D(60000), 146, "death", None)))
    assert full.settlement.amount("bundle") == D("150000.00")


def test_days_that_do_not_fit_the_bundle_are_refused() -> None:
    with pytest.raises(PaymentError, match="more days"):
        settle_bundle(bundle(), stated(Episode(D(1), 366, "complete", None)))
    with pytest.raises(PaymentError, match="fewer days"):
        settle_bundle(bundle(), stated(Episode(D(1), 300, "complete", None)))
    with pytest.raises(PaymentError, match="missing rule for early death"):
        bundle(on_death=None)


@UNHURRIED
@given(MONEY, MONEY)
def test_a_dearer_episode_never_leaves_a_larger_margin(a: Decimal, b: Decimal) -> None:
    low, high = sorted((a, b))
    margins = [settle_bundle(bundle(), stated(Episode(c, 365, "complete", None))).margin for c in (low, high)]
    assert margins[0] >= margins[1]


def test_a_price_is_a_loaded_quantile_under_its_cap_and_reserves_the_excess() -> None:
    costs = [D(100), D(200), D(300), D(400)]
    # mean 250, loaded 5 %; the .75 quantile is the third; excess over 250: (50 + 150) / 4
    assert price_from(costs, level="mean", loading=D("0.05"), cap=D(1000)) == D("262.50")
    assert price_from(costs, level=D("0.75"), loading=D(0), cap=D(1000)) == D("300.00")
    assert price_from(costs, level=D("0.75"), loading=D(0), cap=D(250)) == D("250.00")
    assert reserve(costs, D(250)) == 50
    with pytest.raises(PurposeMixed):
        price_from([100.5], level="mean", loading=D(0), cap=D(1))  # type: ignore[list-item]  # a noised cost


def item(excess: Literal["hospital", "patient"], insurer: str = "0") -> ItemTerms:
    return ItemTerms("contract 1", "NGS-1", "CNY", D(3000), D("0.10"), D(insurer), excess)


@UNHURRIED
@given(MONEY, st.sampled_from(["hospital", "patient"]), st.sampled_from(["0", "0.5", "1"]))
def test_the_parts_of_a_charge_add_to_what_is_billed(
    amount: Decimal, excess: Literal["hospital", "patient"], insurer: str
) -> None:
    result = settle_item(item(excess, insurer), stated(Charge("NGS-1", amount)))
    billed = amount if excess == "patient" else min(amount, D(3000))
    assert result.net("hospital") == billed
    assert result.net("fund") + result.net("patient") + result.net("insurer") == -billed


def test_a_test_above_the_cap_costs_the_patient_a_tenth_of_the_cap() -> None:
    result = settle_item(item("hospital"), stated(Charge("NGS-1", D(3600))))
    assert (-result.net("fund"), -result.net("patient")) == (D("2700.00"), D("300.00"))
    assert result.notes == ("600.00 above the cap is not billed",)
    assert patient_rate(result, D(3600)) == Fraction(1, 12)
    assert -settle_item(item("hospital", "0.5"), stated(Charge("NGS-1", D(3000)))).net("patient") == D(
        "150.00"
    )


def test_another_item_or_an_unsaid_bearer_is_refused() -> None:
    with pytest.raises(PaymentError, match="no item of this rule"):
        settle_item(item("hospital"), stated(Charge("NGS-2", D(1))))
    with pytest.raises(PaymentError, match="missing bearer of the excess"):
        item(None)  # type: ignore[arg-type]  # not said


def test_tilts_stay_in_their_corridor_and_neutral_ones_average_one() -> None:
    corridor = Corridor(D(0), D("0.15"))
    raw = factors({"grassroots": D("0.15"), "tertiary": D(0)}, corridor)
    # (300 x 1.15 + 700) / 1000 = 1.045
    kept = neutral(raw, {"grassroots": 300, "tertiary": 700})
    assert kept["tertiary"] == Fraction(1000, 1045)
    assert (300 * kept["grassroots"] + 700 * kept["tertiary"]) == 1000
    assert standards(D(1000), raw) == {"grassroots": D("1150.00"), "tertiary": D("1000.00")}
    with pytest.raises(PaymentError, match="outside 0 to"):
        factors({"grassroots": D("0.20")}, corridor)
    with pytest.raises(PaymentError, match="levels differ"):
        neutral(raw, {"grassroots": 1})


RULES = ListingRules(frozenset({"clinical", "payer"}), 730)


def step(
    leaves: State,
    enters: State,
    day: date,
    *,
    until: date | None = None,
    roles: tuple[str, ...] = ("clinical", "payer"),
) -> Transition:
    out = Transition("drug", leaves, enters, "ev-1", "0" * 64, day, until)
    for role in roles:
        out = out.signed(KEY, role)
    return out


def listed() -> tuple[Transition, ...]:
    first = advance((), step("proposed", "under_review", date(2025, 1, 1)), RULES)
    return advance(
        first, step("under_review", "provisional", date(2025, 3, 1), until=date(2027, 2, 28)), RULES
    )


def test_a_listing_moves_by_signed_dated_steps_and_its_past_stands() -> None:
    history = listed()
    later = advance(history, step("provisional", "listed", date(2026, 6, 1)), RULES)
    for found in (history, later):
        assert state_on(found, date(2024, 12, 31)) == "proposed"
        assert state_on(found, date(2025, 3, 1)) == "provisional"
    assert state_on(later, date(2026, 5, 31)) == "provisional"
    assert state_of(later) == "listed"


def test_a_provisional_listing_past_its_end_is_overdue_and_not_listed() -> None:
    assert not overdue(listed(), date(2027, 2, 28))
    assert overdue(listed(), date(2027, 3, 1))
    assert state_on(listed(), date(2030, 1, 1)) == "provisional"


def test_nothing_follows_delisting_and_every_state_can_be_reached() -> None:
    assert FOLLOWS["delisted"] == frozenset()
    assert {s for followers in FOLLOWS.values() for s in followers} | {"proposed"} == set(FOLLOWS)


@pytest.mark.parametrize(
    ("taken", "message"),
    [
        (step("listed", "suspended", date(2026, 1, 1)), "the listing is provisional"),
        (step("provisional", "pilot_only", date(2026, 1, 1)), "does not follow provisional"),
        (step("provisional", "listed", date(2025, 3, 1)), "overlapping windows"),
        (step("provisional", "listed", date(2026, 1, 1), roles=("payer",)), "not signed by: clinical"),
        (step("provisional", "listed", date(2026, 1, 1), until=date(2027, 1, 1)), "has an end"),
    ],
)
def test_a_step_that_may_not_follow_is_refused(taken: Transition, message: str) -> None:
    with pytest.raises(PaymentError, match=message):
        advance(listed(), taken, RULES)


def test_a_provisional_listing_needs_a_short_enough_end_and_signatures_over_it() -> None:
    first = advance((), step("proposed", "under_review", date(2025, 1, 1)), RULES)
    too_long = step("under_review", "provisional", date(2025, 3, 1), until=date(2027, 3, 1))
    with pytest.raises(PaymentError, match="731 days, 730 are allowed"):
        advance(first, too_long, RULES)
    with pytest.raises(PaymentError, match="has an end"):
        advance(first, step("under_review", "provisional", date(2025, 3, 1)), RULES)
    good = step("under_review", "provisional", date(2025, 3, 1), until=date(2026, 3, 1))
    moved = Transition(
        "drug",
        "under_review",
        "provisional",
        "ev-2",
        "0" * 64,
        good.effective_from,
        good.until,
        good.signatures,
    )
    with pytest.raises(SignatureInvalid):
        advance(first, moved, RULES)


def test_provisional_listing_asks_for_half_a_chance_and_data_worth_their_cost() -> None:
    rng = np.random.default_rng(3)
    zeros = np.zeros((4000, 1))
    likely = Draws(("inb",), np.array([400.0]), rng.normal(0, 20000, (4000, 1)), zeros, "e")
    unlikely = Draws(("inb",), np.array([-20000.0]), likely.sampling, zeros, "e")
    assert may_be_provisional(likely, name="inb", p=0.5, data_value=D(10), data_cost=D(5))
    assert not may_be_provisional(likely, name="inb", p=0.5, data_value=D(5), data_cost=D(5))
    assert not may_be_provisional(unlikely, name="inb", p=0.5, data_value=D(10), data_cost=D(5))
    with pytest.raises(PurposeMixed):
        may_be_provisional(D(400), name="inb", p=0.5, data_value=D(1), data_cost=D(0))  # type: ignore[arg-type]  # bare


REOPEN = RenegotiationTerms(D("0.10"), 0.9, Fraction(2, 3), D("70000.00"), 60)


def test_talks_start_on_a_probable_fall_and_noise_can_keep_them_from_starting() -> None:
    rng = np.random.default_rng(4)
    shape = (4000, 1)
    sampling = rng.normal(0, 0.01, shape)
    sure = Draws(("fall",), np.array([0.13]), sampling, np.zeros(shape), "e")
    noisy = Draws(("fall",), np.array([0.13]), sampling, rng.normal(0, 0.05, shape), "e")
    assert triggered(REOPEN, sure, "fall")[0]
    assert not triggered(REOPEN, noisy, "fall")[0]


def test_a_floor_and_notice_hold_the_new_standard() -> None:
    found = renegotiated(REOPEN, D("90000.00"), D("0.45"), decided=date(2025, 1, 1))
    assert (found.standard, found.floored, found.starts) == (D("70000.00"), True, date(2025, 3, 2))
    with pytest.raises(PurposeMixed):
        renegotiated(REOPEN, D("90000.00"), 0.3, decided=date(2025, 1, 1))  # type: ignore[arg-type]  # noised
    with pytest.raises(PaymentError, match="below its floor already"):
        renegotiated(REOPEN, D("60000.00"), D("0.1"), decided=date(2025, 1, 1))


@UNHURRIED
@given(st.integers(0, 100), st.integers(0, 100))
def test_a_larger_fall_never_leaves_a_higher_standard(a: int, b: int) -> None:
    low, high = (
        renegotiated(REOPEN, D("90000.00"), D(x) / 100, decided=date(2025, 1, 1)).standard
        for x in (min(a, b), max(a, b))
    )
    assert low >= high


def test_an_insufficient_year_holds_or_resets_the_run_as_the_rule_says() -> None:
    years: list[Year] = ["above", "above", "insufficient", "above"]
    assert suspends(years, years=3, insufficient="hold")
    assert not suspends(years, years=3, insufficient="reset")
    assert not suspends(["above", "above", "within", "above"], years=3, insufficient="hold")
    with pytest.raises(PaymentError, match="missing policy for insufficient years"):
        suspends(years, years=3, insufficient=None)  # type: ignore[arg-type]  # not said


def test_a_carve_out_ends_by_itself() -> None:
    carve = CarveOut("drug-1", date(2024, 2, 29), 1, SOURCE)
    assert carve.expires == date(2025, 2, 28)
    assert years_after(date(2024, 2, 29), 1) == date(2025, 3, 1)
    lines = [
        Line("drug-1", date(2025, 2, 28), D("10.01")),
        Line("drug-1", date(2025, 3, 1), D("20.02")),
        Line("bed", date(2025, 1, 1), D("5.00")),
    ]
    found = separate(lines, [carve])
    assert (found.apart, found.inside) == (D("10.01"), D("25.02"))


@UNHURRIED
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 700), MONEY), max_size=20))
def test_inside_and_apart_add_to_the_lines(lines: list[tuple[str, int, Decimal]]) -> None:
    found = separate(
        [Line(code, date(2024, 1, 1) + timedelta(days=d), amount) for code, d, amount in lines],
        [CarveOut("a", date(2024, 6, 1), 1, SOURCE)],
    )
    assert found.inside + found.apart == sum((amount for _, _, amount in lines), D(0))


def test_overlapping_carve_outs_and_one_without_source_are_refused() -> None:
    one = CarveOut("a", date(2024, 1, 1), 1, SOURCE)
    with pytest.raises(PaymentError, match="overlapping windows"):
        separate([], [one, CarveOut("a", date(2024, 12, 31), 1, SOURCE)])
    separate([], [one, CarveOut("a", date(2025, 1, 1), 1, SOURCE)])
    with pytest.raises(PaymentError, match="no source"):
        CarveOut("a", date(2024, 1, 1), 1, None)  # type: ignore[arg-type]  # not said


FUND = InnovationTerms("contract 1", "CNY", D("0.02"), D("0.30"), 0.9, 0.1, 5)


def test_the_manufacturer_bears_the_levy_on_realised_sales() -> None:
    levy = settle_levy(FUND, stated(Sales(D("1234567.89")))).transfers[0]
    # 2 % of 1,234,567.89 = 24,691.3578
    assert (levy.bearer, levy.payee, levy.amount) == ("manufacturer", "innovation_fund", D("24691.36"))


@pytest.mark.parametrize(
    ("improvement", "outcome", "last"),
    [(0.31, "met", date(2029, 12, 31)), (0.29, "not_met", None)],
)
def test_a_breakthrough_enters_for_five_years(improvement: float, outcome: str, last: date | None) -> None:
    found = admitted(FUND, certain(("effect",), [improvement]), "effect", starts=date(2025, 1, 1))
    assert (found.outcome, found.last_day) == (outcome, last)


def test_an_effect_that_noise_blurs_is_insufficient_evidence() -> None:
    rng = np.random.default_rng(2)
    blurred = Draws(("effect",), np.array([0.33]), np.zeros((2000, 1)), rng.normal(0, 0.1, (2000, 1)), "e")
    assert admitted(FUND, blurred, "effect", starts=date(2025, 1, 1)).outcome == "insufficient_evidence"
