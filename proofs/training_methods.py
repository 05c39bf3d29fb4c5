"""The ways to train that the training proof compares, each with its own exact accounting.

Ten hospitals; of a roster of ten, two may collude and one may fail, so a private sum counts on 7 shares of
noise and 10 are there. Nobody is a patient of two hospitals. Every private method pays from (epsilon, delta)
for all it releases, scaling included. Settings are the same constants for all data; they were sought on
worlds 1 and 2 of the made-up hospitals, and figures are of other worlds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.regressions import concluded
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.design import Covariate, Design
from fedvalue.analyses.families import Logistic as LogisticFamily
from fedvalue.analyses.outcome import Outcome
from fedvalue.analyses.regression import ModelPart, RegressionModel
from fedvalue.privacy import gaussian, sampled
from fedvalue.privacy.accounting import Budget, rho_units_for
from fedvalue.privacy.randomness import NoiseSource
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.strategies.training.models.clipped import Gradients, patient_bound, quantised, require_exact
from fedvalue.strategies.training.models.local import LocalPlan, UnsafeFloatNoise, local_update
from fedvalue.strategies.training.models.network import (
    Inputs,
    Rows,
    build,
    initial,
    load,
    predict,
    prepare,
)
from fedvalue.study.architectures import Architecture

DELTA = 1e-6
HONEST = 7
SCALING_SHARE = 0.05
CLIP_NORM, RATE, MOMENTUM, AVERAGE = 1.0, 1.0, 0.9, 0.5
LARGE = 12_500
"""From so many patients on the rate grows with their public number: the noise of a mean falls with it."""

LOCAL_RATE = 2.0

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Split:
    """Patients to learn from, by hospital, and fresh ones.

    Attributes:
      sites: One for each hospital.
      fresh: To predict.
      inputs: What is known of them, not scaled.
      start_rate: Public guess of how often the outcome happens, where training starts.
    """

    sites: tuple[Rows, ...]
    fresh: Rows
    inputs: Inputs
    start_rate: float = 0.5

    @property
    def pooled(self) -> Rows:
        """All patients of all hospitals: no method but the pooled ones sees them so."""
        return Rows(*(np.concatenate([getattr(s, name) for s in self.sites]) for name in
                      ("numeric", "coded", "multihot", "outcome")))  # fmt: skip


def auc(outcome: Array, scores: Array) -> float:
    """Return the area under the curve, ties counted half."""
    rank, ones = rankdata(scores), outcome == 1
    count = int(ones.sum())
    return float((rank[ones].sum() - count * (count + 1) / 2) / (count * (len(outcome) - count)))


def reached(architecture: Architecture, inputs: Inputs, parameters: Array, split: Split) -> float:
    """Return the AUC on fresh patients."""
    return auc(split.fresh.outcome, predict(architecture, inputs, parameters, split.fresh))


def scaled(split: Split, epsilon: float | None, rng: np.random.Generator) -> Inputs:
    """Return the inputs scaled by summed moments, noised as the scaling share of the budget says.

    Args:
      split: The patients.
      epsilon: Of the whole training; None for exact moments.
      rng: Draws rounded Gaussians; the exact sampler has tests of its own.
    """
    columns = split.inputs.numeric
    low, high = (np.array([c.clip[i] for c in columns]) for i in (0, 1))
    middle, half = (low + high) / 2, (high - low) / 2
    sums, count = np.zeros(2 * len(columns)), 0
    for rows in split.sites:
        unit = np.clip((np.nan_to_num(rows.numeric, nan=0.0) - middle) / half, -1, 1)
        unit = np.where(np.isfinite(rows.numeric), unit, 0.0)
        sums += np.concatenate([unit.sum(axis=0), np.square(unit).sum(axis=0)])
        count += len(rows)
    if epsilon is not None:
        rho = SCALING_SHARE * rho_units_for(epsilon, DELTA) / 2**40
        spread = sqrt(2 * len(columns) / (2 * rho)) * sqrt(len(split.sites) / HONEST)
        sums += rng.normal(0.0, spread, len(sums))
    mean, square = sums[: len(columns)] / count, sums[len(columns) :] / count
    deviation = np.sqrt(np.maximum(square - mean**2, 1e-4))
    return split.inputs.scaled(tuple((mean * half + middle).tolist()), tuple((deviation * half).tolist()))


def pooled(
    architecture: Architecture, split: Split, *, epochs: int = 30, seed: int = 0, stop: bool = True
) -> Array:
    """Train on all patients together without privacy: AdamW.

    Args:
      architecture: Of the registry.
      split: The patients.
      epochs: Passes over them.
      seed: Of the order.
      stop: Whether the model is that of the epoch where a held-out tenth is best, or of the last one.
    """
    inputs, rows, rng = (
        scaled(split, None, np.random.default_rng(0)),
        split.pooled,
        np.random.default_rng(seed),
    )
    module = build(architecture, inputs)
    load(module, initial(architecture, inputs, 1))
    order = rng.permutation(len(rows))
    held, kept = order[: len(rows) // 10], order[len(rows) // 10 if stop else 0 :]
    given, happened = prepare(module, rows), torch.from_numpy(rows.outcome)[:, None]
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=1e-3)
    batch = max(256, len(rows) // 60)
    best, found = -1.0, initial(architecture, inputs, 1)
    for _ in range(epochs):
        for part in np.array_split(rng.permutation(kept), max(1, len(kept) // batch)):
            at = torch.from_numpy(part)
            optimizer.zero_grad()
            loss = binary_cross_entropy_with_logits(module.outputs(given.take(at)), happened[at])
            loss.backward()  # type: ignore[no-untyped-call]  # torch left its types out
            optimizer.step()
        with torch.no_grad():
            scores = module.outputs(given.take(torch.from_numpy(held)))[:, 0].numpy()
            if (now := auc(rows.outcome[held], scores)) > best or not stop:
                best = now
                found = torch.nn.utils.parameters_to_vector(module.parameters()).numpy().copy()
    return found


def fitted(architecture: Architecture, split: Split, *, penalty: float) -> Array:
    """Fit to all patients together without privacy by L-BFGS, to the end for a convex loss.

    Args:
      architecture: Of the registry.
      split: The patients.
      penalty: Of the sum of squared parameters, beside the mean loss.
    """
    inputs, rows = scaled(split, None, np.random.default_rng(0)), split.pooled
    module = build(architecture, inputs)
    load(module, initial(architecture, inputs, 1))
    given, happened = prepare(module, rows), torch.from_numpy(rows.outcome)[:, None]
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=150, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        found = binary_cross_entropy_with_logits(module.outputs(given), happened)
        found = found + penalty * sum(p.square().sum() for p in module.parameters())
        found.backward()  # type: ignore[no-untyped-call]  # torch left its types out
        return float(found.detach())

    optimizer.step(loss)  # type: ignore[no-untyped-call]  # torch left its types out
    return np.asarray(torch.nn.utils.parameters_to_vector(module.parameters()).detach().numpy().copy())


def fedsgd(
    architecture: Architecture, inputs: Inputs, split: Split, epsilon: float | None, rounds: int,
    noise: NoiseSource, *, rate: Fraction = Fraction(1), rng: np.random.Generator | None = None,
) -> Array:  # fmt: skip
    """Train by clipped gradients over the private sum: integers, discrete noise of every site, exact price.

    Args:
      architecture: Of the registry.
      inputs: Scaled.
      split: The patients.
      epsilon: Of the whole training, scaling included; None for the same steps without noise.
      rounds: T.
      noise: Of the sites.
      rate: Sampling rate q; 1 for everybody in every round, under the zCDP filter.
      rng: Draws who is in a round where q is below 1.
    """
    gradients = Gradients(architecture, inputs)
    batches = [gradients.batch(rows) for rows in split.sites]
    patients = sum(len(rows) for rows in split.sites)
    d = gradients.size
    gamma = 0.0 if epsilon is None else central_scale(epsilon, rounds, rate, d)
    now, velocity = initial(architecture, inputs, 1), np.zeros(d)
    tail, averaged = np.zeros(d), 0
    for round_ in range(rounds):
        total: Array = np.zeros(d)
        for batch in batches:
            chosen = batch
            if rate < 1 and rng is not None:
                chosen = batch.take(np.flatnonzero(rng.random(batch.patients) < float(rate)))
            part = gradients.sum(now, chosen, CLIP_NORM)
            if epsilon is not None:
                require_exact(gamma, CLIP_NORM, patients)
                part = (quantised(part, gamma) + gaussian.sample(noise, d)) / gamma
            total += part
        mean = total / (float(rate) * patients)
        velocity = MOMENTUM * velocity + mean
        now = now - step_rate(patients) * velocity
        if round_ >= rounds * (1 - AVERAGE):
            tail, averaged = tail + now, averaged + 1
    return tail / averaged


def step_rate(patients: int) -> float:
    """Return the learning rate of DP-FedSGD for a public number of patients."""
    return RATE * max(1.0, patients / LARGE)


def central_scale(epsilon: float, rounds: int, rate: Fraction, dimension: int) -> float:
    """Return gamma of a round: what is left after scaling, in equal parts, counted on `HONEST` shares."""
    if rate == 1:
        rho = (1 - SCALING_SHARE) * rho_units_for(epsilon, DELTA) / 2**40 / rounds
        bound = 2.0**LOG2_SCALE * sqrt(2 * HONEST * rho)
    else:
        found = sampled.least_multiplier(rate, rounds, _limits(epsilon))
        bound = sqrt(HONEST * 4.0**LOG2_SCALE - 1 / 12) / float(found[0]) if found else 0.0
    gamma = floor((bound - 1 - 2 * sqrt(dimension)) / (CLIP_NORM * (1 + 2.0**-20)) * 2**16) / 2**16
    if not patient_bound(gamma, CLIP_NORM, dimension) <= bound:
        raise ArithmeticError("the scale is larger than what is paid for")
    return gamma


def fedavg(
    architecture: Architecture, inputs: Inputs, split: Split, epsilon: float,
    noise: NoiseSource | UnsafeFloatNoise, *, rounds: int = 20, steps: int = 5,
    rate: Fraction = Fraction(1, 5),
) -> Array:  # fmt: skip
    """Train by averaging: each site takes noisy steps by itself, priced on its own share of noise alone."""
    found = sampled.least_multiplier(rate, rounds * steps, _limits(epsilon))
    if found is None:
        raise ArithmeticError("no noise multiplier keeps within the budget")
    size = sum(len(rows) for rows in split.sites) / len(split.sites)
    plan = LocalPlan(steps, float(rate), float(rate) * size, CLIP_NORM, float(found[0]), LOCAL_RATE)
    now = initial(architecture, inputs, 1)
    for _ in range(rounds):
        moved = [local_update(architecture, inputs, now, rows, plan, noise) for rows in split.sites]
        now = now + np.mean(moved, axis=0)
    return now


def _limits(epsilon: float) -> tuple[int, ...]:
    whole = Budget(epsilon, DELTA, admits_sampled=True)
    aside = int(SCALING_SHARE * rho_units_for(epsilon, DELTA))
    return sampled.epsilon_limits(whole.limits, aside)


def one_release(
    sites: Sequence[Cohort], fresh: Cohort, covariates: tuple[Covariate, ...], epsilon: float | None,
    rng: np.random.Generator, *, row_bound: float = 2.5,
) -> float:  # fmt: skip
    """Return the AUC of the logistic score from one private release of quadratic statistics."""
    model = RegressionModel(
        Outcome("y", None), Design(covariates, row_bound=row_bound if epsilon else None),
        (ModelPart("", LogisticFamily()),), prediction=epsilon is not None,
    )  # fmt: skip
    found = concluded(model, list(sites), epsilon, HONEST, rng).strata[0].estimates
    scores = np.zeros(fresh.patients)
    for covariate in covariates:
        if covariate.clip:
            scores += found[covariate.name].value * np.clip(fresh.numbers[covariate.name], *covariate.clip)
        else:
            slopes = [0.0, *(found[column].value for column in covariate.columns)]
            scores += np.array(slopes)[fresh.categories[covariate.name]]
    return auc((fresh.binary["y"].status == 1).astype(np.float64), scores)
