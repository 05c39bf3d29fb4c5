"""One line of the benchmark table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """What one benchmark found.

    Attributes:
      ours: Our figure, in ``unit``.
      other: The figure of what we are compared with, in ``unit``.
      ratio: How many times better ours is; above 1 means better, whatever the unit.
      unit: Unit of both figures.
      how: What was run, on both sides, in one sentence.
    """

    ours: float
    other: float
    ratio: float
    unit: str
    how: str
