"""What it would be worth to know more before deciding: EVPI and EVSI per person and for a population.

Two options and a normal INB with mean m and SD s, z = m / s (unit normal loss):

    EVPI = s [phi(z) - |z| Phi(-|z|)].

EVSI is the same with the SD of the mean that data would produce in place of s: with variance V today and
V' after, s_pre^2 = V - V'. From draws of any number of options

    EVPI = E max_d NB_d - max_d E NB_d,

and not E max_d NB_d - mean_d E NB_d, which the summary of one known package prints under that name.
Perfect information resolves sampling and privacy errors alike; `resolving` asks for one of them alone.

Raiffa, Schlaifer. Applied Statistical Decision Theory (1961) section 5.4; Claxton (1999) as in `joint`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import special

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.joint import Draws
from fedvalue.payment.economics.net_benefit import NetBenefit

_ROOT_TWO_PI = math.sqrt(2 * math.pi)


def expected_above(mean: float, sd: float, floor: float = 0.0) -> float:
    """Return E max(X, floor) of a normal X, in the unit of X.

    Args:
      mean: Of X.
      sd: Of X, at least 0.
      floor: What is had instead of a smaller X.
    """
    if sd <= 0:
        return max(mean, floor)
    z = (mean - floor) / sd
    return floor + sd * (math.exp(-z * z / 2) / _ROOT_TWO_PI + z * float(special.ndtr(z)))


def value_of_information(mean: float, sd: float) -> float:
    """Return E max(X, 0) - max(E X, 0) of a normal X: s [phi(z) - |z| Phi(-|z|)], at least 0."""
    if sd <= 0:
        return 0.0
    z = abs(mean) / sd
    return sd * max(math.exp(-z * z / 2) / _ROOT_TWO_PI - z * float(special.ndtr(-z)), 0.0)


def evpi(benefit: NetBenefit) -> float:
    """Return the expected value of perfect information on INB, in money per person."""
    return value_of_information(benefit.mean, benefit.sd)


def evpi_of_draws(draws: Draws, k: float) -> float:
    """Return the expected value of perfect information of draws, in money per person, at least 0.

    Args:
      draws: Joint draws of the options.
      k: Money per unit of effect, above 0.
    """
    benefit = draws.net_benefit(k)
    return max(float(benefit.max(axis=1).mean() - benefit.mean(axis=0).max()), 0.0)


def evsi(benefit: NetBenefit, *, sampling_variance: float, privacy_variance: float) -> float:
    """Return the expected value of data that would leave these variances, in money per person.

    Args:
      benefit: INB as it is known today.
      sampling_variance: V_s that would be left, in money squared.
      privacy_variance: V_dp that would be left.

    Raises:
      PaymentError: more would be left than there is today.
    """
    left, now = sampling_variance + privacy_variance, benefit.sd**2
    if not 0 <= left <= now * (1 + 1e-12):
        raise PaymentError(
            f"data would leave a variance of {left:g} where there is {now:g} today",
            do="give the variances after the new data are added to the old",
        )
    return value_of_information(benefit.mean, math.sqrt(max(now - left, 0.0)))


def resolving(benefit: NetBenefit) -> dict[str, float]:
    """Return what it would be worth to resolve the sampling error alone, and the privacy noise alone.

    In money per person. The first argues for patients, the second for privacy budget; they do not add up.
    """
    return {
        "sampling": evsi(benefit, sampling_variance=0.0, privacy_variance=benefit.privacy_variance),
        "privacy": evsi(benefit, sampling_variance=benefit.sampling_variance, privacy_variance=0.0),
    }


def population_value(per_person: float, eligible: Sequence[float], *, discount: float) -> float:
    """Return a value per person times the discounted people whom the decision concerns, in money.

    Args:
      per_person: EVPI, EVPPI or EVSI.
      eligible: People who become eligible in year 0, 1, ... of the decision's horizon; year 0 counts whole.
      discount: Yearly rate, at least 0, below 1.

    Raises:
      PaymentError: a rate outside its range or a negative number of people.
    """
    if not 0 <= discount < 1:
        raise PaymentError(f"{discount} is no yearly discount rate", do="0.05 is five per cent")
    if any(people < 0 for people in eligible):
        raise PaymentError("eligible people are a negative number")
    return per_person * math.fsum(people / (1 + discount) ** year for year, people in enumerate(eligible))
