"""What a schedule of instalments is expected to cost, with the uncertainty of the survival behind it.

With event-free survival S, instalments A_k due at t_k and clawback share gamma within W months,

    gross    = sum_k A_k S(t_k)
    clawback = gamma sum_k (A_1 + ... + A_k) [S(t_k) - S(min(t_{k+1}, W))]
    net      = gross - clawback,

the bracket 0 where t_k >= W, and t_{K+1} = W. Present value, at a yearly rate r: instalments are discounted
at t_k, a clawback at the end of its interval. Noise may leave draws of S outside [0, 1] or rising; each is
projected on the non-increasing curves (pool adjacent violators), which is post-processing and free. The
projection is of the draw alone: the center keeps the released estimate, and it is projected likewise.

Purpose ``set``: budgets and reserves. It pays nobody. Severe adverse events are not in S; where they stop
instalments the expectation is an upper bound. Source: payment.md 2.3; Barlow et al. Statistical Inference
under Order Restrictions (1972), section 1.2 (pool adjacent violators).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from scipy import optimize

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.instalments import Schedule
from fedvalue.payment.mechanisms.underlying import Derived, Draws, Floats, underlying


@dataclass(frozen=True, slots=True)
class ExpectedNet:
    """Expected money per patient; estimates, never a settlement.

    Attributes:
      gross: Of the instalments.
      clawback: Of the clawback.
      net: Their difference, with separate variances.
    """

    gross: Derived
    clawback: Derived
    net: Derived


def months_needed(terms: Schedule) -> tuple[Decimal, ...]:
    """Return the months at which S must be known, increasing: every t_k, and W where it is later."""
    return tuple(sorted({*terms.months, terms.clawback_window}))


def non_increasing(curves: Floats) -> Floats:
    """Return the nearest non-increasing curves within [0, 1], in least squares.

    Args:
      curves: One curve a row, shape ``(runs, k)``.
    """
    out = np.clip(curves, 0.0, 1.0)
    for i in np.flatnonzero((np.diff(curves, axis=1) > 0).any(axis=1)):
        out[i] = np.clip(optimize.isotonic_regression(curves[i], increasing=False).x, 0.0, 1.0)
    return out


def expected_net(terms: Schedule, survival: Draws, *, yearly_discount: Decimal = Decimal(0)) -> ExpectedNet:
    """Return gross, clawback and net per patient.

    Args:
      terms: The contract.
      survival: S at `months_needed`, named by month (``"3"``), probabilities.
      yearly_discount: r; 0 for plain expectations.

    Raises:
      PurposeMixed: a realised figure or bare numbers.
      PaymentError: S at other months, or a negative rate.
    """
    underlying(survival, "survival")
    months = months_needed(terms)
    if survival.names != tuple(str(month) for month in months):
        raise PaymentError(
            f"S is given at {', '.join(survival.names)}",
            where=terms.contract,
            do=f"give it at months {', '.join(map(str, months))}",
        )
    if yearly_discount < 0:
        raise PaymentError("a negative discount rate", where=terms.contract)
    due = [months.index(month) for month in terms.months]
    paid = np.cumsum([float(a) for a in terms.amounts])
    discount = (1 + float(yearly_discount)) ** (-np.array([float(m) for m in months]) / 12)
    window = months.index(terms.clawback_window)

    def gross(curves: Floats) -> Floats:
        s = non_increasing(curves)
        return np.asarray(s[:, due] @ (np.diff(paid, prepend=0.0) * discount[due]), dtype=np.float64)

    def clawback(curves: Floats) -> Floats:
        s = non_increasing(curves)
        total = np.zeros(len(s))
        for k, at in enumerate(due):
            end = min(due[k + 1], window) if k + 1 < len(due) else window
            if at < end:
                total += paid[k] * (s[:, at] - s[:, end]) * discount[end]
        return total * float(terms.clawback_share)

    def net(curves: Floats) -> Floats:
        return gross(curves) - clawback(curves)

    return ExpectedNet(survival.through(gross), survival.through(clawback), survival.through(net))
