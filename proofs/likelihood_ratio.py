"""What an adversary's best guesses say of the noise that protected a patient, from below and from above.

A release of one coordinate is ``x + z``, with ``x`` either 0 or the distance D that one patient can move it,
and z the sum of m honest shares. The best test of the two is a threshold on what is seen; here it is fixed in
advance at ``D / 2``. Against Gaussian noise its two error rates tell ``mu = D / (sqrt(m) 2^s)``, and
confidence bounds on the rates give a lower bound on mu that no assumption about the noise can lower: a
mechanism that promises mu and shows more has broken its promise.

Clopper, C. J., Pearson, E. S. The use of confidence or fiducial limits illustrated in the case of the
binomial. Biometrika 26 (1934) 404-413. Dong, J., Roth, A., Su, W. J. Gaussian differential privacy. Journal
of the Royal Statistical Society B 84 (2022) 3-37. Balle, B., Wang, Y.-X. Improving the Gaussian mechanism for
differential privacy. ICML 2018, theorem 8 (delta as a function of epsilon).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from fedvalue.privacy.release import LOG2_SCALE

UNSAFE_LEVEL = 0.999
"""One-sided confidence at which the noise is called too small."""
EXCESS_LEVEL = 0.975
"""One-sided confidence of the bound that tells that the noise is not too large."""
EXCESS = 0.95
"""That bound is at least this share of the promised mu."""
VARIANCE_BAND = 0.006
"""Largest relative difference of the noise's variance, for a million coordinates or more."""

SMALL, LARGE, SPREAD = "too little noise", "too much noise", "wrong variance"

Vector = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Promise:
    """What was promised of one coordinate.

    Attributes:
      distance: D, how far one patient moves it, in ring units.
      shares: m, the honest shares of noise that the price counts on.
    """

    distance: int
    shares: int

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise, ``sqrt(m) 2^s``, in ring units."""
        return float(math.sqrt(self.shares) * 2.0**LOG2_SCALE)

    @property
    def mu(self) -> float:
        """``D / (sqrt(m) 2^s)``, the Gaussian privacy that is promised."""
        return self.distance / self.deviation


@dataclass(frozen=True, slots=True)
class Guesses:
    """What happened in so many trials without the patient and as many with; adds up over releases.

    Attributes:
      trials: On each side.
      alarms: Guessed "there" without the patient.
      misses: Guessed "not there" with the patient.
      squares: Sum of squared noise of both sides, in units of the promised variance.
    """

    trials: int = 0
    alarms: int = 0
    misses: int = 0
    squares: float = 0.0

    def __add__(self, other: Guesses) -> Guesses:
        return Guesses(
            self.trials + other.trials,
            self.alarms + other.alarms,
            self.misses + other.misses,
            self.squares + other.squares,
        )


def guess(promise: Promise, without: Vector, present: Vector) -> Guesses:
    """Guess for every coordinate at the threshold ``D / 2``.

    Args:
      promise: What was promised.
      without: What the adversary sees without the patient, in ring units, shape ``(trials,)``.
      present: The same with the patient, shape ``(trials,)``.
    """
    noise = np.concatenate([without, present - promise.distance]) / promise.deviation
    return Guesses(
        len(without),
        int(np.count_nonzero(2 * without > promise.distance)),
        int(np.count_nonzero(2 * present <= promise.distance)),
        float(noise @ noise),
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guesses say of a promise.

    Attributes:
      mu: What was promised.
      at_least: Lower bound on the mu that the guesses show, at the level of `UNSAFE_LEVEL`.
      near: The same at the level of `EXCESS_LEVEL`.
      variance: Noise variance over the promised one.
      failed: Which of the three checks failed; empty for a promise that was kept.
    """

    mu: float
    at_least: float
    near: float
    variance: float
    failed: tuple[str, ...]


def judge(promise: Promise, found: Guesses, *, band: float = VARIANCE_BAND) -> Verdict:
    """Hold the guesses against the promise, from both sides.

    A kept promise fails the first check at most once in a thousand audits, whatever the noise's shape is;
    `alarm_rates` gives the rates of all three.

    Args:
      promise: What was promised.
      found: What was guessed.
      band: Allowed relative difference of the variance; fewer than a million coordinates need a wider one.
    """
    at_least, near = mu_lower(found, UNSAFE_LEVEL), mu_lower(found, EXCESS_LEVEL)
    variance = found.squares / (2 * found.trials)
    failed = []
    if at_least > promise.mu:
        failed.append(SMALL)
    if near < EXCESS * promise.mu:
        failed.append(LARGE)
    if abs(variance - 1) >= band:
        failed.append(SPREAD)
    return Verdict(promise.mu, at_least, near, variance, tuple(failed))


def mu_lower(found: Guesses, level: float) -> float:
    """Return the lower bound ``Phi^-1(1 - FPR_up) - Phi^-1(FNR_up)``; each rate has half of the error."""
    each = 1 - (1 - level) / 2
    alarms, misses = (rate_upper(count, found.trials, each) for count in (found.alarms, found.misses))
    return float(special.ndtri(1 - alarms) - special.ndtri(misses))


def rate_upper(count: int, trials: int, level: float) -> float:
    """Return the one-sided upper Clopper-Pearson bound on a rate."""
    return 1.0 if count >= trials else float(special.betaincinv(count + 1, trials - count, level))


def escape_rate(promise: Promise, mu: float, trials: int) -> float:
    """Return how often noise with this true mu would pass as no less than promised (normal approximation)."""
    error = _rate_error(mu, trials)
    reach = 2 * float(special.ndtri(1 - (1 - UNSAFE_LEVEL) / 2)) * error
    return float(special.ndtr((promise.mu - mu + reach) / (math.sqrt(2) * error)))


def excess_rate(promise: Promise, mu: float, trials: int) -> float:
    """Return how often noise with this true mu would pass as no more than promised (normal approximation)."""
    error = _rate_error(mu, trials)
    reach = 2 * float(special.ndtri(1 - (1 - EXCESS_LEVEL) / 2)) * error
    return float(special.ndtr((mu - reach - EXCESS * promise.mu) / (math.sqrt(2) * error)))


def alarm_rates(promise: Promise, trials: int, *, band: float = VARIANCE_BAND) -> dict[str, float]:
    """Return how often each check fails for noise exactly as promised (normal approximation)."""
    spread = 2 * float(special.ndtr(-band / math.sqrt(2 / (2 * trials))))
    return {
        SMALL: 1 - escape_rate(promise, promise.mu, trials),
        LARGE: 1 - excess_rate(promise, promise.mu, trials),
        SPREAD: spread,
    }


def _rate_error(mu: float, trials: int) -> float:
    """Standard error of ``Phi^-1`` of one error rate at the threshold in the middle."""
    rate = float(special.ndtr(-mu / 2))
    density = math.exp(-(mu**2) / 8) / math.sqrt(2 * math.pi)
    return math.sqrt(rate * (1 - rate) / trials) / density


def epsilon_of(mu: float, delta: float) -> float:
    """Return the smallest epsilon at which Gaussian noise of this mu is (epsilon, delta)-private.

    Args:
      mu: Distance over standard deviation.
      delta: Above 0, below 1.
    """

    def excess(epsilon: float) -> float:
        tail = epsilon + float(special.log_ndtr(-epsilon / mu - mu / 2))
        return float(special.ndtr(-epsilon / mu + mu / 2)) - math.exp(tail) - delta

    if mu <= 0 or excess(0.0) <= 0:
        return 0.0
    return float(optimize.brentq(excess, 0.0, mu**2 / 2 + 40 * mu))
