"""Points of one case, and the coefficient of one hospital: two regional rules of points.

Zhejiang 2025, m = cost of the case over the group's mean:

    points = base x m         for m <= 0.4
    points = base x (m + 0.2) for 0.4 < m <= 0.8
    points = base             above; high outliers go to case review, not to this formula

Shaoxing 2020, the "difference" coefficient of a hospital in a group:

    coefficient = clamp(0.2 x level + 0.8 x hospital, 0.3902, 1.6279),
    with the level's own value in place of the hospital's where it had at most 5 cases.

The steps at 0.4 and 0.8 are the rule's, as published: just above 0.4 a case gains 0.2 of the base. A rule of
other numbers is other terms. No uncertainty enters: a case's cost is billed. Source: payment.md 2.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from fedvalue.errors import PaymentError, WindowsOverlap
from fedvalue.payment.mechanisms.exact import count, exact, fen, money, not_negative, positive, share
from fedvalue.payment.mechanisms.settle import Realised, settled


@dataclass(frozen=True, slots=True)
class CasePointTerms:
    """Where a low-cost case is paid less.

    Attributes:
      ultra_low: m up to which a case is paid by its own cost.
      low: m up to which ``added`` applies.
      added: What is added to m between the two.
    """

    ultra_low: Decimal
    low: Decimal
    added: Decimal

    def __post_init__(self) -> None:
        if not 0 <= exact(self.ultra_low, "ultra low") <= exact(self.low, "low"):
            raise WindowsOverlap(
                "overlapping windows: the ultra-low range reaches into the low", where="points"
            )
        not_negative(self.added, "added")


@dataclass(frozen=True, slots=True)
class CaseCost:
    """One discharged case.

    Attributes:
      group: Its DRG.
      cost: As settled.
    """

    group: str
    cost: Decimal


def case_points(terms: CasePointTerms, multiple: Fraction, base: Fraction) -> Fraction:
    """Return the points of a case.

    Args:
      terms: The regional rule.
      multiple: m, at least 0.
      base: Base points of its group.
    """
    m, points = not_negative(multiple, "multiple"), not_negative(base, "base points")
    if m <= Fraction(terms.ultra_low):
        return points * m
    return points * (m + Fraction(terms.added)) if m <= Fraction(terms.low) else points


def settle_case_points(
    terms: CasePointTerms, statement: Realised[CaseCost], *, group_mean: Fraction, base: Fraction
) -> Fraction:
    """Return the points that a settled case earns.

    Args:
      terms: The regional rule.
      statement: The signed case.
      group_mean: The payer's own mean cost of the group.
      base: Base points of the group.

    Raises:
      PurposeMixed: an estimate instead of facts.
    """
    facts = settled(statement, CaseCost)
    return case_points(terms, money(facts.cost, "cost") / positive(group_mean, "group mean"), base)


@dataclass(frozen=True, slots=True)
class CoefficientTerms:
    """How a hospital's coefficient is mixed and bounded.

    Attributes:
      level_share: Weight of the level, the rest being the hospital's.
      low: Least coefficient.
      high: Most.
      few_cases: Cases up to which the level stands for the hospital.
    """

    level_share: Decimal
    low: Decimal
    high: Decimal
    few_cases: int

    def __post_init__(self) -> None:
        share(self.level_share, "level share")
        if positive(self.low, "low") > exact(self.high, "high"):
            raise PaymentError("the least coefficient lies above the most", where="coefficient")


def hospital_coefficient(
    terms: CoefficientTerms, *, level: Decimal, hospital: Decimal, cases: int
) -> Fraction:
    """Return a hospital's coefficient in a group.

    Args:
      terms: The regional rule.
      level: Mean cost of the hospital's level over the region's.
      hospital: The hospital's own over the region's.
      cases: The hospital's cases in the group.
    """
    own = level if count(cases, "cases") <= terms.few_cases else hospital
    part = Fraction(terms.level_share)
    mixed = part * not_negative(level, "level") + (1 - part) * not_negative(own, "hospital")
    return min(Fraction(terms.high), max(Fraction(terms.low), mixed))


def pay_points(points: Fraction, coefficient: Fraction, point_value: Decimal) -> Decimal:
    """Return the money of points at a point value, to the fen."""
    return fen(
        not_negative(points, "points")
        * positive(coefficient, "coefficient")
        * money(point_value, "point value")
    )
