"""The coordinator's half of a training: Flower's own strategies, fed one reply that holds the private mean.

``FedAdam``, ``FedYogi``, ``FedAdagrad``, ``FedAvgM`` and ``FedAvg`` take a weighted mean of what clients sent
and then their own step. Here no client sends anything: the only reply is made up from the released sum, so
that the strategy sees what everybody may see and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedYogi
from flwr.serverapp.strategy.fedopt import FedOpt
from numpy.typing import NDArray

from fedvalue.analyses.server_step import Begin, ServerOptimiser
from fedvalue.analyses.training import Training
from fedvalue.errors import PrivacyError
from fedvalue.planning.plan import Plan
from fedvalue.study.questions.training import Optimiser

Array = NDArray[np.float64]
KEY = "model"


def with_flower(plan: Plan) -> Plan:
    """Return a plan whose trainings take Flower's own steps."""
    return replace(
        plan,
        analyses=tuple(
            replace(one, begin=begin_with({})) if isinstance(one, Training) else one for one in plan.analyses
        ),
    )


def strategy_of(settings: Optimiser) -> FedAvg:
    """Return Flower's strategy of that name."""
    rate, tau, first, second = settings.rate, settings.tau, settings.beta_1, settings.beta_2
    made: dict[str, Callable[[], FedAvg]] = {
        "fedadam": lambda: FedAdam(eta=rate, tau=tau, beta_1=first, beta_2=second),
        "fedyogi": lambda: FedYogi(eta=rate, tau=tau, beta_1=first, beta_2=second),
        "fedadagrad": lambda: FedAdagrad(eta=rate, tau=tau),
        "fedavgm": lambda: FedAvgM(server_learning_rate=rate, server_momentum=first),
        "momentum": lambda: FedAvgM(server_learning_rate=1.0, server_momentum=first),
        "plain": FedAvg,
    }
    return made[settings.kind]()


@dataclass(slots=True)
class Taken:
    """The steps that a training has taken, so that who follows it again from the start takes none twice.

    Attributes:
      strategy: Flower's strategy, as many steps along as ``steps`` has.
      steps: Each direction with the parameters that it led to.
    """

    strategy: FedAvg
    steps: list[tuple[Array, Array]] = field(default_factory=list)


def begin_with(taken: dict[Optimiser, Taken]) -> Begin:
    """Return what begins an optimiser; ``taken`` remembers the steps of the training."""

    def begin(settings: Optimiser) -> ServerOptimiser:
        if settings not in taken:
            taken[settings] = Taken(strategy_of(settings))
        return FlowerOptimiser(settings, taken[settings])

    return begin


@dataclass(slots=True)
class FlowerOptimiser:
    """One training's steps with one of Flower's strategies.

    Attributes:
      settings: Public settings.
      taken: The steps so far.
    """

    settings: Optimiser
    taken: Taken
    _round: int = 0

    def step(self, parameters: Array, direction: Array) -> Array:
        """Return the next parameters; see `fedvalue.analyses.server_step.ServerOptimiser`.

        Raises:
          PrivacyError: the training is followed again with other sums, or the strategy gave nothing.
        """
        self._round += 1
        if self._round <= len(self.taken.steps):
            before, led = self.taken.steps[self._round - 1]
            if not np.array_equal(before, direction):
                raise PrivacyError("a training is followed again with other sums", where=self.settings.kind)
            return led
        found = self._flower(parameters, direction)
        self.taken.steps.append((direction, found))
        return found

    def _flower(self, parameters: Array, direction: Array) -> Array:
        strategy = self.taken.strategy
        length = self.settings.rate if self.settings.kind in ("momentum", "plain") else 1.0
        # what configure_train would have noted before it asked clients: where the round started
        if isinstance(strategy, FedOpt):
            strategy.current_arrays = {KEY: parameters}
        elif isinstance(strategy, FedAvgM):
            strategy.current_arrays = ArrayRecord({KEY: FlowerArray(parameters)})
        with _quiet():
            replies = cast("list[Message]", [Reply(parameters + length * direction)])
            found, _ = strategy.aggregate_train(self._round, replies)
        if found is None:
            raise PrivacyError("Flower's strategy gave no parameters", where=self.settings.kind)
        return np.asarray(found[KEY].numpy(), dtype=np.float64)


class Reply:
    """The one reply, as Flower's strategies read one; a `Message` could be made inside a Flower run alone."""

    def __init__(self, parameters: Array) -> None:
        self.content = RecordDict(
            {
                "arrays": ArrayRecord({KEY: FlowerArray(parameters)}),
                "metrics": MetricRecord({"num-examples": 1}),
            }
        )

    def has_error(self) -> bool:
        """No: what was released is there."""
        return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Flower's two lines a round about the one reply."""
    logger = logging.getLogger("flwr")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
