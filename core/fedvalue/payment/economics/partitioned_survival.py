"""A partitioned-survival model: lifetime cost and effect straight from two survival curves.

With PFS(t) the share alive without progression and OS(t) the share alive,

    pre-progression = PFS,    progressed = OS - PFS,    dead = 1 - OS.

Kaplan-Meier curves end before people do, so the tail is an assumption, here the plainest one that can be
argued about: a constant hazard from the last cycles seen. Where extrapolation decides the answer, that is
model uncertainty and no number of patients seen so far resolves it: `observed_share` says how much of the
effect was seen.

Curves with independent noise may cross. Crossing is refused unless the caller caps PFS at OS knowingly;
the largest crossing is then kept with the result.

Woods et al. NICE DSU Technical Support Document 19: partitioned survival analysis (2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.joint import Floats
from fedvalue.payment.economics.lifetime import Accrual, Lifetime, accrue

STATES = ("pre_progression", "progressed", "dead")

CROSSING = 1e-9
"""Largest PFS - OS that is rounding and not crossing."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Occupancy of the three states.

    Attributes:
      occupancy: Shares at each edge, in the order of `STATES`, shape ``(cycles + 1, 3)``.
      crossed: Largest PFS - OS that was capped, 0 where the curves do not cross.
    """

    occupancy: Floats
    crossed: float


def partition(pfs: Floats, os: Floats, *, cap_crossing: bool) -> Partition:
    """Return the occupancy of the three states.

    Args:
      pfs: Share alive without progression at each edge, shape ``(cycles + 1,)``, 1 at the first.
      os: Share alive at each edge, shaped likewise, 1 at the first.
      cap_crossing: Cap PFS at OS where it is above; otherwise crossing is refused.

    Raises:
      PaymentError: a curve that is none, curves of different lengths, or crossing.
    """
    for name, curve in (("PFS", pfs), ("OS", os)):
        _checked(curve, name)
    if pfs.shape != os.shape:
        raise PaymentError(f"PFS has {len(pfs)} edges and OS {len(os)}")
    crossed = max(float((pfs - os).max()), 0.0)
    if crossed > CROSSING and not cap_crossing:
        raise PaymentError(
            f"PFS lies above OS by up to {crossed:.3g}",
            do="more people cannot be free of progression than alive: fit both curves from one model, "
            "or cap PFS at OS knowingly",
        )
    pre = np.minimum(pfs, os)
    return Partition(np.column_stack([pre, os - pre, 1.0 - os]), crossed if crossed > CROSSING else 0.0)


def lifetime(part: Partition, cost: Floats, effect: Floats, accrual: Accrual) -> Lifetime:
    """Return discounted lifetime cost and effect per person.

    Args:
      part: Occupancy.
      cost: Money per cycle in the three states, shape ``(3,)`` or ``(cycles + 1, 3)``.
      effect: Effect per cycle in the three states, shaped likewise; that of ``dead`` is 0.
      accrual: Quadrature and discounting.

    Raises:
      PaymentError: as in `accrue`, or the dead would have an effect.
    """
    if effect.shape[-1:] != (3,) or (effect[..., 2] != 0).any():
        raise PaymentError("the effect of the state 'dead' is not 0")
    return accrue(part.occupancy, cost, effect, accrual)


def with_constant_tail(curve: Floats, cycles: int, *, from_last: int) -> Floats:
    """Return a curve carried on to ``cycles`` at the mean hazard of its last cycles.

    Args:
      curve: Shares at the edges seen, shape ``(seen + 1,)``.
      cycles: Cycles wanted, at least as many as seen.
      from_last: Cycles that the hazard is taken from, at least 1.

    Raises:
      PaymentError: no curve, too few cycles, or nobody left (or nobody lost) to take a hazard from.
    """
    _checked(curve, "the curve")
    seen = len(curve) - 1
    if cycles < seen or not 1 <= from_last <= seen:
        raise PaymentError(f"{seen} cycles were seen; {cycles} are wanted from the last {from_last}")
    first, last = float(curve[seen - from_last]), float(curve[seen])
    if last <= 0:
        return np.concatenate([curve, np.zeros(cycles - seen)])
    hazard = math.log(first / last) / from_last
    if hazard <= 0 and cycles > seen:
        raise PaymentError(
            f"nobody was lost in the last {from_last} cycles, so the tail would never end",
            do="take the hazard from more cycles",
        )
    ahead = np.arange(1, cycles - seen + 1)
    return np.concatenate([curve, last * np.exp(-hazard * ahead)])


def observed_share(part: Partition, effect: Floats, accrual: Accrual, *, seen: int) -> float:
    """Return the share of the lifetime effect that falls into the cycles seen, between 0 and 1.

    Args:
      part: Occupancy over all cycles.
      effect: Effect per cycle in the three states, shape ``(3,)``.
      accrual: Quadrature and discounting.
      seen: Cycles before the tail begins, at least 2.

    Raises:
      PaymentError: more cycles seen than there are.
    """
    if not 2 <= seen <= part.occupancy.shape[0] - 1:
        raise PaymentError(f"{seen} cycles seen of {part.occupancy.shape[0] - 1}")
    nothing = np.zeros(3)
    whole = accrue(part.occupancy, nothing, effect, accrual).effect
    early = accrue(part.occupancy[: seen + 1], nothing, effect, accrual).effect
    return 0.0 if whole == 0 else min(early / whole, 1.0)


def _checked(curve: Floats, name: str) -> None:
    if curve.ndim != 1 or len(curve) < 2 or not np.isfinite(curve).all():
        raise PaymentError(f"{name} is no survival curve: give one share per edge")
    if abs(curve[0] - 1) > CROSSING or (curve < 0).any() or (np.diff(curve) > CROSSING).any():
        raise PaymentError(
            f"{name} is no survival curve: it starts at 1, falls or stays, and ends at or above 0"
        )
