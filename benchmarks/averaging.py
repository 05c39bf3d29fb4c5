"""The smallest federated averaging that Flower runs: 100 numbers, as many clients as there are.

One ServerApp and one ClientApp, loaded by Flower's simulation and by a grid in process alike. The
ServerApp writes when each round began and when the last one ended, in seconds of one clock. A round is
what Flower's FedAvg makes of it by default: every client trains, then every client evaluates. Neither
does any work: what is timed is the way there and back.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

PARAMETERS = 100

server = ServerApp()
client = ClientApp()


class TimedFedAvg(FedAvg):
    """Flower's FedAvg, which also notes when it begins each round.

    Attributes:
      began: Monotonic seconds at which rounds 1, 2, ... began.
      heard: How many clients answered in each training round without an error.
    """

    began: list[float]
    heard: list[int]

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """As FedAvg does it, with the time noted."""
        self.began.append(time.perf_counter())
        return list(super().configure_train(server_round, arrays, config, grid))

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """As FedAvg does it, with the answers counted."""
        replies = list(replies)
        self.heard.append(sum(reply.has_content() for reply in replies))
        return super().aggregate_train(server_round, replies)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Average for the rounds that the run configuration asks for, over all of its clients."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    clients, rounds = int(context.run_config["clients"]), int(context.run_config["rounds"])
    strategy = TimedFedAvg(min_train_nodes=clients, min_evaluate_nodes=clients, min_available_nodes=clients)
    strategy.began, strategy.heard = [], []
    strategy.start(grid, ArrayRecord({"w": Array(np.zeros(PARAMETERS))}), num_rounds=rounds)
    done = time.perf_counter()
    if strategy.heard != [clients] * rounds:
        raise ValueError(f"of {clients} clients, {strategy.heard} answered in the rounds")
    Path(str(context.run_config["out"])).write_text(json.dumps([*strategy.began, done]))


@client.train()
def train(message: Message, _context: Context) -> Message:
    """Send the numbers back."""
    arrays = message.content.array_records["arrays"]
    content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1})})
    return Message(content, reply_to=message)


@client.evaluate()
def evaluate(message: Message, _context: Context) -> Message:
    """Answer a loss."""
    return Message(RecordDict({"metrics": MetricRecord({"num-examples": 1, "loss": 0.5})}), reply_to=message)
