"""From one round's private mean to the next parameters: the reference of the server's optimisers.

The coordinator itself uses Flower's own strategies (`fedvalue.strategies.training.server_optimiser`). These
are the same formulas in the same order of operations, so that whoever holds the released sums finds the same
parameters without Flower; a test compares them bit for bit.

Reddi, S., and others. Adaptive federated optimization. ICLR 2021, algorithm 2. Hsu, T., Qi, H., Brown, M.
Measuring the effects of non-identical data distribution for federated visual classification. arXiv
1909.06335.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedvalue.study.questions.training import Optimiser

Array = NDArray[np.float64]


class ServerOptimiser(Protocol):
    """The steps of one training, in order; it keeps moments between them."""

    def step(self, parameters: Array, direction: Array) -> Array:
        """Return the next parameters.

        Args:
          parameters: Current ones, shape ``(d,)``.
          direction: Where the round leads: minus the mean gradient, or the mean update, shape ``(d,)``.
        """


Begin = Callable[[Optimiser], ServerOptimiser]
"""Makes an optimiser that has taken no step yet."""


@dataclass(slots=True)
class ReferenceOptimiser:
    """The optimisers in plain numpy.

    Attributes:
      settings: Public settings.
    """

    settings: Optimiser
    _round: int = 0
    _first: Array | None = None
    _second: Array | None = field(default=None)

    def step(self, parameters: Array, direction: Array) -> Array:
        """Return the next parameters; see `ServerOptimiser`."""
        self._round += 1
        kind, rate = self.settings.kind, self.settings.rate
        if kind in ("fedavgm", "momentum", "plain"):
            return self._straight(parameters, direction, kind, rate)
        delta = (parameters + direction) - parameters  # as a reply that holds parameters tells it
        beta_1 = 0.0 if kind == "fedadagrad" else self.settings.beta_1
        before = np.zeros_like(delta) if self._first is None else self._first
        self._first = beta_1 * before + (1 - beta_1) * delta
        second = np.zeros_like(delta) if self._second is None else self._second
        if kind == "fedadam":
            beta_2 = self.settings.beta_2
            second = beta_2 * second + (1 - beta_2) * (delta**2)
            rate = (
                rate
                * np.sqrt(1 - np.power(beta_2, self._round + 1.0))
                / (1 - np.power(beta_1, self._round + 1.0))
            )
        elif kind == "fedyogi":
            second = second - (1.0 - self.settings.beta_2) * (delta**2) * np.sign(second - delta**2)
        else:
            second = second + (delta**2)
        self._second = second
        found: Array = parameters + rate * self._first / (np.sqrt(second) + self.settings.tau)
        return found

    def _straight(self, parameters: Array, direction: Array, kind: str, rate: float) -> Array:
        given = parameters + (direction if kind == "fedavgm" else rate * direction)
        if kind == "plain":
            return given
        gradient = parameters - given
        if self.settings.beta_1 > 0:
            if self._first is not None:
                gradient = self.settings.beta_1 * self._first + gradient
            self._first = gradient
        found: Array = parameters - (rate if kind == "fedavgm" else 1.0) * gradient
        return found
