"""Ordinary Flower apps over a grid in process, plain or secured; replies are kept, and sites may vanish."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Result, Strategy
from numpy.typing import NDArray

from fedvalue.errors import UnsafeWarning
from fedvalue.server.grids.local import LocalGrid, LocalNode, run_server_app
from fedvalue.strategies import (
    SecureAggregation,
    SecureClient,
    SecureTerms,
    UnsafeExactSum,
    UnsafeSimulatedSites,
    unsafe_simulated_roster,
)

Arrays = dict[str, NDArray[Any]]
Answers = Callable[[int, int, Arrays], tuple[Arrays, dict[str, Any]]]
"""``(site, round, model)`` to what the train function answers: arrays, and metrics with ``num-examples``."""

EXAMPLES = (37, 5, 113, 64, 1009)


def allowed() -> UnsafeExactSum:
    """UnsafeExactSum without its warning, where the warning is not what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnsafeWarning)
        return UnsafeExactSum()


def terms(run: str = "run-1", sites: int = 5, **other: Any) -> SecureTerms:
    fields: dict[str, Any] = {"train_metrics": ("loss",), "evaluate_metrics": ("accuracy",), **other}
    return SecureTerms(run, unsafe_simulated_roster(sites), **fields)


def model() -> Arrays:
    rng = np.random.default_rng(7)
    return {
        "w": rng.normal(size=(3, 4)).astype(np.float32),
        "b": rng.normal(size=2),
        "steps": np.array(11, dtype=np.int64),
    }


def moved(site: int, number: int, arrays: Arrays) -> tuple[Arrays, dict[str, Any]]:
    """Every site moves the model its own way."""
    rng = np.random.default_rng([site, number])
    new: Arrays = {
        key: (np.asarray(a) + rng.normal(size=a.shape)).astype(a.dtype) if a.dtype.kind == "f" else a + site
        for key, a in arrays.items()
    }
    return new, {"num-examples": EXAMPLES[site], "loss": float(rng.uniform(0, 3)), "secret": 1.0 + site}


def record(arrays: Arrays) -> ArrayRecord:
    return ArrayRecord({key: Array(np.asarray(a)) for key, a in arrays.items()})


def numpy_of(arrays: ArrayRecord) -> Arrays:
    return {key: array.numpy() for key, array in arrays.items()}


@dataclass
class Heard:
    """One reply, as it would travel."""

    site: int
    step: str
    message: Message
    packed: bytes


@dataclass
class FlowerRun:
    """Five nodes. ``lost(step, site)`` tells that a node is gone when it is asked for a step.

    A step is ``train`` or ``evaluate`` for the app's own functions, else that of the private sum; ``number``
    is Flower's round.
    """

    terms: SecureTerms | None = None
    noise: UnsafeExactSum | None = None
    answers: Answers = moved
    lost: Callable[[str, int], bool] = lambda step, site: False
    heard: list[Heard] = field(default_factory=list)
    trained: list[tuple[int, int]] = field(default_factory=list)
    number: int = 0
    app: ClientApp = field(init=False)

    def __post_init__(self) -> None:
        mods: list[Any] = []
        if self.terms is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnsafeWarning)
                mods = [SecureClient(self.terms, UnsafeSimulatedSites(self.terms, self.noise))]
        self.app = ClientApp(mods=mods)

        @self.app.train()
        def train(message: Message, context: Context) -> Message:
            site, number = _asked(message, context)
            assert set(message.content) == {"arrays", "config"}  # the app sees its own records only
            self.trained.append((site, number))
            arrays, metrics = self.answers(site, number, numpy_of(message.content.array_records["arrays"]))
            content = RecordDict({"arrays": record(arrays), "metrics": MetricRecord(metrics)})
            return Message(content, reply_to=message)

        @self.app.evaluate()
        def evaluate(message: Message, context: Context) -> Message:
            site, number = _asked(message, context)
            metrics: dict[str, Any] = {"num-examples": EXAMPLES[site], "accuracy": (site + number) / 10}
            return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)

    def node(self, message: Message, context: Context) -> Message:
        site = int(context.node_config["partition-id"])
        ours = dict(message.content.config_records.get("fedvalue", ConfigRecord()))
        step = str(ours.get("step", message.metadata.message_type))
        if "config" in message.content:
            self.number = _asked(message, context)[1]
        if self.lost(step, site):
            return Message(Error(2, "gone"), reply_to=message)
        reply = self.app(message, context)
        packed = b"".join(bytes(obj) for obj in _bytes_of(reply.content))
        self.heard.append(Heard(site, step, reply, packed))
        return reply

    def grid(self, sites: int = 5) -> LocalGrid:
        return LocalGrid(
            {100 + n: LocalNode(self.node, {"partition-id": n}) for n in range(sites)}, threads=2
        )

    def start(self, strategy: Strategy, rounds: int = 2, sites: int = 5) -> Result:
        """Run Flower's own round loop; the error of a failed run is raised."""
        server, results = ServerApp(), []

        @server.main()
        def main(grid: Grid, context: Context) -> None:
            results.append(strategy.start(grid, record(model()), num_rounds=rounds))

        run_server_app(server, self.grid(sites))
        return results[0]


def secured(strategy: Strategy, agreed: SecureTerms, **other: Any) -> SecureAggregation:
    return SecureAggregation(strategy, agreed, allowed(), wait_seconds=0.0, **other)


def secured_run(**fields: Any) -> tuple[FlowerRun, SecureTerms]:
    agreed = terms()
    return FlowerRun(agreed, allowed(), **fields), agreed


def _bytes_of(content: RecordDict) -> Iterable[bytes]:
    for name, entry in content.items():
        yield name.encode()
        for key, value in entry.items():
            yield key.encode()
            yield value if isinstance(value, bytes) else repr(value).encode()


def _asked(message: Message, context: Context) -> tuple[int, int]:
    config = message.content.config_records["config"]
    return int(context.node_config["partition-id"]), int(config["server-round"])  # type: ignore[arg-type]  # a number
