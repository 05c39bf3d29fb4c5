"""One round of Flower's released SecAgg+ in process: its own workflow and its own client mod, nothing else.

Messages are handed over as objects, without protobuf or threads, which is the most that can be done for it.
The lost clients vanish before they send a masked vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict
from flwr.client.mod import secaggplus_mod
from flwr.common import (
    Code,
    FitIns,
    FitRes,
    Parameters,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
from flwr.compat.common import recorddict_compat as compat
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.strategy import FedAvg
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from numpy.typing import NDArray

from fedvalue.server.grids.wire import take_identity

RUN = 1
WEIGHT = 1000
"""Flower's default ``max_weight``: the largest number of examples a client may name."""


class Proxy:
    """What a strategy hands the workflow for a client.

    Attributes:
      node_id: The client's id.
    """

    def __init__(self, node_id: int) -> None:
        self.node_id, self.cid = node_id, str(node_id)


class Everybody(FedAvg):
    """Asks every client and keeps the vector that was aggregated.

    Attributes:
      nodes: Node ids.
      mean: The aggregated vector.
    """

    def __init__(self, nodes: Iterable[int]) -> None:
        super().__init__()
        self.nodes, self.mean = list(nodes), np.empty(0)

    def configure_fit(self, server_round: int, parameters: Parameters, client_manager: Any) -> Any:
        """Ask everybody."""
        del server_round, parameters, client_manager
        return [(Proxy(node), FitIns(Parameters([], ""), {})) for node in self.nodes]

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        """Keep what the workflow made of the masked vectors."""
        del server_round, failures
        (self.mean,) = parameters_to_ndarrays(results[0][1].parameters)
        return None, {}


class Clients:
    """Stands in for a grid: calls Flower's client mod for each message.

    Attributes:
      vectors: Node id to the client's vector, shape ``(d,)``.
      lost: Nodes that do not send a masked vector.
    """

    def __init__(self, vectors: Mapping[int, NDArray[np.float64]], lost: set[int]) -> None:
        self.vectors, self.lost = vectors, lost
        self.contexts = {node: Context(RUN, node, {}, RecordDict(), {}) for node in vectors}

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Answer every message in turn."""
        del timeout
        return [self._answered(message) for message in messages]

    def _answered(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        stage = message.content.config_records[RECORD_KEY_CONFIGS][Key.STAGE]
        if node in self.lost and stage in (Stage.COLLECT_MASKED_VECTORS, Stage.UNMASK):
            return Message(Error(0), reply_to=message)
        # Every client gets a message of its own: the mod takes the stage out of the one it gets.
        records: dict[str, Any] = dict(message.content.array_records)
        for name, record in message.content.config_records.items():
            records[name] = ConfigRecord(dict(record))
        content = RecordDict(records)
        own = Message(content, dst_node_id=node, message_type=message.metadata.message_type)
        own.metadata.__dict__["_dst_node_id"] = node
        reply = secaggplus_mod(own, self.contexts[node], self._fit)
        reply.metadata.__dict__["_src_node_id"] = node
        return reply

    def _fit(self, message: Message, context: Context) -> Message:
        parameters = ndarrays_to_parameters([self.vectors[context.node_id]])
        result = FitRes(Status(Code.OK, ""), parameters, WEIGHT, {})
        return Message(compat.fitres_to_recorddict(result, keep_input=False), reply_to=message)


def mean(vectors: Mapping[int, NDArray[np.float64]], lost: set[int], threshold: int) -> NDArray[np.float64]:
    """Run Flower's workflow once.

    Args:
      vectors: Node id to vector, values in ``[-8, 8]``, shape ``(d,)`` each.
      lost: Nodes that vanish before they send.
      threshold: Shares that rebuild a secret.

    Returns:
      What Flower's server gets: the mean over the others up to its quantisation, shape ``(d,)``.
    """
    take_identity(RUN)
    strategy = Everybody(vectors)
    state = RecordDict()
    state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({WorkflowKey.CURRENT_ROUND: 1})
    state.array_records[MAIN_PARAMS_RECORD] = ArrayRecord()
    context = LegacyContext(Context(RUN, 1, {}, state, {}), strategy=strategy)
    workflow = SecAggPlusWorkflow(len(vectors), threshold)
    workflow(Clients(vectors, lost), context)  # type: ignore[arg-type]  # it needs one method of a grid
    return np.asarray(strategy.mean)
