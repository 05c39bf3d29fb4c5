"""How much noise a study's sampled rounds need, so that study and all keep one promise together.

Plain releases are planned in zCDP. A release into which patients enter by chance has a price at each order
instead (`fedvalue.privacy.sampled`), so the promise (epsilon, delta) is kept at one order a of the ledger's:

    attempts x (a x rho of the plain releases + T x e_z(a)) <= epsilon - conversion(a, delta)

The plain part keeps what it would have had without sampled rounds; the sampled rounds of all trainings share
what that leaves at the order, in proportion to their budgets, and z is the least noise that stays within it.
Among the orders the one is taken that needs the least noise over all trainings together. Everything follows
from public numbers in exact or decimal arithmetic, so every site finds the same z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from fedvalue.analyses.analysis import Ask
from fedvalue.errors import PrivacyError
from fedvalue.privacy import accounting, sampled
from fedvalue.privacy.release import LOG2_SCALE


@dataclass(frozen=True, slots=True)
class Rounds:
    """The sampled rounds of one training.

    Attributes:
      label: Of the training.
      ask: One of its rounds; they are all alike.
      number: How many there are.
      share: Share of the study's budget for all of them.
    """

    label: str
    ask: Ask
    number: int
    share: Fraction


def is_sampled(ask: Ask) -> bool:
    """Tell whether an ask has a price of its own at each order: patients are drawn, or a site takes steps."""
    return ask.drawn is not None and (ask.drawn.rate < 1 or ask.drawn.local)


def noise_of(
    rounds: Sequence[Rounds], *, epsilon: float, delta: float, attempts: int, honest_shares: int,
    sites_per_patient: int,
) -> dict[str, int]:  # fmt: skip
    """Return for each training the price of one of its rounds if everybody were drawn, in 2^-40 zCDP.

    It fixes the scale of the round: ``rho = 1 / (2 z^2)`` at m honest shares, or at the site's own where the
    site takes steps by itself.

    Args:
      rounds: Every training's sampled rounds; their shares add to at most 1.
      epsilon: Of the study.
      delta: Of the study.
      attempts: How often each release may be asked.
      honest_shares: m.
      sites_per_patient: k.

    Raises:
      PrivacyError: no amount of noise is enough, or the accounting does not reach so far.
    """
    if not rounds:
        return {}
    together = sum((one.share for one in rounds), start=Fraction(0))
    whole = accounting.rho_units_for(epsilon, delta)
    aside = ceil(whole * (1 - together))
    left = sampled.epsilon_limits(accounting.order_limits(epsilon, delta), aside)
    largest = max(block.dimension for one in rounds for block in one.ask.blocks)
    sampled.require_smooth(
        releases=sum(_mechanisms(one, attempts, sites_per_patient) for one in rounds), dimension=largest,
        epsilon=epsilon, honest_shares=1 if any(_local(one) for one in rounds) else honest_shares,
    )  # fmt: skip
    best: tuple[Fraction, dict[str, Fraction]] | None = None
    for place, limit in enumerate(left):
        found = {}
        for one in rounds:
            mine = int(limit * one.share / together) if limit > 0 else 0
            at = tuple(mine if i == place else 0 for i in range(len(left)))
            least = sampled.least_multiplier(
                _rate(one, sites_per_patient), _mechanisms(one, attempts, sites_per_patient), at
            )
            if least is None:
                break
            found[one.label] = least[0]
        else:
            noise = sum(found.values(), start=Fraction(0))
            if best is None or noise < best[0]:
                best = noise, found
    if best is None:
        raise PrivacyError(
            "no amount of noise keeps the study's promise over so many sampled rounds",
            where=", ".join(one.label for one in rounds),
            do="ask for fewer rounds, a lower sampling rate or a higher epsilon",
        )
    return {one.label: _units(best[1][one.label], 1 if _local(one) else honest_shares) for one in rounds}


def _local(one: Rounds) -> bool:
    return one.ask.drawn is not None and one.ask.drawn.local


def _rate(one: Rounds, sites: int) -> Fraction:
    if one.ask.drawn is None:
        return Fraction(1)
    return one.ask.drawn.rate if one.ask.drawn.local else sampled.rate_over_sites(one.ask.drawn.rate, sites)


def _mechanisms(one: Rounds, attempts: int, sites: int) -> int:
    """How many noisy sums a person's rows enter over a whole training."""
    steps = one.ask.drawn.steps * sites if one.ask.drawn is not None and one.ask.drawn.local else 1
    return one.number * attempts * steps


def _units(multiplier: Fraction, honest_shares: int) -> int:
    """``rho`` of the sum if everybody were drawn; the sheppard correction of 1/12 makes it a little less."""
    variance = honest_shares * 4**LOG2_SCALE
    rho = (1 - Fraction(1, 12 * variance)) / (2 * multiplier**2)
    return int(rho * accounting.UNITS_PER_RHO)
