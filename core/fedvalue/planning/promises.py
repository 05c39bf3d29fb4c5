"""Against whom a study promises which epsilon, and in which order people are told.

Every site's noise has the same scale, so what remains unknown to an adversary is the noise of the sites that
do not work with it: m = t - c honest shares against c colluding sites, t against the coordinator alone, and
a site's own share against everybody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Adversary = Literal["own_share", "promised", "no_collusion"]

SMALL_FEDERATION = 5
"""n up to which all other sites together are few enough to be thought of first."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One of the three epsilons.

    Attributes:
      against: Its adversary.
      colluding: How many sites work with the coordinator.
      epsilon: Against them; None where nothing finite is promised.
    """

    against: Adversary
    colluding: int
    epsilon: float | None


def three_promises(
    *,
    sites: int,
    colluding: int,
    promised: float | None,
    own_share: float | None,
    no_collusion: float | None,
) -> tuple[Promise, ...]:
    """Return the three epsilons in the order in which they are told.

    In a federation of few sites, above all under one government, it is not far-fetched that all others work
    together, so up to n = 5 the epsilon of the own share comes first; above that it comes last.

    Args:
      sites: n.
      colluding: c.
      promised: Epsilon against the coordinator and c sites.
      own_share: Against the coordinator and the n - 1 other sites.
      no_collusion: Against the coordinator alone.
    """
    own = Promise("own_share", sites - 1, own_share)
    others = (Promise("promised", colluding, promised), Promise("no_collusion", 0, no_collusion))
    return (own, *others) if sites <= SMALL_FEDERATION else (*others, own)
