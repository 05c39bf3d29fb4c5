"""The payer's own exact figures: what a decision reads besides federated evidence.

One strict YAML file, ``format: fedvalue.payer_held/1``. Figures are whole numbers or decimals in quotes,
never binary fractions, and nothing noised: V_s = V_dp = 0 of the year that was counted. Its SHA-256 is in the
decision, so a decision is made again from the same figures or not at all. A closed year of settlement lists
reconciles to the fen or is refused. Source: payment.md point 12.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from fedvalue.errors import EvidenceOfAnother, PaymentError
from fedvalue.evidence import documents
from fedvalue.payment.mechanisms.case_costs import GroupCosts, PayerHeld
from fedvalue.payment.mechanisms.subgroup import FieldKind, IdentifyingField, Subgroup
from fedvalue.payment.mechanisms.suspension import Year
from fedvalue.payment.parameters import Amount, Source, Unit, check_range, load_yaml
from fedvalue.payment.refusals import refused
from fedvalue.study.model import Line, Name, Part


class Figure(Part):
    """One exact figure.

    Attributes:
      unit: Its unit.
      amount: The figure.
      source: Where a person can check it.
    """

    unit: Unit
    amount: Amount
    source: Source

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        check_range(self.amount, self.unit)
        return self


class HeldGroup(Part):
    """One group of the closed year: cases, their total cost and the sum of squared costs."""

    group: Line
    cases: int = Field(ge=0)
    total: Amount
    squares: Amount


class ClosedYear(Part):
    """One year of settlement lists; `fedvalue.payment.mechanisms.case_costs.PayerHeld` tells every field."""

    year: int
    currency: str
    grouping_version: Line
    price_list: Line
    groups: tuple[HeldGroup, ...] = Field(strict=False, min_length=1)
    trimmed_cases: int = Field(ge=0)
    trimmed_total: Amount
    carved_total: Amount
    ungrouped_cases: int = Field(ge=0)
    ungrouped_total: Amount
    ledger_cases: int = Field(ge=0)
    ledger_total: Amount

    def costs(self) -> PayerHeld:
        """Return the year with its books closed.

        Raises:
          PaymentError: they do not close to the fen.
        """
        fields = {name: getattr(self, name) for name in ClosedYear.model_fields if name != "groups"}
        groups = tuple(
            GroupCosts(g.group, g.cases, Decimal(g.total), Decimal(g.squares)) for g in self.groups
        )
        return PayerHeld(groups=groups, **fields)


class HeldField(Part):
    """What on a settlement list puts a case into a sub-group."""

    kind: FieldKind
    codes: tuple[Line, ...] = Field(strict=False, min_length=1)


class HeldSubgroup(Part):
    """One proposed sub-group.

    Attributes:
      name: As the standard's ``weight_<name>`` has it.
      group: Its code, beginning with the ADRG.
      label: In words.
      field: What identifies its cases; None for the rest, or where nothing does.
      rest: Whether it takes every case that no other takes.
    """

    name: Name
    group: Line
    label: Line
    field: HeldField | None = None
    rest: bool = False

    def subgroup(self) -> Subgroup:
        """Return it as the mechanism reads it."""
        field = None if self.field is None else IdentifyingField(self.field.kind, self.field.codes)
        return Subgroup(self.group, self.label, field, self.rest)


class HeldChannels(Part):
    """What the patients of an ADRG cost, by channel."""

    inpatient: Amount
    outpatient: Amount
    dual_channel: Amount


class HeldStatement(Part):
    """A validated statement.

    Attributes:
      format: Version of this layout.
      name: Of the statement.
      payer: Whose books.
      purpose: ``set``: figures of a population. A contract is settled on an institution's signed statement.
      standards: Standards that it is for.
      closed_on: Last day that the figures cover.
      figures: By name.
      year: The closed year of costs.
      subgroups: Proposed sub-groups of one ADRG.
      cells: Where evidence gives the molecular split: short name to the group of the closed year that it
        splits.
      channels: What these patients cost by channel.
      verdicts: Earlier yearly verdicts, oldest first.
    """

    format: Literal["fedvalue.payer_held/1"]
    name: Line
    payer: Line
    purpose: Literal["set"]
    standards: tuple[Line, ...] = Field(strict=False, min_length=1)
    closed_on: date
    figures: dict[Name, Figure] = {}
    year: ClosedYear | None = None
    subgroups: tuple[HeldSubgroup, ...] = Field(default=(), strict=False)
    cells: dict[Name, Line] = {}
    channels: HeldChannels | None = None
    verdicts: tuple[Year, ...] = Field(default=(), strict=False)


@dataclass(frozen=True, slots=True)
class Held:
    """A statement and the bytes it was read from.

    Attributes:
      statement: What it says.
      digest: SHA-256 of the file, 64 hexadecimal digits; decisions name it.
    """

    statement: HeldStatement
    digest: str

    def figure(self, name: str, unit: str) -> Decimal:
        """Return an exact figure.

        Raises:
          PaymentError: there is none of that name, or it has another unit.
        """
        figure = self.statement.figures.get(name)
        if figure is None:
            raise PaymentError(
                f"the payer's statement holds no {name}", where=self.statement.name,
                do="add it to figures, with unit and source",
            )  # fmt: skip
        if figure.unit != unit:
            raise PaymentError(
                f"{name} is in {figure.unit}, the standard asks for {unit}", where=self.statement.name,
                do="convert neither: state it in the standard's unit",
            )  # fmt: skip
        return Decimal(figure.amount)

    def costs(self) -> PayerHeld:
        """Return the closed year.

        Raises:
          PaymentError: there is none, or its books do not close.
        """
        if self.statement.year is None:
            raise PaymentError("the payer's statement holds no closed year", where=self.statement.name)
        return self.statement.year.costs()


def parse(raw: bytes, *, where: str) -> Held:
    """Validate the bytes of a statement; ``where`` names them in errors.

    Raises:
      PaymentError: not strict YAML, an unknown or missing key, a binary fraction, negative money, no source.
    """
    document = load_yaml(raw, where=where)
    try:
        statement = HeldStatement.model_validate(document)
    except ValidationError as error:
        raise refused(error, where=where, do="see docs/payment.md, payer-held figures") from None
    return Held(statement, hashlib.sha256(raw).hexdigest())


def read(path: Path) -> Held:
    """Read a statement.

    Raises:
      PaymentError: as in `parse`, or the file cannot be read.
    """
    return parse(documents.read_bytes(path, PaymentError), where=str(path))


def check_for(held: Held, standard: str, on: date) -> None:
    """Refuse a statement of another standard, or one that covers days to come.

    Raises:
      EvidenceOfAnother: it is not for this standard.
      PaymentError: it covers days after the decision.
    """
    if standard not in held.statement.standards:
        raise EvidenceOfAnother(
            f"the payer's figures are for {list(held.statement.standards)}", where=standard,
            do="use a statement that names this standard",
        )  # fmt: skip
    if held.statement.closed_on > on:
        raise PaymentError(
            f"the payer's figures run to {held.statement.closed_on}, after {on}", where=held.statement.name,
            do="decide on a day when the books were closed",
        )  # fmt: skip
