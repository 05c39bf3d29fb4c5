"""From released sums of cost and effect to an increment, with sampling and privacy covariance apart.

Each arm releases n, the sums of cost C and effect E, and of C^2, E^2 and C E, every one with independent
noise of known variance. With the means m = S / n,

    sampling:  Cov(m) = (S_xy / n - m_x m_y) / (n - 1)
    privacy:   Var(m_x) = (v_x + m_x^2 v_n) / n^2,    Cov(m_x, m_y) = m_x m_y v_n / n^2

(delta method: S / n is linear in both noises up to their product, of relative size sqrt(v_n) / n). The
noise of n moves both means together, so privacy covariance has a cross term although all noises are
independent. A squared noisy mean is too large by v_x / n^2 on average, which is given back to the spread.

Sites do well to subtract a public anchor from every cost and effect before they sum: then m is near 0, and
the noise of n hardly moves means and spreads. The increment of two arms with one anchor is the same.

Noise can make the sums of squares impossible: a variance below 0, or a correlation above 1. The first means
that the spread cannot be told from noise and is refused, the second is cut to 1. Refusing an arm for its
released figures reveals nothing: they are already released.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedvalue.analyses.estimate import Released
from fedvalue.errors import PaymentError
from fedvalue.payment.economics.joint import Covariance, Increment

RELIABLE = 5.0
"""Released patients must be this many noise SDs above 0, or the delta method does not hold."""


@dataclass(frozen=True, slots=True)
class ArmSums:
    """Released sums of one arm; costs and effects are clipped at the sites to public bounds.

    Attributes:
      patients: n.
      cost: Sum of cost, in money.
      effect: Sum of effect.
      cost_squared: Sum of squared cost.
      effect_squared: Sum of squared effect.
      cross: Sum of cost times effect.
    """

    patients: Released
    cost: Released
    effect: Released
    cost_squared: Released
    effect_squared: Released
    cross: Released


@dataclass(frozen=True, slots=True)
class ArmMeans:
    """Mean cost and effect of one arm.

    Attributes:
      cost: Money per patient.
      effect: Effect per patient.
      sampling: Covariance of the two means from sampling.
      privacy: Covariance from noise.
    """

    cost: float
    effect: float
    sampling: Covariance
    privacy: Covariance


def arm_means(sums: ArmSums, *, arm: str) -> ArmMeans:
    """Return the means of an arm; ``arm`` names it in errors.

    Raises:
      PaymentError: too few patients for their noise, or a spread that is lost in noise.
    """
    n = sums.patients.value
    if n < max(2.0, RELIABLE * math.sqrt(sums.patients.noise_variance)):
        raise PaymentError(
            f"{n:.1f} released patients with a noise SD of {math.sqrt(sums.patients.noise_variance):.1f} "
            "give no mean",
            where=arm,
            do="use a larger cohort, a coarser group or more privacy budget",
        )
    cost, effect = sums.cost.value / n, sums.effect.value / n
    spread_cost = sums.cost_squared.value / n - cost**2 + sums.cost.noise_variance / n**2
    spread_effect = sums.effect_squared.value / n - effect**2 + sums.effect.noise_variance / n**2
    if spread_cost < 0 or spread_effect < 0:
        raise PaymentError(
            "the spread of cost or effect is lost in noise: its variance would be below 0",
            where=arm,
            do="use a larger cohort, a coarser group or more privacy budget",
        )
    limit = math.sqrt(spread_cost * spread_effect)
    cross = min(max(sums.cross.value / n - cost * effect, -limit), limit)
    v_n = sums.patients.noise_variance
    return ArmMeans(
        cost,
        effect,
        Covariance(spread_cost / (n - 1), spread_effect / (n - 1), cross / (n - 1)),
        Covariance(
            (sums.cost.noise_variance + cost**2 * v_n) / n**2,
            (sums.effect.noise_variance + effect**2 * v_n) / n**2,
            cost * effect * v_n / n**2,
        ),
    )


def increment_of(new: ArmSums, current: ArmSums) -> Increment:
    """Return ``new`` less ``current`` per patient; the arms are different people with their own noise.

    The difference of two arms is an effect of treatment only as far as the arms are comparable; see the
    bias checklist of the evidence.

    Raises:
      PaymentError: as in `arm_means`.
    """
    first, second = arm_means(new, arm="new"), arm_means(current, arm="current")
    return Increment(
        first.cost - second.cost,
        first.effect - second.effect,
        first.sampling + second.sampling,
        first.privacy + second.privacy,
    )
