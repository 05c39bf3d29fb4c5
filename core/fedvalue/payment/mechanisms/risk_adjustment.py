"""A standard that follows risk: coefficients that average 1, so that risk adjustment moves no budget.

    r_c = raw_c / (sum over c of n_c raw_c / N);   payment of cell c = n_c x base x r_c

Raw coefficients 1.2, 1.0 and 0.9 over 20, 60 and 20 % of the people average 1.02: paid as they stand they
would raise the budget by 2 % without a word. Clamping (to [0.7, 1.8], say) comes before the normalisation,
which may carry a coefficient slightly past the clamp; that is said. Credibility under noise, per cell:

    r* = 1 + Z (r - 1),   Z = tau^2 / (tau^2 + V_s + V_dp),   then normalised again

Both variances stay apart up to Z. A cell without evidence has Z near 0 and pays the mean. Payments of all
cells add to base x N to the fen. Coefficients made from genes may raise a price with a reason; they never
exclude anybody. Purpose ``set`` up to the coefficients, exact from there on.

Source: payment.md 2.8, P22 and point 4; Buhlmann, H., Gisler, A. A Course in Credibility Theory (2005),
chapter 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from fedvalue.analyses.estimate import Estimate
from fedvalue.errors import PaymentError, WindowsOverlap
from fedvalue.payment.mechanisms.exact import Exact, apportion, count, exact, money, positive
from fedvalue.payment.mechanisms.underlying import underlying
from fedvalue.payment.mechanisms.weights import Weights, normalised


@dataclass(frozen=True, slots=True)
class Clamped:
    """Coefficients after clamping and normalising.

    Attributes:
      coefficients: Averaging 1.
      clamped: Cells that were clamped.
      past: Cells that normalising carried past the clamp again.
    """

    coefficients: Weights
    clamped: tuple[str, ...]
    past: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Credible:
    """Coefficients after shrinking and normalising.

    Attributes:
      coefficients: Averaging 1.
      credibility: Z by cell, between 0 and 1.
      privacy_share: V_dp / (V_s + V_dp) by cell: how much of the shrinking the noise makes.
    """

    coefficients: Weights
    credibility: dict[str, float]
    privacy_share: dict[str, float]


@dataclass(frozen=True, slots=True)
class CellPayment:
    """What one cell is paid.

    Attributes:
      cell: Its name.
      people: How many.
      total: For all of them; the totals of all cells add to base x N to the fen.
      each: What one of them is paid, and one fen less or more for ``odd`` of them.
      odd: How many get ``each_odd``.
      each_odd: ``each`` plus one fen.
    """

    cell: str
    people: int
    total: Decimal
    each: Decimal
    odd: int
    each_odd: Decimal


def coefficients(raw: Mapping[str, Exact], people: Mapping[str, int]) -> Weights:
    """Return coefficients that average 1 over the people.

    Args:
      raw: By cell, exact, above 0.
      people: By cell.

    Raises:
      PurposeMixed: a noised coefficient; shrink it first with `credible`.
      PaymentError: other cells, nobody, or a coefficient that is not above 0.
    """
    return normalised(
        {cell: positive(value, f"coefficient of {cell}") for cell, value in raw.items()}, people
    )


def clamp(raw: Mapping[str, Exact], people: Mapping[str, int], *, low: Decimal, high: Decimal) -> Clamped:
    """Clamp raw coefficients, then normalise.

    Args:
      raw: By cell, relative to the mean person.
      people: By cell.
      low: Least, above 0.
      high: Most.

    Raises:
      PaymentError: as in `coefficients`, or bounds that do not increase.
    """
    least, most = positive(low, "low"), exact(high, "high")
    if least > most:
        raise WindowsOverlap("overlapping windows: the least lies above the most", where="clamp")
    inside = {cell: min(most, max(least, exact(value, cell))) for cell, value in raw.items()}
    found = coefficients(inside, people)
    past = tuple(c for c, r in zip(found.groups, found.values, strict=True) if not least <= r <= most)
    return Clamped(found, tuple(c for c, value in raw.items() if inside[c] != exact(value, c)), past)


def credible(
    estimates: Mapping[str, Estimate], people: Mapping[str, int], *, between_variance: float
) -> Credible:
    """Shrink estimated coefficients by what is known of each, then normalise.

    Args:
      estimates: Relative coefficient by cell, with separate variances.
      people: By cell.
      between_variance: tau^2, how much cells truly differ; above 0.

    Raises:
      PurposeMixed: a coefficient that is no estimate.
      PaymentError: other cells, or a tau^2 that is not above 0.
    """
    if not between_variance > 0:
        raise PaymentError("a tau^2 that is not above 0 would make every cell the mean", where="credibility")
    z, privacy, shrunk = {}, {}, {}
    for cell, estimate in estimates.items():
        underlying(estimate, f"coefficient of {cell}")
        variance = estimate.sampling_variance + estimate.privacy_variance
        z[cell] = between_variance / (between_variance + variance)
        privacy[cell] = estimate.privacy_variance / variance if variance else 0.0
        # From here on the coefficient is a chosen number of the standard, exact like any other.
        shrunk[cell] = Fraction(1 + z[cell] * (estimate.value - 1))
    return Credible(coefficients(shrunk, people), z, privacy)


def payments(base: Decimal, found: Weights) -> tuple[CellPayment, ...]:
    """Return what every cell is paid; the totals add to base x N to the fen.

    Args:
      base: For a person of mean risk.
      found: Coefficients over the people who are paid for.
    """
    whole = money(base, "base") * sum(found.cases)
    parts = apportion(whole, [n * r for n, r in zip(found.cases, found.values, strict=True)])
    out = []
    for cell, people, total in zip(found.groups, found.cases, parts, strict=True):
        each, odd = divmod(int(total * 100), count(people, cell) or 1)
        low = Decimal(each).scaleb(-2)
        out.append(CellPayment(cell, people, total, low, odd, low + Decimal("0.01")))
    return tuple(out)


def predictive_ratio(predicted: Decimal, actual: Decimal) -> Fraction:
    """Return predicted over actual cost of a group of people; 0.9 to 1.1 is the usual target."""
    return money(predicted, "predicted") / positive(actual, "actual")
