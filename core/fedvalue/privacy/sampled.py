"""What a release costs that each patient enters by chance only: the Poisson-sampled Gaussian.

Each patient enters with the public probability q, independently of everybody else and in secret, so that
nobody knows whether a given patient was in this sum at all. At an integer order a the Renyi divergence is

    e(a) = ln( sum_{j=0}^{a} C(a, j) (1 - q)^(a - j) q^j exp(j (j - 1) / (2 z^2)) ) / (a - 1)

for noise multiplier ``z = sigma / D`` (Mironov, Talwar, Zhang, Renyi differential privacy of the sampled
Gaussian mechanism, arXiv 1908.10530, section 3.3; it bounds both directions, adding and removing). All of the
ledger's orders are integers, so the sum is finite, and 50-digit decimals give the same units on every
machine.

A person with records at k sites is drawn at each by itself. The person moves the total only if drawn
somewhere, with probability ``q' = 1 - (1 - q)^k``, and then by at most ``k D_1``. Expanding the moment above
over the sites that drew, each term holds inner products of such moves, and none exceeds ``(k D_1)^2``, so
(q', k D_1) bounds it (our derivation).

The noise is not a Gaussian but the sum of m discrete ones. Rounded to integers a Gaussian of variance
``m 4^s - 1/12`` has, to within `ROUNDING_DELTA`, that distribution (our derivation, `require_smooth`), so
the curve is that of the smaller variance and the promise loses that much delta once for all releases.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from math import comb, exp, isqrt

from fedvalue.errors import PrivacyError
from fedvalue.privacy.accounting import ORDERS, ROUNDING_DELTA, UNITS_PER_RHO, Price
from fedvalue.privacy.release import LOG2_SCALE

GRAIN = 2**12
"""Noise multipliers are searched for in steps of ``1 / GRAIN``."""

LARGEST_MULTIPLIER = 2**14
"""Past it a sum holds nothing but noise."""

_PRECISION = 50


@lru_cache(maxsize=4096)
def divergence_units(multiplier_squared: Fraction, rate: Fraction, order: int) -> int:
    """Return ``e(order)`` of one release in units of 2^-40, rounded up.

    Args:
      multiplier_squared: ``z^2``, above 0.
      rate: q, above 0 and at most 1.
      order: An integer of at least 2.

    Raises:
      PrivacyError: outside these ranges.
    """
    if multiplier_squared <= 0 or not 0 < rate <= 1 or order < 2:
        raise PrivacyError("a sampled release has noise, a sampling rate above 0 and at most 1, an order")
    with localcontext(Context(prec=_PRECISION, Emax=10**17, Emin=-(10**17))):
        z2 = Decimal(multiplier_squared.numerator) / multiplier_squared.denominator
        if rate == 1:
            value = Decimal(order) / (2 * z2)
        else:
            q = Decimal(rate.numerator) / rate.denominator
            total = Decimal(0)
            for j in range(order + 1):
                grown = (Decimal(j * (j - 1)) / (2 * z2)).exp()
                total += comb(order, j) * (1 - q) ** (order - j) * q**j * grown
            value = total.ln() / (order - 1)
        # the last digits of a 50-digit sum are lost; a unit more covers them
        return int((value * UNITS_PER_RHO).to_integral_value(rounding="ROUND_CEILING")) + (rate != 1)


@lru_cache(maxsize=1024)
def curve(multiplier_squared: Fraction, rate: Fraction) -> Price:
    """Return the price of one release at every order of the ledger; arguments as in `divergence_units`."""
    return Price(tuple(divergence_units(multiplier_squared, rate, order) for order in ORDERS))


def times(price: Price, number: int) -> Price:
    """Return the price of ``number`` such releases."""
    return Price(tuple(unit * number for unit in price.units))


def rate_over_sites(rate: Fraction, sites: int) -> Fraction:
    """Return ``q' = 1 - (1 - q)^k``: how likely a person at k sites is drawn at one of them at least."""
    missed: Fraction = Fraction(1)
    for _ in range(sites):
        missed *= 1 - rate
    return Fraction(1 - missed)


def multiplier_squared(
    charged_bound_squared: int, *, honest_shares: int, log2_scale: int = LOG2_SCALE
) -> Fraction:
    """Return ``z^2 = (m 4^s - 1/12) / D^2``.

    Args:
      charged_bound_squared: ``D^2``, in ring units, above 0.
      honest_shares: m, at least 1.
      log2_scale: s.

    Raises:
      PrivacyError: outside these ranges.
    """
    if charged_bound_squared <= 0 or honest_shares < 1:
        raise PrivacyError("a sampled release has a bound and at least one share of noise")
    variance = Fraction(12 * honest_shares * 4**log2_scale - 1, 12)
    return variance / charged_bound_squared


@lru_cache(maxsize=256)
def least_multiplier(rate: Fraction, releases: int, limits: tuple[int, ...]) -> tuple[Fraction, int] | None:
    """Find the least noise with which so many releases stay within a limit at one order.

    Args:
      rate: q over all sites of a person.
      releases: How many, each attempt counted.
      limits: What they may cost together at each of `ORDERS`, in units of 2^-40; not positive: not there.

    Returns:
      z on the grid of ``1 / GRAIN``, and the order; None where no z up to `LARGEST_MULTIPLIER` does.
    """
    best: tuple[int, int] | None = None
    for order, limit in zip(ORDERS, limits, strict=True):
        if limit <= 0:
            continue
        ceiling = best[0] if best else LARGEST_MULTIPLIER * GRAIN
        found = _least_at(order, limit // releases, rate, ceiling)
        if found is not None and (best is None or found < best[0]):
            best = (found, order)
    return None if best is None else (Fraction(best[0], GRAIN), best[1])


def _least_at(order: int, limit: int, rate: Fraction, ceiling: int) -> int | None:
    """The least grid point whose divergence stays within ``limit``, at most ``ceiling``."""

    def fits(point: int) -> bool:
        return divergence_units(Fraction(point * point, GRAIN * GRAIN), rate, order) <= limit

    if not fits(ceiling):
        return None
    low, high = 0, ceiling
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def require_smooth(
    *, releases: int, dimension: int, epsilon: float, honest_shares: int, log2_scale: int = LOG2_SCALE
) -> None:
    """Check that the discreteness of the noise costs less than `ROUNDING_DELTA` over a whole study.

    ``T (1 + e^epsilon) sqrt(d) 8.6e-4 / (m^2 16^s)``: our derivation, from the Euler-Maclaurin remainder of
    a lattice sum of m Gaussians.

    Args:
      releases: T, every attempt counted.
      dimension: d of the largest.
      epsilon: Of the study.
      honest_shares: m.
      log2_scale: s.

    Raises:
      PrivacyError: it would cost more.
    """
    lost = releases * (1 + exp(min(epsilon, 700.0))) * (isqrt(dimension) + 1) * 8.6e-4
    if lost > ROUNDING_DELTA * honest_shares**2 * 16**log2_scale:
        raise PrivacyError(
            "so many sampled releases are too many for the accounting of discrete noise",
            do="ask for fewer rounds, a smaller model or a lower epsilon",
        )


def epsilon_limits(limits: Sequence[int], set_aside: int) -> tuple[int, ...]:
    """Return what is left at each order once plain releases of ``set_aside`` units of rho are paid."""
    return tuple(limit - order * set_aside for order, limit in zip(ORDERS, limits, strict=True))
