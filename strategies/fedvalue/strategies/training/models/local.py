"""Private steps at a site between two rounds: federated averaging with each site's own noise.

A site takes a fixed number of steps from the federation's parameters. Each step draws every patient with a
public probability, clips and adds their gradients, rounds the sum to integers, adds discrete Gaussian noise
of scale 2^s, and divides by a public denominator, never by how many were drawn. What leaves is the sum of the
steps. The price follows from public numbers alone: the sampling rate, the steps and the noise multiplier.

The proximal term of FedProx pulls towards the round's start and reads no patient. A personal head is trained
under the same clip and the same noise as the rest, because the shared layers learn through it; then its
coordinates stay at the site.

McMahan, Moore, Ramage, Hampson, Arcas. Communication-efficient learning of deep networks from
decentralized data. AISTATS 2017. Abadi and others. Deep learning with differential privacy. CCS 2016,
algorithm 1. Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith. Federated optimization in heterogeneous networks.
MLSys 2020. Arivazhagan and others. Federated learning with personalization layers. arXiv 1912.00818 (2019).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from math import floor, isfinite, sqrt
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from fedvalue.errors import PrivacyError, UnsafeWarning
from fedvalue.privacy import gaussian
from fedvalue.privacy.randomness import NoiseSource
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.strategies.training.models.clipped import Gradients, quantised
from fedvalue.strategies.training.models.network import Inputs, Rows
from fedvalue.study.architectures import Architecture, layers

Array = NDArray[np.float64]

_GRAIN = 2**16
"""Scales are multiples of 2^-16, as everywhere."""


@dataclass(frozen=True, slots=True)
class LocalPlan:
    """What a site does between two rounds; all of it public and in the study.

    Attributes:
      steps: How many, at least 1.
      sampling_rate: Probability q with which a step draws each patient, above 0 and at most 1.
      denominator: What a step's sum is divided by: q times the public number of patients of a site, above 0.
      clip_norm: C, the largest length of one patient's gradient, above 0.
      noise_multiplier: Standard deviation of a step's noise over the bound of one patient, above 0.
      learning_rate: Of each step, above 0.
      proximal: mu of FedProx, at least 0.
      personal_head: Whether the output layer stays at the site.
    """

    steps: int
    sampling_rate: float
    denominator: float
    clip_norm: float
    noise_multiplier: float
    learning_rate: float
    proximal: float = 0.0
    personal_head: bool = False

    def __post_init__(self) -> None:
        """Refuse a plan that protects nobody or goes nowhere."""
        above = (self.denominator, self.clip_norm, self.noise_multiplier, self.learning_rate)
        if not all(isfinite(value) and value > 0 for value in above):
            raise PrivacyError("denominator, clip, noise multiplier and learning rate are above 0")
        if self.steps < 1 or not 0 < self.sampling_rate <= 1 or not 0 <= self.proximal < float("inf"):
            raise PrivacyError(
                "local steps are at least 1, their sampling rate is above 0 and at most 1, mu is 0 or more"
            )


@final
class UnsafeFloatNoise:
    """Opacus' own noise: floating-point Gaussians of torch's generator, kept as a comparison only.

    Gaussians in floating point leave holes that tell neighbors apart (Mironov, On significance of the least
    significant bits for differential privacy, CCS 2012), and whoever knows the seed can subtract them.

    Args:
      seed: Of the generator.
    """

    __slots__ = ("generator",)

    def __init__(self, seed: int) -> None:
        warnings.warn(
            "UnsafeFloatNoise is a comparison, not a protection: its noise is not exact and can be repeated",
            UnsafeWarning,
            stacklevel=2,
        )
        self.generator = torch.Generator().manual_seed(seed)


@dataclass(frozen=True, slots=True)
class LocalUpdate:
    """What a site made of a round.

    Attributes:
      update: What may leave: the change of the parameters, 0 where the head is personal, shape ``(d,)``.
      head: The site's own parameters of a personal head, to go on with; empty without one. It never leaves.
    """

    update: Array
    head: Array


def local_update(
    architecture: Architecture, inputs: Inputs, parameters: Array, rows: Rows, plan: LocalPlan,
    noise: NoiseSource | UnsafeFloatNoise,
) -> Array:  # fmt: skip
    """Return the change of the parameters after a site's private steps, shape ``(d,)``.

    Args:
      architecture: Of the registry.
      inputs: What the model learns from.
      parameters: Where the round starts, shape ``(d,)``.
      rows: The site's patients; none at all is fine, and then the change is noise alone.
      plan: Public.
      noise: `SystemNoise` in production; also draws who is in each step.

    Raises:
      PrivacyError: a noise multiplier so large that the scale vanishes, or parameters of another length.
      StudyInvalid: the architecture does not fit the inputs.
    """
    return local_steps(architecture, inputs, parameters, rows, plan, noise).update


def local_steps(
    architecture: Architecture, inputs: Inputs, parameters: Array, rows: Rows, plan: LocalPlan,
    noise: NoiseSource | UnsafeFloatNoise, head: Array | None = None,
) -> LocalUpdate:  # fmt: skip
    """Take a site's private steps; `local_update`, and what the site keeps.

    Args:
      architecture: Of the registry.
      inputs: What the model learns from.
      parameters: Where the round starts, shape ``(d,)``.
      rows: The site's patients.
      plan: Public.
      noise: `SystemNoise` in production.
      head: The personal head that an earlier round left at this site; None to start from the parameters.

    Raises:
      PrivacyError: as in `local_update`, or a head of another length or where none is personal.
      StudyInvalid: the architecture does not fit the inputs.
    """
    gradients = Gradients(architecture, inputs)
    batch = gradients.batch(rows)
    personal = head_mask(architecture, inputs) & plan.personal_head
    begin = np.array(parameters, dtype=np.float64)
    if begin.shape != (gradients.size,):
        raise PrivacyError(f"parameters of the shape {begin.shape} are not those of this model")
    if head is not None:
        if len(head) != int(personal.sum()):
            raise PrivacyError("the head that was kept is not the head of this model")
        begin[personal] = head
    scale = step_scale(plan, gradients.size)
    now = begin.copy()
    for _ in range(plan.steps):
        drawn = _drawn(noise, batch.patients, plan.sampling_rate)
        clipped = gradients.sum(now, batch.take(drawn), plan.clip_norm)
        noisy = _with_noise(clipped, scale, plan, noise)
        now = now - plan.learning_rate * (noisy / plan.denominator + plan.proximal * (now - begin))
    return LocalUpdate(np.where(personal, 0.0, now - begin), now[personal])


def head_mask(architecture: Architecture, inputs: Inputs) -> NDArray[np.bool_]:
    """Return which parameters are the output layer, shape ``(d,)``."""
    mask: NDArray[np.bool_] = np.concatenate(
        [np.full(layer.size, layer.head) for layer in layers(architecture, inputs)]
    )
    return mask


def step_scale(plan: LocalPlan, dimension: int) -> Fraction:
    """Return gamma, ring units of one unit of the gradient, so that a step has the plan's noise multiplier.

    ``sqrt(4^s - 1/12) / (gamma C (1 + 2^-20) + 2 sqrt(d))`` is the multiplier of one site's own share; gamma
    is rounded down, which only adds noise.

    Args:
      plan: Public.
      dimension: d.

    Raises:
      PrivacyError: the scale vanishes: rounding alone would be more than the bound.
    """
    bound = sqrt(4.0**LOG2_SCALE - 1 / 12) / plan.noise_multiplier
    gamma = (bound * (1 - 2.0**-40) - 2 * sqrt(dimension)) / (plan.clip_norm * (1 + 2.0**-20))
    if gamma * plan.clip_norm < 1:
        raise PrivacyError(
            f"a noise multiplier of {plan.noise_multiplier:g} leaves nothing of {dimension:,} parameters",
            do="lower it, or choose a smaller model",
        )
    return Fraction(floor(gamma * _GRAIN), _GRAIN)


def _drawn(noise: NoiseSource | UnsafeFloatNoise, patients: int, rate: float) -> NDArray[np.int64]:
    """Draw each patient with the same probability, rounded down to a multiple of 2^-64."""
    if isinstance(noise, UnsafeFloatNoise):
        return np.flatnonzero(torch.rand(patients, generator=noise.generator).numpy() < rate)
    words = noise.words(patients)
    below = floor(Fraction(rate) * 2**64)
    chosen = words < np.uint64(below) if below < 2**64 else np.ones(patients, dtype=bool)
    return np.flatnonzero(chosen)


def _with_noise(
    clipped: Array, gamma: Fraction, plan: LocalPlan, noise: NoiseSource | UnsafeFloatNoise
) -> Array:
    if isinstance(noise, UnsafeFloatNoise):
        deviation = plan.noise_multiplier * plan.clip_norm
        drawn = torch.normal(0.0, deviation, clipped.shape, generator=noise.generator, dtype=torch.float64)
        return clipped + np.asarray(drawn.numpy(), dtype=np.float64)
    whole = quantised(clipped, float(gamma)) + gaussian.sample(noise, len(clipped))
    return np.asarray(whole / float(gamma), dtype=np.float64)
