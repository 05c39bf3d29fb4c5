"""Exact numbers and flows: sums add to the fen, and whatever is not exact is refused by name."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.analyses.estimate import Estimate, Released
from fedvalue.errors import PaymentError, PurposeMixed
from fedvalue.payment.mechanisms.cash import Transfer, flow, settlement
from fedvalue.payment.mechanisms.exact import (
    apportion,
    chosen,
    count,
    decimal,
    exact,
    fen,
    money,
    not_negative,
    positive,
    share,
)
from tests.statements import certain

D = Decimal
UNHURRIED = settings(deadline=None, max_examples=60)  # shared cores make single examples slow
AMOUNTS = st.integers(-(10**12), 10**12).map(lambda n: D(n).scaleb(-2))
ESTIMATE = Estimate(
    value=0.7, unit="probability", lower=0.6, upper=0.8, sampling_variance=1e-3, privacy_variance=0
)


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [("0.005", "0.01"), ("-0.005", "-0.01"), ("0.0049", "0.00"), ("1/3", "0.33"), ("2/3", "0.67")],
)
def test_money_is_rounded_once_half_away_from_zero(amount: str, rounded: str) -> None:
    assert fen(Fraction(amount)) == D(rounded)


def test_a_hundred_in_three_parts_gives_the_odd_fen_to_the_first() -> None:
    # 33.333...: three quotas of 3333 fen and a third; one fen is left, ties go to the earlier part
    assert apportion(D("100.00"), [1, 1, 1]) == (D("33.34"), D("33.33"), D("33.33"))
    assert apportion(D("-100.00"), [1, 1, 1]) == (D("-33.34"), D("-33.33"), D("-33.33"))


@UNHURRIED
@given(AMOUNTS, st.lists(st.fractions(0, 1000), min_size=1, max_size=8).filter(any))
def test_parts_add_to_the_fen_and_stay_within_one_fen_of_their_quota(
    total: Decimal, weights: list[Fraction]
) -> None:
    parts = apportion(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    assert all(
        abs(Fraction(p) - Fraction(total) * w / whole) < Fraction(1, 100)
        for p, w in zip(parts, weights, strict=True)
    )


@UNHURRIED
@given(AMOUNTS, st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any), st.integers(1, 999))
def test_the_scale_of_weights_does_not_matter(total: Decimal, weights: list[int], scale: int) -> None:
    assert apportion(total, weights) == apportion(total, [w * scale for w in weights])


@pytest.mark.parametrize(
    "noised",
    [
        0.7,
        np.float64(0.7),
        ESTIMATE,
        Released(value=572.3, noise_variance=9.0),
        certain(("rate",), [0.7]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_noised_or_binary_number_is_refused_by_name(noised: object) -> None:
    with pytest.raises(PurposeMixed, match="control rate"):
        exact(noised, "control rate")


@pytest.mark.parametrize("value", [True, "0.7", None, np.int64(3), D("NaN"), D("Infinity")])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(PaymentError, match="figure"):
        exact(value, "figure")


def test_ranges_are_refused_by_name() -> None:
    with pytest.raises(PaymentError, match=r"bonus = -1 is negative"):
        money(D(-1), "bonus")
    with pytest.raises(PaymentError, match="finer than a hundredth"):
        money(D("0.001"), "bonus")
    with pytest.raises(PaymentError, match="no share"):
        share(D("1.01"), "rate")
    with pytest.raises(PaymentError, match="not a whole number"):
        count(D("1.5"), "patients")
    with pytest.raises(PaymentError, match="not above 0"):
        positive(0, "length")
    assert not_negative(D(0), "x") == 0


def test_a_choice_that_was_never_made_is_missing() -> None:
    with pytest.raises(PaymentError, match="missing gap policy"):
        chosen(None, ("linear",), "gap policy")
    with pytest.raises(PaymentError, match="'flat' is no gap policy"):
        chosen("flat", ("linear",), "gap policy")


def test_nothing_to_divide_by_is_refused() -> None:
    with pytest.raises(PaymentError, match="nothing to divide by"):
        apportion(D(1), [0, 0])
    with pytest.raises(PaymentError, match="negative"):
        apportion(D(1), [1, -1])
    with pytest.raises(PaymentError, match="finer than a hundredth"):
        apportion(D("0.001"), [1])


def test_a_negative_flow_goes_the_other_way() -> None:
    back = flow("bonus", D("-5.00"), bearer="fund", payee="hospital")
    assert back == Transfer("bonus", "hospital", "fund", D("5.00"))
    assert back.fen == 500


@UNHURRIED
@given(st.lists(AMOUNTS, max_size=6))
def test_what_everybody_receives_and_bears_adds_to_nothing(amounts: list[Decimal]) -> None:
    result = settlement("c", "CNY", [flow("x", a, bearer="fund", payee="hospital") for a in amounts])
    assert result.net("fund") + result.net("hospital") == 0
    assert result.net("hospital") == sum(amounts, D(0))
    assert result.net("patient") == 0


def test_unknown_currency_party_and_self_payment_are_refused() -> None:
    with pytest.raises(PaymentError, match="unknown currency 'RMB'"):
        settlement("c", "RMB", ())
    with pytest.raises(PaymentError, match="no bearer of bonus"):
        Transfer("bonus", "bank", "hospital", D(1))  # type: ignore[arg-type]  # refused by type as well
    with pytest.raises(PaymentError, match="pay itself"):
        Transfer("bonus", "fund", "fund", D(1))
    with pytest.raises(PaymentError, match="negative"):
        Transfer("bonus", "fund", "hospital", D(-1))


def test_print_rounds_to_the_places_asked_for() -> None:
    assert decimal(Fraction(2, 3), 6) == D("0.666667")
    assert decimal(Fraction(-2, 3), 2) == D("-0.67")
