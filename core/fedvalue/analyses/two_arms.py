"""What the first of two arms costs and brings more than the second, from the moments of each.

    dC = mean cost of the first - mean cost of the second;  dE likewise

A patient is in one arm and each arm's sums have noise of their own, so variances and covariances add.
Nothing is adjusted: the difference is the effect of treatment only where chance assigned the arms, and the
conclusion says so. An arm without estimates leaves the difference without one, for the same reason.
"""

from __future__ import annotations

from fedvalue.analyses.estimate import Estimate, Joint, Released, Stratum

DIFFERENCE = "difference"
UNADJUSTED = "The groups are compared as they are: the effect of treatment only if chance assigned them."
Z95 = 1.959963984540054


def difference(first: Stratum, second: Stratum, cost: str, effect: str) -> Stratum:
    """Return the difference of two arms as a group of its own.

    Args:
      first: Moments of the arm that is asked about.
      second: Of the one it is compared with.
      cost: Name of the cost among their estimates.
      effect: Name of the effect.

    Returns:
      A stratum ``difference`` with the estimates ``cost`` and ``effect`` and how their errors go together.
    """
    released = {
        name: Released(
            value=first.released[name].value + second.released[name].value,
            noise_variance=first.released[name].noise_variance + second.released[name].noise_variance,
        )
        for name in first.released.keys() & second.released.keys()
    }
    for arm in (first, second):
        if arm.status != "estimated":
            return arm.model_copy(update={"name": DIFFERENCE, "released": released, "estimates": {}})
    estimates = {
        key: _less(first.estimates[name], second.estimates[name])
        for key, name in (("cost", cost), ("effect", effect))
    }
    joint = None
    if first.joint is not None and second.joint is not None:
        sampling, privacy = (
            tuple(
                tuple(a + b for a, b in zip(row, other, strict=True))
                for row, other in zip(getattr(first.joint, part), getattr(second.joint, part), strict=True)
            )
            for part in ("sampling", "privacy")
        )
        joint = Joint(names=("cost", "effect"), sampling=sampling, privacy=privacy)
    return Stratum(name=DIFFERENCE, status="estimated", released=released, estimates=estimates, joint=joint)


def _less(one: Estimate, other: Estimate) -> Estimate:
    sampling = one.sampling_variance + other.sampling_variance
    privacy = one.privacy_variance + other.privacy_variance
    value, half = one.value - other.value, Z95 * (sampling + privacy) ** 0.5
    return Estimate(
        value=value, unit=one.unit, lower=value - half, upper=value + half, sampling_variance=sampling,
        privacy_variance=privacy,
    )  # fmt: skip
