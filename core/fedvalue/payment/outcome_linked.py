"""What a noisy proportion says about an outcome's underlying probability theta.

Cohort unit, purpose ``set``. A Beta(a, b) prior on theta makes the true successes r of n Beta-binomial.
The released figures are r and the other patients u = n - r, each with independent Gaussian noise of known
variance, so the posterior of theta is the mixture of Beta(a + r, b + u) over all true counts,

    weight(r, u) ~ phi((released r - r) / sd_r) phi((released u - u) / sd_u) BetaBinomial(r; r + u, a, b),

with every total n equally likely beforehand. Where n is known exactly, u = n - r and only the first
factor is noisy: P(theta >= tau) = sum over r of Pr(r | released r) (1 - I_tau(a + r, b + n - r)).

Released figures may be below zero or above n; they enter as they are. Clipping them first would bias the
answer. The noise is a sum of discrete Gaussians of scale 2^20 in the ring, here taken as continuous.

Gelman et al. Bayesian Data Analysis, 3rd ed. (2013), section 2.4 (Beta-binomial). The sum over true counts
is our derivation; golden values in tests/golden.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from fedvalue.analyses.estimate import Released, Stratum
from fedvalue.errors import PaymentError

CELLS = ("success", "failure", "missing")
Floats = NDArray[np.float64]
Missing = Literal["non_response", "exclude"]

_REACH = 7.5
"""How many noise SDs from the released figure true counts are summed: the rest weighs below 1e-12."""

_NEGLIGIBLE = 1e-13
"""Weight, relative to the largest, below which a component is dropped."""

_PANEL = 8
"""Steps of one length in a row; even, as the end correction needs."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Beta(a, b) prior of theta, both above 0."""

    success: float = 1.0
    failure: float = 1.0


@dataclass(frozen=True, slots=True)
class Posterior:
    """A mixture of Beta distributions.

    Attributes:
      alpha: First parameters, shape ``(k,)``.
      beta: Second parameters, shape ``(k,)``.
      weight: Weights, summing to 1, shape ``(k,)``.
    """

    alpha: Floats
    beta: Floats
    weight: Floats

    def at_least(self, threshold: float) -> float:
        """Return P(theta >= threshold), between 0 and 1."""
        return self._sum(special.betaincc(self.alpha, self.beta, threshold))

    def expected_excess(self, threshold: float) -> float:
        """Return E (theta - tau)+, between 0 and 1.

        For Beta(a, b) it is a / (a + b) (1 - I_tau(a + 1, b)) - tau (1 - I_tau(a, b)).
        """
        mean = self.alpha / (self.alpha + self.beta)
        beyond = special.betaincc(self.alpha, self.beta, threshold)
        return self._sum(mean * special.betaincc(self.alpha + 1, self.beta, threshold) - threshold * beyond)

    @property
    def mean(self) -> float:
        """E(theta)."""
        return self._sum(self.alpha / (self.alpha + self.beta))

    @property
    def sampling_variance(self) -> float:
        """E(Var(theta | true counts)): what would be left without noise."""
        total = self.alpha + self.beta
        return self._sum(self.alpha * self.beta / (total**2 * (total + 1)))

    @property
    def privacy_variance(self) -> float:
        """Var(E(theta | true counts)): what the noise adds; the two add up to the variance of theta."""
        means = self.alpha / (self.alpha + self.beta)
        return self._sum((means - self.mean) ** 2)

    def quantiles(self, probabilities: tuple[float, ...]) -> tuple[float, ...]:
        """Return the thetas below which the posterior has each probability, to about 1e-6."""
        rough = self._heaviest(1 - 1e-6)
        return tuple(
            float(optimize.brentq(lambda theta, p=p: rough.at_least(theta) - (1 - p), 0.0, 1.0, xtol=1e-7))
            for p in probabilities
        )

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the equal-tailed credible interval of theta, privacy noise included."""
        lower, upper = self.quantiles(((1 - level) / 2, (1 + level) / 2))
        return lower, upper

    def _heaviest(self, mass: float) -> Posterior:
        order = np.argsort(self.weight)[::-1]
        kept = order[: int(np.searchsorted(np.cumsum(self.weight[order]), mass)) + 1]
        weight = self.weight[kept]
        return Posterior(self.alpha[kept], self.beta[kept], weight / weight.sum())

    def _sum(self, values: NDArray[np.floating]) -> float:
        return math.fsum((self.weight * values).tolist())


@dataclass(frozen=True, slots=True)
class Counts:
    """The two released figures that a decision reads.

    Attributes:
      success: Released successes.
      other: Released patients that count as failures.
    """

    success: Released
    other: Released

    @property
    def total(self) -> Released:
        """Released patients."""
        return Released(
            value=self.success.value + self.other.value,
            noise_variance=self.success.noise_variance + self.other.noise_variance,
        )


def counts_of(stratum: Stratum, missing: Missing) -> Counts:
    """Return the counts of a proportion's stratum under a missing-outcome policy.

    Args:
      stratum: With released ``success``, ``failure`` and ``missing``, whose noises are independent.
      missing: ``non_response`` counts the missing as failures, ``exclude`` leaves them out.

    Raises:
      PaymentError: the stratum does not hold these counts.
    """
    if absent := [cell for cell in CELLS if cell not in stratum.released]:
        raise PaymentError(
            f"the stratum releases no {', '.join(absent)}",
            where=stratum.name,
            do="use a proportion of the study",
        )
    success, failure, lost = (stratum.released[cell] for cell in CELLS)
    if missing == "exclude":
        return Counts(success, failure)
    joined = Released(
        value=failure.value + lost.value, noise_variance=failure.noise_variance + lost.noise_variance
    )
    return Counts(success, joined)


def posterior(counts: Counts, prior: Prior) -> Posterior:
    """Return the posterior of theta from two noisy counts.

    Args:
      counts: The released figures.
      prior: Prior of theta.
    """
    r, r_log = _axis(counts.success)
    u, u_log = _axis(counts.other)
    return _mixture(r[:, None], u[None, :], r_log[:, None] + u_log[None, :], prior)


def posterior_of_known_total(success: Released, total: int, prior: Prior) -> Posterior:
    """Return the posterior of theta from noisy successes among exactly ``total`` patients.

    Args:
      success: The released figure; may be below 0 or above ``total``.
      total: n, at least 1.
      prior: Prior of theta.
    """
    if success.noise_variance == 0:
        exact = np.array([min(max(round(success.value), 0), total)], dtype=np.float64)
        return _mixture(exact, total - exact, np.zeros(1), prior)
    nearest, reach = (
        min(max(success.value, 0.0), float(total)),
        _REACH * math.sqrt(success.noise_variance) + 1,
    )
    low, high = max(0, math.floor(nearest - reach)), min(total, math.ceil(nearest + reach))
    r = np.arange(low, high + 1, dtype=np.float64)
    return _mixture(r, total - r, -((success.value - r) ** 2) / (2 * success.noise_variance), prior)


def _axis(released: Released) -> tuple[Floats, Floats]:
    """Return true counts and the logarithm of quadrature weight times likelihood, shapes ``(k,)``.

    Every integer is summed where the summand may change from one to the next. Where the noise is wide and
    the counts are large it changes slowly, over about sd and sqrt(count): panels of longer steps stand for
    the integers between: with T_h the trapezoid sum of step h, ``sum = T_h - (h^2 - 1) / (3 h^2) (T_2h -
    T_h)`` up to the fourth derivative (Euler-Maclaurin, our derivation).
    """
    if released.noise_variance == 0:
        return np.array([max(round(released.value), 0)], dtype=np.float64), np.zeros(1)
    sd = math.sqrt(released.noise_variance)
    start = max(0, math.floor(released.value - _REACH * sd))
    end = math.ceil(max(released.value, 0.0) + _REACH * sd)
    weights: dict[int, float] = {start: 0.5}
    while start < end:
        step = max(1, math.floor(min(sd / 6, max(math.sqrt(start) / 3, start / 100))))
        correction = (step**2 - 1) / (3 * step**2)
        for k in range(_PANEL + 1):
            half = 0.5 if k in (0, _PANEL) else 1.0
            coarser = 0.0 if k % 2 else 2 * half
            point = start + k * step
            weights[point] = weights.get(point, 0.0) + step * (half * (1 + correction) - coarser * correction)
        start += _PANEL * step
    points = np.array(list(weights), dtype=np.float64)
    log_likelihood = -((released.value - points) ** 2) / (2 * released.noise_variance)
    return points, np.log(list(weights.values())) + log_likelihood


def _mixture(r: Floats, u: Floats, log_likelihood: Floats, prior: Prior) -> Posterior:
    alpha, beta, log_weight = (
        x.ravel() for x in np.broadcast_arrays(prior.success + r, prior.failure + u, log_likelihood)
    )
    n = alpha + beta - prior.success - prior.failure
    r_flat, u_flat = alpha - prior.success, beta - prior.failure
    choose = special.gammaln(n + 1) - special.gammaln(r_flat + 1) - special.gammaln(u_flat + 1)
    log_weight = log_weight + choose + special.betaln(alpha, beta)
    weight = np.exp(log_weight - log_weight.max())
    kept = weight > _NEGLIGIBLE
    weight = weight[kept]
    return Posterior(alpha[kept], beta[kept], weight / math.fsum(weight.tolist()))
