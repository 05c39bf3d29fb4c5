"""Masks of one site for 50 peers, against Flower's released generator."""

from __future__ import annotations

from pathlib import Path

from benchmarks import masking
from benchmarks.row import Row

AT_LEAST = 2.0
PEERS = 50


def measure(folder: Path) -> Row:
    """Run both in this process.

    Args:
      folder: Not needed.
    """
    del folder
    return masking.compared(PEERS)
