"""DRG relative weights: a group's mean cost over the mean of all, averaging 1 over the case mix.

    w_g = c_g / c,   sum over g of n_g w_g = N,   exactly, in fractions, after every change

Several years are averaged with year weights (2:3:5 in Zhejiang 2025; 1:2:7 in DIP), oldest first, and then
normalised to the last year's case mix. Published weights are rounded; what rounding adds or takes is given
back by ``rate_factor`` in the same decision, so that the budget stays. Base points are 100 w.

Weights come only from `PayerHeld` costs, never from a noised one, and are the same in every currency unit.
Their standard error is in `weight_error`; the uncertainty of a molecular split in `molecular`.

Source: payment.md 2.5 and points 5 and 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from fedvalue.errors import PaymentError, PurposeMixed, WindowsOverlap
from fedvalue.payment.mechanisms.case_costs import PayerHeld
from fedvalue.payment.mechanisms.exact import apportion, count, decimal, money, not_negative, positive


@dataclass(frozen=True, slots=True)
class Weights:
    """Relative weights over a case mix.

    Attributes:
      groups: Codes.
      cases: Case mix, one number per group.
      values: Weights; their case-weighted mean is exactly 1.
    """

    groups: tuple[str, ...]
    cases: tuple[int, ...]
    values: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        if sum(n * w for n, w in zip(self.cases, self.values, strict=True)) != sum(self.cases):
            raise PaymentError(
                "the weights do not average 1 over the case mix", where="weights", do="use `normalised`"
            )

    def of(self, group: str) -> Fraction:
        """Return a group's weight.

        Raises:
          PaymentError: there is no such group.
        """
        if group not in self.groups:
            raise PaymentError(f"no weight for the group {group!r}", where="weights")
        return self.values[self.groups.index(group)]


@dataclass(frozen=True, slots=True)
class Published:
    """Weights as printed.

    Attributes:
      weights: By group, rounded.
      rate_factor: What the rate is multiplied with so that rounding moves no money.
    """

    weights: dict[str, Decimal]
    rate_factor: Fraction


def normalised(raw: Mapping[str, Fraction], cases: Mapping[str, int]) -> Weights:
    """Return weights in proportion to ``raw`` that average 1.

    Args:
      raw: Anything in proportion to cost, by group, at least 0.
      cases: Case mix, the same groups.

    Raises:
      PaymentError: other groups, no cases, or nothing above 0.
    """
    if raw.keys() != cases.keys():
        raise PaymentError(f"groups differ: {sorted(raw.keys() ^ cases.keys())}", where="weights")
    numbers = [count(cases[group], f"cases of {group}") for group in raw]
    whole = sum((not_negative(raw[g], g) * n for g, n in zip(raw, numbers, strict=True)), Fraction(0))
    scale = sum(numbers) / positive(whole, "case-weighted cost")
    return Weights(tuple(raw), tuple(numbers), tuple(raw[group] * scale for group in raw))


def relative_weights(costs: PayerHeld) -> Weights:
    """Return the weights of one closed year.

    Raises:
      PurposeMixed: anything but the payer's own exact costs.
      PaymentError: a group without cases.
    """
    _held(costs)
    return normalised({g.group: g.mean for g in costs.groups}, {g.group: g.cases for g in costs.groups})


def over_years(years: Sequence[PayerHeld], year_weights: Sequence[int]) -> Weights:
    """Return weights over several closed years, normalised to the last year's case mix.

    A group that is missing in a year takes the other years' weights in proportion: its relative cost is not
    pulled to 0. Relative costs are averaged, so that inflation between years moves nothing.

    Args:
      years: Oldest first, with one grouping version and one currency.
      year_weights: One a year, such as 2, 3, 5.

    Raises:
      PurposeMixed: anything but the payer's own exact costs.
      PaymentError: years out of order, two grouping versions, a group that is not in the last year.
    """
    for year in years:
        _held(year)
    if not years or len(years) != len(year_weights):
        raise PaymentError("each year has one weight", where="weights")
    if [y.year for y in years] != sorted({y.year for y in years}):
        raise WindowsOverlap("overlapping windows: years stand oldest first, each once", where="weights")
    if len({(y.grouping_version, y.currency, y.price_list) for y in years}) > 1:
        raise PaymentError(
            "years of different grouping versions, currencies or price lists",
            where="weights",
            do="group one year with both versions and re-price the older years first",
        )
    last = {g.group: g.cases for g in years[-1].groups}
    raw = {}
    for group in last:
        seen = [
            (positive(weight, "year weight"), year.group(group).mean / year.mean)
            for year, weight in zip(years, year_weights, strict=True)
            if any(g.group == group for g in year.groups)
        ]
        raw[group] = sum((w * x for w, x in seen), Fraction(0)) / sum(w for w, _ in seen)
    return normalised(raw, last)


def published(weights: Weights, places: int = 4) -> Published:
    """Return rounded weights and the factor that keeps the budget."""
    rounded = {g: decimal(w, places) for g, w in zip(weights.groups, weights.values, strict=True)}
    total = sum(
        (Fraction(rounded[g]) * n for g, n in zip(weights.groups, weights.cases, strict=True)), Fraction(0)
    )
    return Published(rounded, sum(weights.cases) / positive(total, "published weights"))


def base_points(weights: Weights) -> dict[str, Fraction]:
    """Return 100 w by group."""
    return {g: 100 * w for g, w in zip(weights.groups, weights.values, strict=True)}


def divide_budget(
    budget: Decimal,
    weights: Weights,
    cases: Mapping[str, Mapping[str, int]],
    coefficients: Mapping[str, Decimal],
) -> dict[str, Decimal]:
    """Return each institution's part of a closed budget, in proportion to its weighted cases.

    Args:
      budget: Of the region, for the year.
      weights: In force.
      cases: By institution and group.
      coefficients: Of each institution; 1 where none is set is said, not assumed.

    Returns:
      Money by institution; the parts add to the budget to the fen.

    Raises:
      PaymentError: an institution without coefficient, or a group without weight.
    """
    if cases.keys() != coefficients.keys():
        raise PaymentError("each institution has one coefficient", where="budget")
    volume = [
        positive(coefficients[site], f"coefficient of {site}")
        * sum((weights.of(group) * count(n, group) for group, n in mix.items()), Fraction(0))
        for site, mix in cases.items()
    ]
    money(budget, "budget")
    return dict(zip(cases, apportion(budget, volume), strict=True))


def _held(costs: object) -> None:
    if not isinstance(costs, PayerHeld):
        raise PurposeMixed(
            f"weights from a {type(costs).__name__}",
            where="weights",
            do="weights come from the payer's own exact costs, reconciled to the fen",
        )
