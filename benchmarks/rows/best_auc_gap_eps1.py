"""How much AUC the best private model loses to the best one without privacy, at epsilon 1."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.row import Row
from benchmarks.training_gap import lost

AT_MOST = 0.01
SEEDED = True


def measure(folder: Path) -> Row:
    """Compare the best of network and logistic model over the private sum with the best of both pooled.

    Args:
      folder: Not needed.
    """
    del folder
    weaker, _ = lost("weaker")
    first, _ = lost("first")
    ours, other = median(weaker.best), median(first.best)
    how = (
        f"AUC that the better of network and logistic model loses at epsilon 1, delta 1e-6, to the better "
        f"without privacy: median of {len(weaker.best)} fresh made-up worlds, {min(weaker.best):.4f} to "
        f"{max(weaker.best):.4f}; other: the planted law with its curves as first written; 10,000 patients "
        f"of 10 hospitals, 20,000 fresh; at most {AT_MOST:g} allowed"
    )
    return Row(ours=ours, other=other, ratio=ours, unit="AUC", how=how)
