"""How many sites must answer, and how many honest shares of noise are then in the sum.

``n`` legal entities of the signed roster, ``c`` of them colluding with a malicious coordinator, ``f``
tolerated drop-outs, threshold ``t = n - f``. For one round, both secrets of an honest site need
``2 (t - c)`` honest releases out of ``n - c``, which is impossible iff ``2 t > n + c`` (our derivation,
after Bonawitz et al., CCS 2017, section 6). At least ``m = t - c`` honest contributions are in any sum
that can be opened.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedvalue.errors import TooFewSites

MAX_SITES = 200


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The numbers of one federation; they come from the roster, never from who is online.

    Attributes:
      sites: n.
      colluding: c.
      dropouts: f.
    """

    sites: int
    colluding: int
    dropouts: int

    @property
    def answers(self) -> int:
        """T = n - f: how many sites must answer."""
        return self.sites - self.dropouts

    @property
    def honest_shares(self) -> int:
        """M = t - c: noise shares that the price counts on."""
        return self.answers - self.colluding


def thresholds(sites: int, *, colluding: int | None = None, dropouts: int | None = None) -> Thresholds:
    """Return the thresholds of a roster of ``sites`` legal entities.

    Args:
      sites: n, 3 to 200.
      colluding: c; None takes ``max(1, floor(n / 5))``.
      dropouts: f; None takes ``max(1, floor(n / 10))``, and 0 at n = 3.

    Raises:
      TooFewSites: n is below 3 or above 200, or t falls below ``max(floor((n + c) / 2) + 1, c + 2)``.
    """
    if not 3 <= sites <= MAX_SITES:
        raise TooFewSites(
            f"a roster of {sites} sites cannot hide anybody's share; 3 to {MAX_SITES} are possible",
            do="with two hospitals each would learn the other's sum by subtraction",
        )
    c = max(1, sites // 5) if colluding is None else colluding
    f = (max(1, sites // 10) if sites > 3 else 0) if dropouts is None else dropouts
    result = Thresholds(sites, c, f)
    least = max((sites + c) // 2 + 1, c + 2)
    if c < 1 or f < 0 or result.answers < least:
        raise TooFewSites(
            f"n = {sites}, c = {c}, f = {f} leave t = {result.answers}; at least {least} sites must answer",
            where="[federation] colluding_sites, tolerated_dropouts",
            do="tolerate fewer drop-outs or assume fewer colluding sites",
        )
    return result
