"""Makes a site node answer garbage from some answer on: imported by Python at its start, for one proof.

``FEDVALUE_SPOILED`` says from which answer to a step of the private sum on; other processes stay as they are.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc
    from flwr.app import RecordDict

NODE = "fedvalue.client.running.process"


def spoil(first: int) -> None:
    """Replace what leaves the node's socket, from its answer number ``first`` on."""
    from fedvalue.client import relay
    from fedvalue.strategies.secure_aggregation.messages import STEP, StepReply, Wire

    serving, numbers = relay.serving, itertools.count(1)

    def spoiled(answer: Callable[[str, RecordDict], RecordDict], socket: Path) -> grpc.Server:
        def said(kind: str, content: RecordDict) -> RecordDict:
            told = answer(kind, content)
            if kind != STEP or next(numbers) < first:
                return told
            return Wire.pack(StepReply(os.urandom(400)))

        return serving(said, socket)

    relay.serving = spoiled  # the node takes it from there when it starts


if NODE in sys.orig_argv:
    spoil(int(os.environ["FEDVALUE_SPOILED"]))
