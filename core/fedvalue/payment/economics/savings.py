"""From an effect to what the fund saves over one, three and five years.

Fewer events in the population that is reached:

    saved_y = reached_y * (rate difference * cost per event * fund share - programme cost),

with reached_y = persistence * reached_{y-1} + starters_y, undiscounted as in a budget impact. Rate
difference and cost per event are uncertain; the same draw of both holds in all years, so their errors do
not average out over time. With independent X (rate difference) and Y (cost per event)

    Var(XY) = X^2 V_Y + Y^2 V_X + V_X V_Y,

split into what sampling alone would leave and what privacy adds on top. A saving that needs beds to close
or staff to leave is not cash: `realised` is the share that is, and it has no default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.information import expected_above

HORIZONS = (1, 3, 5)
"""Years that payers ask about."""


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A number with both variances.

    Attributes:
      mean: Its estimate.
      sampling_variance: V_s, at least 0.
      privacy_variance: V_dp, at least 0; 0 for payer-held exact figures.
    """

    mean: float
    sampling_variance: float = 0.0
    privacy_variance: float = 0.0

    def __post_init__(self) -> None:
        values = (self.mean, self.sampling_variance, self.privacy_variance)
        if not all(map(math.isfinite, values)) or min(values[1:]) < 0:
            raise PaymentError("an estimate has a finite mean and variances at or above 0")

    def times(self, other: Uncertain) -> Uncertain:
        """Return the product of two independent numbers."""
        sampling = _product_variance(self.mean, self.sampling_variance, other.mean, other.sampling_variance)
        whole = _product_variance(
            self.mean,
            self.sampling_variance + self.privacy_variance,
            other.mean,
            other.sampling_variance + other.privacy_variance,
        )
        return Uncertain(self.mean * other.mean, sampling, max(whole - sampling, 0.0))

    def scaled(self, factor: float, less: float = 0.0) -> Uncertain:
        """Return ``factor`` times the number, less a known amount."""
        return Uncertain(
            factor * self.mean - less,
            factor**2 * self.sampling_variance,
            factor**2 * self.privacy_variance,
        )


@dataclass(frozen=True, slots=True)
class Effect:
    """What a programme or drug changes for one person and year.

    Attributes:
      events_avoided: Events avoided per person and year; negative where there are more.
      cost_per_event: Money per event, all payers.
      fund_share: Share of it that the fund bears, 0 to 1.
      realised: Share of the avoided cost that becomes cash within the year, 0 to 1.
      persistence: Share of people still reached a year later, 0 to 1.
      programme_cost: What the fund pays per person and year for it.
    """

    events_avoided: Uncertain
    cost_per_event: Uncertain
    fund_share: float
    realised: float
    persistence: float
    programme_cost: float

    def __post_init__(self) -> None:
        for share in (self.fund_share, self.realised, self.persistence):
            if not 0 <= share <= 1:
                raise PaymentError(f"{share} is no share: it lies between 0 and 1")


@dataclass(frozen=True, slots=True)
class Saving:
    """Net saving of the fund from the start to the end of a year; negative where it pays more.

    Attributes:
      years: Length of the period.
      amount: Money, with both variances.
      probability_saves: P(saving > 0), between 0 and 1.
      expected_shortfall: E max(-saving, 0), in money: what it costs where it does not save.
    """

    years: int
    amount: Uncertain
    probability_saves: float
    expected_shortfall: float


def savings(effect: Effect, people: Sequence[int], horizons: Sequence[int] = HORIZONS) -> tuple[Saving, ...]:
    """Return the fund's net saving over each horizon.

    Args:
      effect: Per person and year.
      people: People who start in year 0, 1, ...; at least as many years as the longest horizon.
      horizons: Whole years.

    Raises:
      PaymentError: fewer years of people than asked for, or a negative number of people.
    """
    if not horizons or min(horizons) < 1 or max(horizons) > len(people):
        raise PaymentError(
            f"people are known for {len(people)} years, and the horizons are {list(horizons)}",
            do="say how many people start in each year of the longest horizon",
        )
    if min(people) < 0:
        raise PaymentError("people are a negative number")
    per_person = effect.events_avoided.times(effect.cost_per_event)
    reached = [0.0]
    for starters in people:
        reached.append(reached[-1] * effect.persistence + starters)
    found = []
    for years in horizons:
        person_years = math.fsum(reached[1 : years + 1])
        amount = per_person.scaled(
            person_years * effect.fund_share * effect.realised, person_years * effect.programme_cost
        )
        found.append(_judged(years, amount))
    return tuple(found)


def _judged(years: int, amount: Uncertain) -> Saving:
    sd = math.sqrt(amount.sampling_variance + amount.privacy_variance)
    saves = float(amount.mean > 0) if sd == 0 else 0.5 * math.erfc(-amount.mean / sd / math.sqrt(2))
    return Saving(years, amount, saves, expected_above(-amount.mean, sd))


def _product_variance(x: float, vx: float, y: float, vy: float) -> float:
    return x * x * vy + y * y * vx + vx * vy
