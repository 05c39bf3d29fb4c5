"""A coefficient engine in the shape of CMS-HCC: demographics, conditions, interactions, counts.

    score = demographic + sum of categories after hierarchies + interactions + payment count
    payment score = score / normalization x (1 - coding adjustment)

It takes condition categories; mapping diagnoses to them is the grouper's work at the payer. A category
that a more severe one of its hierarchy covers is dropped, and so, before that, is one that counts only
beside others and stands alone (V28: 223, a heart assist device, beside 221, 222 or 224 to 226). The count
is of categories that remain: D1 ... D9 and D10P for ten or more; a label without a coefficient adds 0 only
where the table says so. A category without a coefficient is refused, never taken as 0. Exact decimals; no
uncertainty enters: this is a table.

Source: CMS risk adjustment model software V24 and V28 (shape); payment.md 2.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.exact import chosen, count, exact, positive, share

AGE_BANDS = (
    (0, 34),
    (35, 44),
    (45, 54),
    (55, 59),
    (60, 64),
    (65, 69),
    (70, 74),
    (75, 79),
    (80, 84),
    (85, 89),
    (90, 94),
)
"""Closed age bands in years; above them ``95_GT``."""

MOST_COUNTED = 10
"""Categories from which the count label is ``D10P``."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """A further coefficient where every one of several sets holds a category.

    Attributes:
      name: Its label in the table.
      sets: Sets of categories, each of which must be met.
    """

    name: str
    sets: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class CoefficientModel:
    """One version of a model for one segment of people.

    Attributes:
      name: Such as ``V28 community, non-dual, aged``.
      coefficients: By label without the segment's prefix: ``F65_69``, ``HCC38``, ``DIABETES_HF_V28``, ``D4``.
      hierarchies: Category to the categories that it covers.
      interactions: In the order of the table.
      source: Where it can be checked.
      beside: Category to the categories of which at least one must be present for it to count.
    """

    name: str
    coefficients: Mapping[str, Decimal]
    hierarchies: Mapping[str, frozenset[str]]
    interactions: tuple[Interaction, ...]
    source: str
    beside: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.source:
            raise PaymentError("the parameter table has no source", where=self.name)
        for label, value in self.coefficients.items():
            exact(value, f"{self.name}: {label}")

    def of(self, label: str) -> Decimal:
        """Return a coefficient.

        Raises:
          PaymentError: the table has none.
        """
        if label not in self.coefficients:
            raise PaymentError(
                f"no coefficient for {label}", where=self.name, do="use the segment's own table"
            )
        return self.coefficients[label]


@dataclass(frozen=True, slots=True)
class Score:
    """A score and its parts.

    Attributes:
      categories: After hierarchies, in order.
      parts: Coefficient by label.
      raw: Their sum.
    """

    categories: tuple[str, ...]
    parts: dict[str, Decimal]
    raw: Decimal


def age_label(age: int, sex: Literal["F", "M"]) -> str:
    """Return the demographic label, such as ``F65_69``.

    Raises:
      PaymentError: a negative age or another sex.
    """
    chosen(sex, ("F", "M"), "sex of the table")
    years = count(age, "age")
    for low, high in AGE_BANDS:
        if low <= years <= high:
            return f"{sex}{low}_{high}"
    return f"{sex}95_GT"


def after_hierarchies(
    categories: Iterable[str], hierarchies: Mapping[str, frozenset[str]]
) -> tuple[str, ...]:
    """Return the categories that no more severe one covers, in numerical order."""
    present = set(categories)
    covered = frozenset().union(*(hierarchies.get(category, frozenset()) for category in present))
    return tuple(sorted(present - covered, key=lambda c: (len(c), c)))


def score(model: CoefficientModel, *, age: int, sex: Literal["F", "M"], categories: Iterable[str]) -> Score:
    """Return the raw score of one person.

    Args:
      model: The segment's table.
      age: In years on the model's reference day.
      sex: As the table has it.
      categories: Condition categories, such as ``38``; order and repetition do not matter.

    Raises:
      PaymentError: a category or label without a coefficient.
    """
    given = set(categories)
    present = {c for c in given if c not in model.beside or model.beside[c] & given}
    kept = after_hierarchies(present, model.hierarchies)
    labels = [age_label(age, sex), *(f"HCC{category}" for category in kept)]
    labels += [i.name for i in model.interactions if all(part & set(kept) for part in i.sets)]
    if kept:
        labels.append(f"D{len(kept)}" if len(kept) < MOST_COUNTED else "D10P")
    parts = {label: model.of(label) for label in labels}
    return Score(kept, parts, sum(parts.values(), Decimal(0)))


def payment_score(raw: Decimal, *, normalization: Decimal, coding_adjustment: Decimal) -> Fraction:
    """Return the score that multiplies the base rate.

    Args:
      raw: From `score`.
      normalization: Factor of the payment year, above 0.
      coding_adjustment: Share taken off for coding intensity, between 0 and 1.
    """
    kept = 1 - share(coding_adjustment, "coding adjustment")
    return exact(raw, "raw score") / positive(normalization, "normalization") * kept
