"""Tornado and heat map: which parameter moves the impact, and where price and uptake together break it.

Both take any function of named parameters, so the same code serves a budget impact, an INB or a solvency
date. They vary parameters over declared ranges and say nothing about probabilities: floating point, for
pictures; the amounts that are decided on stand in `impact`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.joint import Floats

Model = Callable[[Mapping[str, float]], float]
"""From parameters by name to a result, such as the impact in money."""


@dataclass(frozen=True, slots=True)
class Range:
    """A parameter's base value and the ends it is varied to.

    Attributes:
      name: Its name.
      low: Lower end, at most ``base``.
      base: Value of the base case.
      high: Upper end, at least ``base``.
    """

    name: str
    low: float
    base: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.base <= self.high):
            raise PaymentError("a range goes from low over base to high", where=self.name)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a tornado.

    Attributes:
      name: The parameter.
      at_low: Result with it at its lower end.
      at_high: Result with it at its upper end.
      swing: ``abs(at_high - at_low)``.
    """

    name: str
    at_low: float
    at_high: float
    swing: float


def tornado(model: Model, ranges: Sequence[Range]) -> tuple[float, tuple[Bar, ...]]:
    """Return the base result and a bar for each parameter, the longest first, ties by name.

    Raises:
      PaymentError: no parameter, one twice, or a result that is not finite.
    """
    base = _base(ranges)
    bars = []
    for each in ranges:
        low, high = (_run(model, {**base, each.name: end}) for end in (each.low, each.high))
        bars.append(Bar(each.name, low, high, abs(high - low)))
    return _run(model, base), tuple(sorted(bars, key=lambda bar: (-bar.swing, bar.name)))


def heat_map(
    model: Model,
    base: Mapping[str, float],
    rows: tuple[str, Sequence[float]],
    columns: tuple[str, Sequence[float]],
) -> Floats:
    """Return the result over two parameters, such as price by uptake, shape ``(rows, columns)``.

    Args:
      model: The function.
      base: Every parameter's base value.
      rows: Name and values of the first parameter.
      columns: Name and values of the second.

    Raises:
      PaymentError: a parameter that the base does not have, the same one twice, or a result not finite.
    """
    (row, heights), (column, widths) = rows, columns
    if row == column or row not in base or column not in base:
        raise PaymentError(
            f"a heat map goes over two parameters of {sorted(base)}, not {row!r} by {column!r}"
        )
    return np.array([[_run(model, {**base, row: r, column: c}) for c in widths] for r in heights])


def _base(ranges: Sequence[Range]) -> dict[str, float]:
    base = {each.name: each.base for each in ranges}
    if not base or len(base) != len(ranges):
        raise PaymentError("a tornado goes over at least one parameter, each once")
    return base


def _run(model: Model, parameters: Mapping[str, float]) -> float:
    result = float(model(parameters))
    if not math.isfinite(result):
        raise PaymentError(f"the model gives {result} at {dict(parameters)}")
    return result
