"""How much AUC the tabular network loses to privacy at epsilon 1: 10 hospitals, 10,000 patients."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.row import Row
from benchmarks.training_gap import lost

AT_MOST = 0.02
SEEDED = True


def measure(folder: Path) -> Row:
    """Train the same network over the private sum and on all patients together, in worlds nobody tuned on.

    Args:
      folder: Not needed.
    """
    del folder
    weaker, aucs = lost("weaker")
    first, _ = lost("first")
    ours, other = median(weaker.network), median(first.network)
    how = (
        f"AUC that the network loses to itself without privacy at epsilon 1, delta 1e-6: median of "
        f"{len(weaker.network)} fresh made-up worlds, {min(weaker.network):.4f} to {max(weaker.network):.4f},"
        f" from {aucs['network, AdamW']:.4f}; other: the planted law with its curves as first written; "
        f"10,000 patients of 10 hospitals, 20,000 fresh; at most {AT_MOST:g} allowed"
    )
    return Row(ours=ours, other=other, ratio=ours, unit="AUC", how=how)
