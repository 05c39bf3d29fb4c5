"""One made-up federation for the rows that ask what privacy costs a model at epsilon 1.

Ten hospitals, 10,000 patients, 40 features, planted truth; the methods and settings of
`make prove KEY=training`, one world of it.
"""

from __future__ import annotations

import numpy as np
import torch

from fedvalue.privacy.randomness import SystemNoise
from fedvalue.study.architectures import Architecture
from proofs.keys.training import LINEAR, NETWORK, ROUNDS
from proofs.training_data import planted
from proofs.training_methods import fedsgd, pooled, reached, scaled

EPSILON = 1.0
WORLD = 1


def network_and_linear() -> tuple[dict[str, float], dict[str, float]]:
    """Return the AUC on fresh patients of the network and the logistic model, private and pooled."""
    torch.set_num_threads(1)
    split, noise = planted(WORLD), SystemNoise()
    exact = scaled(split, None, np.random.default_rng(0))
    inputs = scaled(split, EPSILON, np.random.default_rng(3))
    models: dict[str, tuple[Architecture, int]] = {"network": (NETWORK, 25), "logistic": (LINEAR, 15)}
    private = {
        name: reached(model, inputs, fedsgd(model, inputs, split, EPSILON, ROUNDS[EPSILON], noise), split)
        for name, (model, _) in models.items()
    }
    without = {
        name: reached(model, exact, pooled(model, split, epochs=epochs), split)
        for name, (model, epochs) in models.items()
    }
    return private, without
