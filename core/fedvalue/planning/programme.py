"""When a programme of yearly reviews uses up the privacy of the people it asks about.

A hospital keeps a budget for life for everybody who first entered its records in one year (a partition). Each
review charges every partition that it touches; a partition that cannot bear one more is left out of it, and
its people are no longer counted. ``fedvalue site ledger forecast`` plays the same through for one hospital's
own ledger, with what it has spent.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedvalue.privacy.accounting import epsilon, rho_units_for


@dataclass(frozen=True, slots=True)
class Reviews:
    """A programme on partitions that start empty.

    Attributes:
      years: How many years were looked at.
      partition_epsilon: Budget of a partition for life.
      bears: How many reviews a partition bears.
      exhausted: First year, counted from 1, in which the partition of year 1 cannot bear the review; None if
        it bears them all.
      spent: Epsilon of what the partition of year 1 has spent at the end of each year, length ``years``.
      counted: In each year, how many of the years of entry so far can still be asked about.
    """

    years: int
    partition_epsilon: float
    bears: int
    exhausted: int | None
    spent: tuple[float, ...]
    counted: tuple[int, ...]


def reviews(rho_units: int, delta: float, partition_epsilon: float, years: int) -> Reviews:
    """Play one review a year through.

    Args:
      rho_units: Price of one review with its spare attempts, in 2^-40 zCDP, above 0.
      delta: Of the partition, as of the study.
      partition_epsilon: Budget of a partition for life, above 0.
      years: How many, at least 1.

    Raises:
      PrivacyError: an epsilon or delta outside its range.
    """
    bears = rho_units_for(partition_epsilon, delta) // rho_units
    return Reviews(
        years,
        partition_epsilon,
        bears,
        bears + 1 if bears < years else None,
        tuple(epsilon(min(year, bears) * rho_units, delta) for year in range(1, years + 1)),
        tuple(min(year, bears) for year in range(1, years + 1)),
    )
