"""What an architecture's output means, and how far it is from what happened: links and losses by patient.

Each loss is a patient's negative log-likelihood up to a constant, from that patient's row alone. A patient
whose outcome is missing has none and adds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import softplus

from fedvalue.errors import PrivacyError
from fedvalue.study.architectures import Architecture, Hazard, Inputs, Linear, Poisson

if TYPE_CHECKING:
    from fedvalue.strategies.training.models.network import Rows

STEEPEST = 30.0
"""Predictors of log links count from -30 to 30."""


@dataclass(frozen=True, slots=True)
class Target:
    """What happened, as tensors; finite everywhere.

    Attributes:
      counted: Who has an outcome, bool, shape ``(n,)``.
      value: 0 or 1, or a number (scaled by its clip to -1..1 for a linear model); by interval, 1 where the
        event happened, for a time to an event. Float64, shape ``(n, 1)`` or ``(n, intervals)``.
      at_risk: 1 in the intervals at risk, same shape; None for other outcomes.
    """

    counted: torch.Tensor
    value: torch.Tensor
    at_risk: torch.Tensor | None = None

    def take(self, index: torch.Tensor | slice) -> Target:
        """Return some rows, in that order."""
        at_risk = None if self.at_risk is None else self.at_risk[index]
        return Target(self.counted[index], self.value[index], at_risk)


def target(architecture: Architecture, inputs: Inputs, rows: Rows) -> Target:
    """Return what happened to each patient; whatever a row holds is allowed.

    Args:
      architecture: Of the registry.
      inputs: What it learns from.
      rows: Patients, with their outcomes.

    Raises:
      PrivacyError: not one outcome a patient: the rows were put together for another kind of outcome.
    """
    n = len(rows)
    if inputs.intervals:
        _require_length(len(rows.interval), n)
        _require_length(len(rows.event), n)
        last, event = rows.interval, rows.event
        entry = rows.entry if len(rows.entry) == n else np.zeros(n, dtype=np.int64)
        counted = (last >= 0) & (last < inputs.intervals) & ((event == 0) | (event == 1))
        counted &= (entry >= 0) & (entry <= last)
        grid = np.arange(inputs.intervals)
        at_risk = counted[:, None] & (grid >= entry[:, None]) & (grid <= last[:, None])
        happened = at_risk & (grid == last[:, None]) & (event == 1)[:, None]
        return Target(torch.from_numpy(counted), _floats(happened), _floats(at_risk))
    _require_length(len(rows.outcome), n)
    outcome = np.asarray(rows.outcome, dtype=np.float64)
    if inputs.outcome_clip is None:
        counted = (outcome == 0) | (outcome == 1)
        return Target(torch.from_numpy(counted), _floats(outcome == 1)[:, None])
    low, high = inputs.outcome_clip
    counted = np.isfinite(outcome)
    value = np.clip(np.where(counted, outcome, low), low, high)
    if isinstance(architecture, Linear):
        value = (value - low) / (high - low) * 2 - 1
    return Target(torch.from_numpy(counted), _floats(value)[:, None])


def losses(architecture: Architecture, outputs: torch.Tensor, happened: Target) -> torch.Tensor:
    """Return each patient's negative log-likelihood, shape ``(n,)``; 0 without an outcome.

    Args:
      architecture: Of the registry.
      outputs: Before the link, shape ``(n, 1)`` or ``(n, intervals)``.
      happened: To the same patients.
    """
    value = happened.value
    if isinstance(architecture, Linear):
        terms = (outputs - value) ** 2 / 2
    elif isinstance(architecture, Poisson):
        eta = torch.clamp(outputs, -STEEPEST, STEEPEST)
        terms = torch.exp(eta) - value * eta
    elif isinstance(architecture, Hazard):
        eta = torch.clamp(outputs, -STEEPEST, STEEPEST)
        cumulative = torch.exp(eta)
        # log(1 - exp(-x)) loses everything for small x unless it is taken as log(-expm1(-x))
        terms = torch.where(value > 0, -torch.log(-torch.expm1(-cumulative)), cumulative)
    else:
        terms = softplus(outputs) - value * outputs
    weight = happened.counted[:, None] if happened.at_risk is None else happened.at_risk > 0
    return torch.where(weight, terms, 0.0).sum(dim=1)


def slopes(architecture: Architecture, outputs: torch.Tensor, happened: Target) -> torch.Tensor:
    """Return the derivative of each patient's loss by each output, of its shape; 0 without an outcome.

    Args:
      architecture: Of the registry.
      outputs: Before the link, shape ``(n, 1)`` or ``(n, intervals)``.
      happened: To the same patients.
    """
    value = happened.value
    if isinstance(architecture, Linear):
        terms = outputs - value
    elif isinstance(architecture, Poisson | Hazard):
        cumulative = torch.exp(torch.clamp(outputs, -STEEPEST, STEEPEST))
        if isinstance(architecture, Poisson):
            terms = cumulative - value
        else:
            # d/d eta of -log(1 - exp(-x)), x = exp(eta), is -x / (exp(x) - 1)
            terms = torch.where(value > 0, -cumulative / torch.expm1(cumulative), cumulative)
        terms = torch.where(outputs.abs() <= STEEPEST, terms, 0.0)
    else:
        terms = torch.sigmoid(outputs) - value
    weight = happened.counted[:, None] if happened.at_risk is None else happened.at_risk > 0
    return torch.where(weight, terms, 0.0)


def probability(architecture: Architecture, inputs: Inputs, outputs: torch.Tensor) -> torch.Tensor:
    """Return outputs on the scale of the outcome: probabilities, hazards, or means in the outcome's unit.

    Args:
      architecture: Of the registry.
      inputs: What it learns from.
      outputs: Before the link, any shape; the same shape comes back.
    """
    if isinstance(architecture, Linear):
        low, high = inputs.outcome_clip or (-1.0, 1.0)
        return (torch.clamp(outputs, -1.0, 1.0) + 1) / 2 * (high - low) + low
    if isinstance(architecture, Poisson):
        return torch.exp(torch.clamp(outputs, -STEEPEST, STEEPEST))
    if isinstance(architecture, Hazard):
        return -torch.expm1(-torch.exp(torch.clamp(outputs, -STEEPEST, STEEPEST)))
    return torch.sigmoid(outputs)


def _floats(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float64))


def _require_length(found: int, patients: int) -> None:
    if found != patients:
        raise PrivacyError(f"{found} outcomes for {patients} patients", do="give every patient one outcome")
