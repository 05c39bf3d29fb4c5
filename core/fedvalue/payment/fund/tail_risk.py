"""The bad end of a distribution: value at risk and expected shortfall of what the fund pays.

Value at risk at 95 % is the spend that is exceeded with a probability of 5 %; the expected shortfall is the
mean of the worst 5 %, which unlike value at risk cannot fall when two risks are added. From draws, the
shortfall weighs the draw at the edge by the part of it that belongs to the tail, so it is exact for the
empirical distribution; for a normal one it is m + s phi(z) / (1 - level).

Floating point throughout: distributions, not amounts.

Acerbi, Tasche. On the coherence of expected shortfall. Journal of Banking & Finance 26 (2002) 1487-1503.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.joint import Floats


@dataclass(frozen=True, slots=True)
class TailRisk:
    """The bad end of a spend.

    Attributes:
      level: Such as .95.
      value_at_risk: Spend exceeded with probability ``1 - level``, in money.
      expected_shortfall: Mean of the worst ``1 - level``, in money, at least ``value_at_risk``.
    """

    level: float
    value_at_risk: float
    expected_shortfall: float


def of_draws(spend: Floats, level: float = 0.95) -> TailRisk:
    """Return the tail risk of drawn spends; high spend is bad.

    Args:
      spend: Money, shape ``(n,)``.
      level: Above 0, below 1.

    Raises:
      PaymentError: no draw, a draw that is not finite, or no such level.
    """
    _checked(level)
    if spend.ndim != 1 or not len(spend) or not np.isfinite(spend).all():
        raise PaymentError("a tail risk takes drawn spends, in one row, all finite")
    worst = np.sort(spend)[::-1]
    tail = (1 - level) * len(worst)
    whole = math.floor(tail + 1e-9)
    part = max(tail - whole, 0.0)
    edge = worst[min(whole, len(worst) - 1)]
    return TailRisk(level, float(edge), float((worst[:whole].sum() + part * edge) / tail))


def of_normal(mean: float, sd: float, level: float = 0.95) -> TailRisk:
    """Return the tail risk of a normal spend.

    Args:
      mean: Money.
      sd: sqrt(V_s + V_dp), in money, at least 0.
      level: Above 0, below 1.

    Raises:
      PaymentError: a negative SD or no such level.
    """
    _checked(level)
    if not sd >= 0:
        raise PaymentError("a standard deviation is at least 0")
    z = float(special.ndtri(level))
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return TailRisk(level, mean + z * sd, mean + sd * density / (1 - level))


def _checked(level: float) -> None:
    if not 0 < level < 1:
        raise PaymentError(f"{level} is no level of a tail risk", do="0.95 is usual")
