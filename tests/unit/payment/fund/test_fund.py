"""The fund: tables, budget impact, redline, stress, solvency, pictures of sensitivity, tail risk."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fedvalue.errors import PaymentError
from fedvalue.payment.fund import stress, tail_risk
from fedvalue.payment.fund.impact import SCENARIOS, growth, impact, spend, total
from fedvalue.payment.fund.redline import Growth, Redline, exceeds, joint_growth, judge, judge_draws
from fedvalue.payment.fund.sensitivity import Range, heat_map, tornado
from fedvalue.payment.fund.solvency import solvency
from fedvalue.payment.fund.tables import FundYear, Line, parse_forecast, parse_fund, read_forecast
from fedvalue.payment.prices import price_cut

D = Decimal
GOLDEN = json.loads((Path(__file__).parents[3] / "golden" / "economics_and_fund.json").read_text())

FORECAST = """year,treatment,eligible,uptake_base,uptake_new,price,reimbursed,admin,offsets
2027,drug,1000,0,0.2,100000.00,0.7,500.00,10000
2028,drug,1000,0,0.4,100000.00,0.7,500.00,10000
2029,drug,1000,0,0.5,90000.00,0.7,500.00,10000
2027,old,1000,0.8,0.7,20000,0.8,0,0
2028,old,1000,0.8,0.6,20000,0.8,0,0
2029,old,1000,0.8,0.5,20000,0.8,0,0
"""
FUND = """year,revenue,other_spend
2026,1050000000,1000000000
2027,1090000000,1020000000
2028,1130000000,1050000000
2029,1170000000,1080000000
"""
LINES = parse_forecast(FORECAST.encode(), where="forecast.csv")
FUNDS = parse_fund(FUND.encode(), where="fund.csv")


def test_the_shared_golden_cases_are_those_copied_here(shared_data: Path) -> None:
    shared = json.loads((shared_data / "payment" / "golden_payment_cases.json").read_text())
    assert {key: shared[key] for key in GOLDEN} == GOLDEN


@pytest.mark.parametrize("case", GOLDEN["fund_growth"]["cases"])
def test_exact_growth_breaches_the_redline_only_above_it(case: dict[str, float]) -> None:
    before = D(str(case["base"]))
    after = before + D(str(case["incremental"]))
    assert growth(before, after) == D(str(case["growth"]))
    assert exceeds(before, after, Redline()) == case["breach"]


@pytest.mark.parametrize("case", GOLDEN["fund_growth"]["prob"])
def test_the_probability_of_a_breach_is_that_of_the_golden_file(case: dict[str, float]) -> None:
    for split in (0.0, 0.3, 1.0):
        whole = case["sd"] ** 2
        found = Growth(case["mean"], whole * (1 - split), whole * split).above(0.05)
        assert found == pytest.approx(case["p_breach"], abs=1e-6)


def test_a_volume_based_price_is_a_cut_of_the_golden_share() -> None:
    case = GOLDEN["cgm_vbp"]
    assert price_cut(D(case["before"]), D(case["after"])) == D(str(case["cut"]))


def test_a_forecast_becomes_money_by_hand() -> None:
    found = spend(LINES, rolled_out=D("0.25"))
    # drug 2027: 200 people * (70,000 + 500 - 10,000) = 12,100,000; old 700 * 16,000 = 11,200,000
    assert total(found, "new", 2027) == D("23300000.00")
    assert total(found, "base", 2027) == D("12800000.00")
    # a quarter rolled out: 50 * 60,500 + 775 * 16,000
    assert total(found, "mixed", 2027) == D("15425000.00")
    year = impact(found, FUNDS, "new")[0]
    assert year.impact == D("10500000.00")
    # (1,020,000,000 + 23,300,000 - 1,000,000,000) / 1,000,000,000
    assert (year.growth, year.growth_without) == (D("0.0433"), D("0.0328"))


shares = st.decimals(0, 1, places=3)
money = st.decimals(0, 10**6, places=2)


rows_of_three = st.lists(
    st.tuples(st.integers(0, 10**6), shares, shares, money, shares, money, money), min_size=3, max_size=3
)


@given(rows_of_three, shares)
@settings(deadline=None, max_examples=50)
def test_totals_add_up_to_the_fen_and_a_part_rolled_out_lies_between(
    rows: list[tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal, Decimal]], rolled_out: Decimal
) -> None:
    lines = [Line(2027 + i, "drug", *row) for i, row in enumerate(rows)]
    found = spend(lines, rolled_out=rolled_out)
    for scenario in SCENARIOS:
        by_year = sum(total(found, scenario, year) for year in (2027, 2028, 2029))
        assert by_year == sum(s.amount for s in found if s.scenario == scenario)
    for year in (2027, 2028, 2029):
        ends = sorted((total(found, "base", year), total(found, "new", year)))
        assert ends[0] - D("0.01") <= total(found, "mixed", year) <= ends[1] + D("0.01")


def test_the_unit_of_currency_changes_no_growth() -> None:
    # In fen instead of yuan: amounts times 100.
    lines = [replace(x, price=x.price * 100, admin=x.admin * 100, offsets=x.offsets * 100) for x in LINES]
    fund = [FundYear(y.year, y.revenue * 100, y.other_spend * 100) for y in FUNDS]
    ours, theirs = impact(spend(LINES), FUNDS, "new"), impact(spend(lines), fund, "new")
    assert [y.growth for y in ours] == [y.growth for y in theirs]
    assert [y.impact * 100 for y in ours] == [y.impact for y in theirs]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("year,treatment", "year,drug", "columns"),
        ("offsets\n", "offsets,offsets\n", "columns"),
        ("2027,drug,1000,0,0.2", "2027,drug,-1000,0,0.2", "eligible is '-1000'"),
        ("0,0.2,", "0,1.2,", "uptake_new is '1.2'"),
        ("100000.00,0.7,500.00,10000\n2028", "1e5,0.7,500.00,10000\n2028", "price is '1e5'"),
        ("100000.00,0.7,500.00,10000\n2028", "100000.001,0.7,500.00,10000\n2028", "price is"),
        ("100000.00,0.7,500.00,10000\n2028", '"100,000",0.7,500.00,10000\n2028', "price is"),
        ("2027,old,1000,0.8,0.7,20000,0.8,0,0", "2027,old,1000,0.8,0.7,20000,0.8,0", "8 cells"),
        ("2027,drug,1000,0,0.2", "2027,drug,,0,0.2", "eligible is ''"),
        ("2029,old", "2028,old", "exactly one line"),
        ("2029,", "2031,", "3 to 5 years in a row"),
        ("2027,drug", "2027, drug", "without blanks"),
    ],
)
def test_a_table_that_is_not_exactly_as_the_schema_says_is_refused(old: str, new: str, message: str) -> None:
    assert old in FORECAST
    with pytest.raises(PaymentError, match=message):
        parse_forecast(FORECAST.replace(old, new).encode(), where="forecast.csv")


def test_a_fund_line_with_a_gap_or_nothing_spent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PaymentError, match="follow one another"):
        parse_fund(FUND.replace("2028", "2030").encode(), where="fund.csv")
    with pytest.raises(PaymentError, match="nothing can grow"):
        parse_fund(FUND.replace("1050000000,1000000000", "1050000000,0").encode(), where="fund.csv")
    with pytest.raises(PaymentError, match="begin the fund line"):
        impact(spend(LINES), FUNDS[1:], "new")
    with pytest.raises(PaymentError, match="not a CSV table"):
        parse_fund(b"\xff\xfe", where="fund.csv")
    with pytest.raises(PaymentError, match=r"forecast\.csv"):
        read_forecast(tmp_path / "forecast.csv")


# ---- redline -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "without", "verdict"),
    [(0.03, 0.02, "kept"), (0.045, 0.03, "breached_by_the_drug"), (0.06, 0.055, "breached_anyway")],
)
def test_a_breach_is_the_drugs_only_where_the_fund_would_keep_the_line_without_it(
    mean: float, without: float, verdict: str
) -> None:
    found = judge(Growth(mean, 0.01**2), Growth(without, 0.01**2), Redline())
    assert found.verdict == verdict
    assert (found.growth, found.growth_without) == (mean, without)


def test_draws_are_judged_as_their_distribution() -> None:
    rng = np.random.default_rng(4)
    drug, other = rng.normal([0.045, 0.03], 0.01, (200_000, 2)).T
    before = np.array(1e9)
    found = judge_draws(before, before * (1 + drug), before * (1 + other), Redline())
    # SE of a probability of .31 in 200,000 draws: .001
    assert found.probability == pytest.approx(0.308538, abs=0.004)
    assert found.probability_without == pytest.approx(0.02275, abs=0.002)
    assert found.verdict == "breached_by_the_drug"
    with pytest.raises(PaymentError, match="drawn together"):
        judge_draws(before, drug, other[:5], Redline())


@given(st.floats(-0.02, 0.05), st.floats(1e-6, 0.05), st.floats(0, 0.05))
@settings(deadline=None)
def test_below_the_line_noise_raises_the_risk_but_never_above_a_half(
    mean: float, sd: float, noise: float
) -> None:
    quiet, noisy = Growth(mean, sd**2).above(0.05), Growth(mean, sd**2, noise**2).above(0.05)
    assert quiet <= noisy + 1e-12
    assert noisy <= 0.5


def test_a_growth_is_joined_from_the_lines_of_the_fund() -> None:
    # .8 * .03 + .2 * .10 = .044; .64 * 1e-4 + .04 * 9e-4
    found = joint_growth([(0.8, Growth(0.03, 1e-4)), (0.2, Growth(0.10, 9e-4, 1e-4))])
    assert found.mean == pytest.approx(0.044)
    assert found.sampling_variance == pytest.approx(1e-4)
    assert found.privacy_variance == pytest.approx(4e-6)
    with pytest.raises(PaymentError, match="sum to 1"):
        joint_growth([(0.8, Growth(0.03, 0.0))])


# ---- stress and solvency -----------------------------------------------------------------------------


def test_a_stress_of_one_changes_nothing_and_the_set_does_what_it_says() -> None:
    outcomes = {
        s.name: stress.apply(s, LINES, FUNDS, Redline())
        for s in stress.stress_set(effect_lower_bound=D("0.4"))
    }
    plain = impact(spend(LINES), FUNDS, "new")
    assert outcomes["none"].years == plain
    first = {name: outcome.years[0].scenario for name, outcome in outcomes.items()}
    # Only the drug's uptake rises with the decision, so only it is stressed; old care stays 11,200,000.
    assert first["uptake_up"] == D(300 * 60_500 + 11_200_000)
    assert first["price_up"] == D(200 * (84_000 + 500 - 10_000) + 11_200_000)
    assert first["more_people"] == D(220 * 60_500 + 770 * 16_000)
    assert first["weak_effect"] == D(200 * (70_500 - 4_000) + 11_200_000)
    assert first["drug_shock"] == D(200 * (211_500 - 10_000) + 11_200_000)
    assert outcomes["revenue_down"].years == plain
    assert outcomes["revenue_down"].fund[1].revenue == D("1035500000.00")
    assert outcomes["pandemic"].over_redline == (2027,)


def test_the_reverse_stress_gives_the_uptake_at_which_growth_reaches_the_redline() -> None:
    found = stress.breaking_uptake(LINES, FUNDS, Redline(), "drug")
    # 2027: 1,050,000,000 - 1,020,000,000 - 11,200,000 = 18,800,000 over 60,500,000 per uptake of 1
    assert found[2027] == D("0.310744")
    at = [replace(x, uptake_new=found[2027]) if (x.year, x.treatment) == (2027, "drug") else x for x in LINES]
    assert impact(spend(at), FUNDS, "new")[0].growth == pytest.approx(D("0.05"), abs=D("1e-6"))
    cheap = [replace(x, price=D(0)) if x.treatment == "drug" else x for x in LINES]
    assert stress.breaking_uptake(cheap, FUNDS, Redline(), "drug")[2027] is None
    heavy = [replace(y, other_spend=y.other_spend * 2) if y.year == 2027 else y for y in FUNDS]
    assert stress.breaking_uptake(LINES, heavy, Redline(), "drug")[2027] == 0
    with pytest.raises(PaymentError, match="no treatment 'x'"):
        stress.breaking_uptake(LINES, FUNDS, Redline(), "x")


def test_a_stress_below_nothing_and_an_effect_above_its_estimate_are_refused() -> None:
    with pytest.raises(PaymentError, match="at or above 0"):
        stress.Stress("x", "x", "x", price=D(-1))
    with pytest.raises(PaymentError, match="no lower bound"):
        stress.stress_set(effect_lower_bound=D("1.1"))


def test_solvency_by_hand() -> None:
    years = impact(spend(LINES), FUNDS, "new")
    found = solvency(years, FUNDS, opening_balance=D(100_000_000))
    # 2027: 1,090,000,000 - 1,043,300,000 = 46,700,000, 4.28 % of revenue: warned of
    assert (found[0].surplus, found[0].warning) == (D("46700000.00"), True)
    assert found[0].surplus_rate == D("0.042844037")
    assert found[0].balance == D("146700000.00")
    # 146,700,000 * 12 / 1,043,300,000
    assert found[0].months == D("1.69")
    without = solvency(years, FUNDS, opening_balance=D(0), with_decision=False)
    assert without[0].spend == D("1032800000.00")
    assert not without[0].warning
    poor = solvency(years, FUNDS, opening_balance=D(-900_000_000))
    assert poor[0].insolvent
    assert poor[0].months == 0


# ---- pictures and tail -------------------------------------------------------------------------------


def test_a_tornado_is_sorted_by_swing_and_a_heat_map_is_the_model_at_each_point() -> None:
    ranges = [Range("price", 80, 100, 120), Range("uptake", 0.1, 0.2, 0.6), Range("admin", 5, 5, 5)]
    base, bars = tornado(lambda p: p["price"] * p["uptake"] + p["admin"], ranges)
    assert base == 25
    assert [(b.name, b.at_low, b.at_high) for b in bars] == [
        ("uptake", 15, 65), ("price", 21, 29), ("admin", 25, 25)
    ]  # fmt: skip
    found = heat_map(lambda p: p["price"] * p["uptake"] + p["admin"], {"price": 1, "uptake": 1, "admin": 0},
                     ("price", [1.0, 2.0]), ("uptake", [0.0, 1.0, 3.0]))  # fmt: skip
    np.testing.assert_array_equal(found, [[0, 1, 3], [0, 2, 6]])
    with pytest.raises(PaymentError, match="two parameters"):
        heat_map(lambda _: 0.0, {"price": 1}, ("price", [1.0]), ("uptake", [1.0]))
    with pytest.raises(PaymentError, match="low over base to high"):
        Range("price", 3, 2, 1)
    with pytest.raises(PaymentError, match="gives nan"):
        tornado(lambda _: math.nan, ranges)


def test_the_worst_twentieth_of_twenty_and_of_thirty_draws() -> None:
    # 20 draws: the worst one is 5 %. 30 draws: 1.5 of them, the worst whole and half of the next.
    twenty = tail_risk.of_draws(np.arange(1.0, 21.0))
    assert (twenty.value_at_risk, twenty.expected_shortfall) == pytest.approx((19.0, 20.0))
    thirty = tail_risk.of_draws(np.arange(1.0, 31.0))
    assert (thirty.value_at_risk, thirty.expected_shortfall) == pytest.approx((29.0, (30 + 14.5) / 1.5))


def test_a_normal_tail_is_that_of_its_integral_and_of_its_draws() -> None:
    found = tail_risk.of_normal(100.0, 10.0)
    law = stats.norm(100, 10)
    assert found.value_at_risk == pytest.approx(law.ppf(0.95))
    assert found.expected_shortfall == pytest.approx(law.expect(lb=law.ppf(0.95), conditional=True), rel=1e-6)
    drawn = tail_risk.of_draws(np.random.default_rng(2).normal(100, 10, 400_000))
    assert drawn.expected_shortfall == pytest.approx(found.expected_shortfall, abs=0.2)


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 0.99))
@settings(deadline=None, max_examples=40)
def test_expected_shortfall_never_falls_short_of_value_at_risk_and_never_exceeds_the_parts(
    seed: int, level: float
) -> None:
    a, b = np.random.default_rng(seed).lognormal(size=(2, 200))
    whole, first, second = (tail_risk.of_draws(x, level) for x in (a + b, a, b))
    assert whole.expected_shortfall >= whole.value_at_risk - 1e-12
    assert whole.expected_shortfall <= first.expected_shortfall + second.expected_shortfall + 1e-9


def test_no_level_and_no_draws_are_refused() -> None:
    with pytest.raises(PaymentError, match="no level"):
        tail_risk.of_normal(1, 1, 1.0)
    with pytest.raises(PaymentError, match="all finite"):
        tail_risk.of_draws(np.array([]))
