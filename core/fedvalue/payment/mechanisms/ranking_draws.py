"""Who is likely among the best: the rule that sets where composites are estimates.

Each institution's composite is shrunk to the mean by its reliability, R = tau^2 / (tau^2 + V_s + V_dp), and
ranked in every draw. An institution is named only where the probability of its band is at least ``p_met``;
all others stand in the middle. Used to set a scheme (how many could ever be told apart), never to pay one:
payment ranks exact statements (`ranking`).

Source: payment.md 2.12; Goldstein, H., Spiegelhalter, D. J. JRSS A 159 (1996) 385-443 (uncertain ranks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.underlying import Draws, underlying


@dataclass(frozen=True, slots=True)
class Band:
    """One institution's probabilities.

    Attributes:
      top: Of being among the top share.
      bottom: Of being among the bottom share.
      reliability: R, between 0 and 1.
      band: Named where its probability suffices.
    """

    top: float
    bottom: float
    reliability: float
    band: Literal["top", "middle", "bottom"]


def bands(composites: Draws, *, top: float, bottom: float, p_met: float) -> dict[str, Band]:
    """Return every institution's band probabilities.

    Args:
      composites: Draws by institution, higher is better.
      top: Share of institutions.
      bottom: Share of institutions.
      p_met: Probability from which a band is named, above 0.5.

    Raises:
      PurposeMixed: exact statements or bare numbers.
      PaymentError: levels outside their range.
    """
    underlying(composites, "composites")
    if not (0 < top < 1 and 0 <= bottom < 1 and top + bottom <= 1 and 0.5 < p_met < 1):
        raise PaymentError(
            "shares between 0 and 1 that do not overlap, and p_met above a half", where="bands"
        )
    n = len(composites.names)
    within = composites.sampling.var(axis=0) + composites.privacy.var(axis=0)
    between = max(float(np.var(composites.center)) - float(within.mean()), 0.0)
    if between == 0:
        # Nothing tells the institutions apart: each is as likely as another to stand in either band.
        return {name: Band(int(top * n) / n, int(bottom * n) / n, 0.0, "middle") for name in composites.names}
    reliability = between / (between + within)
    mean = composites.center.mean()
    # A posterior draw: shrunken center, and the deviation scaled to the posterior's standard deviation.
    deviation = (composites.sampling + composites.privacy) * np.sqrt(reliability)
    draws = mean + reliability * (composites.center - mean) + deviation
    places = (-draws).argsort(axis=1, kind="stable").argsort(axis=1)
    out = {}
    for i, name in enumerate(composites.names):
        high = float(np.mean(places[:, i] < int(top * n)))
        low = float(np.mean(places[:, i] >= n - int(bottom * n)))
        named: Literal["top", "middle", "bottom"] = "middle"
        if high >= p_met:
            named = "top"
        elif low >= p_met:
            named = "bottom"
        out[name] = Band(high, low, float(reliability[i]), named)
    return out
