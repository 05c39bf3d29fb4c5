"""What a new technology adds: a cost coefficient before the weights, an uplift after the effect is shown.

    cost'_g = cost_g + (kappa - 1) technology_g,   kappa in [1.2, 1.5];   then weights anew, averaging 1
    standard' = standard x (1 + u),   u in [0.10, 0.20],   only where the decision on the effect is "met"

``kappa`` raises the relative weight of groups that use the technology and lowers every other one: the
budget does not move. ``u`` moves it, and is paid only for an effect that was decided, with its evidence.
A sub-group's uplift over its parent is checked against a corridor (20 to 50 %). All bounds are terms.

Amounts are the payer's own and exact; the effect's uncertainty is in the decision. Source: P06, P20.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from fedvalue.errors import PaymentError
from fedvalue.payment.decision import Outcome
from fedvalue.payment.mechanisms.case_costs import PayerHeld
from fedvalue.payment.mechanisms.exact import count, exact, fen, money
from fedvalue.payment.mechanisms.weights import Weights, normalised


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and most of a coefficient, both allowed.

    Attributes:
      low: Least.
      high: Most.
    """

    low: Decimal
    high: Decimal

    def __post_init__(self) -> None:
        if exact(self.low, "low") > exact(self.high, "high"):
            raise PaymentError("a corridor whose low end lies above its high end", where="bounds")

    def check(self, value: Decimal, name: str) -> Fraction:
        """Return the value where it lies inside.

        Raises:
          PaymentError: it does not.
        """
        if not Fraction(self.low) <= exact(value, name) <= Fraction(self.high):
            raise PaymentError(f"{name} = {value} lies outside {self.low} to {self.high}", where=name)
        return Fraction(value)


@dataclass(frozen=True, slots=True)
class CorridorCheck:
    """Whether a sub-group's uplift over its parent lies in the corridor.

    Attributes:
      uplift: w_s / w_parent - 1.
      inside: Whether it does.
    """

    uplift: Fraction
    inside: bool


def with_technology(
    costs: PayerHeld, technology: Mapping[str, Decimal], kappa: Decimal, bounds: Bounds
) -> Weights:
    """Return weights in which technology cost counts kappa times.

    Args:
      costs: The payer's closed year.
      technology: Technology cost inside each group's total; groups without one are left out.
      kappa: The coefficient.
      bounds: What the jurisdiction allows.

    Raises:
      PaymentError: kappa out of bounds, an unknown group, or more technology than cost.
    """
    extra = bounds.check(kappa, "technology coefficient") - 1
    for group, amount in technology.items():
        if money(amount, f"technology of {group}") > Fraction(costs.group(group).total):
            raise PaymentError("more technology cost than cost", where=group)
    raw = {
        g.group: g.mean + extra * Fraction(technology.get(g.group, Decimal(0))) / count(g.cases, g.group)
        for g in costs.groups
    }
    return normalised(raw, {g.group: g.cases for g in costs.groups})


def uplifted(
    standard: Decimal, uplift: Decimal, bounds: Bounds, *, effect: Outcome, evidence_id: str
) -> Decimal:
    """Return a standard raised for a shown effect, rounded to the fen.

    Args:
      standard: In force.
      uplift: u.
      bounds: What the jurisdiction allows.
      effect: The decision on the effect.
      evidence_id: The evidence behind it; named where it is refused.

    Raises:
      PaymentError: the effect is not shown, or u is out of bounds.
    """
    u = bounds.check(uplift, "efficacy uplift")
    if effect != "met":
        raise PaymentError(
            f"the decision on the effect is {effect!r}: no uplift", where=evidence_id, do="keep the standard"
        )
    return fen(money(standard, "standard") * (1 + u))


def corridor_check(weights: Weights, subgroup: str, parent: Fraction, bounds: Bounds) -> CorridorCheck:
    """Compare a sub-group's weight with its parent's.

    Args:
      weights: With the sub-group.
      subgroup: Its code.
      parent: The parent's weight before the split.
      bounds: Of the uplift, such as 0.20 to 0.50.
    """
    uplift = weights.of(subgroup) / parent - 1
    return CorridorCheck(uplift, Fraction(bounds.low) <= uplift <= Fraction(bounds.high))


def carved_out(costs: PayerHeld, group: str, amount: Decimal) -> PayerHeld:
    """Return the closed year with a technology's cost taken out of one group's mean; the books still close.

    The sum of squares is lowered as if every case of the group bore the same part: exact lines per case give
    a sharper variance, and `case_costs.close_books` on them is the better way.

    Raises:
      PaymentError: more than the group's cost, unknown group.
    """
    whole = costs.group(group)
    taken = money(amount, f"technology of {group}")
    if taken > Fraction(whole.total):
        raise PaymentError("more technology cost than cost", where=group)
    spread = whole.variance * (whole.cases - 1)
    total = Fraction(whole.total) - taken
    squares = spread + total**2 / whole.cases
    # Rounded up in the tenth decimal: a sum of squares is never below what its mean demands.
    exactly = Decimal(-int(-squares * 10**10 // 1)).scaleb(-10)
    left = replace(whole, total=fen(total), squares=exactly)
    return replace(
        costs,
        groups=tuple(left if g.group == group else g for g in costs.groups),
        carved_total=costs.carved_total + fen(taken),
    )
