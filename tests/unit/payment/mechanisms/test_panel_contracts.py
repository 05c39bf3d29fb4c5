"""Contracts about a panel: capitation, bands, quality, attribution, prepaid, savings, budgets, rank."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.analyses.estimate import Estimate
from fedvalue.errors import ParameterNotInForce, PaymentError, PurposeMixed
from fedvalue.payment.mechanisms.bands import BandFactor, Gap, TierAmounts
from fedvalue.payment.mechanisms.capitation import (
    CapitationTerms,
    Head,
    PanelYear,
    PartlyReached,
    TierYears,
    factor,
    next_standard,
    reduction,
    settle_capitation,
)
from fedvalue.payment.mechanisms.global_budget import BudgetTerms, Spending, settle_budget, split_surplus
from fedvalue.payment.mechanisms.population import Span, Visits, attribute, exclusive, member_years
from fedvalue.payment.mechanisms.prepaid import PrepaidTerms, PrepaidYear, settle_prepaid
from fedvalue.payment.mechanisms.quality_base import QualityTerms, QualityYear, Target, settle_quality
from fedvalue.payment.mechanisms.ranking import Measure, MeasuredYear, RankingTerms, composite, rank
from fedvalue.payment.mechanisms.ranking_draws import bands
from fedvalue.payment.mechanisms.settle import Panel
from fedvalue.payment.mechanisms.shared_savings import (
    SavingsTerms,
    SpendingYear,
    example_msr,
    guard_band_rate,
    load_msr,
    settle_savings,
)
from fedvalue.payment.mechanisms.stop_loss import limit_at, truncate
from fedvalue.payment.mechanisms.underlying import Draws
from tests.statements import stated

D = Decimal
UNHURRIED = settings(deadline=None, max_examples=60)  # shared cores make single examples slow
RATES = st.fractions(0, 1)
MONEY = st.integers(0, 10**9).map(lambda n: D(n).scaleb(-2))


def capitation(gap: PartlyReached, **changes: Any) -> CapitationTerms:
    return CapitationTerms(
        **{
            "contract": "contract 1",
            "currency": "CNY",
            "heads": (Head("low", D(6000)), Head("high", D("15000.50"))),
            "control_target": D("0.60"),
            "reduction_target": D("0.20"),
            "bonus": D("0.10"),
            "penalty": D("0.05"),
            "gap": gap,
            "missing": "fail",
            **changes,
        }
    )


def year(reached: int, admissions: int, people: int = 100) -> PanelYear:
    tiers = (TierYears("low", Fraction(people, 2)), TierYears("high", Fraction(people, 2)))
    return PanelYear(tiers, Panel(reached, people - reached), admissions, D(100), D(50))


@pytest.mark.parametrize(("gap", "f"), [("penalty", "0.95"), ("neutral", "1"), ("proportional", "1.025")])
def test_one_target_of_two_earns_what_the_gap_policy_says(gap: PartlyReached, f: str) -> None:
    # proportional: .95 + .15 / 2 = 1.025
    assert factor(capitation(gap), year(62, 85)) == Fraction(f)


def test_the_baseline_is_the_regional_trend_unless_the_contract_says_otherwise() -> None:
    facts = year(62, 78)
    assert reduction(facts, "concurrent_trend") == Fraction(22, 100)
    assert reduction(facts, "previous_year") == -Fraction(28, 50)
    assert factor(capitation("penalty"), facts) == Fraction("1.10")
    assert factor(capitation("penalty", baseline="previous_year"), facts) == Fraction("0.95")
    assert len(settle_capitation(capitation("penalty"), stated(facts)).notes) == 2


@UNHURRIED
@given(st.integers(0, 100), st.integers(0, 200), st.sampled_from(["penalty", "neutral", "proportional"]))
def test_more_control_and_fewer_admissions_never_pay_less(
    reached: int, admissions: int, gap: PartlyReached
) -> None:
    terms = capitation(gap)
    f = factor(terms, year(reached, admissions))
    assert factor(terms, year(min(reached + 1, 100), admissions)) >= f
    assert factor(terms, year(reached, max(admissions - 1, 0))) >= f


@UNHURRIED
@given(st.integers(1, 99), st.integers(0, 60))
def test_splitting_a_panel_in_two_pays_the_same_base(part: int, admissions: int) -> None:
    # Member-years add; rounding each half to the fen may move one fen.
    def base(people: int) -> Decimal:
        facts = PanelYear((TierYears("high", Fraction(people, 3)),), Panel(1, 0), admissions, D(100), D(100))
        return settle_capitation(capitation("penalty"), stated(facts)).amount("base")

    assert abs(base(part) + base(100 - part) - base(100)) <= D("0.01")


def test_a_tier_without_base_and_nobody_expected_are_refused() -> None:
    facts = PanelYear((TierYears("middle", Fraction(1)),), Panel(1, 0), 0, D(1), D(1))
    with pytest.raises(PaymentError, match="no base for the tier 'middle'"):
        settle_capitation(capitation("penalty"), stated(facts))
    with pytest.raises(PaymentError, match="concurrent_trend"):
        factor(capitation("penalty"), PanelYear((), Panel(1, 0), 0, D(0), D(0)))
    with pytest.raises(PaymentError, match="one base"):
        capitation("penalty", heads=(Head("a", D(1)), Head("a", D(2))))
    with pytest.raises(PaymentError, match="missing gap policy"):
        capitation(None)  # type: ignore[arg-type]  # the contract says nothing


def test_next_years_standard_rises_where_the_target_was_reached() -> None:
    assert next_standard(D(360), Fraction(7, 10), target=D("0.70"), uplift=D("0.10")) == 396
    assert next_standard(D(360), Fraction(69, 100), target=D("0.70"), uplift=D("0.10")) == 360


@UNHURRIED
@given(RATES, RATES, st.sampled_from(["linear", "hold_full", "hold_low"]))
def test_a_factor_never_falls_when_the_rate_rises(a: Fraction, b: Fraction, gap: Gap) -> None:
    band = BandFactor(D("0.85"), D(1), D("0.70"), D("0.80"), gap)
    assert band.of(min(a, b)) <= band.of(max(a, b))
    tiers = TierAmounts(D("0.70"), D(500), D("0.60"), D(300), "neutral")
    assert tiers.of(min(a, b)) <= tiers.of(max(a, b))


def test_gap_policies_differ_only_inside_the_gap() -> None:
    policies: list[Gap] = ["linear", "hold_full", "hold_low"]
    found = {g: BandFactor(D("0.85"), D(1), D("0.70"), D("0.80"), g) for g in policies}
    assert {g: b.of(Fraction("0.775")) for g, b in found.items()} == {
        "linear": Fraction("0.9"),
        "hold_full": 1,
        "hold_low": Fraction("0.8"),
    }
    for rate in ("0.85", "1", "0.699", "0"):
        assert len({b.of(Fraction(rate)) for b in found.values()}) == 1


def test_bands_that_overlap_or_lack_a_gap_policy_are_refused() -> None:
    with pytest.raises(PaymentError, match="missing gap policy"):
        BandFactor(D("0.85"), D(1), D("0.70"), D("0.80"), None)  # type: ignore[arg-type]  # not said
    with pytest.raises(PaymentError, match="overlapping windows"):
        BandFactor(D("0.60"), D(1), D("0.70"), D("0.80"), "linear")
    with pytest.raises(PaymentError, match="overlapping windows"):
        TierAmounts(D("0.60"), D(1), D("0.70"), D(1), "neutral")
    with pytest.raises(PaymentError, match="pays more than the upper"):
        BandFactor(D("0.85"), D("0.5"), D("0.70"), D("0.80"), "linear")


def quality(**changes: Any) -> QualityTerms:
    return QualityTerms(
        **{
            "contract": "contract 1",
            "currency": "CNY",
            "heads": (Head("low", D(1000)), Head("high", D(15000))),
            "bonus": D(2000),
            "bonus_tiers": ("high",),
            "targets": (Target("screening", D("0.90")),),
            "missing": "fail",
            **changes,
        }
    )


def test_only_the_named_tier_earns_the_quality_bonus() -> None:
    facts = QualityYear((TierYears("low", Fraction(10)), TierYears("high", Fraction(5, 2))), (Panel(9, 1),))
    paid = settle_quality(quality(), stated(facts))
    # base 10 x 1,000 + 2.5 x 15,000; bonus 2.5 x 2,000
    assert (paid.amount("base"), paid.amount("bonus")) == (D("47500.00"), D("5000.00"))
    missed = QualityYear(facts.tiers, (Panel(9, 1, 1),))
    assert settle_quality(quality(), stated(missed)).notes == ("missed: screening",)


def test_quality_terms_without_target_or_base_are_refused() -> None:
    with pytest.raises(PaymentError, match="without a target"):
        quality(targets=())
    with pytest.raises(PaymentError, match="no base for the bonus tier"):
        quality(bonus_tiers=("middle",))
    with pytest.raises(PaymentError, match="one panel per target"):
        settle_quality(quality(), stated(QualityYear((), ())))


def test_contract_plurality_and_tie_rule_attribute_a_person() -> None:
    a, b = Visits("a", 3, date(2025, 3, 1)), Visits("b", 3, date(2025, 9, 1))
    assert attribute([a, b], contract="c", tie="unattributed") == "c"
    assert attribute([a, Visits("b", 2, date(2025, 9, 1))], contract=None, tie="unattributed") == "a"
    assert attribute([a, b], contract=None, tie="most_recent") == "b"
    assert attribute([a, b], contract=None, tie="unattributed") is None
    assert attribute([], contract=None, tie="most_recent") is None
    with pytest.raises(PaymentError, match="missing tie rule"):
        attribute([a], contract=None, tie=None)  # type: ignore[arg-type]  # not said
    with pytest.raises(PaymentError, match="twice"):
        attribute([a, a], contract=None, tie="most_recent")


def test_partial_years_deaths_and_moves_count_by_the_day() -> None:
    # 2024 has 366 days: all of it, and 1 January to 30 June (182 days)
    spans = [
        Span("p1", date(2023, 5, 1), date(2024, 12, 31)),
        Span("p2", date(2024, 1, 1), date(2024, 6, 30)),
    ]
    assert member_years(spans, year=2024) == 1 + Fraction(182, 366)


@UNHURRIED
@given(st.dates(date(2025, 1, 1), date(2025, 12, 30)))
def test_a_move_within_the_year_splits_one_member_year(last: date) -> None:
    before = Span("p", date(2025, 1, 1), last)
    after = Span("p", date.fromordinal(last.toordinal() + 1), date(2025, 12, 31))
    assert member_years([before], year=2025) + member_years([after], year=2025) == 1
    exclusive({"a": [before], "b": [after]})


def test_one_member_in_two_panels_on_a_day_is_refused() -> None:
    span = Span("p", date(2025, 1, 1), date(2025, 6, 30))
    with pytest.raises(PaymentError, match="overlapping windows"):
        exclusive({"a": [span], "b": [Span("p", date(2025, 6, 30), date(2025, 12, 31))]})
    with pytest.raises(PaymentError, match="ends before it starts"):
        member_years([Span("p", date(2025, 2, 1), date(2025, 1, 1))], year=2025)


def prepaid(cost: str, reached: int = 80, deficit: str = "0") -> tuple[Decimal, Decimal]:
    terms = PrepaidTerms("contract 1", "CNY", D(1000), D("0.70"), D(deficit), "fail")
    facts = PrepaidYear(Fraction(100), D(90000), D(cost), Panel(reached, 100 - reached))
    result = settle_prepaid(terms, stated(facts))
    return result.net("hospital"), result.amount("surplus not earned") + result.amount("deficit share")


def test_a_surplus_is_retained_and_a_deficit_is_not_covered() -> None:
    # income 100 x 1,000 = 100,000, advance 90,000: 10,000 are still paid whatever the cost was
    assert prepaid("80000") == (D("10000.00"), D("0.00"))
    assert prepaid("120000") == (D("10000.00"), D("0.00"))


def test_a_surplus_below_the_floor_of_quality_goes_back_and_a_covered_deficit_is_shared() -> None:
    assert prepaid("80000", reached=69) == (D("-10000.00"), D("20000.00"))
    assert prepaid("120000", deficit="0.25") == (D("15000.00"), D("5000.00"))


@UNHURRIED
@given(st.lists(MONEY, min_size=1, max_size=30), MONEY)
def test_counted_and_pooled_cost_add_to_the_cost(costs: list[Decimal], limit: Decimal) -> None:
    found = truncate(costs, limit)
    assert found.counted + found.pooled == sum(costs)
    assert found.counted <= limit * len(costs)


def test_the_limit_is_the_nearest_rank() -> None:
    costs = [D(n) for n in range(1, 201)]
    # .99 x 200 = 198: the 198th smallest
    assert limit_at(costs, D("0.99")) == 198
    assert truncate(costs, D(198)).pooled == D("3.00")
    with pytest.raises(PurposeMixed):
        truncate([100.0], D(1))  # type: ignore[list-item]  # a noised cost
    with pytest.raises(PaymentError, match="no costs"):
        limit_at([], D("0.99"))


def savings(spend: str, loss_share: str = "0", quality: str = "1") -> Decimal:
    terms = SavingsTerms("contract 1", "CNY", D(1000), Fraction(3, 100), D("0.5"), D("0.10"), D(loss_share))
    facts = SpendingYear(Fraction(100), D(spend), D(quality))
    return settle_savings(terms, stated(facts)).net("hospital")


@UNHURRIED
@given(st.integers(0, 20_000_000), st.integers(0, 20_000_000))
def test_spending_less_never_shares_less(a: int, b: int) -> None:
    low, high = sorted((a, b))
    one, other = (D(x).scaleb(-2) for x in (low, high))
    assert savings(str(one), loss_share="0.5") >= savings(str(other), loss_share="0.5")


def test_a_two_sided_contract_shares_a_loss_beyond_the_same_band() -> None:
    # 100,000 benchmark; a loss of 2.9 % is inside the band, 4 % is 4,000 of which a half; cap 10,000
    assert savings("102900") == savings("104000") == 0
    assert savings("102900", "0.5") == 0
    assert savings("104000", "0.5") == D("-2000.00")
    assert savings("900000", "0.5") == D("-10000.00")
    assert savings("90000", quality="0.8") == D("4000.00")


def test_the_msr_falls_with_members_and_starts_with_its_first_row() -> None:
    table, day = example_msr(), date(2025, 1, 1)
    rates = [table.rate(n, day=day) for n in range(5000, 70000, 500)]
    assert rates == sorted(rates, reverse=True)
    # between 10,000 (3.0 %) and 14,999 (2.7 %)
    assert table.rate(12_000, day=day) == Fraction("0.030") - Fraction(2000, 4999) * Fraction("0.003")
    with pytest.raises(PaymentError, match="no rate for 4999"):
        table.rate(4999, day=day)
    with pytest.raises(ParameterNotInForce):
        table.rate(5000, day=date(2011, 12, 31))


MSR = """format: fedvalue.msr/1
status: example
starts: 2012-01-01
source: {title: t, place: p, status: unverified}
rows:
  - {members_low: 1, members_high: 9, msr_low: "0.03", msr_high: "0.02"}
  - {members_low: 10, members_high: null, msr_low: "0.02", msr_high: "0.02"}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source: {title: t, place: p, status: unverified}\n", "", "source"),
        ("members_low: 10,", "members_low: 9,", "overlapping windows or a gap"),
        ("members_low: 10,", "members_low: 12,", "overlapping windows or a gap"),
        ('"0.03"', "0.03", "binary number"),
        ("status: example", "status: example\nextra: 1", "extra"),
        ("status: example", "status: example\nstatus: official", "stands twice"),
    ],
)
def test_a_table_that_is_not_strict_is_refused(old: str, new: str, message: str) -> None:
    assert load_msr(MSR.encode(), where="t").rate(5, day=date(2025, 1, 1)) == Fraction("0.025")
    with pytest.raises(PaymentError, match=message):
        load_msr(MSR.replace(old, new).encode(), where="t")


def test_noise_in_the_benchmark_widens_the_guard_band() -> None:
    def benchmark(privacy: float) -> Estimate:
        return Estimate(
            value=10_000,
            unit="CNY",
            lower=None,
            upper=None,
            sampling_variance=90.0**2,
            privacy_variance=privacy,
        )

    # 1.2816 x 90 / 10,000 = .011534; with V_dp = 120^2 the SD is 150: .019223
    assert float(guard_band_rate(benchmark(0.0), level=0.90)) == pytest.approx(0.011534, abs=1e-6)
    assert float(guard_band_rate(benchmark(120.0**2), level=0.90)) == pytest.approx(0.019223, abs=1e-6)
    with pytest.raises(PurposeMixed):
        guard_band_rate(D(10_000), level=0.9)  # type: ignore[arg-type]  # no variances


@pytest.mark.parametrize(
    ("spend", "left"),
    # budget 1,000, corridor 50; half of a surplus beyond goes back; .6 of a deficit beyond is shared, <= 80
    [("950", "50"), ("900", "75"), ("1050", "-50"), ("1150", "-90"), ("1250", "-170")],
)
def test_the_corridor_shares_what_lies_beyond(spend: str, left: str) -> None:
    terms = BudgetTerms("contract 1", "CNY", D(1000), D("0.05"), D("0.5"), D("0.6"), D("0.08"))
    assert settle_budget(terms, stated(Spending(D(spend)))).left == D(left)


@UNHURRIED
@given(MONEY, MONEY)
def test_a_hospital_that_spends_more_is_never_left_with_more(a: Decimal, b: Decimal) -> None:
    terms = BudgetTerms("contract 1", "CNY", D("1000000.01"), D("0.05"), D("0.5"), D("0.6"), D("0.08"))
    low, high = sorted((a, b))
    assert (
        settle_budget(terms, stated(Spending(low))).left >= settle_budget(terms, stated(Spending(high))).left
    )


@UNHURRIED
@given(MONEY)
def test_the_parts_of_a_surplus_add_to_it(surplus: Decimal) -> None:
    assert sum(split_surplus(surplus, {"a": D("0.40"), "b": D("0.30"), "c": D("0.30")}).values()) == surplus


def test_parts_that_do_not_add_to_one_are_refused() -> None:
    with pytest.raises(PaymentError, match="add to 1"):
        split_surplus(D(1), {"a": D("0.40"), "b": D("0.30")})


SCHEME = RankingTerms(
    "contract 1",
    "CNY",
    (
        Measure("control", "outcome", D("0.6"), D("0.40"), D("0.90")),
        Measure("readmission", "outcome", D("0.4"), D("0.20"), D("0.05")),
    ),
    D("0.40"),
    D("0.20"),
    D("0.05"),
    D("0.10"),
    30,
    "fail",
)


def measured(control: int, readmitted: int, missing: int = 0, volume: int = 100) -> MeasuredYear:
    return MeasuredYear(
        (Panel(control, 100 - control), Panel(readmitted, 100 - readmitted - missing, missing)),
        volume,
        D("1000.00"),
    )


def test_the_composite_is_the_weighted_place_between_anchors() -> None:
    # .6 (.65 - .40) / .50 + .4 (.11 - .20) / (-.15) = .3 + .24
    assert composite(SCHEME, measured(65, 11)) == Fraction("0.54")


def test_an_unmeasured_patient_never_looks_like_a_good_one() -> None:
    assert composite(SCHEME, measured(65, 11, missing=4)) == composite(SCHEME, measured(65, 15))


def test_the_best_fifth_is_rewarded_the_last_tenth_talks_and_small_ones_are_not_ranked() -> None:
    years = [measured(50 + i, 10) for i in range(10)]
    statements = [stated(y, institution=f"h{i}") for i, y in enumerate(years)]
    small = stated(measured(89, 5, volume=29), institution="small")
    places = {p.institution: p for p in rank(SCHEME, [*statements, small])}
    assert [n for n, p in places.items() if p.band == "top"] == ["h8", "h9"]
    assert [n for n, p in places.items() if p.band == "bottom"] == ["h0"]
    assert places["small"].band == "not_ranked"
    assert places["h9"].settlement.net("hospital") == 50
    assert places["h5"].settlement.net("hospital") == 0


def test_ties_are_settled_in_favor_of_the_institution() -> None:
    statements = [stated(measured(60, 10), institution=f"h{i}") for i in range(10)]
    assert {p.band for p in rank(SCHEME, statements)} == {"top"}
    lower = [stated(measured(60 if i < 3 else 80, 10), institution=f"h{i}") for i in range(10)]
    assert [p.band for p in rank(SCHEME, lower)][:3] == ["middle"] * 3


@UNHURRIED
@given(st.lists(st.integers(30, 95), min_size=5, max_size=15), st.integers(0, 4))
def test_doing_better_never_lowers_the_band(controls: list[int], who: int) -> None:
    order = {"bottom": 0, "middle": 1, "top": 2}

    def band(values: list[int]) -> int:
        places = rank(SCHEME, [stated(measured(c, 10), institution=f"h{i}") for i, c in enumerate(values)])
        return order[places[who].band]

    better = [c + 3 if i == who else c for i, c in enumerate(controls)]
    assert band(better) >= band(controls)


def test_an_institution_that_states_twice_or_an_estimate_is_refused() -> None:
    twice = [stated(measured(60, 10)), stated(measured(60, 10), start=date(2026, 1, 1), end=date(2026, 2, 1))]
    with pytest.raises(PaymentError, match="states twice"):
        rank(SCHEME, twice)
    with pytest.raises(PurposeMixed):
        rank(SCHEME, [Panel(1, 2)])  # type: ignore[list-item]  # no statement


def test_noise_leaves_fewer_institutions_in_a_named_band() -> None:
    rng = np.random.default_rng(11)
    names = tuple(f"h{i}" for i in range(10))
    center = np.linspace(0.3, 0.8, 10)
    sampling = rng.normal(0, 0.02, (4000, 10))

    def named(noise: float) -> list[str]:
        privacy = rng.normal(0, 1, (4000, 10)) * noise
        found = bands(Draws(names, center, sampling, privacy, "e"), top=0.2, bottom=0.1, p_met=0.9)
        return [n for n, b in found.items() if b.band != "middle"]

    assert named(0.0) == ["h0", "h8", "h9"]
    assert named(0.3) == []
