"""Coordinator half of a regression: from noisy scores and curvatures to coefficients and covariances.

Round 1 is Newton's step from a fixed start: for a logistic model the quadratic surrogate. The next rounds
release the score, and a few of them the curvature, at the coefficients so far; in between the last curvature
is kept (fixed-Hessian Newton). Each later round gives an estimate of its own, ``b_t + H^-1 g_t``, whose
privacy noise ``H^-1 z_t`` is independent of the others': their mean, weighted by precision, uses the noise of
all rounds together (our derivation). Without noise the last one stands alone: it is the maximum of the
likelihood to the square of the last step.

A noisy curvature is lifted where its eigenvalues fall below the size of its noise, so that steps stay short;
where `noise_ratio` exceeds a third there is no table, but what would do.

Boehning, D., Lindsay, B. G. Monotonicity of quadratic-approximation algorithms. Annals of the Institute of
Statistical Mathematics 40 (1988) 641-663. McCullagh, Nelder (1989), section 2.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.design import noise_size, noise_times

Array = NDArray[np.float64]
WARY = 1 / 2
"""By how much of its noise the profiled information is taken for less than it looks: without that the truth
is held in 92 % of studies of `proofs/coverage_hazards`."""

FARTHEST = 60.0
"""Largest coefficient that a step may reach, for columns between -1 and 1: e^60 is no odds ratio."""


@dataclass(frozen=True, slots=True)
class Told:
    """One round, in units of the likelihood.

    Attributes:
      score: g, shape ``(p,)``.
      score_variance: Noise variance of each of its numbers.
      curvature: H, shape ``(p, p)``, or None where the round released none.
      curvature_variance: Noise variance of its packed numbers.
    """

    score: Array
    score_variance: float
    curvature: Array | None = None
    curvature_variance: float = 0.0


@dataclass(frozen=True, slots=True)
class Search:
    """Where the search has got to after some rounds.

    Attributes:
      at: Coefficients at which the next round is asked, shape ``(p,)``.
      asked_at: Coefficients of each round, after the start.
      told: Those rounds.
      curvature: H as it was last released.
      curvature_variance: Its noise variance, packed.
      working: H that the next step uses: without noise, sharpened by what the scores say of it.
    """

    at: Array
    asked_at: tuple[Array, ...]
    told: tuple[Told, ...]
    curvature: Array
    curvature_variance: float
    working: Array


@dataclass(frozen=True, slots=True)
class Fitted:
    """Coefficients of a fit.

    Attributes:
      coefficients: Shape ``(p,)``.
      information: H at them, shape ``(p, p)``; its inverse times the dispersion is the sampling covariance.
        Under noise and with nuisance coefficients less than it looks by `WARY`.
      privacy: Covariance by privacy noise, shape ``(p, p)``.
      noise_ratio: See the function of that name.
      scatter: Root of the sum over patients of the squared noise of one round in the linear predictor.
      restless: How far the last step was: without noise in coefficients, else in standard errors.
    """

    coefficients: Array
    information: Array
    privacy: Array
    noise_ratio: float
    scatter: float
    restless: float


def lifted(curvature: Array, variance: float) -> Array:
    """Return the curvature with no eigenvalue below the size of its noise, or below 1e-10 of the largest."""
    values, vectors = np.linalg.eigh(curvature)
    least = max(noise_size(len(curvature), variance), 1e-10 * float(np.abs(values).max(initial=0.0)), 1e-12)
    result: Array = (vectors * np.maximum(values, least)) @ vectors.T
    return result


def begin(start: Array, curvature: Array, variance: float) -> Search:
    """Return the search before its second round, at the coefficients that the first one gave."""
    at = np.clip(start, -FARTHEST, FARTHEST)
    return Search(at, (), (), curvature, variance, lifted(curvature, variance))


def step(search: Search, told: Told, *, sharpen: bool = True, averaged: bool = False) -> Search:
    """Take one Newton step with what a round told.

    Args:
      search: So far.
      told: By the round at ``search.at``.
      sharpen: False where the rounds before and after are not of one function.
      averaged: True to go on at the mean of the estimates of all rounds after the second so far, whose noise
        falls from round to round, not at the last one's (Polyak, Juditsky. SIAM Journal on Control and
        Optimization 30 (1992) 838-855).
    """
    curvature, variance, working = search.curvature, search.curvature_variance, search.working
    if told.curvature is not None:
        curvature, variance = told.curvature, told.curvature_variance
        working = lifted(curvature, variance)
    elif sharpen and told.score_variance == 0 and search.told:
        working = _secant(working, search.at - search.asked_at[-1], search.told[-1].score - told.score)
    move = np.linalg.solve(working, told.score)
    longest = float(np.abs(move).max(initial=0.0))
    if longest > FARTHEST / 4:
        move = move * (FARTHEST / 4 / longest)
    elif averaged and search.told[1:]:
        rounds = ((*search.asked_at, search.at), (*search.told, told))
        move = _mean_of_rounds(_inverse(working), *rounds, slice(1, None))[0] - search.at
    return replace(
        search,
        at=np.clip(search.at + move, -FARTHEST, FARTHEST),
        asked_at=(*search.asked_at, search.at),
        told=(*search.told, told),
        curvature=curvature,
        curvature_variance=variance,
        working=working,
    )


def _secant(curvature: Array, moved: Array, fell: Array) -> Array:
    """Return the curvature after a symmetric rank-one update (Nocedal, Wright 2006, eq. 6.24)."""
    gap = fell - curvature @ moved
    scale = float(gap @ moved)
    if abs(scale) <= 1e-8 * float(np.linalg.norm(gap) * np.linalg.norm(moved)):
        return curvature
    updated: Array = curvature + np.outer(gap, gap) / scale
    values = np.linalg.eigvalsh(updated)
    return updated if values[0] > 1e-8 * values[-1] else curvature


def finish(
    search: Search, *, exact: bool, kept_from: int, nuisance: int = 0, alike: Array | None = None
) -> Fitted:
    """Return the fit after the last round.

    Args:
      search: After the last round.
      exact: True without noise.
      kept_from: First round whose estimate counts under noise: by then steps are of the size of the noise.
      nuisance: How many coefficients at the front are only there to be profiled out.
      alike: Covariance of an error that is in every round's score alike, shape ``(p, p)``; None for none.
    """
    whole, variance = _information(search, last=exact or nuisance > 0)
    inverse = _inverse(lifted(whole, variance))
    information = whole if nuisance == 0 else _inverse(inverse[nuisance:, nuisance:])
    # lifting hides what is not known at all, so it is judged by what the noise left of it
    ratio = noise_ratio(information if exact else profiled(whole, variance, nuisance), variance)
    if exact:
        last = (search.at - search.asked_at[-1])[nuisance:]
        nothing = np.zeros_like(information)
        return Fitted(search.at[nuisance:], information, nothing, ratio, 0.0, float(np.abs(last).max()))
    kept = slice(min(kept_from - 2, len(search.told) - 1), None)  # the first of `told` is round 2
    mean, estimates, precision = _mean_of_rounds(inverse, search.asked_at, search.told, kept)
    inverse = inverse[nuisance:]
    squared = inverse @ inverse.T
    privacy = squared / precision
    if nuisance:  # one noisy curvature carries every round's distance from the estimate
        weights = np.array([1 / told.score_variance for told in search.told])[kept] / precision
        away = mean - weights @ np.array(search.asked_at)[kept]
        spread = noise_times(away, variance)
        covariates = float(away[nuisance:] @ away[nuisance:])
        # the part of the nuisance alone comes from elsewhere and has no such noise
        spread[:nuisance, :nuisance] = variance / 2 * covariates * np.eye(nuisance)
        privacy = privacy + inverse @ spread @ inverse.T
    if alike is not None:
        privacy = privacy + inverse @ alike @ inverse.T
    if nuisance and ratio <= 1:
        # rounds end where the true information leads them; what noise made look large is too sure of itself
        wary = information - WARY * math.sqrt(variance) * np.eye(len(information))
        carry = np.linalg.solve(wary, information)
        information, privacy = wary, carry @ privacy @ carry.T
    mean, estimates = mean[nuisance:], estimates[:, nuisance:]
    one = squared * search.told[-1].score_variance
    apart = estimates[-1] - mean
    # a curvature that noise made indefinite gives no table, but it must not stop the search
    squares = float(apart @ np.linalg.solve(np.linalg.inv(lifted(information, 0.0)) + one, apart))
    restless = math.sqrt(max(squares, 0.0))
    scatter = math.sqrt(max(float(np.trace(one @ information)), 0.0))
    return Fitted(mean, information, privacy, ratio, scatter, restless)


def _inverse(matrix: Array) -> Array:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def _mean_of_rounds(
    inverse: Array, asked_at: tuple[Array, ...], told: tuple[Told, ...], kept: slice
) -> tuple[Array, Array, float]:
    """Mean of the estimates ``b + H^-1 g`` of some rounds by their precision, they, and its sum."""
    estimates = np.array([at + inverse @ one.score for at, one in zip(asked_at, told, strict=True)])[kept]
    precision = np.array([1 / one.score_variance for one in told])[kept]
    return precision @ estimates / precision.sum(), estimates, float(precision.sum())


def profiled(curvature: Array, variance: float, nuisance: int) -> Array:
    """Return what the curvature says of the coefficients behind the nuisance ones, as noisy as it is.

    Args:
      curvature: H, shape ``(p, p)``.
      variance: Noise variance of its packed numbers.
      nuisance: How many coefficients at the front are profiled out.
    """
    front, cross = curvature[:nuisance, :nuisance], curvature[nuisance:, :nuisance]
    if nuisance == 0:
        return curvature
    found: Array = curvature[nuisance:, nuisance:] - cross @ np.linalg.inv(lifted(front, variance)) @ cross.T
    return found


def noise_ratio(information: Array, variance: float) -> float:
    """Return how large the noise is along the direction that is known least, over what is known of it.

    Along any one direction the noise has the standard deviation of a packed number; of many columns its
    largest eigenvalue counts too, a third of it. Infinite where a direction is not known at all.

    Args:
      information: H, shape ``(p, p)``.
      variance: Noise variance of its packed numbers.
    """
    values = np.linalg.eigvalsh(information)
    if values[0] <= 1e-9 * float(np.abs(values).max()):
        return math.inf
    return max(math.sqrt(variance), noise_size(len(information), variance) / 3) / float(values[0])


def _information(search: Search, *, last: bool) -> tuple[Array, float]:
    """The curvature at the end: the last one, or the mean of those after the start."""
    released = [told for told in search.told if told.curvature is not None]
    if not released or last:
        return search.curvature, search.curvature_variance
    precision = np.array([1 / told.curvature_variance for told in released])
    curvatures = np.array([told.curvature for told in released])
    mean: Array = np.tensordot(precision / precision.sum(), curvatures, axes=1)
    return mean, float(1 / precision.sum())


def surrogate_privacy(inverse: Array, coefficients: Array, score: float, curvature: float) -> Array:
    """Return the privacy covariance of ``H^-1 g`` where both are noisy: delta method.

    Args:
      inverse: H^-1, shape ``(p, p)``.
      coefficients: ``H^-1 g``.
      score: Noise variance of the numbers of g.
      curvature: Noise variance of the packed numbers of H.
    """
    middle = score * np.eye(len(coefficients)) + noise_times(coefficients, curvature)
    result: Array = inverse @ middle @ inverse
    return result
