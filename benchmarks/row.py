"""One line of the benchmark table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """What one benchmark found.

    Attributes:
      ours: Our figure, in ``unit``.
      other: The figure of what we are compared with, in ``unit``.
      ratio: The figure that has a bar: how many times faster, how many times as long, or our own figure
        where the bar is on that.
      unit: Unit of both figures.
      how: What was run, on both sides, in one sentence.
    """

    ours: float
    other: float
    ratio: float
    unit: str
    how: str
