"""What releases cost together: prices that add, and a budget that says whether one more fits.

A price is an integer vector over fixed Renyi orders; a plain release of zCDP rho costs ``a rho`` at order
a. Prices add under composition, also when each question is chosen after seeing earlier answers. A budget
(epsilon, delta) is opened once and asks one thing of the next price: is the sum still covered?

Two filters, and the budget fixes at opening which one holds for life:

* **zCDP** (the default; the population never admits sampled releases): all rho together stay at or below
  the rho that (epsilon, delta) buys. Nothing is lost against planning a single study. Whitehouse, Ramdas,
  Rogers, Wu. Fully adaptive composition in differential privacy. ICML 2023.
* **Union of Renyi filters** (sampled releases admitted): delta is divided over the orders by weights
  fixed at opening, and the sum must be covered at one order at least. Each order by itself is a filter of
  Feldman and Zrnic (Individual privacy accounting via a Renyi filter, NeurIPS 2021); their failure
  probabilities add up to delta. Without the weights, taking whichever order still fits would be invalid.

Logarithms are taken in 50-digit decimal arithmetic, which gives the same bits on every machine, and the
last step rounds against the asker, so that every site computes the same units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from math import inf, nextafter
from typing import Self

from fedvalue.errors import PrivacyError

ORDERS = (2, 3, 4, 5, 6, 8, 9, 12, 16, 22, 32, 40, 64)
"""Renyi orders of every price, for life."""

UNITS_PER_RHO = 2**40
"""Privacy is counted in integers of 2^-40."""

ROUNDING_DELTA = 1e-12
"""What the discreteness of the noise takes from delta where releases are sampled.

See `fedvalue.privacy.sampled.require_smooth`.
"""

_PRECISION = 50
_HALVINGS = 60
"""Steps of the search for the best order: its error falls to 2^-60 of the range."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one release, or several together, cost at each order.

    Attributes:
      units: Renyi divergence at each of `ORDERS`, in units of 2^-40, rounded up; none negative.
    """

    units: tuple[int, ...] = (0,) * len(ORDERS)

    def __post_init__(self) -> None:
        """Refuse a vector that is no price."""
        if len(self.units) != len(ORDERS) or any(unit < 0 for unit in self.units):
            raise PrivacyError(f"a price has {len(ORDERS)} units, none of them negative")

    @classmethod
    def plain(cls, rho_units: int) -> Self:
        """Return the price of a release without sampling: ``e(a) = a rho``, with rho in units of 2^-40."""
        return cls(tuple(order * rho_units for order in ORDERS))

    @property
    def rho_units(self) -> int | None:
        """The rho in units of 2^-40 if this is the price of plain releases, else None."""
        rho, rest = divmod(self.units[0], ORDERS[0])
        return rho if rest == 0 and self == Price.plain(rho) else None

    @property
    def covering_rho_units(self) -> int:
        """The least rho, in units of 2^-40, of plain releases that cost at least as much at every order."""
        return max(-(-unit // order) for order, unit in zip(ORDERS, self.units, strict=True))

    def __add__(self, other: Price) -> Price:
        return Price(tuple(a + b for a, b in zip(self.units, other.units, strict=True)))


NOTHING = Price()


@lru_cache(maxsize=256)
def epsilon(rho_units: int, delta: float) -> float:
    """Return the epsilon of rho-zCDP at ``delta``, rounded up.

    ``min over a > 1 of a rho + ln(1 / (a delta)) / (a - 1) + ln(1 - 1/a)``: Canonne, Kamath, Steinke (2020,
    arXiv 2004.00010v4), proposition 12. The minimum is where ``rho (a - 1)^2 = ln(1 / (a delta))``.

    Args:
      rho_units: rho in units of 2^-40, at least 0.
      delta: Between 0 and 1, both excluded.

    Raises:
      PrivacyError: a negative rho, or a delta outside its range.
    """
    if rho_units < 0:
        raise PrivacyError("rho cannot be negative")
    with localcontext(Context(prec=_PRECISION)):
        small = _delta(delta)
        if rho_units == 0:
            return 0.0
        rho = Decimal(rho_units) / UNITS_PER_RHO
        order = _order(small, lambda a: rho * (a - 1) ** 2 >= -(a * small).ln())
        return max(0.0, _float_up(order * rho + _conversion(order, small)))


def epsilon_of(price: Price, delta: float) -> float:
    """Return the epsilon of a price that was fixed in advance, at ``delta``, rounded up.

    For plain releases over all orders, as in `epsilon`; with sampled ones over the ledger's orders, at a
    delta less `ROUNDING_DELTA`. A price that answers decide about needs a `Budget` instead.

    Raises:
      PrivacyError: a delta outside its range.
    """
    if (rho_units := price.rho_units) is not None:
        return epsilon(rho_units, delta)
    with localcontext(Context(prec=_PRECISION)):
        small = _delta(delta - ROUNDING_DELTA)
        return max(
            0.0, _float_up(min(_cost(unit, a, small) for a, unit in zip(ORDERS, price.units, strict=True)))
        )


def order_limits(epsilon: float, delta: float) -> tuple[int, ...]:
    """Return what releases fixed in advance may cost at each of `ORDERS`, in units of 2^-40, rounded down.

    At one order at least their price must stay within; a limit below 1 is none.

    Args:
      epsilon: Above 0.
      delta: Above `ROUNDING_DELTA` and below 1.
    """
    with localcontext(Context(prec=_PRECISION)):
        small, wanted = _delta(delta - ROUNDING_DELTA), _epsilon(epsilon)
        return tuple(_units_down(wanted - _conversion(Decimal(a), small)) for a in ORDERS)


@lru_cache(maxsize=256)
def rho_units_for(epsilon: float, delta: float) -> int:
    """Return the largest rho that costs at most ``epsilon`` at ``delta``, in units of 2^-40, rounded down.

    Args:
      epsilon: Above 0.
      delta: Between 0 and 1, both excluded.

    Raises:
      PrivacyError: outside these ranges.
    """
    with localcontext(Context(prec=_PRECISION)):
        small, wanted = _delta(delta), _epsilon(epsilon)

        def cheap(a: Decimal) -> bool:
            rho = -(a * small).ln() / (a - 1) ** 2  # the rho whose best order is a
            return a * rho + _conversion(a, small) <= wanted

        order = _order(small, cheap)
        rho = (wanted - _conversion(order, small)) / order
        return max(0, _units_down(rho))


@dataclass(frozen=True, slots=True)
class Budget:
    """Privacy of one population, for life.

    Attributes:
      epsilon: Above 0.
      delta: Between 0 and 1.
      admits_sampled: True for the union of Renyi filters, False for the zCDP filter.
      weights: Share of delta that each of `ORDERS` may fail with, summing to 1. The default gives one half to
        the order nearest ``1 + sqrt(ln(1/delta) / rho)`` and divides the rest equally.
      rho_units: What (epsilon, delta) buys as zCDP, in units of 2^-40.
      limits: ``B(a)`` at each of `ORDERS`, in units of 2^-40; a negative one never passes.
    """

    epsilon: float
    delta: float
    admits_sampled: bool = False
    weights: tuple[Fraction, ...] = ()
    rho_units: int = field(init=False)
    limits: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Fix the weights and compute both filters' limits."""
        object.__setattr__(self, "rho_units", rho_units_for(self.epsilon, self.delta))
        weights = self.weights or _default_weights(self.rho_units, self.delta)
        if len(weights) != len(ORDERS) or sum(weights) != 1 or any(weight <= 0 for weight in weights):
            raise PrivacyError(f"a budget has {len(ORDERS)} weights, all above 0, that sum to 1")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "limits", _limits(self.epsilon, self.delta, weights))

    def passes(self, spent: Price, reserved: Price, new: Price) -> bool:
        """Say whether ``new`` fits after what was spent and is reserved.

        Raises:
          PrivacyError: the price of a sampled release, in a population that never admits one.
        """
        total = spent + reserved + new
        if self.admits_sampled:
            return any(unit <= limit for unit, limit in zip(total.units, self.limits, strict=True))
        return _plain_units(spent) + _plain_units(reserved) + _plain_units(new) <= self.rho_units

    def remaining_units(self, spent: Price, reserved: Price = NOTHING) -> int:
        """Return the rho of the largest plain release that still passes, in units of 2^-40, or 0."""
        total = spent + reserved
        if self.admits_sampled:
            left = ((b - e) // a for a, b, e in zip(ORDERS, self.limits, total.units, strict=True))
            return max(0, *left)
        return max(0, self.rho_units - _plain_units(total))

    def epsilon_of(self, spent: Price) -> float:
        """Return the epsilon of what was spent, at this budget's delta and under its filter, rounded up."""
        if not self.admits_sampled:
            return epsilon(_plain_units(spent), self.delta)
        if spent == NOTHING:
            return 0.0
        with localcontext(Context(prec=_PRECISION)):
            costs: Iterable[Decimal] = (
                _cost(unit, a, d)
                for unit, (a, d) in zip(spent.units, _failures(self.delta, self.weights), strict=True)
            )
            return max(0.0, _float_up(min(costs)))


def _failures(delta: float, weights: tuple[Fraction, ...]) -> tuple[tuple[int, Decimal], ...]:
    """Return each order with its share of delta."""
    small = _delta(delta - ROUNDING_DELTA)
    return tuple(
        (order, small * weight.numerator / weight.denominator)
        for order, weight in zip(ORDERS, weights, strict=True)
    )


@lru_cache(maxsize=256)
def _limits(epsilon: float, delta: float, weights: tuple[Fraction, ...]) -> tuple[int, ...]:
    """Return ``B(a)`` at each of `ORDERS`, in units of 2^-40."""
    with localcontext(Context(prec=_PRECISION)):
        limits = (_epsilon(epsilon) - _conversion(Decimal(a), d) for a, d in _failures(delta, weights))
        return tuple(map(_units_down, limits))


def _plain_units(price: Price) -> int:
    rho_units = price.rho_units
    if rho_units is None:
        raise PrivacyError(
            "this population admits no sampled release",
            do="its budget was opened for plain releases, for life",
        )
    return rho_units


@lru_cache(maxsize=256)
def _default_weights(rho_units: int, delta: float) -> tuple[Fraction, ...]:
    with localcontext(Context(prec=_PRECISION)):
        rho = Decimal(max(1, rho_units)) / UNITS_PER_RHO
        best = 1 + (-_delta(delta).ln() / rho).sqrt()
        nearest = min(ORDERS, key=lambda order: (abs(order - best), order))
    rest = Fraction(1, 2 * (len(ORDERS) - 1))
    return tuple(Fraction(1, 2) if order == nearest else rest for order in ORDERS)


def _cost(unit: int, order: int, delta: Decimal) -> Decimal:
    """Return the epsilon of so many units at one order."""
    return Decimal(unit) / UNITS_PER_RHO + _conversion(Decimal(order), delta)


def _conversion(order: Decimal, delta: Decimal) -> Decimal:
    """Return what turns a Renyi divergence of this order into epsilon at ``delta``."""
    return -(order * delta).ln() / (order - 1) + (1 - 1 / order).ln()


def _order(delta: Decimal, high_enough: Callable[[Decimal], bool]) -> Decimal:
    """Find where ``high_enough`` turns true on (1, 1/delta); any order bounds, this one bounds best."""
    # Halving the logarithm of a - 1 finds orders near 1 and near 1/delta equally well.
    low, high = Decimal(10) ** -30, 1 / delta - 1
    for _ in range(_HALVINGS):
        middle = (low * high).sqrt()
        low, high = (low, middle) if high_enough(1 + middle) else (middle, high)
    return 1 + high


def _delta(delta: float) -> Decimal:
    if not 0 < delta < 1:
        raise PrivacyError(f"delta is {delta}", do="give a delta above 0 and below 1")
    return Decimal(delta)


def _epsilon(epsilon: float) -> Decimal:
    if not 0 < epsilon < inf:
        raise PrivacyError(f"epsilon is {epsilon}", do="give an epsilon above 0")
    return Decimal(epsilon)


def _units_down(value: Decimal) -> int:
    return int((value * UNITS_PER_RHO).to_integral_value(rounding="ROUND_FLOOR"))


def _float_up(value: Decimal) -> float:
    nearest = float(value)
    return nearest if Decimal(nearest) >= value else nextafter(nearest, inf)
