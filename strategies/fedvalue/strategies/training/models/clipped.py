"""The clipped gradient sum of a site's patients, in float64, and how far one patient can move it.

Each patient's gradient is scaled to length C at most, and the scaled gradients are added. For a linear layer
with input a and gradient delta at its output, the gradient of its weights is the outer product of both and
that of its bias is delta, so its squared length is ``|delta|^2 (|a|^2 + 1)`` (Goodfellow, Efficient
per-example gradient computations, arXiv 1510.01799, 2015): lengths come before gradients, and one weighted
matrix product gives the sum. Every other layer goes through Opacus' per-sample gradients.

A row whose activations, gradient or length are not finite, or whose activations are huge, becomes a row of
zeros; it is never multiplied by zero, because zero times infinity is not a number.

**What the bound rests on.** A patient who leaves must not change the others' gradients, not in the last bit:
a unit at the edge of waking turns a bit into a whole gradient. A matrix product does not promise that; the
usual one gives a row other last bits when it stands elsewhere. So rows enter in blocks of one fixed shape,
filled up with rows that have no outcome; patients are the columns of every product, whose number is a
multiple of what processors take at a time; one thread computes. Then a row's bits are its own, which
`Gradients` checks on this machine before it is used, and refuses where they are not: a test, not a theorem
about the library. What is left is the order in which sums are rounded. `patient_bound` leaves room for that,
and `require_exact` keeps it below half a unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, isfinite, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedvalue.errors import PrivacyError
from fedvalue.strategies.training.models.links import Target, losses, target
from fedvalue.strategies.training.models.network import Inputs, Prepared, Rows, build, load, prepare
from fedvalue.study.architectures import Architecture

Array = NDArray[np.float64]

BLOCK = 528
"""Rows of a block: a multiple of 12, 16 and 24, the columns that matrix kernels take at a time."""

HUGE = 1e30
"""Largest squared length of a layer's input: below it underflow takes no gradient that matters."""


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
        self.size = 0
        self._at: dict[torch.Tensor, int] = {}
        for parameter in self._module.parameters():
            self._at[parameter] = self.size
            self.size += parameter.numel()
        for layer in self._module.modules():
            if isinstance(layer, nn.Linear):
                layer.requires_grad_(requires_grad=False)
        self._require_apart()

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
        with _one_thread():
            for first in range(0, len(batch.prepared), BLOCK):
                part = slice(first, first + BLOCK)
                self._add(total, batch.prepared.take(part), batch.happened.take(part), clip_norm)
        return total.numpy()

    def _flow(self, given: Prepared, happened: Target) -> tuple[_Taps, tuple[torch.Tensor, ...]]:
        """Return what flows through the layers, and the gradients at their outputs."""
        taps = _Taps()
        outputs = self._module.outputs(given, taps)
        loss = losses(self.architecture, outputs, happened).sum()
        return taps, torch.autograd.grad(loss, taps.found)

    def _require_apart(self) -> None:
        """Check on a made-up block, and on the same rows in another order, that the bits go with the rows."""
        made = torch.Generator().manual_seed(BLOCK)
        inputs, order = self.inputs, torch.randperm(BLOCK, generator=made)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=made, dtype=torch.float64)

        codes = [torch.randint(0, column.levels + 1, (BLOCK,), generator=made) for column in inputs.coded]
        coded = torch.stack(codes, dim=1) if codes else torch.zeros((BLOCK, 0), dtype=torch.int64)
        variants = (normal(BLOCK, inputs.variants) > 0).to(torch.float64)
        given = Prepared(normal(BLOCK, inputs.dense), coded, variants)
        value = (normal(BLOCK, max(1, inputs.intervals)) > 0).to(torch.float64)
        at_risk = torch.ones_like(value) if inputs.intervals else None
        happened = Target(torch.ones(BLOCK, dtype=torch.bool), value, at_risk)
        load(self._module, (normal(self.size) * 0.3).numpy())
        with _one_thread():
            taps, deltas = self._flow(given, happened)
            others, moved = self._flow(given.take(order), happened.take(order))
        pairs = zip((*taps.found, *deltas), (*others.found, *moved), strict=True)
        if not all(torch.equal(one[order], other) for one, other in pairs):
            raise PrivacyError(
                "on this machine a patient's gradient depends in its last bits on where the patient stands",
                do="train on a machine with another processor or another build of torch",
            )

    def _add(self, total: torch.Tensor, given: Prepared, happened: Target, clip_norm: float) -> None:
        taps, deltas = self._flow(given, happened)
        with torch.no_grad():
            squared = torch.zeros(len(given), dtype=torch.float64)
            sane = torch.ones(len(given), dtype=torch.bool)
            samples: list[dict[nn.Parameter, torch.Tensor]] = []
            for layer, a, delta in zip(taps.layers, taps.given, deltas, strict=True):
                if isinstance(layer, nn.Linear):
                    length = torch.linalg.vector_norm(a, dim=1).square_()
                    sane &= length <= HUGE
                    if layer.bias is not None:
                        length = length + 1.0
                    squared += torch.linalg.vector_norm(delta, dim=1).square_().mul_(length)
                    samples.append({})
                else:
                    samples.append(_opacus(layer, a, delta))
                    for each in samples[-1].values():
                        squared += torch.linalg.vector_norm(each.flatten(1), dim=1).square_()
            sane &= torch.isfinite(squared)
            weights = torch.clamp(clip_norm / squared.sqrt_(), max=1.0)
            whole = bool(sane.all())
            if not whole:
                weights = torch.where(sane, weights, 0.0)
            for layer, a, delta, sample in zip(taps.layers, taps.given, deltas, samples, strict=True):
                if not isinstance(layer, nn.Linear):
                    for owner, each in sample.items():
                        flat = each.flatten(1)
                        self._place(total, owner).add_(weights @ (flat if whole else _kept(flat, sane)))
                    continue
                if not whole:
                    a, delta = _kept(a, sane), _kept(delta, sane)
                weighted = delta * weights[:, None]
                self._place(total, layer.weight).view(layer.weight.shape).addmm_(weighted.T, a)
                if layer.bias is not None:
                    self._place(total, layer.bias).add_(weighted.sum(dim=0))

    def _place(self, total: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        first = self._at[parameter]
        return total[first : first + parameter.numel()]


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
    error = gamma * clip_norm * patients * (BLOCK + patients / BLOCK) * 2.0**-53
    if not error <= 0.5:
        raise PrivacyError(
            f"sums of {patients:,} patients lose {error:.2g} units to rounding; half a unit is covered",
            do="lower the patient cap or the budget of the analysis",
        )


def quantised(gradient: Array, gamma: float) -> NDArray[np.int64]:
    """Return a gradient sum in ring units, ``round(gamma g)``, shape ``(d,)``.

    Raises:
      PrivacyError: a sum that is not finite or does not fit the ring; neither comes of `gradient_sum`.
    """
    scaled = np.rint(gradient * gamma)
    if not isfinite(largest := float(np.abs(scaled).max(initial=0.0))) or largest >= 2.0**62:
        raise PrivacyError("a gradient sum does not fit the ring", do="lower the scale")
    return np.asarray(scaled, dtype=np.int64)


class _Taps:
    """Notes what flows in and out of each layer with parameters."""

    __slots__ = ("found", "given", "layers")

    def __init__(self) -> None:
        self.layers: list[nn.Module] = []
        self.given: list[torch.Tensor] = []
        self.found: list[torch.Tensor] = []

    def through(self, layer: nn.Module, given: torch.Tensor) -> torch.Tensor:
        found = _output(layer, given)
        if not found.requires_grad:
            # weights ask for no gradient, which would cost a matrix product each; their outputs do
            found.requires_grad_()
        self.layers.append(layer)
        self.given.append(given.detach())
        self.found.append(found)
        return found


class _Columns(torch.autograd.Function):
    """A linear layer whose products have patients as columns, forwards and backwards."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, given: torch.Tensor, weight: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:  # fmt: skip
        ctx.save_for_backward(weight)
        columns = given.T
        found = weight @ columns if bias is None else torch.addmm(bias[:, None], weight, columns)
        return found.T

    @staticmethod
    def backward(
        ctx: torch.autograd.function.BackwardCFunction, *deltas: torch.Tensor
    ) -> tuple[torch.Tensor | None, None, None]:
        (weight,) = ctx.saved_tensors
        return ((weight.T @ deltas[0].T).T if ctx.needs_input_grad[0] else None), None, None


def _output(layer: nn.Module, given: torch.Tensor) -> torch.Tensor:
    if isinstance(layer, nn.Linear):
        return _columns(given, layer.weight, layer.bias)
    found: torch.Tensor = layer(given)
    return found


def _columns(given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    found: torch.Tensor = _Columns.apply(  # type: ignore[no-untyped-call]  # torch left its types out
        given, weight, bias
    )
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let one thread compute: shares of a block that several threads take are no multiples of anything."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _opacus(layer: nn.Module, given: torch.Tensor, delta: torch.Tensor) -> dict[nn.Parameter, torch.Tensor]:
    """Return per-sample gradients of a layer's parameters, each shape ``(n, ...)``."""
    # imported where a model needs it: it costs seconds, and models of linear layers alone do without
    from opacus.grad_sample import GradSampleModule

    found: dict[nn.Parameter, torch.Tensor] = GradSampleModule.GRAD_SAMPLERS[type(layer)](
        layer, [given], delta
    )
    return found


def _kept(values: torch.Tensor, sane: torch.Tensor) -> torch.Tensor:
    return torch.where(sane[:, None], values, 0.0)


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
