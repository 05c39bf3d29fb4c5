"""A vector of ten million words from a site: over a session, and over a bare gRPC stream of equal pieces."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from flwr.app import RecordDict

from benchmarks.certificates import Authority
from benchmarks.row import Row
from benchmarks.streaming import streaming
from fedvalue.server.asking import ask
from fedvalue.strategies.secure_aggregation.messages import STEP, StepReply, StepRequest, Wire
from fedvalue.strategies.secure_aggregation.pieces import PIECE_BYTES

AT_LEAST = 0.6
WORDS = 10_000_000
VECTOR = bytes(8) * WORDS
RUNS = 5


def measure(folder: Path) -> Row:
    """Send the vector in turns and compare medians.

    Args:
      folder: Not needed.

    Raises:
      RuntimeError: the vector does not arrive whole.
    """
    del folder
    ours, raw = [], []
    with session() as over_session, bare() as over_stream:
        for _ in range(RUNS + 1):  # in turns: whatever else the machine does, it does to both
            ours.append(over_session())
            raw.append(over_stream())
    ours_median, raw_median = statistics.median(ours[1:]), statistics.median(raw[1:])
    how = (
        f"{8 * WORDS / 1e6:.0f} MB from one site to the coordinator over TLS on loopback, from the question "
        f"to the whole answer, median of {RUNS} in turns; other: the same bytes in pieces of 1 MiB over a "
        "bare stream"
    )
    return Row(ours=ours_median, other=raw_median, ratio=raw_median / ours_median, unit="s", how=how)


@contextmanager
def session() -> Iterator[Callable[[], float]]:
    """Give what asks one question whose answer is the vector, and returns the seconds."""

    def answer(message_type: str, content: RecordDict) -> RecordDict:
        del message_type, content
        return Wire.pack(StepReply(VECTOR))

    with streaming({"s01": answer}) as grid:

        def once() -> float:
            began = time.perf_counter()
            (reply,) = (r for _, r in ask(grid, STEP, {2: StepRequest("masked", b"")}, timeout=60.0))
            seconds = time.perf_counter() - began
            if not isinstance(reply, StepReply) or len(reply.payload) != len(VECTOR):
                raise RuntimeError("the vector did not arrive whole")
            return seconds

        yield once


@contextmanager
def bare() -> Iterator[Callable[[], float]]:
    """Give what sends the same bytes up a gRPC stream that joins them, and returns the seconds."""
    authority = Authority.make()

    class Handler(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
        def service(self, details: Any) -> Any:
            del details

            def take(pieces: Iterator[bytes], context: Any) -> bytes:
                del context
                return str(len(b"".join(pieces))).encode()

            return grpc.stream_unary_rpc_method_handler(take)

    options = (("grpc.max_receive_message_length", -1),)
    server = grpc.server(ThreadPoolExecutor(2), options=options)
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_secure_port("127.0.0.1:0", authority.server())
    server.start()
    with grpc.secure_channel(f"localhost:{port}", authority.client("site"), options=options) as channel:
        call = channel.stream_unary("/raw/Send", None, None)

        def once() -> float:
            began = time.perf_counter()
            parts = (VECTOR[at : at + PIECE_BYTES] for at in range(0, len(VECTOR), PIECE_BYTES))
            if call(parts) != str(len(VECTOR)).encode():
                raise RuntimeError("the vector did not arrive whole")
            return time.perf_counter() - began

        yield once
    server.stop(0).wait()
