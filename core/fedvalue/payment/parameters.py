"""Dated parameters: a number is never without its unit, its first day and its source.

A value holds until the next one starts; nothing is ever edited, a new value is added. Amounts are
`Decimal`; a binary fraction written in YAML is refused, because 0.1 in binary is not a tenth.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from fedvalue.errors import ParameterNotInForce, PaymentError
from fedvalue.payment.mechanisms.cash import CURRENCIES
from fedvalue.study.model import Part

MAX_BYTES = 2_000_000
_RATIOS = ("probability", "share")


def _amount(raw: object) -> object:
    if isinstance(raw, (float, bool)):
        raise ValueError(f"{raw!r} is a binary number; write the amount in quotes, such as '0.30'")
    if isinstance(raw, int):
        return Decimal(raw)
    if isinstance(raw, str):
        try:
            number = Decimal(raw)
        except InvalidOperation:
            raise ValueError(f"{raw!r} is not a number") from None
        if not number.is_finite():
            raise ValueError(f"{raw!r} is not a finite number")
        return number
    return raw


Amount = Annotated[Decimal, BeforeValidator(_amount)]
"""A decimal number, from YAML as an integer or as text in quotes."""

Unit = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z -]{1,39}$")]
"""``probability``, ``share``, ``patients``, ``days``, ``months``, ``CNY per patient``, ..."""


class Source(Part):
    """Where a person can check a value.

    Attributes:
      title: What it is.
      url: Where it stands, if it stands anywhere public.
      place: Page, section or row; required without a url.
      published: Its day, if known.
      status: ``checked``: somebody compared the value with the source; ``unverified``: nobody did;
        ``chosen``: it is the standard's own choice, and the source gives the reason.
      evidence_id: The evidence package, for a value that a decision proposed.
    """

    title: str = Field(min_length=1)
    url: str | None = None
    place: str | None = None
    published: date | None = None
    status: Literal["checked", "unverified", "chosen"]
    evidence_id: str | None = None

    @model_validator(mode="after")
    def _findable(self) -> Self:
        if not (self.url or self.place):
            raise PydanticCustomError("parameter_without_source", "a source says where: give url or place")
        return self


class Value(Part):
    """One value, in force from ``starts`` until the next value starts.

    Attributes:
      starts: First day.
      amount: The number; None: repealed on that day.
      source: Where it comes from.
    """

    starts: date
    amount: Amount | None
    source: Source


class Parameter(Part):
    """A number and its history, oldest value first.

    Attributes:
      unit: Unit of every value.
      values: At least one.
    """

    unit: Unit
    values: tuple[Value, ...] = Field(strict=False, min_length=1)

    @model_validator(mode="after")
    def _ordered_and_in_range(self) -> Self:
        starts = [value.starts for value in self.values]
        if any(later <= earlier for earlier, later in pairwise(starts)):
            raise PydanticCustomError(
                "windows_overlap", "dates out of order: values stand oldest first, each with its own day"
            )
        for value in self.values:
            check_range(value.amount, self.unit)
        return self

    def on(self, day: date, name: str) -> Value:
        """Return the value in force on ``day``; ``name`` names the parameter in the error.

        Raises:
          ParameterNotInForce: ``day`` is before the first value or after a repeal.
        """
        current = None
        for value in self.values:
            if value.starts > day:
                break
            current = value
        if current is None:
            raise ParameterNotInForce(name, day, f"its first value starts on {self.values[0].starts}")
        if current.amount is None:
            raise ParameterNotInForce(name, day, f"repealed on {current.starts}, see {current.source.title}")
        return current

    def amount_on(self, day: date, name: str) -> Decimal:
        """Return the amount in force on ``day``.

        Raises:
          ParameterNotInForce: as in `on`.
        """
        value = self.on(day, name)
        if value.amount is None:
            raise ParameterNotInForce(name, day, f"repealed on {value.starts}")
        return value.amount


def check_range(amount: Decimal | None, unit: str) -> None:
    """Refuse an amount that its unit does not allow.

    Raises:
      ValueError: a share or probability outside 0 to 1, a negative number, money finer than a hundredth.
    """
    if is_money(unit) and unit[:3] not in CURRENCIES:
        raise PydanticCustomError("currency_unknown", "unknown currency {code}", {"code": unit[:3]})
    if amount is None:
        return
    if amount < 0:
        kind = "money_negative" if is_money(unit) else "number_negative"
        raise PydanticCustomError(kind, "{amount} {unit} is below 0", {"amount": str(amount), "unit": unit})
    if unit in _RATIOS and amount > 1:
        raise ValueError(f"{amount} is no {unit}: it lies between 0 and 1")
    if is_money(unit) and amount != amount.quantize(Decimal("0.01")):
        raise ValueError(f"{amount} {unit} is finer than a hundredth of the currency")


def is_money(unit: str) -> bool:
    """Tell whether a unit begins with an ISO 4217 code, such as ``CNY per patient``."""
    return unit[:3].isupper() and unit[3:4] in ("", " ")


class _StrictLoader(yaml.SafeLoader):
    """Plain YAML only: no key twice, no anchors, no tags."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse aliases, with which a small file could grow without bound."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias is not allowed", problem_mark=self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that stands twice."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is not text", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(raw: bytes, *, where: str) -> dict[str, Any]:
    """Parse a YAML mapping strictly.

    Raises:
      PaymentError: not UTF-8, not YAML, a key twice, an alias, a tag, or no mapping.
    """
    if len(raw) > MAX_BYTES:
        raise PaymentError(f"larger than {MAX_BYTES} bytes", where=where)
    try:
        document = yaml.load(raw.decode("utf-8"), Loader=_StrictLoader)  # noqa: S506  (a SafeLoader, made stricter)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f"{where}, line {mark.line + 1}" if mark else where
        raise PaymentError(
            f"not strict YAML: {error.problem}", where=at, do="mend the line that is named"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PaymentError(f"not a YAML file: {error}", where=where) from error
    if not isinstance(document, dict):
        raise PaymentError("not a YAML mapping", where=where)
    return document
