"""Answers leave at fixed times after their question: a stopwatch learns little of the rows behind them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def paced(
    seconds: float,
    *,
    now: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Make the block last a whole number of periods, however it ends.

    Args:
      seconds: Length of a period; 0 waits for nothing. A block that is shorter tells nothing but that; a
        longer one tells in how many periods it was done.
      now: Tells the time.
      wait: Waits.
    """
    began = now()
    try:
        yield
    finally:
        if seconds > 0:
            passed = now() - began
            wait(max(0.0, math.ceil(passed / seconds) * seconds - passed))
