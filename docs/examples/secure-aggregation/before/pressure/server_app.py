"""An ordinary Flower ServerApp."""

import logging

from flwr.app import Array, ArrayRecord, ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from pressure.task import start

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train, and leave what came out in the context."""
    strategy = FedAvg()
    arrays = ArrayRecord({key: Array(value) for key, value in start().items()})
    result = strategy.start(grid, arrays, num_rounds=int(context.run_config["rounds"]))
    losses = [float(record["loss"]) for record in result.evaluate_metrics_clientapp.values()]
    logging.getLogger("flwr").info("loss after each round: %s", [round(loss, 4) for loss in losses])
    context.state["model"] = result.arrays
    context.state["losses"] = ConfigRecord({"losses": losses})
