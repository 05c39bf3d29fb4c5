"""Thirty releases over five sites: what part of the time is the way there and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.row import Row
from benchmarks.streaming import streaming
from benchmarks.thirty import RELEASES, SITES, seconds, sites
from fedvalue.server.asking import ask
from fedvalue.strategies.secure_aggregation.messages import STEP, Refused, StepReply, StepRequest

AT_MOST = 0.20
TURNS = 2


def measure(folder: Path) -> Row:
    """Open the releases by calling the sites, then over sessions; the difference is transport.

    Args:
      folder: For ledgers and journals.
    """
    called = streamed = float("inf")
    for turn in range(TURNS):  # in turns, and the shorter time: whatever else the machine does only adds
        with sites(folder / f"called-{turn}") as found:
            called = min(called, seconds(found, found.exchange))
        streamed = min(streamed, over_sessions(folder / f"streamed-{turn}"))
    share = max(0.0, streamed - called) / streamed
    how = (
        f"{RELEASES} releases over {SITES} sites with ledgers and journals on disk: seconds over streams, "
        f"mutual TLS; other: the sites called in threads; the shorter of {TURNS} each; ratio: the share that "
        f"is transport, at most {AT_MOST:g}"
    )
    return Row(ours=streamed, other=called, ratio=share, unit="s", how=how)


def over_sessions(folder: Path) -> float:
    """Seconds for the releases over streams.

    Args:
      folder: For ledgers and journals.
    """
    with sites(folder) as found:
        answers = {name: found.node(name) for name in found.protocols}
        with streaming(answers, found.keys) as grid:
            nodes = {site: node for node, site in grid.site_ids().items()}

            def exchange(step: str, requests: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | Refused]]:
                asked = {nodes[site]: StepRequest(step, payload) for site, payload in requests.items()}
                names = {node: site for site, node in nodes.items()}
                for node, reply in ask(grid, STEP, asked, timeout=120.0):
                    said = reply.payload if isinstance(reply, StepReply) else Refused("no_answer")
                    yield names[node], said

            return seconds(found, exchange)
