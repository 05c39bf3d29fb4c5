"""The same ClientApp; what it answers stays at its site, and leaves masked."""

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedvalue.strategies import SecureClient, UnsafeExactSum, UnsafeSimulatedSites
from pressure.federation import TERMS
from pressure.task import fit, loss, patients

app = ClientApp(mods=[SecureClient(TERMS, UnsafeSimulatedSites(TERMS, UnsafeExactSum()))])


@app.train()
def train(message: Message, context: Context) -> Message:
    """Fit the model to this hospital's patients."""
    table, pressure = patients(int(context.node_config["partition-id"]))
    model = {key: array.numpy() for key, array in message.content["arrays"].items()}
    model = fit(model, table, pressure)
    content = RecordDict(
        {
            "arrays": ArrayRecord({key: Array(value) for key, value in model.items()}),
            "metrics": MetricRecord(
                {"num-examples": len(pressure), "train-loss": loss(model, table, pressure)}
            ),
        }
    )
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Tell how well the model fits this hospital's patients."""
    table, pressure = patients(int(context.node_config["partition-id"]))
    model = {key: array.numpy() for key, array in message.content["arrays"].items()}
    metrics = MetricRecord({"num-examples": len(pressure), "loss": loss(model, table, pressure)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
