"""The networks themselves, in float64: from raw columns to outputs, rows apart from each other.

`build` makes the module of an architecture; its parameters, flattened in the order of
`fedvalue.study.architectures.layers`, are the vector that sites and coordinator exchange. Raw columns go in
as a site has them: what is not finite, or a code of no level, is *unknown* and counts as the middle, as a
level of its own, or as genes that nobody looked at. Nothing that a row may hold is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedvalue.errors import PrivacyError
from fedvalue.strategies.training.models.links import probability
from fedvalue.study import architectures as registry
from fedvalue.study.architectures import Architecture, Coded, Gene, Inputs, Numeric, Survival, Tabular, size

__all__ = [
    "Coded", "Gene", "Inputs", "Module", "Numeric", "Prepared", "Rows", "build", "initial", "load",
    "predict", "prepare", "score", "size",
]  # fmt: skip

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "silu": nn.functional.silu,
    "relu": torch.relu,
}


def _none() -> Codes:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Rows:
    """Patients as a site has them, one a row; whatever a row holds is allowed.

    Attributes:
      numeric: In each variable's unit, not finite where unknown, shape ``(n, p)``.
      coded: Index of the level, any other number where unknown, shape ``(n, q)``.
      multihot: 1 where a patient has the variant, 0 where not, any other number where nobody looked, shape
        ``(n, r)``, genes beside each other in the order of the inputs.
      outcome: 1, 0 or -1 (missing) for a binary outcome; a number in its unit, not finite where missing;
        empty for a time to an event. Shape ``(n,)``.
      interval: Last interval of the public grid in which a patient was at risk, counted from 0; -1 where
        missing. Empty for other outcomes. Shape ``(n,)``.
      event: 1 where the event happened in that interval, 0 where it did not, -1 where missing.
      entry: First interval in which a patient was at risk; empty where everybody enters at 0.
    """

    numeric: Array
    coded: Codes
    multihot: Codes
    outcome: Array = field(default_factory=lambda: np.zeros(0))
    interval: Codes = field(default_factory=_none)
    event: Codes = field(default_factory=_none)
    entry: Codes = field(default_factory=_none)

    def __len__(self) -> int:
        return len(self.numeric)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Rows:
        """Return the patients of some rows, in that order."""

        def of(values: NDArray[np.generic]) -> NDArray[np.generic]:
            return values[index] if len(values) == len(self) else values

        return Rows(*(of(getattr(self, name)) for name in self.__dataclass_fields__))  # type: ignore[arg-type]  # each keeps its type


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows as tensors that enter a network; all of them finite.

    Attributes:
      dense: Scaled numbers and flags, float64, shape ``(n, p + flags)``.
      coded: Rows of the embedding tables, int64, shape ``(n, q)``; the last row of each is the unknown level.
      multihot: 0 or 1, float64, shape ``(n, r)``.
    """

    dense: torch.Tensor
    coded: torch.Tensor
    multihot: torch.Tensor

    def __len__(self) -> int:
        return len(self.dense)

    def take(self, index: torch.Tensor | slice) -> Prepared:
        """Return some rows, in that order."""
        return Prepared(self.dense[index], self.coded[index], self.multihot[index])


class Module(nn.Module):
    """The network of an architecture; its forward pass takes raw columns.

    Args:
      architecture: Of the registry.
      inputs: What it learns from.
    """

    def __init__(self, architecture: Architecture, inputs: Inputs) -> None:
        super().__init__()
        self.architecture, self.inputs = architecture, inputs
        self.embeddings, self.genes, self.hidden = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        width = registry.first_width(architecture, inputs)
        if isinstance(architecture, Tabular | Survival):
            for column in inputs.coded:
                wide = registry.embedding_width(architecture, column)
                # a table without values: torch would fill it with random numbers that nobody uses
                table = torch.empty(column.levels + 1, wide, dtype=torch.float64)
                self.embeddings.append(nn.Embedding(column.levels + 1, wide, _weight=table))
            for gene in inputs.genes:
                wide = registry.gene_width(architecture, gene)
                self.genes.append(_linear(gene.variants, wide, bias=False))
            for wide in architecture.layers:
                self.hidden.append(_linear(width, wide))
                width = wide
            width += registry.first_width(architecture, inputs) if architecture.skip else 0
            self.activation: str = architecture.activation
        out = registry.outputs(architecture, inputs)
        based = inputs.intervals > 0 and out == 1
        self.output = _linear(width, out, bias=not based)
        self.baseline: nn.Linear | None = _linear(1, inputs.intervals, bias=False) if based else None
        self.scales: torch.Tensor
        self.register_buffer("scales", _scales(inputs), persistent=False)

    def forward(self, numeric: torch.Tensor, coded: torch.Tensor, multihot: torch.Tensor) -> torch.Tensor:
        """Return probabilities, means or hazards by interval from raw columns.

        Args:
          numeric: As in `Rows`, float64, shape ``(n, p)``.
          coded: As in `Rows`, int64, shape ``(n, q)``.
          multihot: As in `Rows`, int64, shape ``(n, r)``.

        Returns:
          Shape ``(n,)``, or ``(n, intervals)`` for a time to an event.
        """
        found = probability(
            self.architecture, self.inputs, self.outputs(self.prepare(numeric, coded, multihot))
        )
        return found if self.inputs.intervals else found[:, 0]

    def prepare(self, numeric: torch.Tensor, coded: torch.Tensor, multihot: torch.Tensor) -> Prepared:
        """Return raw columns as what enters the network; shapes as in `forward`."""
        inputs, parts = self.inputs, []
        if inputs.numeric:
            low, high, center, spread = self.scales
            known = torch.isfinite(numeric)
            inside = torch.clamp(torch.where(known, numeric, center), low, high)
            parts.append(torch.clamp((inside - center) / spread, -registry.REACH, registry.REACH))
            flagged = [i for i, column in enumerate(inputs.numeric) if column.flagged]
            if flagged:
                parts.append((~known[:, flagged]).to(torch.float64))
        codes = [
            torch.where((coded[:, i] >= 0) & (coded[:, i] < c.levels), coded[:, i], c.levels)
            for i, c in enumerate(inputs.coded)
        ]
        looked = (multihot == 0) | (multihot == 1)
        variants = torch.where(looked, multihot, torch.zeros_like(multihot)).to(torch.float64)
        first = 0
        for gene in inputs.genes:
            if gene.flagged:
                seen = looked[:, first : first + gene.variants].any(dim=1, keepdim=True)
                parts.append((~seen).to(torch.float64))
            first += gene.variants
        dense = torch.cat(parts, dim=1) if parts else torch.zeros((len(multihot), 0), dtype=torch.float64)
        return Prepared(dense, torch.stack(codes, dim=1) if codes else coded, variants)

    def outputs(self, prepared: Prepared) -> torch.Tensor:
        """Return what the last layer gives, before the link, shape ``(n, outputs or intervals)``.

        Args:
          prepared: Rows.
        """
        parts = [prepared.dense]
        if isinstance(self.architecture, Tabular | Survival):
            parts += [table(prepared.coded[:, i]) for i, table in enumerate(self.embeddings)]
            at = 0
            for gene, layer in zip(self.inputs.genes, self.genes, strict=True):
                parts.append(layer(prepared.multihot[:, at : at + gene.variants]))
                at += gene.variants
        else:
            for i, column in enumerate(self.inputs.coded):
                one = nn.functional.one_hot(prepared.coded[:, i], column.levels + 1)
                parts.append(one.to(torch.float64))
            parts.append(prepared.multihot)
        flowing = first = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        for layer in self.hidden:
            flowing = ACTIVATIONS[self.activation](layer(flowing))
        if flowing is not first and self.output.in_features > flowing.shape[1]:
            flowing = torch.cat([flowing, first], dim=1)
        found: torch.Tensor = self.output(flowing)
        if self.baseline is not None:
            found = found + self.baseline(torch.ones_like(found[:, :1]))
        return found


def build(architecture: Architecture, inputs: Inputs) -> Module:
    """Return the network of an architecture, in float64; `load` gives it parameters.

    Raises:
      StudyInvalid: the architecture does not fit the inputs, or the model is too large.
    """
    registry.layers(architecture, inputs)
    return Module(architecture, inputs)


def initial(architecture: Architecture, inputs: Inputs, seed: int) -> Array:
    """Return the parameters that training starts from, the same numbers at every site, shape ``(d,)``.

    Hidden layers, embeddings and gene maps are uniform with variance ``1 / fan-in`` (LeCun, Bottou, Orr,
    Muller, Efficient BackProp, 1998, section 4.6); the output layer is 0 but for the public start rate.

    Args:
      architecture: Of the registry.
      inputs: What it learns from.
      seed: Public, from the study.

    Raises:
      StudyInvalid: the architecture does not fit the inputs, or the model is too large.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for layer in registry.layers(architecture, inputs):
        if layer.fan_in:
            reach = (3.0 / layer.fan_in) ** 0.5
            parts.append(rng.uniform(-reach, reach, layer.size))
        else:
            parts.append(np.full(layer.size, layer.start))
    return np.concatenate(parts)


def load(module: Module, parameters: Array) -> None:
    """Give a network its parameters.

    Args:
      module: The network; its parameters become views of a copy of the vector.
      parameters: Shape ``(d,)``.

    Raises:
      PrivacyError: a vector of another length.
    """
    whole = torch.tensor(parameters, dtype=torch.float64)
    found = list(module.parameters())
    if whole.ndim != 1 or len(whole) != sum(p.numel() for p in found):
        raise PrivacyError(f"parameters of the shape {tuple(whole.shape)} are not those of this model")
    parts = torch.split(whole, [p.numel() for p in found])
    for parameter, part in zip(found, parts, strict=True):
        parameter.data = part.view(parameter.shape)


def prepare(module: Module, rows: Rows) -> Prepared:
    """Return rows as what enters the network."""
    with torch.no_grad():
        return module.prepare(
            torch.from_numpy(np.ascontiguousarray(rows.numeric, dtype=np.float64)),
            torch.from_numpy(np.ascontiguousarray(rows.coded, dtype=np.int64)),
            torch.from_numpy(np.ascontiguousarray(rows.multihot, dtype=np.int64)),
        )


def predict(architecture: Architecture, inputs: Inputs, parameters: Array, rows: Rows) -> Array:
    """Return what a model says of each patient.

    Args:
      architecture: Of the registry.
      inputs: What it learns from.
      parameters: Shape ``(d,)``.
      rows: Patients; their outcomes are not looked at.

    Returns:
      Probabilities, or means in the outcome's unit, shape ``(n,)``; hazards by interval, between 0 and 1,
      shape ``(n, intervals)``, for a time to an event. Not a number where the model itself is not finite.

    Raises:
      StudyInvalid: the architecture does not fit the inputs.
      PrivacyError: parameters of another length.
    """
    module = build(architecture, inputs)
    load(module, parameters)
    with torch.no_grad():
        found = probability(architecture, inputs, module.outputs(prepare(module, rows))).numpy()
    return np.asarray(found if inputs.intervals else found[:, 0], dtype=np.float64)


def score(predicted: Array) -> Array:
    """Return a number to rank by: the probability of an event over the whole grid, shape ``(n,)``.

    Args:
      predicted: What `predict` gave; probabilities and means are returned as they are.
    """
    if predicted.ndim == 1:
        return predicted
    found: Array = -np.expm1(np.log1p(-np.minimum(predicted, 1 - 1e-15)).sum(axis=1))
    return found


def _linear(width: int, out: int, *, bias: bool = True) -> nn.Linear:
    # skipping torch's own random start: the study's seed decides, and a draw would touch a global generator
    made: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]  # torch left its types out
        nn.Linear, width, out, bias=bias, dtype=torch.float64
    )
    return made


def _scales(inputs: Inputs) -> torch.Tensor:
    columns = [(*column.clip, *column.scale) for column in inputs.numeric]
    return torch.tensor(columns, dtype=torch.float64).reshape(len(columns), 4).T.contiguous()
