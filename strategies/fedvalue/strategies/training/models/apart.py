"""Whether a patient's bits depend, on this machine, on who else is in the block and where a row stands.

A matrix product promises nothing of the kind. So before a model is trained, a made-up block goes through it,
and the same rows in another order: what flows through each layer, the gradients and their lengths have to
move with the rows, to the last bit. The rows and parameters are made up from a fixed seed and public shapes,
so the answer is the same for every study of these shapes, tells nothing of patients, and is kept for the life
of the process.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch

from fedvalue.errors import PrivacyError
from fedvalue.privacy.release import SUM_BLOCK
from fedvalue.strategies.training.models.lengths import lengths
from fedvalue.strategies.training.models.links import Target
from fedvalue.strategies.training.models.network import Inputs, Prepared, build, load
from fedvalue.strategies.training.models.passes import Passes
from fedvalue.study.architectures import Architecture


def one_thread() -> None:
    """Let one thread compute: shares of a block that several threads take are no multiples of anything.

    Torch keeps the number partly by thread and partly by process. So it is set by each thread that comes
    here, and never put back: whoever put it back would hand several threads to another site's sum.
    """
    torch.set_num_threads(1)


def require_apart(architecture: Architecture, inputs: Inputs) -> None:
    """Check that rows are apart, once in a process for each architecture and shape of its inputs.

    Args:
      architecture: Of the registry.
      inputs: What it learns from; only their shapes matter.

    Raises:
      PrivacyError: on this machine a row's bits depend on where it stands.
      StudyInvalid: the architecture does not fit the inputs.
    """
    shapes = tuple(replace(column, center=None, spread=None) for column in inputs.numeric)
    _require(architecture, replace(inputs, numeric=shapes))


@lru_cache(maxsize=64)
def _require(architecture: Architecture, inputs: Inputs) -> None:
    made = torch.Generator().manual_seed(SUM_BLOCK)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=made, dtype=torch.float64)

    order = torch.randperm(SUM_BLOCK, generator=made)
    codes = [torch.randint(0, column.levels + 1, (SUM_BLOCK,), generator=made) for column in inputs.coded]
    coded = torch.stack(codes, dim=1) if codes else torch.zeros((SUM_BLOCK, 0), dtype=torch.int64)
    variants = (normal(SUM_BLOCK, inputs.variants) > 0).to(torch.float64)
    given = Prepared(normal(SUM_BLOCK, inputs.dense), coded, variants)
    value = (normal(SUM_BLOCK, max(1, inputs.intervals)) > 0).to(torch.float64)
    at_risk = torch.ones_like(value) if inputs.intervals else None
    happened = Target(torch.ones(SUM_BLOCK, dtype=torch.bool), value, at_risk)
    module = build(architecture, inputs)
    size = sum(parameter.numel() for parameter in module.parameters())
    load(module, (normal(size) * 0.3).numpy())
    one_thread()
    here = _bits(Passes(module), given, happened)
    there = _bits(Passes(module), given.take(order), happened.take(order))
    if not all(torch.equal(one[..., order], other) for one, other in zip(here, there, strict=True)):
        raise PrivacyError(
            "on this machine a patient's gradient depends in its last bits on where the patient stands",
            do="train on a machine with another processor or another build of torch",
        )


def _bits(passes: Passes, given: Prepared, happened: Target) -> list[torch.Tensor]:
    """Everything of a pass that belongs to one patient, patients last."""
    flows = passes.flows(given, happened)
    return [tensor for flow in flows for tensor in (flow.given, flow.delta)] + [lengths(flows).squared]
