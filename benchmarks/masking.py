"""One site's pairwise masks, ours and Flower's, for the rows that compare them.

Ours: `fedvalue.secure_sum.masks`, full 64-bit words of AES-256-CTR, a key a peer. Flower's: the released
``pseudo_rand_gen`` at the workflow's default modulus of 2^32, added or subtracted as its client does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
from flwr.common.secure_aggregation.ndarrays_arithmetic import parameters_addition, parameters_subtraction
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

from benchmarks.row import Row
from fedvalue.secure_sum import masks
from fedvalue.secure_sum.masks import Mask
from fedvalue.secure_sum.suite import Intl1

DIMENSION = 10**6
FLOWERS_MODULUS = 2**32
RUNS = 5


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ours(peers: int) -> None:
    """Put the masks of so many peers on one vector, under fresh keys."""
    vector = np.zeros(DIMENSION, dtype=masks.WORD)
    keys = [Mask(os.urandom(32), number % 2 == 0) for number in range(peers)]
    masks.apply(Intl1(), keys, vector)


def flowers(peers: int) -> None:
    """The same with Flower's generator and arithmetic."""
    vector = [np.zeros(DIMENSION, dtype=np.int64)]
    for number in range(peers):
        mask = pseudo_rand_gen(os.urandom(32), FLOWERS_MODULUS, [(DIMENSION,)])
        vector = (parameters_addition if number % 2 == 0 else parameters_subtraction)(vector, mask)


def compared(peers: int) -> Row:
    """Take turns and keep the fastest of each, which is what the machine can do undisturbed."""
    mine, theirs = [], []
    ours(1)
    for _ in range(RUNS):
        mine.append(seconds(lambda: ours(peers)))
        theirs.append(seconds(lambda: flowers(peers)))
    one, other = min(mine) * 1000, min(theirs) * 1000
    how = (
        f"masks of one site for {peers} peers, 1,000,000 words, fastest of {RUNS}: 64-bit AES-256-CTR "
        "against Flower's 32-bit-seeded generator at its default modulus 2^32, in one process"
    )
    return Row(ours=one, other=other, ratio=other / one, unit="ms", how=how)
