"""One private sum of 50 sites, 5 of which vanish, against Flower's own SecAgg+ on the same vectors."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import flower_secagg
from benchmarks.private_sums import Sites
from benchmarks.row import Row
from fedvalue.strategies.secure_aggregation.private_sum.rounds import PrivateRounds

AT_LEAST = 5.0
SITES = 50
LOST = 5
DIMENSION = 100_000
SCALE = 2**20
CLIP = 8.0  # Flower's default


def measure(folder: Path) -> Row:
    """Run both in this process, and check both sums.

    Args:
      folder: Not needed.

    Raises:
      RuntimeError: a sum is wrong.
    """
    del folder
    logging.getLogger("flwr").setLevel(logging.ERROR)
    rng = np.random.default_rng(1)
    vectors = [rng.uniform(-CLIP, CLIP, DIMENSION) for _ in range(SITES)]
    ours, noised = private(vectors, noise=False), private(vectors, noise=True)
    other = flowers(vectors)
    how = (
        f"one sum of {SITES} sites x {DIMENSION:,} words, {LOST} lost before they send, t = {SITES - LOST}: "
        "from keys to an exact sum, signatures and protobuf included, against Flower's SecAggPlusWorkflow "
        "and secaggplus_mod called directly at their defaults, in one process; neither adds noise "
        f"(with every site's noise, which Flower lacks, ours takes {noised:.1f} s)"
    )
    return Row(ours=ours, other=other, ratio=other / ours, unit="s", how=how)


def private(vectors: list[NDArray[np.float64]], *, noise: bool) -> float:
    """Seconds of one private sum; fixed-point vectors are made inside the time, as Flower does."""
    names = frozenset(f"h{number:03d}" for number in range(LOST))
    began = time.perf_counter()
    sites = Sites([np.rint(vector * SCALE).astype(np.int64) for vector in vectors], noise, names)
    found = PrivateRounds(sites.agreed, sites.exchange, 1).attempt("release-1", 1)
    took = time.perf_counter() - began
    if found.total is None or len(found.survivors) != SITES - LOST:
        raise RuntimeError(f"the private sum failed: {found.failure}")
    if not np.array_equal(found.total, sites.expected(found.survivors)):
        raise RuntimeError("the private sum is not exact")
    return took


def flowers(vectors: list[NDArray[np.float64]]) -> float:
    """Seconds of one round of Flower's SecAgg+."""
    nodes = dict(enumerate(vectors, 2))
    lost = set(range(2, 2 + LOST))
    began = time.perf_counter()
    found = flower_secagg.mean(nodes, lost, SITES - LOST)
    took = time.perf_counter() - began
    wanted = np.mean([vector for node, vector in nodes.items() if node not in lost], axis=0)
    if not np.allclose(found, wanted, atol=1e-4):
        raise RuntimeError("Flower's sum is not what was asked")
    return took
