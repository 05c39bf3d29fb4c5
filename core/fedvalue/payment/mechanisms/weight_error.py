"""How sure a relative weight is: its standard error by the delta method.

    Var(w_g) = sum over j of (dw_g / dc_j)^2 S_j^2 / n_j,   dw_g / dc_j = [g = j] / c - c_g n_j / (N c^2)

with the case mix taken as given and groups independent. Costs are the payer's own, so all of it is sampling
variance and V_dp = 0: how much another year's cases of the same kind would differ. Purpose ``set``.

Source: payment.md 2.5; Casella, G., Berger, R. L. Statistical Inference, 2nd ed. (2002), section 5.5.4.
"""

from __future__ import annotations

import math
from fractions import Fraction

from fedvalue.analyses.estimate import Estimate
from fedvalue.payment.mechanisms.case_costs import PayerHeld
from fedvalue.payment.mechanisms.weights import relative_weights

_Z = 1.959963984540054


def weight_estimates(costs: PayerHeld) -> dict[str, Estimate]:
    """Return every weight with its sampling variance and 95 % interval.

    Args:
      costs: One closed year.

    Raises:
      PurposeMixed: anything but the payer's own exact costs.
      PaymentError: a group without cases.
    """
    weights, whole = relative_weights(costs), costs.mean
    out = {}
    for group, weight in zip(costs.groups, weights.values, strict=True):
        variance = Fraction(0)
        for other in costs.groups:
            slope = (1 if other is group else 0) / whole
            slope -= group.mean * other.cases / (costs.cases * whole**2)
            variance += slope**2 * other.variance / other.cases
        half = _Z * math.sqrt(variance)
        out[group.group] = Estimate(
            value=float(weight),
            unit="relative weight",
            lower=float(weight) - half,
            upper=float(weight) + half,
            sampling_variance=float(variance),
            privacy_variance=0.0,
        )
    return out
