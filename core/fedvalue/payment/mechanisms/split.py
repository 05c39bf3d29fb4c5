"""When a group is worth splitting: CV, reduction in variance, and the numerical criteria.

With n_s cases, mean x_s and standard deviation S_s of sub-group s:

    CV_s = S_s / x_s
    RIV  = 1 - SSW / SST,  SSW = sum (n_s - 1) S_s^2,  SST = SSW + sum n_s (x_s - x)^2

Criteria, all of them demanded: cases, share of cases, relative difference of adjacent means ((higher -
lower) / lower), absolute difference, RIV, and CV where the jurisdiction has one. The five of CMS are 500
cases, 5 %, 20 %, $2,000 and 3 %. On exact figures each holds or not; on draws each has a probability, and
is met from ``p_met`` on. Numbers never suffice: the clinical committee approves (`subgroup`).

Source: payment.md 2.5; CMS FY tables, 6P.10a (five criteria).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.case_costs import GroupCosts
from fedvalue.payment.mechanisms.cash import check_currency
from fedvalue.payment.mechanisms.exact import count, money, not_negative, share


@dataclass(frozen=True, slots=True)
class Moments:
    """What the criteria read of one sub-group; exact fractions, or floats of one draw.

    Attributes:
      cases: n_s.
      mean: x_s.
      variance: S_s^2.
    """

    cases: Fraction | float
    mean: Fraction | float
    variance: Fraction | float


@dataclass(frozen=True, slots=True)
class SplitCriteria:
    """The criteria in force.

    Attributes:
      minimum_cases: n_s of every sub-group.
      minimum_share: Of the cases, between 0 and 1.
      relative_difference: Of adjacent means.
      absolute_difference: Of adjacent means, in ``currency``.
      minimum_riv: RIV of the split.
      maximum_cv: To be undercut, or None where the jurisdiction has none.
      currency: ISO 4217 code.
    """

    minimum_cases: int
    minimum_share: Decimal
    relative_difference: Decimal
    absolute_difference: Decimal
    minimum_riv: Decimal
    maximum_cv: Decimal | None
    currency: str

    def __post_init__(self) -> None:
        check_currency(self.currency)
        count(self.minimum_cases, "minimum cases")
        share(self.minimum_share, "minimum share")
        not_negative(self.relative_difference, "relative difference")
        money(self.absolute_difference, "absolute difference")
        share(self.minimum_riv, "minimum RIV")
        if self.maximum_cv is not None:
            not_negative(self.maximum_cv, "maximum CV")


def moments(costs: GroupCosts) -> Moments:
    """Return the exact moments of a sub-group that the payer holds."""
    return Moments(Fraction(costs.cases), costs.mean, costs.variance)


def cv(group: Moments) -> float:
    """Return S / mean, at least 0."""
    return math.sqrt(group.variance) / float(group.mean)


def riv(groups: Sequence[Moments]) -> Fraction | float:
    """Return the reduction in variance, 0 where all costs are equal.

    Raises:
      PaymentError: fewer than two sub-groups.
    """
    if len(groups) < 2:
        raise PaymentError("one sub-group splits nothing", where="split")
    within, between, _ = _sums(groups)
    return between / (within + between) if within + between else Fraction(0)


def pooled_cv(groups: Sequence[Moments]) -> float:
    """Return the CV of all cases together."""
    within, between, mean = _sums(groups)
    return math.sqrt((within + between) / (sum(g.cases for g in groups) - 1)) / float(mean)


def conditions(groups: Sequence[Moments], criteria: SplitCriteria) -> dict[str, bool]:
    """Return whether each criterion holds, exactly where the moments are exact.

    Raises:
      PaymentError: fewer than two sub-groups.
    """
    reduced = riv(groups)
    cases = sum(g.cases for g in groups)
    ordered = sorted((g.mean for g in groups), reverse=True)
    gaps = [(high - low, low) for high, low in pairwise(ordered)]

    # a draw is compared in floating point; exact moments meet their bar to the last digit
    drawn = isinstance(groups[0].cases, float)

    def bar(value: Decimal) -> Fraction | float:
        return float(value) if drawn else Fraction(value)

    share, relative, absolute = (
        bar(value)
        for value in (criteria.minimum_share, criteria.relative_difference, criteria.absolute_difference)
    )
    found = {
        "minimum_cases": all(g.cases >= criteria.minimum_cases for g in groups),
        "minimum_share": all(g.cases >= share * cases for g in groups),
        "relative_difference": all(gap >= relative * low for gap, low in gaps),
        "absolute_difference": all(gap >= absolute for gap, _ in gaps),
        "minimum_riv": reduced >= bar(criteria.minimum_riv),
    }
    if criteria.maximum_cv is not None:
        most = bar(criteria.maximum_cv)
        found["maximum_cv"] = all(g.variance < (most * g.mean) ** 2 for g in groups)
    return found


def condition_probabilities(draws: Sequence[Sequence[Moments]], criteria: SplitCriteria) -> dict[str, float]:
    """Return P(criterion) over draws, and P(all of them) as ``all``.

    Args:
      draws: One list of sub-groups a draw, from `moment_draws` or `molecular`.
      criteria: The criteria.

    Raises:
      PaymentError: no draws.
    """
    if not draws:
        raise PaymentError("no draws", where="split")
    held = [conditions(groups, criteria) for groups in draws]
    out = {name: sum(h[name] for h in held) / len(held) for name in held[0]}
    out["all"] = sum(all(h.values()) for h in held) / len(held)
    return out


def moment_draws(groups: Sequence[GroupCosts], *, runs: int, rng: np.random.Generator) -> list[list[Moments]]:
    """Draw what another year of the same kind would show: means and variances vary, cases by Poisson.

    Means are normal with variance S^2 / n, variances S^2 chi^2_{n-1} / (n-1), independent: right for normal
    costs, close for means of many cases; the spread of skewed costs' variances is understated.

    Args:
      groups: Payer-held sub-groups of at least two cases.
      runs: Number of draws.
      rng: Source of randomness.

    Raises:
      PaymentError: a sub-group of fewer than two cases.
    """
    if small := [g.group for g in groups if g.cases < 2]:
        raise PaymentError("a sub-group of fewer than two cases has no variance", where=small[0])
    columns = []
    for group in groups:
        n, mean, variance = group.cases, float(group.mean), float(group.variance)
        cases = np.maximum(rng.poisson(n, runs), 2)
        means = np.maximum(rng.normal(mean, math.sqrt(variance / n), runs), 0.01)
        columns.append((cases, means, variance * rng.chisquare(n - 1, runs) / (n - 1)))
    return [[Moments(float(c[i]), float(m[i]), float(v[i])) for c, m, v in columns] for i in range(runs)]


def _sums(groups: Sequence[Moments]) -> tuple[Fraction | float, Fraction | float, Fraction | float]:
    """Return SSW, the sum of squares between, and the mean of all cases."""
    cases = sum(g.cases for g in groups)
    mean = sum(g.cases * g.mean for g in groups) / cases
    within = sum((g.cases - 1) * g.variance for g in groups)
    return within, sum(g.cases * (g.mean - mean) ** 2 for g in groups), mean
