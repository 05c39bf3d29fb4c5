"""Incremental net benefit over a grid of willingness to pay; no official k exists, so no single one here.

    INB(k) = k dE - dC,    P(INB > 0) = Phi(INB / s),    s^2 = V_s + V_dp.

P(INB > 0) over k is the acceptability curve of two options. With several options the curve is the share
of draws in which each has the highest net benefit (CEAC), and the frontier (CEAF) is the CEAC of the
option with the highest EXPECTED net benefit, which need not be the option with the highest CEAC.

Stinnett, Mullahy (1998) as in `joint`; Fenwick, Claxton, Sculpher. Representing uncertainty: the role of
cost-effectiveness acceptability curves. Health Economics 10 (2001) 779-787.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import special

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.joint import Draws, Floats, Increment


@dataclass(frozen=True, slots=True)
class NetBenefit:
    """Incremental net benefit at one k.

    Attributes:
      k: Money per unit of effect, above 0.
      mean: k dE - dC, in money per patient.
      sampling_variance: V_s, in money squared.
      privacy_variance: V_dp, in money squared.
    """

    k: float
    mean: float
    sampling_variance: float
    privacy_variance: float

    @property
    def sd(self) -> float:
        """Return s = sqrt(V_s + V_dp), in money per patient."""
        return math.sqrt(self.sampling_variance + self.privacy_variance)

    @property
    def probability(self) -> float:
        """P(INB > 0), between 0 and 1; without uncertainty 0 or 1, and one half at exactly 0."""
        if self.sd == 0:
            return 0.5 if self.mean == 0 else float(self.mean > 0)
        return float(special.ndtr(self.mean / self.sd))


def net_benefits(
    increment: Increment, grid: Sequence[float], *, extra_privacy_sd: float = 0.0
) -> tuple[NetBenefit, ...]:
    """Return INB(k) for every k of a grid.

    Args:
      increment: dC and dE.
      grid: Values of k, above 0, increasing.
      extra_privacy_sd: SD of privacy noise on INB itself, in money per patient, for evidence released as
        net benefit rather than as cost and effect.

    Raises:
      PaymentError: the grid is empty, not increasing, or holds a k at or below 0.
    """
    return tuple(
        NetBenefit(
            k=k,
            mean=k * increment.effect - increment.cost,
            sampling_variance=increment.sampling.of_net_benefit(k),
            privacy_variance=increment.privacy.of_net_benefit(k) + extra_privacy_sd**2,
        )
        for k in checked_grid(grid)
    )


def checked_grid(grid: Sequence[float]) -> tuple[float, ...]:
    """Return the grid of k if it is one.

    Raises:
      PaymentError: empty, not increasing, not finite, or a k at or below 0.
    """
    found = tuple(float(k) for k in grid)
    if not found or not all(math.isfinite(k) and k > 0 for k in found):
        raise PaymentError("willingness to pay is a grid of amounts above 0")
    if any(later <= earlier for earlier, later in pairwise(found)):
        raise PaymentError("the grid of willingness to pay does not increase")
    return found


@dataclass(frozen=True, slots=True)
class Acceptability:
    """CEAC and CEAF over a grid.

    Attributes:
      grid: Values of k, shape ``(k,)``.
      options: Names.
      ceac: Share of draws in which each option has the highest net benefit, shape ``(k, options)``; a draw
        in which several are best is shared among them.
      expected: Expected net benefit, in money per patient, shape ``(k, options)``.
      best: Option with the highest expected net benefit at each k; the earlier of two equal ones.
      ceaf: CEAC of that option, shape ``(k,)``.
    """

    grid: Floats
    options: tuple[str, ...]
    ceac: Floats
    expected: Floats
    best: tuple[str, ...]
    ceaf: Floats


def acceptability(draws: Draws, grid: Sequence[float]) -> Acceptability:
    """Return CEAC and CEAF of draws.

    Args:
      draws: Joint draws of the options.
      grid: Values of k, above 0, increasing.

    Raises:
      PaymentError: the grid is none.
    """
    ks = np.array(checked_grid(grid))
    shares, means = [], []
    for k in ks:
        benefit = draws.net_benefit(float(k))
        top = benefit == benefit.max(axis=1, keepdims=True)
        shares.append((top / top.sum(axis=1, keepdims=True)).mean(axis=0))
        means.append(benefit.mean(axis=0))
    ceac, expected = np.array(shares), np.array(means)
    column = expected.argmax(axis=1)
    return Acceptability(
        grid=ks,
        options=draws.options,
        ceac=ceac,
        expected=expected,
        best=tuple(draws.options[i] for i in column),
        ceaf=ceac[np.arange(len(ks)), column],
    )
