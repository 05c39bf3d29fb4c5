"""The clipped gradient sum of a site's patients, in float64, and how far one patient can move it.

Each patient's gradient is scaled to length C at most, and the scaled gradients are added. For a linear layer
with input a and gradient delta at its output, lengths come before gradients
(`fedvalue.strategies.training.models.lengths`), and one matrix product, weighted by patient, gives the sum.
Every other layer goes through Opacus' per-sample gradients.

A row whose activations, gradient or length are not finite, or whose activations are huge, becomes a row of
zeros; it is never multiplied by zero, because zero times infinity is not a number.

**What the bound rests on.** A patient who leaves must not change the others' gradients, not in the last bit:
a unit at the edge of waking turns a bit into a whole gradient. A matrix product does not promise that; the
usual one gives a row other last bits when it stands elsewhere. So rows enter in blocks of one fixed shape,
filled up with rows that have no outcome; patients are the columns of every product, whose number is a
multiple of what processors take at a time; one thread computes. Then a row's bits are its own, which
`fedvalue.strategies.training.models.apart` checks on this machine before a model is used, and refuses where
they are not: a test, not a theorem about the library. What is left is the order in which sums are rounded:
inside a block, and of block sums. `patient_bound` leaves room for that, and the plan keeps it below half a
unit, with the public cap on patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, isfinite, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedvalue.errors import PrivacyError
from fedvalue.privacy.release import SUM_BLOCK, Block, require_exact_sum
from fedvalue.strategies.training.models.apart import one_thread, require_apart
from fedvalue.strategies.training.models.lengths import lengths
from fedvalue.strategies.training.models.links import Target, target
from fedvalue.strategies.training.models.network import Inputs, Prepared, Rows, build, load, prepare
from fedvalue.strategies.training.models.passes import Passes
from fedvalue.study.architectures import Architecture

Array = NDArray[np.float64]

BLOCK = SUM_BLOCK
"""Rows of a block: a multiple of 12, 16 and 24, the columns that matrix kernels take at a time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Patients ready for a step, filled up to whole blocks with rows that count for nobody.

    Attributes:
      prepared: What enters the network.
      happened: To the same patients.
      patients: How many there are without the filling.
    """

    prepared: Prepared
    happened: Target
    patients: int

    def take(self, index: NDArray[np.int64]) -> Batch:
        """Return some patients, in that order, filled up again; indices may repeat."""
        chosen = torch.from_numpy(np.ascontiguousarray(index, dtype=np.int64))
        return _filled(self.prepared.take(chosen), self.happened.take(chosen))


class Gradients:
    """Clipped gradient sums of one model; holds the network, so that many steps build it once.

    Args:
      architecture: Of the registry.
      inputs: What it learns from.

    Raises:
      StudyInvalid: the architecture does not fit the inputs.
      PrivacyError: on this machine a row's bits depend on where it stands.
    """

    def __init__(self, architecture: Architecture, inputs: Inputs) -> None:
        self.architecture, self.inputs = architecture, inputs
        self._module = build(architecture, inputs)
        self._passes = Passes(self._module)
        self.size = 0
        self._at: dict[torch.Tensor, int] = {}
        for parameter in self._module.parameters():
            self._at[parameter] = self.size
            self.size += parameter.numel()
        self._block = torch.zeros(self.size, dtype=torch.float64)
        require_apart(architecture, inputs)

    def batch(self, rows: Rows) -> Batch:
        """Return rows ready for any number of steps."""
        return _filled(prepare(self._module, rows), target(self.architecture, self.inputs, rows))

    def sum(self, parameters: Array, batch: Batch, clip_norm: float) -> Array:
        """Return the sum of the clipped gradients of a batch's losses, shape ``(d,)``.

        Args:
          parameters: Shape ``(d,)``.
          batch: Patients, from `batch` of the same model.
          clip_norm: C, the largest length of a patient's gradient, above 0; infinite for none.

        Raises:
          PrivacyError: a bound that is not above 0, or parameters of another length.
        """
        if not clip_norm > 0:
            raise PrivacyError(f"a clip of {clip_norm} is no bound", do="give a clip above 0")
        load(self._module, parameters)
        total = torch.zeros(self.size, dtype=torch.float64)
        one_thread()
        for first in range(0, len(batch.prepared), BLOCK):
            part = slice(first, first + BLOCK)
            self._sum_block(batch.prepared.take(part), batch.happened.take(part), clip_norm)
            total += self._block  # after the block has its own sum: additions to the total are few
        return total.numpy()

    def _sum_block(self, given: Prepared, happened: Target, clip_norm: float) -> None:
        """Leave the sum of a block's clipped gradients in its place."""
        flows = self._passes.flows(given, happened)
        with torch.no_grad():
            found = lengths(flows)
            sane, whole = found.sane, bool(found.sane.all())
            weights = torch.clamp(clip_norm / found.squared.sqrt_(), max=1.0)
            if not whole:
                weights = torch.where(sane, weights, 0.0)
            for flow, samples in zip(flows, found.samples, strict=True):
                for owner, each in samples.items():
                    rows = each.flatten(1)
                    torch.mv(_kept(rows.T, sane, whole), weights, out=self._place(owner))
                if isinstance(flow.layer, nn.Linear):
                    weighted = _kept(flow.delta, sane, whole) * weights
                    place = self._place(flow.layer.weight).view(flow.layer.weight.shape)
                    torch.mm(weighted, _kept(flow.given, sane, whole).T, out=place)
                    if flow.layer.bias is not None:
                        torch.sum(weighted, dim=1, out=self._place(flow.layer.bias))

    def _place(self, parameter: torch.Tensor) -> torch.Tensor:
        first = self._at[parameter]
        return self._block[first : first + parameter.numel()]


def gradient_sum(
    architecture: Architecture, inputs: Inputs, parameters: Array, rows: Rows, clip_norm: float
) -> Array:
    """Return the sum of patients' clipped gradients, shape ``(d,)``.

    Args:
      architecture: Of the registry.
      inputs: What the model learns from.
      parameters: Shape ``(d,)``.
      rows: Patients; whatever a row holds adds at most ``clip_norm``, and never an error.
      clip_norm: C, the largest length of one patient's gradient, above 0.

    Raises:
      StudyInvalid: the architecture does not fit the inputs.
      PrivacyError: a bound that is not above 0, parameters of another length, or outcomes of another kind.
    """
    gradients = Gradients(architecture, inputs)
    return gradients.sum(parameters, gradients.batch(rows), clip_norm)


def patient_bound(gamma: float, clip_norm: float, dimension: int) -> int:
    """Return D_1, how far one patient moves the quantised sum at one site, in ring units, rounded up.

    ``gamma C (1 + 2^-20) + 2 sqrt(d)``: the gradient, the last bits of its length, and for each coordinate
    half a unit twice for rounding and half a unit twice for the order of the sums.

    Args:
      gamma: Ring units of one unit of the gradient.
      clip_norm: C.
      dimension: d.
    """
    return ceil(gamma * clip_norm * (1 + 2.0**-20) + 2 * sqrt(dimension))


def require_exact(gamma: float, clip_norm: float, patients: int) -> None:
    """Check ``gamma C N (B + N/B) 2^-53 <= 1/2``: the order of a sum moves no coordinate by half a unit.

    Args:
      gamma: Ring units of one unit of the gradient.
      clip_norm: C.
      patients: N, the public cap on patients of a site.

    Raises:
      PrivacyError: it could.
    """
    block = Block("gradient", 1, Fraction(clip_norm) ** 2, counting=False, summed=True)
    require_exact_sum(block, Fraction(gamma), patients)


def quantised(gradient: Array, gamma: float) -> NDArray[np.int64]:
    """Return a gradient sum in ring units, ``round(gamma g)``, shape ``(d,)``.

    Raises:
      PrivacyError: a sum that is not finite or does not fit the ring; neither comes of `gradient_sum`.
    """
    scaled = np.rint(gradient * gamma)
    if not isfinite(largest := float(np.abs(scaled).max(initial=0.0))) or largest >= 2.0**62:
        raise PrivacyError("a gradient sum does not fit the ring", do="lower the scale")
    return np.asarray(scaled, dtype=np.int64)


def _kept(columns: torch.Tensor, sane: torch.Tensor, whole: bool) -> torch.Tensor:
    return columns if whole else torch.where(sane, columns, 0.0)


def _filled(prepared: Prepared, happened: Target) -> Batch:
    patients = len(prepared)
    more = max(1, -(-patients // BLOCK)) * BLOCK - patients
    if not more:
        return Batch(prepared, happened, patients)

    def fill(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values, torch.zeros((more, *values.shape[1:]), dtype=values.dtype)])

    return Batch(
        Prepared(fill(prepared.dense), fill(prepared.coded), fill(prepared.multihot)),
        Target(
            fill(happened.counted),
            fill(happened.value),
            None if happened.at_risk is None else fill(happened.at_risk),
        ),
        patients,
    )
