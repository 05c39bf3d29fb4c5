"""DIP points: scores of disease groups, cost outliers, and a point value that closes the budget.

    RW_i = m_i / M,   each a mean over three years with weights 1:2:7
    outlier coefficient at multiple x = cost / previous-year mean of the same level:
        x                  for x < 0.5
        1                  for 0.5 <= x <= 2
        x - 2 + 1          for 2 < x <= 5
        expert review      above 5: no number is paid by formula
    budget point value     = weighted yearly total cost / sum (RW x cases)
    settlement point value = (yearly fund / reimbursement rate) / sum (RW x cases)

The point value is endogenous: more cases lower it, and a simulation computes it again. Payments by points
add to the fund to the fen. Points come from payer-held exact costs only, as weights do.

No uncertainty enters. Source: national DIP norm as quoted in payment.md 2.6 (secondary source).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from fedvalue.errors import PaymentError, WindowsOverlap
from fedvalue.payment.mechanisms.exact import apportion, count, exact, money, not_negative, positive, share

OutlierClass = Literal["ultra_low", "normal", "ultra_high", "expert_review"]


@dataclass(frozen=True, slots=True)
class OutlierTerms:
    """Where a case stops being normal.

    Attributes:
      ultra_low: Multiple below which a case is paid by its cost.
      ultra_high: Multiple above which the excess is paid.
      extreme: Multiple above which people decide.
    """

    ultra_low: Decimal
    ultra_high: Decimal
    extreme: Decimal

    def __post_init__(self) -> None:
        if (
            not 0
            <= exact(self.ultra_low, "ultra low")
            <= exact(self.ultra_high, "ultra high")
            <= exact(self.extreme, "extreme")
        ):
            raise WindowsOverlap("overlapping windows: outlier bounds do not increase", where="DIP")


@dataclass(frozen=True, slots=True)
class Outlier:
    """How a case is paid.

    Attributes:
      kind: Its class.
      coefficient: Of its score, or None where experts decide.
    """

    kind: OutlierClass
    coefficient: Fraction | None


def over_years(means: Sequence[Decimal | Fraction], year_weights: Sequence[int]) -> Fraction:
    """Return a weighted mean over years, oldest first.

    Raises:
      PurposeMixed: a noised mean.
      PaymentError: not one weight a year.
    """
    if not means or len(means) != len(year_weights):
        raise PaymentError("each year has one weight", where="DIP")
    weights = [positive(w, "year weight") for w in year_weights]
    return sum((w * not_negative(m, "mean") for w, m in zip(weights, means, strict=True)), Fraction(0)) / sum(
        weights
    )


def relative_score(
    group: Sequence[Decimal | Fraction], everybody: Sequence[Decimal | Fraction], year_weights: Sequence[int]
) -> Fraction:
    """Return RW of a disease group.

    Args:
      group: Its mean cost by year, oldest first, from payer-held exact costs.
      everybody: Mean cost of all cases by year.
      year_weights: Such as 1, 2, 7.

    Raises:
      PurposeMixed: a noised mean.
    """
    return over_years(group, year_weights) / positive(over_years(everybody, year_weights), "mean of all")


def outlier(terms: OutlierTerms, multiple: Decimal | Fraction) -> Outlier:
    """Return class and coefficient of a case."""
    x = not_negative(multiple, "multiple")
    if x < Fraction(terms.ultra_low):
        return Outlier("ultra_low", x)
    if x > Fraction(terms.extreme):
        return Outlier("expert_review", None)
    if x > Fraction(terms.ultra_high):
        return Outlier("ultra_high", x - Fraction(terms.ultra_high) + 1)
    return Outlier("normal", Fraction(1))


def total_score(scores: Mapping[str, Fraction], cases: Mapping[str, int]) -> Fraction:
    """Return the sum of score times cases.

    Raises:
      PaymentError: cases of a group without a score.
    """
    if unknown := cases.keys() - scores.keys():
        raise PaymentError(f"no score for the group {min(unknown)!r}", where="DIP")
    return sum((scores[g] * count(n, g) for g, n in cases.items()), Fraction(0))


def budget_point_value(
    yearly_costs: Sequence[Decimal], year_weights: Sequence[int], score: Fraction
) -> Fraction:
    """Return the point value before the year, money per point."""
    return over_years(yearly_costs, year_weights) / positive(score, "total score")


def settlement_point_value(fund: Decimal, reimbursement_rate: Decimal, score: Fraction) -> Fraction:
    """Return the point value of the closed year, money per point.

    Args:
      fund: Of the year.
      reimbursement_rate: Share that the fund pays, above 0.
      score: Sum of scores times cases.
    """
    rate = positive(share(reimbursement_rate, "reimbursement rate"), "reimbursement rate")
    return money(fund, "fund") / rate / positive(score, "total score")


def divide_fund(fund: Decimal, points: Mapping[str, Fraction]) -> dict[str, Decimal]:
    """Return each institution's part of the fund, by its points; the parts add to the fund to the fen."""
    money(fund, "fund")
    return dict(zip(points, apportion(fund, list(points.values())), strict=True))
