"""Whether a comorbidity counts as none, CC or MCC: the interpolated C value of CMS.

    C = X + Y,   Y = (c - low) / (high - low),

with c the mean cost of patients with this comorbidity at this severity, [low, high] the mean costs of the
severity below and above, and X = 1 (none), 2 (CC) or 3 (MCC). A value near X says that such patients cost
as those of that severity do. Exact, from the payer's costs; a Y outside [0, 1] is printed as it is.

Source: CMS IPPS rules, CC exclusion analysis; shared example file with the published values.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Literal

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.exact import chosen, money

Severity = Literal["none", "cc", "mcc"]
LEVELS: tuple[Severity, ...] = ("none", "cc", "mcc")
"""X is the place in this order: 1, 2, 3."""


def c_value(severity: Severity, cost: Decimal, *, low: Decimal, high: Decimal) -> Fraction:
    """Return C of one sub-class.

    Args:
      severity: At which severity the patients were.
      cost: Their mean cost.
      low: Mean cost at this severity.
      high: Mean cost at the next, or twice this one for ``mcc``.

    Raises:
      PaymentError: unknown severity, or bounds that do not increase.
    """
    chosen(severity, LEVELS, "severity")
    width = money(high, "high") - money(low, "low")
    if width <= 0:
        raise PaymentError("the next severity does not cost more", where=severity)
    return 1 + LEVELS.index(severity) + (money(cost, "cost") - Fraction(low)) / width
