"""From dated parameters to the terms of a contract: a number of a contract has a unit, a day and a source.

Every mechanism's terms are a frozen dataclass. Its numbers are drawn from dated parameters of the same
names, its choices (a gap policy, who bears a clawback) from words. Nothing has a default here: a name that
is missing, unknown or given as a bare number is refused, so no contract runs on a number without a source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar, get_type_hints

from fedvalue.errors import GapPolicyMissing, ParameterWithoutSource, PaymentError
from fedvalue.payment.parameters import Parameter

T = TypeVar("T")


def terms_on(
    kind: type[T], parameters: Mapping[str, Parameter], choices: Mapping[str, object], *, day: date, name: str
) -> T:
    """Return the terms in force on a day.

    Args:
      kind: The mechanism's terms, a frozen dataclass.
      parameters: Its numbers, dated and with sources, by field.
      choices: Everything else, by field.
      day: The day asked for.
      name: Names the contract in errors.

    Raises:
      PaymentError: a term is missing, unknown, given twice or a number without source; or as the terms say.
      ParameterNotInForce: a parameter has no value on that day.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # a class, always of dataclass kind
    for term in (*parameters, *choices):
        if term not in known:
            raise PaymentError(f"unknown term {term!r}", where=name, do=f"known: {', '.join(known)}")
    if both := sorted(parameters.keys() & choices.keys()):
        raise PaymentError(f"{both[0]} is given twice", where=name)
    for term, field in known.items():
        required = field.default is MISSING and field.default_factory is MISSING
        if required and term not in parameters and term not in choices:
            refusal = GapPolicyMissing if term in ("gap", "dead_band") else PaymentError
            raise refusal(
                f"missing {term.replace('_', ' ')}", where=name, do="a contract says every one of its terms"
            )
    for term, choice in choices.items():
        if isinstance(choice, (int, float, Decimal)) and not isinstance(choice, bool):
            raise ParameterWithoutSource(
                f"the parameter {term} has no source", where=name, do="give it as a dated parameter"
            )
    hints = get_type_hints(kind)
    values: dict[str, Any] = dict(choices)
    for term, parameter in parameters.items():
        if not isinstance(parameter, Parameter):
            raise ParameterWithoutSource(
                f"the parameter {term} has no source", where=name, do="use a dated parameter"
            )
        amount = parameter.amount_on(day, f"{name}: {term}")
        if hints[term] is int:
            if amount != int(amount):
                raise PaymentError(f"{term} = {amount} is not a whole number", where=name)
            values[term] = int(amount)
        else:
            values[term] = amount
    return kind(**values)
