"""What one release asks of a patient: blocks, each with its bound and its share of the budget.

A release is a frozen event. It documents its own mathematics, so the plan, the ledger and the audit
read the same object: sensitivity (add or remove one patient), scales and price.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from fedvalue.errors import PrivacyError

LOG2_SCALE = 20
"""s: every site's noise has the fixed scale 2^s in the 64-bit ring, for life."""

RHO_UNIT = Fraction(1, 2**40)
"""Privacy is counted in integers of 2^-40 zCDP."""

FLOAT_ROOM = 1 + Fraction(1, 2**20)
"""By how much a clipped row may be too long in float64."""

SUM_BLOCK = 528
"""B: rows that a site adds in float64 by themselves, before their sum joins the total of a summed block."""


@dataclass(frozen=True, slots=True)
class Block:
    """A run of coordinates with one scale.

    Attributes:
      name: Unique in its release.
      dimension: Number of coordinates.
      bound_squared: c^2, one patient's squared L2 bound at one site, before scaling.
      counting: True where coordinates are counts; gamma is then an integer, and counts are exact.
      rho_units: Price in 2^-40 zCDP that the plan gives this block, if everybody were drawn; 0 before
        planning.
      summed: True where a site adds its patients' clipped rows in float64 and rounds the sum once, as for
        gradients: the bound in integers then has room for both roundings. c must be rational.
    """

    name: str
    dimension: int
    bound_squared: Fraction
    counting: bool
    rho_units: int = 0
    summed: bool = False


@dataclass(frozen=True, slots=True)
class Scales:
    """The integer scales of a planned release, the same bytes at every site.

    Attributes:
      gammas: One scale per block: a patient's value v enters the ring as round(gamma v).
      patient_bound_squared: D_1^2 = sum of floor((gamma c)^2), one patient at one site.
      charged_bound_squared: D^2 = k^2 D_1^2, one patient at k sites.
      honest_shares: m = t - c, the noise shares that the price counts on.
    """

    gammas: tuple[Fraction, ...]
    patient_bound_squared: int
    charged_bound_squared: int
    honest_shares: int

    def rho_units(self, honest_shares: int | None = None) -> int:
        """Return D^2 / (2 m 4^s) in units of 2^-40, rounded up.

        Args:
          honest_shares: m to count on; 1 is the price of a site's own share alone. Default: the plan's.

        Raises:
          PrivacyError: fewer than one share.
        """
        m = self.honest_shares if honest_shares is None else honest_shares
        return cost_units(self.charged_bound_squared, honest_shares=m)


def scales(blocks: tuple[Block, ...], *, honest_shares: int, sites_per_patient: int) -> Scales:
    """Compute the exact scales of a planned release.

    ``gamma = 2^s sqrt(2 m rho) / (k c)``, rounded down to a multiple of 2^-16, or of 1 for counts, in
    integer arithmetic.

    Args:
      blocks: Planned blocks, each with its price.
      honest_shares: m = t - c, at least 1.
      sites_per_patient: k, at how many sites one person may appear.

    Raises:
      PrivacyError: a block has no budget, or so little that its scale vanishes.
    """
    if honest_shares < 1 or sites_per_patient < 1:
        raise PrivacyError("honest shares and sites per patient are at least 1")
    gammas, total = [], 0
    for block in blocks:
        if block.rho_units <= 0 or block.bound_squared <= 0:
            raise PrivacyError("a block needs a budget and a bound", where=block.name)
        grain = 1 if block.counting else 2**16
        whole = Fraction(4**LOG2_SCALE * 2 * honest_shares * block.rho_units, 2**40)
        if block.summed:
            gamma = _summed_gamma(block, isqrt(int(whole / sites_per_patient**2)), grain)
        else:
            squared = whole / (sites_per_patient**2 * block.bound_squared) * grain**2
            gamma = Fraction(isqrt(squared.numerator // squared.denominator), grain)
        if gamma < 1:
            raise PrivacyError(
                "the budget is too small for this block: its scale vanishes",
                where=block.name,
                do="ask fewer questions or raise epsilon",
            )
        gammas.append(gamma)
        total += patient_bound_squared(block, gamma)
    return Scales(tuple(gammas), total, sites_per_patient**2 * total, honest_shares)


def patient_bound_squared(block: Block, gamma: Fraction) -> int:
    """Return ``D_1^2`` of a block: the largest squared move of its integers by one patient at one site.

    ``floor((gamma c)^2)`` where each patient's row is rounded by itself. Where the site rounds its sum once,
    ``(gamma c (1 + 2^-20) + 2 sqrt(d))^2``, rounded up: each coordinate of either sum is at most 1/2 off by
    rounding and 1/2 by float64 additions (our derivation; `require_exact_sum` has the latter).

    Raises:
      PrivacyError: c of a summed block is not rational.
    """
    if not block.summed:
        bound = gamma**2 * block.bound_squared
        return bound.numerator // bound.denominator
    reach = gamma * _root(block) * FLOAT_ROOM + _rounding(block)
    squared = reach**2
    return -(-squared.numerator // squared.denominator)


def require_exact_sum(block: Block, gamma: Fraction, patient_cap: int) -> None:
    """Check ``gamma c N (B + N/B) 2^-53 <= 1/2``: the order of a sum moves no coordinate by half a unit.

    Inside a block of B rows a coordinate is added at most B times and block sums are added at most N/B + 1
    times; each addition loses at most 2^-53 of what all rows add up to, which is at most ``c N``.

    Args:
      block: A block whose rows a site adds in float64; any other passes.
      gamma: Its scale.
      patient_cap: N, the public cap on patients. Never a count of patients: this refusal is seen outside.

    Raises:
      PrivacyError: it could; or c is not rational.
    """
    if not block.summed:
        return
    error = gamma * _root(block) * patient_cap * (SUM_BLOCK + Fraction(patient_cap, SUM_BLOCK)) / 2**53
    if error > Fraction(1, 2):
        raise PrivacyError(
            f"sums of {patient_cap:,} patients may be {float(error):.2g} units off; half a unit is covered",
            where=block.name,
            do="lower patient_cap or the budget of the analysis",
        )


def _summed_gamma(block: Block, reach: int, grain: int) -> Fraction:
    """The largest scale of a summed block with ``D_1`` at most ``reach``; 0 or less where there is none."""
    found = (reach - _rounding(block)) * grain / (_root(block) * FLOAT_ROOM)
    return Fraction(found.numerator // found.denominator, grain)


def _rounding(block: Block) -> int:
    """``2 sqrt(d)``, rounded up."""
    return isqrt(4 * block.dimension - 1) + 1


def _root(block: Block) -> Fraction:
    """Return c of a summed block."""
    top, bottom = block.bound_squared.numerator, block.bound_squared.denominator
    root = Fraction(isqrt(top), isqrt(bottom))
    if root**2 != block.bound_squared:
        raise PrivacyError("the bound of a summed block is no rational number", where=block.name)
    return root


def cost_units(charged_bound_squared: int, *, honest_shares: int, log2_scale: int = LOG2_SCALE) -> int:
    """Return ``D^2 / (2 m 4^s)``, the zCDP of one release, in units of 2^-40, rounded up.

    Exact for one share (Canonne, Kamath, Steinke, The discrete Gaussian for differential privacy, 2020). The
    sum of m shares of scale 2^20 differs from a Gaussian of variance ``m 4^s`` by less than ``exp(-4^20)``
    (Kairouz, Liu, Steinke, The distributed discrete Gaussian mechanism, ICML 2021, proposition 14).

    Args:
      charged_bound_squared: ``D^2``, one patient's squared bound over all its sites, in ring units.
      honest_shares: m, the noise shares that are counted on.
      log2_scale: s.

    Raises:
      PrivacyError: fewer than one share, or a negative bound.
    """
    if honest_shares < 1 or charged_bound_squared < 0:
        raise PrivacyError("a price needs at least one share of noise and a bound of 0 or more")
    rho = Fraction(charged_bound_squared, 2 * honest_shares * 4**log2_scale) / RHO_UNIT
    return -(-rho.numerator // rho.denominator)
