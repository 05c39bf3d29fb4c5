"""The redline: the fund may not grow by more than 5 % a year, with a probability of at most q of doing so.

    growth_y = (spend_y - spend_{y-1}) / spend_{y-1},    breached where P(growth > redline) > q.

A forecast's growth is uncertain, so a point estimate of 4.9 % is no compliance. The growth that the fund
would have without the drug stands beside it: a redline that is crossed anyway is no ground against a drug,
and one that only the drug crosses is. Exactly 5 % is not above 5 %: exact amounts are compared in `Decimal`,
and forecasts as floating-point distributions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
from scipy import special

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.joint import Floats
from fedvalue.payment.fund.impact import growth

Verdict = Literal["kept", "breached_by_the_drug", "breached_anyway"]

LABELS: dict[Verdict, dict[str, str]] = {
    "kept": {"en": "the redline is kept", "zh": "未突破红线"},
    "breached_by_the_drug": {"en": "the redline is crossed because of the drug", "zh": "因该药品突破红线"},
    "breached_anyway": {"en": "the redline is crossed without the drug too", "zh": "无该药品亦突破红线"},
}


@dataclass(frozen=True, slots=True)
class Growth:
    """A fund's growth in one year as a normal distribution.

    Attributes:
      mean: Share, such as .045.
      sampling_variance: V_s of it, at least 0: demand, prices, uptake.
      privacy_variance: V_dp of it, at least 0: 0 where the forecast rests on payer-held figures.
    """

    mean: float
    sampling_variance: float
    privacy_variance: float = 0.0

    def __post_init__(self) -> None:
        values = (self.mean, self.sampling_variance, self.privacy_variance)
        if not all(map(math.isfinite, values)) or min(values[1:]) < 0:
            raise PaymentError("a growth has a finite mean and variances at or above 0")

    def above(self, redline: float) -> float:
        """Return P(growth > redline), between 0 and 1."""
        sd = math.sqrt(self.sampling_variance + self.privacy_variance)
        if sd == 0:
            return float(self.mean > redline)
        return float(special.ndtr((self.mean - redline) / sd))


@dataclass(frozen=True, slots=True)
class Redline:
    """The rule.

    Attributes:
      growth: Largest growth a year, a share.
      q: Largest probability of exceeding it, above 0, below 1.
    """

    growth: Decimal = Decimal("0.05")
    q: float = 0.10

    def __post_init__(self) -> None:
        if not 0 < self.q < 1 or not self.growth.is_finite():
            raise PaymentError(f"q = {self.q} is no probability of a breach", do="0 < q < 1")


@dataclass(frozen=True, slots=True)
class Finding:
    """One year against the redline.

    Attributes:
      probability: P(growth > redline) with the drug.
      probability_without: The same without it.
      growth: Mean growth with the drug.
      growth_without: Mean growth without it.
      verdict: What follows.
    """

    probability: float
    probability_without: float
    growth: float
    growth_without: float
    verdict: Verdict


def exceeds(before: Decimal, after: Decimal, redline: Redline) -> bool:
    """Tell whether exact amounts grew by more than the redline; exactly at it they did not.

    Raises:
      PaymentError: nothing was spent before.
    """
    growth(before, after)
    return after - before > redline.growth * before


def judge(with_drug: Growth, without: Growth, redline: Redline) -> Finding:
    """Judge one year from normal distributions.

    Args:
      with_drug: Growth of the whole fund with the drug.
      without: Growth that it would have without it.
      redline: The rule.
    """
    limit = float(redline.growth)
    return _finding(with_drug.above(limit), without.above(limit), with_drug.mean, without.mean, redline)


def judge_draws(before: Floats, with_drug: Floats, without: Floats, redline: Redline) -> Finding:
    """Judge one year from joint draws of the fund's spend.

    Args:
      before: Spend of the year before, shape ``(n,)``, or one known amount of shape ``()``; above 0.
      with_drug: Spend with the drug, shape ``(n,)``.
      without: Spend without it in the same states of the world, shape ``(n,)``.
      redline: The rule.

    Raises:
      PaymentError: draws of different lengths, none, or a year before without spend.
    """
    if with_drug.shape != without.shape or with_drug.ndim != 1 or not len(with_drug):
        raise PaymentError("spend with and without the drug are drawn together, in one row each")
    if before.shape not in ((), with_drug.shape) or not (np.asarray(before) > 0).all():
        raise PaymentError("the spend of the year before is above 0, one amount or one per draw")
    first, second = with_drug / before - 1, without / before - 1
    limit = float(redline.growth)
    return _finding(
        float((first > limit).mean()),
        float((second > limit).mean()),
        float(first.mean()),
        float(second.mean()),
        redline,
    )


def joint_growth(parts: Sequence[tuple[float, Growth]]) -> Growth:
    """Return the growth of a fund from its lines' shares of last year's spend and independent growths.

    Raises:
      PaymentError: shares that do not sum to 1.
    """
    if not math.isclose(math.fsum(share for share, _ in parts), 1.0, abs_tol=1e-9):
        raise PaymentError("the lines of a fund have shares of last year's spend that sum to 1")
    return Growth(
        math.fsum(share * g.mean for share, g in parts),
        math.fsum(share**2 * g.sampling_variance for share, g in parts),
        math.fsum(share**2 * g.privacy_variance for share, g in parts),
    )


def _finding(p: float, p_without: float, mean: float, mean_without: float, redline: Redline) -> Finding:
    verdict: Verdict = "kept"
    if p > redline.q:
        verdict = "breached_anyway" if p_without > redline.q else "breached_by_the_drug"
    return Finding(p, p_without, mean, mean_without, verdict)
