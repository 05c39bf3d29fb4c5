"""One patient's row in integers, with a bound that holds exactly whatever the row held.

A real-valued row is clipped in float64, scaled and rounded to the nearest integers, which leaves sums
unbiased. Rounding can push a row over its bound, and so can the last bits of the clip, so the bound is
then enforced where it is promised: on the integers, in integer arithmetic. Rows do not see each other, so
a site with millions of patients quantises a block of rows at a time.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedvalue.errors import PrivacyError
from fedvalue.privacy.release import LOG2_SCALE

RING_BITS = 64
NOISE_ROOM = 40
"""Standard deviations of the summed noise that the ring keeps room for; beyond lies less than exp(-800)."""

LARGEST_BOUND = 2**62
"""A coordinate of a longer row would not fit an int64."""


def patient_bound_squared(gamma: Fraction, bound_squared: Fraction) -> int:
    """Return ``floor((gamma c)^2)``, one patient's largest squared norm in a block, in ring units."""
    bound = gamma**2 * bound_squared
    return bound.numerator // bound.denominator


def quantise(rows: ArrayLike, *, gamma: Fraction, bound_squared: Fraction) -> NDArray[np.int64]:
    """Map each patient's row to integers whose norm the block's bound covers.

    Args:
      rows: One patient a row, in the block's unit, shape ``(patients, dimension)``. A row with any value
        that is not finite becomes a row of zeros.
      gamma: The block's scale, above 0.
      bound_squared: ``c^2``, the squared L2 bound of a row, above 0.

    Returns:
      Rows in ring units, shape ``(patients, dimension)``, each with squared norm at most
      ``floor((gamma c)^2)``.

    Raises:
      PrivacyError: a bound that is not positive or does not fit the ring, or rows that are not a matrix.
    """
    values = np.asarray(rows, dtype=np.float64)
    if values.ndim != 2:
        raise PrivacyError(f"rows have the shape {values.shape}", do="give one row of numbers per patient")
    if gamma <= 0 or bound_squared <= 0:
        raise PrivacyError("a row needs a positive scale and a positive bound")
    limit = patient_bound_squared(gamma, bound_squared)
    if limit >= LARGEST_BOUND**2:
        raise PrivacyError(
            f"one patient could move the sum by 2^{limit.bit_length() // 2}", do="lower the scale"
        )
    if values.shape[1] == 0:
        return np.zeros(values.shape, dtype=np.int64)
    scaled = _clipped(values, float(bound_squared) ** 0.5) * float(gamma)
    return _within(scaled, limit)


def ring_fits(*, patient_cap: int, bound_squared: int, sites: int, log2_scale: int = LOG2_SCALE) -> None:
    """Check ``N D + 40 2^s sqrt(n) < 2^63``: no sum of patients and noise wraps around.

    Args:
      patient_cap: N, the public cap on patients of the whole federation.
      bound_squared: ``D^2``, one patient's squared bound in ring units.
      sites: n, the sites of the roster.
      log2_scale: s.

    Raises:
      PrivacyError: the sum could wrap.
    """
    patients = _root_up(patient_cap**2 * bound_squared)
    noise = _root_up(NOISE_ROOM**2 * 4**log2_scale * sites)
    if patients + noise >= 2 ** (RING_BITS - 1):
        raise PrivacyError(
            f"sums of {patient_cap} patients could wrap around the {RING_BITS}-bit ring",
            do="lower patient_cap or the privacy budget",
        )


def _clipped(values: NDArray[np.float64], bound: float) -> NDArray[np.float64]:
    """Shrink rows to length ``bound``; first to largest coordinate 1, so that no square overflows."""
    finite = np.isfinite(values).all(axis=1, keepdims=True)
    safe = np.where(finite, values, 0.0)
    largest = np.abs(safe).max(axis=1, keepdims=True)
    unit = np.divide(safe, largest, out=np.zeros_like(safe), where=largest > 0)
    length = np.sqrt(np.square(unit).sum(axis=1, keepdims=True))
    # A row is too long if largest > bound / length; the product largest * length could overflow.
    reach = bound / np.where(length > 0, length, 1.0)
    return np.where(largest > reach, unit * reach, safe)


def _within(scaled: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    rows = np.rint(scaled).astype(np.int64)
    over = _longer(rows, limit)
    if len(over):
        rows[over] = np.trunc(scaled[over]).astype(np.int64)
        over = over[_longer(rows[over], limit)]
    while len(over):
        # What is left is the float error of the clip: a few units on the largest coordinate.
        at = np.abs(rows[over]).argmax(axis=1)
        rows[over, at] -= np.sign(rows[over, at])
        over = over[_longer(rows[over], limit)]
    return rows


def _longer(rows: NDArray[np.int64], limit: int) -> NDArray[np.intp]:
    """Return the rows whose exact squared norm is above ``limit``, as indices."""
    largest = int(np.abs(rows).max(initial=0))
    if largest**2 * rows.shape[1] < 2**63:
        return np.flatnonzero(np.square(rows).sum(axis=1) > limit)
    # Python integers where an int64 could overflow: no scale that a plan chooses comes near.
    return np.array([i for i, row in enumerate(rows) if sum(int(v) ** 2 for v in row) > limit], dtype=np.intp)


def _root_up(square: int) -> int:
    root = isqrt(square)
    return root if root * root == square else root + 1
