"""Numbers carry units, money its currency, and nothing is rounded to a certainty."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from fedvalue.server.reports import formats
from fedvalue.server.reports.wording import Voice


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.870036, "87.0%"),
        (0.0, "0.0%"),
        (1.0, "100.0%"),
        (0.99996, ">99.9%"),
        (0.0004, "<0.1%"),
        (-0.02, "\u22122.0%"),
    ],
)
def test_a_probability_near_certainty_is_not_rounded_to_it(share: float, shown: str) -> None:
    assert formats.percent(share) == shown


def test_a_computed_probability_is_never_certain() -> None:
    assert formats.probability(1.0) == ">99.9%"
    assert formats.probability(0.0) == "<0.1%"
    assert formats.probability(0.870036) == "87.0%"


@pytest.mark.parametrize(("share", "shown"), [("0.30", "30%"), ("0.975", "97.5%"), ("1", "100%")])
def test_a_chosen_level_is_printed_as_it_was_chosen(share: str, shown: str) -> None:
    assert formats.level(Decimal(share)) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(4.2931, "4.29"), (2.0, "2"), (0.01234, "0.0123"), (1234.6, "1,235"), (0.0, "0"), (-1.5, "\u22121.5")],
)
def test_numbers_keep_three_digits(value: float, shown: str) -> None:
    assert formats.number(value) == shown


def test_money_is_decimal_with_its_currency(english: Voice) -> None:
    # half up at the smallest coin: .005 -> .01; an even amount drops its cents
    assert formats.money(Decimal("1234567.005"), "CNY", english).en == "CNY 1,234,567.01"
    assert formats.money(Decimal("10000"), "CNY", english).zh == "人民币 10,000 元"
    assert formats.money(Decimal("93250.00"), "USD", english).en == "USD 93,250"
    assert formats.money(Decimal("0.1") + Decimal("0.2"), "EUR", english).en == "EUR 0.30"


def test_an_estimate_has_a_unit(english: Voice) -> None:
    assert formats.quantity(0.342, "probability", english).en == "34.2%"
    assert formats.quantity(310.4, "days", english).en == "310 days"
    assert formats.quantity(12.3456, "mmol/l", english).en == "12.35 mmol/l"
    assert formats.spread(0.0316, "probability", english).en == "3.2 points"


def test_an_open_end_of_an_interval_says_so(english: Voice) -> None:
    assert formats.interval(285.0, 363.0, "days", english).en == "285 to 363 days"
    assert formats.interval(270.0, None, "days", english).en == "270 days to no upper end"
    assert formats.interval(0.301, 0.419, "probability", english).zh == "30.1% 至 41.9%"


def test_dates_are_iso(english: Voice) -> None:
    assert formats.day(datetime(2026, 3, 1, 23, 59, tzinfo=UTC)) == "2026-03-01"
    assert formats.day(date(2026, 3, 1)) == "2026-03-01"
    assert formats.day(None) == "\u2013"


def test_a_target_of_patients_is_rounded_up(english: Voice) -> None:
    assert formats.patients(117.2, english).en == "118 patients"
