"""The smallest question over any grid: a ServerApp that times it, a ClientApp that answers with nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from fedvalue.strategies.secure_aggregation.messages import STEP, StepReply, StepRequest, Wire

PAYLOAD = bytes(256)

server = ServerApp()
client = ClientApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Ask every site for the rounds of the run configuration, and write how long each took."""
    sites, rounds = int(context.run_config["sites"]), int(context.run_config["rounds"])
    while len(nodes := list(grid.get_node_ids())) < sites:
        time.sleep(0.2)
    Path(str(context.run_config["out"])).write_text(json.dumps(timed(grid, nodes, rounds)))


def timed(grid: Grid, nodes: list[int], rounds: int) -> list[float]:
    """Return the seconds of each round: one question to every site, and every answer.

    Raises:
      RuntimeError: a site does not answer.
    """
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        asked = [
            Message(Wire.pack(StepRequest("keys", PAYLOAD)), dst_node_id=node, message_type=STEP)
            for node in nodes
        ]
        replies = list(grid.send_and_receive(asked, timeout=120.0))
        found.append(time.perf_counter() - began)
        if len(replies) < len(nodes) or any(reply.has_error() for reply in replies):
            raise RuntimeError("a site does not answer")
    return found


@client.query(STEP.removeprefix("query."))
def step(message: Message, context: Context) -> Message:
    """Answer with nothing."""
    del context
    return Message(nothing(message.content), reply_to=message)


def nothing(content: RecordDict) -> RecordDict:
    """The answer."""
    del content
    return Wire.pack(StepReply(b""))
