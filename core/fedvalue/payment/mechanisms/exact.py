"""Exact numbers: what a settlement and a payer's own books may compute with.

Integers, `Decimal` and `Fraction`, never a binary fraction. Intermediate results stay fractions; money is
rounded once, to the fen (a hundredth of the currency), half away from zero. Where a total is divided, the
parts are rounded together by the largest remainder (Hamilton's method), so that they add to the fen.

Balinski, M. L., Young, H. P. Fair Representation, 2nd ed. (2001), chapter 2 (largest remainders).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from fedvalue.analyses.estimate import Curve, Estimate, Released
from fedvalue.errors import GapPolicyMissing, MoneyNegative, PaymentError, PurposeMixed
from fedvalue.payment.mechanisms.underlying import Draws

Exact: TypeAlias = int | Decimal | Fraction
"""A number without rounding error and without noise."""

ONE = Fraction(1)


def exact(value: object, name: str) -> Fraction:
    """Return an exact number as a fraction.

    Args:
      value: What was offered.
      name: Names the figure in the error.

    Raises:
      PurposeMixed: an estimate, a released figure or a binary fraction.
      PaymentError: not a finite number.
    """
    if isinstance(value, (Estimate, Released, Curve, Draws)):
        raise PurposeMixed(
            f"{name} is an estimate, and what is owed is never computed from one",
            where=name,
            do="use the institution's own realised, signed figure",
        )
    if isinstance(value, float):
        raise PurposeMixed(
            f"{name} = {value!r} is a binary fraction, as estimates and noised numbers are",
            where=name,
            do="use an integer or a Decimal from the signed statement",
        )
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, Fraction)):
        raise PaymentError(f"{name} = {value!r} is not an exact number", where=name, do="use int or Decimal")
    if isinstance(value, Decimal) and not value.is_finite():
        raise PaymentError(f"{name} = {value} is not finite", where=name)
    return Fraction(value)


def not_negative(value: object, name: str) -> Fraction:
    """Return an exact number of at least 0.

    Raises:
      PaymentError: it is negative, or as in `exact`.
    """
    number = exact(value, name)
    if number < 0:
        raise MoneyNegative(
            f"{name} = {value} is negative",
            where=name,
            do="say who pays whom instead: a flow has a bearer and a payee",
        )
    return number


def positive(value: object, name: str) -> Fraction:
    """Return an exact number above 0.

    Raises:
      PaymentError: it is not above 0, or as in `exact`.
    """
    number = exact(value, name)
    if number <= 0:
        raise PaymentError(f"{name} = {value} is not above 0", where=name)
    return number


def share(value: object, name: str) -> Fraction:
    """Return an exact number between 0 and 1, both included.

    Raises:
      PaymentError: it is outside, or as in `exact`.
    """
    number = exact(value, name)
    if not 0 <= number <= 1:
        raise PaymentError(f"{name} = {value} is no share: it lies between 0 and 1", where=name)
    return number


def money(value: object, name: str) -> Fraction:
    """Return a price or an amount of a contract: at least 0, and no finer than a hundredth.

    Raises:
      PaymentError: negative or finer, or as in `exact`.
    """
    number = not_negative(value, name)
    if (number * 100).denominator != 1:
        raise PaymentError(f"{name} = {value} is finer than a hundredth of the currency", where=name)
    return number


def count(value: object, name: str) -> int:
    """Return a whole number of at least 0.

    Raises:
      PaymentError: a fraction or negative, or as in `exact`.
    """
    number = not_negative(value, name)
    if number.denominator != 1:
        raise PaymentError(f"{name} = {value} is not a whole number", where=name)
    return number.numerator


def chosen(value: object, allowed: Sequence[str], name: str) -> None:
    """Refuse a choice that a contract leaves open.

    Args:
      value: The choice, or None where it was never made.
      allowed: Words a contract can say.
      name: Names the choice: ``gap policy``, ``clawback bearer``.

    Raises:
      PaymentError: it is missing or unknown.
    """
    if value not in allowed:
        refusal = GapPolicyMissing if value is None and name == "gap policy" else PaymentError
        raise refusal(
            f"missing {name}" if value is None else f"{value!r} is no {name}",
            where=name,
            do=f"the contract says one of: {', '.join(allowed)}",
        )


def fen(amount: Fraction) -> Decimal:
    """Return an amount of money rounded to a hundredth, half away from zero."""
    hundredths = (2 * abs(amount) * 100 + 1) // 2
    rounded = Decimal(int(hundredths)).scaleb(-2)
    return -rounded if amount < 0 else rounded


def decimal(value: Fraction, places: int) -> Decimal:
    """Return a fraction rounded to ``places`` decimals, half away from zero: for print, not for sums."""
    scale = 10**places
    rounded = Decimal(int((2 * abs(value) * scale + 1) // 2)).scaleb(-places)
    return -rounded if value < 0 else rounded


def apportion(total: Exact, weights: Sequence[Exact]) -> tuple[Decimal, ...]:
    """Divide money in proportion to weights, so that the parts add to the total to the fen.

    Args:
      total: Money, a whole number of fen; may be negative (a deficit that is shared).
      weights: At least 0, at least one above 0.

    Returns:
      One part per weight; a tie in the remainders goes to the earlier part.

    Raises:
      PaymentError: nothing to divide by, a negative weight, or a total finer than a fen.
    """
    whole = exact(total, "total") * 100
    if whole.denominator != 1:
        raise PaymentError(f"the total {total} is finer than a hundredth of the currency", where="total")
    parts = [not_negative(weight, f"weight {i + 1}") for i, weight in enumerate(weights)]
    if not any(parts):
        raise PaymentError("nothing to divide by: no weight is above 0", where="weights")
    size, sign = abs(whole.numerator), -1 if whole < 0 else 1
    whole_weight = sum(parts)
    quotas = [size * part / whole_weight for part in parts]
    given = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(parts)), key=lambda i: (given[i] - quotas[i], i))
    for i in by_remainder[: size - sum(given)]:
        given[i] += 1
    return tuple(Decimal(sign * part).scaleb(-2) for part in given)
