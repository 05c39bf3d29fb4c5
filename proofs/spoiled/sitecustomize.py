"""Makes a site node answer garbage from some answer on: imported by Python at its start, for one proof.

``FEDVALUE_SPOILED`` says from which answer to a step of the private sum on; other processes stay as they are.
"""

from __future__ import annotations

import itertools
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flwr.app import RecordDict

NODE = "fedvalue.client.running.process"


def spoil(first: int) -> None:
    """Replace what the node says, from its answer number ``first`` to a step on."""
    from fedvalue.client.node import SiteNode
    from fedvalue.strategies.secure_aggregation.messages import STEP, StepReply, Wire

    answer, numbers = SiteNode.answer, itertools.count(1)

    def spoiled(node: SiteNode, kind: str, content: RecordDict) -> RecordDict:
        told = answer(node, kind, content)
        if kind != STEP or next(numbers) < first:
            return told
        return Wire.pack(StepReply(os.urandom(400)))

    SiteNode.answer = spoiled  # type: ignore[method-assign,assignment]  # what a hostile site would do


if NODE in sys.orig_argv:
    spoil(int(os.environ["FEDVALUE_SPOILED"]))
