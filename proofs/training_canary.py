"""Canaries in a training over the private sum, and an attacker who sees every round.

A canary is a made-up patient with the most extreme values that the public ranges let in: every number at one
end of its range, chosen by a coin, levels, variants and outcome by chance. Its gradient is long, so that it
is clipped, and points where no real patient's does. Each is in the training with probability one half.

The attacker is the one that the promise is about, and a strong one: the coordinator with two hospitals, one
more hospital having failed, so that seven shares of noise are left; it knows every real patient and every
canary, and lacks only which canaries were in. What is left of a released sum after all known patients is
``sum b_i g_i(theta) + noise``, with g_i the canary's clipped gradient at public parameters; the attacker's
score is the best linear guess of b_i over all rounds.

Steinke, T., Nasr, M., Jagielski, M. Privacy auditing with one (1) training run. NeurIPS 2023. A weaker one
sees the final model alone, and calls patients of a small loss members: Yeom, S., Giacomelli, I.,
Fredrikson, M., Jha, S. Privacy risk in machine learning. CSF 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call, grad, vmap
from torch.nn.functional import binary_cross_entropy_with_logits

from fedvalue.privacy import gaussian
from fedvalue.privacy.randomness import NoiseSource
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.strategies.training.models.clipped import Gradients, quantised
from fedvalue.strategies.training.models.network import (
    Inputs,
    Module,
    Prepared,
    Rows,
    build,
    initial,
    load,
    prepare,
)
from fedvalue.study.architectures import Architecture
from proofs.training_methods import (
    AVERAGE,
    CLIP_NORM,
    HONEST,
    MOMENTUM,
    Split,
    central_scale,
    step_rate,
)

Array = NDArray[np.float64]
Chosen = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Training:
    """How a training is run that canaries are put into, with its planted bugs.

    Attributes:
      epsilon: That is promised of the whole training, scaling included.
      rounds: T.
      rate: Sampling rate q; 1 for everybody in every round.
      noisy: False for the planted bug that adds no noise.
      clipped: False for the planted bug that clips nobody.
    """

    epsilon: float
    rounds: int
    rate: Fraction = Fraction(1)
    noisy: bool = True
    clipped: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """What a training with canaries leads to.

    Attributes:
      parameters: The model, shape ``(d,)``.
      scores: The attacker's of every canary, shape ``(m,)``; higher for in.
    """

    parameters: Array
    scores: Array


def canaries(inputs: Inputs, count: int, rng: np.random.Generator) -> Rows:
    """Draw made-up patients at the ends of every public range.

    Args:
      inputs: Of the model.
      count: m.
      rng: Of the proof.
    """
    ends = np.array([column.clip for column in inputs.numeric])
    numeric = ends[np.arange(len(ends)), rng.integers(0, 2, (count, len(ends)))]
    levels = [column.levels for column in inputs.coded]
    coded = rng.integers(0, levels, (count, len(levels)))
    variants = rng.integers(0, 2, (count, inputs.variants))
    return Rows(numeric, coded, variants, rng.integers(0, 2, count).astype(np.float64))


def trained(
    architecture: Architecture, inputs: Inputs, split: Split, put: Rows, present: Chosen, how: Training,
    noise: NoiseSource, rng: np.random.Generator,
) -> Seen:  # fmt: skip
    """Train with some canaries in and attack what is released; the steps are those of the training proof.

    Args:
      architecture: Of the registry.
      inputs: Scaled.
      split: The real patients.
      put: The canaries.
      present: Which of them are in, shape ``(m,)``.
      how: The training.
      noise: Of the hospitals.
      rng: Draws who is in a round where q is below 1.
    """
    gradients, own = Gradients(architecture, inputs), Own(architecture, inputs, put)
    patients = sum(len(rows) for rows in split.sites)
    real, extra = gradients.batch(split.pooled), gradients.batch(put)
    d, clip, q = gradients.size, CLIP_NORM if how.clipped else float("inf"), float(how.rate)
    gamma = central_scale(how.epsilon, how.rounds, how.rate, d)
    deviation = np.sqrt(HONEST) * 2.0**LOG2_SCALE / gamma
    gram, met, square = np.zeros((len(put), len(put))), np.zeros(len(put)), 0.0
    now, velocity = initial(architecture, inputs, 1), np.zeros(d)
    tail, averaged = np.zeros(d), 0
    for round_ in range(how.rounds):
        some = real if q == 1 else real.take(np.flatnonzero(rng.random(patients) < q))
        drawn = present if q == 1 else present & (rng.random(len(put)) < q)
        known = gradients.sum(now, some, clip)
        left = quantised(gradients.sum(now, extra.take(np.flatnonzero(drawn)), clip), gamma)
        if how.noisy:
            left = left + sum(gaussian.sample(noise, d) for _ in range(HONEST))
        unknown = left / gamma
        each = q * own.gradients(now, clip)
        gram += each @ each.T
        odd = unknown - each.sum(axis=0) / 2
        met, square = met + each @ odd, square + float(odd @ odd)
        velocity = MOMENTUM * velocity + (known + unknown) / (q * patients)
        now = now - step_rate(patients) * velocity
        if round_ >= how.rounds * (1 - AVERAGE):
            tail, averaged = tail + now, averaged + 1
    return Seen(tail / averaged, best_guess(gram, met, square, how.rounds * d, deviation))


def best_guess(gram: Array, met: Array, square: float, numbers: int, deviation: float) -> Array:
    """Return the best linear guess of ``b - 1/2`` from ``y = G (b - 1/2) + noise``, shape ``(m,)``.

    Each b is 0 or 1, so ``b - 1/2`` has variance 1/4 before anything is seen. How strong the noise is the
    attacker reads off y itself, by the likelihood of Gaussians: it may be less than what was promised.

    Args:
      gram: ``G' G``, shape ``(m, m)``.
      met: ``G' y``, shape ``(m,)``.
      square: ``y' y``.
      numbers: Length of y.
      deviation: Of the promised noise, in the unit of y.
    """
    strength, turn = np.linalg.eigh(gram)
    strength = np.maximum(strength, strength[-1] * 1e-15)
    along = turn.T @ met

    def unlikely(power: float) -> float:
        variance = 4.0**power * deviation**2
        shrunk = variance + strength / 4
        fit = square - float((along**2 / 4 / shrunk).sum())
        return float(np.log(shrunk).sum() + (numbers - len(met)) * np.log(variance) + fit / variance)

    variance = 4.0 ** min(np.arange(-24.0, 3.0, 0.5), key=unlikely) * deviation**2
    return np.asarray(turn @ (along / (strength + 4 * variance)), dtype=np.float64)


class Own:
    """Gradients of single patients, by torch's own vectorised differentiation, apart from the site's code.

    Args:
      architecture: Of the registry.
      inputs: What the model learns from.
      rows: The patients.
    """

    def __init__(self, architecture: Architecture, inputs: Inputs, rows: Rows) -> None:
        self._module: Module = build(architecture, inputs)
        given = prepare(self._module, rows)
        self._given = (given.dense, given.coded, given.multihot)
        self._happened = torch.from_numpy(rows.outcome)
        wanted = _Loss(self._module)
        self._names = [f"module.{name}" for name, _ in self._module.named_parameters()]

        def loss(parameters: dict[str, torch.Tensor], *one: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = functional_call(wanted, parameters, one)
            return found

        self._each = vmap(grad(loss), in_dims=(None, 0, 0, 0, 0))

    def gradients(self, parameters: Array, clip: float) -> Array:
        """Return every patient's gradient, no longer than ``clip``, shape ``(n, d)``."""
        load(self._module, parameters)
        held = {name: p.detach() for name, p in zip(self._names, self._module.parameters(), strict=True)}
        found = self._each(held, *self._given, self._happened)
        flat = torch.cat([found[name].flatten(1) for name in self._names], dim=1).numpy()
        length = np.linalg.norm(flat, axis=1, keepdims=True)
        return np.asarray(flat * np.minimum(1.0, clip / np.maximum(length, 1e-300)), dtype=np.float64)


class _Loss(torch.nn.Module):
    """The loss of one patient."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.module = module

    def forward(
        self, dense: torch.Tensor, coded: torch.Tensor, variants: torch.Tensor, happened: torch.Tensor
    ) -> torch.Tensor:
        given = Prepared(dense[None], coded[None], variants[None])
        return binary_cross_entropy_with_logits(self.module.outputs(given)[0, 0], happened)


def loss_of(architecture: Architecture, inputs: Inputs, parameters: Array, rows: Rows) -> Array:
    """Return the loss of every patient, shape ``(n,)``.

    Args:
      architecture: Of the registry, for a binary outcome.
      inputs: Scaled.
      parameters: Of the model, shape ``(d,)``.
      rows: The patients.
    """
    module = build(architecture, inputs)
    load(module, parameters)
    with torch.no_grad():
        outputs = module.outputs(prepare(module, rows))[:, 0]
        found = binary_cross_entropy_with_logits(outputs, torch.from_numpy(rows.outcome), reduction="none")
    return np.asarray(found.numpy(), dtype=np.float64)
