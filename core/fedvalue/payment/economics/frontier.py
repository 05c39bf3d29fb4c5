"""The efficiency frontier: which options are worth paying for at some k, and at which ratio.

Options are sorted by cost. An option is strongly dominated (D) where another costs no more and gives no
less, and is better in one of the two; of exact equals the first stays. What is left is extendedly dominated
(ED) where a mixture of two others would do as well: the ratio to the next better option is below its own.
Along what remains the ratios increase. Adding a dominated option leaves the frontier as it was.

Karlsson, Johannesson. The decision rules of cost-effectiveness analysis. PharmacoEconomics 9 (1996)
113-120. A mixture that is exactly as good does not dominate: equal ratios both stay on the frontier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fedvalue.errors import PaymentError

Standing = Literal["frontier", "D", "ED"]


@dataclass(frozen=True, slots=True)
class Option:
    """Expected cost and effect of one option.

    Attributes:
      name: Its name.
      cost: Expected money per patient.
      effect: Expected effect per patient.
    """

    name: str
    cost: float
    effect: float


@dataclass(frozen=True, slots=True)
class Placed:
    """An option and its place.

    Attributes:
      option: The option.
      standing: On the frontier, strongly (D) or extendedly (ED) dominated.
      before: The option that its increments are taken from; None for the first and for dominated ones.
      ratio: Money per unit of effect gained against ``before``; None likewise. For print, not to decide on.
    """

    option: Option
    standing: Standing
    before: str | None = None
    ratio: float | None = None


def frontier(options: Sequence[Option]) -> tuple[Placed, ...]:
    """Return every option with its place, by increasing cost.

    Args:
      options: At least one, each with its own name.

    Raises:
      PaymentError: no option, or a name twice.
    """
    if not options or len({option.name for option in options}) != len(options):
        raise PaymentError("a frontier takes at least one option, each with its own name")
    ordered = sorted(options, key=lambda option: (option.cost, -option.effect))
    efficient: list[Option] = []
    standing: dict[str, Standing] = {}
    for option in ordered:
        # By increasing cost, an option is undominated exactly when it gives more than all before it.
        if efficient and option.effect <= efficient[-1].effect:
            standing[option.name] = "D"
        else:
            efficient.append(option)
    hull: list[Option] = []
    for option in efficient:
        while len(hull) >= 2 and _ratio(hull[-2], hull[-1]) > _ratio(hull[-1], option):
            standing[hull.pop().name] = "ED"
        hull.append(option)
    before = dict(zip((option.name for option in hull[1:]), hull, strict=False))
    return tuple(_placed(option, standing.get(option.name, "frontier"), before) for option in ordered)


def _placed(option: Option, standing: Standing, before: dict[str, Option]) -> Placed:
    earlier = before.get(option.name)
    if earlier is None:
        return Placed(option, standing)
    return Placed(option, standing, earlier.name, _ratio(earlier, option))


def _ratio(earlier: Option, later: Option) -> float:
    return (later.cost - earlier.cost) / (later.effect - earlier.effect)
