"""What differs between two days of the same parameters, or between two files on one day.

Every parameter of either side is compared by the value in force: amount, unit, first day, source. A
parameter without a value on the day is ``None`` with the reason, not zero, and one that only a side has is
said to be missing there. Standards are compared by the same rules, through the same view.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from fedvalue.errors import ParameterNotInForce
from fedvalue.payment.parameter_file import Parameters
from fedvalue.payment.parameters import Parameter
from fedvalue.payment.standard import Standard


@dataclass(frozen=True, slots=True)
class Held:
    """What holds on one side.

    Attributes:
      amount: The value in force; None where there is none.
      unit: Its unit; empty where the parameter is missing.
      starts: Its first day, if it has a value.
      source: Title of its source, if it has a value.
      why: Why there is no value; empty where there is one.
    """

    amount: Decimal | None
    unit: str
    starts: date | None
    source: str
    why: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One parameter that differs.

    Attributes:
      key: Its key.
      before: On the first side.
      after: On the second.
      change: ``after - before``, where both are numbers of the same unit.
    """

    key: str
    before: Held
    after: Held
    change: Decimal | None


def view(content: Parameters | Standard) -> dict[str, Parameter]:
    """Return every dated parameter by key; of a standard with what was approved since."""
    if isinstance(content, Parameters):
        return dict(content.parameters)
    return {
        key: content.history(key) for group in (content.rule, content.payment, content.terms) for key in group
    }


def diff(
    first: Mapping[str, Parameter], first_day: date, second: Mapping[str, Parameter], second_day: date
) -> tuple[Difference, ...]:
    """Return what differs, by key in the order of the alphabet.

    Two values differ where amount, unit or first day do; a source alone is no difference of a rule, but it
    is shown with what differs.

    Args:
      first: Parameters of the first side.
      first_day: The day they are read on.
      second: Parameters of the second side; the same ones to compare two days.
      second_day: The day these are read on.
    """
    found = []
    for key in sorted(first.keys() | second.keys()):
        before, after = _held(first, key, first_day), _held(second, key, second_day)
        if (before.amount, before.unit, before.starts) == (after.amount, after.unit, after.starts):
            continue
        found.append(Difference(key, before, after, _change(before, after)))
    return tuple(found)


def _change(before: Held, after: Held) -> Decimal | None:
    if before.amount is None or after.amount is None or before.unit != after.unit:
        return None
    return after.amount - before.amount


def _held(parameters: Mapping[str, Parameter], key: str, day: date) -> Held:
    parameter = parameters.get(key)
    if parameter is None:
        return Held(None, "", None, "", "not in these parameters")
    try:
        value = parameter.on(day, key)
    except ParameterNotInForce as error:
        return Held(None, parameter.unit, None, "", error.do)
    return Held(value.amount, parameter.unit, value.starts, value.source.title, "")
