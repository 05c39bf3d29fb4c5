"""How long each patient's gradient is, before any gradient is made, and whose is none at all.

For a linear layer with input a and gradient delta at its output, the gradient of its weights is the outer
product of both and that of its bias is delta, so its squared length is ``|delta|^2 (|a|^2 + 1)`` (Goodfellow,
Efficient per-example gradient computations, arXiv 1510.01799, 2015). Every other layer goes through Opacus'
per-sample gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from fedvalue.strategies.training.models.passes import Flow

HUGE = 1e30
"""Largest squared length of a layer's input: below it underflow takes no gradient that matters."""

Samples = dict[nn.Parameter, torch.Tensor]
"""Per-sample gradients of a layer's parameters, each shape ``(n, ...)``; empty for a linear layer."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of each patient's gradient.

    Attributes:
      squared: Squared lengths, shape ``(n,)``.
      sane: Whose gradient counts: everything finite, no layer's input huge; shape ``(n,)``.
      samples: Of each layer.
    """

    squared: torch.Tensor
    sane: torch.Tensor
    samples: tuple[Samples, ...]


def lengths(flows: Sequence[Flow]) -> Lengths:
    """Return how long gradients are.

    Args:
      flows: What flowed through every layer with parameters.
    """
    with torch.no_grad():
        patients = flows[0].delta.shape[1]
        squared = torch.zeros(patients, dtype=torch.float64)
        sane = torch.ones(patients, dtype=torch.bool)
        samples: list[Samples] = []
        for flow in flows:
            if not isinstance(flow.layer, nn.Linear):
                samples.append(_opacus(flow.layer, flow.given, flow.delta.T))
                for each in samples[-1].values():
                    squared += _squares(each.flatten(1).T)
                continue
            samples.append({})
            given = _squares(flow.given)
            sane &= given <= HUGE
            if flow.layer.bias is not None:
                given += 1.0
            squared.addcmul_(_squares(flow.delta), given)
        sane &= torch.isfinite(squared)
    return Lengths(squared, sane, tuple(samples))


def _squares(columns: torch.Tensor) -> torch.Tensor:
    """The squared length of each column, shape ``(n,)``; added up along what lies side by side in memory."""
    if columns.is_contiguous():
        return torch.mul(columns, columns).sum(dim=0)
    rows = columns.T
    return torch.mul(rows, rows).sum(dim=1)


def _opacus(layer: nn.Module, given: torch.Tensor, delta: torch.Tensor) -> Samples:
    # imported where a model needs it: it costs seconds, and models of linear layers alone do without
    from opacus.grad_sample import GradSampleModule

    found: Samples = GradSampleModule.GRAD_SAMPLERS[type(layer)](layer, [given], delta)
    return found
