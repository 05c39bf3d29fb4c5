"""Trimming costs before a mean: Tukey's fences on the payer's exact costs of one group.

    keep  Q1 - f IQR <= c <= Q3 + f IQR,   IQR = Q3 - Q1,  f commonly 1.5

Quartiles interpolate between order statistics (Hyndman-Fan type 7), in fractions. Trimmed cases leave the
mean, not the books: they are counted and summed apart, so that totals still reconcile to the fen. A group
of fewer than four cases is not trimmed, nor one whose quartiles are equal: there the fences are one point
and would call every other cost an outlier.

No uncertainty enters: the payer holds every cost, and no weight is ever made from a noised one. Source:
payment.md 2.5 (Zhejiang 2025: IQR); Hyndman, R. J., Fan, Y. American Statistician 50 (1996) 361-365.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.exact import exact, money, not_negative, share

LEAST = 4
"""Cases below which quartiles say nothing."""


@dataclass(frozen=True, slots=True)
class Trimmed:
    """One group's costs, kept and cut.

    Attributes:
      kept: Inside the fences, in the order given.
      cut: Outside.
      low: Lower fence, or None where nothing was trimmed.
      high: Upper fence.
    """

    kept: tuple[Decimal, ...]
    cut: tuple[Decimal, ...]
    low: Fraction | None
    high: Fraction | None


def quantile(ordered: Sequence[Fraction], q: Fraction) -> Fraction:
    """Return the type 7 quantile of increasing values.

    Args:
      ordered: At least one value, increasing.
      q: Between 0 and 1.

    Raises:
      PaymentError: no values.
    """
    if not ordered:
        raise PaymentError("no values to take a quantile of", where="trimming")
    position = (len(ordered) - 1) * share(q, "quantile")
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def trim(costs: Sequence[Decimal], factor: Decimal) -> Trimmed:
    """Return one group's costs inside and outside the fences.

    Args:
      costs: Exact, held by the payer.
      factor: f, at least 0.

    Raises:
      PurposeMixed: a noised cost.
      PaymentError: negative money.
    """
    ordered = sorted(money(cost, "cost") for cost in costs)
    f = not_negative(factor, "factor")
    if len(ordered) < LEAST:
        return Trimmed(tuple(costs), (), None, None)
    q1, q3 = quantile(ordered, Fraction(1, 4)), quantile(ordered, Fraction(3, 4))
    if q1 == q3:
        return Trimmed(tuple(costs), (), None, None)
    low, high = q1 - f * (q3 - q1), q3 + f * (q3 - q1)
    kept = tuple(cost for cost in costs if low <= exact(cost, "cost") <= high)
    return Trimmed(kept, tuple(c for c in costs if not low <= exact(c, "cost") <= high), low, high)
