"""A clipped private step of the tabular network against a plain one, both in float64, Opacus beside them."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch import nn

from benchmarks.row import Row
from fedvalue.privacy import gaussian
from fedvalue.privacy.randomness import SystemNoise
from fedvalue.strategies.training.models.clipped import Gradients, quantised
from fedvalue.strategies.training.models.network import Inputs, Numeric, Rows, initial
from fedvalue.study.architectures import Tabular

AT_MOST = 1.5
"""Private time over plain time."""

WIDTH, BATCH = 64, 512
TURNS, WARM, SELDOM, NOISES = 300, 10, 15, 9
"""Turns that count, turns before them, in every how many of them Opacus has its turn too, draws of noise."""

RATE, CLIP, GAMMA = 0.1, 1.0, 2.0**18
MILLI = 1e3


def measure(folder: Path) -> Row:
    """Take turns step by step, so that both meet the same machine, and compare medians.

    Args:
      folder: Not needed.

    Raises:
      RuntimeError: the private step without a clip is not the plain step.
    """
    del folder
    torch.set_num_threads(1)  # our step computes in one thread, so the plain one does too
    rng = np.random.default_rng(7)
    features = rng.normal(size=(BATCH, WIDTH)).clip(-3, 3)
    outcome = (rng.random(BATCH) < 0.3).astype(np.float64)
    steps = {
        "plain": _plain(features, outcome),
        "ours": _ours(features, outcome),
        "hooks": _opacus(features, outcome, ghost=False),
        "ghost": _opacus(features, outcome, ghost=True),
    }
    _require_same(features, outcome)
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(-WARM, TURNS):
        for name, step in steps.items():
            if name in ("plain", "ours") or turn % SELDOM == 0:
                began = time.perf_counter()
                step()
                if turn >= 0:
                    taken[name].append(time.perf_counter() - began)
    middle = {name: median(each) * MILLI for name, each in taken.items()}
    least = {name: min(each) * MILLI for name, each in taken.items()}
    noise = median(_noise() for _ in range(NOISES)) * MILLI
    how = (
        f"one step of the tabular network {WIDTH}-64-64-1, batch {BATCH}, float64, one thread, step by step "
        f"in turns, medians of {TURNS}, with a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores: "
        f"clipped sum, integers, a gradient step; other: PyTorch's backward pass and a gradient step; "
        f"ratio: private over plain, at most {AT_MOST:g} (fastest: {least['ours']:.2f} and "
        f"{least['plain']:.2f} ms, {least['ours'] / least['plain']:.2f} times); Opacus hooks "
        f"{middle['hooks'] / middle['plain']:.1f} and ghost clipping {middle['ghost'] / middle['plain']:.1f} "
        f"times plain, their float noise included; our exact noise, drawn once a round, takes {noise:.1f} ms "
        f"besides and is not in the ratio"
    )
    ours, plain = middle["ours"], middle["plain"]
    return Row(ours=ours, other=plain, ratio=ours / plain, unit="ms a step", how=how)


def _noise() -> float:
    """Seconds for the exact noise of one round of this network."""
    began = time.perf_counter()
    gaussian.sample(SystemNoise(), WIDTH * WIDTH * 2 + WIDTH * 3 + 1)
    return time.perf_counter() - began


def _network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(WIDTH, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
    ).double()


def _plain(features: np.ndarray, outcome: np.ndarray) -> Callable[[], None]:
    network, loss = _network(), nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    given, happened = torch.from_numpy(features), torch.from_numpy(outcome)[:, None]

    def step() -> None:
        optimizer.zero_grad()
        loss(network(given), happened).backward()
        optimizer.step()

    return step


def _model() -> tuple[Tabular, Inputs]:
    inputs = Inputs(tuple(Numeric(f"x{i}", (-1.0, 1.0)) for i in range(WIDTH)))
    return Tabular(layers=(64, 64), activation="tanh", skip=False), inputs


def _rows(features: np.ndarray, outcome: np.ndarray) -> Rows:
    none = np.zeros((len(outcome), 0), dtype=np.int64)
    return Rows(features, none, none, outcome)


def _ours(features: np.ndarray, outcome: np.ndarray) -> Callable[[], None]:
    architecture, inputs = _model()
    gradients = Gradients(architecture, inputs)
    batch = gradients.batch(_rows(features, outcome))
    now = initial(architecture, inputs, 1)

    def step() -> None:
        nonlocal now
        whole = quantised(gradients.sum(now, batch, CLIP), GAMMA)
        now = now - whole * (RATE / GAMMA / BATCH)

    return step


def _opacus(features: np.ndarray, outcome: np.ndarray, *, ghost: bool) -> Callable[[], None]:
    given, happened = torch.from_numpy(features), torch.from_numpy(outcome)[:, None]
    settings = {"noise_multiplier": 1.0, "max_grad_norm": CLIP, "expected_batch_size": BATCH}
    if not ghost:
        hooked = GradSampleModule(_network())
        optimizer = DPOptimizer(torch.optim.SGD(hooked.parameters(), lr=RATE), **settings)
        criterion = nn.BCEWithLogitsLoss()
    else:
        hooked = GradSampleModuleFastGradientClipping(_network(), max_grad_norm=CLIP, use_ghost_clipping=True)
        optimizer = DPOptimizerFastGradientClipping(torch.optim.SGD(hooked.parameters(), lr=RATE), **settings)
        criterion = DPLossFastGradientClipping(hooked, optimizer, nn.BCEWithLogitsLoss(), "mean")

    def step() -> None:
        with warnings.catch_warnings():
            # torch says that hooks on a module whose inputs need no gradient see only outputs: that is Opacus
            warnings.simplefilter("ignore")
            optimizer.zero_grad()
            criterion(hooked(given), happened).backward()
            optimizer.step()

    return step


def _require_same(features: np.ndarray, outcome: np.ndarray) -> None:
    architecture, inputs = _model()
    gradients = Gradients(architecture, inputs)
    batch = gradients.batch(_rows(features, outcome))
    start = initial(architecture, inputs, 1) + 0.01
    ours = gradients.sum(start, batch, float("inf"))
    network = _network()
    torch.nn.utils.vector_to_parameters(torch.from_numpy(start), network.parameters())
    given = batch.prepared.dense[:BATCH]
    nn.BCEWithLogitsLoss(reduction="sum")(network(given), torch.from_numpy(outcome)[:, None]).backward()
    plain = torch.cat([p.grad.ravel() for p in network.parameters() if p.grad is not None]).numpy()
    if not np.allclose(ours, plain, rtol=1e-9, atol=1e-9):
        raise RuntimeError("the private step without a clip is not the plain step")
