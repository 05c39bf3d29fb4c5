"""EVPPI: what it would be worth to know some of a model's parameters, by regression on its draws.

For the parameters x, g_d(x) = E(NB_d | x) and EVPPI = E max_d g_d(x) - max_d E g_d(x). The conditional
mean is fitted by least squares on a natural cubic spline in each parameter, with knots at quantiles, and,
for two or more parameters, the products of their first two basis functions. That is a GAM with pairwise
interactions, not a Gaussian process: an effect that needs three parameters at once is missed, so the value
is a lower bound there.

Strong, Oakley, Brennan. Estimating multiparameter partial expected value of perfect information from a
probabilistic sensitivity analysis sample: a nonparametric regression approach. Medical Decision Making 34
(2014) 311-326. Natural spline basis: Hastie, Tibshirani, Friedman. The Elements of Statistical Learning,
2nd ed. (2009), eq. (5.4)-(5.5).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.joint import Draws, Floats

KNOTS = 6
"""Knots per parameter; with natural ends that is five basis functions."""

DRAWS_PER_TERM = 10
"""Fewest draws per regression term; below it the fit follows the noise and overstates the value."""


def evppi(draws: Draws, parameters: Floats, k: float, *, knots: int = KNOTS) -> float:
    """Return the expected value of knowing some parameters, in money per person, at least 0.

    Args:
      draws: Joint draws of the options.
      parameters: The parameters' draws, row by row those that gave ``draws``, shape ``(n, p)`` or ``(n,)``.
      k: Money per unit of effect, above 0.
      knots: Per parameter, at least 3.

    Raises:
      PaymentError: rows do not match, or too few draws for the regression.
    """
    x = parameters[:, None] if parameters.ndim == 1 else parameters
    benefit = draws.net_benefit(k)
    if x.shape[0] != benefit.shape[0]:
        raise PaymentError(
            f"{x.shape[0]} draws of parameters for {benefit.shape[0]} draws of cost and effect",
            do="keep each draw's parameters beside its results",
        )
    if not np.isfinite(x).all():
        raise PaymentError("a parameter's draw is not finite")
    fitted = conditional_mean(x, benefit, knots=knots)
    return max(float(fitted.max(axis=1).mean() - fitted.mean(axis=0).max()), 0.0)


def conditional_mean(x: Floats, benefit: Floats, *, knots: int = KNOTS) -> Floats:
    """Return the fitted E(NB_d | x), shape ``(n, options)``.

    Args:
      x: Parameters, shape ``(n, p)``.
      benefit: Net benefit, shape ``(n, options)``.
      knots: Per parameter, at least 3.

    Raises:
      PaymentError: too few draws for the regression.
    """
    bases = [_natural_spline(column, knots) for column in x.T]
    terms = [np.ones((x.shape[0], 1)), *bases]
    for first, second in combinations(bases, 2):
        terms += [first[:, i : i + 1] * second[:, j : j + 1] for i in range(2) for j in range(2)
                  if i < first.shape[1] and j < second.shape[1]]  # fmt: skip
    design = np.hstack(terms)
    if x.shape[0] < DRAWS_PER_TERM * design.shape[1]:
        raise PaymentError(
            f"{x.shape[0]} draws are too few for a regression with {design.shape[1]} terms",
            do=f"draw at least {DRAWS_PER_TERM * design.shape[1]}",
        )
    # Differences to the first option: what all options share cancels and need not be fitted.
    against_first = benefit - benefit[:, :1]
    coefficients, *_ = np.linalg.lstsq(design, against_first, rcond=None)
    return np.asarray(design @ coefficients + benefit[:, :1].mean(), dtype=np.float64)


def _natural_spline(values: Floats, knots: int) -> Floats:
    """Return a natural cubic spline's basis without the constant, shape ``(n, up to knots - 1)``."""
    if knots < 3:
        raise PaymentError("a spline takes at least three knots")
    spread = values.std()
    if spread == 0:
        return np.zeros((len(values), 0))
    z = (values - values.mean()) / spread
    at = np.unique(np.quantile(z, np.linspace(0.02, 0.98, knots)))
    columns = [z]
    if len(at) >= 3:
        last = at[-1]

        def d(knot: float) -> Floats:
            cubes = np.maximum(z - knot, 0.0) ** 3 - np.maximum(z - last, 0.0) ** 3
            return np.asarray(cubes / (last - knot), dtype=np.float64)

        end = d(at[-2])
        columns += [d(knot) - end for knot in at[:-2]]
    return np.column_stack(columns)
