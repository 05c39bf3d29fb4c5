"""Points, C values, risk coefficients and scores: laws and refusals around the golden numbers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.analyses.estimate import Estimate
from fedvalue.errors import PaymentError, PurposeMixed
from fedvalue.payment.mechanisms.case_points import (
    CaseCost,
    CasePointTerms,
    CoefficientTerms,
    case_points,
    hospital_coefficient,
    pay_points,
    settle_case_points,
)
from fedvalue.payment.mechanisms.dip import (
    OutlierTerms,
    budget_point_value,
    divide_fund,
    outlier,
    over_years,
    settlement_point_value,
    total_score,
)
from fedvalue.payment.mechanisms.hcc import (
    CoefficientModel,
    Interaction,
    after_hierarchies,
    age_label,
    payment_score,
    score,
)
from fedvalue.payment.mechanisms.risk_adjustment import (
    clamp,
    coefficients,
    credible,
    payments,
    predictive_ratio,
)
from fedvalue.payment.mechanisms.severity_levels import c_value
from fedvalue.payment.mechanisms.weights import Weights
from tests.statements import stated

D = Decimal
UNHURRIED = settings(deadline=None, max_examples=60)  # shared cores make single examples slow
ZHEJIANG = CasePointTerms(D("0.4"), D("0.8"), D("0.2"))
CELLS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.tuples(st.integers(1, 5000), st.decimals("0.1", "5", places=3)),
    min_size=1,
    max_size=8,
)


@UNHURRIED
@given(st.fractions(0, 3), st.fractions(0, 3))
def test_a_dearer_case_never_earns_fewer_points(a: Fraction, b: Fraction) -> None:
    low, high = (case_points(ZHEJIANG, m, Fraction(100)) for m in (min(a, b), max(a, b)))
    assert low <= high


def test_a_case_settles_on_its_own_exact_cost() -> None:
    # 5,000 over a mean of 10,000: .5 + .2 of 100 points; at 12.5 a point and coefficient 1.1: 962.50
    points = settle_case_points(
        ZHEJIANG, stated(CaseCost("EB1", D(5000))), group_mean=Fraction(10000), base=Fraction(100)
    )
    assert points == 70
    assert pay_points(points, Fraction("1.1"), D("12.50")) == D("962.50")
    with pytest.raises(PurposeMixed):
        settle_case_points(ZHEJIANG, 0.5, group_mean=Fraction(1), base=Fraction(1))  # type: ignore[arg-type]  # no statement
    with pytest.raises(PaymentError, match="overlapping windows"):
        CasePointTerms(D("0.9"), D("0.8"), D("0.2"))


@UNHURRIED
@given(st.decimals("0", "3", places=2), st.decimals("0", "3", places=2), st.integers(0, 100))
def test_a_coefficient_stays_within_its_bounds(level: Decimal, hospital: Decimal, cases: int) -> None:
    terms = CoefficientTerms(D("0.2"), D("0.3902"), D("1.6279"), 5)
    assert (
        D("0.3902") <= hospital_coefficient(terms, level=level, hospital=hospital, cases=cases) <= D("1.6279")
    )


@UNHURRIED
@given(
    st.integers(0, 10**12),
    st.dictionaries(st.text(min_size=1), st.fractions(0, 500), min_size=1).filter(lambda d: any(d.values())),
)
def test_a_fund_is_divided_by_points_to_the_fen(fund: int, points: dict[str, Fraction]) -> None:
    assert sum(divide_fund(D(fund).scaleb(-2), points).values()) == D(fund).scaleb(-2)


def test_more_cases_lower_the_point_value_and_the_fund_is_spent_once() -> None:
    scores = {"a": Fraction(2), "b": Fraction(1, 2)}
    few, many = (settlement_point_value(D(1000), D("0.5"), total_score(scores, {"a": n})) for n in (10, 20))
    assert (few, many) == (Fraction(100), Fraction(50))
    # (1 x 800 + 2 x 900 + 7 x 1000) / 10 = 960 over 20 points
    assert budget_point_value((D(800), D(900), D(1000)), (1, 2, 7), total_score(scores, {"a": 10})) == 48
    with pytest.raises(PaymentError, match="no score for the group 'c'"):
        total_score(scores, {"c": 1})


def test_dip_refuses_noise_and_bounds_that_do_not_increase() -> None:
    with pytest.raises(PurposeMixed):
        over_years((9000.5,), (1,))  # type: ignore[arg-type]  # noised
    with pytest.raises(PaymentError, match="overlapping windows"):
        OutlierTerms(D(2), D("0.5"), D(5))
    with pytest.raises(PaymentError, match="one weight"):
        over_years((D(1),), (1, 2))
    assert outlier(OutlierTerms(D("0.5"), D(2), D(5)), D("5.01")).coefficient is None


def test_a_severity_whose_next_costs_no_more_is_refused() -> None:
    with pytest.raises(PaymentError, match="does not cost more"):
        c_value("cc", D(1), low=D(2), high=D(2))
    with pytest.raises(PaymentError, match="no severity"):
        c_value("worst", D(1), low=D(2), high=D(3))  # type: ignore[arg-type]  # no such word


def mean_of(found: Weights) -> Fraction:
    return sum((n * r for n, r in zip(found.cases, found.values, strict=True)), Fraction(0)) / sum(
        found.cases
    )


@UNHURRIED
@given(CELLS, st.integers(0, 10**9))
def test_risk_coefficients_are_budget_neutral_to_the_fen(
    cells: dict[str, tuple[int, Decimal]], base: int
) -> None:
    people = {c: n for c, (n, _) in cells.items()}
    found = coefficients({c: raw for c, (_, raw) in cells.items()}, people)
    assert mean_of(found) == 1
    money = D(base).scaleb(-2)
    paid = payments(money, found)
    assert sum(p.total for p in paid) == money * sum(people.values())
    assert all(p.each * (p.people - p.odd) + p.each_odd * p.odd == p.total for p in paid)


@UNHURRIED
@given(CELLS)
def test_clamping_comes_before_normalising(cells: dict[str, tuple[int, Decimal]]) -> None:
    people = {c: n for c, (n, _) in cells.items()}
    found = clamp({c: raw for c, (_, raw) in cells.items()}, people, low=D("0.7"), high=D("1.8"))
    assert mean_of(found.coefficients) == 1
    values = found.coefficients.values
    assert max(values) / min(values) <= Fraction(18, 7)


def test_a_clamp_that_normalising_passes_again_is_said() -> None:
    # .5 -> .7, 1 -> 1: mean .7 x .9 + .1 = .73; .7 / .73 = .959, 1 / .73 = 1.370
    found = clamp({"a": D("0.5"), "b": D(1)}, {"a": 90, "b": 10}, low=D("0.7"), high=D("1.2"))
    assert (found.clamped, found.past) == (("a",), ("b",))
    with pytest.raises(PaymentError, match="overlapping windows"):
        clamp({"a": D(1)}, {"a": 1}, low=D(2), high=D(1))


def estimate(value: float, sampling: float, privacy: float) -> Estimate:
    return Estimate(
        value=value,
        unit="ratio",
        lower=None,
        upper=None,
        sampling_variance=sampling,
        privacy_variance=privacy,
    )


def test_noise_shrinks_a_coefficient_to_the_mean_and_says_how_much_of_it_is_noise() -> None:
    # tau^2 .04: V .01 -> Z .8; V .01 + .03 -> Z .5. Raw 1.5 -> 1.4 and 1.25; the reference keeps 1 at Z .8
    found = credible(
        {
            "exact": estimate(1.5, 0.01, 0.0),
            "noisy": estimate(1.5, 0.01, 0.03),
            "rest": estimate(1.0, 0.01, 0.0),
        },
        {"exact": 100, "noisy": 100, "rest": 800},
        between_variance=0.04,
    )
    assert found.credibility == pytest.approx({"exact": 0.8, "noisy": 0.5, "rest": 0.8})
    assert found.privacy_share == pytest.approx({"exact": 0.0, "noisy": 0.75, "rest": 0.0})
    # mean (1.4 + 1.25 + 8) / 10 = 1.065
    assert float(found.coefficients.of("exact")) == pytest.approx(1.4 / 1.065)
    assert mean_of(found.coefficients) == 1


def test_risk_adjustment_refuses_noise_without_shrinking_and_nothing_to_adjust() -> None:
    with pytest.raises(PurposeMixed):
        coefficients({"a": 1.2}, {"a": 1})  # type: ignore[dict-item]  # noised
    with pytest.raises(PaymentError, match="not above 0"):
        coefficients({"a": D(0)}, {"a": 1})
    with pytest.raises(PaymentError, match="tau"):
        credible({"a": estimate(1, 0.1, 0)}, {"a": 1}, between_variance=0.0)
    assert predictive_ratio(D(110), D(100)) == Fraction(11, 10)


MODEL = CoefficientModel(
    "small",
    {
        k: D(v)
        for k, v in {
            "F65_69": "0.3",
            "HCC1": "0.5",
            "HCC2": "0.2",
            "HCC3": "0.1",
            "X": "0.07",
            "D1": "0",
            "D2": "0.01",
        }.items()
    },
    {"1": frozenset({"2"})},
    (Interaction("X", (frozenset({"1", "2"}), frozenset({"3"}))),),
    "made up for this test",
)


def test_hierarchies_interactions_and_counts_add_up() -> None:
    # .3 + .5 + .1 + interaction .07 + count of two .01; category 2 is covered by 1
    found = score(MODEL, age=67, sex="F", categories=["3", "2", "1", "1"])
    assert (found.categories, found.raw) == (("1", "3"), D("0.98"))
    assert score(MODEL, age=67, sex="F", categories=[]).raw == D("0.3")
    assert payment_score(D("0.98"), normalization=D("1.4"), coding_adjustment=D("0.059")) == Fraction(
        "0.98"
    ) * Fraction("0.941") / Fraction("1.4")


@UNHURRIED
@given(st.permutations(["1", "2", "3"]))
def test_the_order_of_categories_does_not_matter(order: list[str]) -> None:
    assert score(MODEL, age=67, sex="F", categories=order) == score(
        MODEL, age=67, sex="F", categories=["1", "2", "3"]
    )
    assert after_hierarchies(order, MODEL.hierarchies) == ("1", "3")


@pytest.mark.parametrize(
    ("age", "label"), [(65, "F65_69"), (69, "F65_69"), (94, "F90_94"), (95, "F95_GT"), (0, "F0_34")]
)
def test_ages_fall_in_their_bands(age: int, label: str) -> None:
    assert age_label(age, "F") == label


def test_a_category_without_coefficient_or_a_table_without_source_is_refused() -> None:
    with pytest.raises(PaymentError, match="no coefficient for HCC9"):
        score(MODEL, age=67, sex="F", categories=["9"])
    with pytest.raises(PaymentError, match="no coefficient for M65_69"):
        score(MODEL, age=67, sex="M", categories=[])
    with pytest.raises(PaymentError, match="no source"):
        CoefficientModel("small", {}, {}, (), "")
    with pytest.raises(PaymentError, match="negative"):
        age_label(-1, "F")
