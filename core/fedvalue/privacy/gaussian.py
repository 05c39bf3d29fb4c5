"""The discrete Gaussian of scale 2^s, drawn exactly, with integers only.

``P(X = x)`` is proportional to ``exp(-x^2 / (2 4^s))`` over the integers. A proposal from the discrete
Laplace distribution of scale ``t = 2^s`` (probability proportional to ``exp(-|y| / t)``) is kept with
probability ``exp(-(|y| - 2^s)^2 / (2 4^s))``, about three times in four. Because scale and proposal are
the same power of two, every exponent is an integer over a power of two.

Why it is exact. Every random choice is one of three events, each decided by comparing whole integers:

* **Probability n / 2^b.** The top b bits of a uniform 64-bit word, a uniform integer below ``2^b``, are
  compared with n. No bit beyond the b-th could change the answer, so finitely many bits decide it.
* **Probability 1 / k.** A 64-bit word below the largest multiple of k is uniform modulo k; a word above it
  is thrown away and another one is drawn.
* **Probability exp(-g), 0 <= g <= 1.** Draw ``A_k`` true with probability ``g / k`` (the two events above,
  both true) for k = 1, 2, ... until one is false; the answer is whether that k is odd. The chance of
  getting past k is ``g^k / k!``, so an odd end has chance ``sum_k (-g)^k / k! = exp(-g)``.

A larger exponent is split into its whole part w (w trials of ``exp(-1)`` must all succeed) and its rest.
No floating-point number and no table takes part. What is left to trust is the uniform source.

How long it takes depends on what is drawn, not on patients. Replies are not yet held back to a fixed
delay: see the threat model.

Canonne, C., Kamath, G., Steinke, T. The discrete Gaussian for differential privacy. Advances in Neural
Information Processing Systems 33 (2020), algorithms 1 to 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedvalue.errors import PrivacyError
from fedvalue.privacy.randomness import NoiseSource
from fedvalue.privacy.release import LOG2_SCALE

MAX_LOG2_SCALE = 30
"""Largest s at which the exponent's fractional part, in units of 2^-(2s+1), stays inside an int64."""

CHUNK = 2**16
"""Proposals made at a time: memory stays at a few megabytes whatever the size."""

Words = NDArray[np.uint64]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


def sample(source: NoiseSource, size: int, *, log2_scale: int = LOG2_SCALE) -> Counts:
    """Draw independent discrete Gaussians of scale ``2^log2_scale``.

    Args:
      source: Where the uniform bits come from; in production `SystemNoise`.
      size: How many.
      log2_scale: s, from 1 to 30; the variance is ``4^s`` to within one part in ``1e30``.

    Returns:
      Noise in ring units, shape ``(size,)``.

    Raises:
      PrivacyError: a negative size, or a scale outside the range.
    """
    if size < 0 or not 1 <= log2_scale <= MAX_LOG2_SCALE:
        raise PrivacyError(f"noise of size {size} and scale 2^{log2_scale} cannot be drawn",
                           do=f"ask for a size of 0 or more and an s from 1 to {MAX_LOG2_SCALE}")  # fmt: skip
    drawn: Counts = np.empty(size, dtype=np.int64)
    done = 0
    while done < size:
        # About 46 proposals in 100 survive; a few more than needed saves a second, small pass.
        kept = _attempt(source, min(CHUNK, 64 + (size - done) * 9 // 4), log2_scale)[: size - done]
        drawn[done : done + len(kept)] = kept
        done += len(kept)
    return drawn


def _attempt(source: NoiseSource, proposals: int, s: int) -> Counts:
    """Propose and keep what the Gaussian keeps; the number kept is random, each kept value is exact."""
    # |y| = 2^s high + low, low kept with exp(-low / 2^s) and high geometric: CKS algorithm 2.
    low = source.words(proposals) >> np.uint64(64 - s)
    low = low[_exp_minus(low, s, source)]
    high = _successes(len(low), source)
    negative = _below(np.ones(len(low), dtype=np.uint64), 1, source)
    # Zero has two signs and must be proposed once.
    once = ~(negative & (low == 0) & (high == 0))
    low, high, negative = low[once].astype(np.int64), high[once], negative[once]

    kept = _survives(*_exponent(low, high, s), 2 * s + 1, source)
    size = (high[kept] << s) + low[kept]
    signed: Counts = np.where(negative[kept], -size, size)
    return signed


def _exponent(low: Counts, high: Counts, s: int) -> tuple[Counts, Counts]:
    """Return ``(|y| - 2^s)^2 / 2^(2s+1)`` as its whole part and the rest in units of ``2^-(2s+1)``.

    The distance is ``far 2^s + near`` with ``near <= 2^s``, so that no square overflows for any ``high``
    that can be counted up to in a lifetime.
    """
    far = np.maximum(high - 1, 0)
    near = np.where(high > 0, low, (1 << s) - low)
    cross = far * near
    rest = ((far & 1) << 2 * s) + ((cross & ((1 << s) - 1)) << (s + 1)) + near * near
    whole = (far * far >> 1) + (cross >> s) + (rest >> (2 * s + 1))
    return whole, rest & ((1 << (2 * s + 1)) - 1)


def _survives(whole: Counts, rest: Counts, bits: int, source: NoiseSource) -> Flags:
    """Return true with probability ``exp(-whole - rest / 2^bits)``, shape of ``whole``."""
    alive = np.flatnonzero(_exp_minus(rest.astype(np.uint64), bits, source))
    owed = whole[alive]
    survived: Flags = np.zeros(len(whole), dtype=np.bool_)
    while len(alive):
        survived[alive[owed == 0]] = True
        alive, owed = alive[owed > 0], owed[owed > 0] - 1
        passed = _exp_minus_one(len(alive), source)
        alive, owed = alive[passed], owed[passed]
    return survived


def _successes(count: int, source: NoiseSource) -> Counts:
    """Count trials of probability ``exp(-1)`` until the first failure, shape ``(count,)``."""
    number: Counts = np.zeros(count, dtype=np.int64)
    alive = np.arange(count)
    while len(alive):
        alive = alive[_exp_minus_one(len(alive), source)]
        number[alive] += 1
    return number


def _exp_minus_one(count: int, source: NoiseSource) -> Flags:
    return _exp_minus(np.full(count, 2, dtype=np.uint64), 1, source)


def _exp_minus(numerators: Words, bits: int, source: NoiseSource) -> Flags:
    """Return true with probability ``exp(-numerators / 2^bits)``, exponents from 0 to 1: CKS algorithm 1."""
    answer: Flags = np.zeros(len(numerators), dtype=np.bool_)
    alive, k = np.arange(len(numerators)), 1
    while len(alive):
        past = _below(numerators, bits, source)
        past[past] = _one_in(k, int(np.count_nonzero(past)), source)
        if k % 2:
            answer[alive[~past]] = True
        alive, numerators, k = alive[past], numerators[past], k + 1
    return answer


def _below(numerators: Words, bits: int, source: NoiseSource) -> Flags:
    """Return true with probability ``numerators / 2^bits``."""
    below: Flags = source.words(len(numerators)) >> np.uint64(64 - bits) < numerators
    return below


def _one_in(k: int, count: int, source: NoiseSource) -> Flags:
    """Return true with probability ``1 / k``, shape ``(count,)``."""
    if k == 1:
        return np.ones(count, dtype=np.bool_)
    part = 2**64 // k
    words = source.words(count)
    chosen: Flags = words < np.uint64(part)
    if part * k < 2**64:
        again = words >= np.uint64(part * k)
        if again.any():
            chosen[again] = _one_in(k, int(np.count_nonzero(again)), source)
    return chosen
