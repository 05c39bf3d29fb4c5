"""Stop-loss: one patient's cost above a limit is not the institution's.

    counted_i = min(c_i, limit),   pooled = sum over i of max(c_i - limit, 0)

The limit is an amount published before the year, commonly the 99th percentile of the payer's exact costs of
an earlier year (nearest rank: the smallest cost with at least the share q of all costs at or below it). What
is cut off is borne by the pool that the contract names; counted and pooled add to the cost, to the fen.

No uncertainty enters: the payer holds the costs. Source: payment.md 2.4; 42 CFR 425.604 (99th percentile).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.exact import fen, money, share


@dataclass(frozen=True, slots=True)
class Truncated:
    """Costs under a limit.

    Attributes:
      counted: What the institution answers for.
      pooled: What the pool bears.
      cut: Number of patients above the limit.
    """

    counted: Decimal
    pooled: Decimal
    cut: int


def limit_at(costs: Sequence[Decimal], q: Decimal) -> Decimal:
    """Return the q-quantile of exact costs by nearest rank.

    Args:
      costs: Of one year's patients, held by the payer.
      q: Between 0 and 1, above 0.

    Raises:
      PaymentError: no costs, negative money, or q of 0.
    """
    rank = ceil(share(q, "quantile") * len(costs))
    if not costs or rank == 0:
        raise PaymentError("no costs to take a quantile of", where="stop-loss")
    for cost in costs:
        money(cost, "cost")
    return sorted(costs)[rank - 1]


def truncate(costs: Sequence[Decimal], limit: Decimal) -> Truncated:
    """Return counted and pooled costs; they add to the sum of all costs.

    Raises:
      PaymentError: negative money.
    """
    top = money(limit, "limit")
    all_costs = [money(cost, "cost") for cost in costs]
    counted = sum((min(cost, top) for cost in all_costs), Fraction(0))
    pooled = sum(all_costs, Fraction(0)) - counted
    return Truncated(fen(counted), fen(pooled), sum(cost > top for cost in all_costs))
