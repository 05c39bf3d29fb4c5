"""A block of patients forwards and backwards through a network, with patients as columns throughout.

Autograd is not asked: the networks of the registry are stacks of linear layers with one activation between
them, and for these the backward pass is two lines a layer. What it saves is what a private step does not
need: the weights' own gradient before clipping, a graph, fresh memory for every product. Activations and
gradients lie as columns, so that every product gives each patient bits that do not depend on the others
(`fedvalue.strategies.training.models.clipped` says why), and each stays in one place of memory from block to
block.

Rumelhart, Hinton, Williams. Learning representations by back-propagating errors. Nature 323 (1986) 533-536,
equations 6 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from fedvalue.strategies.training.models.links import Target, slopes
from fedvalue.strategies.training.models.network import Module, Prepared

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Flow:
    """What flowed through one layer that has parameters; the next block overwrites it.

    Attributes:
      layer: The layer.
      given: What it was given, patients as columns, float64, shape ``(in, n)``; for an embedding the rows of
        its table, int64, shape ``(n,)``.
      delta: Gradient of each patient's own loss at its output, patients as columns, shape ``(out, n)``.
    """

    layer: nn.Module
    given: torch.Tensor
    delta: torch.Tensor


@dataclass(frozen=True, slots=True)
class Activation:
    """What stands between two layers; each function writes into the tensor that it is given last.

    Attributes:
      forward: From what a layer gives.
      backward: From the gradient behind it, what the layer gave, and what it made of that.
    """

    forward: Callable[[torch.Tensor, torch.Tensor], object]
    backward: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], object]


ACTIVATIONS: Mapping[str, Activation] = {
    "tanh": Activation(
        lambda given, out: torch.tanh(given, out=out),
        lambda delta, _, made, out: aten.tanh_backward.grad_input(delta, made, grad_input=out),
    ),
    "silu": Activation(
        lambda given, out: aten.silu.out(given, out=out),
        lambda delta, given, _, out: aten.silu_backward.grad_input(delta, given, grad_input=out),
    ),
    "relu": Activation(
        lambda given, out: aten.relu.out(given, out=out),
        lambda delta, _, made, out: aten.threshold_backward.grad_input(delta, made, 0, grad_input=out),
    ),
}


class Passes:
    """Takes blocks of one size through one network; not for two threads at once.

    Args:
      module: The network; its parameters may change between blocks.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self._hidden = [layer for layer in module.hidden if isinstance(layer, nn.Linear)]
        self._genes = [layer for layer in module.genes if isinstance(layer, nn.Linear)]
        self._tables = [layer for layer in module.embeddings if isinstance(layer, nn.Embedding)]
        self._rooms: dict[str, torch.Tensor] = {}

    def flows(self, prepared: Prepared, happened: Target) -> tuple[Flow, ...]:
        """Return what flows through each layer with parameters for the loss of each patient alone.

        Args:
          prepared: Patients, n of them.
          happened: To the same patients.
        """
        module = self._module
        with torch.no_grad():
            parts = self._parts(prepared)
            first = self._joined("first", [columns for _, _, columns in parts])
            made = self._forward(first)
            end = made[-1][1] if made else first
            skips = module.output.in_features > len(end)
            top = self._joined("top", [end, first]) if skips else end
            delta, found = self._at_the_end(self._through(module.output, top, "output"), happened)
            found.append(Flow(module.output, top, delta))
            if not made:
                return tuple(found)
            # what the first layer is given has parameters behind it where a map of codes or genes made it
            mapped = any(layer is not None for layer, _, _ in parts)
            whole = self._back(module.output, delta, "top")
            behind, beside = whole[: len(end)], whole[len(end) :]
            for number in reversed(range(len(made))):
                layer, (given, active) = self._hidden[number], made[number]
                ACTIVATIONS[module.activation].backward(behind, given, active, behind)
                found.append(Flow(layer, made[number - 1][1] if number else first, behind))
                if number or mapped:
                    behind = self._back(layer, behind, f"hidden {number}")
            if mapped:
                found += self._apart(parts, behind.add_(beside) if skips else behind)
        return tuple(found)

    def _parts(self, prepared: Prepared) -> list[tuple[nn.Module | None, torch.Tensor, torch.Tensor]]:
        """What the first layer is given: each part's map, what that was given, and its columns."""
        module = self._module
        parts: list[tuple[nn.Module | None, torch.Tensor, torch.Tensor]] = []
        if prepared.dense.shape[1] or not (prepared.coded.shape[1] or prepared.multihot.shape[1]):
            parts.append((None, prepared.dense, prepared.dense.T))
        if not self._hidden:
            for i, column in enumerate(module.inputs.coded):
                one = nn.functional.one_hot(prepared.coded[:, i], column.levels + 1)
                parts.append((None, one, one.T))
            if prepared.multihot.shape[1]:
                parts.append((None, prepared.multihot, prepared.multihot.T))
            return parts
        for i, table in enumerate(self._tables):
            codes = prepared.coded[:, i]
            parts.append((table, codes, table.weight[codes].T))
        at = 0
        for gene, layer in zip(module.inputs.genes, self._genes, strict=True):
            seen = prepared.multihot[:, at : at + gene.variants].T
            parts.append((layer, seen, self._through(layer, seen, f"gene {at}")))
            at += gene.variants
        return parts

    def _forward(self, first: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """What each hidden layer gives, before and behind its activation."""
        module, flowing = self._module, first
        made: list[tuple[torch.Tensor, torch.Tensor]] = []
        for number, layer in enumerate(self._hidden):
            given = self._through(layer, flowing, f"hidden {number}")
            flowing = self._room(f"active {number}", *given.shape)
            ACTIVATIONS[module.activation].forward(given, flowing)
            made.append((given, flowing))
        return made

    def _at_the_end(self, given: torch.Tensor, happened: Target) -> tuple[torch.Tensor, list[Flow]]:
        """The gradient at the output layer, and the flow of the baseline behind it where there is one."""
        module, baseline = self._module, self._module.baseline
        if baseline is None:
            return slopes(module.architecture, given.T, happened).T.contiguous(), []
        spread = given + baseline.weight
        delta = slopes(module.architecture, spread.T, happened).T.contiguous()
        return delta.sum(dim=0, keepdim=True), [Flow(baseline, torch.ones_like(given), delta)]

    def _apart(
        self, parts: list[tuple[nn.Module | None, torch.Tensor, torch.Tensor]], behind: torch.Tensor
    ) -> list[Flow]:
        found, at = [], 0
        for layer, given, columns in parts:
            if layer is not None:
                found.append(Flow(layer, given, behind[at : at + len(columns)]))
            at += len(columns)
        return found

    def _through(self, layer: nn.Linear, columns: torch.Tensor, name: str) -> torch.Tensor:
        """A layer's product, patients as columns."""
        out = self._room(f"through {name}", layer.out_features, columns.shape[1])
        return product(layer.weight, columns, layer.bias, out)

    def _back(self, layer: nn.Linear, delta: torch.Tensor, name: str) -> torch.Tensor:
        """The gradient at what a layer was given."""
        out = self._room(f"back {name}", layer.in_features, delta.shape[1])
        if layer.out_features == 1:
            return torch.mul(layer.weight.T, delta, out=out)
        return product(layer.weight.T, delta, None, out)

    def _joined(self, name: str, parts: list[torch.Tensor]) -> torch.Tensor:
        if len(parts) == 1 and parts[0].dtype == torch.float64:
            return parts[0]
        out = self._room(name, sum(map(len, parts)), parts[0].shape[1])
        at = 0
        for part in parts:
            out[at : at + len(part)].copy_(part)
            at += len(part)
        return out

    def _room(self, name: str, rows: int, columns: int) -> torch.Tensor:
        found = self._rooms.get(name)
        if found is None or found.shape != (rows, columns):
            found = self._rooms[name] = torch.empty((rows, columns), dtype=torch.float64)
        return found


def product(
    weight: torch.Tensor, columns: torch.Tensor, bias: torch.Tensor | None, out: torch.Tensor
) -> torch.Tensor:
    """Write ``weight @ columns + bias`` to ``out`` and return it; patients are columns.

    Args:
      weight: Shape ``(a, b)``.
      columns: Shape ``(b, n)``.
      bias: Shape ``(a,)``; None for none.
      out: Shape ``(a, n)``.
    """
    if bias is None:
        return torch.mm(weight, columns, out=out)
    return torch.addmm(bias[:, None], weight, columns, out=out)
