"""Dated parameters: in force or refused, and YAML that leaves nothing to guess."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fedvalue.errors import ParameterNotInForce, PaymentError
from fedvalue.payment.parameters import Parameter, Source, Value, load_yaml

SOURCE = Source(title="Notice 12", place="page 3", status="checked")


def parameter(*values: tuple[date, str | None], unit: str = "CNY per patient") -> Parameter:
    return Parameter(
        unit=unit,
        values=tuple(
            Value(starts=starts, amount=None if amount is None else Decimal(amount), source=SOURCE)
            for starts, amount in values
        ),
    )


BONUS = parameter((date(2021, 1, 1), "0"), (date(2026, 7, 1), "10000.00"), (date(2028, 1, 1), None))


@pytest.mark.parametrize(
    ("day", "amount"),
    [
        (date(2021, 1, 1), "0"),
        (date(2026, 6, 30), "0"),
        (date(2026, 7, 1), "10000.00"),
        (date(2027, 12, 31), "10000.00"),
    ],
)
def test_a_value_holds_from_its_first_day_until_the_next_one(day: date, amount: str) -> None:
    assert BONUS.amount_on(day, "bonus") == Decimal(amount)


def test_a_day_before_the_first_value_has_no_value() -> None:
    with pytest.raises(ParameterNotInForce, match="first value starts on 2021-01-01") as error:
        BONUS.on(date(2020, 12, 31), "bonus")
    assert (error.value.name, error.value.day) == ("bonus", date(2020, 12, 31))


def test_a_repealed_parameter_has_no_value_and_names_its_source() -> None:
    with pytest.raises(ParameterNotInForce, match="repealed on 2028-01-01, see Notice 12"):
        BONUS.on(date(2028, 1, 1), "bonus")


@given(st.dates(date(2021, 1, 1), date(2027, 12, 31)))
@settings(deadline=None)
def test_adding_a_later_value_never_changes_an_earlier_answer(day: date) -> None:
    longer = parameter((date(2021, 1, 1), "0"), (date(2026, 7, 1), "10000.00"), (date(2028, 1, 1), "9000"))
    assert longer.amount_on(day, "bonus") == BONUS.amount_on(day, "bonus")


@pytest.mark.parametrize(
    ("values", "unit", "message"),
    [
        ([(date(2022, 1, 1), "1"), (date(2021, 1, 1), "2")], "CNY per patient", "dates out of order"),
        ([(date(2021, 1, 1), "1"), (date(2021, 1, 1), "2")], "CNY per patient", "dates out of order"),
        ([(date(2021, 1, 1), "1.01")], "probability", "between 0 and 1"),
        ([(date(2021, 1, 1), "-1")], "CNY per patient", "below 0"),
        ([(date(2021, 1, 1), "0.005")], "CNY per patient", "finer than a hundredth"),
        ([], "share", "at least 1"),
        ([(date(2021, 1, 1), "1")], "CNY/patient", "unit"),
    ],
)
def test_a_history_that_cannot_be_is_refused(
    values: list[tuple[date, str | None]], unit: str, message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        parameter(*values, unit=unit)


@pytest.mark.parametrize("amount", [0.3, True, "0,30", "NaN", "Infinity", "ten"])
def test_an_amount_is_a_decimal_number(amount: object) -> None:
    with pytest.raises(ValidationError, match=r"binary number|not a number|not a finite number"):
        Value.model_validate({"starts": date(2021, 1, 1), "amount": amount, "source": SOURCE})


def test_a_source_says_where() -> None:
    with pytest.raises(ValidationError, match="give url or place"):
        Source(title="Notice 12", status="checked")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "the key 'a' stands twice"),
        ("a: {b: 1, b: 2}\n", "the key 'b' stands twice"),
        ("a: &x [1]\nb: *x\n", "alias"),
        ("a: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("1: a\n", "is not text"),
        ("on: a\n", "is not text"),  # YAML 1.1 reads on as true; nobody shall lose a key to that
        ("- a\n", "not a YAML mapping"),
        ("a: [\n", "not strict YAML"),
        ("\0", "not a YAML file"),
        ("[" * 3000, "not a YAML file|not strict YAML"),
    ],
)
def test_loose_yaml_is_refused(text: str, message: str) -> None:
    with pytest.raises(PaymentError, match=message):
        load_yaml(text.encode(), where="standard.yaml")


def test_an_error_in_yaml_names_the_line() -> None:
    with pytest.raises(PaymentError) as error:
        load_yaml(b"a: 1\nb: 2\na: 3\n", where="standard.yaml")
    assert error.value.where == "standard.yaml, line 3"


@given(st.binary(max_size=100))
@settings(deadline=None)
def test_no_bytes_raise_anything_but_our_own_error(raw: bytes) -> None:
    try:
        assert isinstance(load_yaml(raw, where="x"), dict)
    except PaymentError:
        return
