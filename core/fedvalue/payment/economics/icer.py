"""The incremental cost-effectiveness ratio, printed with its quadrant and never decided on.

A ratio of two noisy differences changes sign and jumps to infinity where dE comes near zero, and the same
number means opposite things in opposite quadrants: 100,000 in the north-east is a price per QALY gained,
in the south-west the saving per QALY lost. So there is no comparison, no interval and no float here;
decisions read net benefit (`fedvalue.payment.economics.net_benefit`).

Briggs, O'Brien, Blackhouse. Thinking outside the box. Annual Review of Public Health 23 (2002) 377-401.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import special

from fedvalue.payment.economics.joint import Increment

Quadrant = Literal["north_east", "south_east", "south_west", "north_west", "origin"]

LABELS: dict[Quadrant, dict[str, str]] = {
    "north_east": {
        "en": "costs more, gives more: money per unit gained",
        "zh": "成本更高、效果更好：每增加一单位效果的费用",
    },
    "south_east": {"en": "costs no more, gives no less: dominant", "zh": "成本不增、效果不减：占优"},
    "south_west": {
        "en": "costs less, gives less: money saved per unit lost",
        "zh": "成本更低、效果更差：每损失一单位效果所节省的费用",
    },
    "north_west": {"en": "costs no less, gives no more: dominated", "zh": "成本不减、效果不增：被占优"},
    "origin": {"en": "no difference in effect or in cost", "zh": "效果或成本无差异"},
}
"""What a ratio means in each quadrant, in English and Chinese."""


@dataclass(frozen=True, slots=True, order=False)
class Ratio:
    """dC / dE with where it lies. It cannot be compared with a threshold.

    Attributes:
      quadrant: Where (dE, dC) lies; dE to the east, dC to the north.
      printed: The ratio as text, or ``undefined`` with the reason.
      defined: False where dE is 0 or the confidence region of (dC, dE) holds the origin.
    """

    quadrant: Quadrant
    printed: str
    defined: bool

    def label(self, language: str) -> str:
        """Return what the ratio means, in ``en`` or ``zh``."""
        return LABELS[self.quadrant]["zh" if language == "zh" else "en"]


def icer(increment: Increment, *, level: float = 0.95, digits: int = 2) -> Ratio:
    """Return the ratio for a reader.

    Args:
      increment: dC and dE with their covariance.
      level: Confidence of the region that must not hold the origin, 0 to 1.
      digits: Decimals printed.
    """
    place = quadrant(increment.cost, increment.effect)
    if increment.effect == 0:
        return Ratio(place, "undefined: no difference in effect", defined=False)
    if holds_origin(increment, level):
        return Ratio(
            place, f"undefined: the {level:.0%} region of cost and effect holds no difference", defined=False
        )
    return Ratio(place, f"{increment.cost / increment.effect:,.{digits}f}", defined=True)


def quadrant(cost: float, effect: float) -> Quadrant:
    """Return where (effect, cost) lies; an axis counts to the side that dominance gives it.

    Equal effect at a higher cost is dominated, equal cost with a better effect is dominant.
    """
    if cost == 0 and effect == 0:
        return "origin"
    if effect > 0:
        return "north_east" if cost > 0 else "south_east"
    if effect < 0:
        return "south_west" if cost < 0 else "north_west"
    return "north_west" if cost > 0 else "south_east"


def holds_origin(increment: Increment, level: float) -> bool:
    """Tell whether the normal confidence ellipse of (dC, dE) holds (0, 0).

    The ellipse is x' S^-1 x <= q with q the ``level`` quantile of chi squared with 2 degrees of freedom,
    q = -2 ln(1 - level). A degenerate covariance is read along the axes that do vary.
    """
    whole = increment.covariance
    determinant = whole.cost * whole.effect - whole.cross**2
    if determinant <= 1e-12 * whole.cost * whole.effect or determinant == 0:
        return _on_the_line(increment, level)
    c, e = increment.cost, increment.effect
    distance = (whole.effect * c * c - 2 * whole.cross * c * e + whole.cost * e * e) / determinant
    return distance <= -2 * math.log1p(-level)


def _on_the_line(increment: Increment, level: float) -> bool:
    whole, reach = increment.covariance, float(special.ndtri((1 + level) / 2))
    cost_in = abs(increment.cost) <= reach * math.sqrt(whole.cost)
    effect_in = abs(increment.effect) <= reach * math.sqrt(whole.effect)
    return cost_in and effect_in
